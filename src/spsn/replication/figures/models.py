"""Figure 3: the models beside each other: accuracy in training and test, seconds an epoch, spikes per ms."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spsn.replication.figures.parts import (
    bare,
    chance_line,
    device_name,
    footer,
    key_handles,
    legend_above,
    mean_bar,
    patch_handle,
    percent,
    positions,
    published,
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
    Look,
    implementation_look,
    model_look,
    new_figure,
    ordered,
    styled,
    tint,
)

RUN_COLUMNS = ("experiment", "model", "condition", "seed", "test_accuracy", "train_accuracy", "spikes_per_ms")
EPOCH_COLUMNS = (
    "model",
    "implementation",
    "status",
    "seconds_per_epoch",
    "seconds_compute",
    "augmented",
    "device",
)
CONDITIONS = {"basic": Look("basic"), "augmented": Look("augmented")}
SHARES = {"basic": 0.25, "augmented": 0.85}
GREY = Look("", FAINT)


@styled
def figure3(runs: pd.DataFrame, epochs: pd.DataFrame, context: Context) -> Figure:
    """Draw the runs of experiment `accuracy` (`tables/runs.csv`) and `timing/epoch.csv` in four panels."""
    runs = runs[runs.experiment == "accuracy"].sort_values("seed")
    figure = new_figure(PAGE, 4.7)
    (train, test), (time, rate) = figure.subplots(2, 2)
    for axes, column, letter, name in (
        (train, "train_accuracy", "A", "Training"),
        (test, "test_accuracy", "B", "Test"),
    ):
        _seeds_panel(axes, runs.assign(value=percent(runs[column])), letter, column, context)
        chance_line(axes, context.chance)
        axes.set_title(f"{letter}  {name} accuracy")
        axes.set(ylabel="accuracy (%)", ylim=(0, 105))
    _epoch_panel(time, epochs, context)
    spiking = runs[runs.spikes_per_ms.notna()]
    _seeds_panel(rate, spiking.assign(value=spiking.spikes_per_ms), "D", "spikes_per_ms", context)
    rate.set_title("D  Spike rate of the network")
    rate.set_ylabel("spikes per ms")
    rate.set_ylim(bottom=0)
    conditions = [
        patch_handle(GREY, name, SHARES.get(name, 0.5)) for name in ordered(runs.condition, CONDITIONS)
    ]
    legend_above(figure, conditions + key_handles(figure, paper=context.reported is not None))
    footer(figure, context.note)
    return figure


def _seeds_panel(axes: Axes, runs: pd.DataFrame, letter: str, quantity: str, context: Context) -> None:
    """A group per model, a bar per condition; column `value` holds what is drawn."""
    models, conditions = ordered(runs.model, MODELS), ordered(runs.condition, CONDITIONS)
    for (model, condition), x in positions(models, conditions).items():
        values = runs.value[(runs.model == model) & (runs.condition == condition)]
        gid = f"{letter}/{model}/{condition}"
        if len(values):
            look, share = model_look(model), SHARES.get(condition, 0.5)
            mean_bar(axes, x, values, look, gid, width=0.72 / len(conditions), share=share)
        value = published(context, quantity, model, condition)
        if value:
            published_point(axes, x, value[0], f"{gid}/published", spread=value[1])
    axes.set_xticks(range(len(models)), [model_look(model).label for model in models])
    axes.tick_params(axis="x", length=0)
    bare(axes)


def _epoch_panel(axes: Axes, epochs: pd.DataFrame, context: Context) -> None:
    """A bar per model and implementation, logarithmic; what was not measured says why in its place."""
    if epochs.augmented.any():
        epochs = epochs[epochs.augmented]
    model_rank, way_rank = ordered(epochs.model, MODELS), ordered(epochs.implementation, IMPLEMENTATIONS)
    rows = sorted(
        epochs.itertuples(), key=lambda row: (model_rank.index(row.model), way_rank.index(row.implementation))
    )
    values = [published(context, "epoch_seconds", row.model, "augmented") for row in rows]
    known = [
        *epochs.seconds_per_epoch.dropna(),
        *epochs.seconds_compute.dropna(),
        *(v[0] for v in values if v),
    ] or [1]
    axes.set_xscale("log")
    axes.set_xlim(
        10 ** np.floor(np.log10(0.5 * min(known))), max(known) * 6
    )  # room for the numbers at the right
    for y, (row, value) in enumerate(zip(rows, values, strict=True)):
        _epoch_bar(axes, y, row)
        if value and row.implementation == "paper":
            published_point(axes, value[0], y, f"C/{row.model}/paper/published")
    labels = [
        f"{model_look(row.model).label}, {implementation_look(row.implementation).label}" for row in rows
    ]
    axes.set_yticks(range(len(rows)), labels)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("seconds an epoch, data included (tick: without data)")
    axes.set_title(f"C  Training time ({', '.join(sorted(set(map(device_name, epochs.device))))})")
    bare(axes)


def _epoch_bar(axes: Axes, y: float, row: Any) -> None:
    """One row of panel C: bar, tick at the time of computing alone, the number; or why there is none."""
    look, gid = model_look(row.model), f"C/{row.model}/{row.implementation}"
    beside = {"xycoords": ("axes fraction", "data"), "va": "center", "ha": "right", "size": 6}
    if row.status != "measured":
        text = axes.annotate(STATUS_LABELS.get(row.status, row.status), (0.99, y), style="italic", **beside)
        text.set_gid(f"{gid}/{row.status}")
        return
    seconds = row.seconds_per_epoch
    fill = tint(look.color, SHARES["augmented" if row.augmented else "basic"])
    (bar,) = axes.barh(y, seconds, 0.75, facecolor=fill, edgecolor=look.color, hatch=look.hatch)
    bar.set_gid(f"{gid}/mean")
    axes.annotate(f"{seconds:.3g} s", (0.99, y), **beside)
    if np.isfinite(row.seconds_compute):
        tick = {"marker": "|", "color": INK, "markersize": 5, "markeredgewidth": 0.9}
        axes.plot([row.seconds_compute], [y], **tick)[0].set_gid(f"{gid}/compute")
