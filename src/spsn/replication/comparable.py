"""When a number of this replication may be held against one of the paper: SHD, whole, trained as the paper
trains.

What a configuration leaves out (models, thresholds, seeds, repeats) does not count here: it widens intervals
or leaves a claim untested, but what was trained is still the paper's.
"""

from collections.abc import Iterable
from typing import Any

from spsn.replication.protocol import FULL, flatten
from spsn.settings import Settings, to_mapping

TRAINING = ("accuracy", "regularization", "loss_mode")


def obstacle(settings: Settings, experiments: Iterable[str] = TRAINING) -> str:
    """Why results of these experiments cannot be held against the paper's; empty where they can."""
    if not settings.is_shd:
        part = settings.dataset == "shd"
        return "the data are a part of SHD" if part else f"the data are {settings.dataset_name}, not SHD"
    found = departures(settings, experiments)
    return f"not trained as in the paper: {'; '.join(found)}" if found else ""


def departures(settings: Settings, experiments: Iterable[str]) -> list[str]:
    """What these experiments do differently in network, training, augmentation or thresholds, as text."""
    full, here = flatten(FULL), flatten(to_mapping(settings))
    parts = [f"experiments.{e}.{part}" for e in experiments for part in ("network", "training", "published")]
    parts += ["augmentation"] if parts else []
    return [
        f"{key.removeprefix('experiments.')} {_text(here.get(key))} instead of {_text(value)}"
        for key, value in full.items()
        if key.startswith(tuple(parts)) and here.get(key) != value
    ]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {entry:g}" for key, entry in value.items()) or "none"
    return f"{value:g}" if isinstance(value, int | float) else str(value)
