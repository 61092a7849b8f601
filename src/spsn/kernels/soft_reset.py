"""LIF with a soft reset as torch operations: what its fused forms for a CPU and for a GPU share.

The neuron of `spsn.neurons.exodus`, and the same one by accumulations (`spsn.neurons.accumulation`), which is
given U, what would have come in had no spike taken anything off:

    u[t] = lam (u[t-1] - theta s[t-1]) + x[t]        s[t] = 1[u[t] >= theta]
    u[t] = U[t] - theta lam a[t-1]                   a[t] = lam a[t-1] + s[t]

What is not a number does not fire. Kept for the way back is the slope alone, with v = u - theta

    exponential   sg = exp(-|v| / theta) / theta
    sigmoid       sg = 4 sigma(4v) (1 - sigma(4v)) = 4 e / (1 + e)^2, e = exp(-4 |v|)
    superspike    sg = 1 / (100 |v| + 1)^2

and the way back is one recurrence with g = dL/ds or dL/da:

    e[t] = sg[t] g[t] + lam (1 - c sg[t]) e[t+1]     dx = e

c = theta for `exodus`, 0 for `slayer`; `instant` (OTTT, SAF) keeps nothing of the next step.

float32 tensors (..., T, N), differentiable once; `cpu.soft_reset` and `gpu.soft_reset` compute them.
"""

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from spsn.neurons.surrogate import Surrogate

EXPONENTIAL, SIGMOID, SUPERSPIKE = 0, 1, 2
SURROGATES = {"exponential": EXPONENTIAL, "sigmoid": SIGMOID, "superspike": SUPERSPIKE}
Gradient = Literal["exodus", "slayer", "instant"]

# surrogate: as numbered above; accumulates: whether it is given U and gives a.
SoftReset = namedtuple("SoftReset", "surrogate decay threshold accumulates")
# What a step's error takes from the next: decay (1 - reset slope), nothing where the decay is 0.
Back = namedtuple("Back", "decay reset")


@dataclass(frozen=True)
class FusedSoftReset:
    """The neuron on one kind of device, by what computes there: `fire`, with the constants of both ways."""

    fire: Callable[[Tensor, SoftReset, Back], Tensor]

    def soft_reset_lif(
        self, x: Tensor, decay: float, threshold: float, gradient: Gradient, surrogate: Surrogate
    ) -> Tensor:
        """Spikes (0 or 1) of the pre-activation x. Raises ValueError for unknown names."""
        neuron = neuron_for(decay, threshold, surrogate, accumulates=False)
        return self.fire(x, neuron, back_for(gradient, decay, threshold))

    def accumulate(self, drive: Tensor, decay: float, threshold: float, surrogate: Surrogate) -> Tensor:
        """Accumulations a of the drive U, past ones constant: dU[t] = sg[t] da[t]."""
        neuron = neuron_for(decay, threshold, surrogate, accumulates=True)
        return self.fire(drive, neuron, back_for("instant", decay, threshold))


def neuron_for(decay: float, threshold: float, surrogate: Surrogate, accumulates: bool) -> SoftReset:
    """The constants of the way forward. Raises ValueError for an unknown surrogate."""
    if surrogate not in SURROGATES:
        raise ValueError(f"the surrogate must be one of {', '.join(SURROGATES)}, not {surrogate!r}")
    return SoftReset(SURROGATES[surrogate], float(decay), float(threshold), accumulates)


def back_for(gradient: Gradient, decay: float, threshold: float) -> Back:
    """The constants of the way back. Raises ValueError for an unknown gradient."""
    ways = {"exodus": (decay, threshold), "slayer": (decay, 0.0), "instant": (0.0, 0.0)}
    if gradient not in ways:
        raise ValueError(f"the kernels' gradients are {', '.join(ways)}, not {gradient!r}")
    return Back(*map(float, ways[gradient]))
