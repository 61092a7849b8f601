"""The picture of a record: seconds of a step per system, one panel a T, longest T last."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from spsn.files import whole_file
from spsn.replication.style import DOTS_PER_INCH, FAINT, INK, PAGE, new_figure, styled, tint

OWN, BASELINE, PEER = "#0072B2", "#999999", "#E69F00"  # Okabe and Ito
BASELINES = ("unbind", "paper")
HEIGHT = 0.19  # inches a system


def write_picture(record: Mapping[str, Any], path: Path) -> None:
    """Draw the record's points as `path` (.png)."""
    figure = _draw(record["points"])
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})


@styled
def _draw(points: list[dict[str, Any]]) -> Figure:
    systems = list(dict.fromkeys(point["system"] for point in points))
    lengths = sorted({point["steps"] for point in points})
    figure = new_figure(PAGE, 0.6 + HEIGHT * len(systems))
    panels = figure.subplots(1, len(lengths), sharey=True, squeeze=False)[0]
    for panel, steps in zip(panels, lengths, strict=True):
        chosen = {point["system"]: point for point in points if point["steps"] == steps}
        _panel(panel, [chosen[name] for name in systems if name in chosen], systems)
        panel.set_title(f"T = {steps:,}")
    labels = {point["system"]: point["label"] for point in points}
    panels[0].set_yticks(range(len(systems)), [labels[name] for name in systems])
    panels[0].invert_yaxis()
    return figure


def _panel(panel, points: list[dict[str, Any]], systems: list[str]) -> None:
    """A bar from the axis to the median, a dot for every step, the median's number beside them."""
    every = [seconds for point in points if point["seconds"] for seconds in point["all_seconds"]]
    low, high = min(every, default=0.1), max(every, default=1.0)
    panel.set(xscale="log", xlim=(low / 2, high * 5), xlabel="seconds a training step")
    for point in points:
        y = systems.index(point["system"])
        if point["seconds"] is None:
            panel.annotate(
                "not measured", (low / 2, y), (3, 0), textcoords="offset points", color=FAINT, va="center"
            )
            continue
        color = _color(point)
        panel.barh(y, point["seconds"], height=0.72, color=tint(color, 0.55), edgecolor=color)
        panel.plot(
            point["all_seconds"],
            [y] * len(point["all_seconds"]),
            "o",
            color=INK,
            markersize=1.5,
            clip_on=False,
        )
        panel.annotate(
            f"{point['seconds']:.3g}", (max(point["all_seconds"]), y), (3, 0), textcoords="offset points",
            va="center", fontsize=6.5, color=INK,
        )  # fmt: skip
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(axis="y", length=0)


def _color(point: Mapping[str, Any]) -> str:
    if point["library"] != "spsn":
        return PEER
    return BASELINE if point["system"] in BASELINES else OWN
