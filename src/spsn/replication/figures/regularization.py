"""Figure 4: test accuracy against the network's spike rate, as the regulariser's theta_reg moves it."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from spsn.replication.figures.parts import (
    ERROR_STYLE,
    bare,
    chance_line,
    footer,
    key_handles,
    legend_above,
    published,
    published_point,
    reach,
)
from spsn.replication.figures.source import Context
from spsn.replication.statistics import summarize
from spsn.replication.style import FAINT, INK, MODELS, PAGE, model_look, new_figure, ordered, styled

COLUMNS = ("experiment", "model", "condition", "seed", "test_accuracy", "spikes_per_ms", "rate_threshold")
GUIDES = ("accuracy_drops_below", "accuracy_constant_above")  # the paper's two rates, spikes per ms
HEIGHT = 3.4  # inches
# Where the paper prints both numbers, and where the name stands beside the point, in points.
PUBLISHED = {
    ("lif", "augmented"): (-5, 0),
    ("spsn-sb", "augmented"): (5, 4),
    ("spsn-gs", "augmented"): (5, -4),
    ("spsn-sb", "regularized"): (5, 0),
    ("spsn-gs", "regularized"): (5, 0),
}
# Ten seeds lie closer together here than in bar charts: dots that leave the mean's marker visible.
DOTS = {
    "linestyle": "none",
    "marker": "o",
    "markersize": 1.5,
    "markerfacecolor": INK,
    "markeredgecolor": "none",
}


@styled
def figure4(runs: pd.DataFrame, context: Context) -> Figure:
    """Draw experiment `regularization` of `tables/runs.csv` and the same training without regulariser.

    Each threshold (spikes per time step and neuron) is a point with its 95 % intervals both ways. Hollow
    points and LIF are the augmented runs of experiment `accuracy`. Rates are spikes per ms in the network.
    """
    runs = runs[runs.spikes_per_ms.notna()].sort_values("seed")
    regularized = runs[runs.experiment == "regularization"]
    plain = runs[(runs.experiment == "accuracy") & (runs.condition == "augmented")]
    swept = ordered(regularized.model, MODELS)
    figure = new_figure(PAGE, HEIGHT)
    axes = figure.subplots()
    for model in ordered(plain.model, MODELS):
        _point(axes, plain[plain.model == model], model, f"{model}/none", hollow=model in swept)
    lines = {model: _sweep(axes, regularized[regularized.model == model], model) for model in swept}
    _published_points(axes, context)
    outside = _frame(axes, context)
    _label(axes, [list(lines[model].items()) for model in swept])
    shown, hollow = ordered([*swept, *plain.model], MODELS), plain.model.isin(swept).any()
    models = _model_handles(shown, swept, hollow=bool(hollow))
    legend_above(figure, models, key_handles(figure, paper=context.reported is not None, seed_style=DOTS))
    footer(figure, context.note, outside)
    return figure


def _sweep(axes: Axes, runs: pd.DataFrame, model: str) -> dict[str, tuple[float, float]]:
    """The points of one model, joined in the order of thresholds; returns threshold: (rate, accuracy)."""
    groups = runs.groupby("rate_threshold")
    centres = {f"{theta:g}": _point(axes, group, model, f"{model}/{theta:g}") for theta, group in groups}
    look = model_look(model)
    line = axes.plot(*np.transpose(list(centres.values())), color=look.color, linestyle=look.line, zorder=2)
    line[0].set_gid(f"{model}/line")
    return centres


def _point(
    axes: Axes, group: pd.DataFrame, model: str, gid: str, *, hollow: bool = False
) -> tuple[float, float]:
    """Mean rate and mean accuracy (%) of `group`, both intervals, its seeds as dots; returns the means."""
    look, accuracy = model_look(model), 100 * group.test_accuracy
    rate, hit = summarize(group.spikes_per_ms), summarize(accuracy)
    style = {**ERROR_STYLE, "ecolor": look.color, "elinewidth": 0.7, "capsize": 1.5, "zorder": 2}
    for way, summary in (("x", rate), ("y", hit)):
        if summary.known:
            bars = axes.errorbar(rate.mean, hit.mean, **{f"{way}err": reach(summary)}, **style)
            bars.lines[2][0].set_gid(f"{gid}/interval-{way}")
    mean = {"marker": look.marker, "markersize": 5.5, "markerfacecolor": "white" if hollow else look.color}
    edge = {"linestyle": "none", "markeredgewidth": 0.8, "markeredgecolor": look.color if hollow else INK}
    axes.plot([rate.mean], [hit.mean], zorder=3, **mean, **edge)[0].set_gid(f"{gid}/mean")
    axes.plot(group.spikes_per_ms, accuracy, zorder=4, **DOTS)[0].set_gid(f"{gid}/seeds")
    return rate.mean, hit.mean


def _published_points(axes: Axes, context: Context) -> None:
    """The paper's points for which it prints both numbers, named."""
    for (model, condition), beside in PUBLISHED.items():
        rate = published(context, "spikes_per_ms", model, condition)
        accuracy = published(context, "test_accuracy", model, condition)
        threshold = published(context, "rate_threshold", model, condition)
        if rate and accuracy:
            look, gid = model_look(model), f"{model}/{condition}/published"
            published_point(axes, rate[0], accuracy[0], gid, spread=accuracy[1], color=look.color)
            name = look.label + (f", {threshold[0]:g}" if threshold else "")
            place = {"xytext": beside, "textcoords": "offset points", "va": "center", "size": 6}
            side = "left" if beside[0] > 0 else "right"
            axes.annotate(name, (rate[0], accuracy[0]), zorder=6, ha=side, **place)


