"""The tidy table of runs, `tables/runs.csv`: one line a run record, all that figures and tables know of runs.

Accuracies are shares (0-1), rates spikes per ms, durations seconds, memory bytes. A cell is empty where a run
has no such number: spike rates of the non-spiking network, the threshold of a run without regulariser, the
speakers of a file that names none. The lines stand in the grid's order, whatever the order of the records.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from spsn.errors import RecordError
from spsn.files import whole_file
from spsn.grid import TRAINED
from spsn.records import RunRecord, read_record
from spsn.settings import LossMode, Model

SILENT = 0.01  # spikes per ms in the network, below which it counts as not firing
REPORTED_COLUMNS = ("quantity", "model", "condition", "value", "spread", "unit", "section")
COLUMNS = (
    "experiment",
    "model",
    "condition",
    "seed",
    "test_accuracy",
    "train_accuracy",
    "train_loss",
    "test_hits",
    "test_total",
    "test_accuracy_seen",
    "test_accuracy_unseen",
    "spikes_per_ms",
    "rate_threshold",
    "loss_mode",
    "epochs",
    "batch_size",
    "time_step",
    "dataset",
    "classes",
    "epoch_seconds",
    "test_seconds",
    "peak_bytes",
    "device",
    "backend",
    "threads",
)
_TEXT = ("experiment", "model", "condition", "loss_mode", "dataset", "device", "backend")
_ORDER = {
    "experiment": TRAINED,
    "model": get_args(Model),
    "condition": ("basic", "augmented", *(f"loss-{mode}" for mode in get_args(LossMode))),
}


def collect_runs(record_paths: Iterable[str | Path]) -> pd.DataFrame:
    """The table of these run records.

    Beside `COLUMNS` it has `spikes_per_ms_1`, `spikes_per_ms_2`, ..., one a hidden layer of the deepest
    network. Raises `RecordError` if there is none, two are of the same run, or they come from different data.
    """
    rows: dict[tuple, dict[str, Any]] = {}
    digests: dict[tuple, tuple] = {}
    for path in sorted(record_paths, key=str):
        record = read_record(path)
        s = record.settings
        key = (s.experiment, s.model, s.condition, s.seed)
        if key in rows:
            raise RecordError(f"{path}: is a second record of {'/'.join(map(str, key))}; delete one of them")
        _same_data(digests, record, path)
        rows[key] = _row(record)
    if not rows:
        raise RecordError("no run record was given; train with `snakemake train --cores all`")
    table = pd.DataFrame(list(rows.values()))
    layers = sorted(c for c in table if c.startswith("spikes_per_ms_"))
    at = COLUMNS.index("spikes_per_ms") + 1
    return in_order(table[[*COLUMNS[:at], *layers, *COLUMNS[at:]]])


def write_runs(record_paths: Iterable[str | Path], out: str | Path) -> None:
    """Collect the run records into the CSV file `out`, which appears whole."""
    write_csv(collect_runs(record_paths), out)


def read_runs(path: str | Path, *, how: str = "snakemake") -> pd.DataFrame:
    """Read `tables/runs.csv`. Raises `RecordError` where it is absent, damaged, empty or lacks a column."""
    return read_csv(path, COLUMNS, how=how, dtype={name: str for name in _TEXT})


def read_reported(path: str | Path) -> pd.DataFrame:
    """The paper's numbers, columns `REPORTED_COLUMNS`. Raises `RecordError`."""
    text = {"model": str, "condition": str}
    return read_csv(path, REPORTED_COLUMNS, how="a fresh copy of the repository", dtype=text)


def read_csv(
    path: str | Path, columns: Iterable[str] = (), *, how: str = "snakemake", **options: Any
) -> pd.DataFrame:
    """Read a table with at least one line and these columns; floats come back as they were written.

    Only an empty cell is an absent value: a class may be called null (German for zero), nan or NA. `options`
    are `pandas.read_csv`'s. Raises `RecordError` naming what is wrong; `how` says what makes the file.
    """
    if not Path(path).is_file():
        raise RecordError(f"{path}: is missing; make it with {how}")
    try:
        table = pd.read_csv(path, keep_default_na=False, na_values=[""], **options)
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read as a table ({error}); make it again with {how}") from error
    absent = [name for name in columns if name not in table]
    if absent or table.empty:
        what = f"lacks the columns {', '.join(absent)}" if absent else "holds no line"
        raise RecordError(f"{path}: {what}; make it again with {how}")
    return table


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table so that the file appears whole."""
    with whole_file(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def in_order(runs: pd.DataFrame) -> pd.DataFrame:
    """The lines in the order of the grid: experiment, model, condition, seed."""
    ranks = {
        name: runs[name].map(lambda v, o=o: o.index(v) if v in o else len(o)) for name, o in _ORDER.items()
    }
    finer = {"threshold": runs.rate_threshold.fillna(-1.0), "name": runs.condition, "seed": runs.seed}
    keys = pd.DataFrame({**ranks, **finer})
    return runs.loc[keys.sort_values(list(keys)).index].reset_index(drop=True)


def _row(record: RunRecord) -> dict[str, Any]:
    s, r, e = record.settings, record.result, record.execution
    return {
        **{name: getattr(s, name) for name in COLUMNS if hasattr(s, name)},
        "rate_threshold": np.nan if s.rate_threshold is None else s.rate_threshold,
        "test_accuracy": r.test_accuracy,
        "train_accuracy": r.train_accuracy[-1],
        "train_loss": r.train_loss[-1],
        "test_hits": r.test_hits,
        "test_total": r.test_total,
        "test_accuracy_seen": _accuracy(r.speakers, in_training=True),
        "test_accuracy_unseen": _accuracy(r.speakers, in_training=False),
        "spikes_per_ms": sum(r.spikes_per_ms) if r.spikes_per_ms else np.nan,
        **{f"spikes_per_ms_{layer}": rate for layer, rate in enumerate(r.spikes_per_ms, 1)},
        "epoch_seconds": float(np.median(e.epoch_seconds)) if e.epoch_seconds else np.nan,
        "test_seconds": e.test_seconds,
        "peak_bytes": e.peak_bytes,
        "device": e.device,
    }


def _accuracy(speakers: Mapping[str, Mapping[str, Any]], *, in_training: bool) -> float:
    """Share of hits over the speakers that are (or are not) in the training file; NaN without any."""
    chosen = [s for s in speakers.values() if bool(s["in_training"]) is in_training]
    total = sum(s["total"] for s in chosen)
    return sum(s["hits"] for s in chosen) / total if total else np.nan


def _same_data(digests: dict[tuple, tuple], record: RunRecord, path: str | Path) -> None:
    """One time step has one pair of digests, and all records one data set."""
    s = record.settings
    for key, value in ((("dataset",), s.dataset), ((s.time_step,), f"{s.train_digest} {s.test_digest}")):
        known, other = digests.setdefault(key, (value, path))
        if known != value:
            raise RecordError(
                f"{path} and {other}: come from different data; delete the older one and train again"
            )
