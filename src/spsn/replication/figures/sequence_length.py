"""Figure 5: how long forward and backward take against the number of time steps T, and LIF over SPSN-SB.

The paper divides its eager LIF loop by its own SPSN. Here that ratio stands beside what remains of it when
the loop runs without the quadratic backward of its slices (LIF `unbind` over the same SPSN, as the report
does), and beside ratios of like with like: plain over plain, fused over fused. Every number is a
median over repeats: a time has a floor and no ceiling, so one disturbed repeat would move a mean. A length
that could not be measured is a mark in the strip on top of the panel. A line stands where the paper's lengths
end, if there are longer ones.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spsn.replication.figures.parts import (
    bare,
    device_name,
    footer,
    published,
    published_handle,
    published_point,
)
from spsn.replication.figures.source import Context
from spsn.replication.style import (
    FAINT,
    IMPLEMENTATIONS,
    INK,
    MODELS,
    PAGE,
    STATUS_LABELS,
    implementation_look,
    model_look,
    new_figure,
    ordered,
    styled,
)

COLUMNS = ("model", "implementation", "steps", "repeat", "status", "seconds", "batch_size", "device")
# LIF's implementation, SPSN-SB's implementation
PAIRS = (("paper", "paper"), ("unbind", "paper"), ("torch", "torch"), ("fused", "fused"))
PAPER_LONGEST = 10_000  # time steps
STATUS_MARKERS = {"too-slow": "x", "out-of-memory": "+"}
UNKNOWN = "side-missing"  # a ratio of which one side was not measured


@dataclass(frozen=True)
class Line:
    """One line of a panel: rows with steps, status, median, low, high; and how they are drawn."""

    gid: str
    label: str
    rows: pd.DataFrame
    color: str
    style: Any
    marker: str
    filled: bool

    @property
    def look(self) -> dict[str, Any]:
        """What the line and its legend entry share."""
        face = self.color if self.filled else "white"
        return {"color": self.color, "linestyle": self.style, "marker": self.marker, "markerfacecolor": face}


@styled
def figure5(lengths: pd.DataFrame, context: Context) -> Figure:
    """Draw `timing/sequence_length.csv`: A) seconds against T, B) LIF divided by SPSN-SB.

    Points are medians over repeats; bars reach from the shortest to the longest repeat (B: from the smallest
    to the largest ratio that these allow).
    """
    times = summarize_repeats(lengths)
    figure = new_figure(PAGE, 3.5)
    duration, ratio = figure.subplots(1, 2)
    lines = duration_lines(times)
    _panel(duration, [x for x in lines if x.filled], [x for x in lines if not x.filled], [])
    setting = (
        ", ".join(sorted(set(map(device_name, lengths.device)))) + f", batch {lengths.batch_size.iloc[0]}"
    )
    duration.set(title=f"A  Forward and backward ({setting})", ylabel="seconds")
    value = published(context, "speed_up", "spsn-sb", "10000")
    if value:
        published_point(ratio, PAPER_LONGEST, value[0], "B/published")
    ratio.axhline(1, color=FAINT, linewidth=0.7, linestyle=":", zorder=0)
    _panel(ratio, ratio_lines(times), [], [published_handle()] if value else [])
    ratio.set(title="B  Speed-up: LIF over SPSN-SB", ylabel="LIF seconds / SPSN-SB seconds")
    steps = sorted(set(times.steps)) + ([PAPER_LONGEST] if value else [])
    for panel, axes in (("A", duration), ("B", ratio)):
        axes.set_xlim(min(steps) / 1.3, max(steps) * 1.3)
        if min(steps) <= PAPER_LONGEST < max(steps):
            _paper_ends(axes, panel)
    footer(figure, context.note, "random input" if context.note else "")
    return figure


def _paper_ends(axes: Axes, panel: str) -> None:
    """A line where the paper's lengths end, named in the first panel."""
    line = axes.axvline(PAPER_LONGEST, color=FAINT, linewidth=0.6, linestyle=(0, (1, 2)), zorder=0)
    line.set_gid(f"{panel}/paper-ends")
    if panel != "A":
        return
    place = {"xytext": (-2, 2), "textcoords": "offset points", "ha": "right", "va": "bottom"}
    axes.annotate(
        "paper's range",
        (PAPER_LONGEST, 0),
        xycoords=axes.get_xaxis_transform(),
        size=6,
        color=FAINT,
        **place,
    )


def summarize_repeats(lengths: pd.DataFrame) -> pd.DataFrame:
    """One line per model, implementation and T: status; median, low (shortest), high (longest) in seconds.

    Where at least one repeat was measured the status is `measured`; elsewhere the three numbers are NaN.
    """
    lines = []
    for (model, implementation, steps), group in lengths.groupby(["model", "implementation", "steps"]):
        seconds = group.seconds[group.status == "measured"]
        status = "measured" if len(seconds) else group.status.iloc[0]
        lines.append((model, implementation, steps, status, seconds.median(), seconds.min(), seconds.max()))
    return pd.DataFrame(
        lines, columns=["model", "implementation", "steps", "status", "median", "low", "high"]
    )


