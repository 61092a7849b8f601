"""LIF with a soft reset as torch operations on a GPU: filter and spike in one pass over memory, forward and
back.

The functions and equations of `spsn.kernels.soft_reset` for tensors (..., T, N) on a GPU. What the reset took
off cannot be cut into chunks of time, so forward one lane has a neuron from the first step to the last
(`in_order`). Back:

    exodus     likewise, from the last step to the first: its factors differ from step to step
    slayer     the adjoint of a filter, in chunks of time (`streams.filtered`)
    instant    a product, all steps side by side

Slopes are kept as float16 of 2^14 slope / slope(0) (`fire`), which is at most 2^14 for every threshold; so a
gradient is right to 2^-11 of its terms.

Bytes for each neuron and step: 10 forward (read 4, written 4 and 2), 10 back (read 4 and 2, written 4), for
slayer what `neurons` says of SPSN. Of the forward's instructions three wait for each other (integrate,
compare, reset), of the way back's two.
"""

from functools import partial

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from spsn.kernels import soft_reset as shared
from spsn.kernels.gpu.fire import LOG2_E, ONE, SCALE, SLOPE_UNIT, STEEP
from spsn.kernels.gpu.in_order import (
    BACKWARD_ROWS,
    BLOCK,
    FORWARD_ROWS,
    backward_in_order,
    forward_in_order,
)
from spsn.kernels.gpu.launching import on
from spsn.kernels.gpu.neurons import applied
from spsn.kernels.gpu.streams import Decays, block_for, filtered, load_rows, place
from spsn.kernels.soft_reset import Back, FusedSoftReset, SoftReset

EXPONENTIAL, SIGMOID = tl.constexpr(shared.EXPONENTIAL), tl.constexpr(shared.SIGMOID)
PRODUCT_ROWS = 16  # time steps of a program of `_product`


class _Fire(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, neuron: SoftReset, back: Back) -> Tensor:
        samples, steps, neurons = x.shape
        out, slopes = torch.empty_like(x), torch.empty_like(x, dtype=torch.float16)
        with on(x.device):
            _forward[(triton.cdiv(neurons, BLOCK) * samples,)](
                x, out, slopes, steps, neurons, neuron.decay, neuron.threshold, 1 / neuron.threshold,
                neuron.surrogate, neuron.accumulates, FORWARD_ROWS, BLOCK, num_warps=1,
            )  # fmt: skip
        ctx.save_for_backward(slopes)
        ctx.back = back
        ctx.unit = SLOPE_UNIT / (neuron.threshold if neuron.surrogate == shared.EXPONENTIAL else 1.0)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        (slopes,), (decay, reset) = ctx.saved_tensors, ctx.back
        if decay == 0:
            dx = _weighed(gradient, slopes, ctx.unit)
        elif reset == 0:
            dx = filtered(gradient, Decays(decay, 0.0, ctx.unit, reverse=True), slopes)
        else:
            dx = _errors(gradient, slopes, ctx.back, ctx.unit)
        return dx, None, None


_forms = FusedSoftReset(partial(applied, _Fire))
soft_reset_lif, accumulate = _forms.soft_reset_lif, _forms.accumulate


def _weighed(gradient: Tensor, slopes: Tensor, unit: float) -> Tensor:
    samples, steps, neurons = slopes.shape
    dx = torch.empty(slopes.shape, device=slopes.device)
    chunks, block = triton.cdiv(steps, PRODUCT_ROWS), block_for(neurons)
    with on(dx.device):
        _product[(triton.cdiv(neurons, block) * samples * chunks,)](
            gradient, slopes, dx, *gradient.stride(), steps, neurons, chunks, unit, PRODUCT_ROWS, block,
            num_warps=block // 32,
        )  # fmt: skip
    return dx


