"""Table I: every parameter of the paper, its value there and in this run.

Where the paper states nothing (how Figure 2 was trained) the value beside is this project's (see `protocol`).
A value that another experiment sets for itself follows the name of its figure. A rate threshold of the paper
that the configuration leaves out is said to be not trained.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from spsn.replication import latex
from spsn.replication.protocol import FULL, flatten
from spsn.replication.text import ABSENT, cell
from spsn.settings import Settings, to_mapping

# parameter, symbol, unit, key below each experiment or, with a dot in front, below the whole configuration
_PARAMETERS = (
    ("hidden layers", "", "", "network.hidden_layers"),
    ("neurons in a hidden layer", "", "", "network.hidden_size"),
    ("classes", "", "", ".classes"),
    ("epochs", "", "", "training.epochs"),
    ("membrane time constant", "tau_mem", "s", "network.tau_mem"),
    ("synaptic time constant", "tau_syn", "s", "network.tau_syn"),
    ("threshold of LIF", "u_th", "V", "network.threshold"),
    ("time step", "Delta_t", "s", "network.time_step"),
    ("shift of the channels", "k_shift", "share of the channels", ".augmentation.shift"),
    ("change of size", "k_scale", "share of the size", ".augmentation.scale"),
    ("batch size", "", "", "training.batch_size"),
    ("loss function", "", "", ".loss"),
    ("optimizer", "", "", ".optimizer"),
    ("learning rate", "", "", "training.learning_rate"),
    ("rate threshold, SPSN-SB", "theta_reg", "per step and neuron", ".theta.spsn-sb"),
    ("rate threshold, SPSN-GS", "theta_reg", "per step and neuron", ".theta.spsn-gs"),
    ("runs of each setting", "", "", "seeds"),
    ("data set", "", "", ".dataset"),
)
_FIXED = {"loss": "cross entropy", "optimizer": "Adamax"}  # the training program has no others
_FIGURES = {"regularization": "Fig. 4", "loss_mode": "Fig. 2"}
_CLASSES_OF_SHD = 20
NOT_TRAINED = "not trained"


def table1(settings: Settings, classes: int | None = None) -> pd.DataFrame:
    """Columns parameter, symbol, paper, ours (both text), unit, differs (bool).

    `classes` is the number that the data have (None: that of SHD's words, which the synthetic digits share).
    """
    if classes is None and settings.dataset in ("shd", "synthetic-digits"):
        classes = _CLASSES_OF_SHD
    paper = _flat(FULL, _CLASSES_OF_SHD)
    ours = _flat(to_mapping(settings) | {"dataset": settings.dataset_name}, classes)
    rows = [
        {
            "parameter": name,
            "symbol": symbol,
            "paper": _value(paper, key),
            "ours": _value(ours, key),
            "unit": unit,
        }
        for name, symbol, unit, key in _PARAMETERS
    ]
    table = pd.DataFrame(rows)
    return table.assign(differs=table.paper != table.ours)


def to_tex(table: pd.DataFrame) -> str:
    """A booktabs table; values that differ from the paper's carry an asterisk."""
    lines = [
        (cell(r.parameter), _symbol(r.symbol), cell(r.paper), cell(r.ours) + r"\,*" * r.differs, cell(r.unit))
        for r in table.itertuples()
    ]
    head = ("parameter", "symbol", "paper", "here", "unit")
    return f"{{\\small\n{latex.tabular('@{}lllll@{}', head, lines)}}}\n"


def _flat(config: Mapping[str, Any], classes: int | None) -> dict[str, Any]:
    """Dotted keys of a configuration, with what Table I names and no configuration sets."""
    flat = flatten(config)
    thresholds = {f"theta.{model}": _threshold(flat, model) for model in ("spsn-sb", "spsn-gs")}
    return flat | _FIXED | thresholds | {"classes": classes}


def _threshold(flat: Mapping[str, Any], model: str) -> float | str | None:
    """The model's threshold of Table I where it is one of those trained."""
    models, thresholds, published = (
        flat[f"experiments.regularization.{key}"] for key in ("models", "thresholds", "published")
    )
    theta = published.get(model)
    return theta if theta is None or (model in models and theta in thresholds) else NOT_TRAINED


def _value(flat: Mapping[str, Any], key: str) -> str:
    """The value of the accuracy experiment, then those of the others where they have their own."""
    if key.startswith("."):
        return _text(flat[key[1:]])
    first = _text(flat[f"experiments.accuracy.{key}"])
    others = {figure: _text(flat[f"experiments.{name}.{key}"]) for name, figure in _FIGURES.items()}
    return "; ".join([first, *(f"{figure}: {text}" for figure, text in others.items() if text != first)])


def _text(value: Any) -> str:
    if value is None:
        return ABSENT
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _symbol(name: str) -> str:
    r"""`tau_mem` as `$\tau_\mathrm{mem}$`."""
    if not name:
        return ""
    letter, index = name.split("_")
    letter = letter if len(letter) == 1 else rf"\{letter}"
    return rf"${letter}_\mathrm{{{index}}}$"
