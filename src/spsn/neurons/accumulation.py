"""Learning by accumulated spikes: OTTT (arXiv 2210.04195), SAF (arXiv 2310.02772), Spike Representation.

All train one neuron, with a soft reset and one state, from rest (D: decay, V: threshold):

    u[t] = D (u[t-1] - V s[t-1]) + W s_in[t] + b        s[t] = 1[u[t] >= V]

OTTT keeps a trace a[t] = D a[t-1] + s[t] of every neuron and takes what was before t as constant:

    delta[t] = sg(u[t] - V) dL/ds[t]        ds_in[t] = W^T delta[t]        dW = sum_t delta[t] a_in[t]^T

with sg of `surrogate.py`. The same with the trace moved over, filtered backwards: dW = sum_t e[t] s_in[t]^T,
e[t] = delta[t] + D e[t+1]. A bias is the weight of a unit that fires at every own step, so that
db = sum_t Lambda_t delta[t], Lambda_t = sum_{k<t} D^k. The authors' program departs from this twice: it has
db = sum_t delta[t], and no trace of the first layer's input. A trace with a decay of 0 is SLTT (arXiv
2302.14311): dW = sum_t delta[t] s_in[t]^T.

SAF passes accumulations from layer to layer in place of spikes; spikes and potentials are the same:

    U[t] = W a_in[t] + Lambda_t b        u[t] = U[t] - V D a[t-1]        s[t] = 1[u[t] >= V]

SAF-E, with a loss at every step, has OTTT's gradient: dU[t] = sg(u[t] - V) da[t], dW = sum_t dU[t] a_in[t]^T.
The closed form of U matters: U[t] = D U[t-1] + W (a_in[t] - D a_in[t-1]) + b with the past as a constant has
dU/dW = s_in[t], which is SLTT.

SAF-F and Spike Representation (arXiv 2205.00459) know the last step alone, where r = a[T] / Lambda_T is a
weighted rate. Exactly

    r = z - (u[T] - V s[T]) / (V Lambda_T)              z = (W r_in + b) / V

and the rest is dropped: dr/d(W r_in + b) = 1[0 < z < 1], which Spike Representation divides by V.

Shapes: S runs, B samples, T steps; s, a, x, u (S, B, T, N); weight (S, out, in), bias (S, out), rates
(S, B, N); a mask (S, 1, T, 1) is 1 in a run's own steps (its last ones), None where all are.
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spsn.methods import Surrogate
from spsn.neurons.exodus import fused_forms, simulate
from spsn.neurons.integrator import chunks
from spsn.neurons.surrogate import surrogate_slope

FinalMethod = Literal["saf-f", "spike-representation"]


def trace(s: Tensor, decay: float) -> Tensor:
    """a[t] = decay a[t-1] + s[t], (..., T, N), exactly 0 up to the first spike; differentiable."""
    return chunks(s, decay, 0.0)


def reversed_trace(delta: Tensor, decay: float) -> Tensor:
    """e[t] = delta[t] + decay e[t+1], (..., T, N)."""
    return trace(delta.flip(-2), decay).flip(-2)


def age(like: Tensor, decay: float, mask: Tensor | None = None) -> Tensor:
    """Lambda_t of every step, (S or 1, 1, T, 1): the trace of a unit that fires at every own step."""
    ones = like.new_ones(1, 1, like.shape[2], 1) if mask is None else mask
    return trace(ones, decay)


def affine(s: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """W s + b of every run: (S, ..., in) to (S, ..., out)."""
    flat = torch.baddbmm(bias.unsqueeze(1), s.flatten(1, -2), weight.transpose(1, 2))
    return flat.view(*s.shape[:-1], -1)


def traced_affine(
    s: Tensor, weight: Tensor, bias: Tensor, decay: float, mask: Tensor | None = None
) -> Tensor:
    """W s + b in own steps, 0 elsewhere: (S, B, T, in) to (S, B, T, out), with OTTT's gradients.

    decay: of the traces; 0 gives the instantaneous gradients of SLTT.
    """
    return _TracedAffine.apply(s, weight, bias, decay, mask)


class _TracedAffine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, s: Tensor, weight: Tensor, bias: Tensor, decay: float, mask: Tensor | None) -> Tensor:
        ctx.save_for_backward(s, weight, mask)
        ctx.decay = decay
        x = affine(s, weight, bias)
        return x if mask is None else x * mask

    @staticmethod
    @once_differentiable
    def backward(ctx, delta: Tensor):
        s, weight, mask = ctx.saved_tensors
        delta = delta if mask is None else delta * mask
        of_weight = outer_sum(delta, trace(s, ctx.decay))
        of_bias = (age(s, ctx.decay, mask) * delta).sum(dim=(1, 2))
        return backwards(delta, weight), of_weight, of_bias, None, None


def outer_sum(delta: Tensor, a: Tensor) -> Tensor:
    """sum over samples and steps of delta a^T: (S, B, T, out), (S, B, T, in) to (S, out, in)."""
    return torch.bmm(delta.flatten(1, 2).transpose(1, 2), a.flatten(1, 2))


def backwards(delta: Tensor, weight: Tensor) -> Tensor:
    """W^T delta of every run: (S, B, T, out) to (S, B, T, in)."""
    return torch.bmm(delta.flatten(1, 2), weight).view(*delta.shape[:-1], -1)


def traced_gradient(x: Tensor, decay: float) -> Tensor:
    """x itself, whose gradient is filtered backwards: OTTT's first layer, a sum over events.

    What comes before x then needs no trace of its input (the second form above).
    """
    return _TracedGradient.apply(x, decay)


class _TracedGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, decay: float) -> Tensor:
        ctx.decay = decay
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx, delta: Tensor):
        return reversed_trace(delta, ctx.decay), None


def ottt_spikes(
    x: Tensor, decay: float, threshold: float, surrogate: Surrogate = "exponential", fused: bool = False
) -> Tensor:
    """Spikes (S, B, T, N) of the pre-activation x, with dx[t] = sg(u[t] - V) ds[t]: nothing through time."""
    if fused:
        return fused_forms(x).soft_reset_lif(x, decay, threshold, "instant", surrogate)
    return _Instant.apply(x, decay, threshold, surrogate)


class _Instant(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, decay: float, threshold: float, surrogate: Surrogate) -> Tensor:
        potentials, spikes = simulate(x, decay, threshold)
        ctx.save_for_backward(potentials)
        ctx.constants = threshold, surrogate
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        threshold, surrogate = ctx.constants
        slope = surrogate_slope(ctx.saved_tensors[0] - threshold, surrogate, threshold)
        return gradient * slope, None, None, None


def accumulated_affine(
    a: Tensor, weight: Tensor, bias: Tensor, decay: float, mask: Tensor | None = None
) -> Tensor:
    """The drive U[t] = W a[t] + Lambda_t b in own steps, 0 elsewhere: (S, B, T, in) to (S, B, T, out)."""
    return affine(a, weight, torch.zeros_like(bias)) + age(a, decay, mask) * bias[:, None, None, :]


def saf_accumulate(
    drive: Tensor,
    decay: float,
    threshold: float,
    surrogate: Surrogate = "exponential",
    fused: bool = False,
) -> Tensor:
    """Accumulations a (S, B, T, N) of the drive U, with dU[t] = sg(u[t] - V) da[t]."""
    if fused:
        return fused_forms(drive).accumulate(drive, decay, threshold, surrogate)
    return _Accumulate.apply(drive, decay, threshold, surrogate)


class _Accumulate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, drive: Tensor, decay: float, threshold: float, surrogate: Surrogate) -> Tensor:
        over_time = drive.movedim(-2, 0).contiguous()
        distances, accumulations = torch.empty_like(over_time), torch.empty_like(over_time)
        kept = torch.zeros_like(over_time[0])  # D a[t-1]
        for t in range(len(over_time)):
            torch.sub(over_time[t], kept + 1, alpha=threshold, out=distances[t])
            torch.add(kept, distances[t] >= 0, out=accumulations[t])
            kept = decay * accumulations[t]
        ctx.save_for_backward(distances.movedim(0, -2))
        ctx.constants = threshold, surrogate
        return accumulations.movedim(0, -2)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        threshold, surrogate = ctx.constants
        return gradient * surrogate_slope(ctx.saved_tensors[0], surrogate, threshold), None, None, None


def spikes_of(a: Tensor, decay: float) -> Tensor:
    """s[t] = a[t] - decay a[t-1], (S, B, T, N), exactly 0 or 1; what is subtracted counts as a constant."""
    return _SpikesOf.apply(a, decay)


class _SpikesOf(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a: Tensor, decay: float) -> Tensor:
        before = nn.functional.pad(a, (0, 0, 1, 0))[..., :-1, :]
        return torch.sub(a, before, alpha=decay).round_()

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return gradient, None


def remembered(like: Tensor, steps: int, decay: float) -> Tensor:
    """decay^(T-1-t), (T,): what the last step remembers of every step."""
    return like.new_tensor(decay ** np.arange(steps, dtype=np.float64)[::-1])


def remembered_sum(s: Tensor, decay: float) -> Tensor:
    """sum_t decay^(T-1-t) s[t], the trace's last value: (..., T, N) to (..., N)."""
    return torch.matmul(remembered(s, s.shape[-2], decay), s)


def final_layer(
    rate_in: Tensor, weight: Tensor, bias: Tensor, rate: Tensor, threshold: float, method: FinalMethod
) -> Tensor:
    """The weighted rate (S, B, out) that the neurons had, with the gradient of the clipped map from rate_in.

    rate_in (S, B, in): the weighted rates of their input. Raises ValueError for an unknown method.
    """
    if method not in ("saf-f", "spike-representation"):
        raise ValueError(f"a final-step method is 'saf-f' or 'spike-representation', not {method!r}")
    slope = 1.0 if method == "saf-f" else 1.0 / threshold
    return _Clipped.apply(affine(rate_in, weight, bias) / threshold, rate, slope * threshold)


class _Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z: Tensor, rate: Tensor, slope: float) -> Tensor:
        ctx.save_for_backward((z > 0) & (z < 1))
        ctx.slope = slope
        return rate.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        return gradient * ctx.saved_tensors[0] * ctx.slope, None, None
