"""The leaky integrator over a whole sequence, in chunks of time that are computed side by side.

    i[t] = a i[t-1] + x[t]        u[t] = b u[t-1] + g i[t]

With (a, b, g) = (alpha, beta, 1-beta) this is the integrator; with a and b exchanged and time reversed, its
adjoint. One lane has one neuron of one sample. Where these are too few to fill a card, time is cut into
chunks of L steps, and the recurrence is linear, so that

    states after a chunk = P^L (states before it) + states after it from rest,
    P^L = [[a^L, 0], [a h[L-1], b^L]]        h: the impulse response of `spsn.neurons.integrator`

Three kernels: `_ends` runs every chunk from rest and keeps its two last states, `_chain` goes from chunk to
chunk with the powers above (float64, made on the host), `_filter` (or the kernel of a neuron that fires) runs
every chunk from its true start. That is exact for every a and b.

What is far back has faded: after `reach` steps no impulse moves i or u by more than TINY of the most that it
moved them before. Where reach < L, `_ends` reads only the last `reach` steps of each chunk, and a chunk's
start is its predecessor's end: there is nothing to chain. TINY is 2^-48, so this is less than float32 rounds
unless x was 2^24 times as large as it is now; and what is not finite, which stays for ever in one pass over
time, is forgotten after `reach` steps and a chunk. With time constants of 20 steps, reach is 768.

Bytes for each neuron and step: 8, and 4 min(reach, L) / L more where there are chunks (slopes: 2 more in
both). Instructions: about 6 (load, three multiplications and additions, store, the share of the loop). At
T = 1,000,000 with 128 neurons and both time constants 20 steps there are 505 chunks of 1984: 0.51 GB read and
0.51 written, and 0.20 read for the ends.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from spsn.kernels.gpu.launching import on
from spsn.neurons.integrator import impulse_response

LANES = 1 << 16  # that a card is to have: 16 warps for each of 128 processors, 8 MB on their way from memory
LEAST = 1024  # steps of a chunk
TINY = 2.0**-48
ROWS = 32  # time steps that are read at once; half as many where there are two signals
REST = tl.constexpr(8)  # of the steps that fill no such tile
CHAIN_ROWS, CHAIN_BLOCK = 16, 32
MOST_BLOCK = 128  # lanes of a program


@dataclass(frozen=True)
class Decays:
    """The recurrence above; `reverse`: from the last step to the first."""

    a: float
    b: float
    gain: float
    reverse: bool = False


@dataclass(frozen=True)
class Chunks:
    """How time is cut: `count` chunks of `length` steps, the last of which may be shorter.

    reach: the steps before a chunk that matter to it; carry: P^L as (a^L, a h[L-1], b^L), None where that is
    next to nothing.
    """

    count: int
    length: int
    reach: int
    carry: tuple[float, float, float] | None


def block_for(neurons: int) -> int:
    """Lanes of a program: a power of two, whole warps."""
    return min(MOST_BLOCK, max(32, triton.next_power_of_2(neurons)))


def chunks_for(decays: Decays, samples: int, steps: int, neurons: int) -> Chunks:
    """The chunks for signals (samples, steps, neurons)."""
    block = block_for(neurons)
    lanes = samples * triton.cdiv(neurons, block) * block
    length = triton.cdiv(max(LEAST, triton.cdiv(steps * lanes, LANES)), ROWS) * ROWS
    if length >= steps:
        return Chunks(1, steps, 0, None)
    return Chunks(triton.cdiv(steps, length), length, *_carry(decays.a, decays.b, decays.gain, length))


@lru_cache(maxsize=64)
def _carry(a: float, b: float, gain: float, length: int) -> tuple[int, tuple[float, float, float] | None]:
    """reach and carry of `Chunks`."""
    response = gain / (1 - b) * impulse_response(a, b, length)
    power = np.arange(length, dtype=np.float64)
    left = np.maximum.reduce([a**power, b**power, response / response.max()])
    reach = int(np.flatnonzero(left > TINY)[-1]) + 1
    reach = triton.cdiv(reach, ROWS) * ROWS
    if reach < length:
        return reach, None
    return length, (a**length, a * float(response[-1]), b**length)


def filtered(x: Tensor, decays: Decays, slopes: Tensor | None = None) -> Tensor:
    """u (B, T, N) of x (B, T, N), or of slopes x; float32, contiguous.

    x may have any strides, 0 among them; slopes (B, T, N) contiguous.
    """
    samples, steps, neurons = x.shape
    chunks = chunks_for(decays, samples, steps, neurons)
    ends = end_states(x, decays, chunks, slopes)
    u = torch.empty(x.shape, dtype=torch.float32, device=x.device)
    arrays = x, x if slopes is None else slopes, x if ends is None else ends, u
    block = block_for(neurons)
    with on(x.device):
        _filter[(triton.cdiv(neurons, block) * samples * chunks.count,)](
            *arrays, *x.stride(), steps, neurons, chunks.count, chunks.length,
            decays.a, decays.b, decays.gain, decays.reverse, slopes is not None, ends is not None,
            _rows_for(slopes), block, num_warps=block // 32,
        )  # fmt: skip
    return u


def end_states(x: Tensor, decays: Decays, chunks: Chunks, slopes: Tensor | None = None) -> Tensor | None:
    """Current and potential after every chunk but the last, (B, chunks - 1, 2, N); None for one chunk."""
    if chunks.count == 1:
        return None
    samples, steps, neurons = x.shape
    ends = torch.empty(samples, chunks.count - 1, 2, neurons, device=x.device)
    block = block_for(neurons)
    with on(x.device):
        _ends[(triton.cdiv(neurons, block) * samples * (chunks.count - 1),)](
            x, x if slopes is None else slopes, ends, *x.stride(), steps, neurons,
            chunks.count, chunks.length, chunks.reach,
            decays.a, decays.b, decays.gain, decays.reverse, slopes is not None, _rows_for(slopes), block,
            num_warps=block // 32,
        )  # fmt: skip
        if chunks.carry is not None:
            _chain[(triton.cdiv(neurons, CHAIN_BLOCK) * samples,)](
                ends, neurons, chunks.count, *chunks.carry, CHAIN_ROWS, CHAIN_BLOCK, num_warps=1
            )
    return ends


def _rows_for(slopes: Tensor | None) -> int:
    return ROWS if slopes is None else ROWS // 2


@triton.jit
def place(N: tl.constexpr, chunks, BLOCK: tl.constexpr):
    """A program's neurons, chunk and sample (int64)."""
    program = tl.program_id(0)
    blocks = tl.cdiv(N, BLOCK)
    n = program % blocks * BLOCK + tl.arange(0, BLOCK)
    rest = program // blocks
    return n, rest % chunks, (rest // chunks).to(tl.int64)


@triton.jit
def load_rows(at, stride: tl.constexpr, real, left, WHOLE: tl.constexpr, ROWS: tl.constexpr):
    """ROWS numbers of every lane, as a tuple: all are on their way before the first is used.

    Of `left` steps that there are; WHOLE: that there are enough of them is known.
    """
    rows = ()
    for r in tl.static_range(ROWS):
        rows = rows + (tl.load(at + r * stride, mask=real if WHOLE else real & (r < left), other=0.0),)
    return rows


@triton.jit
def start_states(ends, sample, chunk, chunks, n, N: tl.constexpr, real, CARRIED: tl.constexpr):
    """Current and potential before a chunk: `end_states` of the one before it, rest before the first."""
    if CARRIED:
        at = ends + (sample * (chunks - 1) + chunk - 1) * 2 * N + n
        current = tl.load(at, mask=real & (chunk > 0), other=0.0)
        potential = tl.load(at + N, mask=real & (chunk > 0), other=0.0)
    else:
        current = n.to(tl.float32) * 0.0
        potential = current
    return current, potential


@triton.jit
def _tile(
    x, slopes, u, x_stride: tl.constexpr, stride: tl.constexpr, real, left, current, potential, a, b, gain,
    WEIGHED: tl.constexpr, STORE: tl.constexpr, WHOLE: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """The two states after ROWS steps."""
    values = load_rows(x, x_stride, real, left, WHOLE, ROWS)
    if WEIGHED:
        weights = load_rows(slopes, stride, real, left, WHOLE, ROWS)
    for r in tl.static_range(ROWS):
        value = values[r]
        if WEIGHED:
            value *= weights[r].to(tl.float32)
        current = a * current + value
        potential = b * potential + gain * current
        if STORE:
            tl.store(u + r * stride, potential, mask=real if WHOLE else real & (r < left))
    return current, potential


@triton.jit(do_not_specialize=["T", "chunks", "length"])
def _filter(
    x, slopes, ends, u, x_sample, x_step: tl.constexpr, x_lane: tl.constexpr, T, N: tl.constexpr,
    chunks, length, a, b, gain,
    REVERSE: tl.constexpr, WEIGHED: tl.constexpr, CARRIED: tl.constexpr,
    ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n, chunk, sample = place(N, chunks, BLOCK)
    real = n < N
    begin = chunk.to(tl.int64) * length
    steps = tl.minimum(T - begin, length).to(tl.int32)
    first = T - 1 - begin if REVERSE else begin
    x += sample * x_sample + first * x_step + n * x_lane
    at = (sample * T + first) * N + n
    slopes += at
    u += at
    x_stride: tl.constexpr = -x_step if REVERSE else x_step
    stride: tl.constexpr = -N if REVERSE else N
    current, potential = start_states(ends, sample, chunk, chunks, n, N, real, CARRIED)
    for _ in range(0, steps // ROWS):
        current, potential = _tile(
            x, slopes, u, x_stride, stride, real, ROWS, current, potential, a, b, gain,
            WEIGHED, True, True, ROWS,
        )  # fmt: skip
        x += ROWS * x_stride
        slopes += ROWS * stride
        u += ROWS * stride
    for t in range(steps // ROWS * ROWS, steps, REST):
        current, potential = _tile(
            x, slopes, u, x_stride, stride, real, steps - t, current, potential, a, b, gain,
            WEIGHED, True, False, REST,
        )  # fmt: skip
        x += REST * x_stride
        slopes += REST * stride
        u += REST * stride


@triton.jit(do_not_specialize=["T", "chunks", "length", "reach"])
def _ends(
    x, slopes, ends, x_sample, x_step: tl.constexpr, x_lane: tl.constexpr, T, N: tl.constexpr,
    chunks, length, reach, a, b, gain,
    REVERSE: tl.constexpr, WEIGHED: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n, chunk, sample = place(N, chunks - 1, BLOCK)
    real = n < N
    begin = (chunk.to(tl.int64) + 1) * length - reach
    first = T - 1 - begin if REVERSE else begin
    x += sample * x_sample + first * x_step + n * x_lane
    slopes += (sample * T + first) * N + n
    x_stride: tl.constexpr = -x_step if REVERSE else x_step
    stride: tl.constexpr = -N if REVERSE else N
    current = n.to(tl.float32) * 0.0
    potential = current
    for _ in range(0, reach // ROWS):
        current, potential = _tile(
            x, slopes, slopes, x_stride, stride, real, ROWS, current, potential, a, b, gain,
            WEIGHED, False, True, ROWS,
        )  # fmt: skip
        x += ROWS * x_stride
        slopes += ROWS * stride
    ends += (sample * (chunks - 1) + chunk) * 2 * N + n
    tl.store(ends, current, mask=real)
    tl.store(ends + N, potential, mask=real)


@triton.jit(do_not_specialize=["chunks"])
def _chain(ends, N: tl.constexpr, chunks, a, cross, b, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """In place: from states after each chunk from rest to the states after it."""
    n, _, sample = place(N, 1, BLOCK)
    real = n < N
    ends += sample * (chunks - 1) * 2 * N + n
    current = n.to(tl.float32) * 0.0
    potential = current
    for c in range(0, chunks - 1, ROWS):
        left = chunks - 1 - c
        currents = load_rows(ends, 2 * N, real, left, False, ROWS)
        potentials = load_rows(ends + N, 2 * N, real, left, False, ROWS)
        for r in tl.static_range(ROWS):
            potential = b * potential + cross * current + potentials[r]
            current = a * current + currents[r]
            tl.store(ends + r * 2 * N, current, mask=real & (r < left))
            tl.store(ends + r * 2 * N + N, potential, mask=real & (r < left))
        ends += ROWS * 2 * N
