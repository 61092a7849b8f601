"""Recordings to spikes: a folder of words becomes a training and a test file in SHD's layout.

Every recording is looked at before the first is heard: all that cannot be used are told at once, none is left
out in silence. They are then heard by several processes, or many at a time by a GPU, and kept piece by piece,
so that a run that was stopped goes on (`spsn.data.pieces`). The spikes of a recording depend on its samples,
its name, the seed, and whether it is trimmed: not on how many others are heard, in which order, or by how
many processes. A GPU rounds the membrane's transforms in its own way: a few spikes in some thousands differ.
"""

import hashlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from spsn import provenance, sources
from spsn.data import inner_ear
from spsn.data.audio import read_sound
from spsn.data.labels import SPLITS, Collection, Recording, read_labels
from spsn.data.listings import several
from spsn.data.membrane import transform_length
from spsn.data.pieces import Kept, Row, check_targets, hear_all, key_of, write_together
from spsn.data.spikes import SpikeFile
from spsn.errors import DataError, SpsnError

Progress = Callable[[int, int], None]
MADE_BY = "recordings through the inner-ear model"
# What the spikes of a recording depend on.
CODE = ("data/audio.py", "data/inner_ear.py", "data/inner_ear_cells.py", "data/membrane.py")
BATCH_CODE = (  # and that of one which torch hears
    "data/inner_ear_steps.py",
    "data/inner_ear_torch.py",
    "data/inner_ear_triton.py",
    "data/membrane_torch.py",
)
VERSIONS = ("spsn", "soundfile", "numpy", "scipy", "numba")
BATCH = 256  # sounds given to torch at a time
DEVICES = ("cpu", "cuda", "torch", "auto")


@dataclass(frozen=True)
class Task:
    """A recording as it is to be heard: its file's SHA-256 (hex), its rate (Hz), its length at 48 kHz."""

    name: str
    path: Path
    digest: str
    trimmed: bool
    sample_rate: int
    samples: int


def hear_folder(
    folder: str | os.PathLike,
    labels: str | os.PathLike,
    out: Sequence[str | os.PathLike],
    *,
    test_speakers: Sequence[str] = (),
    classes: Sequence[str] | None = None,
    **how,
) -> dict[str, Any]:
    """Hear the recordings below `folder` into the training and the test file `out`; return what was done.

    `labels` is a table or a pattern, with `test_speakers` and `classes`: `spsn.data.labels.read_labels`;
    `how` and the result: `hear_collection`. Raises DataError for whatever of it is wrong.
    """
    train, test = map(Path, out)
    collection = read_labels(folder, labels, test_speakers=test_speakers, classes=classes)
    return hear_collection(collection, {"train": train, "test": test}, **how)


