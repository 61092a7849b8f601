"""Philox inside kernels against `spsn.noise`, bit for bit."""

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

from spsn.kernels.gpu import launching
from spsn.kernels.gpu.philox import four_uniforms
from spsn.noise import Purpose, uniforms


@triton.jit(do_not_specialize=["T", "step", "epoch", "seed", "key"])
def _fill(out, T, step, epoch, seed, key, ELEMENTS: tl.constexpr):
    """out (T, ELEMENTS), T a multiple of 4."""
    element = tl.arange(0, ELEMENTS)
    for t in range(0, T, 4):
        r = four_uniforms(element.to(tl.uint32), t, step, epoch, seed, key)
        for j in tl.static_range(4):
            tl.store(out + (t + j) * ELEMENTS + element, r[j])


@pytest.mark.parametrize("seed", [0, 1, 16, 2**31, 2**32 - 1])
@pytest.mark.parametrize("layer, step, epoch", [(0, 0, 0), (1, 1, 1), (2, 16, 199), (3, 2**31 - 1, 5)])
def test_the_bits_are_those_of_the_definition(seed, layer, step, epoch, device):
    steps, elements = 12, 32
    out = torch.empty(steps, elements, device=device)
    with launching.on(device):
        _fill[(1,)](out, steps, step, epoch, seed, int(Purpose.TEST_SPIKES) + 256 * layer, elements)
    judge = uniforms(seed, Purpose.TEST_SPIKES, (1, steps, elements), epoch=epoch, step=step, layer=layer)
    assert np.array_equal(out.cpu().numpy(), judge[0])
