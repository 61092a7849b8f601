"""A network from weights alone: the architecture is read from their shapes, the constants are the paper's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from spsn import devices
from spsn.data.events import EventStore
from spsn.data.shd import CHANNELS
from spsn.errors import RecordError, SettingsError
from spsn.evaluation import test
from spsn.grid import RunSettings
from spsn.methods import PAPER_MODELS
from spsn.network import StackedNetwork

BATCH = 64  # samples, as in the paper


def evaluate_weights(
    weights: Mapping[str, Tensor], model: str, store: EventStore, trials: int = 1, batch_size: int = BATCH
) -> dict[str, Any]:
    """Hits, accuracy and spike rates of weights on a split, one entry a trial; the architecture is read from
    their shapes.

    Time constants are the paper's 20 ms, the step is the store's. A network with more classes than the data
    can be tested too: its further outputs are answers that are always wrong.
    """
    if model not in PAPER_MODELS:
        raise SettingsError(f"there is no model {model!r}; known: {', '.join(PAPER_MODELS)}")
    network = network_of(weights, model, store, batch_size)
    passes = [test(network, store, trial=trial) for trial in range(trials)]
    hits = [int((p.predictions[0] == store.label).sum()) for p in passes]
    return {
        "model": model,
        "samples": len(store),
        "hits": hits,
        "accuracy": [h / len(store) for h in hits],
        "spikes_per_ms": [p.spikes_per_ms[0].tolist() for p in passes] if network.kind.spiking else [],
    }


def network_of(
    weights: Mapping[str, Tensor],
    model: str,
    store: EventStore,
    batch_size: int = BATCH,
    *,
    backend: str = "auto",
    device: torch.device | str = "cpu",
) -> StackedNetwork:
    """A feedforward network with these weights on a device, its architecture read from their shapes, its
    constants the paper's (Table I), its time step the store's; `backend` as `execution.backend`.

    Raises RecordError for weights that do not fit one another, SettingsError for a backend that the device
    does not have.
    """
    layers = len(weights) // 2
    biases = [weights.get(f"{layer}.bias") for layer in range(layers)]
    if layers < 2 or any(bias is None or bias.dim() != 1 or not len(bias) for bias in biases):
        raise _not_weights()
    sizes = [len(bias) for bias in biases]
    for layer, size in enumerate(sizes):  # before a network is made, which biases alone let grow to any size
        weight = weights.get(f"{layer}.weight")
        if weight is None or tuple(weight.shape) != (size, [CHANNELS, *sizes][layer]):
            raise _not_weights()
        if not (weight.is_floating_point() and biases[layer].is_floating_point()):
            raise _not_weights()
    settings = _table_one(model, sizes, store, batch_size)
    backend = devices.backend_on(backend, device)
    network = StackedNetwork(replace(settings, backend=backend), [0]).to(device)
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if shapes != {name: tuple(tensor.shape) for name, tensor in network.run_state(0).items()}:
        raise _not_weights()
    network.load_run_state(0, dict(weights))
    return network


def _not_weights() -> RecordError:
    return RecordError(f"these weights are not those of a feedforward network with {CHANNELS} inputs")


def _table_one(model: str, sizes: Sequence[int], store: EventStore, batch_size: int) -> RunSettings:
    return RunSettings(
        experiment="accuracy",
        model=model,
        condition="published",
        seed=0,
        dataset="",
        classes=sizes[-1],
        train_digest="",
        test_digest=store.digest,
        hidden_layers=len(sizes) - 1,
        hidden_size=sizes[0],
        tau_mem=0.02,
        tau_syn=0.02,
        threshold=1.0,
        time_step=store.time_step_ms / 1000,
        lif_reset="code",
        loss_mode="mean",
        rate_threshold=None,
        shift=0.0,
        scale=0.0,
        epochs=1,
        batch_size=batch_size,
        learning_rate=0.001,
        backend="torch",
        threads=1,
    )
