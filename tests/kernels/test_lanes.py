"""Vectors: what one lane does not do alone - rounding of e^x, masks and their bits."""

import numba
import numpy as np
import pytest

from spsn.kernels.cpu.lanes import above, at_least, clamp, exp, select, signs, store_patterns
from spsn.kernels.cpu.simd import LANES, load, splat, store

LIMIT = 80.0


@numba.njit
def exp_of(x, out):
    for at in range(0, x.size, LANES):
        store(out, at, exp(load(x, at)))


@numba.njit
def clamp_of(x, out):
    for at in range(0, x.size, LANES):
        store(out, at, clamp(load(x, at), -2.0, 3.0))


@numba.njit
def masks_of(a, b, out):
    out[0], out[1] = above(load(a, 0), load(b, 0)), at_least(load(a, 0), load(b, 0))
    out[2] = signs(load(a, 0))


@numba.njit
def selected(mask, out):
    store(out, 0, select(mask, splat(1.0), splat(-1.0)))


@numba.njit
def patterns_of(masks, out):
    store_patterns(out, 0, masks[0], masks[1], masks[2], masks[3])


@pytest.fixture(scope="module")
def grid() -> np.ndarray:
    """Evenly over the whole range, closely around 0, and around the ends of each reduction by ln 2."""
    ends = (np.arange(-115, 116)[:, None] + 0.5) * np.log(2) + np.linspace(-1e-4, 1e-4, 16)
    return np.concatenate(
        [np.linspace(-LIMIT, LIMIT, 2**18), np.linspace(-1, 1, 2**16), ends.ravel()]
    ).astype(np.float32)


def test_exp_is_good_to_few_units_in_the_last_place(grid):
    grid = grid[np.abs(grid) <= LIMIT]
    grid = grid[: grid.size // LANES * LANES]
    out = np.empty_like(grid)
    exp_of(grid, out)
    exact = np.exp(grid.astype(np.float64))
    units = np.abs(out - exact) / np.spacing(exact.astype(np.float32))
    assert units.max() < 3.0


def test_exp_at_its_ends():
    special = np.array(
        [0.0, -0.0, 80, -80, 88, -88, 200, -200, 1e30, -1e30, np.inf, -np.inf, np.nan, 1, -1, 0.5]
    )
    x, out = special.astype(np.float32), np.empty(16, np.float32)
    exp_of(x, out)
    np.testing.assert_allclose(out, np.exp(np.clip(special, -LIMIT, LIMIT)), rtol=3e-7)
    assert out[0] == out[1] == 1 and np.isnan(out[12])


def test_clamp_keeps_what_is_not_a_number():
    x = np.array([-5, -2, 0, 3, 4, np.inf, -np.inf, np.nan] * 2, np.float32)
    out = np.empty_like(x)
    clamp_of(x, out)
    np.testing.assert_array_equal(out, np.array([-2, -2, 0, 3, 3, 3, -2, np.nan] * 2, np.float32))


def test_a_comparison_gives_a_bit_a_lane_and_none_for_nan():
    a = np.array([1, -1, 0.0, -0.0, np.nan, np.inf, -np.inf, 2, 3, -3, 1, 1, 1, 1, 1, -7], np.float32)
    b = np.array([0, 0, -0.0, 0.0, 0, np.inf, 0, np.nan, 2, 2, 2, 2, 2, 1, 0, -8], np.float32)
    out = np.zeros(3, np.uint16)
    masks_of(a, b, out)
    for mask, expected in zip(out, (a > b, a >= b, np.signbit(a)), strict=True):
        assert [mask >> n & 1 for n in range(16)] == expected.tolist()


def test_a_mask_selects_lane_by_lane():
    for mask in (0, 1, 0x8000, 0xA5C3, 0xFFFF):
        out = np.empty(16, np.float32)
        selected(np.uint16(mask), out)
        assert out.tolist() == [1.0 if mask >> n & 1 else -1.0 for n in range(16)]


def test_patterns_hold_four_steps_of_a_neuron():
    masks = np.array([0x0001, 0x8003, 0x5555, 0xFF00], np.uint16)
    out = np.zeros(16, np.uint8)
    patterns_of(masks, out)
    assert out.tolist() == [16 * sum((int(m) >> n & 1) << k for k, m in enumerate(masks)) for n in range(16)]