def hear_collection(
    collection: Collection,
    out: Mapping[str, str | os.PathLike],
    *,
    seed: int = 0,
    trim: bool = True,
    workers: int = 1,
    device: str = "cpu",
    work: str | os.PathLike | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the spikes of each split's recordings to `out[split]`, and return the facts of their making.

    `trim` takes away silence at both ends. `device` is "cpu" (numba, in `workers` processes), "cuda" (torch
    on a GPU), "auto" (a GPU where there is one) or "torch" (torch on a CPU, for comparison). `work` keeps
    what was heard until both files stand, which they do together: by default a hidden folder beside the
    training file; another process that hears into it waits. The facts: what made the files, seed, trimmed,
    device, number of recordings, SHA-256 of all their files, versions. Raises DataError that names the
    recordings that cannot be heard, SpsnError where a package or device is missing and, before anything is
    heard, where a file cannot be written. Source of the layout: `spsn.data.shd`.
    """
    files = {split: Path(out[split]) for split in SPLITS}
    if files["train"].resolve() == files["test"].resolve():
        raise SpsnError(f"{files['test']}: cannot be the training and the test file. Name two files.")
    check_targets(files.values())
    kind = _kind(device)
    tasks = look_through(collection.recordings, trim)
    kept = Kept(work or files["train"].with_name(f".{files['train'].stem}.hearing"))
    with kept.alone():
        rows = hear_tasks(tasks, seed=seed, kind=kind, workers=workers, kept=kept, progress=progress)
        made = {path: _spike_file(collection, rows, split) for split, path in files.items()}
        write_together(made, made_by=MADE_BY)
        kept.remove()
    return {
        "made by": MADE_BY,
        "seed": seed,
        "trimmed": trim,
        "device": kind,
        "recordings": len(tasks),
        "sha256 of all": _digest_of(tasks),
        **_versions(kind),
    }


def look_through(recordings: Sequence[Recording], trimmed: bool) -> list[Task]:
    """Return what is to be heard, in the same order; DataError, with the first few, for what cannot be."""
    tasks, faults = [], []
    for recording in recordings:
        try:
            sound = read_sound(recording.path, trimmed=trimmed)
        except DataError as error:
            faults.append(str(error))
            continue
        samples = math.ceil(len(sound.wave) * inner_ear.SAMPLE_RATE / sound.sample_rate)
        tasks.append(Task(recording.name, recording.path, sound.digest, trimmed, sound.sample_rate, samples))
    if faults:
        raise DataError(f"{len(faults)} of {len(recordings)} recordings cannot be heard: {several(faults)}")
    return tasks


def hear_tasks(
    tasks: Sequence[Task],
    *,
    seed: int,
    kind: str = "cpu",
    workers: int = 1,
    kept: Kept | None = None,
    progress: Progress | None = None,
) -> list[Row]:
    """Return times (E,) float16 s and units (E,) uint16 of each task's recording.

    Raises DataError for a file that was changed since it was looked at.
    """
    code = CODE if kind == "cpu" else (*CODE, *BATCH_CODE)
    base = [sources.digest(code), _versions(kind), kind, seed]
    keys = [key_of(*base, task.name, task.digest, task.trimmed) for task in tasks]
    # recordings of like length and rate share a table of the membrane, which takes seconds to make
    order = sorted(range(len(tasks)), key=lambda i: _likeness(tasks[i]))
    arguments = [tasks[i] for i in order], [keys[i] for i in order]
    if kind == "cpu":
        rows = hear_all(*arguments, partial(_hear, seed=seed), workers=workers, kept=kept, progress=progress)
    else:
        with _leased(kind) as device:
            batch = partial(_hear_batch, seed=seed, device=device)
            rows = hear_all(*arguments, batch, kept=kept, progress=progress, size=BATCH)
    found = dict(zip(order, rows, strict=True))
    return [found[i] for i in range(len(tasks))]


def _likeness(task: Task) -> tuple[int, int, int]:
    """Longest transforms first, so that no process is left with one at the end."""
    return -transform_length(task.samples), task.sample_rate, -task.samples


def _kind(device: str) -> str:
    """Return how it is to be heard: "cpu" by numba, "torch" or "cuda" by torch."""
    if device not in DEVICES:
        raise SpsnError(f"device {device!r} must be one of {', '.join(DEVICES)}")
    if device in ("cpu", "torch"):
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise SpsnError("device is 'cuda', but no CUDA device can be used here; set it to 'auto' or 'cpu'")
    return "cpu"


def _leased(kind: str):
    if kind == "torch":
        return nullcontext("cpu")
    from spsn.devices import lease

    return lease(kind)


def _wave(task: Task) -> np.ndarray:
    sound = read_sound(task.path, trimmed=task.trimmed)
    if sound.digest != task.digest:
        raise DataError(f"{task.path}: was changed while the recordings were heard. Run this again.")
    return sound.wave


def _hear(tasks: Sequence[Task], *, seed: int) -> list[Row]:
    heard = []
    for task in tasks:
        times, units = inner_ear.hear(_wave(task), task.sample_rate, seed=seed, name=task.name)
        heard.append((times.astype(np.float16), units))
    return heard


def _hear_batch(tasks: Sequence[Task], *, seed: int, device) -> list[Row]:
    from spsn.data.inner_ear_torch import hear_batch

    waves, rates, names = zip(*((_wave(task), task.sample_rate, task.name) for task in tasks), strict=True)
    heard = hear_batch(waves, rates, names, seed=seed, device=device)
    return [(times.astype(np.float16), units) for times, units in heard]


def _spike_file(collection: Collection, rows: list[Row], split: str) -> SpikeFile:
    chosen = [i for i, recording in enumerate(collection.recordings) if recording.split == split]
    return SpikeFile.from_rows(
        times=[rows[i][0] for i in chosen],
        units=[rows[i][1] for i in chosen],
        labels=[collection.recordings[i].label for i in chosen],
        speakers=[collection.recordings[i].speaker for i in chosen],
        class_names=collection.class_names,
        meta={"name": np.array(collection.speaker_names)},
    )


def _digest_of(tasks: Sequence[Task]) -> str:
    lines = sorted(f"{task.digest}  {task.name}\n" for task in tasks)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _versions(kind: str) -> dict[str, str]:
    """Versions of what the spikes depend on."""
    return provenance.versions_of(VERSIONS if kind == "cpu" else (*VERSIONS, "torch"))
