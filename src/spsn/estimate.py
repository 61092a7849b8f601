"""How long a training will take, said before it begins."""

import logging
import time
from collections.abc import Sequence
from statistics import median

import torch

from spsn.data.batches import Batches
from spsn.data.events import EventStore
from spsn.errors import TrainingError
from spsn.memory import is_out_of_memory, release
from spsn.progress import duration
from spsn.settings import Augmentation, Settings
from spsn.stack import Stack, train_step

log = logging.getLogger(__name__)

LONG = 6 * 3600.0  # s; a longer training on a CPU is probably not what was meant


def announce(
    title: str, settings: Settings, stacks: Sequence[Stack], store: EventStore, device: torch.device
) -> None:
    """Say how many runs are ahead on `store`, where, and for how long.

    Raises `TrainingError` where that would take over `LONG` on a CPU, unless `allow_long` is set: it was
    probably not meant.
    """
    runs = [run for stack in stacks for run in stack.runs]
    epochs = sum((stack.runs[0].epochs - stack.epoch) * len(stack.runs) for stack in stacks)
    seconds = epochs * _estimate_or_zero(stacks[0], store)
    expected, backend = duration(seconds) if seconds else "no time yet", runs[0].backend
    log.info(
        "%s: %d runs on %s by the %s backend with %d threads, estimated %s",
        title, len(runs), device, backend, settings.execution.threads, expected,
    )  # fmt: skip
    if device.type == "cpu" and seconds > LONG and not settings.execution.allow_long:
        raise TrainingError(
            f"{title}: {len(runs)} runs would take about {expected} on the CPU. Use a machine with a "
            "GPU, fewer epochs, seeds or samples, a longer time_step, or set `execution: {allow_long: true}` "
            "to train all the same."
        )


def _estimate_or_zero(stack: Stack, store: EventStore) -> float:
    """The estimate; 0 where memory does not suffice for a stack that can be halved."""
    try:
        return estimate_epoch(stack, store)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error) or len(stack.runs) == 1:
            raise
    release()
    return 0.0


def estimate_epoch(stack: Stack, store: EventStore, steps: int = 3) -> float:
    """Seconds of one epoch of one run, from a few steps of a copy that is thrown away."""
    trial = Stack.begin(stack.runs, stack.device)
    batches = Batches(store, stack.runs[0].batch_size, trial.network.seeds)
    augmentation = Augmentation(stack.runs[0].shift, stack.runs[0].scale)
    seconds, begun = [], time.perf_counter()
    for step, batch in enumerate(batches.training(0, augmentation)):
        train_step(trial, batch.to(trial.device), 0, step)[0].tolist()  # the list waits for the device
        seconds.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        if step == steps:
            break
    return median(seconds[1:] or seconds) * len(batches) / len(stack.runs)
