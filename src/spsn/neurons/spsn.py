"""Stochastic Parallelizable Spiking Neurons (arXiv 2306.12666, section III-B).

Both integrate without threshold or reset (`integrator.py`), then fire independently at every time step:

    SPSN-SB, Sigmoid-Bernoulli (equations 17-19)      rho = sigma(u)        s ~ Bernoulli(rho)
        gradient: ds/drho := rho, so ds/du = rho^2 (1 - rho). Equation 19 is the sampling step alone;
        the sigmoid's own derivative rho (1 - rho) still applies, as in the authors' program.
    SPSN-GS, Gumbel-Softmax on the two logits (u, -u), temperature tau = 1, hard sample, soft gradient
        y = sigma((2u + g) / tau)        s = 1[y > 1/2]        ds/du := 2 y (1 - y) / tau
        g is the difference of two Gumbel draws, which is one logistic draw log r - log(1 - r).
        P(s = 1) = sigma(2u) whatever tau: twice the slope of SPSN-SB.

The paper gives no parameters of the Gumbel-Softmax; logits and temperature are those of the authors' program.
The threshold of Table I plays no part. At rest (u = 0) both fire with probability 1/2.

Shapes: pre-activation, uniforms and spikes (..., T, N).
"""

import torch
from torch import Tensor, nn

from spsn.neurons.integrator import LeakyIntegrator, Method


def bernoulli_spikes(potential: Tensor, uniforms: Tensor) -> Tensor:
    """SPSN-SB: spikes (0 or 1) of membrane potentials, r < sigma(u), with gradient rho^2 (1 - rho)."""
    return _BernoulliSpikes.apply(potential, uniforms)


def gumbel_spikes(potential: Tensor, uniforms: Tensor, temperature: float = 1.0) -> Tensor:
    """SPSN-GS: spikes (exactly 0 or 1) of membrane potentials, with the soft gradient 2 y (1 - y) / tau.

    `uniforms` lie strictly inside (0, 1); 0 or 1 would only saturate y.
    """
    logistic = torch.log(uniforms) - torch.log1p(-uniforms)
    soft = torch.sigmoid((2 * potential + logistic) / temperature)
    hard = (soft > 0.5).to(soft.dtype)
    return hard + (soft - soft.detach())  # the bracket is exactly 0: it carries the gradient alone


class _BernoulliSpikes(torch.autograd.Function):
    @staticmethod
    def forward(ctx, potential: Tensor, uniforms: Tensor) -> Tensor:
        rho = torch.sigmoid(potential)
        ctx.save_for_backward(rho)
        return (uniforms < rho).to(rho.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        (rho,) = ctx.saved_tensors
        return gradient * (rho * rho * (1 - rho)), None


class _Stochastic(nn.Module):
    """Integrate, then draw: what the two neurons share. Time constants and step in seconds."""

    def __init__(
        self, tau_mem: float = 0.02, tau_syn: float = 0.02, time_step: float = 0.001, method: Method = "auto"
    ) -> None:
        super().__init__()
        self.integrator = LeakyIntegrator(tau_mem, tau_syn, time_step, method)

    def fire(self, potential: Tensor, uniforms: Tensor) -> Tensor:
        """Spikes of membrane potentials, given uniforms of the same shape."""
        raise NotImplementedError

    def forward(self, x: Tensor, uniforms: Tensor | None = None) -> Tensor:
        """Spikes (..., T, N) of the pre-activation x (..., T, N).

        `uniforms` (..., T, N) in (0, 1) decide the draws; left out, they come from torch's generator.
        """
        if uniforms is None:
            uniforms = torch.rand_like(x)
        return self.fire(self.integrator(x), uniforms)


class SpsnSB(_Stochastic):
    """SPSN with Sigmoid-Bernoulli firing: equations 17-19."""

    def fire(self, potential: Tensor, uniforms: Tensor) -> Tensor:
        """Equations 17-19; see `bernoulli_spikes`."""
        return bernoulli_spikes(potential, uniforms)


class SpsnGS(_Stochastic):
    """SPSN with Gumbel-Softmax firing at temperature 1."""

    def fire(self, potential: Tensor, uniforms: Tensor) -> Tensor:
        """See `gumbel_spikes`."""
        return gumbel_spikes(potential, uniforms)
