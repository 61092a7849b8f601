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
from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import torch

from spsn.data.batches import Batch, Batches
from spsn.data.events import EventStore
from spsn.devices import has_fused, make_deterministic
from spsn.errors import SpsnError
from spsn.grid import RunSettings
from spsn.memory import peak_bytes, release, reset_peak
from spsn.settings import Augmentation
from spsn.stack import Stack, train_epoch, train_step
from spsn.threads import use
from spsn.timing.epoch import measure_epoch
from spsn.timing.measure import TOO_SLOW, clock_for
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
    stack, batches = begin(model, backend, runs, store, augmented, threads, batch_size, there)
    feed = feed_of(batches, stack.runs[0])
    clock, times = clock_for(there), [begun]
    for epoch, step, batch in islice(feed, warmup):
        train_step(stack, batch.to(there), epoch, step)
        clock.wait()
        times.append(time.perf_counter())
    wanted = round(seconds / max(1e-6, times[-1] - times[-2]))
    chosen, lengths = max(FEWEST, min(wanted, len(batches))), []
    first = clock.mark()
    for epoch, step, batch in islice(feed, chosen):
        losses, _ = train_step(stack, batch.to(there), epoch, step)
        lengths.append(sum(batch.lengths) / runs)
    last = clock.mark()
    clock.wait()
    elapsed = clock.seconds(first, last)
    peak = None if held is None else peak_bytes(there)
    return {
        "seconds_per_run_epoch": elapsed / chosen * len(batches) / runs,
        "seconds_per_step": elapsed / chosen,
        "how": f"scaled: {chosen} steps for an epoch of {len(batches)}",
        "mean_steps": sum(lengths) / chosen,
        "first_step_seconds": times[1] - times[0],
        "peak_bytes": peak,
        "grown_bytes": None if peak is None else peak - held,
        "finite": bool(losses.isfinite().all()),
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
    stack, batches = begin(model, backend, runs, store, augmented, threads, batch_size, there)
    clock, seconds = clock_for(there), []
    for _ in range(epochs):
        clock.wait()
        begun = time.perf_counter()
        train_epoch(stack, batches)
        clock.wait()
        seconds.append((time.perf_counter() - begun) / runs)
    return {
        "seconds_per_run_epoch": seconds[-1],
        "all_seconds_per_run_epoch": seconds,
        "how": f"whole epochs of {len(batches)} steps",
        "finite": not stack.broken,
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
    times = measure_epoch(
        TRAINERS[model, "paper"](run, there),
        batches,
        Augmentation(run.shift, run.scale),
        count=steps,
        warmup=warmup,
        budget_seconds=seconds,
        clock=clock_for(there),
    )
    whole, compute, feeding = times.scaled(len(batches))
    return {
        "status": times.status,
        "seconds_per_run_epoch": whole,
        "seconds_compute": compute,
        "seconds_data": feeding,
        "how": f"extrapolated: {len(times.steps)} steps for an epoch of {len(batches)}",
        "mean_steps": sum(times.steps) / len(times.steps) if times.steps else None,
        "peak_bytes": None if held is None or times.status == TOO_SLOW else peak_bytes(there),
    }


def stack_runs(
    model: str, backend: str, runs: int, store: EventStore, augmented: bool, threads: int, batch_size: int
) -> list[RunSettings]:
    """`runs` seeds of Table I's network on `store`."""
    changes = {"condition": "augmented", "shift": SHIFT, "scale": SCALE} if augmented else {}
    fixed = {"backend": backend, "threads": threads, "batch_size": batch_size, **changes}
    return [table_one(model, store, seed=seed, **fixed) for seed in range(runs)]


def begin(
    model: str,
    backend: str,
    runs: int,
    store: EventStore,
    augmented: bool,
    threads: int,
    batch_size: int,
    device: torch.device,
) -> tuple[Stack, Batches]:
    """A fresh stack of these runs, and its batches."""
    stack = Stack.begin(stack_runs(model, backend, runs, store, augmented, threads, batch_size), device)
    return stack, Batches(store, batch_size, stack.network.seeds)


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
