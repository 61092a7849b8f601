"""Neurons as torch operations on tensors: what their fused forms for a CPU and for a GPU share.

The forms of `spsn.neurons` that stand on their own, without a network around them; the same equations, the
same noise bits. Each takes float32 tensors (..., T, N) and is differentiable once. `cpu.neurons` and
`gpu.neurons` compute them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from spsn.kernels.cpu.buffers import kind_of
from spsn.kernels.cpu.engine import NoiseAddress
from spsn.kernels.cpu.fire import SPSN_GS, SPSN_SB, Neuron


@dataclass(frozen=True)
class FusedNeurons:
    """The neurons on one kind of device, by what computes there: `filter` u of x and the decays, `fire` and
    `fire_lif` spikes of x (the former with noise, from an address and the number of the layer).
    """

    filter: Callable[[Tensor, Neuron], Tensor]
    fire: Callable[[Tensor, Neuron, NoiseAddress, int], Tensor]
    fire_lif: Callable[[Tensor, Neuron], Tensor]

    def integrate(self, x: Tensor, alpha: float, beta: float) -> Tensor:
        """Membrane potential of a leaky integrator, u = h * x (`spsn.neurons.integrator`)."""
        return self.filter(x, Neuron(-1, alpha, beta, 0.0))

    def bernoulli_spikes(
        self, x: Tensor, alpha: float, beta: float, address: NoiseAddress, layer: int = 0
    ) -> Tensor:
        """SPSN-SB: spikes (0 or 1) of the pre-activation x. The noise is that of the first seed of `address`:
        element b N + n for sample b, counted through all leading dimensions, and neuron n.
        """
        return self.fire(x, Neuron(SPSN_SB, alpha, beta, 0.0), address, layer)

    def gumbel_spikes(
        self, x: Tensor, alpha: float, beta: float, address: NoiseAddress, layer: int = 0
    ) -> Tensor:
        """SPSN-GS at temperature 1; see `bernoulli_spikes`."""
        return self.fire(x, Neuron(SPSN_GS, alpha, beta, 0.0), address, layer)

    def lif(
        self,
        x: Tensor,
        alpha: float,
        beta: float,
        threshold: float = 1.0,
        reset: Literal["code", "paper"] = "code",
    ) -> Tensor:
        """LIF: spikes (0 or 1) of the pre-activation x (`spsn.neurons.lif`)."""
        return self.fire_lif(x, Neuron(kind_of("lif", reset), alpha, beta, threshold))


def samples_of(x: Tensor, device: str, here: bool) -> Tensor:
    """x as (B, T, N). `here`: whether x lives where the kernels of the device take it.

    Raises ValueError for what they cannot take.
    """
    if x.dim() < 2 or x.numel() == 0:
        raise ValueError(
            f"the fused neurons take tensors (..., T, N) that are not empty, not {tuple(x.shape)}"
        )
    if x.dtype != torch.float32 or not here:
        raise ValueError(f"the fused neurons take float32 on a {device}, not {x.dtype} on {x.device}")
    return x.reshape(-1, *x.shape[-2:])
