"""The comparison's costs: seconds and memory of one training step against the number of time steps T.

A column for each family; in it the other families' lines stand faintly, so that columns can be compared.
Dashed: eager operations; solid: fused kernels. A point is the median of the repeats, its bar reaches from
the first to the third quartile. A length that could not be measured is a mark in the strip on top of the
panel. Two thin strokes show what grows with T and with its square.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spsn.replication.compared import IMPLEMENTATIONS, MEASURED, STATUSES, in_order
from spsn.replication.figures.parts import bare, device_name, footer
from spsn.replication.figures.source import Context
from spsn.replication.method_style import FAMILIES, by_family, method_look
from spsn.replication.style import FAINT, INK, PAGE, new_figure, styled, tint

LINES = {"eager": (0, (4, 1.5)), "fused": "-"}
STATUS_MARKERS = {"too_slow": "x", "out_of_memory": "+"}
STROKE = 2.5  # times as long at its right end
LEVEL = 0.05  # height of a line of marks in the strip, a share of the panel's
GREY = tint(FAINT, 0.35)
ROWS = (  # letter, column, quartiles, what is on the axis
    ("A", "seconds_median", ("seconds_q1", "seconds_q3"), "seconds a training step"),
    ("B", "gibibytes", None, "peak memory (GiB)"),
)


@styled
def comparison_cost(costs: pd.DataFrame, context: Context) -> Figure:
    """Draw `timing/methods.csv`: A) seconds, B) memory of a training step of the whole network."""
    costs = costs.assign(gibibytes=costs.peak_bytes / 2**30)
    families = by_family(in_order(costs.method))
    tallest = max(map(len, families.values()))
    figure = new_figure(PAGE, 4.0 + 0.13 * tallest)
    panels = figure.subplots(2, len(families), sharex=True, sharey="row", squeeze=False)
    for row, (letter, column, quartiles, label) in zip(panels, ROWS, strict=True):
        for axes, members in zip(row, families.values(), strict=True):
            _panel(axes, costs, members, letter, column, quartiles)
        row[0].set_ylabel(label)
        row[0].set_title(letter)
        _powers(row[0], costs.steps, costs[column])
        _strips(row, costs, families, letter)
    for axes, (family, members) in zip(panels[1], families.items(), strict=True):
        axes.set_xlabel("time steps T")
        _legend(axes, family, members)
    figure.legend(handles=_keys(costs), loc="outside upper center", ncols=5)
    footer(figure, _circumstances(costs), context.note and "random input")
    return figure


def _panel(
    axes: Axes,
    costs: pd.DataFrame,
    members: list[str],
    letter: str,
    column: str,
    quartiles: tuple[str, str] | None,
) -> None:
    """The members' lines, and faintly those of all other methods."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    for (method, form), line in costs[costs[column].notna()].groupby(
        ["method", "implementation"], sort=False
    ):
        line = line.sort_values("steps")
        if method not in members:
            axes.plot(line.steps, line[column], color=GREY, linewidth=0.5, zorder=1)
            continue
        look, style = method_look(method), {"linestyle": LINES.get(form, ":"), "linewidth": 0.9}
        (drawn,) = axes.plot(line.steps, line[column], **look.style(3.6) | style)
        drawn.set_gid(f"{letter}/{method}/{form}")
        if quartiles:
            low, high = (line[name] for name in quartiles)
            bars = axes.vlines(line.steps, low, high, color=look.color, linewidth=0.7, zorder=2)
            bars.set_gid(f"{letter}/{method}/{form}/quartiles")
    bare(axes)


def _powers(axes: Axes, steps: pd.Series, values: pd.Series) -> None:
    """Short strokes of slopes 1 and 2 at the lower right, named."""
    x, bottom = np.array([steps.max() / STROKE, steps.max()]), values.min()
    for power, name in ((1, "$T$"), (2, "$T^2$")):
        y = bottom * (x / x[0]) ** power
        axes.plot(x, y, color=FAINT, linewidth=0.6, linestyle=":", zorder=1)
        place = {"xytext": (2, 0), "textcoords": "offset points", "va": "center", "annotation_clip": False}
        axes.annotate(name, (x[1], y[1]), size=6, color=FAINT, **place)


def _strips(row: Any, costs: pd.DataFrame, families: dict[str, list[str]], letter: str) -> None:
    """Marks on top for what was not measured, a level for each line with gaps, and room for them."""
    gaps, levels = costs[costs.status != MEASURED], 0
    for axes, members in zip(row, families.values(), strict=True):
        lines = list(gaps[gaps.method.isin(members)].groupby(["method", "implementation"], sort=False))
        levels = max(levels, len(lines))
        for level, ((method, form), missing) in enumerate(lines):
            _gap(axes, method, form, missing, 0.98 - LEVEL * level, f"{letter}/{method}/{form}")
    low, high = row[0].get_ylim()
    share = min(LEVEL * levels, 0.6)
    row[0].set_ylim(low, high * (high / low) ** (share / (1 - share)))


def _gap(axes: Axes, method: str, form: str, missing: pd.DataFrame, height: float, gid: str) -> None:
    """One line of marks at a height (a share of the panel's), after the form and the mark of their method."""
    look, place = method_look(method), {"transform": axes.get_xaxis_transform()}
    for status, rows in missing.groupby("status"):
        style = {"marker": STATUS_MARKERS.get(status, "x"), "markersize": 3.5, "linestyle": "none"}
        (marks,) = axes.plot(rows.steps, [height] * len(rows), color=look.color, **style, **place)
        marks.set_gid(f"{gid}/{status}")
    x = missing.steps.min() / 1.6
    axes.plot([x], [height], linestyle="none", **look.style(3.2), **place)
    text = {"ha": "right", "va": "center", "size": 4.5, "color": FAINT}
    axes.text(x / 1.25, height, form, **text, **place)


def _legend(axes: Axes, family: str, members: list[str]) -> None:
    """The members' marks below the family's column, under its name."""
    looks = [method_look(method) for method in members]
    handles = [Line2D([], [], linestyle="none", label=look.label, **look.style(4.5)) for look in looks]
    place = {"loc": "upper left", "bbox_to_anchor": (-0.08, -0.3), "borderaxespad": 0.0}
    legend = axes.legend(handles=handles, handletextpad=0.3, alignment="left", **place)
    color, name = FAMILIES[family]
    legend.set_title(name, prop={"size": 6.5, "weight": "bold"})
    legend.get_title().set_color(color)


def _keys(costs: pd.DataFrame) -> list[Line2D]:
    """What line styles and marks in the strips mean."""
    forms = [form for form in IMPLEMENTATIONS if (costs.implementation == form).any()]
    names = {"eager": "eager operations", "fused": "fused kernels"}
    keys = [Line2D([], [], color=INK, linestyle=LINES[form], label=names[form]) for form in forms]
    keys.append(Line2D([], [], color=GREY, linewidth=0.8, label="other families"))
    for status in sorted(set(costs.status) - {MEASURED}):
        style = {"linestyle": "none", "marker": STATUS_MARKERS.get(status, "x"), "markersize": 4.5}
        keys.append(Line2D([], [], color=INK, label=STATUSES.get(status, status), **style))
    return keys


def _circumstances(costs: pd.DataFrame) -> str:
    devices = ", ".join(sorted(set(map(device_name, costs.device))))
    return f"{devices}, batch {', '.join(map(str, sorted(set(costs.batch_size))))}"
