"""The leaky integrator over a whole sequence, for tensors that no cache holds.

    i[t] = a i[t-1] + x[t]        u[t] = b u[t-1] + g i[t]

With (a, b, g) = (alpha, beta, 1-beta) this is the integrator; with alpha and beta exchanged and time
reversed, its adjoint. Every number is read once and written once, past the cache, whose other contents would
only be driven out.
"""

from spsn.compiled import jit
from spsn.kernels.cpu.simd import (
    LANES,
    WIDE,
    fma,
    load,
    load_wide,
    splat,
    splat_wide,
    store_past_cache,
)


@jit
def filter_columns(a, b, gain, x, u, first, last, begin, end, reverse):
    """u from x in the columns begin ... end-1 of the samples first ... last-1; `reverse`: from the last step.

    x, u (B, T, N), N and the columns whole vectors; u begins at a multiple of 64 bytes.
    """
    steps, width = x.shape[1:]
    wide = begin + (end - begin) // WIDE * WIDE
    stride = -width if reverse else width
    for sample in range(first, last):
        origin = (sample * steps + (steps - 1 if reverse else 0)) * width
        for column in range(begin, wide, WIDE):
            _wide_stream(a, b, gain, x, u, origin + column, steps, stride)
        for column in range(wide, end, LANES):
            _stream(a, b, gain, x, u, origin + column, steps, stride)


@jit
def _wide_stream(a, b, gain, x, u, at, steps, stride):
    first, second, scale = splat_wide(a), splat_wide(b), splat_wide(gain)
    current, potential = splat_wide(0.0), splat_wide(0.0)
    for _ in range(steps):
        current = fma(first, current, load_wide(x, at))
        potential = fma(second, potential, scale * current)
        store_past_cache(u, at, potential)
        at += stride


@jit
def _stream(a, b, gain, x, u, at, steps, stride):
    first, second, scale = splat(a), splat(b), splat(gain)
    current, potential = splat(0.0), splat(0.0)
    for _ in range(steps):
        current = fma(first, current, load(x, at))
        potential = fma(second, potential, scale * current)
        store_past_cache(u, at, potential)
        at += stride
