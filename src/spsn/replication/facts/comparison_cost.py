"""What a training step of each method costs: how fast and how hungry at the longest length, and how both
grow."""

from collections.abc import Iterable
from math import isfinite

import pandas as pd

from spsn.methods import METHODS, TRAITS
from spsn.replication import latex
from spsn.replication.compared import IMPLEMENTATIONS, MEASURED, STATUSES, in_order
from spsn.replication.facts.common import whole_numbers
from spsn.replication.facts.comparison_protocol import label
from spsn.replication.facts.timing import circumstances
from spsn.replication.growth import Growth, growth
from spsn.replication.text import cell, interval_text, number_text

FLAT = 0.1  # a power below which memory counts as the same at every length
COLUMNS = ("seconds_median", "peak_bytes")


def cost_macros(costs: pd.DataFrame) -> tuple[dict[str, str], dict[str, bool]]:
    """The fastest at the longest length, what could not be measured there, powers of time and memory."""
    measured = costs[(costs.status == MEASURED) & costs.seconds_median.notna()]
    longest = int(measured.steps.max()) if len(measured) else 0
    at_longest = measured[measured.steps == longest].sort_values("seconds_median")
    powers = {
        (method, form): [growth(costs, method, form, column) for column in COLUMNS]
        for method in in_order(costs.method)
        for form in IMPLEMENTATIONS
        if ((costs.method == method) & (costs.implementation == form)).any()
    }
    macros = {
        "CostLongest": latex.integer(longest) if longest else latex.ABSENT,
        "CostFastest": _ranking(at_longest),
        "CostGaps": _gaps(costs, longest),
        "CostTable": _table(powers),
        "CostCircumstances": circumstances(costs),
        "CostRepeats": whole_numbers(costs.repeats),
    }
    memory = {name: found[1] for name, found in powers.items() if found[1]}
    return macros | _memory_macros(memory), _switches(at_longest, costs, longest, memory)


def _switches(
    at_longest: pd.DataFrame, costs: pd.DataFrame, longest: int, memory: dict[tuple[str, str], Growth]
) -> dict[str, bool]:
    missing = costs[(costs.steps == longest) & (costs.status != MEASURED)]
    return {
        "costs": len(at_longest) > 0,
        "costgaps": len(missing) > 0,
        "costmemory": bool(memory),
        "costsquare": any(map(_square, memory)),
        "costflat": any(abs(found.exponent) < FLAT for found in memory.values()),
    }


def _square(name: tuple[str, str]) -> bool:
    return TRAITS[METHODS[name[0]].model].square


def _ranking(at_longest: pd.DataFrame) -> str:
    """For each form the fastest three, with seconds and, where a quartile reaches the one before, a mark."""
    parts = []
    for form in reversed(IMPLEMENTATIONS):
        rows = list(at_longest[at_longest.implementation == form].head(3).itertuples())
        if rows:
            named = [rf"{label(row.method)} ({latex.number(row.seconds_median)}\,s)" for row in rows]
            parts.append(f"among the {form} forms {latex.listed(named)}{_overlap(rows)}")
    return "; ".join(parts) or latex.ABSENT


def _overlap(rows: list) -> str:
    """Whether the quartiles of the first two reach each other, so that their order says nothing."""
    if len(rows) < 2 or not rows[0].seconds_q3 >= rows[1].seconds_q1:
        return ""
    return ", where the quartiles of the first two overlap"


def _gaps(costs: pd.DataFrame, longest: int) -> str:
    """What could not be measured at the longest length, by reason."""
    missing = costs[(costs.steps == longest) & (costs.status != MEASURED)]
    parts = []
    for (form, status), rows in missing.groupby(["implementation", "status"]):
        names = latex.listed(label(name) for name in in_order(rows.method))
        parts.append(f"{cell(form)} forms {cell(STATUSES.get(status, status))}: {names}")
    return "; ".join(parts) or latex.ABSENT


def _memory_macros(memory: dict[tuple[str, str], Growth]) -> dict[str, str]:
    """How memory grows with T: of those that learn T x T weights, of all others, and where it does not."""
    square = {name: found for name, found in memory.items() if _square(name)}
    flat = {name: found for name, found in memory.items() if abs(found.exponent) < FLAT}
    rest = {name: found for name, found in memory.items() if name not in square and name not in flat}
    return {
        "CostMemorySquare": _range(found.exponent for found in square.values()),
        "CostMemoryFlat": latex.listed(_name(name) for name in flat),
        "CostMemoryRest": _range(found.exponent for found in rest.values()),
    }


def _range(values: Iterable[float]) -> str:
    texts = [cell(number_text(value, "exponent")) for value in sorted(values)]
    return " to ".join(dict.fromkeys([texts[0], texts[-1]])) if texts else latex.ABSENT


def _table(powers: dict[tuple[str, str], list[Growth | None]]) -> str:
    head = ("method", "form", latex.stacked("seconds", r"$\sim T^p$"), latex.stacked("memory", r"$\sim T^p$"))
    lines = [
        (label(method), cell(form), *map(_power, found), _points(found))
        for (method, form), found in powers.items()
    ]
    return latex.tabular("@{}llrrr@{}", (*head, "lengths"), lines)


def _points(found: list[Growth | None]) -> str:
    return latex.integer(max((one.points for one in found if one), default=0))


def _power(found: Growth | None) -> str:
    """The power, in brackets the least and greatest slope between neighbouring lengths."""
    if not found or not isfinite(found.exponent):
        return latex.ABSENT
    spread = cell(interval_text(found.low, found.high, "exponent"))
    return f"{cell(number_text(found.exponent, 'exponent'))} ({spread})"


def _name(name: tuple[str, str]) -> str:
    return f"{label(name[0])} ({name[1]})"
