"""The network of a weights file with the settings that trained it.

A run leaves its record beside its weights, under the same name, and the weights say that they are a run's:
they are tested as the run tested them. Of any other weights nobody knows more than their shapes show, and the
rest is taken from Table I of the paper (`weights.network_of`).
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from spsn import threads
from spsn.checkpoints import load_weights, weights_digest
from spsn.data.events import EventStore
from spsn.devices import backend_on
from spsn.errors import DataError, RecordError, SettingsError
from spsn.files import parse_json
from spsn.grid import RunSettings
from spsn.methods import PAPER_MODELS, TRAITS
from spsn.published import load_published
from spsn.records import RunRecord, read_record
from spsn.weights import evaluate, evaluate_weights, not_weights, sizes_of, with_weights


def evaluate_file(path: Path, test: Path, model: str | None = None, trials: int = 1) -> dict[str, Any]:
    """`weights.evaluate` of the network in the file `path` on the event store in the file `test`.

    A run's .safetensors know their model, bare weights (.pt: as the authors publish theirs) need `model`.
    Raises RecordError for what are no weights and for a record that is not theirs, SettingsError for a model
    that is not theirs or is unknown, DataError for events that cannot be read, or have other steps than a
    run's.
    """
    published = path.suffix == ".pt"
    weights = load_published(path, sizes=None) if published else load_weights(path)
    record = None if published else record_of(path, weights)
    store = EventStore.load(test)
    try:
        if record is None:
            return _of_bare(path, weights, model, store, trials)
        return _of_run(path, weights, record.settings, model, store, trials)
    except RecordError as error:
        raise RecordError(f"{path}: {error}; name a run's weights, or published ones") from error


def record_of(path: Path, weights: Mapping[str, Tensor]) -> RunRecord | None:
    """The record of the run that `weights`, read from `path`, belong to; None where they are no run's.

    Raises RecordError where they are a run's and its record does not lie beside them, whole, or lies beside
    others.
    """
    beside = path.with_suffix(".json")
    try:
        record = read_record(beside)
    except RecordError:
        if not _is_of_a_run(path):
            return None
        if beside.exists():
            raise
        raise RecordError(
            f"{path}: these weights are a run's, and the settings that they need stand in its record; put "
            f"that beside them, as {beside.name}"
        ) from None
    if record.result.weights_digest != weights_digest(dict(weights)):
        raise RecordError(
            f"{beside}: is the record of other weights than {path.name}; put files of one run side by side"
        )
    return record


def _is_of_a_run(path: Path) -> bool:
    """Whether a whole weights file says that a run made it."""
    with safe_open(path, framework="pt") as file:
        return "settings" in parse_json((file.metadata() or {}).get("run", "{}"), finite=False)


def _of_bare(
    path: Path, weights: Mapping[str, Tensor], model: str | None, store: EventStore, trials: int
) -> dict[str, Any]:
    if model is None:
        raise SettingsError(
            f"{path}: these weights do not say of which model they are; name it: --model "
            f"{', '.join(PAPER_MODELS[:-1])} or {PAPER_MODELS[-1]}"
        )
    threads.use("fused", torch.get_num_threads())
    return evaluate_weights(weights, model, store, trials)


def _of_run(
    path: Path,
    weights: Mapping[str, Tensor],
    settings: RunSettings,
    model: str | None,
    store: EventStore,
    trials: int,
) -> dict[str, Any]:
    record = path.with_suffix(".json")
    if model not in (None, settings.model):
        raise SettingsError(
            f"{record}: says that these are weights of {settings.model}, not of {model!r}; leave --model out"
        )
    if abs(store.time_step_ms - 1000.0 * settings.time_step) > 1e-9:
        raise DataError(
            f"{record}: the run was trained in steps of {1000 * settings.time_step:g} ms, but the events are "
            f"in steps of {store.time_step_ms:g} ms; bin them with `spsn events --time-step "
            f"{settings.time_step:g}`"
        )
    _check(settings, weights, record)
    settings = replace(settings, backend=backend_on(settings.backend, "cpu"))
    threads.use(settings.backend, settings.threads)
    return evaluate(with_weights(settings, weights), store, trials, str(record))


def _check(settings: RunSettings, weights: Mapping[str, Tensor], record: Path) -> None:
    """Raise RecordError unless a network can be made of the settings, and has the weights' sizes: before it
    takes memory for them.
    """
    numbers = (settings.tau_mem, settings.tau_syn, settings.batch_size, settings.threads)
    if settings.model not in TRAITS or min(numbers) <= 0:
        raise RecordError(f"{record}: no network has its settings; put the run's own record in its place")
    *hidden, classes = sizes_of(weights)
    lengths = {length for tensor in weights.values() for length in tensor.shape}
    fits = len(hidden) == settings.hidden_layers and set(hidden) == {settings.hidden_size}
    if not fits or classes != settings.classes or settings.steps not in (None, *lengths):
        raise not_weights()
