"""The way back through a layer's neurons, from a run's last step to its first, as one kernel.

With the slopes that `fire.py` kept and the spikes s, e = dL/du, and g = dL/ds:

    SPSN      e[t] = slope[t] g[t] + beta e[t+1]
    LIF       e[t] = slope[t] g[t] + beta (1 - s[t]) e[t+1]          the reset passes no gradient on
    all       dx[t] = (1-beta) e[t] + alpha dx[t+1]           LIF, equation 6: (1 - s[t-1]) (1-beta) e[t]

g[t] is a number that is the same at every step, plus c[t] times a number (below an averaged readout), or
what is given for every step, or the product of the layer above's dx with its weights, which is made a tile at
a time in the program's scratch. e is 1 / SLOPE_UNIT
times what it says there, as the slopes are, and the factor 1-beta brings it back.

Bytes a neuron and step: read 2 (slope), 1/8 (LIF's spikes) and 4 K / W of the layer above or 4 of what is
given, written 4. Instructions a step from rows, as compiled for sm_90: SPSN 15, LIF 17.
"""

import triton
import triton.language as tl

from spsn.kernels.cpu.fire import LIF_CODE, LIF_PAPER, RELU
from spsn.kernels.gpu.groups import group_of, lanes_of
from spsn.kernels.gpu.products import held_weights, product_rows

CODE, PAPER, RECTIFIER = tl.constexpr(LIF_CODE), tl.constexpr(LIF_PAPER), tl.constexpr(RELU)
TOP, GIVEN, DOWN = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)


@triton.jit
def adjoint_step(g, slope, fired, fired_before, error, drive, alpha, beta, gain, KIND: tl.constexpr):
    """One step backwards: the new e and dx. `fired_before` is looked at for LIF by the paper alone."""
    error = beta * error
    if KIND == CODE or KIND == PAPER:  # noqa: SIM109 - Triton has no `in`
        error = tl.where(fired, 0.0, error)
    error += slope * g
    passed = gain * error
    if KIND == PAPER:
        passed = tl.where(fired_before, 0.0, passed)
    return error, alpha * drive + passed


