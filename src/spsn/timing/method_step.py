"""One training step of one method's network on samples of exactly T steps, measured in the process that asks.

A step is what training does with a batch (`spsn.stack.train_step`): forward, objective, backward, Adamax. The
batch is made, and brought to the device, before. The spikes are random and of SHD's density
(`random_store.even_store`).

`peak_bytes` is what network, optimizer, batch and steps hold at most beyond what the process held before they
were made: on a GPU bytes of tensors, on a CPU resident ones. A small step comes before all that, so that
neither libraries nor compilers count. A process is to measure one step, since memory that it once used may
stay with it.

On a CPU, where taking more memory than there is may end other programs, the process limits its own.
"""

import resource
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import torch

from spsn.data.batches import Batches
from spsn.devices import make_deterministic
from spsn.grid import RunSettings
from spsn.memory import available_bytes, peak_after, release, reset_peak
from spsn.processes import keep_memory
from spsn.settings import Augmentation
from spsn.threads import use
from spsn.timing.measure import default_warm_up, measure
from spsn.timing.networks import package_trainer
from spsn.timing.random_store import even_store

SMALL = 2, 8  # samples and steps of the step that comes before all
MEASURE_STEP = f"{__name__}:measure_step"  # what a process is asked for


def measure_step(
    run: dict[str, Any], *, steps: int, device: str, repeats: int, budget_seconds: float
) -> dict[str, Any]:
    """status, seconds of every repeat, peak_bytes (None where peaks cannot be told) of a step of `run`.

    `run` are the fields of `RunSettings`; the budget is for the repeats together (`measure.measure`).
    """
    settings, there = RunSettings(**run), torch.device(device)
    if there.type == "cuda":
        torch.cuda.set_device(there)
    keep_memory()
    use(settings.backend, settings.threads, there)
    make_deterministic(there)
    training_step(shorter(settings, *SMALL), SMALL[1], there)()
    release()
    held = reset_peak(there)
    limit_memory(there)
    step = training_step(settings, steps, there)
    options = {"repeats": repeats, "warmup": default_warm_up(there), "budget_seconds": budget_seconds}
    found = measure(lambda lap: step(), device=there, **options)
    peak = peak_after(held, there)
    grown = None if peak is None else max(0, peak - held)
    return {"status": found.status, "seconds": found.seconds, "peak_bytes": grown}


def training_step(run: RunSettings, steps: int, device: torch.device) -> Callable[[], None]:
    """Trains a fresh network of `run` on one batch of samples of `steps` steps, one step a call."""
    batches = Batches(even_store(run.batch_size, steps), run.batch_size, (run.seed,))
    trainer = package_trainer(run.backend, run, device)
    prepared, numbers = trainer.prepare(next(batches.training(0, Augmentation()))), count()
    return lambda: trainer.step(prepared, next(numbers))


def shorter(run: RunSettings, samples: int, steps: int) -> RunSettings:
    """The same network for so many samples and steps."""
    return replace(run, batch_size=samples, steps=None if run.steps is None else steps)


def limit_memory(device: torch.device) -> None:
    """Let allocations on a CPU fail that want more than there is left; nothing where that cannot be told."""
    room = available_bytes(device)
    try:
        data_pages = int(Path("/proc/self/statm").read_text().split()[5])  # proc(5): data and stack
    except OSError:
        return
    if room is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = data_pages * resource.getpagesize() + room
        resource.setrlimit(resource.RLIMIT_DATA, (most if hard < 0 else min(most, hard), hard))
