"""The paper's way of computing, written plainly: both sides of the speed-up that arXiv 2306.12666 reports.

LIF, an eager loop over time (equations 3, 5, 6; reset as in the authors' program):

    i[t] = alpha i[t-1] + x[t]               s[t] = 1[u[t] > u_th]
    u[t] = beta v[t-1] + (1-beta) i[t]       v[t] = u[t] (1 - s[t])

SuperSpike gradient 1 / (100 |u - u_th| + 1)^2, none through the reset. Two loops that
differ in one thing alone:

    `loop_lif`    reads x[:, t]. The backward of every such slice fills a tensor of the whole sequence's
                  size with zeros, so T slices move T^2 numbers: the part of the paper's speed-up that is the
                  baseline's, not the neuron's.
    `unbind_lif`  reads x.unbind(1), whose backward is one stack: the same loop, linear in T.

SPSN (equations 10-15) multiplies three spectra at length 2T, those of l[n] = alpha^n, k[n] = (1-beta) beta^n
and x:

    u = irfft( rfft(l) rfft(k) rfft(x) )[0 ... T-1]

The triple convolution fills 3T-2 samples, so its end wraps round onto the start: later input leaks into the
past. With time constants of 20 steps u is off by 11 % (L2) at T = 50, 1.4 % at T = 100, by nothing that shows
at T = 1000.

Firing: SB draws Bernoulli(sigma(u)) with ds/drho := rho; GS draws two Gumbel numbers a neuron and step, takes
the softmax over the logits (u, -u) at temperature 1, and passes its gradient straight through the hard
choice.

Shapes: x, u, s (B, T, N). Nothing here shares code with `spsn.neurons`; tests hold the two together.
"""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


class _SuperSpike(torch.autograd.Function):
    """1[distance > 0]; backward 1 / (100 |distance| + 1)^2."""

    @staticmethod
    def forward(ctx, distance: Tensor) -> Tensor:
        ctx.save_for_backward(distance)
        return distance.gt(0).type_as(distance)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (distance,) = ctx.saved_tensors
        return gradient / (100 * distance.abs() + 1) ** 2


def loop_lif(x: Tensor, alpha: float, beta: float, threshold: float = 1.0) -> Tensor:
    """Spikes of the loop that slices its input at every step, as the paper timed it."""
    return _lif_steps((x[:, t] for t in range(x.shape[1])), alpha, beta, threshold)


def unbind_lif(x: Tensor, alpha: float, beta: float, threshold: float = 1.0) -> Tensor:
    """Spikes of the same loop over x.unbind(1)."""
    return _lif_steps(x.unbind(1), alpha, beta, threshold)


def loop_integrator(x: Tensor, alpha: float, beta: float) -> Tensor:
    """Membrane potentials of the readout of a LIF network: the loop with slices, without firing."""
    return _integrator_steps((x[:, t] for t in range(x.shape[1])), alpha, beta)


def unbind_integrator(x: Tensor, alpha: float, beta: float) -> Tensor:
    """Membrane potentials by the same loop over x.unbind(1)."""
    return _integrator_steps(x.unbind(1), alpha, beta)


def _lif_steps(inputs: Iterable[Tensor], alpha: float, beta: float, threshold: float) -> Tensor:
    current, potential, spikes = 0.0, 0.0, []
    for x_t in inputs:
        current = alpha * current + x_t
        potential = beta * potential + (1 - beta) * current
        spike = _SuperSpike.apply(potential - threshold)
        potential = potential * (1 - spike.detach())
        spikes.append(spike)
    return torch.stack(spikes, dim=1)


def _integrator_steps(inputs: Iterable[Tensor], alpha: float, beta: float) -> Tensor:
    current, potential, potentials = 0.0, 0.0, []
    for x_t in inputs:
        current = alpha * current + x_t
        potential = beta * potential + (1 - beta) * current
        potentials.append(potential)
    return torch.stack(potentials, dim=1)


@lru_cache(maxsize=1)  # made ahead for one T; with padded batches T changes nearly every time
def kernel_spectra(
    alpha: float, beta: float, steps: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Spectra (steps + 1, 1) of l and k at length 2 * steps."""
    n = np.arange(steps, dtype=np.float64)
    kernels = alpha**n, (1 - beta) * beta**n
    spectra = [torch.fft.rfft(torch.tensor(k, dtype=dtype, device=device), n=2 * steps) for k in kernels]
    return spectra[0].unsqueeze(1), spectra[1].unsqueeze(1)


def wrapped_fft(x: Tensor, alpha: float, beta: float) -> Tensor:
    """Membrane potentials by the three-way product at length 2T, its wrap-around included."""
    steps = x.shape[1]
    current, membrane = kernel_spectra(alpha, beta, steps, x.dtype, x.device)
    spectrum = current * membrane * torch.fft.rfft(x, n=2 * steps, dim=1)
    return torch.fft.irfft(spectrum, n=2 * steps, dim=1)[:, :steps]


class _Draw(torch.autograd.Function):
    """s ~ Bernoulli(rho), or s = 1[r < rho] for given uniforms r; backward ds/drho := rho (equation 19)."""

    @staticmethod
    def forward(ctx, rho: Tensor, uniforms: Tensor | None) -> Tensor:
        ctx.save_for_backward(rho)
        return torch.bernoulli(rho) if uniforms is None else (uniforms < rho).type_as(rho)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        (rho,) = ctx.saved_tensors
        return gradient * rho, None


def bernoulli_fire(potential: Tensor, uniforms: Tensor | None = None) -> Tensor:
    """SPSN-SB: spikes of membrane potentials; `uniforms` of their shape replace torch's generator."""
    return _Draw.apply(torch.sigmoid(potential), uniforms)


def gumbel_fire(potential: Tensor, uniforms: Tensor | None = None) -> Tensor:
    """SPSN-GS: spikes of membrane potentials.

    Each logit receives a Gumbel draw -log(-log r) of its own. `uniforms` (of the potential's shape) replace
    the two by a pair with the same difference, log r - log(1-r): the firing depends on nothing else.
    """
    if uniforms is None:
        own, other = -torch.log(-torch.log(potential.new_empty(2, *potential.shape).uniform_()))
    else:
        own, other = uniforms.log(), torch.log1p(-uniforms)
    # The two logits lie apart: a softmax over neighbours in memory would take twice the time.
    soft = torch.softmax(torch.stack([potential + own, other - potential]), dim=0)[0]
    hard = (soft > 0.5).type_as(soft)
    return hard - soft.detach() + soft
