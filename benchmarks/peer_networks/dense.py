"""What the libraries' networks share: dense input, affine maps over all time steps, a readout that is
averaged over time, cross entropy, Adamax.

Shapes: T steps, B samples, N neurons; a library takes (T, B, N) or (B, T, N), as `time` says.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from benchmarks.peer_networks.inputs import LEARNING_RATE, TAU, TIME_STEP, Inputs

STEPS = TAU / TIME_STEP  # the time constants in time steps
DECAY = math.exp(-1.0 / STEPS)


class DenseNetwork(nn.Module):
    """Linear - neurons - ... - Linear - integrators; subclasses say what the neurons and integrators are."""

    time = 0  # the dimension of time

    def __init__(self, state: Mapping[str, Tensor], gain: float = 1.0) -> None:
        """Affine maps with the parameters `state` times `gain`."""
        super().__init__()
        self.affine = nn.ModuleList()
        for layer in range(len(state) // 2):
            outputs, inputs = state[f"{layer}.weight"].shape
            self.affine.append(nn.Linear(inputs, outputs))
        self.affine.load_state_dict({name: gain * value for name, value in state.items()})

    def fire(self, layer: int, x: Tensor) -> Tensor:
        """Spikes of hidden layer `layer` for its pre-activations, both with all time steps."""
        raise NotImplementedError

    def read(self, x: Tensor) -> Tensor:
        """Membrane potentials of the readout for its pre-activations, both with all time steps."""
        raise NotImplementedError

    def forget(self) -> None:
        """Let the neurons begin anew."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, C) of spike counts x."""
        self.forget()
        for layer, affine in enumerate(self.affine[:-1]):
            x = self.fire(layer, affine(x))
        return self.read(self.affine[-1](x)).mean(dim=self.time)

    @torch.no_grad()
    def rates(self, x: Tensor) -> list[float]:
        """Spikes per time step and neuron of every hidden layer."""
        self.forget()
        found = []
        for layer, affine in enumerate(self.affine[:-1]):
            x = self.fire(layer, affine(x))
            found.append(x.mean().item())
        return found


class DenseTrainer:
    """A network in training on one batch."""

    def __init__(self, network: DenseNetwork, inputs: Inputs) -> None:
        self.network = network
        dense = inputs.dense()
        self.spikes = dense if network.time == 1 else dense.transpose(0, 1).contiguous()
        self.labels = torch.from_numpy(inputs.labels)
        self.optimizer = torch.optim.Adamax(network.affine.parameters(), lr=LEARNING_RATE)

    def step(self) -> None:
        """Forward, backward, and the optimizer's step."""
        loss = nn.functional.cross_entropy(self.network(self.spikes), self.labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    @torch.no_grad()
    def loss(self) -> float:
        """The cross entropy of the batch now."""
        return nn.functional.cross_entropy(self.network(self.spikes), self.labels).item()

    def rates(self) -> list[float]:
        """Spikes per time step and neuron of every hidden layer now."""
        return self.network.rates(self.spikes)
