"""The figure of the data: rasters of one sample a class, and what the samples of each speaker are like.

Channel 0 of the inner-ear model behind SHD (Cramer et al. 2020) hears 22.5 kHz best, channel 699 100 Hz: the
channel axis runs downwards, so that the frequency rises as in a spectrogram. Spikes are points of one pixel,
rasterised, so that the PDF stays small. SHD's published values stand beside the data, whatever the data are.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from spsn.replication.data_table import published_value, shown_speakers, unseen_speakers
from spsn.replication.figures.parts import bare, footer
from spsn.replication.figures.source import Context
from spsn.replication.style import FAINT, INK, PAGE, Look, new_figure, styled, tint
from spsn.replication.text import counted

SAMPLE_COLUMNS = ("split", "label", "class", "speaker", "spikes", "duration_s", "active_channels")
RASTER_COLUMNS = ("label", "sample", "time_s", "channel")
HEARD = {0: "22.5 kHz", 699: "100 Hz"}  # best frequencies of the first and the last channel
SPLITS = {
    "train": Look("training file", "#56B4E9", line="-"),
    "test": Look("test file", "#D55E00", line="--", hatch="////"),
}
QUANTITIES = {
    "spikes": ("B  Spikes", "spikes a sample", "spikes per sample", "SHD:"),
    "duration_s": ("C  Duration", "time of the last spike (s)", "longest sample", "longest in SHD:"),
    "active_channels": ("D  Active channels", "channels with a spike", "", ""),
}
COLUMNS, MAX_CLASSES = 5, 20
BINS, LONGEST_NAME = 30, 20
SHADE = tint(FAINT, 0.2)
REFERENCE = {"color": INK, "linewidth": 0.9, "linestyle": (0, (1, 1.5))}


@styled
def figure_data(
    samples: pd.DataFrame,
    rasters: pd.DataFrame,
    published: pd.DataFrame,
    context: Context,
    *,
    frequencies: bool = True,
) -> Figure:
    """Draw `data/samples.csv` and `data/rasters.csv` beside SHD's values (`paper/shd_published.csv`).

    `frequencies` says whether the channels are known to hear what SHD's do; the axis names them only then.
    """
    trained = samples[samples.split == "train"]
    labels = sorted(trained.label.unique())[:MAX_CLASSES]
    speakers = shown_speakers(samples)
    rows = -(-len(labels) // COLUMNS)
    heights = (0.45 + 0.82 * rows, 1.7 + 0.165 * len(speakers))
    figure = new_figure(PAGE, sum(heights))
    upper, lower = figure.subfigures(2, 1, height_ratios=heights, hspace=0.02)
    names = trained.drop_duplicates("label").set_index("label")["class"]
    _rasters(upper, rasters, names.loc[labels], frequencies)
    _distributions(lower, samples, speakers, published)
    footer(
        figure, context.note, *_left_out(trained.label.nunique(), samples.speaker.nunique() - len(speakers))
    )
    return figure


def _rasters(figure: SubFigure, rasters: pd.DataFrame, names: pd.Series, frequencies: bool) -> None:
    """A panel a class, all with the same axes; the lower left one alone names time and channel."""
    rows = -(-len(names) // COLUMNS)
    panels = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
    end = rasters.time_s[rasters.label.isin(names.index)].max()
    for axes, (label, name) in zip(panels.flat, names.items(), strict=False):
        spikes = rasters[rasters.label == label]
        (points,) = axes.plot(spikes.time_s, spikes.channel, ",", color=INK, rasterized=True)
        points.set_gid(f"A/{label}")
        axes.set_title(_short(str(name)), fontsize=6.5, pad=2, parse_math=False)
        axes.tick_params(labelleft=False, labelbottom=False)
        bare(axes)
    for axes in panels.flat[len(names) :]:
        axes.set_axis_off()
    corner = panels[-1, 0]
    corner.set(xlim=(-0.01 * end, 1.02 * end), ylim=(max(HEARD) + 9, -9))
    ends = list(HEARD.items())
    corner.set_yticks(
        [channel for channel, _ in ends], [f"{c}\n{hz}" if frequencies else str(c) for c, hz in ends]
    )
    corner.tick_params(labelleft=True, labelbottom=True)
    for text, where in zip(corner.get_yticklabels(), ("top", "bottom"), strict=True):
        text.set_verticalalignment(where)  # inside the panel's height, clear of its neighbours
    corner.set(xlabel="time (s)", ylabel="channel")
    figure.suptitle(
        "A  One training sample of each class", x=0.01, ha="left", fontsize=7.5, fontweight="bold"
    )


def _short(name: str) -> str:
    """As much of a name as has room above a panel."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _distributions(
    figure: SubFigure, samples: pd.DataFrame, speakers: Sequence[int], published: pd.DataFrame
) -> None:
    """Above, how each quantity is distributed over the samples of each file; below, over each speaker's."""
    ratios = (1.0, 0.3 + 0.17 * len(speakers))
    panels = figure.subplots(2, len(QUANTITIES), sharex="col", height_ratios=ratios, squeeze=False)
    unseen = [speaker for speaker in speakers if speaker in unseen_speakers(samples)]
    for (above, below), (column, (title, label, quantity, what)) in zip(
        panels.T, QUANTITIES.items(), strict=True
    ):
        _histograms(above, samples, column)
        _boxes(below, samples, column, speakers, unseen)
        reference = published_value(published, quantity)
        if reference is not None:
            _reference(above, below, *reference, what, column)
        above.set_title(title)
        below.set_xlabel(label)
        below.xaxis.set_major_locator(MaxNLocator(4))
        below.tick_params(labelleft=column == "spikes")
    panels[0, 0].set_ylabel("samples (%)")
    panels[1, 0].set_ylabel("speaker")
    figure.align_ylabels(panels[:, 0])
    figure.legend(handles=_legend(bool(unseen)), loc="outside upper center", ncols=5, columnspacing=1.5)


