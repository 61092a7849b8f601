"""One module per published method: the plain form, readable beside its equations. `MODELS`: by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from spsn.neurons import parallel_spiking_unit as psu
from spsn.neurons.accumulation_layers import FinalStepLayer, OTTTLayer, SAFLayer
from spsn.neurons.exodus import Gradient, SoftResetLIF
from spsn.neurons.integrator import LeakyIntegrator, decay
from spsn.neurons.lif import LIF
from spsn.neurons.non_spiking import NonSpiking
from spsn.neurons.parallel_spiking_unit import ParallelSpikingUnit
from spsn.neurons.spsn import SpsnGS, SpsnSB

__all__ = [
    "LIF",
    "FinalStepLayer",
    "MODELS",
    "LeakyIntegrator",
    "ModelKind",
    "NonSpiking",
    "OTTTLayer",
    "ParallelSpikingUnit",
    "SAFLayer",
    "SoftResetLIF",
    "SpsnGS",
    "SpsnSB",
]


@dataclass(frozen=True)
class ModelKind:
    """What the network must know of a model.

    make        gives the hidden layers' neuron for a run's settings
    spiking     networks that spike read out through leaky integrators
    stochastic  neurons that take uniforms as a second argument
    learns      neurons that learn more than weights and biases: `initial_parameters(seed, layer)` gives what,
                `fire(x, parameters, mask)` takes it
    accumulates methods that learn from accumulated spikes: a batch passes as `accumulating` has it
    """

    make: Callable[[Any], Any]
    spiking: bool = True
    stochastic: bool = False
    learns: bool = False
    accumulates: bool = False


@dataclass(frozen=True)
class ParallelUnits:
    """The parallel spiking units of a stack's layer, whose parameters the network holds."""

    kind: psu.Kind
    decay: float
    threshold: float
    reset: psu.Reset
    steps: int | None

    def initial_parameters(self, seed: int, layer: int) -> dict[str, Tensor]:
        """What one run's layer learns; see `parallel_spiking_unit.initial_parameters`."""
        return psu.initial_parameters(self.kind, self.steps, seed, layer)

    def fire(self, x: Tensor, parameters: Mapping[str, Tensor], mask: Tensor | None) -> Tensor:
        """Spikes (S, B, T, N); see `parallel_spiking_unit.fire`."""
        return psu.fire(self.kind, x, parameters, self.decay, self.threshold, self.reset, mask)


def _constants(settings: Any) -> tuple[float, float, float]:
    return settings.tau_mem, settings.tau_syn, settings.time_step


def _lif(settings: Any) -> LIF:
    return LIF(*_constants(settings), settings.threshold, settings.lif_reset)


def _soft_reset(gradient: Gradient) -> ModelKind:
    def make(settings: Any) -> SoftResetLIF:
        constants = settings.tau_mem, settings.time_step, settings.threshold
        return SoftResetLIF(*constants, gradient, settings.surrogate, settings.backend == "fused")

    return ModelKind(make)


def _accumulating() -> ModelKind:
    """Its neurons are simulated with the weights between them; there is no layer to make."""
    return ModelKind(lambda settings: None, accumulates=True)


def _parallel_units(kind: psu.Kind) -> ModelKind:
    def make(settings: Any) -> ParallelUnits:
        lam = decay(settings.tau_mem, settings.time_step)
        return ParallelUnits(kind, lam, settings.threshold, settings.psu_reset, settings.steps)

    return ModelKind(make, learns=True)


MODELS: dict[str, ModelKind] = {
    "lif": ModelKind(_lif),
    "spsn-sb": ModelKind(lambda settings: SpsnSB(*_constants(settings)), stochastic=True),
    "spsn-gs": ModelKind(lambda settings: SpsnGS(*_constants(settings)), stochastic=True),
    "non-spiking": ModelKind(lambda settings: NonSpiking(), spiking=False),
    "psu": _parallel_units("psu"),
    "ipsu-code": _parallel_units("ipsu-code"),
    "ipsu-sigmoid": _parallel_units("ipsu-sigmoid"),
    "rpsu": _parallel_units("rpsu"),
    "bptt": _soft_reset("bptt"),
    "bptt-detached": _soft_reset("bptt-detached"),
    "exodus": _soft_reset("exodus"),
    "slayer": _soft_reset("slayer"),
    "ottt": _accumulating(),
    "saf-e": _accumulating(),
    "saf-f": _accumulating(),
    "spike-representation": _accumulating(),
}
