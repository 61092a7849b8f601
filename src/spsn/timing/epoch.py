"""Figure 3C: the duration of one training epoch, from end to end, and what of it is data and what computing.

Batches are made (order, augmentation, padding), brought to the device and trained on, as in training. A mark
is set before and after each step: on a CPU they divide the wall clock; on CUDA they are events on the stream,
so that `compute` is the device's time for the steps and `data` what of making batches the device had to wait
for. Both add up to the whole.

Every implementation computes with the same number of threads: torch's, or the fused kernels' (`threads.py`).
A tiny step of another network comes first, so that compiling is no part of a measurement.

n batches stand for an epoch: seconds per epoch = mean per batch x batches per epoch. The batches are those of
a random order, the same for every implementation. Some batches of another epoch come first, to warm up and to
predict.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import torch

from spsn import threads
from spsn.data.batches import Batch, Batches
from spsn.data.events import EventStore
from spsn.devices import has_fused
from spsn.grid import RunSettings
from spsn.memory import is_out_of_memory, release
from spsn.settings import Augmentation
from spsn.timing.measure import MEASURED, OUT_OF_MEMORY, TOO_SLOW, Clock, clock_for, default_warm_up
from spsn.timing.networks import TRAINERS, Trainer
from spsn.timing.random_store import even_store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EpochRow:
    """A line of `timing/epoch.csv`. Seconds; numbers are None where `status` is not measured."""

    model: str
    implementation: str
    status: str
    seconds_per_epoch: float | None
    seconds_compute: float | None
    seconds_data: float | None
    batches_measured: int | None
    batches_per_epoch: int
    batch_size: int
    mean_steps: float | None
    augmented: bool
    device: str
    threads: int
    dtype: str


@dataclass(frozen=True)
class EpochTimes:
    """Seconds of every measured batch, apart by data and compute, and their numbers of time steps."""

    status: str
    data: tuple[float, ...] = ()
    compute: tuple[float, ...] = ()
    steps: tuple[int, ...] = ()

    def scaled(self, batches: int) -> tuple[float | None, ...]:
        """Seconds of an epoch of so many batches: whole, compute, data."""
        if self.status != MEASURED:
            return None, None, None
        factor = batches / len(self.data)
        compute, data = factor * sum(self.compute), factor * sum(self.data)
        return compute + data, compute, data


def measure_epoch(
    trainer: Trainer,
    batches: Batches,
    augmentation: Augmentation,
    *,
    count: int | None,
    warmup: int,
    budget_seconds: float,
    clock: Clock,
) -> EpochTimes:
    """Measure `count` batches (None: an epoch's), unless the warm-up predicts more than the budget."""
    count = len(batches) if count is None else min(count, len(batches))
    try:
        fastest = float("inf")
        for number, batch in enumerate(islice(batches.training(0, augmentation), warmup)):
            times = _pass(trainer, iter([batch]), clock)
            fastest = min(fastest, times.data[0] + times.compute[0])
            if number > 0 and fastest * count > budget_seconds or fastest > budget_seconds:
                break
        if fastest * count > budget_seconds:
            return EpochTimes(TOO_SLOW)
        return _pass(trainer, islice(batches.training(1, augmentation), count), clock)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    release()
    return EpochTimes(OUT_OF_MEMORY)


def _pass(trainer: Trainer, batches: Iterator[Batch], clock: Clock) -> EpochTimes:
    """Train on the batches, a mark before and after each step."""
    clock.wait()
    marks, steps = [clock.mark()], []
    for number, batch in enumerate(batches):
        prepared = trainer.prepare(batch)
        marks.append(clock.mark())
        trainer.step(prepared, number)
        marks.append(clock.mark())
        steps.append(batch.shape[2])
    clock.wait()
    durations = tuple(clock.seconds(a, b) for a, b in pairwise(marks))
    return EpochTimes(MEASURED, durations[0::2], durations[1::2], tuple(steps))


def epoch_rows(
    runs: Sequence[RunSettings],
    store: EventStore,
    device: torch.device,
    *,
    count: int | None,
    budget_seconds: float,
    device_name: str,
    implementations: Sequence[str] = (),
    clock: Clock | None = None,
) -> list[EpochRow]:
    """Measure every implementation that the device has, or those named, of the model of each run, trained on
    `store`, with as many threads as torch has now.
    """
    clock, rows, count_threads = clock or clock_for(device), [], torch.get_num_threads()
    for run in runs:
        for model, implementation in TRAINERS:
            if implementation == "fused" and not has_fused(device):
                continue
            if model == run.model and (not implementations or implementation in implementations):
                threads.use(implementation, count_threads, device)
                _rehearse(TRAINERS[model, implementation](run, device), run)
                batches = Batches(store, run.batch_size, (run.seed,))
                times = measure_epoch(
                    TRAINERS[model, implementation](run, device),
                    batches,
                    Augmentation(run.shift, run.scale),
                    count=count,
                    warmup=default_warm_up(device),
                    budget_seconds=budget_seconds,
                    clock=clock,
                )
                threads.use("torch", count_threads, device)
                rows.append(_row(run, implementation, times, len(batches), device_name))
                seconds = f" {rows[-1].seconds_per_epoch:.4g} s" if times.status == MEASURED else ""
                log.info("%s, %s: %s%s", model, implementation, times.status, seconds)
    return rows


def _rehearse(trainer: Trainer, run: RunSettings) -> None:
    """One step on two samples of eight time steps."""
    tiny = Batches(even_store(2, 8), 2, (run.seed,))
    trainer.step(trainer.prepare(next(tiny.training(0, Augmentation(0.0, 0.0)))), 0)


def _row(run: RunSettings, implementation: str, times: EpochTimes, batches: int, device: str) -> EpochRow:
    return EpochRow(
        run.model,
        implementation,
        times.status,
        *times.scaled(batches),
        batches_measured=len(times.data) or None,
        batches_per_epoch=batches,
        batch_size=run.batch_size,
        mean_steps=sum(times.steps) / len(times.steps) if times.steps else None,
        augmented=run.shift > 0 or run.scale > 0,
        device=device,
        threads=torch.get_num_threads(),
        dtype="float32",
    )
