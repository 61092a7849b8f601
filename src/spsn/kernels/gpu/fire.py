"""A layer's neurons from their rest to a run's last step, as one kernel: integrate, fire, pack, count, weigh.

A program has SAMPLES samples of one run and all W neurons of the layer, a lane a neuron; the states i and u
(`spsn.neurons.integrator`) and the word of a tile's spikes stay in registers. Kept for the way back is the
slope ds/du alone, as in `spsn.kernels.cpu.fire`, which has the equations:

    SPSN-SB   rho = sigma(u)                         s = 1[r < rho]      slope rho^2 (1 - rho)
    SPSN-GS   y = r / (r + (1-r) e^(-2u))            s = 1[y > 1/2]      slope 2 y (1 - y)
    LIF       reset as in `spsn.neurons.lif`         s = 1[u > u_th]     slope 1 / (100 |u - u_th| + 1)^2

Slopes are kept as float16 of 2^14 slope: normal down to a slope of 2^-28, so that 11 bits are right for LIF
until u is 160 from the threshold. The factor is taken out where the way back multiplies anyway
(`adjoint.py`).
What is not a number stays so; the exponent is clamped, so that u = +-1e30 gives a slope of 0.

Bytes a neuron and step: read 4 (pre-activations from memory, or from the scratch in the cache), written 2 1/8
(slope and spike; without the gradient 1/8). Instructions a step from rows, as compiled for sm_90: SPSN-SB 39
and GS 44, of which about 13 for noise and 2 on the special function units; LIF 24. About 40 registers:
48 warps share a multiprocessor; with weights in shared memory it is 16.
"""

import triton
import triton.language as tl

from spsn.kernels.cpu.fire import LIF_CODE, LIF_PAPER, RELU, SPSN_GS, SPSN_SB
from spsn.kernels.gpu.groups import group_of, lanes_of
from spsn.kernels.gpu.philox import four_uniforms
from spsn.kernels.gpu.products import held_weights, product_rows
from spsn.neurons.lif import SURROGATE_SLOPE

SLOPE_UNIT = 2.0**-14
SB, GS = tl.constexpr(SPSN_SB), tl.constexpr(SPSN_GS)
CODE, PAPER, RECTIFIER = tl.constexpr(LIF_CODE), tl.constexpr(LIF_PAPER), tl.constexpr(RELU)
SCALE, TWICE = tl.constexpr(1 / SLOPE_UNIT), tl.constexpr(2 / SLOPE_UNIT)
ROOT = SLOPE_UNIT**0.5  # a power of two
STEEP, ONE = tl.constexpr(SURROGATE_SLOPE * ROOT), tl.constexpr(ROOT)
LOG2_E = tl.constexpr(1.4426950408889634)
MOST = tl.constexpr(115.0)  # of an exponent of 2: far from overflowing


@triton.jit
def _exp2(x):
    """2^x, x clamped; what is not a number stays so."""
    return tl.exp2(tl.minimum(x, MOST, propagate_nan=tl.PropagateNan.ALL))


@triton.jit
def _fire_sb(potential, r):
    e = _exp2(potential * -LOG2_E)
    rho = 1.0 / (1.0 + e)
    return rho > r, (rho * SCALE) * rho * (rho * e)


@triton.jit
def _fire_gs(potential, r):
    silent = (1.0 - r) * _exp2(potential * (-2.0 * LOG2_E))
    scale = 1.0 / (r + silent)
    return r > silent, (r * scale * TWICE) * (silent * scale)


@triton.jit
def _fire_lif(potential, threshold):
    distance = tl.abs(potential - threshold) * STEEP + ONE
    return potential > threshold, 1.0 / (distance * distance)


@triton.jit
def fire_step(x, r, current, potential, fired, alpha, beta, gain, threshold, KIND: tl.constexpr):
    """One step; `potential` is what the last one left of it, `fired` its spikes (LIF by the paper).

    Returns the new current, potential, spikes, and the slope in units of SLOPE_UNIT.
    """
    current = alpha * current + x
    potential = beta * potential + gain * current
    if KIND == SB:
        fired, slope = _fire_sb(potential, r)
    elif KIND == GS:
        fired, slope = _fire_gs(potential, r)
    elif KIND == CODE:
        fired, slope = _fire_lif(potential, threshold)
        potential = tl.where(fired, 0.0, potential)
    else:
        potential = tl.where(fired, 0.0, potential)
        fired, slope = _fire_lif(potential, threshold)
    return current, potential, fired, slope


