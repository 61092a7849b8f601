"""Philox 4x32-10: the published vectors, the address of every draw, numba and torch alike, the law."""

import numpy as np
import pytest

from spsn.noise import Purpose, philox_block, to_uniform, uniforms, uniforms_torch, words

# Known answers that Salmon et al. publish with Random123: counter, key, result.
KNOWN = [
    (4 * [0], 2 * [0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    (4 * [0xFFFFFFFF], 2 * [0xFFFFFFFF], [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]
ADDRESS = {"seed": 11, "purpose": Purpose.TRAINING_SPIKES, "layer": 1, "epoch": 3, "step": 5}
CHANGED = {"seed": 12, "purpose": Purpose.TEST_SPIKES, "layer": 2, "epoch": 4, "step": 6}


def philox(counter, key) -> list[int]:
    return [int(word) for word in philox_block(*map(np.uint64, [*counter, *key]))]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_published_vectors(counter, key, expected):
    assert philox(counter, key) == expected


def test_every_uniform_is_where_its_address_says():
    shape = samples, indices, neurons = 2, 7, 3
    drawn = uniforms(shape=shape, **ADDRESS)
    key = ADDRESS["seed"], ADDRESS["purpose"] + 256 * ADDRESS["layer"]
    for b, t, n in np.ndindex(shape):
        block = philox([b * neurons + n, t // 4, ADDRESS["step"], ADDRESS["epoch"]], key)
        assert drawn[b, t, n] == ((block[t % 4] >> 9) + 0.5) / 2**23


def test_words_are_the_elements_at_index_0():
    drawn = words(7, Purpose.ORDER, 50, epoch=2, step=1, layer=3)
    assert drawn.tolist() == [philox([k, 0, 1, 2], [7, Purpose.ORDER + 256 * 3])[0] for k in range(50)]


def test_torch_gives_the_bits_of_numba():
    rng = np.random.default_rng(0)
    for shape in [(1, 1, 1), (2, 4, 3), (3, 13, 5), (1, 30, 128), (5, 3, 1)]:
        seed, epoch, step = (int(v) for v in rng.integers(0, 2**32, 3))
        address = {"epoch": epoch, "step": step, "layer": int(rng.integers(0, 4))}
        for purpose in rng.choice(list(Purpose), 2):
            fast = uniforms(seed, purpose, shape, **address)
            plain = uniforms_torch(seed, purpose, shape, **address).numpy()
            assert plain.dtype == fast.dtype == np.float32
            assert (plain == fast).all()


def test_uniforms_lie_strictly_inside_0_and_1():
    ends = to_uniform(np.array([0, 2**32 - 1], np.uint32))
    assert ends.dtype == np.float32
    assert ends.tolist() == [2.0**-24, 1 - 2.0**-24]
    assert ends[0] > 0 and ends[1] < 1


@pytest.mark.parametrize("field", ADDRESS)
def test_each_field_of_the_address_gives_another_stream(field):
    shape = (4, 40, 100)
    one = uniforms(shape=shape, **ADDRESS)
    other = uniforms(shape=shape, **{**ADDRESS, field: CHANGED[field]})
    assert (one == other).mean() < 1e-3
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(one.size)


def test_no_element_and_no_index_repeats_another():
    drawn = uniforms(shape=(8, 25, 10), **ADDRESS)
    expected_collisions = drawn.size**2 / 2 / 2**23
    assert len(np.unique(drawn)) > drawn.size - 10 * (expected_collisions + 1)


def test_a_longer_draw_begins_with_the_shorter():
    assert (uniforms(shape=(2, 30, 5), **ADDRESS)[:, :13] == uniforms(shape=(2, 13, 5), **ADDRESS)).all()
    assert (words(0, Purpose.ORDER, 100)[:10] == words(0, Purpose.ORDER, 10)).all()


def test_the_law_is_uniform_and_neighbours_are_independent():
    drawn = uniforms(3, Purpose.TRAINING_SPIKES, (16, 400, 100)).astype(np.float64)
    counts = np.bincount((drawn.ravel() * 64).astype(int), minlength=64)
    chi_square = ((counts - drawn.size / 64) ** 2 / (drawn.size / 64)).sum()
    assert 63 - 5 * np.sqrt(126) < chi_square < 63 + 5 * np.sqrt(126)
    for axis in range(3):
        one, next_one = (np.delete(drawn, end, axis).ravel() for end in (-1, 0))
        assert abs(np.corrcoef(one, next_one)[0, 1]) < 5 / np.sqrt(one.size)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_beyond_32_bits_is_refused(seed):
    with pytest.raises(ValueError, match="seed"):
        words(seed, Purpose.ORDER, 1)