def _errors(gradient: Tensor, slopes: Tensor, back: Back, unit: float) -> Tensor:
    samples, steps, neurons = slopes.shape
    dx = torch.empty(slopes.shape, device=slopes.device)
    with on(dx.device):
        _backward[(triton.cdiv(neurons, BLOCK) * samples,)](
            gradient, slopes, dx, *gradient.stride(), steps, neurons,
            back.decay, -back.decay * back.reset * unit, unit, BACKWARD_ROWS, BLOCK, num_warps=1,
        )  # fmt: skip
    return dx


@triton.jit
def _slope(distance, inverse, SURROGATE: tl.constexpr):
    """2^14 times the slope, of the slope at the threshold; inverse: 1 / theta."""
    size = tl.abs(distance)
    if SURROGATE == EXPONENTIAL:
        slope = tl.exp2(size * inverse * -LOG2_E) * SCALE
    elif SURROGATE == SIGMOID:
        e = tl.exp2(size * (-4.0 * LOG2_E))
        slope = (4.0 * SCALE) * e / ((1.0 + e) * (1.0 + e))
    else:
        distance = size * STEEP + ONE
        slope = 1.0 / (distance * distance)
    return slope


@triton.jit
def _step(given, state, decay, threshold, inverse, SURROGATE: tl.constexpr, ACCUMULATES: tl.constexpr):
    """The new state, what leaves, and the slope; state: u after the reset, or the accumulation."""
    if ACCUMULATES:
        past = decay * state
        distance = given - threshold * (past + 1.0)
        out = past + tl.where(distance >= 0.0, 1.0, 0.0)
        state = out
    else:
        potential = decay * state + given
        distance = potential - threshold
        fired = potential >= threshold
        out = tl.where(fired, 1.0, 0.0)
        state = tl.where(fired, distance, potential)
    return (state,), out, _slope(distance, inverse, SURROGATE)


@triton.jit(do_not_specialize=["T"])
def _forward(
    x, outputs, slopes, T, N: tl.constexpr, decay, threshold, inverse,
    SURROGATE: tl.constexpr, ACCUMULATES: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n, _, sample = place(N, 1, BLOCK)
    rest = n.to(tl.float32) * 0.0
    forward_in_order(
        x, outputs, slopes, T, N, n, sample, (rest,), (decay, threshold, inverse, SURROGATE, ACCUMULATES),
        _step, ROWS,
    )  # fmt: skip


@triton.jit
def _step_back(g, slope, before, error, decay, lost, unit):
    """EXODUS; lost: what a slope takes from the factor, below 0."""
    slope = slope.to(tl.float32)
    error = (decay + lost * slope) * error + (unit * slope) * g
    return (error,), error


@triton.jit(do_not_specialize=["T"])
def _backward(
    gradient, slopes, dx, g_sample, g_step: tl.constexpr, g_lane: tl.constexpr, T, N: tl.constexpr,
    decay, lost, unit, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n, _, sample = place(N, 1, BLOCK)
    rest = n.to(tl.float32) * 0.0
    backward_in_order(
        gradient, slopes, dx, g_sample, g_step, g_lane, T, N, n, sample,
        (rest,), (decay, lost, unit), _step_back, ROWS,
    )  # fmt: skip


@triton.jit(do_not_specialize=["T", "chunks"])
def _product(
    gradient, slopes, dx, g_sample, g_step: tl.constexpr, g_lane: tl.constexpr, T, N: tl.constexpr, chunks,
    unit, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """dx = unit slope g, ROWS steps a program."""
    n, chunk, sample = place(N, chunks, BLOCK)
    real = n < N
    begin = chunk.to(tl.int64) * ROWS
    gradient += sample * g_sample + begin * g_step + n * g_lane
    at = (sample * T + begin) * N + n
    g = load_rows(gradient, g_step, real, T - begin, False, ROWS)
    kept = load_rows(slopes + at, N, real, T - begin, False, ROWS)
    for r in tl.static_range(ROWS):
        value = (unit * kept[r].to(tl.float32)) * g[r]
        tl.store(dx + at + r * N, value, mask=real & (r < T - begin))
