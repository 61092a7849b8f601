"""Seconds of an epoch of one run, for stacks of runs that train side by side.

The steps are those of training, in the order of an epoch: batches are drawn, augmented, brought to the device
and trained on (`spsn.stack.train_step`). Some come first and are not counted: they compile, and tell how many
are to be timed. Time is taken at the first and at the last of the others alone, from an idle device to an
idle device.

    seconds_per_run_epoch = seconds of n steps / n x steps of an epoch / runs        ("scaled")

`whole_epochs` times epochs from end to end (`spsn.stack.train_epoch`), to hold the scaled figure against.
`paper_epoch` does the same for the paper's way of computing, one network, n steps for an epoch
("extrapolated"). The data are those of `shd_like`.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import torch
from torch import Tensor

from spsn.data.batches import Batch, Batches
from spsn.data.events import EventStore
from spsn.devices import has_fused, make_deterministic
from spsn.errors import SpsnError
from spsn.grid import RunSettings
from spsn.memory import peak_after, release, reset_peak
from spsn.settings import Augmentation
from spsn.stack import Stack, train_epoch, train_step
from spsn.threads import use
from spsn.timing.epoch import measure_epoch
from spsn.timing.measure import TOO_SLOW, Clock, clock_for
from spsn.timing.networks import TRAINERS
from spsn.timing.shd_like import shd_like
from spsn.timing.steps import table_one

SHIFT, SCALE = 0.1, 0.3  # of Table I
FEWEST = 2  # steps that are timed, however long they take


def stack_epoch(
    model: str,
    backend: str,
    runs: int,
    *,
    augmented: bool,
    data: dict[str, Any],
    device: str,
    threads: int,
    batch_size: int = 64,
    warmup: int = 4,
    seconds: float = 2.0,
) -> dict[str, Any]:
    """Time about `seconds` of steps of `runs` networks of Table I, an epoch's at most; see the module's text.

    `data` are the arguments of `shd_like`. Raises `SpsnError` where the device has no such backend.
    """
    there, store = prepared(backend, device, threads), shd_like(**data)
    begun, held = time.perf_counter(), reset_peak(there)
    trained = begin(stack_runs(model, backend, runs, store, augmented, threads, batch_size), store, there)
    times, steps = _warmed_up(trained, warmup, begun), len(trained.batches)
    wanted = round(seconds / max(1e-6, times[-1] - times[-2]))
    chosen = max(FEWEST, min(wanted, steps))
    elapsed, lengths, finite = _timed(trained, chosen)
    peak = peak_after(held, there)
    return {
        "seconds_per_run_epoch": elapsed / chosen * steps / runs,
        "seconds_per_step": elapsed / chosen,
        "how": f"scaled: {chosen} steps for an epoch of {steps}",
        "mean_steps": sum(length / runs for length in lengths) / chosen,
        "first_step_seconds": times[1] - times[0],
        "peak_bytes": peak,
        "grown_bytes": None if peak is None else peak - held,
        "finite": finite,
    }


def whole_epochs(
    model: str,
    backend: str,
    runs: int,
    *,
    augmented: bool,
    data: dict[str, Any],
    device: str,
    threads: int,
    batch_size: int = 64,
    epochs: int = 2,
) -> dict[str, Any]:
    """Train whole epochs; the figure is the last one's, since the first one compiles."""
    there, store = prepared(backend, device, threads), shd_like(**data)
    trained = begin(stack_runs(model, backend, runs, store, augmented, threads, batch_size), store, there)
    seconds = []
    for _ in range(epochs):
        trained.clock.wait()
        begun = time.perf_counter()
        train_epoch(trained.stack, trained.batches)
        trained.clock.wait()
        seconds.append((time.perf_counter() - begun) / runs)
    return {
        "seconds_per_run_epoch": seconds[-1],
        "all_seconds_per_run_epoch": seconds,
        "how": f"whole epochs of {len(trained.batches)} steps",
        "finite": not trained.stack.broken,
    }


