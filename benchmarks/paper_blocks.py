"""The blocks of a grid: in which order they are trained, what is left of them, how long they take.

`estimate` and `train` are called in a process of their own (`spsn.timing.remote`), which keeps the data and
the compiled code from one block to the next.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from spsn import devices, threads
from spsn.checkpoints import CheckpointStore
from spsn.data.events import EventStore
from spsn.data.shd import check_split, read_split
from spsn.errors import RecordError, SpsnError
from spsn.estimate import estimate_epoch
from spsn.files import digest
from spsn.grid import TRAINED, Block, RunSettings, blocks, find_block, regularized_name, run_settings
from spsn.memory import is_out_of_memory, release
from spsn.records import read_record, record_path
from spsn.settings import Settings, load
from spsn.stack import Stack
from spsn.timing.remote import REFUSED
from spsn.training import Data, train_block


def ordered(settings: Settings) -> list[Block]:
    """Every block, in the order in which the report needs them: accuracy, thresholds (those of the paper's
    table first), loss modes; and all conditions with their first seeds before any with further ones.
    """
    published = settings.experiments.regularization.published

    def place(block: Block) -> tuple:
        threshold = published.get(block.model)
        wanted = threshold is not None and block.condition.name == regularized_name(threshold)
        return block.seeds[0], TRAINED.index(block.experiment), not wanted

    return sorted(blocks(settings), key=place)


def kind(block: Block) -> str:
    """What blocks have in common whose epochs take equally long."""
    condition = block.condition
    layers, size = block.network.hidden_layers, block.network.hidden_size
    step, batch = block.network.time_step, block.training.batch_size
    return f"{block.model} {condition.augmented} {condition.loss_mode} {layers} {size} {step:g} {batch}"


@dataclass(frozen=True)
class Files:
    """The HDF5 files of both splits, and the folder for their event stores."""

    train: Path
    test: Path
    folder: Path

    def stores(self, settings: Settings, time_step: float) -> dict[str, Path]:
        """The event stores of both splits in steps of `time_step` s, made where they are not there yet."""
        found = {}
        for split in ("train", "test"):
            source, limit = getattr(self, split), getattr(settings.limit, split)
            key = f"{digest(source)[:12]}{'' if limit is None else f'-{limit}'}"
            found[split] = self.folder / f"{split}_{1000 * time_step:g}ms_{key}.safetensors"
            if not found[split].exists():
                spikes = check_split(read_split(source), source)
                EventStore.from_spikes(spikes, 1000.0 * time_step, limit).save(found[split])
        return found


@lru_cache(maxsize=2)  # of a grid's time steps
def loaded(train: Path, test: Path) -> Data:
    """Both splits."""
    return Data(EventStore.load(train), EventStore.load(test))


def runs_of(settings: Settings, block: Block, data: Data) -> list[RunSettings]:
    """The runs of a block as `train_block` trains them here."""
    known = {"train_digest": data.train.digest, "test_digest": data.test.digest}
    how = {"classes": len(data.train.classes), "backend": devices.backend_for(settings.execution), **known}
    return [run_settings(settings, block, seed, **how) for seed in block.seeds]


def done(results: Path, runs: Iterable[RunSettings]) -> list[RunSettings]:
    """Those of the runs whose record, with exactly these settings, is there."""
    found = []
    for run in runs:
        try:
            if read_record(record_path(results, run)).settings == run:
                found.append(run)
        except RecordError:
            continue
    return found


def emit_finished(results: Path, runs: Iterable[RunSettings]) -> None:
    """Put the records of runs in place that are finished in a block that was stopped."""
    store = CheckpointStore(results)
    for run in runs:
        if store.finished(run):
            store.emit(run)


def epochs_left(results: Path, runs: Iterable[RunSettings]) -> int:
    """Epochs of all runs together, those that a checkpoint has left out."""
    store = CheckpointStore(results)
    return sum(run.epochs - max(store.epochs(run), default=0) for run in runs)


def _asked(
    settings: str, block: str, seeds: list[int], train: str, test: str
) -> tuple[Settings, Block, Data]:
    configured = load(settings)
    return configured, find_block(configured, block, tuple(seeds)), loaded(Path(train), Path(test))


def estimate(*, results: str, **asked: Any) -> dict[str, Any]:
    """Seconds of an epoch of one run of a block, from a few steps (`spsn.estimate`)."""
    settings, block, data = _asked(**asked)
    runs = runs_of(settings, block, data)
    threads.use(runs[0].backend, settings.execution.threads)
    with devices.lease(settings.execution.device) as device:
        devices.make_deterministic(device)
        group = runs[:1] if device.type == "cpu" else runs
        seconds = _estimated(group, device, data)
        while seconds is None:  # as training does it
            release()
            group = group[: len(group) // 2]
            seconds = _estimated(group, device, data)
        return {"seconds_per_run_epoch": seconds}


def _estimated(runs: list[RunSettings], device: torch.device, data: Data) -> float | None:
    """The estimate of a stack; None where memory does not suffice, and half of it could be tried."""
    try:
        return estimate_epoch(Stack.begin(runs, device), data.train)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error) or len(runs) == 1:
            raise
    return None


def train(*, results: str, **asked: Any) -> dict[str, Any]:
    """Train what is left of a block; what went wrong with single runs is told as `why`."""
    settings, block, data = _asked(**asked)
    runs = runs_of(settings, block, data)
    left = [run.seed for run in runs if run not in done(Path(results), runs)]
    try:
        train_block(settings, replace(block, seeds=tuple(left)), data, results)
    except SpsnError as error:
        emit_finished(Path(results), runs)
        return {"status": REFUSED, "why": str(error)}
    return {}
