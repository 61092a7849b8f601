"""The run record: the JSON of one run, between the networks that make it and the figures that read it.

    settings    all that determines the run
    result      what came out, the same bits whenever the same settings run on the same machine
    execution   how long it took, where, with which versions

Identity of runs means `settings` and `result`.
"""

import hashlib
import json
import types
import typing
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from spsn.errors import RecordError
from spsn.files import parse_json, read_text, write_json
from spsn.grid import RunSettings
from spsn.kinds import FOLDER, RUN_RECORD, kind_of

SCHEMA_VERSION = 1
AGAIN = "delete it and train again"
NAME = "name a run's record (seed<k>.json); if this should be one, train again"
WHOLE = 2**63  # numbers are smaller, whatever their sign


@dataclass(frozen=True)
class Result:
    """What a run gave. Per-epoch lists have one entry an epoch, per-layer lists one a hidden layer.

    `train_loss` is the mean batch loss (nats, regulariser included), `train_accuracy` a share (0-1)
    accumulated while the weights move; the test is one pass with the weights after the last epoch.
    `spikes_per_ms` sums over a layer's neurons. `speakers` maps each test speaker to hits, total and whether
    the speaker is also in the training file.
    """

    train_loss: tuple[float, ...]
    train_accuracy: tuple[float, ...]
    test_hits: int
    test_total: int
    test_accuracy: float
    spikes_per_ms: tuple[float, ...]
    predictions: tuple[int, ...]
    speakers: dict[str, dict[str, Any]]
    weights_digest: str


@dataclass(frozen=True)
class Execution:
    """How a run was carried out; durations in seconds, memory in bytes.

    The runs of a stack share its durations: each has its part of them, and the whole of `peak_bytes`.
    """

    epoch_seconds: tuple[float, ...]
    test_seconds: float
    peak_bytes: int | None
    stack_size: int
    device: str
    machine: dict[str, Any]
    versions: dict[str, str]
    git_commit: str | None


@dataclass(frozen=True)
class RunRecord:
    """One run."""

    settings: RunSettings
    result: Result
    execution: Execution


def settings_digest(settings: RunSettings) -> str:
    """A name for exactly these settings: SHA-256 (hex) of their canonical JSON."""
    return hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode()).hexdigest()


def record_digest(record: RunRecord) -> str:
    """SHA-256 (hex) of all that a record says."""
    return hashlib.sha256(json.dumps(asdict(record), sort_keys=True).encode()).hexdigest()


def record_path(results: str | Path, settings: RunSettings) -> Path:
    """Where the record of a run lies below `results/<name>`."""
    folder = Path(results) / "runs" / settings.experiment / settings.model / settings.condition
    return folder / f"seed{settings.seed}.json"


def write_record(path: str | Path, record: RunRecord) -> None:
    """Write `record` so that it appears whole."""
    write_json(path, {"schema_version": SCHEMA_VERSION, **asdict(record)})


def read_record(path: str | Path) -> RunRecord:
    """Read a run record.

    Raises `RecordError` where the file is absent, no regular file, no record, over `spsn.files.LARGEST_JSON`,
    damaged or of another schema.
    """
    try:
        content = parse_json(read_text(path))
    except (OSError, ValueError) as error:
        raise RecordError(_unread(path, error)) from error
    if not isinstance(content, dict) or "schema_version" not in content:
        raise RecordError(f"{path}: is not a run record of any schema version; {NAME}")
    if content["schema_version"] != SCHEMA_VERSION:
        raise RecordError(f"{path}: is not a run record of schema version {SCHEMA_VERSION}; {AGAIN}")
    result = _part(Result, content.get("result"), path, "result")
    _check_result(result, path)
    return RunRecord(
        settings=_part(RunSettings, content.get("settings"), path, "settings"),
        result=result,
        execution=_part(Execution, content.get("execution"), path, "execution"),
    )


def _unread(path: str | Path, error: Exception) -> str:
    """Why there is no record, and what to do: only what bears a record's mark is to be deleted."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"{path}: no such file; name a run's record, or train the run"
    kind = kind_of(path)
    if kind == FOLDER:
        return f"{path}: is a folder; name the record files in it, such as {Path(path) / 'seed0.json'}"
    if kind in (None, RUN_RECORD):
        remedy = NAME if kind is None else AGAIN
        return f"{path}: cannot be read as a run record ({error}); {remedy}"
    return f"{path}: is {kind}, not a run record; {NAME}"


def _part(cls: type, content: Any, path: str | Path, name: str) -> Any:
    expected = {f.name for f in fields(cls)}
    if not isinstance(content, dict) or set(content) != expected:
        found = set(content) if isinstance(content, dict) else set()
        raise RecordError(
            f"{path}: its part {name!r} lacks {sorted(expected - found)} and has unknown "
            f"{sorted(found - expected)}; {AGAIN}"
        )
    hints = typing.get_type_hints(cls)
    for key, value in content.items():
        if not _is_a(hints[key], value):
            raise RecordError(f"{path}: its {name}.{key} is not of the type {hints[key]}; {AGAIN}")
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in content.items()})


def _is_a(hint: Any, value: Any) -> bool:
    """Whether a value of JSON is what a field's type says, its numbers such as a computer counts with."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_is_a(kind, value) for kind in arguments)
    if origin is Literal:
        return isinstance(value, str) and value in arguments
    if origin is tuple:
        return isinstance(value, list) and all(_is_a(arguments[0], entry) for entry in value)
    if origin is dict:
        return isinstance(value, dict) and all(_is_a(arguments[1], entry) for entry in value.values())
    if hint in (int, float):
        number = isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
        return number and abs(value) < WHOLE
    return hint is Any or isinstance(value, hint)


def _check_result(result: Result, path: str | Path) -> None:
    """Raise RecordError for a result that no run can have given, whose parts others would stumble over."""
    speakers = all(
        _is_a(int, s.get("hits")) and _is_a(int, s.get("total")) and isinstance(s.get("in_training"), bool)
        for s in result.speakers.values()
    )
    if not (result.train_loss and result.train_accuracy and speakers):
        raise RecordError(f"{path}: its result has no epochs, or speakers without hits; {AGAIN}")
