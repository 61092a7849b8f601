"""Numbers as the tables print them: so many decimals as their unit deserves, the same in CSV and LaTeX.

`cell` carries such text over to LaTeX, where plus-minus, signs of comparison and the minus are symbols.
"""

import re
from math import isfinite, isinf

from spsn.replication import latex

ABSENT = "-"
_DECIMALS = {"%": 2, "points": 2, "spikes/ms": 1, "exponent": 2, "points per doubling": 2}
_SYMBOLS = {
    "±": r"\ensuremath{\pm}",
    "≥": r"\ensuremath{\geq}",
    "≤": r"\ensuremath{\leq}",
    "×": r"\ensuremath{\times}",
    "−": r"\ensuremath{-}",
}


def number_text(value: float, unit: str) -> str:
    """`value` with the decimals of its unit; units without any of their own have three significant digits."""
    if not isfinite(value):
        return ABSENT
    if unit in _DECIMALS:
        text = f"{value:.{_DECIMALS[unit]}f}"
    else:
        size = abs(value)
        text = f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.3g}"
    return re.sub(r"^-(?=[0.]*$)", "", text).replace("-", "−")


def spread_text(mean: float, spread: float, unit: str) -> str:
    """`mean ± spread`, the mean alone where no spread is known, a dash where there is nothing."""
    if not isfinite(mean):
        return ABSENT
    return number_text(mean, unit) + (f" ± {number_text(spread, unit)}" if isfinite(spread) else "")


def interval_text(low: float, high: float, unit: str) -> str:
    """`low to high`; one-sided where an end is infinite; a dash where the interval is not known."""
    if isinf(high) and isfinite(low):
        return f"≥ {number_text(low, unit)}"
    if isinf(low) and isfinite(high):
        return f"≤ {number_text(high, unit)}"
    if not (isfinite(low) and isfinite(high)):
        return ABSENT
    return f"{number_text(low, unit)} to {number_text(high, unit)}"


def cell(text: object) -> str:
    """Any text as LaTeX that prints the same, with the symbols that these tables use."""
    parts = re.split(f"([{''.join(_SYMBOLS)}])", str(text))
    return "".join(_SYMBOLS.get(part) or latex.escape(part) for part in parts)
