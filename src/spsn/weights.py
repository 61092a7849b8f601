"""A network from weights alone: the architecture is read from their shapes, the constants are the paper's.

What they were trained with cannot be seen in them; of a run's, `run_weights` knows it.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from spsn import devices
from spsn.data.events import EventStore
from spsn.data.shd import CHANNELS
from spsn.errors import RecordError, SettingsError
from spsn.evaluation import test
from spsn.grid import RunSettings, table_one
from spsn.methods import PAPER_MODELS
from spsn.network import StackedNetwork

BATCH = 64  # samples, as in the paper
TABLE_ONE = "Table I, assumed"  # where the settings of bare weights are from
SAID = ("tau_mem", "tau_syn", "threshold", "time_step", "lif_reset", "loss_mode")  # what no weights show


def evaluate(network: StackedNetwork, store: EventStore, trials: int, source: str) -> dict[str, Any]:
    """Hits, accuracy and spike rates of a network on a split, one entry a trial; and the settings `SAID`, and
    that they are from `source`. Trial 0 is the one that a run record reports.

    A network with more classes than the data can be tested too: its further outputs are answers that are
    always wrong.
    """
    passes = [test(network, store, trial=trial) for trial in range(trials)]
    hits = [int((p.predictions[0] == store.label).sum()) for p in passes]
    return {
        "model": network.settings.model,
        "settings": {"from": source} | {name: getattr(network.settings, name) for name in SAID},
        "samples": len(store),
        "hits": hits,
        "accuracy": [h / len(store) for h in hits],
        "spikes_per_ms": [p.spikes_per_ms[0].tolist() for p in passes] if network.kind.spiking else [],
    }


def evaluate_weights(
    weights: Mapping[str, Tensor], model: str, store: EventStore, trials: int = 1, batch_size: int = BATCH
) -> dict[str, Any]:
    """`evaluate` of bare weights, as `network_of` reads them; raises as that does."""
    if model not in PAPER_MODELS:
        raise SettingsError(f"there is no model {model!r}; known: {', '.join(PAPER_MODELS)}")
    return evaluate(network_of(weights, model, store, batch_size), store, trials, TABLE_ONE)


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
    sizes = sizes_of(weights)
    backend = devices.backend_on(backend, device)
    architecture = {"hidden_layers": len(sizes) - 1, "hidden_size": sizes[0], "classes": sizes[-1]}
    told = {"time_step": store.time_step_ms / 1000, "batch_size": batch_size, "backend": backend}
    return with_weights(table_one(model, **architecture, **told), weights, device)


def sizes_of(weights: Mapping[str, Tensor]) -> list[int]:
    """Neurons of every layer, the readout last. Raises RecordError for weights that do not fit together."""
    layers = sum(name.endswith(".bias") for name in weights)
    biases = [weights.get(f"{layer}.bias") for layer in range(layers)]
    if layers < 2 or any(bias is None or bias.dim() != 1 or not len(bias) for bias in biases):
        raise not_weights()
    sizes = [len(bias) for bias in biases]
    for layer, size in enumerate(sizes):  # before a network is made, which biases alone let grow to any size
        weight = weights.get(f"{layer}.weight")
        if weight is None or tuple(weight.shape) != (size, [CHANNELS, *sizes][layer]):
            raise not_weights()
        if not (weight.is_floating_point() and biases[layer].is_floating_point()):
            raise not_weights()
    return sizes


def with_weights(
    settings: RunSettings, weights: Mapping[str, Tensor], device: torch.device | str = "cpu"
) -> StackedNetwork:
    """The network of one run with these weights, on a device. Raises RecordError where they do not fit it."""
    network = StackedNetwork(settings, [settings.seed]).to(device)
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if shapes != {name: tuple(tensor.shape) for name, tensor in network.run_state(0).items()}:
        raise not_weights()
    network.load_run_state(0, dict(weights))
    return network


def not_weights() -> RecordError:
    """What is said of tensors that are no network's."""
    return RecordError(f"these weights are not those of a feedforward network with {CHANNELS} inputs")
