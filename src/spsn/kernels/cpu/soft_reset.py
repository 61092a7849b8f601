"""LIF with a soft reset as torch operations on a CPU: filter and spike in one pass over memory, forward and
back.

The functions and equations of `spsn.kernels.soft_reset` for tensors (..., T, N) on a CPU, spread over threads
as in `neurons.py`. Slopes are kept as float32; their exponents are not below -80.
"""

from functools import partial

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
from spsn.kernels.soft_reset import EXPONENTIAL, SIGMOID, Back, FusedSoftReset, SoftReset
from spsn.neurons.lif import SURROGATE_SLOPE


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


_forms = FusedSoftReset(partial(applied, _Fire))
soft_reset_lif, accumulate = _forms.soft_reset_lif, _forms.accumulate


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
