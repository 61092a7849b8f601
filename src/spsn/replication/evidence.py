"""What the claims are judged on: the tables below `results/<name>/`, and how a rule points into them.

A path names numbers the way the results are laid out:

    accuracy/lif/augmented/test_accuracy        a column of tables/runs.csv for the runs of that folder
    regularization/spsn-sb/published/...        the runs with the threshold that the paper's Table I names
    regularization/spsn-gs/nearest-25/...       the threshold whose mean rate is nearest 25 spikes/ms
    regularization/spsn-gs/below-25/...         every threshold whose mean rate is below (above-50: above)
    regularization/spsn-gs/all/...              every threshold
    epoch/lif/paper/seconds_per_epoch           model, implementation and column of timing/epoch.csv
    sequence_length/lif/paper/seconds           the same of timing/sequence_length.csv

Accuracies become per cent. Which threshold a rate selects never depends on an accuracy.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from spsn.errors import RecordError
from spsn.grid import blocks, regularized_name
from spsn.manifest import EPOCH, LENGTH, RUNS, TEST_SET, TRIALS
from spsn.replication.run_table import read_csv, read_runs
from spsn.replication.text import counted
from spsn.settings import Settings

EPOCH_COLUMNS = ("model", "implementation", "status", "seconds_per_epoch", "seconds_compute", "device")
LENGTH_COLUMNS = ("model", "implementation", "steps", "repeat", "status", "seconds", "device")
TRIAL_COLUMNS = ("model", "sample", "true_label", "trial", "predicted")
TEST_SET_COLUMNS = ("model", "sample", "trials", "distinct_labels")
NEAR = 2.0  # rates within this factor count as alike
TIMINGS = ("epoch", "sequence_length")


class NotTested(Exception):
    """The configuration leaves out what a rule needs; the message says what."""


@dataclass(frozen=True)
class Evidence:
    """The result tables of one configuration, as read."""

    settings: Settings
    runs: pd.DataFrame
    epoch: pd.DataFrame
    sequence_length: pd.DataFrame
    trials: pd.DataFrame
    test_set: pd.DataFrame


def load_evidence(results: str | Path, settings: Settings) -> Evidence:
    """Read the tables. Raises `RecordError` where one is absent, damaged or lacks a part of the grid."""
    folder = Path(results)
    runs = read_runs(folder / RUNS)
    _check_grid(runs, settings, folder / RUNS)
    return Evidence(
        settings,
        runs,
        read_csv(folder / EPOCH, EPOCH_COLUMNS),
        read_csv(folder / LENGTH, LENGTH_COLUMNS),
        read_csv(folder / TRIALS, TRIAL_COLUMNS),
        read_csv(folder / TEST_SET, TEST_SET_COLUMNS),
    )


def select_runs(evidence: Evidence, path: str) -> pd.DataFrame:
    """The runs that `path` names, with columns condition, seed, value and rate (spikes/ms of that run).

    Raises `NotTested` where the configuration trains none of them or they have no such number.
    """
    experiment, model, name, column = path.split("/")
    runs = evidence.runs
    own = runs[(runs.experiment == experiment) & (runs.model == model)]
    if own.empty:
        raise NotTested(f"{model} is not trained in {experiment}")
    chosen = own[own.condition.isin(_conditions(evidence.settings, own, model, name))]
    if chosen.empty or chosen[column].isna().any():
        raise NotTested(f"{experiment}/{model}/{name} gives no {column}")
    scale = 100 if column.endswith("accuracy") else 1
    return pd.DataFrame(
        {
            "condition": chosen.condition,
            "seed": chosen.seed,
            "value": scale * chosen[column],
            "rate": chosen.spikes_per_ms,
            "device": chosen.device,
        }
    )


def by_seed(chosen: pd.DataFrame) -> dict[int, float]:
    """One value a seed: the mean over the conditions, of the seeds that every condition has."""
    table = chosen.pivot(index="seed", columns="condition", values="value").dropna()
    return {int(seed): float(value) for seed, value in table.mean(axis=1).items()}


def select_times(evidence: Evidence, path: str, steps: int | None = None) -> pd.DataFrame:
    """The measured rows that `path` names (of `steps` time steps, if given), the number in column `value`.

    Raises `NotTested` where nothing was measured, with what the table says about it.
    """
    kind, model, implementation, column = path.split("/")
    table = getattr(evidence, kind)
    chosen = table[(table.model == model) & (table.implementation == implementation)]
    if steps is not None:
        chosen = chosen[chosen.steps == steps]
    where = f"{model} ({implementation})" + (f" at {steps} steps" if steps else "")
    if chosen.empty or column not in chosen:
        raise NotTested(f"{where} is not among the timings")
    measured = chosen[chosen.status == "measured"]
    if measured.empty:
        raise NotTested(f"{where}: {', '.join(sorted(set(chosen.status))).replace('-', ' ')}")
    measured = measured[measured[column].notna()]
    if measured.empty:
        raise NotTested(f"{where}: no {column.replace('_', ' ')}")
    return measured.assign(value=measured[column].astype(float))


def on_gpu(devices: Iterable[object]) -> bool:
    """Whether every one of these devices, as the tables name them, is a CUDA device."""
    return all(str(device).lower().startswith(("cuda", "nvidia", "tesla", "quadro")) for device in devices)


def _conditions(settings: Settings, own: pd.DataFrame, model: str, name: str) -> list[str]:
    """The conditions that a name stands for (see the module's text)."""
    if name == "published":
        theta = settings.experiments.regularization.published.get(model)
        if theta is None or regularized_name(theta) not in set(own.condition):
            raise NotTested(f"{model} is not trained with the paper's threshold")
        return [regularized_name(theta)]
    if name == "all":
        return [str(name) for name in own.condition.unique()]
    kind, _, number = name.partition("-")
    if kind not in ("nearest", "below", "above"):
        if name not in set(own.condition):
            raise NotTested(f"{model} is not trained in condition {name}")
        return [name]
    return _by_rate(own.groupby("condition").spikes_per_ms.mean(), kind, float(number))


def _by_rate(rates: pd.Series, kind: str, bound: float) -> list[str]:
    """The conditions whose mean rate (spikes/ms) is nearest, below or above `bound`."""
    if kind == "nearest":
        best = str((rates - bound).abs().idxmin())
        if not bound / NEAR <= rates[best] <= bound * NEAR:
            raise NotTested(
                f"no threshold gives a rate near {bound:g} spikes/ms (the nearest: {rates[best]:.3g})"
            )
        return [best]
    chosen = rates[rates < bound] if kind == "below" else rates[rates > bound]
    if chosen.empty:
        raise NotTested(f"no threshold gives a rate {kind} {bound:g} spikes/ms")
    return [str(name) for name in chosen.index]


def _check_grid(runs: pd.DataFrame, settings: Settings, path: Path) -> None:
    """A verdict on half of the runs would not show it: every run of the grid must be there, of these data."""
    found = set(zip(runs.experiment, runs.model, runs.condition, runs.seed, strict=True))
    grid = {(b.experiment, b.model, b.condition.name, seed) for b in blocks(settings) for seed in b.seeds}
    missing = sorted("/".join(map(str, run)) for run in grid - found)
    if missing:
        shown, number = ", ".join(missing[:3]), counted(len(missing), "run")
        shown += ", ..." if len(missing) > 3 else ""
        raise RecordError(f"{path}: lacks {number} of the configuration ({shown}); run snakemake again")
    others = set(runs.dataset) - {settings.dataset_name}
    if others:
        raise RecordError(
            f"{path}: its runs are of {', '.join(sorted(others))}, the configuration's data are "
            f"{settings.dataset_name}; delete it and run snakemake again"
        )
