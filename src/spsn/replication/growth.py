"""How the cost of a method grows with the number of time steps T: the power p of c + k T^p.

c is what a step costs however short the samples are: launches, the optimizer. Where T is small it hides the
power, and since p and c can stand in for each other, no fit of both to a handful of lengths tells them apart.
So c is not fitted but left behind: p is the slope of log cost on log T, by least squares, over the longer
half of the measured lengths. What is left of c makes p too small, never too large.

The costs follow a curve, and how far they are from a straight line is no matter of chance; so the spread
beside p is the least and the greatest slope between two neighbouring lengths of that half. An exact power law
has none.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

FEWEST = 3  # lengths: two have a slope, but nothing that would tell whether it is one


@dataclass(frozen=True)
class Growth:
    """cost ~ T^`exponent` over the `points` longest lengths; from one to the next the slopes are `low` to
    `high`.
    """

    exponent: float
    low: float
    high: float
    points: int


def growth(
    table: pd.DataFrame, method: str, implementation: str, column: str = "seconds_median"
) -> Growth | None:
    """The growth of `column` (one of `timing/methods.csv`) of one method in one implementation.

    None where fewer than three lengths were measured.
    """
    rows = table[(table.method == method) & (table.implementation == implementation)]
    rows = rows[(rows.status == "measured") & (rows[column] > 0)].sort_values("steps")
    points = max(FEWEST, (len(rows) + 1) // 2)
    if len(rows) < points:
        return None
    x, y = (np.log(rows[name].to_numpy(float)[-points:]) for name in ("steps", column))
    slopes = np.diff(y) / np.diff(x)
    return Growth(float(np.polyfit(x, y, 1)[0]), float(slopes.min()), float(slopes.max()), points)