def _frame(axes: Axes, context: Context) -> str:
    """Axes wide enough for every point; returns what the reader must be told lies outside.

    An interval that reaches further is cut. Chance is left out where it would press all points together.
    """
    rates, accuracy = np.concatenate([line.get_xydata() for line in axes.lines if line.get_gid()]).T
    guides = [published(context, name, "", "regularized") for name in GUIDES]
    guides = [guide[0] for guide in guides if guide]
    for rate in guides:
        axes.axvline(rate, color=FAINT, linewidth=0.6, linestyle=":", zorder=0).set_gid(f"guide-{rate:g}")
    names = 1.3 if guides else 1.0  # room at the right for the names of published points
    _rate_axis(axes, min(*rates, *guides), names * max(*rates, *guides))
    chance, low, high = 100 * context.chance, accuracy.min(), accuracy.max()
    near = low - chance < 3 * (high - low) + 10
    if near:
        chance_line(axes, context.chance)
        low = min(low, chance)
    margin = 0.1 * (high - low) + 1
    axes.set_ylim(low - margin, high + 1.5 * margin)
    axes.set(xlabel="spikes per ms in the network", ylabel="test accuracy (%)")
    bare(axes)
    return "" if near else f"chance ({chance:g} %) lies below the panel"


def _rate_axis(axes: Axes, low: float, high: float) -> None:
    """A logarithmic axis; linear below 1 spike per ms where a network fell silent, to show it too."""
    if low > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    else:
        axes.set_xscale("symlog", linthresh=1, linscale=0.3)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(low / 1.2 if low > 0 else -0.2, high * 1.25 if high > 0 else 1)


def _label(axes: Axes, series: list[list[tuple[str, tuple[float, float]]]]) -> None:
    """Write each threshold at its point: above it for one series, below it for the next, where free.

    A name keeps clear of all other names and of the means of all series, further away where points crowd.
    """
    size = np.array([0.92 * PAGE, 0.75 * HEIGHT])  # of the panel, about, inches
    half = np.array([0.13, 0.05])  # of a name, inches
    into = axes.transData + axes.transAxes.inverted()
    taken = [size * into.transform(centre) for points in series for _, centre in points]
    for number, points in enumerate(series):
        first = 1 if number % 2 == 0 else -1
        for name, centre in sorted(points, key=lambda point: point[1]):
            here = size * into.transform(centre)
            places = [side * (0.13 + 0.1 * level) for level in range(6) for side in (first, -first)]
            free = (dy for dy in places if _is_free(here + (0, dy), taken, half))
            dy = next(free, places[-2])
            taken.append(here + (0, dy))
            place = {"xytext": (0, 72 * dy), "textcoords": "offset points", "ha": "center", "va": "center"}
            text = axes.annotate(name, centre, size=6, zorder=6, **place)
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.3})
            text.set_gid(f"label/{number}/{name}")


def _is_free(centre: np.ndarray, taken: list[np.ndarray], half: np.ndarray) -> bool:
    """Whether a name at `centre` touches none of the names and marks at `taken`."""
    return not any((np.abs(centre - other) < 2 * half).all() for other in taken)


def _model_handles(shown: list[str], swept: list[str], *, hollow: bool) -> list[Line2D]:
    """A legend entry a model and, where such marks are drawn, one for the hollow ones."""
    models = []
    for model in shown:
        look, moves = model_look(model), model in swept
        style = {"marker": look.marker, "markersize": 5.5, "markeredgecolor": INK, "markeredgewidth": 0.6}
        label = rf"{look.label} at $\theta_{{reg}}$" if moves else look.label
        line = look.line if moves else "none"
        models.append(Line2D([], [], color=look.color, linestyle=line, label=label, **style))
    if hollow:
        style = {"linestyle": "none", "marker": "s", "markersize": 5, "markerfacecolor": "white"}
        models.append(Line2D([], [], label="hollow: not regularised", color=FAINT, **style))
    return models
