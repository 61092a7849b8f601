"""One look for every figure: colours, markers, widths, and how a figure becomes a file.

Colours are Okabe and Ito's (Color Universal Design, 2008), told apart with any colour vision; each model also
has its own marker, line style and hatch, so that a grey print keeps them apart. A figure is as wide as one
column of an IEEE page (3.5 in) or as the report's text (6.69 in, which fits IEEE's 7.16 too): printed at its
own size, its text has 6 to 8 pt. Only matplotlib's own font is used and no date is written, so equal tables
give equal bytes.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import seaborn
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from spsn.files import whole_file

COLUMN, PAGE = 3.5, 6.69  # inches
DOTS_PER_INCH = 200
INK, FAINT = "#222222", "#767676"


@dataclass(frozen=True)
class Look:
    """How a model or an implementation is named and drawn."""

    label: str
    color: str = INK
    marker: str = "o"
    line: Any = "-"
    hatch: str = ""


MODELS: dict[str, Look] = {
    "lif": Look("LIF", "#0072B2", "o", "-", ""),
    "spsn-sb": Look("SPSN-SB", "#E69F00", "s", "--", "////"),
    "spsn-gs": Look("SPSN-GS", "#009E73", "^", "-.", "...."),
    "non-spiking": Look("Non-spiking", "#999999", "D", ":", "xxxx"),
}
# In the order in which they stand beside each other: what the paper timed, the same without its quadratic
# slice backward, this package's plain definition, its fused kernels.
IMPLEMENTATIONS: dict[str, Look] = {
    "paper": Look("paper's way", line="-", marker="o"),
    "unbind": Look("unbind", line="--", marker="v"),
    "torch": Look("torch", line="-.", marker="s"),
    "fused": Look("fused", line=":", marker="D"),
}
STATUS_LABELS = {"too-slow": "too slow", "out-of-memory": "out of memory"}

_RC = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7,
    "axes.labelsize": 7,
    "axes.titlesize": 7.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelpad": 2.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.4,
    "patch.linewidth": 0.6,
    "savefig.dpi": DOTS_PER_INCH,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.hashsalt": "spsn",
}


def styled(draw: Callable) -> Callable:
    """Run `draw` with this module's settings of matplotlib, and leave the caller's as they were.

    What this module does not set is matplotlib's own, not what a matplotlibrc says: equal results give equal
    pictures for everybody.
    """

    @functools.wraps(draw)
    def inside(*arguments: Any, **keywords: Any) -> Any:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            rc = {**seaborn.axes_style("ticks"), **seaborn.plotting_context("paper"), **_RC}
            matplotlib.rcParams.update(rc)
            return draw(*arguments, **keywords)

    return inside


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of `width` by `height` inches that needs no display."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.03, hspace=0.04)
    FigureCanvasAgg(figure)
    return figure


def ordered(names: Any, looks: dict[str, Look]) -> list[str]:
    """The distinct `names` in the order of `looks`; names that it does not know come last, alphabetically."""
    known = list(looks)
    return sorted(set(names), key=lambda name: (known.index(name) if name in looks else len(known), name))


def model_look(name: str) -> Look:
    """How the model is drawn; a model that this module does not know is drawn in ink under its own name."""
    return MODELS.get(name, Look(name, INK, "P", (0, (1, 1)), "||||"))


def implementation_look(name: str) -> Look:
    """How the implementation is drawn; an unknown one keeps its own name."""
    return IMPLEMENTATIONS.get(name, Look(name, line=(0, (5, 1, 1, 1, 1, 1)), marker="P"))


def tint(color: str, share: float) -> tuple[float, float, float]:
    """`color` mixed with white: 0 is white, 1 the colour itself."""
    red, green, blue = (1 - share * (1 - part) for part in to_rgb(color))
    return red, green, blue


@styled
def save(figure: Figure, stem: str | Path) -> tuple[Path, Path]:
    """Write `stem`.pdf and `stem`.png (200 dots per inch), whole and without a date; return both paths."""
    stem = Path(stem)
    written = []
    for kind, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
        path = stem.with_name(f"{stem.name}.{kind}")
        with whole_file(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)
        written.append(path)
    return written[0], written[1]
