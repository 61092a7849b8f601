"""The inner ear's pass over time in plain torch: the equations of `spsn.data.inner_ear`, every lane at once.

The order of operations is that of `inner_ear`, so that equal motion gives equal spikes, bit for bit. A lane
is one channel of one recording; whatever stands below is (lanes,) and float64 unless it says otherwise.

Torch has no unsigned 64-bit arithmetic. Sums and products of int64 wrap to the same bits, and a right shift
is made a logical one by clearing the copies of the sign.
"""

import math

import torch

from spsn.data import inner_ear
from spsn.data.inner_ear import DT, FIBRES, REFRACTORY, TAU_MEMBRANE, TAU_SYNAPSE, WEIGHT, HairCell

AHEAD = 64  # steps whose random numbers and permeabilities are computed together


def per_step(cell: HairCell) -> tuple[float, ...]:
    """Return the 16 numbers of the pass over time: constants of one step, leaks, pools at rest."""
    rates = (cell.g * DT, cell.y * DT, cell.l * DT, cell.r * DT, cell.x * DT)
    leaks = math.exp(-DT / TAU_MEMBRANE), math.exp(-DT / TAU_SYNAPSE)
    return *rates, cell.A, cell.B, cell.M, cell.h * DT, *leaks, WEIGHT, DT, *cell.rest()


def emit(
    motion: torch.Tensor, bases: torch.Tensor, ends: torch.Tensor, numbers: tuple[float, ...]
) -> torch.Tensor:
    """Return `emitted` (T, lanes) bool: where a bushy cell emits in step t a spike, which carries t - 1.

    `motion` (T, lanes) float32; `bases` (lanes,) int64 from `stream_bases`; `ends` (lanes,) int64, the steps
    that each lane lasts; `numbers` from `per_step`.
    """
    gdt, ydt, ldt, rdt, xdt, A, B, M, hdt, leak_v, leak_I, weight, dt, *rest = numbers
    T, lanes = motion.shape
    q, c, w = (motion.new_full((lanes,), start, dtype=torch.float64) for start in rest)
    v, current = torch.zeros_like(q), torch.zeros_like(q)
    free, F = torch.zeros_like(bases), torch.full_like(bases, FIBRES)
    fired = bases.new_zeros((REFRACTORY, lanes))
    emitted = torch.zeros((T, lanes), dtype=torch.bool, device=motion.device)
    for t in range(T):
        row = t % AHEAD
        if row == 0:
            drive = motion[t : t + AHEAD].double() + A
            k = torch.where(drive > 0, gdt * drive / (drive + B), 0.0)
            u = uniforms(bases, t, len(drive))
        kq, lost, back = k[row] * q, rdt * c, xdt * w
        q = (q + ydt * (M - q).clamp(min=0) - kq + back).clamp(min=0)
        c = (c + kq - ldt * c - lost).clamp(min=0)
        w = (w + lost - back).clamp(min=0)
        slot = t % REFRACTORY
        F = F + fired[slot]
        n = binomial(F, (hdt * c).clamp(max=1), u[row])
        fired[slot] = n
        F = F - n
        awake = t >= free
        emits = awake & (v >= 1)
        emitted[t] = emits & (t < ends)
        v = torch.where(emits, 0.0, torch.where(awake, v * leak_v, v))
        free = torch.where(emits, t + REFRACTORY, free)
        current = current * leak_I + n
        v = torch.where(awake & ~emits, (v + current * weight * dt).clamp(max=1), v)
    return emitted


def binomial(F: torch.Tensor, p: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Return how many of `F` fibres fire, int64, at chance `p` and u in [0, 1), float64: as `inner_ear` does.

    All three (lanes,). Few lanes need more than the first comparison; only those are gone into.
    """
    n = torch.zeros_like(F)
    chosen = ~((u <= 1.0 - F * p) | (p == 0.0))
    (lane,) = chosen.nonzero(as_tuple=True)
    if len(lane):
        n[lane] = _invert(F[lane], p[lane], u[lane])
    return n


def _invert(F: torch.Tensor, p: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    chance, F = power(1.0 - p, F), F.double()  # an integer tensor and a Python float would make float32
    below, n = chance.clone(), torch.zeros_like(p)
    certain = p >= 1.0
    more = (u > below) & (n < F) & ~certain
    while more.any():
        chance = torch.where(more, chance * ((F - n) / (n + 1.0) * p / (1.0 - p)), chance)
        below = torch.where(more, below + chance, below)
        n = n + more
        more &= (u > below) & (n < F)
    return torch.where(certain, F, n).long()


def power(a: torch.Tensor, F: torch.Tensor) -> torch.Tensor:
    """Return a ** F by squaring, for 0 <= F < 64: `pow` rounds otherwise than the compiled form."""
    r = torch.ones_like(a)
    for bit in range(6):
        r = torch.where((F >> bit) & 1 == 1, r * a, r)
        a = a * a
    return r


# --- random numbers --------------------------------------------------------------------------------


def _signed(z: int) -> int:
    """Return the int64 with the bits of z modulo 2^64."""
    return (z + 2**63) % 2**64 - 2**63


def _shifted(z: torch.Tensor, bits: int) -> torch.Tensor:
    return (z >> bits) & ((1 << 64 - bits) - 1)


def mix(z: torch.Tensor) -> torch.Tensor:
    """Return the finaliser of splitmix64 of the bits of `z`, int64 (Steele, Lea & Flood 2014)."""
    z = (z ^ _shifted(z, 30)) * _signed(0xBF58476D1CE4E5B9)
    z = (z ^ _shifted(z, 27)) * _signed(0x94D049BB133111EB)
    return z ^ _shifted(z, 31)


def stream_bases(keys: torch.Tensor, first: int, channels: int) -> torch.Tensor:
    """Return where each channel's random numbers begin, (R, channels) int64, from keys (R,) int64."""
    channel = torch.arange(first + 1, first + channels + 1, device=keys.device)
    return mix(keys[:, None] + channel * _signed(int(inner_ear.GOLDEN)))


def uniforms(bases: torch.Tensor, t: int, steps: int) -> torch.Tensor:
    """Return u(lane, step) in [0, 1), (steps, lanes) float64, of the steps from t on."""
    step = torch.arange(t + 1, t + steps + 1, device=bases.device)[:, None]
    return _shifted(mix(bases + step * _signed(int(inner_ear.GOLDEN))), 11).double() * 2.0**-53