@triton.jit
def _four_steps(
    rows, c, outputs, slopes, exists, inside, element, t, noise, states, total, weighted, constants,
    KIND: tl.constexpr, KEEP: tl.constexpr, WEIGH: tl.constexpr, MASKED: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Four steps from the run's own step t on; MASKED: but for the first `inside`, they are no steps.

    noise, states, constants: what `four_uniforms` and `fire_step` take. Returns the spikes in the lowest four
    bits, the states and the sums. All loads come first, to be waited for once.
    """
    current, potential, fired = states
    x0 = tl.load(rows, mask=exists, other=0.0)
    x1 = tl.load(rows + WIDTH, mask=exists & (inside > 1) if MASKED else exists, other=0.0)
    x2 = tl.load(rows + 2 * WIDTH, mask=exists & (inside > 2) if MASKED else exists, other=0.0)
    x3 = tl.load(rows + 3 * WIDTH, mask=exists & (inside > 3) if MASKED else exists, other=0.0)
    x = (x0, x1, x2, x3)
    r = x
    if KIND == SB or KIND == GS:  # noqa: SIM109 - Triton has no `in`
        r = four_uniforms(element, t, *noise)
    packed = tl.zeros(current.shape, tl.uint32)
    for j in tl.static_range(4):
        here = exists & (j < inside) if MASKED else exists
        if KIND == RECTIFIER:
            y = tl.where(x[j] < 0.0, 0.0, x[j])
            total += y
            if KEEP:
                tl.store(outputs + j * WIDTH, y, mask=here)
        else:
            current, potential, fired, slope = fire_step(
                x[j], r[j], current, potential, fired, *constants, KIND
            )
            packed |= tl.where(fired & (j < inside) if MASKED else fired, 1 << j, 0).to(tl.uint32)
            y = tl.where(fired, 1.0, 0.0)
            if KEEP:
                tl.store(slopes + j * WIDTH, slope.to(tl.float16), mask=here)
        if WEIGH:
            weighted += y * tl.load(c + j, mask=j < inside, other=0.0)
    return packed, (current, potential, fired), total, weighted


@triton.jit
def _tile(
    rows, c, outputs, slopes, exists, steps, element, t0, noise, states, total, weighted, constants,
    KIND: tl.constexpr, KEEP: tl.constexpr, WEIGH: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """A tile of `steps` steps from the run's own step t0 on; see `_four_steps`. Bit t: step t's spike."""
    whole = steps // 4 * 4
    packed = tl.zeros(total.shape, tl.uint32)
    for t in range(0, whole, 4):
        four, states, total, weighted = _four_steps(
            rows, c, outputs, slopes, exists, 4, element, t0 + t, noise, states, total, weighted, constants,
            KIND, KEEP, WEIGH, False, WIDTH,
        )  # fmt: skip
        packed |= four << tl.cast(t, tl.uint32)
        rows += 4 * WIDTH
        outputs += 4 * WIDTH
        slopes += 4 * WIDTH
        c += 4
    if whole < steps:
        four, states, total, weighted = _four_steps(
            rows, c, outputs, slopes, exists, steps - whole, element, t0 + whole, noise, states, total,
            weighted, constants, KIND, KEEP, WEIGH, True, WIDTH,
        )  # fmt: skip
        packed |= four << tl.cast(whole, tl.uint32)
    return packed, states, total, weighted


@triton.jit
def _ones(words):
    """How many bits of uint32 words are 1, float32."""
    words = words - ((words >> 1) & 0x55555555)
    words = (words & 0x33333333) + ((words >> 2) & 0x33333333)
    words = (words + (words >> 4)) & 0x0F0F0F0F
    return ((words * 0x01010101) >> 24).to(tl.float32)


@triton.jit(do_not_specialize=["samples", "T", "size", "key"])
def forward_kernel(
    below, weight, apart, bias, scratch, lengths, seeds, moment, coefficients,
    spikes, outputs, slopes, totals, averaged,
    samples, T, size, alpha, beta, gain, threshold, key,
    KIND: tl.constexpr, PRODUCT: tl.constexpr, SPIKES: tl.constexpr, SPLIT: tl.constexpr, HELD: tl.constexpr,
    KEEP: tl.constexpr, WEIGH: tl.constexpr,
    SAMPLES: tl.constexpr, TILE: tl.constexpr, BELOW: tl.constexpr, WIDTH: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """The way forward of one layer; see `layers.forward`. Program: SAMPLES samples of a run.

    PRODUCT: `below` is what the layer below gave (SPIKES: words, else outputs), else the pre-activations.
    """
    program = tl.program_id(0).to(tl.int64)
    run, first, count = group_of(program, samples, SAMPLES)
    length = tl.load(lengths + run)
    seed = tl.load(seeds + run)
    noise = (tl.load(moment), tl.load(moment + 1), seed, key)
    item, n, exists, state, signal, word = lanes_of(run, first, samples, T, SAMPLES, TILE, WIDTH)
    element = (item[:, None] * size + n[None, :]).to(tl.uint32)
    real = exists & (n < size)[None, :]
    own = scratch + program * SAMPLES * TILE * WIDTH
    weight += run * BELOW * WIDTH
    bias += run * WIDTH
    high, low = held_weights(weight, apart, HELD, BELOW, WIDTH)
    total = tl.zeros((SAMPLES, WIDTH), tl.float32)
    weighted = total
    states = (total, total, total > 0.0)
    for t0 in range(0, length, TILE):
        if PRODUCT:
            rows = product_rows(
                own, below, weight, apart, bias, high, low, run * samples + first, count, t0, length, T,
                SPIKES, SPLIT, HELD, True, SAMPLES, TILE, BELOW, WIDTH, ROWS, COLUMNS,
            )  # fmt: skip
        else:
            rows = below + signal + t0 * WIDTH
        packed, states, total, weighted = _tile(
            rows, coefficients + run * T + t0, outputs + signal + t0 * WIDTH, slopes + signal + t0 * WIDTH,
            exists, tl.minimum(length - t0, TILE), element, t0, noise, states, total, weighted,
            (alpha, beta, gain, threshold), KIND, KEEP, WEIGH, WIDTH,
        )  # fmt: skip
        if KIND != RECTIFIER:
            packed = tl.where(real, packed, 0)
            total += _ones(packed)
            tl.store(spikes + word + (t0 // TILE) * WIDTH, packed.to(tl.int32, bitcast=True), mask=exists)
    tl.store(totals + state, total, mask=exists)
    if WEIGH:
        tl.store(averaged + state, tl.where(real, weighted, 0.0), mask=exists)
