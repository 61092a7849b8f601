"""Which source files a phase of the workflow depends on: an edit to a plot must never train anything again.

The workflow declares them as inputs; the checkpoint store names the training's sources by digest, so that
neither a checkpoint nor a finished run outlives the code that made it.
"""

import hashlib
import os
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent

SPIKES = (
    "data/shd.py",
    "data/spikes.py",
    "data/checks.py",
    "data/chunks.py",
    "data/hdf5.py",
    "data/heap.py",
)
EVENTS = (*SPIKES, "data/events.py")
EAR = ("data/audio.py", "data/pieces.py", "data/inner_ear.py", "data/inner_ear_cells.py", "data/membrane.py")
DIGITS = (*EAR, *SPIKES, "data/speech.py", "data/espeak.py", "data/utterances.py")
HEARING = (*EAR, *SPIKES, "data/hearing.py", "data/labels.py", "data/listings.py", "data/patterns.py")
DESCRIPTION = ("data/describe.py", "data/events.py", "data/spikes.py", "data/statistics.py", "files.py")
RECORDS = (
    "dataset_settings.py",
    "errors.py",
    "experiment_settings.py",
    "files.py",
    "grid.py",
    "layout.py",
    "manifest.py",
    "mapping.py",
    "methods.py",
    "records.py",
    "settings.py",
)
COLLECTING = ("records.py", "replication/run_table.py")


def below(folder: str) -> tuple[str, ...]:
    """Every module below a folder of the package, from the package, in order."""
    return tuple(sorted(path.relative_to(PACKAGE).as_posix() for path in (PACKAGE / folder).rglob("*.py")))


NETWORK = (
    "accumulating.py",
    "compiled.py",
    "fused.py",
    "noise.py",
    "methods.py",
    "network.py",
    "objective.py",
    "signals.py",
    *below("neurons"),
    "data/batches.py",
    "threads.py",
    *below("kernels"),
)
TRAINING = (
    *NETWORK,
    "optimizer.py",
    "resident.py",
    "stack.py",
    "estimate.py",
    "training.py",
    "evaluation.py",
    "grid.py",
    "records.py",
)
GOLDEN = (*NETWORK, "evaluation.py", "grid.py", "published.py", "golden.py", "weights.py")
ROBUSTNESS = (*NETWORK, "evaluation.py", "robustness.py", "weights.py")
ILLUSTRATION = ("noise.py", "illustration.py", "neurons/integrator.py", "neurons/lif.py", "neurons/spsn.py")
TIMING = (
    *NETWORK,
    "optimizer.py",
    "stack.py",
    "memory.py",
    "timing/baselines.py",
    "timing/epoch.py",
    "timing/layers.py",
    "timing/measure.py",
    "timing/networks.py",
    "timing/random_store.py",
    "timing/sequence_length.py",
    "timing/study.py",
)
COMPARISON_TIMING = (
    *NETWORK,
    "optimizer.py",
    "stack.py",
    "memory.py",
    "timing/apart.py",
    "timing/baselines.py",
    "timing/measure.py",
    "timing/method_step.py",
    "timing/methods.py",
    "timing/networks.py",
    "timing/pipe.py",
    "timing/random_store.py",
    "timing/remote.py",
    "timing/study.py",
)


def files(names: tuple[str, ...]) -> list[str]:
    """Paths of source files from the working folder, as the workflow takes them."""
    return [os.path.relpath(PACKAGE / name) for name in names]


def modules(folder: str) -> list[str]:
    """Every module below a folder of the package, in order."""
    return files(below(folder))


@cache
def digest(names: tuple[str, ...]) -> str:
    """SHA-256 (hex) of the contents of source files."""
    state = hashlib.sha256()
    for name in names:
        state.update(f"{name}\n".encode() + (PACKAGE / name).read_bytes())
    return state.hexdigest()
