"""When a number of this replication may be held against one of the paper: SHD, whole, trained as the paper
trains, timed at the sizes of the full protocol; and when two experiments of it against each other.

What a configuration leaves out (models, thresholds, seeds, repeats) does not count here: it widens intervals
or leaves a claim untested, but what was trained is still the paper's.
"""

from collections.abc import Iterable
from typing import Any

from spsn.replication.protocol import FULL, flatten
from spsn.settings import Settings, to_mapping

TRAINING = ("accuracy", "regularization", "loss_mode")
_SIZES = "experiments.timing.sequence_length"
TIMED = {  # what a timing rests on; an epoch is one of the networks of `accuracy`
    "epoch": ("experiments.accuracy.network.", "experiments.accuracy.training.batch_size"),
    "sequence_length": tuple(f"{_SIZES}.{name}" for name in ("batch_size", "inputs", "neurons")),
}


def obstacle(settings: Settings, experiments: Iterable[str] = TRAINING, timings: Iterable[str] = ()) -> str:
    """Why results of these experiments and timings (keys of `TIMED`) cannot be held against the paper's;
    empty where they can.
    """
    if not settings.is_shd:
        part = settings.is_part_of_shd
        return "the data are a part of SHD" if part else f"the data are {settings.dataset_name}, not SHD"
    prefixes = tuple(prefix for timing in timings for prefix in TIMED[timing])
    found = {
        "not trained as in the paper": departures(settings, experiments),
        "not timed by the full protocol": _different(settings, prefixes),
    }
    return "; ".join(f"{what}: {', '.join(texts)}" for what, texts in found.items() if texts)


def departures(settings: Settings, experiments: Iterable[str]) -> list[str]:
    """What these experiments do differently in network, training, augmentation or thresholds, as text."""
    parts = [f"experiments.{e}.{part}" for e in experiments for part in ("network", "training", "published")]
    parts += ["augmentation"] if parts else []
    return _different(settings, tuple(parts))


def trained_apart(settings: Settings, one: str, other: str) -> str:
    """What two experiments of this configuration do differently in network and training, as text."""
    here = flatten(to_mapping(settings))
    sides = [
        {key.removeprefix(prefix): value for key, value in here.items() if key.startswith(prefix)}
        for prefix in (f"experiments.{one}.", f"experiments.{other}.")
    ]
    names = [name for name in sides[0] if name.startswith(("network.", "training."))]
    return ", ".join(
        f"{name.partition('.')[2]} {_text(sides[0][name])} and {_text(sides[1].get(name))}"
        for name in names
        if sides[0][name] != sides[1].get(name)
    )


def _different(settings: Settings, prefixes: tuple[str, ...]) -> list[str]:
    """What departs from the full protocol below these dotted keys."""
    full, here = flatten(FULL), flatten(to_mapping(settings))
    return [
        f"{key.removeprefix('experiments.')} {_text(here.get(key))} instead of {_text(value)}"
        for key, value in full.items()
        if key.startswith(prefixes) and here.get(key) != value
    ]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {entry:g}" for key, entry in value.items()) or "none"
    return f"{value:g}" if isinstance(value, int | float) else str(value)
