"""LIF's two passes over time on a GPU: one lane a neuron, from the first step to the last and back.

Its reset cannot be cut into chunks of time, so a lane waits for its own last step alone: the next ROWS rows
are on their way while it computes these. Spikes leave as float32, 0 or 1; the slope is kept as float16 in
units of `fire.SLOPE_UNIT`, with the spike in its sign bit, which the way back needs too.

Bytes for each neuron and step: 10 forward (read 4, written 4 and 2), 10 back (read 4 and 2, written 4).
Instructions: forward about 20, of which four wait for each other (integrate, integrate, compare, reset); back
about 15.
"""

import triton
import triton.language as tl

from spsn.kernels.gpu.adjoint import adjoint_step
from spsn.kernels.gpu.fire import fire_step
from spsn.kernels.gpu.streams import REST, load_rows, place


@triton.jit
def _signed(slope, fired):
    """A slope, float16 and not below 0, with the spike in its sign bit, which a slope of 0 has too."""
    bits = slope.to(tl.int16, bitcast=True) | tl.where(fired, -0x8000, 0).to(tl.int16)
    return bits.to(tl.float16, bitcast=True)


@triton.jit
def _spiked(slope):
    return slope.to(tl.int16, bitcast=True) < 0


@triton.jit
def _forward_tile(
    values, spikes, slopes, N: tl.constexpr, real, left, current, potential, fired,
    alpha, beta, gain, threshold, KIND: tl.constexpr, WHOLE: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    for r in tl.static_range(ROWS):
        current, potential, fired, slope = fire_step(
            values[r], current, current, potential, fired, alpha, beta, gain, threshold, KIND
        )
        stored = real if WHOLE else real & (r < left)
        tl.store(spikes + r * N, tl.where(fired, 1.0, 0.0), mask=stored)
        tl.store(slopes + r * N, _signed(slope.to(tl.float16), fired), mask=stored)
    return current, potential, fired


@triton.jit(do_not_specialize=["T"])
def lif_forward(
    x, spikes, slopes, T, N: tl.constexpr, alpha, beta, gain, threshold,
    KIND: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n, _, sample = place(N, 1, BLOCK)
    real = n < N
    at = sample * T * N + n
    x += at
    spikes += at
    slopes += at
    current = n.to(tl.float32) * 0.0
    potential = current
    fired = current > 0.0
    left = T
    values = load_rows(x, N, real & (left >= ROWS), left, True, ROWS)
    for _ in range(0, T // ROWS):
        left -= ROWS
        x += ROWS * N
        following = load_rows(x, N, real & (left >= ROWS), left, True, ROWS)
        current, potential, fired = _forward_tile(
            values, spikes, slopes, N, real, ROWS, current, potential, fired, alpha, beta, gain, threshold,
            KIND, True, ROWS,
        )  # fmt: skip
        spikes += ROWS * N
        slopes += ROWS * N
        values = following
    for t in range(T // ROWS * ROWS, T, REST):
        rest = load_rows(x, N, real, T - t, False, REST)
        current, potential, fired = _forward_tile(
            rest, spikes, slopes, N, real, T - t, current, potential, fired, alpha, beta, gain, threshold,
            KIND, False, REST,
        )  # fmt: skip
        x += REST * N
        spikes += REST * N
        slopes += REST * N


@triton.jit
def _backward_tile(
    gradients, slopes, before, dx, N: tl.constexpr, real, left, error, drive, alpha, beta, gain,
    KIND: tl.constexpr, WHOLE: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """ROWS steps backwards; `before`: the slope of the step before them all."""
    for r in tl.static_range(ROWS):
        earlier = slopes[r + 1] if r + 1 < ROWS else before
        error, drive = adjoint_step(
            gradients[r], tl.abs(slopes[r].to(tl.float32)), _spiked(slopes[r]), _spiked(earlier),
            error, drive, alpha, beta, gain, KIND,
        )  # fmt: skip
        tl.store(dx - r * N, drive, mask=real if WHOLE else real & (r < left))
    return error, drive


@triton.jit(do_not_specialize=["T"])
def lif_backward(
    gradient, slopes, dx, g_sample, g_step: tl.constexpr, g_lane: tl.constexpr, T, N: tl.constexpr,
    alpha, beta, gain, KIND: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n, _, sample = place(N, 1, BLOCK)
    real = n < N
    last = (T - 1).to(tl.int64)
    gradient += sample * g_sample + last * g_step + n * g_lane
    at = (sample * T + last) * N + n
    slopes += at
    dx += at
    error = n.to(tl.float32) * 0.0
    drive = error
    left = T
    g = load_rows(gradient, -g_step, real & (left >= ROWS), left, True, ROWS)
    kept = load_rows(slopes, -N, real & (left >= ROWS), left, True, ROWS)
    for _ in range(0, T // ROWS):
        left -= ROWS
        gradient -= ROWS * g_step
        slopes -= ROWS * N
        before = tl.load(slopes, mask=real & (left > 0), other=0.0)
        following = load_rows(gradient, -g_step, real & (left >= ROWS), left, True, ROWS)
        following_kept = load_rows(slopes, -N, real & (left >= ROWS), left, True, ROWS)
        error, drive = _backward_tile(
            g, kept, before, dx, N, real, ROWS, error, drive, alpha, beta, gain, KIND, True, ROWS
        )
        dx -= ROWS * N
        g = following
        kept = following_kept
    for t in range(T // ROWS * ROWS, T, REST):
        rest = load_rows(gradient, -g_step, real, T - t, False, REST)
        rest_kept = load_rows(slopes, -N, real, T - t, False, REST)
        before = tl.load(slopes - REST * N, mask=real & (T - t > REST), other=0.0)
        error, drive = _backward_tile(
            rest, rest_kept, before, dx, N, real, T - t, error, drive, alpha, beta, gain, KIND, False, REST
        )
        gradient -= REST * g_step
        slopes -= REST * N
        dx -= REST * N
