"""Settings: frozen dataclasses made once from a configuration; nothing else in the package reads a
configuration.

A configuration is a plain mapping (YAML files laid over one another, or the JSON that `spsn settings`
writes). An unknown key, a wrong type or a value out of range is refused with its place and the nearest known
key.
"""

import json
import re
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from spsn.dataset_settings import (
    FOLDER_NAME,
    OTHER_ARCHIVES,
    DatasetAudio,
    DatasetFiles,
    FsddArchive,
    GoldenCheck,
    Limit,
    ShdArchives,
    SyntheticDigits,
    check_dataset,
    check_time_step,
    known_tests,
)
from spsn.errors import SettingsError
from spsn.experiment_settings import (
    AccuracyExperiment,
    Augmentation,
    Backend,
    ComparisonExperiment,
    Experiments,
    LossMode,
    LossModeExperiment,
    Model,
    NetworkSettings,
    RegularizationExperiment,
    SequenceLengthTiming,
    TrainingSettings,
    check_experiments,
)
from spsn.files import parse_json, read_text, write_json
from spsn.mapping import build, shown

__all__ = [  # those that are defined elsewhere are settings like the others
    "AccuracyExperiment",
    "Augmentation",
    "Backend",
    "ComparisonExperiment",
    "DatasetAudio",
    "DatasetFiles",
    "Execution",
    "FsddArchive",
    "GoldenCheck",
    "Limit",
    "LossMode",
    "LossModeExperiment",
    "Model",
    "NetworkSettings",
    "RegularizationExperiment",
    "SequenceLengthTiming",
    "Settings",
    "ShdArchives",
    "SyntheticDigits",
    "TrainingSettings",
    "from_mapping",
    "load",
    "to_mapping",
]


@dataclass(frozen=True)
class Execution:
    """Where and how the work is done.

    `backend` "auto" is the fused form where the device has one (`devices.backend_on`). On a CPU only
    `backend` and `threads` can change a result's bits; on a GPU the stack's size can too.
    """

    backend: Literal["auto", "fused", "torch"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 2
    seeds_per_block: int = 10
    checkpoint_every: int = 5
    allow_long: bool = False


@dataclass(frozen=True)
class Settings:
    """All of a configuration."""

    name: str
    dataset: Literal["shd", "synthetic-digits", "fsdd"] | DatasetFiles | DatasetAudio
    network: NetworkSettings
    augmentation: Augmentation
    training: TrainingSettings
    experiments: Experiments
    synthetic_digits: SyntheticDigits
    data_dir: str | None = None
    shd: ShdArchives = ShdArchives()
    fsdd: FsddArchive = FsddArchive()
    limit: Limit = Limit()
    golden: GoldenCheck = GoldenCheck()
    execution: Execution = Execution()

    @property
    def dataset_name(self) -> str:
        """The data's name as the records and the report give it."""
        if not isinstance(self.dataset, str):
            return self.dataset.title
        return OTHER_ARCHIVES if self.dataset == "shd" and not self.shd.published else self.dataset

    @property
    def is_shd(self) -> bool:
        """Whether the numbers may be held against the paper's: SHD as it is published, and all of it."""
        return self.is_part_of_shd and self.limit == Limit()

    @property
    def is_part_of_shd(self) -> bool:
        """Whether the samples are SHD's, all of them or the first ones."""
        return self.dataset == "shd" and self.shd.published


def from_mapping(config: Mapping[str, Any]) -> Settings:
    """Make `Settings` from a configuration.

    Raises `SettingsError` naming the place and the nearest known key for whatever cannot be used.
    """
    experiments = config.get("experiments") if isinstance(config, Mapping) else None
    if isinstance(experiments, Mapping):
        config = dict(config)
        config["experiments"] = {
            name: _inherit(config, experiment) if name in INHERITING else experiment
            for name, experiment in experiments.items()
        }
    settings = build(Settings, config)
    _check_ranges(settings)
    return settings


def load(path: str | Path) -> Settings:
    """Read the JSON that `spsn settings` wrote. Raises `SettingsError`."""
    try:
        config = parse_json(read_text(path))
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path}: cannot be read as settings ({error}); make it with `spsn settings`"
        ) from error
    return from_mapping(config)


