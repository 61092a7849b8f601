"""SpikingJelly in multi-step mode, torch backend (its CuPy and Triton backends need a GPU).

    LIFNode:  u[t] = v[t-1] + (x[t] - v[t-1]) / tau

It has no neuron with a synaptic current (its SynapseFilter takes spikes, which suspend its decay).
The readout is a LIFNode that cannot fire and keeps its potentials.
"""

from spikingjelly.activation_based import functional, neuron, surrogate
from torch import Tensor, nn

from benchmarks.peer_networks.dense import STEPS, DenseNetwork, DenseTrainer
from benchmarks.peer_networks.inputs import THRESHOLD, Inputs

NEVER = 1e30


def trainer(system: str, inputs: Inputs) -> DenseTrainer:
    """spikingjelly-lif."""
    return DenseTrainer(_Network(inputs.state), inputs)


class _Network(DenseNetwork):
    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__(state)
        self.neurons = nn.ModuleList(_neuron(THRESHOLD) for _ in self.affine[:-1])
        self.readout = _neuron(NEVER, store_v_seq=True)

    def forget(self) -> None:
        functional.reset_net(self)

    def fire(self, layer: int, x: Tensor) -> Tensor:
        return self.neurons[layer](x)

    def read(self, x: Tensor) -> Tensor:
        self.readout(x)
        return self.readout.v_seq


def _neuron(threshold: float, **options) -> neuron.LIFNode:
    return neuron.LIFNode(
        tau=STEPS,
        decay_input=True,
        v_threshold=threshold,
        v_reset=0.0,
        surrogate_function=surrogate.SuperSpike(),
        detach_reset=True,
        step_mode="m",
        **options,
    )
