"""A pass over time with one lane a neuron, from the first step to the last or back: neurons with a reset.

What a reset did cannot be cut into chunks of time (`streams`), so a lane waits for its own last step alone:
the next ROWS rows are on their way while it computes these.

A neuron is a function of one step for each way, which a pass inlines. `state` and `constants` are tuples:

    STEP(value, *state, *constants)                       new state, what leaves, what is kept, as float16
    STEP(gradient, kept, before, *state, *constants)      new state, dx; before: what the step before kept

Bytes for each neuron and step: 10 forward (read 4, written 4 and 2), 10 back (read 4 and 2, written 4).
"""

import triton
import triton.language as tl

from spsn.kernels.gpu.streams import REST, load_rows

FORWARD_ROWS, BACKWARD_ROWS, BLOCK = 48, 32, 32  # a warp, whose loads take as long as so many steps


@triton.jit
def _forward_tile(
    values, outputs, kept, N: tl.constexpr, real, left, state, constants,
    STEP: tl.constexpr, WHOLE: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    for r in tl.static_range(ROWS):
        state, out, slope = STEP(values[r], *state, *constants)
        stored = real if WHOLE else real & (r < left)
        tl.store(outputs + r * N, out, mask=stored)
        tl.store(kept + r * N, slope.to(tl.float16), mask=stored)
    return state


@triton.jit
def forward_in_order(
    x, outputs, kept, T, N: tl.constexpr, n, sample, state, constants,
    STEP: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Fill outputs and kept (B, T, N) for neurons n of a sample; state: before the first step."""
    real = n < N
    at = sample * T * N + n
    x += at
    outputs += at
    kept += at
    left = T
    values = load_rows(x, N, real & (left >= ROWS), left, True, ROWS)
    for _ in range(0, T // ROWS):
        left -= ROWS
        x += ROWS * N
        following = load_rows(x, N, real & (left >= ROWS), left, True, ROWS)
        state = _forward_tile(values, outputs, kept, N, real, ROWS, state, constants, STEP, True, ROWS)
        outputs += ROWS * N
        kept += ROWS * N
        values = following
    for t in range(T // ROWS * ROWS, T, REST):
        rest = load_rows(x, N, real, T - t, False, REST)
        state = _forward_tile(rest, outputs, kept, N, real, T - t, state, constants, STEP, False, REST)
        x += REST * N
        outputs += REST * N
        kept += REST * N


@triton.jit
def _backward_tile(
    gradients, kept, before, dx, N: tl.constexpr, real, left, state, constants,
    STEP: tl.constexpr, WHOLE: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """ROWS steps backwards; `before`: what the step before them all kept."""
    for r in tl.static_range(ROWS):
        earlier = kept[r + 1] if r + 1 < ROWS else before
        state, out = STEP(gradients[r], kept[r], earlier, *state, *constants)
        tl.store(dx - r * N, out, mask=real if WHOLE else real & (r < left))
    return state


@triton.jit
def backward_in_order(
    gradient, kept, dx, g_sample, g_step: tl.constexpr, g_lane: tl.constexpr, T, N: tl.constexpr, n, sample,
    state, constants, STEP: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Fill dx (B, T, N) for neurons n of a sample; the gradient has strides; state: after the last step."""
    real = n < N
    last = (T - 1).to(tl.int64)
    gradient += sample * g_sample + last * g_step + n * g_lane
    at = (sample * T + last) * N + n
    kept += at
    dx += at
    left = T
    g = load_rows(gradient, -g_step, real & (left >= ROWS), left, True, ROWS)
    slopes = load_rows(kept, -N, real & (left >= ROWS), left, True, ROWS)
    for _ in range(0, T // ROWS):
        left -= ROWS
        gradient -= ROWS * g_step
        kept -= ROWS * N
        before = tl.load(kept, mask=real & (left > 0), other=0.0)
        following = load_rows(gradient, -g_step, real & (left >= ROWS), left, True, ROWS)
        following_slopes = load_rows(kept, -N, real & (left >= ROWS), left, True, ROWS)
        state = _backward_tile(g, slopes, before, dx, N, real, ROWS, state, constants, STEP, True, ROWS)
        dx -= ROWS * N
        g = following
        slopes = following_slopes
    for t in range(T // ROWS * ROWS, T, REST):
        rest = load_rows(gradient, -g_step, real, T - t, False, REST)
        rest_slopes = load_rows(kept, -N, real, T - t, False, REST)
        before = tl.load(kept - REST * N, mask=real & (T - t > REST), other=0.0)
        state = _backward_tile(
            rest, rest_slopes, before, dx, N, real, T - t, state, constants, STEP, False, REST
        )
        gradient -= REST * g_step
        kept -= REST * N
        dx -= REST * N
