"""snnTorch: one call a time step; all steps of a layer come before the next layer, whose affine map sees all.

    Leaky:     u[t] = (beta u[t-1] + x[t]) (1 - s[t-1])
    Synaptic:  i[t] = alpha i[t-1] + x[t],   u[t] = (beta u[t-1] + i[t]) (1 - s[t-1])

The input is not scaled with 1 - beta, so the initial weights are. The reset to zero comes a step after the
spike.
"""

import snntorch
import torch
from snntorch import surrogate
from torch import Tensor, nn

from benchmarks.peer_networks.dense import DECAY, DenseNetwork, DenseTrainer
from benchmarks.peer_networks.inputs import THRESHOLD, Inputs


def trainer(system: str, inputs: Inputs) -> DenseTrainer:
    """snntorch-leaky or snntorch-synaptic."""
    return DenseTrainer(_Network(system == "snntorch-synaptic", inputs), inputs)


class _Network(DenseNetwork):
    def __init__(self, synaptic: bool, inputs: Inputs) -> None:
        super().__init__(inputs.state, gain=1.0 - DECAY)
        self.neurons = nn.ModuleList(_neuron(synaptic, "zero") for _ in self.affine[:-1])
        self.readout = _neuron(synaptic, "none")

    def fire(self, layer: int, x: Tensor) -> Tensor:
        return _run(self.neurons[layer], x)[0]

    def read(self, x: Tensor) -> Tensor:
        return _run(self.readout, x)[1]


def _neuron(synaptic: bool, reset: str) -> nn.Module:
    options = {
        "threshold": THRESHOLD,
        "spike_grad": surrogate.fast_sigmoid(slope=100),
        "reset_mechanism": reset,
    }
    if synaptic:
        return snntorch.Synaptic(alpha=DECAY, beta=DECAY, **options)
    return snntorch.Leaky(beta=DECAY, **options)


def _run(neuron: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes and membrane potentials, each (T, B, N), of pre-activations x (T, B, N)."""
    states = [torch.zeros_like(x[0])] * (2 if isinstance(neuron, snntorch.Synaptic) else 1)
    spikes, potentials = [], []
    for x_t in x.unbind(0):
        spike, *states = neuron(x_t, *states)
        spikes.append(spike)
        potentials.append(states[-1])
    return torch.stack(spikes), torch.stack(potentials)
