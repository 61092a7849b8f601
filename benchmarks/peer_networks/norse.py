"""norse: LIF with a synaptic current, by Euler's method.

    i[t] = a i[t-1] + x[t],   u[t] = v[t-1] + (dt / tau) (i[t] - v[t-1]),   a = 1 - dt / tau

Its modules LIF and LI slice their input at every step; `lif_feed_forward_integral` iterates over it, which
unbinds it. There is no such function for LI, whose single step is called in a loop instead.
"""

import torch
from norse.torch import (
    LI,
    LIF,
    LIFFeedForwardState,
    LIFParameters,
    LIParameters,
    LIState,
    li_feed_forward_step,
)
from norse.torch.functional.lif import lif_feed_forward_integral
from torch import Tensor, nn

from benchmarks.peer_networks.dense import DenseNetwork, DenseTrainer
from benchmarks.peer_networks.inputs import TAU, THRESHOLD, TIME_STEP, Inputs

_INVERSE = {name: torch.tensor(1.0 / TAU) for name in ("tau_syn_inv", "tau_mem_inv")}
NEURON = LIFParameters(**_INVERSE, v_th=torch.tensor(THRESHOLD), method="super")
READOUT = LIParameters(**_INVERSE)


def trainer(system: str, inputs: Inputs) -> DenseTrainer:
    """norse-integral or norse-module."""
    return DenseTrainer((_Modules if system == "norse-module" else _Functions)(inputs.state), inputs)


class _Modules(DenseNetwork):
    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__(state)
        self.neurons = nn.ModuleList(LIF(NEURON, dt=TIME_STEP) for _ in self.affine[:-1])
        self.readout = LI(READOUT, dt=TIME_STEP)

    def fire(self, layer: int, x: Tensor) -> Tensor:
        return self.neurons[layer](x)[0]

    def read(self, x: Tensor) -> Tensor:
        return self.readout(x)[0]


class _Functions(DenseNetwork):
    def fire(self, layer: int, x: Tensor) -> Tensor:
        nothing = torch.zeros_like(x[0])
        return lif_feed_forward_integral(x, LIFFeedForwardState(nothing, nothing), NEURON, TIME_STEP)[0]

    def read(self, x: Tensor) -> Tensor:
        state = LIState(torch.zeros_like(x[0]), torch.zeros_like(x[0]))
        potentials = []
        for x_t in x.unbind(0):
            potential, state = li_feed_forward_step(x_t, state, READOUT, TIME_STEP)
            potentials.append(potential)
        return torch.stack(potentials)
