"""LIF's two passes over time on a GPU: one lane a neuron, from the first step to the last and back.

Its reset cannot be cut into chunks of time, so the passes are those of `in_order`. Spikes leave as float32, 0
or 1; the slope is kept as float16 in units of `fire.SLOPE_UNIT`, with the spike in its sign bit, which the
way back needs too.

Instructions: forward about 20, of which four wait for each other (integrate, integrate, compare, reset); back
about 15.
"""

import triton
import triton.language as tl

from spsn.kernels.gpu.adjoint import adjoint_step
from spsn.kernels.gpu.fire import fire_step
from spsn.kernels.gpu.in_order import backward_in_order, forward_in_order
from spsn.kernels.gpu.streams import place


@triton.jit
def _signed(slope, fired):
    """A slope, float16 and not below 0, with the spike in its sign bit, which a slope of 0 has too."""
    bits = slope.to(tl.int16, bitcast=True) | tl.where(fired, -0x8000, 0).to(tl.int16)
    return bits.to(tl.float16, bitcast=True)


@triton.jit
def _spiked(slope):
    return slope.to(tl.int16, bitcast=True) < 0


@triton.jit
def _step(x, current, potential, fired, alpha, beta, gain, threshold, KIND: tl.constexpr):
    current, potential, fired, slope = fire_step(
        x, current, current, potential, fired, alpha, beta, gain, threshold, KIND
    )
    kept = _signed(slope.to(tl.float16), fired)
    return (current, potential, fired), tl.where(fired, 1.0, 0.0), kept


@triton.jit(do_not_specialize=["T"])
def lif_forward(
    x, spikes, slopes, T, N: tl.constexpr, alpha, beta, gain, threshold,
    KIND: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n, _, sample = place(N, 1, BLOCK)
    rest = n.to(tl.float32) * 0.0
    forward_in_order(
        x, spikes, slopes, T, N, n, sample, (rest, rest, rest > 0.0), (alpha, beta, gain, threshold, KIND),
        _step, ROWS,
    )  # fmt: skip


@triton.jit
def _step_back(g, slope, before, error, drive, alpha, beta, gain, KIND: tl.constexpr):
    error, drive = adjoint_step(
        g, tl.abs(slope.to(tl.float32)), _spiked(slope), _spiked(before), error, drive, alpha, beta, gain,
        KIND,
    )  # fmt: skip
    return (error, drive), drive


@triton.jit(do_not_specialize=["T"])
def lif_backward(
    gradient, slopes, dx, g_sample, g_step: tl.constexpr, g_lane: tl.constexpr, T, N: tl.constexpr,
    alpha, beta, gain, KIND: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n, _, sample = place(N, 1, BLOCK)
    rest = n.to(tl.float32) * 0.0
    backward_in_order(
        gradient, slopes, dx, g_sample, g_step, g_lane, T, N, n, sample,
        (rest, rest), (alpha, beta, gain, KIND), _step_back, ROWS,
    )  # fmt: skip
