"""This package's LIF network in each of its implementations (`spsn.timing.networks.TRAINERS`).

The fused and the plain one take events; the paper's way and the loop without slices take dense input.
"""

import numpy as np
import torch
from torch import nn

from benchmarks.peer_networks.inputs import LEARNING_RATE, TAU, THRESHOLD, TIME_STEP, Inputs, Shape
from spsn.data.batches import Batches
from spsn.data.events import EventStore
from spsn.errors import SpsnError
from spsn.grid import RunSettings
from spsn.timing.networks import TRAINERS, PaperNetwork
from spsn.timing.random_store import CLASSES
from spsn.timing.steps import table_one


def trainer(system: str, inputs: Inputs) -> "OwnTrainer":
    """One of the implementations of LIF. Raises `SpsnError` where there is none of that name."""
    return OwnTrainer(system, inputs)


class OwnTrainer:
    """A network of this package in training on one batch."""

    def __init__(self, implementation: str, inputs: Inputs) -> None:
        if ("lif", implementation) not in TRAINERS:
            raise SpsnError(f"TRAINERS has no implementation {implementation!r} of LIF")
        store = store_of(inputs)
        run = lif_run(inputs.shape, store)
        self.trainer = TRAINERS["lif", implementation](run, torch.device("cpu"))
        if isinstance(self.trainer.network, PaperNetwork):
            self.trainer.network.layers.load_state_dict(inputs.state)
        else:
            self.trainer.network.load_run_state(0, inputs.state)
        samples = np.arange(len(store))[None]
        self.batch = Batches(store, len(store), (run.seed,)).gather(samples)
        self.prepared = self.trainer.prepare(self.batch)
        self.steps = 0

    def step(self) -> None:
        """Forward, backward, and the optimizer's step."""
        self.trainer.step(self.prepared, self.steps)
        self.steps += 1

    @torch.no_grad()
    def loss(self) -> float:
        """The cross entropy of the batch now."""
        network = self.trainer.network
        if isinstance(network, PaperNetwork):
            logits = network(self.prepared[0])
        else:
            logits = network(self.prepared).logits[0]
        return nn.functional.cross_entropy(logits, self.batch.labels[0]).item()

    @torch.no_grad()
    def rates(self) -> list[float]:
        """Spikes per time step and neuron of every hidden layer now."""
        network = self.trainer.network
        if not isinstance(network, PaperNetwork):
            return [rate.mean().item() for rate in network(self.prepared).rates]
        x, found = self.prepared[0], []
        for layer in network.layers[:-1]:
            x = network.fire(layer(x), None)
            found.append(x.mean().item())
        return found


def store_of(inputs: Inputs) -> EventStore:
    """The inputs' spikes, every sample T steps long."""
    samples = inputs.shape.batch
    return EventStore(
        time_bin=inputs.time_bin,
        channel=inputs.channel,
        offsets=inputs.offsets,
        label=inputs.labels,
        speaker=np.zeros(samples, np.uint16),
        length=np.full(samples, inputs.shape.steps, np.int32),
        classes=tuple(f"class {k}" for k in range(CLASSES)),
        time_step_ms=1000.0 * TIME_STEP,
    )


def lif_run(shape: Shape, store: EventStore) -> RunSettings:
    """The settings of the network that is compared, with as many threads as torch has now."""
    return table_one(
        "lif",
        store,
        hidden_layers=shape.hidden_layers,
        hidden_size=shape.hidden_size,
        tau_mem=TAU,
        tau_syn=TAU,
        threshold=THRESHOLD,
        time_step=TIME_STEP,
        batch_size=shape.batch,
        learning_rate=LEARNING_RATE,
        threads=torch.get_num_threads(),
    )
