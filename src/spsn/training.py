"""Training (arXiv 2306.12666, Table I): Adamax, a fixed number of epochs, the weights of the last one.

A job trains one block. On a GPU its runs are one stack, (S, B, T, N) at once; on a CPU they follow one
another, which is no slower there, takes the memory of one run, and makes every run's bits independent of what
else the block holds.
"""

import logging
import resource
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from spsn import provenance
from spsn.checkpoints import Checkpoint, CheckpointStore, History, weights_digest
from spsn.data.batches import Augmentation, Batch, Batches
from spsn.data.events import EventStore
from spsn.errors import DataError, SpsnError
from spsn.evaluation import by_speaker, test
from spsn.grid import Block, RunSettings, run_settings
from spsn.network import SpikeNoise, StackedNetwork
from spsn.noise import Purpose
from spsn.objective import objective
from spsn.progress import Progress, duration
from spsn.records import Execution, Result, RunRecord
from spsn.settings import Settings

log = logging.getLogger(__name__)

LONG = 6 * 3600.0  # s; a longer training on a CPU is probably not what was meant


class TrainingError(SpsnError):
    """Training cannot go on."""


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


@dataclass
class Stack:
    """Runs that train side by side: equal settings but for the seed, and equally many epochs done."""

    runs: tuple[RunSettings, ...]
    network: StackedNetwork
    optimizer: torch.optim.Adamax
    histories: list[History]
    device: torch.device

    @classmethod
    def begin(cls, runs: Sequence[RunSettings], device: torch.device) -> "Stack":
        """Fresh networks, initialised run by run from their seeds."""
        settings = runs[0]
        network = StackedNetwork(settings, [run.seed for run in runs]).to(device)
        optimizer = torch.optim.Adamax(
            network.parameters(), lr=settings.learning_rate, betas=(0.9, 0.999), eps=1e-8
        )
        return cls(tuple(runs), network, optimizer, [History() for _ in runs], device)

    @property
    def epoch(self) -> int:
        """The next epoch to train."""
        return self.histories[0].epochs

    def checkpoint(self, run: int) -> Checkpoint:
        """The state of one run between two epochs."""
        tensors = {f"parameters.{k}": v for k, v in self.network.run_state(run).items()}
        for name, parameter in self.network.named_parameters():
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{name}.{key}"] = value if value.dim() == 0 else value[run]
        return Checkpoint(tensors, self.histories[run])

    def restore(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Go on from the checkpoints of all runs, which have equally many epochs."""
        self.histories = [checkpoint.history for checkpoint in checkpoints]
        for run, checkpoint in enumerate(checkpoints):
            prefix = "parameters."
            state = {k.removeprefix(prefix): v for k, v in checkpoint.tensors.items() if k.startswith(prefix)}
            self.network.load_run_state(run, state)
        for name, parameter in self.network.named_parameters():
            state = {}
            for key in ("step", "exp_avg", "exp_inf"):
                parts = [checkpoint.tensors[f"optimizer.{name}.{key}"] for checkpoint in checkpoints]
                state[key] = parts[0] if parts[0].dim() == 0 else torch.stack(parts).to(self.device)
            self.optimizer.state[parameter] = state


def train_step(stack: Stack, batch: Batch, epoch: int, step: int) -> tuple[Tensor, Tensor]:
    """One step of every run of the stack; returns losses (S,) and hits (S,), detached."""
    settings = stack.runs[0]
    seeds = stack.network.seeds
    noise = SpikeNoise(seeds, Purpose.TRAINING_SPIKES, epoch, step, stack.device)
    output = stack.network(batch, noise)
    losses = objective(output.logits, batch.labels, output.rates, settings.rate_threshold)
    stack.optimizer.zero_grad(set_to_none=True)
    losses.sum().backward()  # the runs share nothing, so the sum gives each its own gradient
    stack.optimizer.step()
    hits = (output.logits.argmax(dim=2) == batch.labels).sum(dim=1)
    return losses.detach(), hits


def train_epoch(stack: Stack, batches: Batches, samples: int) -> None:
    """One epoch of every run of the stack; raises `TrainingError` where a loss is not finite."""
    started = time.perf_counter()
    settings, epoch = stack.runs[0], stack.epoch
    losses = torch.zeros(len(stack.runs), dtype=torch.float64, device=stack.device)
    hits = torch.zeros(len(stack.runs), dtype=torch.int64, device=stack.device)
    for step, batch in enumerate(batches.training(epoch, Augmentation(settings.shift, settings.scale))):
        loss, hit = train_step(stack, batch.to(stack.device), epoch, step)
        losses += loss
        hits += hit
    mean_losses = (losses / len(batches)).tolist()
    seconds = time.perf_counter() - started
    for run, history, loss, hit in zip(stack.runs, stack.histories, mean_losses, hits.tolist(), strict=True):
        if not torch.isfinite(torch.tensor(loss)):
            raise TrainingError(
                f"the loss became {loss} in epoch {epoch + 1}; settings of the run: {asdict(run)}"
            )
        history.train_loss.append(loss)
        history.train_accuracy.append(hit / samples)
        history.epoch_seconds.append(seconds / len(stack.runs))


def train_block(
    settings: Settings, block: Block, data: Data, results: str | Path, device: torch.device
) -> list[Path]:
    """Train the block's runs, or go on where an earlier trainer was stopped; returns the records' paths.

    Finished runs that only lack their record are emitted again, not retrained. Raises `BusyError` where
    another trainer holds the block, `TrainingError` where the estimate on a CPU passes six hours and
    `allow_long` is not set.
    """
    torch.set_num_threads(settings.execution.threads)
    store = CheckpointStore(results)
    digests = {"train_digest": data.train.digest, "test_digest": data.test.digest}
    classes = len(data.train.classes)
    runs = [run_settings(settings, block, seed, classes=classes, **digests) for seed in block.seeds]
    with store.lock(block.name):
        pending = [run for run in runs if not store.finished(run)]
        log.info(
            "%s: %d runs to train, %d finished before", block.name, len(pending), len(runs) - len(pending)
        )
        if pending:
            _train_pending(pending, settings, block, data, store, device)
        return [store.emit(run) for run in runs]


def _train_pending(
    runs: Sequence[RunSettings],
    settings: Settings,
    block: Block,
    data: Data,
    store: CheckpointStore,
    device: torch.device,
) -> None:
    try:
        stacks = _stacks(runs, store, device)
        _announce(settings, block, stacks, data, device)
        for stack in stacks:
            _train_stack(stack, settings, data, store)
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"{block.name}: {device} has too little memory for {len(runs)} runs at once; make "
            "execution.seeds_per_block or training.batch_size smaller"
        ) from error


def _stacks(runs: Sequence[RunSettings], store: CheckpointStore, device: torch.device) -> list[Stack]:
    """Runs in stacks: one each on a CPU; on a GPU together those with equally many epochs behind them."""
    checkpoints = [store.load(run) for run in runs]
    groups: dict[int, list[int]] = {}
    for i, checkpoint in enumerate(checkpoints):
        key = i if device.type == "cpu" else (checkpoint.history.epochs if checkpoint else 0)
        groups.setdefault(key, []).append(i)
    stacks = []
    for members in groups.values():
        stack = Stack.begin([runs[i] for i in members], device)
        found = [checkpoints[i] for i in members if checkpoints[i] is not None]
        if found:
            stack.restore(found)
        stacks.append(stack)
    return stacks


def _announce(
    settings: Settings, block: Block, stacks: Sequence[Stack], data: Data, device: torch.device
) -> None:
    """Say how many runs are ahead, where, and for how long; stop what was probably not meant."""
    ahead = sum(len(stack.runs) for stack in stacks)
    epochs = [(stack.runs[0].epochs - stack.epoch) * len(stack.runs) for stack in stacks]
    seconds = sum(epochs) * estimate_epoch(stacks[0], data.train)
    threads, expected = settings.execution.threads, duration(seconds)
    log.info("%s: %d runs on %s with %d threads, estimated %s", block.name, ahead, device, threads, expected)
    if device.type == "cpu" and seconds > LONG and not settings.execution.allow_long:
        raise TrainingError(
            f"{block.name}: {ahead} runs would take about {duration(seconds)} on the CPU. Use a machine with "
            "a GPU, fewer epochs, seeds or samples, a longer time_step, or set "
            "`execution: {allow_long: true}` to train all the same."
        )


def estimate_epoch(stack: Stack, store: EventStore, steps: int = 3) -> float:
    """Seconds of one epoch of one run, from a few steps of a copy that is thrown away."""
    trial = Stack.begin(stack.runs, stack.device)
    batches = Batches(store, stack.runs[0].batch_size, trial.network.seeds)
    augmentation = Augmentation(stack.runs[0].shift, stack.runs[0].scale)
    seconds, begun = [], None
    for step, batch in enumerate(batches.training(0, augmentation)):
        begun = begun or time.perf_counter()
        train_step(trial, batch.to(trial.device), 0, step)[0].tolist()  # the list waits for the device
        seconds.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        if step == steps:
            break
    return median(seconds[1:] or seconds) * len(batches) / len(stack.runs)


def _train_stack(stack: Stack, settings: Settings, data: Data, store: CheckpointStore) -> None:
    """Train to the last epoch with checkpoints, test once, keep the finished runs."""
    batches = Batches(data.train, stack.runs[0].batch_size, stack.network.seeds)
    total = stack.runs[0].epochs
    progress = Progress(_title(stack.runs), stack.epoch, total)
    while stack.epoch < total:
        train_epoch(stack, batches, len(data.train))
        last = [(history.train_loss[-1], history.train_accuracy[-1]) for history in stack.histories]
        progress.epoch(stack.epoch, *(sum(column) / len(last) for column in zip(*last, strict=True)))
        if stack.epoch % settings.execution.checkpoint_every == 0 or stack.epoch == total:
            for run, run_ in enumerate(stack.runs):
                store.save(run_, stack.checkpoint(run))
    _finish(stack, data, store)


def _title(runs: Sequence[RunSettings]) -> str:
    seeds = f"seed {runs[0].seed}" if len(runs) == 1 else f"{len(runs)} seeds"
    return f"{runs[0].experiment} {runs[0].model} {runs[0].condition} {seeds}"


def _finish(stack: Stack, data: Data, store: CheckpointStore) -> None:
    """Test the stack and keep record and weights of each run."""
    started = time.perf_counter()
    passed = test(stack.network, data.test, device=stack.device)
    seconds = (time.perf_counter() - started) / len(stack.runs)
    for run, run_settings_ in enumerate(stack.runs):
        weights = stack.network.run_state(run)
        history, predictions = stack.histories[run], passed.predictions[run]
        hits = int((predictions == data.test.label).sum())
        result = Result(
            train_loss=tuple(history.train_loss),
            train_accuracy=tuple(history.train_accuracy),
            test_hits=hits,
            test_total=len(data.test),
            test_accuracy=hits / len(data.test),
            spikes_per_ms=tuple(passed.spikes_per_ms[run].tolist()) if stack.network.kind.spiking else (),
            predictions=tuple(predictions.tolist()),
            speakers=by_speaker(predictions, data.test, data.train),
            weights_digest=weights_digest(weights),
        )
        execution = Execution(
            epoch_seconds=tuple(history.epoch_seconds),
            test_seconds=seconds,
            peak_bytes=peak_bytes(stack.device),
            stack_size=len(stack.runs),
            device=str(stack.device),
            machine=provenance.machine(),
            versions=provenance.versions(),
            git_commit=provenance.git_commit(),
        )
        store.finish(RunRecord(run_settings_, result, execution), weights)


def peak_bytes(device: torch.device) -> int:
    """Most memory that this process has held: on the GPU for a GPU, else resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
