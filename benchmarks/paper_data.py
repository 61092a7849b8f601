"""Which data a grid of runs is trained on: files that are given, or synthetic digits that are made."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py

from spsn.data.identity import shd_identity
from spsn.data.shd import DATASETS
from spsn.errors import DataError
from spsn.files import digest, require_file
from spsn.progress import Counter

Pair = tuple[Path, Path]


def given(config: Mapping[str, Any], train: Path, test: Path) -> dict[str, Any]:
    """The configuration with two files in SHD's layout: SHD where they are its own, else named after them."""
    own = config.get("dataset") == "shd" and is_shd(train, "train") and is_shd(test, "test")
    return {**config, "dataset": "shd" if own else {"train": str(train), "test": str(test)}}


def is_shd(path: Path, split: str) -> bool:
    """Whether a file is SHD's own, by its md5 or by its numbers. Raises `DataError` for a file of another
    layout.
    """
    require_file(path, "Name the HDF5 file in SHD's layout.")
    try:
        with h5py.File(path) as file:
            samples, classes = len(file[DATASETS[2]]), len(file[DATASETS[4]])
            made_by = file.attrs.get("made_by")
    except (OSError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not in SHD's layout ({error}). Name another file.") from error
    return shd_identity(f"shd_{split}.h5", samples, classes, made_by, digest(path, "md5")) != "no"


def digits(
    config: Mapping[str, Any], sizes: Sequence[int], folder: Path, workers: int
) -> tuple[dict[str, Any], Pair]:
    """The configuration with so many synthetic digits (training, test), and their files below `folder`.

    They are made by `workers` processes unless they are there; raises what `speech.make_digits` does.
    """
    from spsn.data.speech import make_digits  # needs packages that files which are there do not

    seed = config["synthetic_digits"]["seed"]
    own = folder / f"digits-{sizes[0]}-{sizes[1]}-seed{seed}"
    paths = own / "synthetic_digits_train.h5", own / "synthetic_digits_test.h5"
    if not all(path.exists() for path in paths):
        make_digits(*sizes, seed, own, workers, Counter("synthetic digits"))
    made = {"train": sizes[0], "test": sizes[1], "seed": seed}
    return {**config, "dataset": "synthetic-digits", "synthetic_digits": made}, paths