def renew(settings: Settings, path: str | Path) -> bool:
    """Write `settings` to `path` unless they stand there already; whether others did. Raises `SpsnError`
    where it cannot be written.
    """
    wanted = to_mapping(settings)
    try:
        there = parse_json(read_text(path))
    except (OSError, ValueError):
        there = None
    if there == wanted:
        return False
    write_json(path, wanted)
    return there is not None


def to_mapping(settings: Settings) -> dict[str, Any]:
    """The plain mapping that `from_mapping` turns back into `settings`."""
    return json.loads(json.dumps(asdict(settings)))


MAX_SEEDS = 10_000  # each is a job's output, which Snakemake keeps in mind
TAKEN = ("data", "gpu-check", "README.md")  # what else lies in results/
MAY_BE_ZERO = {"seed", "sample", "shift", "scale"}
INHERITED = ("network", "training")  # what an experiment takes from the whole, key by key
INHERITING = {
    name: experiment
    for name, experiment in typing.get_type_hints(Experiments).items()
    if set(INHERITED) <= {field.name for field in fields(experiment)}
}


def _inherit(config: Mapping[str, Any], experiment: Any) -> Any:
    """Lay an experiment's own `network` and `training` over the general ones."""
    if not isinstance(experiment, Mapping):
        return experiment
    merged = dict(experiment)
    for part in INHERITED:
        own = experiment.get(part) or {}
        if isinstance(own, Mapping) and isinstance(config.get(part), Mapping):
            merged[part] = {**config[part], **own}
    return merged


def _check_ranges(settings: Settings) -> None:
    """Refuse what no run could use: numbers and names out of their range, what is not among the trained."""
    _check_numbers(to_mapping(settings), "", "")
    if not settings.augmentation.scale < 1:
        raise SettingsError("configuration: augmentation.scale must be below 1")
    check_dataset(settings.dataset, settings.shd)
    if not re.fullmatch(FOLDER_NAME, settings.name) or settings.name in TAKEN:
        raise SettingsError(
            f"configuration: name {settings.name!r} must be a folder's name of letters, digits, '_', '-', "
            f"'.', and none of {', '.join(TAKEN)}, which are other things in results/"
        )
    tests = known_tests(settings.dataset, settings.limit, settings.synthetic_digits, settings.shd)
    check_experiments(settings.experiments, tests)


def _check_numbers(value: Any, where: str, key: str) -> None:
    """Counts and times must be positive, down to the last entry, and no entry of a list stand there twice;
    `key` is the nearest name above a value.
    """
    if isinstance(value, dict):
        for k, v in value.items():
            _check_numbers(v, f"{where}.{k}" if where else k, k)
    elif isinstance(value, list):
        _check_doubled(value, where)
        for i, v in enumerate(value):
            _check_numbers(v, f"{where}[{i}]", key)
    elif key == "seeds" and value > MAX_SEEDS:
        raise SettingsError(f"configuration: {where} must be at most {MAX_SEEDS}, not {value}")
    elif key == "time_step" and value > 0:
        check_time_step(value, f"configuration: {where}")
    elif type(value) in (int, float) and not (value > 0 or (value == 0 and key in MAY_BE_ZERO)):
        raise SettingsError(f"configuration: {where} must be greater than 0, not {value}")


def _check_doubled(entries: list, where: str) -> None:
    seen = set()
    for entry in entries:
        if not isinstance(entry, dict):
            if entry in seen:
                raise SettingsError(
                    f"configuration: {where} has {shown(entry)} more than once; leave one of them"
                )
            seen.add(entry)
