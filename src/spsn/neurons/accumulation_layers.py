"""Layers that learn by accumulated spikes, each usable alone; equations and operations in `accumulation.py`.

    OTTT                           spikes in, spikes out           loss at every step
    SAF-E                          accumulations in and out        loss at every step, on `spikes_of` them
    SAF-F, Spike Representation    spikes and their weighted rate  loss once, on the rate at the last step

Shapes: spikes and accumulations (B, T, N), rates (B, N); weights drawn from U(+-sqrt(3 / inputs)), biases 0.
"""

import torch
from torch import Tensor, nn

from spsn.methods import Surrogate
from spsn.neurons.accumulation import (
    FinalMethod,
    accumulated_affine,
    affine,
    age,
    final_layer,
    ottt_spikes,
    remembered_sum,
    saf_accumulate,
    spikes_of,
    trace,
    traced_affine,
)
from spsn.neurons.integrator import decay


class _Layer(nn.Module):
    """Weights, biases and the constants of the neuron; the surrogate is that of its spikes' gradient."""

    def __init__(
        self,
        inputs: int,
        neurons: int,
        tau_mem: float = 0.02,
        time_step: float = 0.001,
        threshold: float = 1.0,
        surrogate: Surrogate = "exponential",
    ) -> None:
        super().__init__()
        bound = (3.0 / inputs) ** 0.5
        self.weight = nn.Parameter(torch.empty(neurons, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(neurons))
        self.decay = decay(tau_mem, time_step)
        self.threshold = threshold
        self.surrogate: Surrogate = surrogate

    @property
    def stacked(self) -> tuple[Tensor, Tensor]:
        """Weight (1, out, in) and bias (1, out): a stack of one."""
        return self.weight.unsqueeze(0), self.bias.unsqueeze(0)


class OTTTLayer(_Layer):
    """Spikes (B, T, in) to spikes (B, T, neurons).

    Arguments: time constant and step in seconds, threshold in volt. Without `traced` the weights learn from
    this step's input: SLTT, and what the authors' program does in its first layer.
    """

    def __init__(
        self,
        inputs: int,
        neurons: int,
        tau_mem: float = 0.02,
        time_step: float = 0.001,
        threshold: float = 1.0,
        surrogate: Surrogate = "exponential",
        traced: bool = True,
    ) -> None:
        super().__init__(inputs, neurons, tau_mem, time_step, threshold, surrogate)
        self.traced = traced

    def forward(self, s: Tensor) -> Tensor:
        """Spikes of the layer, of spikes or any other input (B, T, in)."""
        x = traced_affine(s.unsqueeze(0), *self.stacked, self.decay if self.traced else 0.0)
        return ottt_spikes(x, self.decay, self.threshold, self.surrogate).squeeze(0)


class SAFLayer(_Layer):
    """Accumulations (B, T, in) to accumulations (B, T, neurons): SAF-E. Arguments as of `OTTTLayer`.

    `trace(s, layer.decay)` makes accumulations of spikes, `spikes_of(a, layer.decay)` spikes of these.
    """

    def forward(self, a: Tensor) -> Tensor:
        """Accumulations of the layer, of those of its input (B, T, in)."""
        drive = accumulated_affine(a.unsqueeze(0), *self.stacked, self.decay)
        return saf_accumulate(drive, self.decay, self.threshold, self.surrogate).squeeze(0)


class FinalStepLayer(_Layer):
    """Spikes (B, T, in) and their weighted rate (B, in) to those of the layer; the rate alone has a gradient.

    Arguments as of `OTTTLayer`; method "saf-f" or "spike-representation".
    """

    def __init__(
        self,
        inputs: int,
        neurons: int,
        tau_mem: float = 0.5,
        time_step: float = 0.001,
        threshold: float = 1.0,
        method: FinalMethod = "saf-f",
    ) -> None:
        super().__init__(inputs, neurons, tau_mem, time_step, threshold)
        self.method: FinalMethod = method

    def forward(self, s: Tensor, rate: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Spikes (B, T, neurons) and weighted rate (B, neurons); without `rate` it is that of s."""
        with torch.no_grad():
            total = age(s.unsqueeze(0), self.decay)[..., -1, :].squeeze(0)  # (1, 1)
            fired = self._fire(s.unsqueeze(0)).squeeze(0)
            reached = remembered_sum(fired, self.decay) / total
            rate = remembered_sum(s, self.decay) / total if rate is None else rate
        rates = final_layer(
            rate.unsqueeze(0), *self.stacked, reached.unsqueeze(0), self.threshold, self.method
        )
        return fired, rates.squeeze(0)

    def _fire(self, s: Tensor) -> Tensor:
        x = affine(s, *self.stacked)
        if self.method == "spike-representation":
            return ottt_spikes(x, self.decay, self.threshold)
        return spikes_of(saf_accumulate(trace(x, self.decay), self.decay, self.threshold), self.decay)
