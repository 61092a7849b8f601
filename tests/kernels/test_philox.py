"""The kernels' random numbers are those of `spsn.noise`, bit for bit."""

import numpy as np
import pytest
import torch

from spsn.kernels.cpu.engine import NoiseAddress
from spsn.kernels.cpu.neurons import bernoulli_spikes, gumbel_spikes
from spsn.kernels.cpu.philox import Address, fill_uniforms
from spsn.noise import Purpose, uniforms

LARGEST = 2**32 - 1


@pytest.mark.parametrize(
    ("seed", "purpose", "step", "epoch", "layer"),
    [
        (0, 0, 0, 0, 0),
        (0, Purpose.TRAINING_SPIKES, 0, 0, 0),
        (LARGEST, Purpose.TEST_SPIKES, LARGEST, LARGEST, 2),
        (2**31, Purpose.TRAINING_SPIKES, 126, 99, 1),
        (1, Purpose.TIMING, 0, LARGEST, 255),
        (123456789, Purpose.ILLUSTRATION, 2**31, 1, 65_535),
    ],
)
def test_the_bits_are_those_of_the_definition(seed, purpose, step, epoch, layer):
    samples, steps, neurons = 3, 21, 21
    expected = uniforms(seed, purpose, (samples, steps, neurons), epoch=epoch, step=step, layer=layer)
    address = Address(seed, int(purpose), step, epoch)
    for sample in range(samples):
        for column in (0, 16):
            count = min(16, neurons - column)
            for first in (0, 4, 16):
                out = np.full(24 * 16, -1, np.float32)
                fill_uniforms(out, address, layer, sample * neurons + column, first, steps - first)
                whole = out.reshape(24, 16)[: steps - first, :count]
                assert np.array_equal(whole, expected[sample, first:, column : column + count])


@pytest.mark.parametrize("first", [0, 64, 2**16, 2**20])
def test_first_steps_far_on(first):
    """Steps `first` ... first + 6 are read from the definition's own blocks of four."""
    out = np.empty(8 * 16, np.float32)
    fill_uniforms(out, Address(7, 4, 5, 6), 1, 32, first, 7)
    if first <= 64:
        expected = uniforms(7, 4, (1, first + 7, 48), epoch=6, step=5, layer=1)[0, first:, 32:]
    else:
        expected = _blocks(7, 4 + 256, first, 7, 5, 6)
    assert np.array_equal(out.reshape(8, 16)[:7], expected)


def _blocks(k0: int, k1: int, first: int, steps: int, step: int, epoch: int) -> np.ndarray:
    """Elements 32 ... 47 by the equations of `spsn.noise` in Python's whole numbers."""
    out = np.empty((steps, 16), np.float32)
    for t in range(steps):
        for n in range(16):
            c = [32 + n, (first + t) // 4, step, epoch]
            a, b = k0, k1
            for _ in range(10):
                p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
                c = [(p1 >> 32) ^ c[1] ^ a, p1 & LARGEST, (p0 >> 32) ^ c[3] ^ b, p0 & LARGEST]
                a, b = (a + 0x9E3779B9) & LARGEST, (b + 0xBB67AE85) & LARGEST
            out[t, n] = ((c[(first + t) % 4] >> 9) + 0.5) * 2.0**-23
    return out


@pytest.mark.parametrize("neurons", [1, 16, 21, 40])
@pytest.mark.parametrize("model", ["spsn-sb", "spsn-gs"])
def test_every_spike_is_decided_by_its_own_uniform(model, neurons):
    """Without memory u = x, so potentials a little above and below what its uniform asks for must part."""
    shape, address = (3, 67, neurons), NoiseAddress((11,), Purpose.TEST_SPIKES, epoch=2, step=9)
    r = torch.from_numpy(uniforms(11, Purpose.TEST_SPIKES, shape, epoch=2, step=9, layer=3)).double()
    fires = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.5
    away = 1e-5 / (r * (1 - r)) * (2 * fires.double() - 1)  # moves the probability by about 1e-5
    if model == "spsn-sb":
        spikes = bernoulli_spikes((torch.logit(r) + away).float(), 0.0, 0.0, address, layer=3)
    else:
        spikes = gumbel_spikes((-torch.logit(r) + away).float() / 2, 0.0, 0.0, address, layer=3)
    assert torch.equal(spikes, fires.float())
