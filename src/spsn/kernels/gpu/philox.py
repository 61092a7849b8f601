"""Philox 4x32-10 inside kernels: the same bits as `spsn.noise`, which states the equations.

One evaluation gives a neuron the uniforms of four successive time steps. Both halves of a product are taken
from one widening multiplication of two 32-bit words. A word becomes a uniform without a conversion: its upper
23 bits are the mantissa of a number in [1, 2), from which 1 - 2^-24 is taken, exactly.

About 10 rounds of 2 products and 2 exclusive ors of three words: 40 instructions and 3 for each uniform, that
is 13 a neuron and step. The counter's step and epoch and the index are the same in all lanes, so the first
round and half of the second one cost a lane nothing.
"""

import triton
import triton.language as tl

from spsn import noise

M0, M1 = tl.constexpr(noise.M0), tl.constexpr(noise.M1)
W0, W1 = tl.constexpr(noise.W0), tl.constexpr(noise.W1)
ROUNDS = tl.constexpr(noise.ROUNDS)
ONE_BITS = tl.constexpr(0x3F800000)  # of the float 1.0
BELOW_ONE = tl.constexpr(1 - 2.0**-24)


@triton.jit
def _halves(word, factor: tl.constexpr):
    """High and low word of the product; the factor is a 32-bit constant."""
    product = tl.cast(word, tl.uint64) * factor
    return (product >> 32).to(tl.uint32), product.to(tl.uint32)


@triton.jit
def philox_block(c0, c1, c2, c3, k0, k1):
    """Ten rounds on uint32 words, scalars or blocks; returns four of them."""
    for _ in tl.static_range(ROUNDS):
        high0, low0 = _halves(c0, M0)
        high1, low1 = _halves(c2, M1)
        c0 = high1 ^ c1 ^ k0
        c1 = low1
        c2 = high0 ^ c3 ^ k1
        c3 = low0
        k0 += W0
        k1 += W1
    return c0, c1, c2, c3


@triton.jit
def uniform_of(word):
    """A word as the uniform ((w >> 9) + 1/2) / 2^23, float32."""
    return tl.cast((word >> 9) | ONE_BITS, tl.float32, bitcast=True) - BELOW_ONE


@triton.jit
def four_uniforms(element, t, step, epoch, seed, key):
    """The uniforms of the elements (a block of uint32) at the steps t ... t+3, t a multiple of 4.

    step, epoch, seed and key (purpose + 256 * layer) are scalars. Returns four blocks float32.
    """
    c1, c2, c3 = tl.cast(t // 4, tl.uint32), tl.cast(step, tl.uint32), tl.cast(epoch, tl.uint32)
    k0, k1 = tl.cast(seed, tl.uint32), tl.cast(key, tl.uint32)
    w0, w1, w2, w3 = philox_block(element, c1, c2, c3, k0, k1)
    return uniform_of(w0), uniform_of(w1), uniform_of(w2), uniform_of(w3)
