"""The full protocol, and where a configuration is smaller or different.

Full means what the paper states (Table I; sections IV to VI of arXiv 2306.12666) and, where it states
nothing, this project's own choice: the batch, inputs and neurons of Figure 5, the repetitions and epochs of
Figure 2, and that Figure 2 shows three models. `config/paper.yaml` is exactly this protocol.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spsn.settings import DatasetAudio, DatasetFiles, Settings, to_mapping

_NETWORK = {
    "hidden_layers": 3,
    "hidden_size": 128,
    "tau_mem": 0.02,
    "tau_syn": 0.02,
    "threshold": 1.0,
    "time_step": 0.001,
    "lif_reset": "code",
}
_TRAINING = {"epochs": 200, "batch_size": 64, "learning_rate": 0.001}
_TRAINED = {"network": _NETWORK, "training": _TRAINING, "seeds": 10}
_SPIKING = ["lif", "spsn-sb", "spsn-gs"]

FULL: dict[str, Any] = {
    "dataset": "shd",
    "limit": {"train": None, "test": None},
    "augmentation": {"shift": 0.1, "scale": 0.3},
    "experiments": {
        "accuracy": {**_TRAINED, "models": [*_SPIKING, "non-spiking"], "conditions": ["basic", "augmented"]},
        "regularization": {
            **_TRAINED,
            "models": ["spsn-sb", "spsn-gs"],
            "thresholds": [0.01, 0.03, 0.06, 0.08, 0.1, 0.2, 0.4, 0.6],
            "published": {"spsn-sb": 0.4, "spsn-gs": 0.1},
        },
        "loss_mode": {
            **_TRAINED,
            "network": {**_NETWORK, "hidden_layers": 1, "tau_mem": 0.001, "tau_syn": 0.001},
            "models": _SPIKING,
            "modes": ["mean", "max", "last"],
        },
        "robustness": {"models": ["spsn-sb", "spsn-gs"], "condition": "augmented", "trials": 10},
        "timing": {
            "epoch": {"models": [*_SPIKING, "non-spiking"], "batches": None},
            "sequence_length": {
                "lengths": [100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000],
                "repeats": 10,
                "batch_size": 64,
                "inputs": 128,
                "neurons": 128,
            },
        },
    },
}
_LABELS = {
    "dataset": "data",
    "limit.train": "samples used for training",
    "limit.test": "samples used for testing",
    "augmentation.shift": "shift of the channels",
    "augmentation.scale": "change of size",
    "network.hidden_layers": "hidden layers",
    "network.hidden_size": "neurons in a hidden layer",
    "network.tau_mem": "membrane time constant",
    "network.tau_syn": "synaptic time constant",
    "network.threshold": "threshold of LIF (V)",
    "network.time_step": "time step",
    "network.lif_reset": "reset of LIF",
    "training.epochs": "epochs",
    "training.batch_size": "batch size",
    "training.learning_rate": "learning rate",
    "published": "thresholds of Table II",
    "epoch.models": "models timed",
    "epoch.batches": "batches timed in an epoch",
    "sequence_length.lengths": "sequence lengths timed",
    "sequence_length.repeats": "repeats of a timing",
    "sequence_length.batch_size": "batch size in the timing",
    "sequence_length.inputs": "inputs of the timed layer",
    "sequence_length.neurons": "neurons of the timed layer",
}
_ALL = {"limit.train": "all", "limit.test": "all", "epoch.batches": "all"}
_MILLISECONDS = ("tau_mem", "tau_syn", "time_step")


@dataclass(frozen=True)
class Difference:
    """One setting that departs from the full protocol; values as text, no `experiments` where for all."""

    setting: str
    experiments: tuple[str, ...]
    full: str
    here: str


def differences(settings: Settings) -> list[Difference]:
    """Every setting that departs from the full protocol and can change a result, in the protocol's order."""
    own = {DatasetFiles: " (own files)", DatasetAudio: " (own recordings)"}
    data = settings.dataset_name + own.get(type(settings.dataset), "")
    full, here = flatten(FULL), flatten(to_mapping(settings) | {"dataset": data})
    found: dict[tuple[str, str, str], list[str]] = {}
    for key, value in full.items():
        if here.get(key) != value:
            experiment, name = _split(key)
            texts = _LABELS.get(name, name), _text(name, value), _text(name, here.get(key))
            found.setdefault(texts, []).extend([experiment] if experiment else [])
    return [
        Difference(setting, tuple(experiments), full_text, here_text)
        for (setting, full_text, here_text), experiments in found.items()
    ]


def flatten(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys. `published` stays whole: its keys are models."""
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        if isinstance(value, Mapping) and key != "published":
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _split(key: str) -> tuple[str, str]:
    """The experiment (empty: all) and the setting that a dotted key names."""
    if not key.startswith("experiments."):
        return "", key
    _, experiment, name = key.split(".", 2)
    return experiment, name


def _text(name: str, value: Any) -> str:
    """A setting's value as a reader expects it: times in milliseconds, lists with commas."""
    if value is None:
        return _ALL.get(name, "none")
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {entry}" for key, entry in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if name.rpartition(".")[2] in _MILLISECONDS:
        return f"{1000 * value:g} ms"
    return str(value)
