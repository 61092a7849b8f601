"""Pictures of a data file: its words' spikes, and how they are spread.

High frequencies are drawn at the top, as in a spectrogram: channel 0 (22.5 kHz) above, 699 (100 Hz) below.
Needs matplotlib; texts of a file are drawn as they are, never read as formulas.
"""

import logging
import os
from pathlib import Path

import numpy as np

from spsn.data.events import EventStore
from spsn.data.inspect import active_channels, last_spikes
from spsn.data.inspect_text import printable
from spsn.data.shd import CHANNELS, SpikeFile, read_split
from spsn.errors import SpsnError
from spsn.files import whole_file

WIDTH = 7.0  # inches
DOTS_PER_INCH = 200
COLORS = 128  # of a PNG
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


def draw(path: str | os.PathLike, kind: str, out: str | os.PathLike) -> None:
    """Draw the file `path`, of a kind that `spsn.data.inspect.kind_of` names, into `out` (.png or .pdf).

    Equal files give equal bytes. Raises DataError where the file is not sound, SpsnError for a kind without
    a picture, or without matplotlib.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise SpsnError(
            f"pictures need the package matplotlib ({error}). Run: pip install 'spsn[report]'"
        ) from error
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # tells every letter that a PDF takes
    with matplotlib.rc_context(LOOK):
        if kind == "recording":
            from spsn.data.picture_of_hearing import hearing

            figure = hearing(path)
        elif kind in ("spikes", "event store"):
            figure = spikes(read_split(path) if kind == "spikes" else EventStore.load(path), Path(path).name)
        else:
            raise SpsnError(f"{path}: there is no picture of {kind}. Leave --plot out.")
        _save(figure, Path(out))


def spikes(found: SpikeFile | EventStore, title: str):
    """A figure of one sample of each class, and of spikes, duration and channels over all samples.

    The sample shown has the median number of spikes of its class, so that nobody chose it.
    """
    stored = isinstance(found, EventStore)
    names = found.classes if stored else found.class_names
    labels = found.label if stored else found.labels
    units = found.channel if stored else found.units
    shown = [k for k in range(len(names)) if (labels == k).any()][:MOST_CLASSES]
    rows = -(-len(shown) // 5)
    figure = new_figure(WIDTH, 1.1 * rows + 2.2)
    parts = figure.subfigures(2, 1, height_ratios=[1.1 * rows + 0.3, 1.9])
    _rasters(parts[0], found, [(names[k], median_sample(found, labels == k)) for k in shown])
    title = f"{printable(title)}: {len(found):,} samples, {len(names)} classes, {len(units):,} spikes"
    parts[0].suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
    _histograms(parts[1], found, units)
    return figure


def median_sample(found: SpikeFile | EventStore, among: np.ndarray) -> int:
    """The sample, of those marked in `among` (n,) bool, with the (lower) median number of spikes."""
    candidates = np.flatnonzero(among)
    counts = np.diff(found.offsets)[candidates]
    return int(candidates[np.argsort(counts, kind="stable")[(len(counts) - 1) // 2]])


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


def _rasters(figure, found: SpikeFile | EventStore, chosen: list[tuple[str, int]]) -> None:
    rows = max(-(-len(chosen) // 5), 1)
    axes = figure.subplots(rows, 5, sharex=True, sharey=True, squeeze=False)
    for place, axis in enumerate(axes.flat):
        if place >= len(chosen):
            axis.set_visible(False)
            continue
        name, i = chosen[place]
        row = slice(found.offsets[i], found.offsets[i + 1])
        if isinstance(found, EventStore):
            times, units = found.time_bin[row] * (found.time_step_ms / 1000), found.channel[row]
        else:
            times, units = found.times[row].astype(np.float64), found.units[row]
        dots(axis, times, units, 0.12)
        axis.set_title(printable(name)[:24], fontsize=7, fontweight="normal", pad=2)
        axis.set(yticks=[0, 350, 699])
        axis.tick_params(labelbottom=place + 5 >= len(chosen))
    longest = last_spikes(found)[[i for _, i in chosen]].max(initial=0)
    axes.flat[0].set_xlim(0, max(1.02 * longest, 0.01))
    figure.supxlabel("time (s)", fontsize=8)
    figure.supylabel("channel", fontsize=8)


def _histograms(figure, found: SpikeFile | EventStore, units: np.ndarray) -> None:
    counts = np.diff(found.offsets)
    axes = figure.subplots(1, 4, width_ratios=[1, 1, 1, 1.3])
    for axis, values, label in (
        (axes[0], counts, "spikes of a sample"),
        (axes[1], last_spikes(found), "last spike (s)"),
        (axes[2], active_channels(units, found.offsets), "active channels"),
    ):
        axis.hist(values, bins=min(40, max(len(values) // 5, 5)), color=BLUE)
        axis.set(xlabel=label)
    axes[0].set_ylabel("samples")
    profile = np.bincount(units, minlength=CHANNELS)[:CHANNELS] / max(len(found), 1)
    axes[3].fill_between(np.arange(CHANNELS), profile, step="mid", color=BLUE, linewidth=0)
    axes[3].set(
        xlabel="channel (0 high, 699 low)",
        ylabel="spikes a sample",
        xlim=(0, CHANNELS),
        ylim=(0, None),
    )


def _save(figure, out: Path) -> None:
    kind = out.suffix.lower().removeprefix(".")
    with whole_file(out) as temporary:
        if kind == "pdf":
            figure.savefig(temporary, format=kind, dpi=DOTS_PER_INCH, metadata={"CreationDate": None})
        else:
            _few_colors(figure).save(temporary, "PNG", optimize=True)


def _few_colors(figure):
    """The picture in its COLORS most frequent colours: a third of the bytes, and no difference to be seen."""
    from PIL import Image

    figure.set_dpi(DOTS_PER_INCH)
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    codes, inverse, counts = np.unique(
        pixels @ np.array([1 << 16, 1 << 8, 1]), return_inverse=True, return_counts=True
    )
    colors = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    palette = colors[np.argsort(-counts, kind="stable")[:COLORS]]
    nearest = np.array([np.abs(palette - color).sum(axis=1).argmin() for color in colors], np.uint8)
    picture = Image.fromarray(nearest[inverse].reshape(pixels.shape[:2]))
    picture.putpalette(palette.astype(np.uint8).tobytes())
    return picture