def paper_epoch(
    model: str,
    *,
    augmented: bool,
    data: dict[str, Any],
    device: str,
    threads: int,
    batch_size: int = 64,
    warmup: int = 2,
    steps: int = 4,
    seconds: float = 60.0,
) -> dict[str, Any]:
    """A few steps of the paper's network; `status` is too-slow where the warm-up predicts over `seconds`."""
    there, store = torch.device(device), shd_like(**data)
    _fresh("torch", there, threads)
    torch.use_deterministic_algorithms(False)  # the authors' program does not ask for it
    (run,) = stack_runs(model, "torch", 1, store, augmented, threads, batch_size)
    batches, held = Batches(store, batch_size, (run.seed,)), reset_peak(there)
    trainer, augmentation = TRAINERS[model, "paper"](run, there), Augmentation(run.shift, run.scale)
    options = {"count": steps, "warmup": warmup, "budget_seconds": seconds, "clock": clock_for(there)}
    times = measure_epoch(trainer, batches, augmentation, **options)
    whole, compute, feeding = times.scaled(len(batches))
    return {
        "status": times.status,
        "seconds_per_run_epoch": whole,
        "seconds_compute": compute,
        "seconds_data": feeding,
        "how": f"extrapolated: {len(times.steps)} steps for an epoch of {len(batches)}",
        "mean_steps": sum(times.steps) / len(times.steps) if times.steps else None,
        "peak_bytes": None if times.status == TOO_SLOW else peak_after(held, there),
    }


def stack_runs(
    model: str, backend: str, runs: int, store: EventStore, augmented: bool, threads: int, batch_size: int
) -> list[RunSettings]:
    """`runs` seeds of Table I's network on `store`."""
    changes = {"condition": "augmented", "shift": SHIFT, "scale": SCALE} if augmented else {}
    fixed = {"backend": backend, "threads": threads, "batch_size": batch_size, **changes}
    return [table_one(model, store, seed=seed, **fixed) for seed in range(runs)]


@dataclass(frozen=True)
class Trained:
    """A stack in training, its batches, what feeds it epoch after epoch (`feed_of`), its device's clock."""

    stack: Stack
    batches: Batches
    feed: Iterator[tuple[int, int, Batch]]
    clock: Clock

    def steps(self, number: int) -> Iterator[tuple[Tensor, Batch]]:
        """Train so many steps; yields the losses (S,) of each, and its batch as it was on the host."""
        for epoch, step, batch in islice(self.feed, number):
            losses, _ = train_step(self.stack, batch.to(self.stack.device), epoch, step)
            yield losses, batch


def begin(runs: Sequence[RunSettings], store: EventStore, device: torch.device) -> Trained:
    """A fresh stack of these runs on `store`."""
    stack = Stack.begin(runs, device)
    batches = Batches(store, runs[0].batch_size, stack.network.seeds)
    return Trained(stack, batches, feed_of(batches, runs[0]), clock_for(device))


def _warmed_up(trained: Trained, steps: int, begun: float) -> list[float]:
    """Train so many steps; the time (s) at which it began, and when the device was done with each."""
    times = [begun]
    for _ in trained.steps(steps):
        trained.clock.wait()
        times.append(time.perf_counter())
    return times


def _timed(trained: Trained, steps: int) -> tuple[float, list[int], bool]:
    """Seconds of so many steps; T of each, summed over its runs; whether the last losses are finite."""
    lengths, first = [], trained.clock.mark()
    for losses, batch in trained.steps(steps):
        lengths.append(sum(batch.lengths))
        latest = losses
    last = trained.clock.mark()
    trained.clock.wait()
    return trained.clock.seconds(first, last), lengths, bool(latest.isfinite().all())


def prepared(backend: str, device: str, threads: int) -> torch.device:
    """The device, as it is in training: sums in one order."""
    there = torch.device(device)
    if backend == "fused" and not has_fused(there):
        raise SpsnError(f"there are no fused forms for {there.type}")
    _fresh(backend, there, threads)
    make_deterministic(there)
    return there


def _fresh(backend: str, device: torch.device, threads: int) -> None:
    use(backend, threads, device)
    release()


def feed_of(batches: Batches, run: RunSettings) -> Iterator[tuple[int, int, Batch]]:
    """Epoch, step and batch, epoch after epoch."""
    for epoch in count():
        for step, batch in enumerate(batches.training(epoch, Augmentation(run.shift, run.scale))):
            yield epoch, step, batch
