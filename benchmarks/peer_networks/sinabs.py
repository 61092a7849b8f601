"""sinabs: LIF with a synaptic current.

    i[t] = alpha (i[t-1] + x[t]),   u[t] = beta v[t-1] + (1 - beta) i[t]

Its layer slices its input (B, T, N) at every step. Called with one step at a time, (B, 1, N), it keeps its
state from call to call, and the gradient with it.
"""

import sinabs
import torch
from sinabs.activation import MembraneReset, SingleExponential, SingleSpike
from sinabs.layers import LIF
from torch import Tensor, nn

from benchmarks.peer_networks.dense import STEPS, DenseNetwork, DenseTrainer
from benchmarks.peer_networks.inputs import THRESHOLD, Inputs


def trainer(system: str, inputs: Inputs) -> DenseTrainer:
    """sinabs-layer or sinabs-steps."""
    return DenseTrainer(_Network(system == "sinabs-steps", inputs.state), inputs)


class _Network(DenseNetwork):
    time = 1

    def __init__(self, steps: bool, state: dict[str, Tensor]) -> None:
        super().__init__(state)
        firing = {
            "spike_fn": SingleSpike,
            "reset_fn": MembraneReset(),
            "surrogate_grad_fn": SingleExponential(),
        }
        silent = {"spike_fn": None, "reset_fn": None, "surrogate_grad_fn": None}
        self.steps = steps
        self.neurons = nn.ModuleList(_neuron(firing) for _ in self.affine[:-1])
        self.readout = _neuron(silent)

    def forget(self) -> None:
        sinabs.reset_states(self)

    def fire(self, layer: int, x: Tensor) -> Tensor:
        return self._run(self.neurons[layer], x)

    def read(self, x: Tensor) -> Tensor:
        return self._run(self.readout, x)

    def _run(self, neuron: LIF, x: Tensor) -> Tensor:
        return torch.cat([neuron(x_t) for x_t in x.split(1, dim=1)], dim=1) if self.steps else neuron(x)


def _neuron(functions: dict) -> LIF:
    """A layer whose time constants are not trained."""
    threshold = torch.tensor(THRESHOLD)
    return LIF(tau_mem=STEPS, tau_syn=STEPS, spike_threshold=threshold, **functions).requires_grad_(False)
