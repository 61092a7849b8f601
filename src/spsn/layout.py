"""Where things lie: the paths that the workflow declares and the commands write. Pure functions of the
settings.
"""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import PurePosixPath as Path

from spsn.data.listings import table_path
from spsn.errors import SettingsError
from spsn.grid import PUBLISHED_STEP, Block, blocks, comparison_blocks
from spsn.mapping import WHOLE
from spsn.settings import MAX_SEEDS, DatasetAudio, DatasetFiles, Settings

RESULTS = Path("results")
DATA = RESULTS / "data"  # shared by all configurations
SHD = DATA / "shd"
FSDD = DATA / "fsdd"
SPLITS = ("train", "test")


def results(settings: Settings) -> Path:
    """The folder of a configuration's results."""
    return RESULTS / settings.name


def data_file(settings: Settings, split: str) -> Path:
    """The HDF5 file of a split, as it was given, is fetched, or is made."""
    dataset, digits = settings.dataset, settings.synthetic_digits
    if isinstance(dataset, DatasetFiles):
        return Path(os.path.expanduser(getattr(dataset, split)))
    if isinstance(dataset, DatasetAudio):
        return DATA / f"{dataset.title}-{_digest(dataset)}" / f"{dataset.title}_{split}.h5"
    if dataset == "shd":
        return SHD / f"shd_{split}.h5"
    if dataset == "fsdd":
        return FSDD / f"fsdd_{split}.h5"
    folder = f"synthetic-digits-{digits.train}-{digits.test}-seed{digits.seed}"
    return DATA / folder / f"synthetic_digits_{split}.h5"


def _digest(dataset: DatasetAudio) -> str:
    """Eight digits that tell apart what is heard in different ways from different folders."""
    return hashlib.sha256(json.dumps(asdict(dataset), sort_keys=True).encode()).hexdigest()[:8]


def check_given(settings: Settings) -> None:
    """Raise `SettingsError` for files and folders that the configuration names and that are not there.

    Snakemake itself would not miss them where results stand that were made of others, and would look for
    others where braces stand in the path of a file. A `data_dir` below the folder of what is fetched is
    refused too: a workflow clears away its outputs before it makes them anew.
    """
    given: dict[str, str] = {}
    if isinstance(settings.dataset, DatasetFiles):
        given = {f"dataset.{split}": str(data_file(settings, split)) for split in SPLITS}
    if isinstance(settings.dataset, DatasetAudio):
        given = {"dataset.audio": os.path.expanduser(settings.dataset.audio)}
        table = table_path(settings.dataset.audio, settings.dataset.labels)
        given |= {"dataset.labels": str(table)} if table else {}
    for key, path in given.items():
        if key != "dataset.audio" and {"{", "}"} & set(path):  # no job's input: it may have any name
            raise SettingsError(
                f"configuration: {key} is {path}, in which Snakemake would take braces for wildcards; "
                "rename the file or its folder, or name a link to it, without braces"
            )
        if not os.path.exists(path):
            raise SettingsError(f"configuration: {key} is {path}, which is not there")
    if settings.data_dir is not None:
        _check_data_dir(settings.data_dir, settings.dataset)


def _check_data_dir(data_dir: str, dataset: object) -> None:
    theirs, ours = os.path.realpath(os.path.expanduser(data_dir)), os.path.realpath(DATA)
    if os.path.commonpath([theirs, ours]) == ours:
        raise SettingsError(
            f"configuration: data_dir is {data_dir}, where the workflow puts its own copies and would clear "
            "yours away; move your files to another folder"
        )
    for taken in (SHD / f"shd_{split}.h5" for split in SPLITS if dataset == "shd"):
        source = os.readlink(taken) if os.path.islink(taken) else ""
        if os.path.exists(source) and os.path.realpath(os.path.dirname(source)) != theirs:
            raise SettingsError(
                f"configuration: data_dir is {data_dir}, but {taken} was taken from {source}; delete it to "
                "have the other taken"
            )


def source_file(settings: Settings, split: str) -> Path:
    """The JSON beside a fetched or made data file that says where it came from."""
    path = data_file(settings, split)
    return path.with_name(f"{path.name}.source.json")


def store_file(settings: Settings, split: str, time_step: float) -> Path:
    """The event store of a split in steps of `time_step` seconds."""
    return results(settings) / "events" / f"{split}_{1000 * time_step:g}ms.safetensors"


def golden_store(settings: Settings) -> Path:
    """The event store of the test file on which the authors' published weights are tried."""
    return store_file(settings, "test", PUBLISHED_STEP)


def record_files(settings: Settings, block: Block, suffixes: Sequence[str] = (".json",)) -> list[Path]:
    """What a block's job leaves for each of its runs: records (.json), weights (.safetensors)."""
    folder = results(settings) / "runs" / block.name
    return [folder / f"seed{seed}{suffix}" for seed in block.seeds for suffix in suffixes]


def all_records(settings: Settings) -> list[Path]:
    """Every run record of the paper's experiments."""
    return [path for block in blocks(settings) for path in record_files(settings, block)]


def comparison_records(settings: Settings) -> list[Path]:
    """Every run record of the comparison."""
    return [path for block in comparison_blocks(settings) for path in record_files(settings, block)]


def robustness_runs(settings: Settings) -> list[Path]:
    """Records and weights of the networks that the robustness experiment shows."""
    wanted = settings.experiments.robustness
    folder = results(settings) / "runs" / "accuracy"
    stems = [folder / model / wanted.condition / f"seed{wanted.seed}" for model in wanted.models]
    return [Path(f"{stem}{suffix}") for stem in stems for suffix in (".json", ".safetensors")]


def parse_seeds(text: str) -> tuple[int, ...]:
    """`0-9` or `0,3,7` as seeds, each below WHOLE, at most MAX_SEEDS. Raises `ValueError`."""
    seeds: dict[int, None] = {}
    for part in text.split(","):
        if not re.fullmatch(r"[0-9]{1,19}(-[0-9]{1,19})?", part):
            raise ValueError(f"{text[:100]!r} names no seeds; write them as 0-9 or 0,3,7")
        first, _, last = part.partition("-")
        one, other = int(first), int(last or first)
        if not one <= other < WHOLE:
            raise ValueError(f"{part} is no range of seeds: the smaller comes first, as in 0-9")
        if len(seeds) + other - one >= MAX_SEEDS:
            raise ValueError(f"{text[:100]!r} names more than {MAX_SEEDS} seeds; train them in parts")
        seeds |= dict.fromkeys(range(one, other + 1))
    return tuple(seeds)