def _histograms(axes: Axes, samples: pd.DataFrame, column: str) -> None:
    edges = np.histogram_bin_edges(samples[column], BINS)
    for split, look in SPLITS.items():
        values = samples[column][samples.split == split]
        shares = 100 * np.histogram(values, edges)[0] / max(len(values), 1)
        style = {"color": look.color, "linestyle": look.line, "linewidth": 1.1}
        axes.stairs(shares, edges, **style).set_gid(f"{column}/{split}/shares")
    axes.set_ylim(bottom=0)
    bare(axes)


def _boxes(
    axes: Axes, samples: pd.DataFrame, column: str, speakers: Sequence[int], unseen: Sequence[int]
) -> None:
    """A line a speaker: quartiles, median, and whiskers to the least and the greatest of all samples."""
    for y, speaker in enumerate(speakers):
        own = samples[samples.speaker == speaker]
        if speaker in unseen:
            axes.axhspan(y - 0.5, y + 0.5, color=SHADE, linewidth=0, zorder=0).set_gid(
                f"{column}/{speaker}/unseen"
            )
        found = [split for split in SPLITS if (own.split == split).any()]
        for offset, split in zip((-0.2, 0.2) if len(found) == 2 else (0.0,), found, strict=True):
            values, gid = own[column][own.split == split], f"{column}/{split}/{speaker}"
            _box(axes, y + offset, values, SPLITS[split], gid)
    axes.set_yticks(range(len(speakers)), [str(speaker) for speaker in speakers])
    axes.set_ylim(len(speakers) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    bare(axes)


def _box(axes: Axes, y: float, values: pd.Series, look: Look, gid: str) -> None:
    line = {"color": INK, "linewidth": 0.6}
    drawn = axes.boxplot(
        values, positions=[y], orientation="horizontal", widths=0.32, whis=(0, 100), patch_artist=True,
        manage_ticks=False, boxprops=_face(look), whiskerprops=line, capprops=line,
        medianprops={"color": INK, "linewidth": 1.1},
    )  # fmt: skip
    drawn["boxes"][0].set_gid(f"{gid}/box")
    drawn["medians"][0].set_gid(f"{gid}/median")


def _face(look: Look) -> dict[str, Any]:
    return {
        "facecolor": tint(look.color, 0.4),
        "edgecolor": look.color,
        "hatch": look.hatch,
        "linewidth": 0.7,
    }


def _reference(above: Axes, below: Axes, value: float, about: bool, what: str, column: str) -> None:
    """SHD's published value as a dotted line through both panels, named in the upper one."""
    for axes in (above, below):
        axes.axvline(value, zorder=3, **REFERENCE).set_gid(f"{column}/published")
    text = f"{what}\n{'about ' * about}{value:g}"
    style = {"textcoords": "offset points", "va": "top", "size": 6, "color": INK}
    right = value < np.mean(above.get_xlim())
    above.annotate(
        text, (value, 1), xycoords=("data", "axes fraction"), xytext=(3 if right else -3, 0),
        ha="left" if right else "right", **style,
    )  # fmt: skip


def _legend(unseen: bool) -> list[Artist]:
    handles: list[Artist] = [Patch(**_face(look), label=look.label) for look in SPLITS.values()]
    if unseen:
        handles.append(Patch(facecolor=SHADE, label="speaker in the test file alone"))
    return [*handles, Line2D([], [], label="SHD as published", **REFERENCE)]


def _left_out(classes: int, speakers: int) -> list[str]:
    """What the reader must know is not drawn."""
    notes = [f"the first {MAX_CLASSES} of {classes} classes"] if classes > MAX_CLASSES else []
    return notes + ([f"{counted(speakers, 'speaker')} with fewer samples not shown"] if speakers else [])
