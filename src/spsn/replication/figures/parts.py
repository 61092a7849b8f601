"""What the figures share: means with their intervals, single seeds, the paper's values, chance, legends.

A bar or marker is the mean over seeds, its error bar the 95 % confidence interval of that mean
(`statistics.summarize`); where it is not known, as with a single seed, none is drawn. Every seed is a small
point, none is left out. Each artist carries a group id such as `B/lif/basic/mean`, by which it can be found.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.path import Path

from spsn.replication.figures.source import Context
from spsn.replication.statistics import Summary, summarize
from spsn.replication.style import FAINT, INK, Look, tint

PUBLISHED_STYLE = {
    "linestyle": "none", "marker": "D", "markersize": 4.5, "markerfacecolor": "none", "markeredgecolor": INK,
    "markeredgewidth": 0.9,
}  # fmt: skip
SEED_STYLE = {
    "linestyle": "none", "marker": "o", "markersize": 2.2, "markerfacecolor": "white", "markeredgecolor": INK,
    "markeredgewidth": 0.4,
}  # fmt: skip
ERROR_STYLE = {"fmt": "none", "ecolor": INK, "elinewidth": 0.9, "capsize": 2.2, "capthick": 0.9, "zorder": 5}
CHANCE_STYLE = {"color": INK, "linewidth": 0.8, "linestyle": (0, (1, 1.5))}
_I_BEAM = Path([(-0.35, -1), (0.35, -1), (0, -1), (0, 1), (-0.35, 1), (0.35, 1)], [1, 2, 1, 2, 1, 2])


def positions(groups: Sequence[str], members: Sequence[str]) -> dict[tuple[str, str], float]:
    """Where the members of each group stand on an axis: those of group g around g, 0.8 wide in all."""
    step = 0.8 / max(len(members), 1)
    return {
        (group, member): g + (m - (len(members) - 1) / 2) * step
        for g, group in enumerate(groups)
        for m, member in enumerate(members)
    }


def mean_bar(
    axes: Axes, x: float, values: Iterable[float], look: Look, gid: str, *, width: float, share: float
) -> None:
    """A bar of the mean of `values` at `x` in the look's colour mixed with white, its interval, its seeds."""
    values = np.asarray(list(values), dtype=float)
    summary = summarize(values)
    fill = tint(look.color, share)
    (bar,) = axes.bar(
        x, summary.mean, width, facecolor=fill, edgecolor=look.color, hatch=look.hatch, zorder=1
    )
    bar.set_gid(f"{gid}/mean")
    offsets = np.linspace(-0.3 * width, 0.3 * width, len(values)) if len(values) > 1 else np.zeros(1)
    (points,) = axes.plot(x + offsets, values, zorder=4, **SEED_STYLE)
    points.set_gid(f"{gid}/seeds")
    if summary.known:
        interval = axes.errorbar(x, summary.mean, yerr=reach(summary), **ERROR_STYLE)
        interval.lines[2][0].set_gid(f"{gid}/interval")


def reach(summary: Summary) -> np.ndarray:
    """The interval as matplotlib wants it: how far below and above the mean, shape (2, 1)."""
    return np.array([[summary.mean - summary.low], [summary.high - summary.mean]])


def published(context: Context, quantity: str, model: str, condition: str) -> tuple[float, float] | None:
    """The paper's value and spread (NaN where there is none) in its own unit, or None; "" is no model."""
    if context.reported is None:
        return None
    table = context.reported
    named = table.fillna({"model": "", "condition": ""})
    rows = table[(named.quantity == quantity) & (named.model == model) & (named.condition == condition)]
    return None if rows.empty else (float(rows.value.iloc[0]), float(rows.spread.iloc[0]))


def published_point(
    axes: Axes, x: float, y: float, gid: str, *, spread: float = np.nan, color: str = INK
) -> None:
    """The paper's value as a hollow diamond, its spread, where it gives one, as a thin bar."""
    if np.isfinite(spread):
        style = {**ERROR_STYLE, "elinewidth": 0.6, "capsize": 0, "ecolor": color}
        axes.errorbar(x, y, yerr=spread, **style)
    (point,) = axes.plot([x], [y], zorder=6, **{**PUBLISHED_STYLE, "markeredgecolor": color})
    point.set_gid(gid)


def chance_line(axes: Axes, chance: float) -> None:
    """The accuracy (%) of guessing, dotted."""
    axes.axhline(100 * chance, zorder=2, **CHANCE_STYLE).set_gid("chance")


def percent(values: pd.Series) -> pd.Series:
    """Shares (0-1) as percentages."""
    return 100 * values


def bare(axes: Axes) -> None:
    """No frame on top and at the right."""
    axes.spines[["top", "right"]].set_visible(False)


def footer(figure: Figure, *notes: str) -> None:
    """A small line below the figure: which data these are, what a reader must know besides, such as that
    intervals are cut.
    """
    text = "; ".join(note for note in (*notes, cut_note(figure)) if note)
    if text:
        figure.supxlabel(text, x=0.01, ha="left", fontsize=6, color=FAINT).set_gid("note")


def drawn(figure: Figure, name: str) -> list[tuple[Axes, Artist]]:
    """The artists whose group id's last part begins with `name` (`interval`, `seeds`), with their axes."""
    return [
        (axes, artist)
        for axes in figure.axes
        for artist in (*axes.lines, *axes.collections)
        if (artist.get_gid() or "").rpartition("/")[2].startswith(name)
    ]


def cut_note(figure: Figure) -> str:
    """What the reader must be told where an interval does not end inside its panel; empty else."""
    for axes, bars in drawn(figure, "interval"):
        ends = np.concatenate(bars.get_segments())
        for values, (low, high) in zip(ends.T, map(sorted, (axes.get_xlim(), axes.get_ylim())), strict=True):
            if values.min() < low or values.max() > high:
                return "intervals that reach beyond a panel are cut"
    return ""


def device_name(device: object) -> str:
    """A device as a reader knows it: `cpu` is the CPU, a GPU keeps the name that torch gave it."""
    return "CPU" if str(device) == "cpu" else str(device)


def key_handles(figure: Figure, *, paper: bool = False, seed_style: dict = SEED_STYLE) -> list[Artist]:
    """Legend entries for what the figures have in common; no interval where `figure` has none."""
    beam = {"linestyle": "none", "color": INK, "marker": _I_BEAM, "markersize": 8, "markeredgewidth": 0.9}
    handles: list[Artist] = [
        *([Line2D([], [], label="95 % interval of the mean", **beam)] if drawn(figure, "interval") else []),
        Line2D([], [], label="one seed", **seed_style),
        Line2D([], [], label="chance", **CHANCE_STYLE),
    ]
    return [*handles, published_handle()] if paper else handles


def published_handle() -> Line2D:
    """The legend entry of `published_point`."""
    return Line2D([], [], label="published", **PUBLISHED_STYLE)


def patch_handle(look: Look, label: str, share: float) -> Patch:
    """A legend entry that looks like a bar of `mean_bar`."""
    return Patch(facecolor=tint(look.color, share), edgecolor=look.color, hatch=look.hatch, label=label)


def legend_above(figure: Figure, *rows: Sequence[Artist]) -> None:
    """One legend above all panels, its entries in the given rows (matplotlib itself fills columns)."""
    columns = max(len(row) for row in rows)
    blank = Line2D([], [], linestyle="none", label=" ")
    filled = [[*row, *[blank] * (columns - len(row))] for row in rows if row]
    handles = [row[column] for column in range(columns) for row in filled]
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, columnspacing=1.5)
