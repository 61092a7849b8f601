"""Hair cells, fibres and bushy cells of the inner ear: many channels side by side, on a CPU.

The equations stand in `spsn.data.inner_ear`. A channel's steps wait for one another; channels do not. `LANES`
of them take a step together therefore, in loops over the lanes that the compiler turns into vector
instructions, and go through a block of 1 ms stage by stage:

    s (SPAN, LANES) float32         motion, transposed, of many blocks
    p (BLOCK, LANES)                permeability k, and in its place the chance of one fibre to fire
    u (BLOCK, LANES)                random numbers
    room (BLOCK, LANES) float32     F if none fired in this block: all that come back in it fired before it
    masks (BLOCK,) uint64           lanes whose fibres may fire: none does where u <= 1 - room p, which is not
                                    above 1 - F p, rounded or not. Only those left, a tenth, go one by one
    fired (BLOCK, LANES) float32    how many fibres fire, until the next block has taken them back

Every number comes from the operations of the equations in their order: it depends neither on the lanes nor on
the width of a processor's vectors. Lanes beyond the last channel hear -inf, release nothing and never fire.
"""

import math
from collections import namedtuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from spsn.compiled import jit

SAMPLE_RATE = 48_000  # Hz; the Euler steps of the hair cell give 8-13 % more spikes at 32 kHz
DT = 2 / SAMPLE_RATE  # s
FIBRES = 40
REFRACTORY = 24  # steps of 2 / fs: 1 ms
TAU_MEMBRANE, TAU_SYNAPSE = 1e-3, 0.5e-3  # s
WEIGHT = 13_000 / FIBRES  # 1/s
GOLDEN = np.uint64(0x9E3779B97F4A7C15)

LANES = 56  # whole vectors of any width, for the 50 channels that the membrane gives; a mask has 64 bits
BLOCK = REFRACTORY
SPAN = 20 * BLOCK  # steps transposed at once: short pieces of many far rows are slow to read
ROWS = 8  # read side by side

Lanes = namedtuple("Lanes", "bases pools F cells free")  # what is carried on from step to step
Block = namedtuple("Block", "s p u room fired masks out")


