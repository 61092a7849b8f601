"""One module per published method: the plain form, readable beside its equations. `MODELS`: by name."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from spsn.neurons.integrator import LeakyIntegrator
from spsn.neurons.lif import LIF
from spsn.neurons.non_spiking import NonSpiking
from spsn.neurons.spsn import SpsnGS, SpsnSB

__all__ = ["LIF", "MODELS", "LeakyIntegrator", "ModelKind", "NonSpiking", "SpsnGS", "SpsnSB"]


@dataclass(frozen=True)
class ModelKind:
    """What the network must know of a model.

    `make(tau_mem, tau_syn, time_step, threshold, reset)` gives the hidden layers' neuron; `spiking` networks
    read out through leaky integrators; `stochastic` neurons take uniforms as a second argument.
    """

    make: Callable[..., nn.Module]
    spiking: bool
    stochastic: bool


def _spsn(neuron: type[SpsnGS | SpsnSB]) -> Callable[..., nn.Module]:
    """A stochastic neuron has neither threshold nor reset."""
    return lambda tau_mem, tau_syn, time_step, threshold, reset: neuron(tau_mem, tau_syn, time_step)


MODELS: dict[str, ModelKind] = {
    "lif": ModelKind(LIF, spiking=True, stochastic=False),
    "spsn-sb": ModelKind(_spsn(SpsnSB), spiking=True, stochastic=True),
    "spsn-gs": ModelKind(_spsn(SpsnGS), spiking=True, stochastic=True),
    "non-spiking": ModelKind(lambda *constants: NonSpiking(), spiking=False, stochastic=False),
}
