"""The comparison's accuracies: test accuracy against spike rate, a panel for each time step.

A mark is a method: colour its family, shape its model, filling its variant. It stands at the means over
seeds, with the 95 % intervals of both. What has no rate, or next to none, stands in a strip at the left.
"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, NullLocator

from spsn.replication.compared import in_ms, in_order, steps_of
from spsn.replication.figures.parts import ERROR_STYLE, bare, chance_line, drawn, footer, reach
from spsn.replication.figures.source import Context
from spsn.replication.method_style import FAMILIES, by_family, method_look
from spsn.replication.run_table import SILENT
from spsn.replication.statistics import NOTHING, summarize
from spsn.replication.style import FAINT, PAGE, new_figure, styled, tint

COLUMNS = ("model", "condition", "seed", "test_accuracy", "spikes_per_ms", "time_step")
HEIGHT = 4.3  # inches
SIZE = 6.2  # of a mark, points
SLOT = 0.035  # of a mark in the strip, a share of the panel's width


@styled
def comparison_accuracy(runs: pd.DataFrame, context: Context) -> Figure:
    """Draw `compared.with_methods`' runs; rates in spikes per ms of the whole network."""
    figure = new_figure(PAGE, HEIGHT)
    steps = steps_of(runs)
    panels = figure.subplots(1, len(steps), sharey=True, squeeze=False)[0]
    for letter, axes, step in zip("ABCDEFGH", panels, steps, strict=False):
        _panel(axes, runs[runs.time_step == step], letter, context)
        axes.set_title(f"{letter}  Time step {in_ms(step)}")
    panels[0].set_ylabel("test accuracy (%)")
    _vertical(panels[0], runs, context)
    _legend(figure, in_order(runs.method))
    footer(figure, context.note)
    return figure


def _panel(axes: Axes, runs: pd.DataFrame, letter: str, context: Context) -> None:
    methods = in_order(runs.method)
    means = runs.groupby("method").spikes_per_ms.mean()
    still = [method for method in methods if not means[method] >= SILENT]
    strip = SLOT * (len(still) + 1) if still else 0.0
    _rate_axis(axes, means.drop(still), strip)
    for method in methods:
        slot = SLOT * (still.index(method) + 1) if method in still else None
        _mark(axes, runs[runs.method == method], method, f"{letter}/{method}", slot)
    right = Rectangle((strip, 0), 1 - strip, 1, transform=axes.transAxes)
    for _, bars in drawn(axes.figure, "interval"):
        if bars.axes is axes:
            bars.set_clip_path(right)
    chance_line(axes, context.chance)
    axes.set_xlabel("spikes per ms in the network")
    bare(axes)


def _mark(axes: Axes, runs: pd.DataFrame, method: str, gid: str, slot: float | None) -> None:
    """One method at its means with what is known of their intervals; in the strip where it has a `slot`."""
    look, accuracy = method_look(method), summarize(100 * runs.test_accuracy)
    bars = {**ERROR_STYLE, "ecolor": tint(look.color, 0.6), "elinewidth": 0.7, "capsize": 0, "zorder": 2}
    place = {} if slot is None else {"transform": axes.get_yaxis_transform()}
    rate = summarize(runs.spikes_per_ms.dropna()) if slot is None else NOTHING
    x = rate.mean if slot is None else slot
    for way, summary in (("x", rate), ("y", accuracy)):
        if summary.known:
            line = axes.errorbar(x, accuracy.mean, **{f"{way}err": reach(summary)}, **bars, **place)
            line.lines[2][0].set_gid(f"{gid}/{'interval' if slot is None else 'still'}-{way}")
    (mark,) = axes.plot([x], [accuracy.mean], linestyle="none", **look.style(SIZE), **place)
    mark.set_gid(f"{gid}/mean")


def _rate_axis(axes: Axes, rates: pd.Series, strip: float) -> None:
    """A logarithmic axis of rates that leaves the share `strip` of the panel free at its left."""
    low, high = (rates.min() / 1.25, rates.max() * 1.25) if len(rates) else (1.0, 10.0)
    marks = (1, 2, 5) if high / low < 200 else (1,)
    axes.set_xscale("log")
    axes.set_xticks([d * 10.0**k for k in range(-3, 5) for d in marks if low <= d * 10.0**k <= high])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(low * (low / high) ** (strip / (1 - strip)), high)
    if strip:
        line = {"transform": axes.transAxes, "color": FAINT, "linewidth": 0.5, "linestyle": ":"}
        axes.plot([strip, strip], [0, 1], **line)[0].set_gid("strip")
        text = {"rotation": 90, "size": 6, "color": FAINT, "ha": "center", "va": "top"}
        axes.text(strip / 2, 0.98, "no spikes", transform=axes.transAxes, **text)


def _vertical(axes: Axes, runs: pd.DataFrame, context: Context) -> None:
    """Room for every method and for chance."""
    means = 100 * runs.groupby(["method", "time_step"]).test_accuracy.mean()
    low, high = min(means.min(), 100 * context.chance), max(means.max(), 100 * context.chance)
    margin = 0.08 * (high - low) + 1
    axes.set_ylim(low - margin, high + margin)


def _legend(figure: Figure, methods: list[str]) -> None:
    """Above the panels a column for each family."""
    families = by_family(methods)
    height = max(map(len, families.values())) + 1
    handles = []
    for family, members in families.items():
        column = [Line2D([], [], linestyle="none", label=FAMILIES[family][1])]
        column += [
            Line2D([], [], linestyle="none", label=look.label, **look.style(SIZE))
            for look in map(method_look, members)
        ]
        handles += column + [Line2D([], [], linestyle="none", label=" ")] * (height - len(column))
    place = {"loc": "outside upper center", "ncols": len(families)}
    legend = figure.legend(handles=handles, columnspacing=1.2, handletextpad=0.3, **place)
    for text, family in zip(legend.get_texts()[::height], families, strict=True):
        text.set(color=FAMILIES[family][0], weight="bold")
