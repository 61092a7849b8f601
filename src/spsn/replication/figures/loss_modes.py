"""Figure 2: test accuracy of the three ways of reading the output over time (mean, max, last time step)."""

import pandas as pd
from matplotlib.figure import Figure

from spsn.replication.figures.parts import (
    bare,
    chance_line,
    footer,
    key_handles,
    legend_above,
    mean_bar,
    patch_handle,
    percent,
    positions,
)
from spsn.replication.figures.source import Context
from spsn.replication.style import COLUMN, MODELS, Look, model_look, new_figure, ordered, styled

COLUMNS = ("experiment", "model", "condition", "seed", "test_accuracy", "loss_mode")
MODES = {"mean": Look("mean over time"), "max": Look("max over time"), "last": Look("last time step")}


@styled
def figure2(runs: pd.DataFrame, context: Context) -> Figure:
    """Draw the runs of experiment `loss_mode` of `tables/runs.csv`: a group per mode, a bar per model."""
    runs = runs[runs.experiment == "loss_mode"].sort_values("seed")
    models, modes = ordered(runs.model, MODELS), ordered(runs.loss_mode, MODES)
    figure = new_figure(COLUMN, 2.5)
    axes = figure.subplots()
    for (mode, model), x in positions(modes, models).items():
        values = percent(runs.test_accuracy[(runs.loss_mode == mode) & (runs.model == model)])
        if len(values):
            mean_bar(
                axes, x, values, model_look(model), f"{mode}/{model}", width=0.72 / len(models), share=0.7
            )
    chance_line(axes, context.chance)
    axes.set_xticks(range(len(modes)), [MODES[mode].label if mode in MODES else mode for mode in modes])
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel("test accuracy (%)")
    axes.set_ylim(0, 105)
    bare(axes)
    patches = [patch_handle(model_look(model), model_look(model).label, 0.7) for model in models]
    legend_above(figure, patches, key_handles(figure))
    footer(figure, context.note)
    return figure
