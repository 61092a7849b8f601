"""Figure 1: what the LIF neuron, SPSN-SB and SPSN-GS make of one input."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spsn.replication.figures.parts import bare
from spsn.replication.style import COLUMN, FAINT, INK, model_look, new_figure, ordered, styled

COLUMNS = ("model", "time_ms", "input", "membrane_potential", "spike")


@styled
def figure1(neurons: pd.DataFrame, threshold: float) -> Figure:
    """Draw `illustration/neurons.csv` (columns `COLUMNS`; potentials in volt): input, then a row per model.

    `threshold` is the LIF neuron's u_th (V); the stochastic neurons have none.
    """
    models = ordered(neurons.model, {name: model_look(name) for name in ("lif", "spsn-sb", "spsn-gs")})
    figure = new_figure(COLUMN, 1.1 + 0.95 * len(models))
    rows = figure.subplots(1 + len(models), 1, sharex=True, height_ratios=[0.6] + [1] * len(models))
    _input(rows[0], neurons[neurons.model == models[0]])
    for axes, model in zip(rows[1:], models, strict=True):
        _neuron(axes, neurons[neurons.model == model], model, threshold if model == "lif" else None)
    rows[-1].set_xlabel("time (ms)")
    rows[-1].margins(x=0.01)
    figure.align_ylabels(rows)
    return figure


def _input(axes: Axes, trace: pd.DataFrame) -> None:
    axes.step(trace.time_ms, trace.input, where="mid", color=INK, linewidth=0.5)[0].set_gid("input")
    axes.set_ylabel("input x")
    axes.set_title("Input, the same for all")
    bare(axes)


def _neuron(axes: Axes, trace: pd.DataFrame, model: str, threshold: float | None) -> None:
    """Membrane potential over time; a line of ticks above it, one per spike."""
    look = model_look(model)
    potential = trace.membrane_potential
    axes.plot(trace.time_ms, potential, color=look.color, linewidth=0.9)[0].set_gid(f"{model}/potential")
    low, high = potential.min(), potential.max() if threshold is None else max(potential.max(), threshold)
    span = (high - low) or 1.0
    times = trace.time_ms[trace.spike > 0]
    ticks = axes.vlines(times, high + 0.15 * span, high + 0.45 * span, color=INK, linewidth=0.4)
    ticks.set_gid(f"{model}/spikes")
    axes.set_ylim(low - 0.08 * span, high + 0.5 * span)
    axes.set_ylabel("potential u (V)")
    axes.set_title(f"{look.label}: {len(times)} spike{'' if len(times) == 1 else 's'}")
    bare(axes)
    if threshold is not None:
        axes.axhline(threshold, color=FAINT, linewidth=0.7, linestyle="--").set_gid(f"{model}/threshold")
        axes.annotate(
            r"$u_{th}$", (1, threshold), xycoords=("axes fraction", "data"), xytext=(2, 0),
            textcoords="offset points", va="center", color=FAINT,
        )  # fmt: skip
