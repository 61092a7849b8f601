"""The timing study: Figure 3C and Figure 5 of arXiv 2306.12666 as two tables of a configuration."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import torch

from spsn import files, threads
from spsn.data.events import EventStore
from spsn.errors import SettingsError
from spsn.grid import Block, Condition, RunSettings, run_settings
from spsn.settings import Settings
from spsn.timing.epoch import EpochRow, epoch_rows
from spsn.timing.sequence_length import LengthRow, length_rows, measure_lengths


def sequence_length_study(settings: Settings, device: torch.device) -> list[LengthRow]:
    """Figure 5 (`timing/sequence_length.csv`), with the time constants of the configuration's `network`."""
    threads.use("torch", settings.execution.threads, device)
    timing = settings.experiments.timing.sequence_length
    return length_rows(measure_lengths(timing, settings.network, device), timing, device_name(device))


def epoch_study(settings: Settings, train_store: EventStore, device: torch.device) -> list[EpochRow]:
    """Figure 3C (`timing/epoch.csv`): the accuracy experiment's networks on its training split, augmented.

    Raises `SettingsError` where `train_store` is not binned with that experiment's time step.
    """
    threads.use("torch", settings.execution.threads, device)
    timing = settings.experiments.timing.epoch
    runs = [epoch_run(settings, model, train_store) for model in timing.models]
    options = {"count": timing.batches, "budget_seconds": timing.seconds_per_point}
    return epoch_rows(runs, train_store, device, **options, device_name=device_name(device))


def epoch_run(settings: Settings, model: str, train_store: EventStore) -> RunSettings:
    """The run whose epoch is timed: the accuracy experiment's network of `model`, augmented, seed 0."""
    accuracy = settings.experiments.accuracy
    step_ms = 1000.0 * accuracy.network.time_step
    if abs(train_store.time_step_ms - step_ms) > 1e-9 * step_ms:
        raise SettingsError(
            f"the training data are binned in steps of {train_store.time_step_ms} ms, but the accuracy "
            f"experiment has steps of {step_ms} ms; give the event store of that step"
        )
    block = Block(
        "timing", model, Condition("augmented", augmented=True), (0,), accuracy.network, accuracy.training
    )
    names = {"train_digest": "", "test_digest": ""}  # nothing is trained that could be confused
    classes = len(train_store.classes)
    return run_settings(settings, block, 0, classes=classes, **names, backend="torch")  # trainers change it


def device_name(device: torch.device) -> str:
    """The device as the tables name it: cpu, or cuda with the GPU's name."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def write_rows(rows: Sequence[EpochRow] | Sequence[LengthRow], path: str | Path) -> None:
    """Write rows of one kind as CSV, a column a field; what is None stays empty. The file appears whole."""
    files.write_rows(map(asdict, rows), path, [field.name for field in fields(rows[0])])
