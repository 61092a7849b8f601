"""Whether run records agree with themselves, with their place, with the data and with their weights."""

from collections.abc import Iterable, Mapping
from math import isclose
from pathlib import PurePosixPath
from typing import Any

from spsn.checkpoints import load_weights, weights_digest
from spsn.errors import RecordError
from spsn.records import RunRecord, read_record
from spsn.verification.findings import Findings
from spsn.verification.folder import LARGEST_JSON, ResultsFolder


def check_records(
    folder: ResultsFolder, names: Iterable[str], data: Mapping[str, Any], findings: Findings
) -> list[str]:
    """Check the records `names` of which nothing wrong is known yet; return those that are sound.

    `data` is `data.json`, empty where it cannot be read.
    """
    sound = []
    for name in names:
        if findings.about(name):
            continue
        findings.checked["run records"] += 1
        try:
            record = _read(folder, name)
            reason = _fault(record, name, data)
        except RecordError as error:
            reason = str(error).removeprefix(f"{folder.path / name}: ")
        except Exception as error:  # whatever a made-up record holds, it is said, not raised
            reason = f"is no run record ({error!r})"
        if reason:
            findings.add(name, reason)
            continue
        sound.append(name)
        _check_weights(folder, PurePosixPath(name).with_suffix(".safetensors").as_posix(), record, findings)
    return sound


def _read(folder: ResultsFolder, name: str) -> RunRecord:
    if (folder.path / name).stat().st_size > LARGEST_JSON:
        raise RecordError("is larger than any run record")
    return read_record(folder.path / name)


def _fault(record: RunRecord, name: str, data: Mapping[str, Any]) -> str | None:
    """What does not agree, with what was found and what was expected."""
    s, r = record.settings, record.result
    place = f"runs/{s.experiment}/{s.model}/{s.condition}/seed{s.seed}.json"
    if place != name:
        return f"is the record of {place}"
    if r.test_total < 1 or not isclose(r.test_accuracy, r.test_hits / r.test_total):
        return f"test_accuracy {r.test_accuracy}, expected {r.test_hits} of {r.test_total}"
    if len(r.predictions) != r.test_total:
        return f"{len(r.predictions)} predictions, expected {r.test_total}"
    if r.speakers and sum(speaker["hits"] for speaker in r.speakers.values()) != r.test_hits:
        return f"hits of its speakers do not add up to {r.test_hits}"
    for split, found in (("train", s.train_digest), ("test", s.test_digest)):
        wanted = _spikes(data, split, s.time_step)
        if wanted not in (None, found):
            return f"{split} spikes {found[:12]}..., expected {wanted[:12]}... (data.json)"
    return None


def _spikes(data: Mapping[str, Any], split: str, time_step: float) -> str | None:
    """The digest of a split's spikes in steps of `time_step`, where data.json states it."""
    known = data.get("splits", {}).get(split, {}).get("digest", {})
    return next((value for step, value in known.items() if float(step) == time_step), None)


def _check_weights(folder: ResultsFolder, name: str, record: RunRecord, findings: Findings) -> None:
    if findings.about(name):
        return
    findings.checked["weights"] += 1
    try:
        found = weights_digest(load_weights(folder.path / name))
    except Exception as error:  # a file made up to be read as weights may fail anywhere
        findings.add(
            name, "is no whole weights file" + ("" if isinstance(error, RecordError) else f" ({error})")
        )
        return
    if found != record.result.weights_digest:
        findings.add(
            name, f"digest {found[:12]}..., expected {record.result.weights_digest[:12]}... (its record)"
        )
