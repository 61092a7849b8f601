"""The comparison's controls: pairs of methods that have one gradient by theorem, seed by seed.

Differences of test accuracy (A, points) and of spikes per ms (B, per cent of the second method's mean) with
the 95 % interval of their mean, every seed a dot, and in words whether the interval contains 0. It need not
always: of twenty pairs of the same law one is expected not to.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spsn.replication.compared import in_ms
from spsn.replication.figures.parts import ERROR_STYLE, SEED_STYLE, bare, footer, reach
from spsn.replication.figures.source import Context
from spsn.replication.method_pairs import (
    AGREES,
    HIGHER,
    IDENTICAL,
    LOWER,
    UNKNOWN,
    Pair,
    control_pairs,
    verdict,
)
from spsn.replication.method_style import method_look
from spsn.replication.statistics import Summary
from spsn.replication.style import FAINT, INK, PAGE, new_figure, styled

WORDS = {
    IDENTICAL: "identical",
    AGREES: "contains 0",
    HIGHER: "does not contain 0",
    LOWER: "does not contain 0",
    UNKNOWN: "no interval",
}
NOTHING = "no pair was trained on one time step and seed"


@styled
def comparison_controls(runs: pd.DataFrame, context: Context) -> Figure:
    """Draw `method_pairs.control_pairs` of `compared.with_methods`' runs, a row a pair and time step."""
    pairs = control_pairs(runs)
    figure = new_figure(PAGE, 0.9 + 0.22 * max(len(pairs), 2))
    accuracy, rate = figure.subplots(1, 2, sharey=True)
    _panel(accuracy, pairs, "A")
    _panel(rate, pairs, "B")
    accuracy.set(title="A  Test accuracy", xlabel="difference (points)")
    rate.set(title="B  Spikes per ms", xlabel="difference (% of the second)")
    names = [
        f"{method_look(p.one).label} − {method_look(p.other).label}, {in_ms(p.time_step)}" for p in pairs
    ]
    accuracy.set_yticks(range(len(pairs)), names)
    accuracy.set_ylim(max(len(pairs), 1) - 0.5, -0.5)
    footer(figure, context.note, "" if pairs else NOTHING)
    return figure


def _panel(axes: Axes, pairs: list[Pair], letter: str) -> None:
    """One quantity of every pair, around 0; room at the right for what the intervals say."""
    axes.axvline(0, color=FAINT, linewidth=0.7, zorder=0)
    column = "AB".index(letter)
    for y, pair in enumerate(pairs):
        summary = (pair.accuracy, pair.rate)[column]
        gid = f"{letter}/{pair.one}/{1000 * pair.time_step:g}"
        _row(axes, y, pair, summary, pair.differences[:, column], gid)
    values = np.concatenate([[0.0], *(p.differences[:, column] for p in pairs)])
    ends = [e for p in pairs for e in ((p.accuracy, p.rate)[column].low, (p.accuracy, p.rate)[column].high)]
    largest = np.nanmax(np.abs([*values, *ends])) or 1.0
    axes.set_xlim(-1.1 * largest, 2.0 * largest)
    bare(axes)
    axes.tick_params(axis="y", length=0)


def _row(axes: Axes, y: float, pair: Pair, summary: Summary, values: np.ndarray, gid: str) -> None:
    """One pair's seeds, mean and interval, and what the interval says."""
    look = method_look(pair.one)
    known = values[np.isfinite(values)]
    offsets = np.linspace(-0.22, 0.22, len(known)) if len(known) > 1 else np.zeros(len(known))
    axes.plot(known, y + offsets, zorder=2, **SEED_STYLE)[0].set_gid(f"{gid}/seeds")
    if summary.known:
        style = {**ERROR_STYLE, "ecolor": look.color, "zorder": 3}
        bars = axes.errorbar(summary.mean, y, xerr=reach(summary), **style)
        bars.lines[2][0].set_gid(f"{gid}/interval")
    if len(known):
        mark = {"marker": "D", "markersize": 4, "color": look.color, "zorder": 4}
        axes.plot([summary.mean], [y], linestyle="none", **mark)[0].set_gid(f"{gid}/mean")
    said = WORDS[IDENTICAL] if pair.identical else WORDS[verdict(summary)]
    color = INK if said == WORDS[HIGHER] else FAINT
    place = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "center", "size": 6}
    text = axes.annotate(said, (1.0, y), color=color, **place)
    text.set_gid(f"{gid}/verdict")