@triton.jit
def _source(
    rows, c, averaged, steady, j: tl.constexpr, here, inside,
    SOURCE: tl.constexpr, MASKED: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """g of step j."""
    if SOURCE == TOP:
        g = tl.load(c + j, mask=j < inside, other=0.0) * averaged + steady
    else:
        g = tl.load(rows + j * WIDTH, mask=here & (j < inside) if MASKED else here, other=0.0) + steady
    return g


@triton.jit
def _four_steps(
    rows, c, kept, dx, exists, inside, averaged, steady, packed, last, error, drive, total,
    alpha, beta, gain,
    KIND: tl.constexpr, SOURCE: tl.constexpr, MASKED: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Four steps backwards; MASKED: but for the first `inside`, they are no steps. Loads come first.

    packed, last: words whose lowest bits are the spikes of the four steps, and of the one before each.
    Returns the states.
    """
    g0 = _source(rows, c, averaged, steady, 0, exists, inside, SOURCE, MASKED, WIDTH)
    g1 = _source(rows, c, averaged, steady, 1, exists, inside, SOURCE, MASKED, WIDTH)
    g2 = _source(rows, c, averaged, steady, 2, exists, inside, SOURCE, MASKED, WIDTH)
    g3 = _source(rows, c, averaged, steady, 3, exists, inside, SOURCE, MASKED, WIDTH)
    g = (g0, g1, g2, g3)
    k0 = tl.load(kept, mask=exists, other=0.0)
    k1 = tl.load(kept + WIDTH, mask=exists & (inside > 1) if MASKED else exists, other=0.0)
    k2 = tl.load(kept + 2 * WIDTH, mask=exists & (inside > 2) if MASKED else exists, other=0.0)
    k3 = tl.load(kept + 3 * WIDTH, mask=exists & (inside > 3) if MASKED else exists, other=0.0)
    k = (k0, k1, k2, k3)
    for j in tl.static_range(3, -1, -1):
        if KIND == RECTIFIER:
            drive = tl.where(k[j] > 0.0, g[j], 0.0)
        else:
            fired, before = ((packed >> j) & 1) != 0, ((last >> j) & 1) != 0
            slope = k[j].to(tl.float32)
            error, drive = adjoint_step(g[j], slope, fired, before, error, drive, alpha, beta, gain, KIND)
        total += drive
        tl.store(dx + j * WIDTH, drive, mask=exists & (j < inside) if MASKED else exists)
    return error, drive, total


@triton.jit
def _spikes_of_tile(words, t0, exists, KIND: tl.constexpr, TILE: tl.constexpr, WIDTH: tl.constexpr):
    """The words (SAMPLES, WIDTH) of the tile from t0 on, bit t the spike of step t, and others whose bit t is
    that of step t - 1; 0 where a kind looks at none. words: where a lane's first one lies.
    """
    packed = tl.zeros(exists.shape, tl.int32)
    last = packed
    if KIND == CODE or KIND == PAPER:  # noqa: SIM109 - Triton has no `in`
        packed = tl.load(words + (t0 // TILE) * WIDTH, mask=exists, other=0)
    if KIND == PAPER:
        last = tl.load(words + (t0 // TILE - 1) * WIDTH, mask=exists & (t0 > 0), other=0)
        last = (packed << 1) | ((last >> 31) & 1)
    return packed, last


@triton.jit
def _tile(
    rows, c, kept, dx, exists, t0, steps, averaged, steady, packed, last, error, drive, total,
    alpha, beta, gain, KIND: tl.constexpr, SOURCE: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """A tile of `steps` steps from t0 on, backwards; see `_four_steps`. rows and c begin with the tile, kept
    and dx with the run.
    """
    whole = steps // 4 * 4
    rows += whole * WIDTH
    c += whole
    kept += (t0 + whole) * WIDTH
    dx += (t0 + whole) * WIDTH
    if whole < steps:
        error, drive, total = _four_steps(
            rows, c, kept, dx, exists, steps - whole, averaged, steady, packed >> whole, last >> whole,
            error, drive, total, alpha, beta, gain, KIND, SOURCE, True, WIDTH,
        )  # fmt: skip
    for quarter in range(0, whole // 4):
        t = whole - 4 - 4 * quarter
        rows -= 4 * WIDTH
        c -= 4
        kept -= 4 * WIDTH
        dx -= 4 * WIDTH
        error, drive, total = _four_steps(
            rows, c, kept, dx, exists, 4, averaged, steady, packed >> t, last >> t,
            error, drive, total, alpha, beta, gain, KIND, SOURCE, False, WIDTH,
        )  # fmt: skip
    return error, drive, total


@triton.jit(do_not_specialize=["samples", "T"])
def backward_kernel(
    source, weight, apart, scratch, lengths, coefficients, constant, spikes, kept, dx, bias,
    samples, T, alpha, beta, gain,
    KIND: tl.constexpr, SOURCE: tl.constexpr, SPLIT: tl.constexpr, HELD: tl.constexpr,
    SAMPLES: tl.constexpr, TILE: tl.constexpr, ABOVE: tl.constexpr, WIDTH: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """The way back of one layer; see `layers.backward`. Program: SAMPLES samples of a run; kept: slopes, or
    outputs of the non-spiking network.
    """
    program = tl.program_id(0).to(tl.int64)
    run, first, count = group_of(program, samples, SAMPLES)
    length = tl.load(lengths + run)
    _, n, exists, state, signal, word = lanes_of(run, first, samples, T, SAMPLES, TILE, WIDTH)
    steady = tl.load(constant + run * WIDTH + n)[None, :]
    own = scratch + program * SAMPLES * TILE * WIDTH
    weight += run * ABOVE * WIDTH
    averaged = tl.load(source + state, mask=exists, other=0.0) if SOURCE == TOP else steady
    high, low = held_weights(weight, apart, HELD, ABOVE, WIDTH)
    error = tl.zeros((SAMPLES, WIDTH), tl.float32)
    drive = error
    total = error
    tiles = tl.cdiv(length, TILE)
    for back in range(0, tiles):
        t0 = (tiles - 1 - back) * TILE
        if SOURCE == DOWN:
            rows = product_rows(
                own, source, weight, apart, weight, high, low, run * samples + first, count, t0, length, T,
                False, SPLIT, HELD, False, SAMPLES, TILE, ABOVE, WIDTH, ROWS, COLUMNS,
            )  # fmt: skip
        else:
            rows = source + signal + t0 * WIDTH
        packed, last = _spikes_of_tile(spikes + word, t0, exists, KIND, TILE, WIDTH)
        error, drive, total = _tile(
            rows, coefficients + run * T + t0, kept + signal, dx + signal, exists, t0,
            tl.minimum(length - t0, TILE), averaged, steady, packed, last, error, drive, total,
            alpha, beta, gain, KIND, SOURCE, WIDTH,
        )  # fmt: skip
    tl.store(bias + state, total, mask=exists)
