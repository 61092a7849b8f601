"""The networks whose epoch Figure 3C times: this package's, and the paper's way of computing the same
function.

The paper's way: dense input, an affine map over all time steps, a neuron from `baselines.py`, and a readout
that is integrated at every time step, then averaged. Its data are this package's batches made dense; the
authors' own loader, one Python call a sample, is not imitated.

A trainer has two halves: `prepare(batch)` brings a batch to the device in the form that the network takes
(data), `step(prepared, n)` does forward, backward and the optimizer's step (compute). The plain forms take
dense input, or rows of events; the fused ones read the events themselves, in the step. To add an
implementation, add a line to `TRAINERS`: called with a run's settings and a device it gives a trainer; the
package's own take `runs` too, the size of the stack.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from spsn.data.batches import Batch
from spsn.grid import RunSettings
from spsn.network import StackedNetwork
from spsn.neurons.integrator import decay
from spsn.stack import Stack, train_step
from spsn.timing import baselines


@dataclass(frozen=True)
class Trainer:
    """One network in training; see the module's text."""

    network: nn.Module
    prepare: Callable[[Batch], Any]
    step: Callable[[Any, int], None]


class PaperNetwork(nn.Module):
    """700 - hidden layers - classes with parameters `state` (`StackedNetwork.run_state`).

    `fire(x, uniforms)` maps pre-activations (B, T, N) to spikes, `read(x)` to the readout's potentials.
    """

    def __init__(
        self,
        state: Mapping[str, Tensor],
        fire: Callable[[Tensor, Tensor | None], Tensor],
        read: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.fire, self.read = fire, read
        self.layers = nn.ModuleList()
        for layer in range(len(state) // 2):
            outputs, inputs = state[f"{layer}.weight"].shape
            self.layers.append(nn.Linear(inputs, outputs))
        self.layers.load_state_dict(state)

    def forward(self, x: Tensor, uniforms: Sequence[Tensor] = ()) -> Tensor:
        """Logits (B, C) of spike counts x (B, T, 700).

        `uniforms` (B, T, N), one tensor a hidden layer, replace torch's generator.
        """
        given = list(uniforms) or [None] * (len(self.layers) - 1)
        for layer, drawn in zip(self.layers[:-1], given, strict=True):
            x = self.fire(layer(x), drawn)
        return self.read(self.layers[-1](x)).mean(dim=1)


def paper_network(run: RunSettings, implementation: str, state: Mapping[str, Tensor]) -> PaperNetwork:
    """The network of `run` as the paper computes it ("paper"), or LIF without slices ("unbind")."""
    decays = decay(run.tau_syn, run.time_step), decay(run.tau_mem, run.time_step)
    if run.model == "non-spiking":
        return PaperNetwork(state, lambda x, _: torch.relu(x), lambda x: x)
    if run.model == "lif":
        forms = {
            "paper": (baselines.loop_lif, baselines.loop_integrator),
            "unbind": (baselines.unbind_lif, baselines.unbind_integrator),
        }
        lif, integrate = forms[implementation]
        return PaperNetwork(
            state, lambda x, _: lif(x, *decays, run.threshold), lambda x: integrate(x, *decays)
        )
    fire = {"spsn-sb": baselines.bernoulli_fire, "spsn-gs": baselines.gumbel_fire}[run.model]
    integrate = partial(baselines.wrapped_fft, alpha=decays[0], beta=decays[1])
    return PaperNetwork(state, lambda x, drawn: fire(integrate(x), drawn), integrate)


def paper_trainer(implementation: str, run: RunSettings, device: torch.device) -> Trainer:
    """Trains as the authors' program does: Adamax, the loss read on the host after every step."""
    state = StackedNetwork(run, [run.seed]).run_state(0)
    network = paper_network(run, implementation, state).to(device)
    optimizer = torch.optim.Adamax(network.parameters(), lr=run.learning_rate)

    def prepare(batch: Batch) -> tuple[Tensor, Tensor]:
        moved = batch.to(device)
        return moved.dense()[0], moved.labels[0]

    def step(prepared: tuple[Tensor, Tensor], number: int) -> None:
        spikes, labels = prepared
        logits = network(spikes)
        loss = nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        (logits.argmax(dim=1) == labels).sum().item()

    return Trainer(network, prepare, step)


def package_trainer(backend: str, run: RunSettings, device: torch.device, runs: int = 1) -> Trainer:
    """Trains as `spsn.stack` does, by the forms of `backend`: a stack of `run` and of its next seeds."""
    stack = Stack.begin([replace(run, backend=backend, seed=run.seed + k) for k in range(runs)], device)

    def prepare(batch: Batch) -> Batch:
        moved = batch.to(device)
        if backend == "torch":
            _ = moved.channels, moved.offsets  # made when first asked for
        return moved

    def step(batch: Batch, number: int) -> None:
        train_step(stack, batch, 0, number)

    return Trainer(stack.network, prepare, step)


TRAINERS: dict[tuple[str, str], Callable[..., Trainer]] = {
    ("lif", "paper"): partial(paper_trainer, "paper"),
    ("lif", "unbind"): partial(paper_trainer, "unbind"),
    ("lif", "torch"): partial(package_trainer, "torch"),
    ("lif", "fused"): partial(package_trainer, "fused"),
    ("spsn-sb", "paper"): partial(paper_trainer, "paper"),
    ("spsn-sb", "torch"): partial(package_trainer, "torch"),
    ("spsn-sb", "fused"): partial(package_trainer, "fused"),
    ("spsn-gs", "paper"): partial(paper_trainer, "paper"),
    ("spsn-gs", "torch"): partial(package_trainer, "torch"),
    ("spsn-gs", "fused"): partial(package_trainer, "fused"),
    ("non-spiking", "paper"): partial(paper_trainer, "paper"),
    ("non-spiking", "torch"): partial(package_trainer, "torch"),
    ("non-spiking", "fused"): partial(package_trainer, "fused"),
}
