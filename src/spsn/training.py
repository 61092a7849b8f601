"""Training (arXiv 2306.12666, Table I): Adamax, a fixed number of epochs, the weights of the last one.

A job trains one block. On a GPU its runs are one stack, (S, B, T, N) at once. On a CPU they follow one
another, which is no slower there, takes the memory of one run, and makes every run's bits independent of what
else the block holds; in a larger stack a run equals itself alone up to rounding.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from spsn import devices, provenance, threads
from spsn.checkpoints import CheckpointStore, weights_digest
from spsn.data.batches import Batches
from spsn.data.events import EventStore
from spsn.errors import DataError, StoppedError, TrainingError
from spsn.estimate import announce
from spsn.evaluation import by_speaker, test
from spsn.grid import Block, RunSettings, run_settings
from spsn.memory import is_out_of_memory, peak_bytes, release
from spsn.progress import Progress
from spsn.records import Execution, Result, RunRecord
from spsn.settings import Settings
from spsn.stack import Stack, train_epoch

log = logging.getLogger(__name__)

Asked = Callable[[], bool]  # whether training is to stop before its next epoch


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Data:
    """The two splits of one experiment, binned with its time step.

    Raises `DataError` where they do not have the same classes or the same time step.
    """

    train: EventStore
    test: EventStore

    def __post_init__(self) -> None:
        for name in ("classes", "time_step_ms"):
            train, test = getattr(self.train, name), getattr(self.test, name)
            if train != test:
                raise DataError(
                    f"training and test data differ in {name}: {train} and {test}; make both anew"
                )


def train_block(
    settings: Settings,
    block: Block,
    data: Data,
    results: str | Path,
    stopping: Callable[[], AbstractContextManager[Asked]] = lambda: nullcontext(_never),
) -> list[Path]:
    """Train the block's runs, or go on where an earlier trainer was stopped; returns the records' paths.

    Finished runs that only lack their record are emitted again, not retrained. Raises `BusyError` where
    another trainer holds one of the runs, `TrainingError` where the estimate on a CPU passes six hours and
    `allow_long` is not set, where memory does not suffice, and, after all others are finished, for runs whose
    loss was not finite; `StoppedError`, with a checkpoint kept, once what `stopping` gives for the time of
    the training says that it is to stop.
    """
    backend = devices.backend_for(settings.execution)
    threads.use(backend, settings.execution.threads)
    store = CheckpointStore(results)
    known = {"train_digest": data.train.digest, "test_digest": data.test.digest, "backend": backend}
    known["steps"] = int(max(data.train.length.max(), data.test.length.max()))
    classes = len(data.train.classes)
    runs = [run_settings(settings, block, seed, classes=classes, **known) for seed in block.seeds]
    with store.lock(runs):
        pending = [run for run in runs if not store.finished(run)]
        log.info(
            "%s: %d runs to train, %d finished before", block.name, len(pending), len(runs) - len(pending)
        )
        if pending:
            with devices.lease(settings.execution.device) as device, stopping() as asked:
                _train_pending(pending, settings, data, store, device, asked)
        return [store.emit(run) for run in runs]


def _train_pending(
    runs: Sequence[RunSettings],
    settings: Settings,
    data: Data,
    store: CheckpointStore,
    device: torch.device,
    asked: Asked,
) -> None:
    devices.make_deterministic(device)
    try:
        stacks = [_resume(group, store, device) for group in _groups(runs, device)]
        announce(_title(runs), settings, stacks, data.train, device)
        broken = [run for stack in stacks for run in _train_or_halve(stack, settings, data, store, asked)]
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            f"{_title(runs)}: {device} has too little memory even for a single run; make training.batch_size "
            "smaller"
        ) from error
    if broken:
        raise TrainingError(
            "the loss was not finite; lower training.learning_rate. The other runs are finished. Settings: "
            f"{broken}"
        )


def _groups(runs: Sequence[RunSettings], device: torch.device) -> list[list[RunSettings]]:
    """One stack for each run on a CPU, one for all on a GPU."""
    return [[run] for run in runs] if device.type == "cpu" else [list(runs)]


def _train_or_halve(
    stack: Stack, settings: Settings, data: Data, store: CheckpointStore, asked: Asked = _never
) -> list[RunSettings]:
    """Train a stack; where memory does not suffice, one half of its runs after the other, from the last
    checkpoint on. Returns the runs whose loss was not finite.

    Raises what says that memory does not suffice where that is so for a single run.
    """
    runs, device = stack.runs, stack.device
    try:
        _train_stack(stack, settings, data, store, asked)
        return [runs[run] for run in sorted(stack.broken)]
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error) or len(runs) == 1:
            raise
        log.warning("%s: %s has too little memory for a stack of so many; halving it", _title(runs), device)
    stack.network.release()
    release()  # outside of the handler, since the exception's frames hold tensors
    middle = len(runs) // 2
    return [
        run
        for half in (runs[:middle], runs[middle:])
        for run in _train_or_halve(_resume(half, store, device), settings, data, store, asked)
    ]


def _resume(runs: Sequence[RunSettings], store: CheckpointStore, device: torch.device) -> Stack:
    """A stack at the last epoch that all its runs have kept."""
    stack = Stack.begin(runs, device)
    for epoch in sorted(set.intersection(*(store.epochs(run) for run in runs)), reverse=True):
        checkpoints = [checkpoint for run in runs if (checkpoint := store.load(run, epoch))]
        if len(checkpoints) == len(runs):
            stack.restore(checkpoints)
            break
    return stack


def _train_stack(stack: Stack, settings: Settings, data: Data, store: CheckpointStore, asked: Asked) -> None:
    """Train to the last epoch with checkpoints, test once, keep the finished runs."""
    batches = Batches(data.train, stack.runs[0].batch_size, stack.network.seeds)
    total = stack.runs[0].epochs
    progress = Progress(_title(stack.runs), stack.epoch, total)
    while stack.epoch < total and stack.whole:
        if asked():
            _stop(stack, store)
        train_epoch(stack, batches)
        last = [
            (stack.histories[run].train_loss[-1], stack.histories[run].train_accuracy[-1])
            for run in stack.whole
        ]
        if last:
            progress.epoch(stack.epoch, *(sum(column) / len(last) for column in zip(*last, strict=True)))
        if stack.epoch % settings.execution.checkpoint_every == 0 or stack.epoch == total:
            _keep(stack, store)
    stack.network.release()
    if stack.whole:
        _finish(stack, data, store)
        stack.network.release()


def _keep(stack: Stack, store: CheckpointStore) -> None:
    """Save every run of the stack, and only then let go of what was saved before."""
    for run in stack.whole:
        store.save(stack.runs[run], stack.checkpoint(run))
    for run in stack.whole:
        store.prune(stack.runs[run], stack.epoch)


def _stop(stack: Stack, store: CheckpointStore) -> None:
    """Raise `StoppedError` once what was trained so far is kept."""
    if stack.epoch:
        _keep(stack, store)
    raise StoppedError(
        f"{_title(stack.runs)}: stopped as asked to, with {stack.epoch} of {stack.runs[0].epochs} epochs "
        "kept; the same command goes on from there"
    )


def _title(runs: Sequence[RunSettings]) -> str:
    seeds = f"seed {runs[0].seed}" if len(runs) == 1 else f"{len(runs)} seeds"
    return f"{runs[0].experiment} {runs[0].model} {runs[0].condition} {seeds}"


def _finish(stack: Stack, data: Data, store: CheckpointStore) -> None:
    """Test the stack and keep record and weights of each run."""
    started = time.perf_counter()
    passed = test(stack.network, data.test, device=stack.device)
    execution = {
        "test_seconds": (time.perf_counter() - started) / len(stack.runs),
        "peak_bytes": peak_bytes(stack.device),
        "stack_size": len(stack.runs),
        "device": str(stack.device),
        "machine": provenance.machine(),
        "versions": provenance.versions(),
        "git_commit": provenance.git_commit(),
    }
    for run in stack.whole:
        weights, history = stack.network.run_state(run), stack.histories[run]
        rates = passed.spikes_per_ms[run].tolist() if stack.network.kind.spiking else ()
        result = Result(
            train_loss=tuple(history.train_loss),
            train_accuracy=tuple(history.train_accuracy),
            **_hits(passed.predictions[run], data),
            spikes_per_ms=tuple(rates),
            weights_digest=weights_digest(weights),
        )
        record = RunRecord(stack.runs[run], result, Execution(tuple(history.epoch_seconds), **execution))
        store.finish(record, weights)


def _hits(predictions, data: Data) -> dict:
    """The part of a result that predictions (samples,) determine."""
    hits = int((predictions == data.test.label).sum())
    return {
        "test_hits": hits,
        "test_total": len(data.test),
        "test_accuracy": hits / len(data.test),
        "predictions": tuple(predictions.tolist()),
        "speakers": by_speaker(predictions, data.test, data.train),
    }