def speed_ratio(times: pd.DataFrame, lif: str, spsn: str) -> pd.DataFrame:
    """LIF's median duration over SPSN-SB's at every T of either; NaN where a side was not measured."""
    above = times[(times.model == "lif") & (times.implementation == lif)].set_index("steps")
    below = times[(times.model == "spsn-sb") & (times.implementation == spsn)].set_index("steps")
    columns = {
        "median": above["median"] / below["median"],
        "low": above.low / below.high,
        "high": above.high / below.low,
    }
    rows = pd.DataFrame(columns).rename_axis("steps").reset_index()
    return rows.assign(status=np.where(rows["median"].notna(), "measured", UNKNOWN))


def duration_lines(times: pd.DataFrame) -> list[Line]:
    """Panel A: a line per model (colour, filling) and implementation (line style, marker)."""
    lines = []
    for model in ordered(times.model, MODELS):
        of_model = times[times.model == model]
        for name in ordered(of_model.implementation, IMPLEMENTATIONS):
            look, way = model_look(model), implementation_look(name)
            rows, label = of_model[of_model.implementation == name], f"{look.label}, {way.label}"
            lines.append(
                Line(f"A/{model}/{name}", label, rows, look.color, way.line, way.marker, model == "lif")
            )
    return lines


def ratio_lines(times: pd.DataFrame) -> list[Line]:
    """Panel B: a line for each of `PAIRS` of which both sides are in the table."""
    present = set(zip(times.model, times.implementation, strict=True))
    lines = []
    for lif, spsn in PAIRS:
        if ("lif", lif) in present and ("spsn-sb", spsn) in present:
            way, other = implementation_look(lif), implementation_look(spsn)
            label = f"both {way.label}" if lif == spsn else f"LIF {way.label} over SPSN-SB {other.label}"
            rows = speed_ratio(times, lif, spsn)
            lines.append(Line(f"B/{lif}/{spsn}", label, rows, INK, way.line, way.marker, lif == "paper"))
    return lines


def _panel(axes: Axes, left: list[Line], right: list[Line], extra: list[Line2D]) -> None:
    """Draw the lines and, below, their legend in two columns; other entries follow in the right one."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    for line in [*left, *right]:
        _draw(axes, line)
    statuses = _strip(axes, [*left, *right])
    columns = [[Line2D([], [], label=line.label, **line.look) for line in lines] for lines in (left, right)]
    columns[1] += [*extra, *map(_status_handle, statuses)]
    blank = Line2D([], [], linestyle="none", label=" ")
    height = max(map(len, columns))
    handles = [handle for column in columns for handle in [*column, *[blank] * (height - len(column))]]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2)
    axes.set_xlabel("time steps T")
    bare(axes)


def _status_handle(status: str) -> Line2D:
    label = STATUS_LABELS.get(status, "not measured on one side" if status == UNKNOWN else status)
    style = {"linestyle": "none", "marker": STATUS_MARKERS.get(status, "x"), "markersize": 4.5}
    return Line2D([], [], color=INK, label=label, **style)


def _draw(axes: Axes, line: Line) -> None:
    """Medians joined by a line, with bars from low to high."""
    rows = line.rows[line.rows.status == "measured"]
    if rows.empty:
        return
    reach = np.array([rows["median"] - rows.low, rows.high - rows["median"]])
    bars = axes.errorbar(rows.steps, rows["median"], yerr=reach, capsize=1.5, elinewidth=0.7, **line.look)
    bars.lines[0].set_gid(f"{line.gid}/median")
    bars.lines[2][0].set_gid(f"{line.gid}/spread")


def _strip(axes: Axes, lines: list[Line]) -> list[str]:
    """Marks on top for what was not measured, a level for each line with gaps; returns the statuses."""
    gaps = [(line, gap) for line in lines if len(gap := line.rows[line.rows.status != "measured"])]
    for level, (line, gap) in enumerate(gaps):
        for status, rows in gap.groupby("status"):
            style = {"marker": STATUS_MARKERS.get(status, "x"), "markersize": 4.5, "linewidth": 0.7}
            height = np.full(len(rows), 0.97 - 0.05 * level)
            (marks,) = axes.plot(
                rows.steps,
                height,
                transform=axes.get_xaxis_transform(),
                color=line.color,
                linestyle=line.style,
                **style,
            )
            marks.set_gid(f"{line.gid}/{status}")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** (0.07 * len(gaps)))
    return sorted({status for _, gap in gaps for status in gap.status})
