"""Figure 6: one test sample shown again and again to a stochastic network: does the label move?"""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spsn.replication.figures.parts import bare, footer
from spsn.replication.figures.source import Context
from spsn.replication.style import FAINT, INK, MODELS, PAGE, model_look, new_figure, ordered, styled, tint

TRIAL_COLUMNS = (
    "model",
    "sample",
    "true_label",
    "trial",
    "class",
    "class_name",
    "mean_potential",
    "predicted",
)
TEST_COLUMNS = ("model", "sample", "trials", "distinct_labels")


@styled
def figure6(trials: pd.DataFrame, test_set: pd.DataFrame, context: Context) -> Figure:
    """Draw `robustness/trials.csv`, a panel per model, with the count of `robustness/test_set.csv` below.

    Each readout neuron's potential (V) is averaged over time; the marker is the mean over trials, the bar
    one standard deviation, every trial a tick. The correct label is shaded.
    """
    models = ordered(trials.model, MODELS)
    classes = trials["class"].nunique()
    figure = new_figure(PAGE, 0.9 + 0.13 * classes)
    panels = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
    for axes, model in zip(panels, models, strict=True):
        _readout(axes, trials[trials.model == model].sort_values(["trial", "class"]), model)
        counted = textwrap.fill(_moved(test_set[test_set.model == model]), int(110 / len(models)))
        axes.set_xlabel(f"membrane potential, mean over time (V)\n{counted}")
    panels[0].invert_yaxis()
    panels[0].set_ylabel("readout neuron")
    footer(figure, context.note)
    return figure


def _readout(axes: Axes, trials: pd.DataFrame, model: str) -> None:
    """Every class a line: potentials of all trials, their mean and standard deviation."""
    look, correct = model_look(model), trials.true_label.iloc[0]
    names = trials.drop_duplicates("class").sort_values("class").set_index("class").class_name
    potentials = trials.pivot(index="class", columns="trial", values="mean_potential")  # (classes, trials)
    axes.axhspan(correct - 0.5, correct + 0.5, color=tint(FAINT, 0.25), linewidth=0, zorder=0).set_gid(
        f"{model}/correct"
    )
    for label, values in potentials.iterrows():
        axes.plot(
            values, np.full(len(values), label), "|", color=look.color, markersize=4, markeredgewidth=0.5
        )
    spread = potentials.std(axis=1, ddof=1) if potentials.shape[1] > 1 else None
    bars = axes.errorbar(
        potentials.mean(axis=1), potentials.index, xerr=spread, linestyle="none", marker=look.marker,
        markerfacecolor=look.color, markeredgecolor=INK, markeredgewidth=0.6, ecolor=INK, elinewidth=0.8,
        capsize=1.5,
    )  # fmt: skip
    bars.lines[0].set_gid(f"{model}/mean")
    if spread is not None:
        bars.lines[2][0].set_gid(f"{model}/spread")
    labels = trials.groupby("trial").predicted.first()
    right = int((labels == correct).sum())
    axes.set_title(f"{look.label}: right in {right} of {len(labels)} trials (correct: {names[correct]})")
    axes.set_yticks(list(names.index), list(names))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(min(names.index) - 0.6, max(names.index) + 0.6)
    bare(axes)


def _moved(samples: pd.DataFrame) -> str:
    """How much of the test set did not keep its label."""
    if samples.empty:
        return "Whole test set: not measured"
    moved, n = int((samples.distinct_labels > 1).sum()), len(samples)
    counted = f"the label moved for {moved} of {n} samples ({100 * moved / n:.1f} %)"
    return f"Whole test set, {samples.trials.max()} trials each: {counted}"
