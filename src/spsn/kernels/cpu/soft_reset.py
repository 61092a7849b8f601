"""LIF with a soft reset as torch operations: filter and spike in one pass over memory, forward and back.

The neuron of `spsn.neurons.exodus`, and the same one by accumulations (`spsn.neurons.accumulation`), which is
given U, what would have come in had no spike taken anything off:

    u[t] = lam (u[t-1] - theta s[t-1]) + x[t]        s[t] = 1[u[t] >= theta]
    u[t] = U[t] - theta lam a[t-1]                   a[t] = lam a[t-1] + s[t]

What is not a number does not fire. Kept for the way back is the slope alone, with v = u - theta

    exponential   sg = exp(-|v| / theta) / theta
    sigmoid       sg = 4 sigma(4v) (1 - sigma(4v)) = 4 e / (1 + e)^2, e = exp(-4 |v|)
    superspike    sg = 1 / (100 |v| + 1)^2

(exponents not below -80), and the way back is one recurrence with g = dL/ds or dL/da:

    e[t] = sg[t] g[t] + lam (1 - c sg[t]) e[t+1]     dx = e

c = theta for `exodus`, 0 for `slayer`; `instant` (OTTT, SAF) keeps nothing of the next step.

float32 tensors (..., T, N) on a CPU, differentiable once, spread over threads as in `neurons.py`.
"""

from collections import namedtuple
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spsn.compiled import jit
from spsn.kernels.cpu.lanes import at_least, exp, magnitude, select
from spsn.kernels.cpu.neurons import applied, spread_out
from spsn.kernels.cpu.products import TILE
from spsn.kernels.cpu.recycling import recycled
from spsn.kernels.cpu.simd import LANES, fma, load, splat, store, store_past_cache
from spsn.neurons.lif import SURROGATE_SLOPE
from spsn.neurons.surrogate import Surrogate

EXPONENTIAL, SIGMOID, SUPERSPIKE = 0, 1, 2
SURROGATES = {"exponential": EXPONENTIAL, "sigmoid": SIGMOID, "superspike": SUPERSPIKE}
Gradient = Literal["exodus", "slayer", "instant"]

# surrogate: as numbered above; accumulates: whether it is given U and gives a.
SoftReset = namedtuple("SoftReset", "surrogate decay threshold accumulates")
# What a step's error takes from the next: decay (1 - reset slope), nothing where the decay is 0.
Back = namedtuple("Back", "decay reset")


def soft_reset_lif(
    x: Tensor, decay: float, threshold: float, gradient: Gradient, surrogate: Surrogate
) -> Tensor:
    """Spikes (0 or 1) of the pre-activation x. Raises ValueError for unknown names."""
    neuron = neuron_for(decay, threshold, surrogate, accumulates=False)
    return applied(_Fire, x, neuron, back_for(gradient, decay, threshold))


def accumulate(drive: Tensor, decay: float, threshold: float, surrogate: Surrogate) -> Tensor:
    """Accumulations a of the drive U, past ones constant: dU[t] = sg[t] da[t]."""
    neuron = neuron_for(decay, threshold, surrogate, accumulates=True)
    return applied(_Fire, drive, neuron, back_for("instant", decay, threshold))


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


class _Fire(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, neurons: int, neuron: SoftReset, back: Back) -> Tensor:
        out, slopes = recycled(*x.shape), recycled(*x.shape)
        spread_out(x, partial(_forward, neuron, x.numpy(), out.numpy(), slopes.numpy()))
        ctx.save_for_backward(slopes)
        ctx.back = back
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        (slopes,) = ctx.saved_tensors
        dx = recycled(*slopes.shape)
        arrays = gradient.contiguous().numpy(), slopes.numpy(), dx.numpy()
        spread_out(dx, partial(_backward, ctx.back, *arrays))
        return dx, None, None, None


@jit
def _forward(neuron, x, out, slopes, first, last, begin, end):
    steps, width = x.shape[1:]
    states = np.empty(width, np.float32)
    for sample in range(first, last):
        states[begin:end] = 0.0
        for t0 in range(0, steps, TILE):
            count = min(TILE, steps - t0)
            at = (sample * steps + t0) * width
            for column in range(begin, end, LANES):
                if neuron.accumulates:
                    _accumulate(neuron, x, out, slopes, at + column, count, width, states, column)
                else:
                    _spike(neuron, x, out, slopes, at + column, count, width, states, column)


@jit
def _spike(neuron, x, spikes, slopes, at, steps, width, states, column):
    """Sixteen neurons for `steps` steps from the flat index `at` on; states (N,): u after the reset."""
    decay, threshold = splat(neuron.decay), splat(neuron.threshold)
    zero, one = splat(0.0), splat(1.0)
    left = load(states, column)
    for _ in range(steps):
        potential = fma(decay, left, load(x, at))
        fired = at_least(potential, threshold)
        distance = potential - threshold
        left = select(fired, distance, potential)
        store(spikes, at, select(fired, one, zero))
        store_past_cache(slopes, at, _slope(neuron, distance))
        at += width
    store(states, column, left)


@jit
def _accumulate(neuron, drive, accumulations, slopes, at, steps, width, states, column):
    """See `_spike`; states (N,): a of the step before."""
    decay, taken = splat(neuron.decay), splat(-neuron.threshold)
    zero, one = splat(0.0), splat(1.0)
    accumulation = load(states, column)
    for _ in range(steps):
        past = decay * accumulation
        distance = fma(taken, past + one, load(drive, at))
        accumulation = past + select(at_least(distance, zero), one, zero)
        store(accumulations, at, accumulation)
        store_past_cache(slopes, at, _slope(neuron, distance))
        at += width
    store(states, column, accumulation)


@jit(inline="always")
def _slope(neuron, distance):
    size, one = magnitude(distance), splat(1.0)
    if neuron.surrogate == EXPONENTIAL:
        slope = exp(size * splat(-1.0 / neuron.threshold)) * splat(1.0 / neuron.threshold)
    elif neuron.surrogate == SIGMOID:
        e = exp(size * splat(-4.0))
        slope = splat(4.0) * e / ((one + e) * (one + e))
    else:
        steep = fma(splat(SURROGATE_SLOPE), size, one)
        slope = one / (steep * steep)
    return slope


@jit
def _backward(back, gradient, slopes, dx, first, last, begin, end):
    steps, width = dx.shape[1:]
    states = np.empty(width, np.float32)
    for sample in range(first, last):
        states[begin:end] = 0.0
        for t0 in range((steps - 1) // TILE * TILE, -1, -TILE):
            count = min(TILE, steps - t0)
            at = (sample * steps + t0 + count - 1) * width
            for column in range(begin, end, LANES):
                _errors(back, gradient, slopes, dx, at + column, count, width, states, column)


@jit
def _errors(back, gradient, slopes, dx, at, steps, width, states, column):
    """Sixteen neurons for `steps` steps back from the flat index `at`; states (N,): e of the step after."""
    decay, lost = splat(back.decay), splat(-back.decay * back.reset)
    error = load(states, column)
    for _ in range(steps):
        slope = load(slopes, at)
        source = slope * load(gradient, at)
        # Not by a factor of 0: what is not a number would go back through time.
        error = source if back.decay == 0.0 else fma(fma(lost, slope, decay), error, source)
        store_past_cache(dx, at, error)
        at -= width
    store(states, column, error)
