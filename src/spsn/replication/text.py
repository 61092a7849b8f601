"""Numbers as the tables print them: so many decimals as their unit deserves, the same in CSV and LaTeX.

`cell` carries such text over to LaTeX, where plus-minus, signs of comparison and the minus are symbols.
"""

import re
from math import inf, isfinite, isinf

from spsn.replication import latex

ABSENT = "–"
_DECIMALS = {
    "%": 2,
    "points": 2,
    "points per doubling": 2,
    "exponent": 2,
    "spikes/ms": 1,
    "s": 2,
    "labels": 0,
    "trials": 0,
}
_LIMITS = {"%": (0.0, 100.0), "spikes/ms": (0.0, inf)}
_SYMBOLS = {
    "±": r"\ensuremath{\pm}",
    "≥": r"\ensuremath{\geq}",
    "≤": r"\ensuremath{\leq}",
    "×": r"\ensuremath{\times}",
    "−": r"\ensuremath{-}",
    ABSENT: latex.ABSENT,
}


def number_text(value: float, unit: str, decimals: int | None = None) -> str:
    """`value` with `decimals`, else those of its unit, else about three digits."""
    if not isfinite(value):
        return ABSENT
    size = abs(value)
    if decimals is None:
        decimals = _DECIMALS.get(unit, 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 4)
    text = f"{value:.{decimals}f}"
    return re.sub(r"^-(?=[0.]*$)", "", text).replace("-", "−")


def spread_text(mean: float, spread: float, unit: str, decimals: int | None = None) -> str:
    """`mean ± spread`, the mean alone where no spread is known, a dash where there is nothing."""
    if not isfinite(mean):
        return ABSENT
    text = number_text(mean, unit, decimals)
    return f"{text} ± {number_text(spread, unit, decimals)}" if isfinite(spread) else text


def interval_text(low: float, high: float, unit: str, decimals: int | None = None) -> str:
    """`low to high`; one-sided where an end is infinite; a dash where the interval is not known.

    Shares and rates end at 0, shares at 100 %: what a t interval of few seeds has beyond cannot be.
    """
    if unit in _LIMITS and isfinite(low) and isfinite(high):
        low, high = max(low, _LIMITS[unit][0]), min(high, _LIMITS[unit][1])
    if isinf(high) and isfinite(low):
        return f"≥ {number_text(low, unit, decimals)}"
    if isinf(low) and isfinite(high):
        return f"≤ {number_text(high, unit, decimals)}"
    if not (isfinite(low) and isfinite(high)):
        return ABSENT
    return f"{number_text(low, unit, decimals)} to {number_text(high, unit, decimals)}"


def counted(number: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def with_unit(text: str, unit: str) -> str:
    """A number's text and its unit, of which one is not many: `3 labels`, `≤ 1 label`."""
    counts = unit in ("labels", "trials") and re.fullmatch(r"(\D* )?1", text)
    return f"{text} {unit.removesuffix('s') if counts else unit}"


def cell(text: object) -> str:
    """Any text as LaTeX that prints the same, with the symbols that these tables use."""
    parts = re.split(f"([{''.join(_SYMBOLS)}])", str(text))
    return "".join(_SYMBOLS.get(part) or latex.escape(part) for part in parts)
