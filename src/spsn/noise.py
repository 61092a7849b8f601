"""Counter-based random numbers: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as
easy as 1, 2, 3"). A draw is a function of what it is for, so it does not depend on what was drawn before it.

One round maps the counter (c0, c1, c2, c3) with the key (k0, k1), mulhi/mullo being the halves of the 64-bit
product:

    c0' = mulhi(M1, c2) ^ c1 ^ k0     c1' = mullo(M1, c2)
    c2' = mulhi(M0, c0) ^ c3 ^ k1     c3' = mullo(M0, c0)

and the key is bumped by the Weyl constants (W0, W1) between the ten rounds.

Address of a draw, the same on every backend:

    key      k0 = seed                        k1 = purpose + 256 * layer
    counter  c0 = element   c1 = index // 4   c2 = step   c3 = epoch        word = index % 4

For spike noise, element = sample * N + neuron and index = the run's own time step t: four successive steps of
a neuron share one evaluation. A word w becomes the uniform ((w >> 9) + 1/2) / 2^23: exact in float32, inside
(0, 1).
"""

from enum import IntEnum

import numpy as np
import torch

from spsn.compiled import jit

M0, M1 = 0xD2511F53, 0xCD9E8D57
W0, W1 = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10


class Purpose(IntEnum):
    """What a random number is for; part of its address."""

    INITIAL_WEIGHTS = 1
    ORDER = 2
    AUGMENTATION = 3
    TRAINING_SPIKES = 4
    TEST_SPIKES = 5
    ILLUSTRATION = 6
    TIMING = 7
    TIME_WEIGHTS = 8


@jit(inline="always")
def philox_block(c0, c1, c2, c3, k0, k1):
    """Ten rounds; arguments and the four results are uint32 words held in uint64."""
    mask = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    for _ in range(ROUNDS):
        p0 = np.uint64(M0) * c0
        p1 = np.uint64(M1) * c2
        c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ k0, p1 & mask, (p0 >> half) ^ c3 ^ k1, p0 & mask
        k0 = (k0 + np.uint64(W0)) & mask
        k1 = (k1 + np.uint64(W1)) & mask
    return c0, c1, c2, c3


@jit
def _fill_words(out, k0, k1, c2, c3):
    """out (samples, indices, per_sample) uint32: word index % 4 of block (element, index // 4)."""
    samples, indices, per_sample = out.shape
    block = np.empty((4, per_sample), np.uint32)
    for b in range(samples):
        for first in range(0, indices, 4):
            for n in range(per_sample):  # without branches, so that the compiler makes SIMD code of it
                w0, w1, w2, w3 = philox_block(
                    np.uint64(b * per_sample + n), np.uint64(first // 4), np.uint64(c2), np.uint64(c3),
                    np.uint64(k0), np.uint64(k1),
                )  # fmt: skip
                block[0, n], block[1, n], block[2, n], block[3, n] = w0, w1, w2, w3
            for j in range(min(4, indices - first)):
                out[b, first + j] = block[j]


def checked_seed(seed: int) -> int:
    """The seed itself. Raises ValueError for one that is no word of 32 bits."""
    if not 0 <= seed < 2**32:
        raise ValueError(f"a seed must lie in 0 ... 2^32 - 1, not {seed}")
    return seed


def key(seed: int, purpose: int, layer: int) -> tuple[int, int]:
    """k0 and k1 of a draw's address. Raises ValueError for a seed that is no word of 32 bits."""
    return checked_seed(seed), int(purpose) + 256 * layer


def words(
    seed: int, purpose: Purpose, count: int, *, epoch: int = 0, step: int = 0, layer: int = 0
) -> np.ndarray:
    """`count` random words, uint32 (count,): elements 0 ... count-1 at index 0."""
    out = np.empty((1, 1, count), np.uint32)
    _fill_words(out, *key(seed, purpose, layer), step, epoch)
    return out[0, 0]


def uniforms(
    seed: int, purpose: Purpose, shape: tuple[int, int, int], *, epoch: int = 0, step: int = 0, layer: int = 0
) -> np.ndarray:
    """Uniforms in (0, 1), float32 (B, T, N); entry (b, t, n) is element b * N + n at index t."""
    out = np.empty(shape, np.uint32)
    _fill_words(out, *key(seed, purpose, layer), step, epoch)
    return to_uniform(out)


def to_uniform(words: np.ndarray) -> np.ndarray:
    """Words (uint32, any shape) as uniforms in (0, 1), exact in float32."""
    out = np.empty(words.shape, np.float32)
    _fill_uniforms(np.ascontiguousarray(words).reshape(-1), out.reshape(-1))
    return out


@jit
def _fill_uniforms(words, out):
    for i in range(words.size):
        out[i] = (np.float32(words[i] >> np.uint32(9)) + np.float32(0.5)) * np.float32(2.0**-23)


def uniforms_torch(
    seed: int,
    purpose: Purpose,
    shape: tuple[int, int, int],
    *,
    epoch: int = 0,
    step: int = 0,
    layer: int = 0,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """The same bits as `uniforms`, (B, T, N) float32, by integer torch operations on any device (slow)."""
    samples, indices, per_sample = shape
    k0, k1 = key(seed, purpose, layer)
    blocks = (indices + 3) // 4
    element = torch.arange(samples * per_sample, device=device).view(samples, 1, per_sample)
    index = torch.arange(blocks, device=device).view(1, blocks, 1)
    counter = [element + 0 * index, index + 0 * element, torch.full_like(element + index, step)]
    counter.append(torch.full_like(counter[2], epoch))
    stacked = torch.stack(_philox_torch(counter, k0, k1), dim=2)  # (B, blocks, 4, N)
    drawn = stacked.view(samples, 4 * blocks, per_sample)[:, :indices]
    return ((drawn >> 9).to(torch.float32) + 0.5) * 2.0**-23


def _philox_torch(counter: list[torch.Tensor], k0: int, k1: int) -> list[torch.Tensor]:
    """Ten rounds on int64 tensors that hold uint32 words."""
    c0, c1, c2, c3 = counter
    for _ in range(ROUNDS):
        high0, low0 = _multiply(c0, M0)
        high1, low1 = _multiply(c2, M1)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + W0) & 0xFFFFFFFF, (k1 + W1) & 0xFFFFFFFF
    return [c0, c1, c2, c3]


def _multiply(a: torch.Tensor, m: int) -> tuple[torch.Tensor, torch.Tensor]:
    """High and low 32-bit words of a * m, from 16-bit halves so that nothing passes 2^63."""
    low = (a & 0xFFFF) * m
    high = (a >> 16) * m + (low >> 16)
    return high >> 16, ((high & 0xFFFF) << 16) | (low & 0xFFFF)
