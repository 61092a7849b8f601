"""Philox 4x32-10 for sixteen neurons at a time: the same bits as `spsn.noise`, which states the equations.

One evaluation serves four successive time steps of a neuron, so a tile's uniforms are made before its neurons
are simulated, four steps at once.
"""

from collections import namedtuple

import numpy as np

from spsn.compiled import jit
from spsn.kernels.cpu.lanes import lane_numbers, uniforms_of
from spsn.kernels.cpu.simd import LANES, splat_words, store
from spsn.noise import M0, M1, ROUNDS, W0, W1

Address = namedtuple(
    "Address", "seed purpose step epoch"
)  # of a pass; the layer and the element come with it


@jit
def _block(c0, c1, c2, c3, k0, k1):
    """Ten rounds on sixteen counters (words); the key is shared."""
    mask, half = splat_words(np.uint64(0xFFFFFFFF)), splat_words(np.uint64(32))
    for _ in range(ROUNDS):
        p0 = splat_words(np.uint64(M0)) * c0
        p1 = splat_words(np.uint64(M1)) * c2
        c0 = (p1 >> half) ^ c1 ^ splat_words(k0)
        c2 = (p0 >> half) ^ c3 ^ splat_words(k1)
        c1, c3 = p1 & mask, p0 & mask
        k0 = (k0 + np.uint64(W0)) & np.uint64(0xFFFFFFFF)
        k1 = (k1 + np.uint64(W1)) & np.uint64(0xFFFFFFFF)
    return c0, c1, c2, c3


@jit
def fill_uniforms(out, address, layer, element, first, steps):
    """out[16 t + n]: the uniform of neuron `element` + n at time step `first` + t, `first` a multiple of 4.

    Whole groups of four steps are filled: `out` has room for `steps` rounded up to one.
    """
    k1 = np.uint64(address.purpose + 256 * layer)
    lanes = splat_words(np.uint64(element)) + lane_numbers()
    step, epoch = splat_words(np.uint64(address.step)), splat_words(np.uint64(address.epoch))
    for t in range(0, steps, 4):
        index = splat_words(np.uint64((first + t) // 4))
        w0, w1, w2, w3 = _block(lanes, index, step, epoch, np.uint64(address.seed), k1)
        at = t * LANES
        store(out, at, uniforms_of(w0))
        store(out, at + LANES, uniforms_of(w1))
        store(out, at + 2 * LANES, uniforms_of(w2))
        store(out, at + 3 * LANES, uniforms_of(w3))
