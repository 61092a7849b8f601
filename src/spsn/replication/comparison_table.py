"""The comparison's table: what is true of each method, how well it learned, what its training costs.

A line a method and time step. Accuracies are those of the weights after the last epoch, means over seeds
with their 95 % intervals; seconds are those of the machine that trained. Time and memory as powers of the
number of time steps (`growth`) are those of the whole network's training step in the form (fused or eager)
that the runs took, or, where that was not timed, in the other.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spsn.methods import METHODS, TRAITS
from spsn.replication.compared import (
    IMPLEMENTATIONS,
    LONG,
    MEASURED,
    Compared,
    in_ms,
    in_order,
    learned,
    of,
    read_compared,
    steps_of,
)
from spsn.replication.comparison_tex import to_tex
from spsn.replication.figures.parts import device_name
from spsn.replication.growth import growth
from spsn.replication.method_style import method_look
from spsn.replication.statistics import NOTHING, Summary, summarize
from spsn.replication.table_files import write_table
from spsn.replication.text import ABSENT, interval_text, number_text

FORMS = {"none": "plain", "neuron": "fused neuron", "network": "fused"}  # by what of a model can be fused
COLUMNS = (
    *("time_step", "method", "family", "parallel", "gradient", "reset", "n"),
    *("accuracy", "accuracy_low", "accuracy_high", "guess", "learned"),
    *("spikes_per_ms", "spikes_low", "spikes_high", "epoch_seconds", "form", "device"),
    *("timed", "memory_status", "memory_bytes"),
    *("time_power", "time_low", "time_high", "memory_power", "memory_low", "memory_high", "points"),
)


def comparison_table(compared: Compared) -> pd.DataFrame:
    """A line for each time step and method that was trained, `COLUMNS`.

    `time_step` in s, accuracies in per cent, `guess` too; `learned`: better than always naming the commonest
    class; `form` gave `epoch_seconds`, `timed` (eager, fused) the memory in bytes at `LONG` time steps and
    both powers. NaN and empty text where nothing was measured.
    """
    rows = [
        _line(compared, method, step)
        for step in steps_of(compared.runs)
        for method in in_order(compared.runs.method[compared.runs.time_step == step])
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_comparison(results: str | Path) -> pd.DataFrame:
    """Write `tables/comparison.csv` and `.tex` below `results`; return the table. Raises `RecordError`."""
    table = comparison_table(read_compared(results))
    write_table(results, "comparison", table, to_tex(table))
    return table


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """`comparison_table` for the eye: step, method, accuracy, spikes per ms, seconds an epoch, powers."""
    triples = {
        "accuracy": (table.accuracy, table.accuracy_low, table.accuracy_high, "%"),
        "spikes per ms": (table.spikes_per_ms, table.spikes_low, table.spikes_high, "spikes/ms"),
        "time ~ T^p": (table.time_power, table.time_low, table.time_high, "exponent"),
        "memory ~ T^p": (table.memory_power, table.memory_low, table.memory_high, "exponent"),
    }
    texts = {
        name: [_with_interval(*numbers, unit) for numbers in zip(*columns, strict=True)]
        for name, (*columns, unit) in triples.items()
    }
    shown = {
        "step": [in_ms(step) for step in table.time_step],
        "method": [method_look(name).label for name in table.method],
        "seeds": table.n,
        **texts,
        "seconds an epoch": [number_text(seconds, "") for seconds in table.epoch_seconds],
        "form": table.form,
        "learned": ["yes" if learned else "no" for learned in table.learned],
    }
    return pd.DataFrame(shown)


def _with_interval(mean: float, low: float, high: float, unit: str) -> str:
    interval = interval_text(low, high, unit)
    return number_text(mean, unit) + ("" if interval == ABSENT else f" ({interval})")


def _line(compared: Compared, method: str, step: float) -> dict[str, Any]:
    runs, traits = of(compared.runs, method, step), TRAITS[METHODS[method].model]
    rates = runs.spikes_per_ms.dropna()
    return {
        **{"time_step": step, "method": method, "family": traits.family, "parallel": traits.parallel},
        **{"gradient": traits.gradient, "reset": traits.reset, "n": len(runs)},
        **_named(summarize(100 * runs.test_accuracy), "accuracy", "accuracy_low", "accuracy_high"),
        **{"guess": 100 * compared.guess, "learned": learned(runs, compared.guess)},
        **_named(summarize(rates) if len(rates) else NOTHING, "spikes_per_ms", "spikes_low", "spikes_high"),
        "epoch_seconds": float(runs.epoch_seconds.median()),
        "form": ", ".join(sorted({_form(method, backend) for backend in runs.backend})),
        "device": ", ".join(sorted(set(map(device_name, runs.device)))),
        **_costs(compared.costs, method, wanted="fused" if set(runs.backend) == {"fused"} else "eager"),
    }


def _form(method: str, backend: str) -> str:
    return FORMS[TRAITS[METHODS[method].model].fused if backend == "fused" else "none"]


def _named(summary: Summary, mean: str, low: str, high: str) -> dict[str, float]:
    return {mean: summary.mean, low: summary.low, high: summary.high}


def _costs(costs: pd.DataFrame, method: str, wanted: str) -> dict[str, Any]:
    """Memory at `LONG` steps and the powers of time and memory, of the form `wanted` if it was timed."""
    own = costs[costs.method == method]
    forms = [wanted, *(name for name in IMPLEMENTATIONS if name != wanted)]
    timed = next((name for name in forms if (own.implementation == name).any()), "")
    powers = {
        name: growth(costs, method, timed, column) if timed else None
        for name, column in (("time", "seconds_median"), ("memory", "peak_bytes"))
    }
    row = {"timed": timed, "points": max((found.points for found in powers.values() if found), default=0)}
    for name, found in powers.items():
        ends = (found.exponent, found.low, found.high) if found else (np.nan, np.nan, np.nan)
        row |= dict(zip((f"{name}_power", f"{name}_low", f"{name}_high"), ends, strict=True))
    return row | _memory(own[(own.implementation == timed) & (own.steps == LONG)])


def _memory(at_length: pd.DataFrame) -> dict[str, Any]:
    """What the measurement at `LONG` steps says of memory; there may be none."""
    if at_length.empty:
        return {"memory_status": "", "memory_bytes": np.nan}
    status, size = at_length.status.iloc[0], at_length.peak_bytes.iloc[0]
    return {"memory_status": status, "memory_bytes": float(size) if status == MEASURED else np.nan}
