"""Pictures of a data file: its words' spikes, and how they are spread.

High frequencies are drawn at the top, as in a spectrogram: channel 0 (22.5 kHz) above, 699 (100 Hz) below.
Needs matplotlib; texts of a file are drawn as they are, never read as formulas.
"""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spsn.data.events import EventStore
from spsn.data.inspect_text import printable
from spsn.data.shd import CHANNELS, SpikeFile
from spsn.data.statistics import Samples, median_sample, of_samples, times
from spsn.errors import SpsnError
from spsn.files import whole_file

if TYPE_CHECKING:  # the ear takes a while to import
    from spsn.data.audio import Sound

WIDTH = 7.0  # inches
DOTS_PER_INCH = 200
INK, FAINT, BLUE = "#222222", "#767676", "#0072B2"
MOST_CLASSES = 40  # whose rasters are drawn
LOOK = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "text.parse_math": False,
    "pdf.fonttype": 42,
}


def draw(found: "SpikeFile | EventStore | Sound", title: str, out: str | os.PathLike) -> None:
    """Draw what a file holds into `out` (.png or .pdf); `title` is the file's name.

    Equal files give equal bytes. Raises SpsnError without matplotlib.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise SpsnError(
            f"pictures need the package matplotlib ({error}). Run: pip install 'spsn[report]'"
        ) from error
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # tells every letter that a PDF takes
    with matplotlib.rc_context(LOOK):
        if isinstance(found, SpikeFile | EventStore):
            figure = spikes(found, title)
        else:
            from spsn.data.picture_of_hearing import hearing

            figure = hearing(found, Path(title).stem)
        _save(figure, Path(out))


def spikes(found: SpikeFile | EventStore, title: str):
    """A figure of one sample of each class, and of spikes, duration and channels over all samples.

    The sample shown is the `median_sample` of its class.
    """
    each = of_samples(found)
    shown = [k for k in range(len(each.class_names)) if (each.labels == k).any()][:MOST_CLASSES]
    rows = -(-len(shown) // 5)
    figure = new_figure(WIDTH, 1.1 * rows + 2.2)
    parts = figure.subfigures(2, 1, height_ratios=[1.1 * rows + 0.3, 1.9])
    chosen = [(each.class_names[k], median_sample(each, each.labels == k)) for k in shown]
    _rasters(parts[0], found, each, chosen)
    title = (
        f"{printable(title)}: {len(found):,} samples, {len(each.class_names)} classes, "
        f"{len(each.units):,} spikes"
    )
    parts[0].suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
    _histograms(parts[1], each)
    return figure


def new_figure(width: float, height: float):
    """An empty figure of `width` by `height` inches that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def dots(axis, times: np.ndarray, units: np.ndarray, size: float) -> None:
    """Draw spikes at `times` (E,) in s and channels `units` (E,), channel 0 at the top."""
    axis.scatter(times, units, s=size, color=INK, linewidths=0, rasterized=True)
    axis.set_ylim(CHANNELS - 0.5, -0.5)


def _rasters(figure, found: SpikeFile | EventStore, each: Samples, chosen: list[tuple[str, int]]) -> None:
    rows = max(-(-len(chosen) // 5), 1)
    axes = figure.subplots(rows, 5, sharex=True, sharey=True, squeeze=False)
    for place, axis in enumerate(axes.flat):
        if place >= len(chosen):
            axis.set_visible(False)
            continue
        name, i = chosen[place]
        dots(axis, times(found, i), each.units[found.offsets[i] : found.offsets[i + 1]], 0.12)
        axis.set_title(printable(name)[:24], fontsize=7, fontweight="normal", pad=2)
        axis.set(yticks=[0, 350, 699])
        axis.tick_params(labelbottom=place + 5 >= len(chosen))
    longest = each.last_spike_s[[i for _, i in chosen]].max(initial=0)
    axes.flat[0].set_xlim(0, max(1.02 * longest, 0.01))
    figure.supxlabel("time (s)", fontsize=8)
    figure.supylabel("channel", fontsize=8)


def _histograms(figure, each: Samples) -> None:
    axes = figure.subplots(1, 4, width_ratios=[1, 1, 1, 1.3])
    for axis, values, label in (
        (axes[0], each.spikes, "spikes of a sample"),
        (axes[1], each.last_spike_s, "last spike (s)"),
        (axes[2], each.active_channels, "active channels"),
    ):
        axis.hist(values, bins=min(40, max(len(values) // 5, 5)), color=BLUE)
        axis.set(xlabel=label)
    axes[0].set_ylabel("samples")
    profile = np.bincount(each.units, minlength=CHANNELS)[:CHANNELS] / max(len(each.spikes), 1)
    axes[3].fill_between(np.arange(CHANNELS), profile, step="mid", color=BLUE, linewidth=0)
    axes[3].set(
        xlabel="channel (0 high, 699 low)",
        ylabel="spikes a sample",
        xlim=(0, CHANNELS),
        ylim=(0, None),
    )


def _save(figure, out: Path) -> None:
    kind = out.suffix.lower().removeprefix(".")
    known = {"pdf": {"metadata": {"CreationDate": None}}, "png": {"pil_kwargs": {"optimize": True}}}
    with whole_file(out) as temporary:
        figure.savefig(temporary, format=kind, dpi=DOTS_PER_INCH, **known[kind])