def _fire(motion, numbers, rest, key, first):
    """Return steps (C, most), counts (C,) and fibre events (C,), all int64, of motion (C, T)."""
    channels, T = motion.shape
    steps = np.empty((channels, T // REFRACTORY + 2), np.int64)
    counts, events = np.zeros(channels, np.int64), np.zeros(channels, np.int64)
    for i in range(0, channels, LANES):
        part = slice(i, i + LANES)
        results = steps[part], counts[part], events[part]
        _fire_lanes(motion[part], numbers, rest, key, first + i, _lanes(), _block(), *results)
    return steps, counts, events


def _lanes() -> Lanes:
    bases, free = np.zeros(LANES, np.uint64), np.zeros(LANES, np.int64)
    return Lanes(bases, np.zeros((3, LANES)), np.full(LANES, FIBRES, np.float32), np.zeros((2, LANES)), free)


def _block() -> Block:
    shape = BLOCK, LANES
    s, fired = np.full((SPAN, LANES), -np.inf, np.float32), np.zeros(shape, np.float32)
    masks, out = np.empty(BLOCK, np.uint64), np.empty(LANES, np.int64)
    return Block(s, np.empty(shape), np.empty(shape), np.empty(shape, np.float32), fired, masks, out)


@jit
def _fire_lanes(motion, numbers, rest, key, first, lanes, block, steps, counts, events):
    channels, T = motion.shape
    for j in range(channels):
        lanes.bases[j] = _mix(key + np.uint64(first + j + 1) * GOLDEN)
        lanes.pools[0, j], lanes.pools[1, j], lanes.pools[2, j] = rest
    for t in range(0, T, BLOCK):
        if t % SPAN == 0:
            _transpose(motion, t, block.s)
        _hair_cells(block.s[t % SPAN :], numbers, lanes.pools, block.p)
        _screen(t, lanes, block)
        count = min(BLOCK, T - t)
        _fibres(count, lanes.F, block, events)
        _bushy_cells(t, count, block.fired, lanes, steps, counts)


@jit
def _transpose(motion, t0, s):
    """Write the steps of motion (C, T) from t0 on, as many as there are and fit, into s (SPAN, LANES)."""
    channels, T = motion.shape
    count, whole = min(SPAN, T - t0), channels // ROWS * ROWS
    for j in range(0, whole, ROWS):
        for t in range(count):
            for i in range(ROWS):
                s[t, j + i] = motion[j + i, t0 + t]
    for j in range(whole, channels):
        for t in range(count):
            s[t, j] = motion[j, t0 + t]


@jit(error_model="numpy")  # to raise an exception at 0 / 0, a loop would have to go lane by lane
def _hair_cells(s, numbers, pools, p):
    """Write the chances p of a block from its motion s; pools (3, LANES) are q, c and w."""
    g, y, l, r, x, A, B, M, h = numbers  # noqa: E741
    for t in range(BLOCK):
        for j in range(LANES):
            drive = s[t, j] + A
            p[t, j] = g * DT * drive / (drive + B) if drive > 0.0 else 0.0
    for t in range(BLOCK):
        for j in range(LANES):
            q, c, w = pools[0, j], pools[1, j], pools[2, j]
            kq, lost, back = p[t, j] * q, r * DT * c, x * DT * w
            c = max(c + kq - l * DT * c - lost, 0.0)
            pools[0, j] = max(q + y * DT * max(M - q, 0.0) - kq + back, 0.0)
            pools[1, j] = c
            pools[2, j] = max(w + lost - back, 0.0)
            p[t, j] = min(h * DT * c, 1.0)


@jit
def _screen(t0, lanes, block):
    """Draw the block's u, take back the fibres of the last one, and find the lanes that may fire."""
    bases, F, p, u, room, fired = lanes.bases, lanes.F, block.p, block.u, block.room, block.fired
    for t in range(BLOCK):
        mask, step = np.uint64(0), np.uint64(t0 + t + 1) * GOLDEN
        for j in range(LANES):
            u[t, j] = (_mix(bases[j] + step) >> np.uint64(11)) * 2.0**-53
            F[j] += fired[t, j]
            room[t, j] = F[j]
            fired[t, j] = 0.0
            none = u[t, j] <= 1.0 - F[j] * p[t, j]
            mask |= np.uint64(0) if none else np.uint64(1) << np.uint64(j)
        block.masks[t] = mask


@jit
def _fibres(count, F, block, events):
    """Let the fibres of `count` steps fire; F (LANES,) becomes how many are free after the block."""
    p, u, room, fired, out = block.p, block.u, block.room, block.fired, block.out
    out[:] = 0
    for t in range(count):
        mask = block.masks[t]
        while mask:
            j = _lowest(mask)
            mask &= mask - np.uint64(1)
            n = _binomial(int(room[t, j]) - out[j], p[t, j], u[t, j])
            fired[t, j] = n
            out[j] += n
    for j in range(LANES):
        F[j] -= out[j]
    for j in range(len(events)):
        events[j] += out[j]


@jit
def _bushy_cells(t0, count, fired, lanes, steps, counts):
    """Write the spikes of `count` steps; cells (2, LANES) are v and I; from step `free` on v moves again."""
    leak_v, leak_I = math.exp(-DT / TAU_MEMBRANE), math.exp(-DT / TAU_SYNAPSE)
    cells, free = lanes.cells, lanes.free
    for t in range(t0, t0 + count):
        mask = np.uint64(0)
        for j in range(LANES):
            v, awake = cells[0, j], t >= free[j]
            emits = awake & (v >= 1.0)
            mask |= np.uint64(1) << np.uint64(j) if emits else np.uint64(0)
            free[j] = t + REFRACTORY if emits else free[j]
            v = 0.0 if emits else v * leak_v  # and 0 as long as it sleeps
            current = cells[1, j] * leak_I + fired[t - t0, j]
            # in the step that emits, the current is not integrated
            cells[0, j] = min(v + current * WEIGHT * DT, 1.0) if awake & (not emits) else v
            cells[1, j] = current
        while mask:
            j = _lowest(mask)
            mask &= mask - np.uint64(1)
            steps[j, counts[j]] = t - 1
            counts[j] += 1


@jit
def _binomial(F, p, u):
    """Invert the distribution of Binomial(F, p) at u in [0, 1): how many of F fibres fire."""
    if u <= 1.0 - F * p or p == 0.0:  # (1 - p)^F >= 1 - F p spares nearly every power
        return 0
    if p >= 1.0:
        return F
    n, chance = 0, (1.0 - p) ** F
    below = chance
    while u > below and n < F:
        chance *= (F - n) / (n + 1.0) * p / (1.0 - p)
        below += chance
        n += 1
    return n


@jit
def _mix(z):
    """Finaliser of splitmix64 (Steele, Lea & Flood 2014)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@intrinsic
def _lowest(typingctx, mask):
    """The number of the lowest bit that is set."""

    def codegen(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.IntType(1)(0))

    return types.uint64(types.uint64), codegen
