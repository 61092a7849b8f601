"""Whether run records agree with themselves, with their place, the settings, the data and their weights."""

from collections.abc import Iterator, Mapping
from math import isclose
from pathlib import PurePosixPath
from typing import Any

from spsn.checkpoints import load_weights, weights_digest
from spsn.errors import RecordError
from spsn.grid import COMPARISON, RunSettings, blocks, comparison_blocks, run_settings
from spsn.mapping import shown
from spsn.records import Execution, RunRecord, read_record
from spsn.settings import Settings
from spsn.verification.data import KnownData
from spsn.verification.findings import Findings
from spsn.verification.folder import ResultsFolder

# What of a run hangs on its data, which are checked by themselves, or on the device.
_OPEN = ("classes", "train_digest", "test_digest", "steps", "backend")


def planned(settings: Settings, *, comparison: bool) -> dict[str, RunSettings]:
    """The settings of every run by its record's name, those in `_OPEN` as far as they are configured."""
    grid = blocks(settings) + (comparison_blocks(settings) if comparison else [])
    unknown = {"classes": 0, "train_digest": "", "test_digest": ""}
    return {
        f"runs/{block.name}/seed{seed}.json": run_settings(settings, block, seed, **unknown)
        for block in grid
        for seed in block.seeds
    }


def check_records(
    folder: ResultsFolder, runs: Mapping[str, RunSettings], data: KnownData, findings: Findings
) -> dict[str, Execution]:
    """Check the records of `runs` of which nothing wrong is known yet; return how sound ones were made."""
    sound = {}
    for name, run in runs.items():
        if findings.about(name):
            continue
        findings.checked["run records"] += 1
        try:
            record = read_record(folder.path / name)
            reason = next(_faults(record, name, run, data), None)
        except RecordError as error:
            reason = str(error).removeprefix(f"{folder.path / name}: ")
        except Exception as error:  # whatever a made-up record holds, it is said, not raised
            reason = f"is no run record ({error!r})"
        if reason:
            findings.add(name, reason)
            continue
        sound[name] = record.execution
        _check_weights(folder, PurePosixPath(name).with_suffix(".safetensors").as_posix(), record, findings)
    return sound


def _faults(record: RunRecord, name: str, run: RunSettings, data: KnownData) -> Iterator[str]:
    """What does not agree, with what was found and what was expected, the root of it first."""
    s = record.settings
    place = f"runs/{s.experiment}/{s.model}/{s.condition}/seed{s.seed}.json"
    if place != name:
        yield f"is the record of {place}"
    yield from _other_settings(s, run)
    yield from _other_data(record, data)
    yield from _odd_result(record)
    yield from _other_answers(record, data)


def _other_settings(found: RunSettings, wanted: RunSettings) -> Iterator[str]:
    for name, value in vars(wanted).items():
        free = name in _OPEN and (name != "backend" or value == "auto")
        if not free and getattr(found, name) != value:
            yield f"{name} {shown(getattr(found, name))}, expected {shown(value)} (settings.json)"


def _other_data(record: RunRecord, data: KnownData) -> Iterator[str]:
    """Where the facts of the data name other spikes, classes or samples."""
    s, step = record.settings, f"{record.settings.time_step:g}"
    for split, found in (("train", s.train_digest), ("test", s.test_digest)):
        if split not in data.splits:
            continue
        wanted = data.splits[split].spikes.get(step)
        if wanted is None and s.experiment != COMPARISON:  # it may have time steps of its own
            yield f"data.json names no {split} spikes in steps of {step} s"
        elif wanted not in (None, found):
            yield f"{split} spikes {found[:12]}..., expected {wanted[:12]}... (data.json)"
        if s.classes != data.splits[split].classes:
            yield f"{s.classes} classes, expected {data.splits[split].classes} (data.json)"
    if "test" in data.splits and record.result.test_total != data.splits["test"].samples:
        yield f"test_total {record.result.test_total}, expected {data.splits['test'].samples} (data.json)"


def _odd_result(record: RunRecord) -> Iterator[str]:
    """Where the numbers of a result contradict each other."""
    s, r = record.settings, record.result
    share = r.test_hits / r.test_total if 0 <= r.test_hits <= r.test_total > 0 else None
    if share is None or not isclose(r.test_accuracy, share):
        yield f"test_accuracy {r.test_accuracy}, expected {r.test_hits} of {r.test_total}"
    if len(r.predictions) != r.test_total:
        yield f"{len(r.predictions)} predictions, expected {r.test_total}"
    if not len(r.train_loss) == len(r.train_accuracy) == s.epochs:
        yield f"losses of {len(r.train_loss)} epochs, expected {s.epochs}"
    if len(r.spikes_per_ms) not in (0, s.hidden_layers):
        yield f"spike rates of {len(r.spikes_per_ms)} layers, expected {s.hidden_layers}"


def _other_answers(record: RunRecord, data: KnownData) -> Iterator[str]:
    """Where hits are not those of the predictions; without the samples, where hits do not add up."""
    r = record.result
    if data.samples is None:
        if r.speakers and _sum(r.speakers, "hits") != r.test_hits:
            yield f"hits of its speakers do not add up to {r.test_hits}"
        return
    wanted = data.samples.by_speaker(r.predictions)
    if (right := _sum(wanted, "hits")) != r.test_hits:
        yield f"test_hits {r.test_hits}, expected {right}, so many predictions are right (data/samples.csv)"
    if r.speakers != wanted:
        yield "hits of its speakers are not those of its predictions (data/samples.csv)"


def _sum(speakers: Mapping[str, Mapping[str, Any]], name: str) -> int:
    return sum(speaker[name] for speaker in speakers.values())


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
