"""One whole training step (forward, backward, Adamax) of Table I's network, as a subject to be measured.

The data are random spikes of the density of SHD, every sample exactly T steps (`random_store.even_store`).
`baseline` is the paper's way (`networks.PaperNetwork`); its input is made dense before, as data, not in the
step; `dense_bytes` says how large it is. The package's own backends read events in the step itself.

Memory: a small step comes first, so that neither libraries nor compilers count. Bytes held are those when
network, optimizer and batch are there; whatever a step takes beyond, kept or given back, is what it adds.
"""

from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import nn

from spsn import grid
from spsn.data.batches import Batch, Batches
from spsn.data.events import EventStore
from spsn.data.shd import CHANNELS
from spsn.errors import SpsnError
from spsn.grid import RunSettings
from spsn.methods import PAPER_MODELS
from spsn.settings import Augmentation
from spsn.threads import use
from spsn.timing.measure import Function
from spsn.timing.networks import TRAINERS
from spsn.timing.random_store import check_steps, even_store
from spsn.timing.worker import Subject

MODELS = PAPER_MODELS
BACKENDS = {"baseline": "paper", "unbind": "unbind", "torch": "torch", "fused": "fused"}
SMALL = 2, 8  # samples and steps of the step that comes before all
STEP = f"{__name__}:step_subject"  # what a contestant names


def table_one(model: str, store: EventStore, **changes: Any) -> RunSettings:
    """The run of Table I's network of `model` on the spikes of `store`, neither augmented nor regularised."""
    of_store = {"classes": len(store.classes), "time_step": store.time_step_ms / 1000.0}
    named = {"experiment": "timing", "dataset": "random", "threads": 2}
    return grid.table_one(model, **of_store | named | changes)


def check(model: str, backend: str, runs: int, time_steps: int) -> None:
    """Raise `SpsnError` for what cannot be measured, before a process is started for it."""
    check_steps(time_steps)
    if backend == "unbind" and model != "lif":
        raise SpsnError(f"unbind is LIF's loop over time; {model} has baseline, torch and fused")
    if BACKENDS[backend] in ("paper", "unbind") and runs > 1:
        raise SpsnError(
            f"{backend} is the paper's way, which trains one network, not a stack of {runs} runs; "
            "leave runs at 1, or take backend torch or fused"
        )


def step_subject(
    model: str,
    backend: str,
    *,
    batch: int = 64,
    time_steps: int = 1000,
    runs: int = 1,
    device: str = "cpu",
    threads: int = 2,
    hidden_size: int = 128,
) -> Subject:
    """A step of `runs` networks with `batch` samples each. Raises `SpsnError` for what cannot be measured."""
    check(model, backend, runs, time_steps)
    there, numbers = torch.device(device), {"threads": threads, "hidden_size": hidden_size}
    use(backend, threads, there)
    ready(model, backend, *SMALL, runs, there, numbers).step(lambda: None)
    subject = ready(model, backend, batch, time_steps, runs, there, numbers)
    return Subject(subject.step, there, lambda: {"dense_bytes": dense_bytes(subject.spikes)})


@dataclass(frozen=True)
class Ready:
    """A network, spikes, and its training step on them, all on the device."""

    network: nn.Module
    spikes: Batch
    step: Function


def ready(
    model: str, backend: str, batch: int, steps: int, runs: int, device: torch.device, changes: dict[str, Any]
) -> Ready:
    """A fresh network of Table I with `changes`, and `batch` samples of `steps` steps for each run."""
    store = even_store(batch, steps)
    run = table_one(model, store, batch_size=batch, **changes)
    options = {"runs": runs} if backend in ("torch", "fused") else {}
    trainer = TRAINERS[model, BACKENDS[backend]](run, device, **options)
    spikes = next(Batches(store, batch, tuple(range(runs))).training(0, Augmentation()))
    prepared, number = trainer.prepare(spikes), count()
    return Ready(trainer.network, spikes, lambda lap: trainer.step(prepared, next(number)))


def dense_bytes(batch: Batch) -> int:
    """What the batch takes where it is dense, in float32."""
    runs, samples, steps = batch.shape
    return 4 * runs * samples * steps * CHANNELS
