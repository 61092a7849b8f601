"""What was measured of each method: its runs (`tables/comparison_runs.csv`), its costs
(`timing/methods.csv`).

A run's method is its model and what its condition says after the time step: `exodus` under `4ms-per-step`
is the method `exodus-per-step` in steps of 4 ms. A method counts as having learned where it does better
than a network that always names the commonest class.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from spsn.errors import RecordError
from spsn.manifest import COMPARED, COSTS, DATA
from spsn.methods import METHODS
from spsn.replication.making import make_command, read_json
from spsn.replication.run_table import read_runs
from spsn.replication.statistics import share
from spsn.replication.table_files import read_table

RUN_COLUMNS = (
    *("model", "condition", "seed", "test_accuracy", "test_hits", "test_total", "spikes_per_ms"),
    *("time_step", "epoch_seconds", "device", "backend", "classes"),
)
COST_COLUMNS = (
    *("method", "model", "implementation", "steps", "status", "seconds_median", "seconds_q1", "seconds_q3"),
    *("peak_bytes", "batch_size", "repeats", "device", "threads", "dtype"),
)
MEASURED = "measured"
STATUSES = {"too_slow": "too slow", "out_of_memory": "out of memory"}
IMPLEMENTATIONS = ("eager", "fused")
LONG = 10_000  # time steps: where memory is compared, as long as the paper's longest sequences


@dataclass(frozen=True)
class Compared:
    """The comparison's files of one results folder, as read: runs have a column `method`.

    `guess` is the accuracy (0-1) of always naming the commonest class of the test file.
    """

    runs: pd.DataFrame
    costs: pd.DataFrame
    guess: float


def read_compared(results: str | Path) -> Compared:
    """Read `tables/comparison_runs.csv`, `timing/methods.csv` and `data.json` below `results`.

    Raises `RecordError` naming the file that is absent or damaged and the command that makes it.
    """
    folder = Path(results)
    return Compared(read_compared_runs(folder), read_costs(folder), commonest_share(folder))


def read_compared_runs(results: str | Path) -> pd.DataFrame:
    """The runs, each with its `method`, in the order of the methods. Raises `RecordError`."""
    folder = Path(results)
    runs = with_methods(read_runs(folder / COMPARED, how=make_command(folder, COMPARED)))
    _check_methods(runs.method, folder, COMPARED)
    return runs


def read_costs(results: str | Path) -> pd.DataFrame:
    """The costs of a training step against its length. Raises `RecordError`."""
    costs = read_table(results, COSTS, COST_COLUMNS)
    _check_methods(costs.method, Path(results), COSTS)
    return costs


def _check_methods(methods: Iterable[str], folder: Path, name: str) -> None:
    unknown = sorted(set(methods) - set(METHODS))
    if unknown:
        raise RecordError(
            f"{folder / name}: {', '.join(unknown)} is no method of the comparison; make it again with "
            f"{make_command(folder, name)}"
        )


def commonest_share(results: str | Path) -> float:
    """The share (0-1) of the test file's commonest class, at least 1 / classes. Raises `RecordError`."""
    folder = Path(results)
    facts = read_json(folder, DATA)
    try:
        test: Mapping[str, Any] = facts["splits"]["test"]
        commonest = test.get("samples_per_class", {}).get("max", 0) / test.get("samples", 1)
        return float(max(1 / int(test["classes"]), commonest))
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
        raise RecordError(
            f"{folder / DATA}: cannot be read as facts of the data ({error!r}); make it again with "
            f"{make_command(folder, DATA)}"
        ) from error


def with_methods(runs: pd.DataFrame) -> pd.DataFrame:
    """`runs` with a column `method`, sorted by time step, method and seed."""
    names = [method_of(*pair) for pair in zip(runs.model, runs.condition, strict=True)]
    runs = runs.assign(method=names)
    rank = runs.method.map(in_order(runs.method).index)
    return runs.assign(rank=rank).sort_values(["time_step", "rank", "seed"]).drop(columns="rank")


def method_of(model: str, condition: str) -> str:
    """`ottt` under `4ms-instantaneous-input` is `ottt-instantaneous-input`."""
    variant = condition.partition("-")[2]
    return f"{model}-{variant}" if variant else model


def in_order(methods: Iterable[str]) -> list[str]:
    """The distinct names in the order of `spsn.methods`; names that it does not know come last."""
    known, names = list(METHODS), set(methods)
    return [name for name in known if name in names] + sorted(names.difference(known))


def steps_of(runs: pd.DataFrame) -> list[float]:
    """The time steps (s) that runs were trained on, ascending."""
    return sorted(set(runs.time_step))


def of(runs: pd.DataFrame, method: str, time_step: float) -> pd.DataFrame:
    """The runs of a method in steps of `time_step` seconds."""
    return runs[(runs.method == method) & (runs.time_step == time_step)]


def by_seed(runs: pd.DataFrame, column: str) -> dict[int, float]:
    """A column of one method's runs, by seed."""
    return {int(seed): float(value) for seed, value in zip(runs.seed, runs[column], strict=True)}


def learned(runs: pd.DataFrame, guess: float) -> bool:
    """Whether the 95 % interval of the pooled share of hits lies above `guess`.

    The hits of all seeds are pooled as if each had been tested on samples of its own, as in
    `facts.accuracy.at_chance`: this marks methods that learned nothing and is no test between methods.
    """
    return share(runs.test_hits.sum(), runs.test_total.sum()).low > guess


def in_ms(time_step: float) -> str:
    """`4 ms`."""
    return f"{1000 * time_step:g} ms"
