"""The inner ear's pass over time as one Triton kernel: hair cell, fibres and bushy cell of `inner_ear_steps`.

Each program takes 32 lanes, one a thread, from the first step to the last; what a lane remembers stays in
registers. The order of operations is that of `inner_ear`, and fused multiply-adds are off, so that the spikes
are the same, bit for bit.

The counts of fibres that fired in each of the last 24 steps are a queue of 24 bytes in three int64 words,
oldest lowest: a step shifts all three by a byte. A count is at most 40, so the sign bit is never set and an
arithmetic shift is a logical one.

Python floats reach a kernel as float32. All constants are therefore read from a float64 tensor; the literals
below are exact in float32.
"""

from contextlib import nullcontext

import torch
import triton
import triton.language as tl

from spsn.data.inner_ear import FIBRES, REFRACTORY

BLOCK = 32  # lanes of a program: one warp, which then waits for its own lanes alone


def emit(
    motion: torch.Tensor, bases: torch.Tensor, ends: torch.Tensor, numbers: tuple[float, ...]
) -> torch.Tensor:
    """Return what `inner_ear_steps.emit` returns for the same arguments."""
    T, lanes = motion.shape
    emitted = torch.zeros((T, lanes), dtype=torch.uint8, device=motion.device)
    if T and lanes:
        table = torch.tensor(numbers, dtype=torch.float64, device=motion.device)
        arrays = motion.contiguous(), bases, ends, table, emitted
        with _on(motion.device):
            _emit[(triton.cdiv(lanes, BLOCK),)](
                *arrays, T, lanes, FIBRES, REFRACTORY, BLOCK, num_warps=1, enable_fp_fusion=False
            )
    return emitted.view(torch.bool)


def _on(device: torch.device):
    """The context in which Triton launches on `device`; a CPU, on which it interprets, needs none."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


@triton.jit
def _mix(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
    return z ^ (z >> 31)


@triton.jit
def _power(a, F):
    """a ** F by squaring, for 0 <= F < 64, as the compiled form rounds it."""
    r = a * 0.0 + 1.0
    for bit in tl.static_range(6):
        r = tl.where(((F >> bit) & 1) == 1, r * a, r)
        a = a * a
    return r


@triton.jit
def _binomial(F, p, u):
    """How many of F fibres fire; float64."""
    count = F.to(tl.float64)
    certain = p >= 1.0
    wanted = (u > 1.0 - count * p) & (p != 0.0)
    odds = tl.where(certain, 0.5, 1.0 - p)
    chance = _power(odds, F)
    below = chance
    n = count * 0.0
    more = wanted & (u > below) & (n < count) & (p < 1.0)
    while tl.max(more.to(tl.int32), 0) > 0:
        chance = tl.where(more, chance * ((count - n) / (n + 1.0) * p / odds), chance)
        below = tl.where(more, below + chance, below)
        n = tl.where(more, n + 1.0, n)
        more = more & (u > below) & (n < count)
    return tl.where(wanted & certain, count, n)


@triton.jit
def _emit(
    motion, bases, ends, numbers, emitted, T, lanes,
    FIBRES: tl.constexpr, REFRACTORY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    lane = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = lane < lanes
    counter = tl.load(bases + lane, mask=real, other=0).to(tl.uint64)
    end = tl.load(ends + lane, mask=real, other=0)
    gdt, ydt, ldt = tl.load(numbers), tl.load(numbers + 1), tl.load(numbers + 2)
    rdt, xdt, A = tl.load(numbers + 3), tl.load(numbers + 4), tl.load(numbers + 5)
    B, M, hdt = tl.load(numbers + 6), tl.load(numbers + 7), tl.load(numbers + 8)
    leak_v, leak_I = tl.load(numbers + 9), tl.load(numbers + 10)
    weight, dt = tl.load(numbers + 11), tl.load(numbers + 12)
    none = tl.zeros((BLOCK,), tl.float64)
    q, c, w = none + tl.load(numbers + 13), none + tl.load(numbers + 14), none + tl.load(numbers + 15)
    v, current = none, none
    F = tl.full((BLOCK,), FIBRES, tl.int64)
    oldest, older, newest = F * 0, F * 0, F * 0
    free = tl.zeros((BLOCK,), tl.int32)
    here, out = motion + lane, emitted + lane
    yes = tl.full((BLOCK,), 1, tl.uint8)
    for t in range(T):
        # hair cell
        drive = tl.load(here, mask=real, other=0.0).to(tl.float64) + A
        kq = tl.where(drive > 0.0, gdt * drive / (drive + B), 0.0) * q
        lost = rdt * c
        back = xdt * w
        q = tl.maximum(q + ydt * tl.maximum(M - q, 0.0) - kq + back, 0.0)
        c = tl.maximum(c + kq - ldt * c - lost, 0.0)
        w = tl.maximum(w + lost - back, 0.0)
        p = tl.minimum(hdt * c, 1.0)
        # fibres: those that fired 1 ms ago come back
        counter += 0x9E3779B97F4A7C15
        u = (_mix(counter) >> 11).to(tl.float64) * 1.1102230246251565e-16
        F += oldest & 255
        n = _binomial(F, p, u)
        fired = n.to(tl.int64)
        F -= fired
        oldest = (oldest >> 8) | ((older & 255) << 56)
        older = (older >> 8) | ((newest & 255) << 56)
        newest = (newest >> 8) | (fired << 56)
        # bushy cell: in the step that emits, the current is not integrated
        awake = free <= t
        emits = awake & (v >= 1.0)
        tl.store(out, yes, mask=real & emits & (end > t))
        v = tl.where(emits, 0.0, tl.where(awake, v * leak_v, v))
        free = tl.where(emits, t + REFRACTORY, free)
        current = current * leak_I + n
        v = tl.where(awake & ~emits, tl.minimum(v + current * weight * dt, 1.0), v)
        here += lanes
        out += lanes
