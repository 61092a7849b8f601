"""Products on tiles against matrix products in float64; sums of whole numbers, which must be exact."""

import numpy as np
import pytest

from spsn.kernels.cpu.products import (
    GROUP,
    LANES,
    TABLE,
    TILE,
    add_outer_spikes,
    add_spikes,
    multiply,
    weight_sums,
)

WIDTHS = [(16, 16), (128, 128), (32, 80), (80, 32), (144, 16)]
STEPS = [1, 3, 4, 37, 64]


def numbers(*shape: int, seed: int = 0, whole: bool = False) -> np.ndarray:
    random = np.random.default_rng(seed)
    drawn = random.integers(-50, 50, shape) if whole else random.standard_normal(shape)
    return drawn.astype(np.float32)


def spikes(steps: int, neurons: int, density: float = 0.4) -> np.ndarray:
    """0 or 1, (TILE, N): silent after the last step."""
    drawn = np.random.default_rng(1).random((TILE, neurons)) < density
    drawn[steps:] = False
    return drawn


def masks_of(fired: np.ndarray) -> np.ndarray:
    """uint16 (TILE, N / 16)."""
    return np.packbits(fired.reshape(len(fired), -1, 16), axis=2, bitorder="little").view(np.uint16)[..., 0]


def patterns_of(fired: np.ndarray, steps: int) -> np.ndarray:
    """uint8 (steps / 4, N), 16 times the pattern of four steps."""
    quarters = fired[: -(-steps // GROUP) * GROUP].reshape(-1, GROUP, fired.shape[1])
    return (16 * (quarters * (1 << np.arange(GROUP))[:, None]).sum(axis=1)).astype(np.uint8)


def tables(rows: np.ndarray) -> np.ndarray:
    inputs, outputs = rows.shape
    sums = np.empty((outputs // LANES, inputs // GROUP, 16, LANES), np.float32)
    weight_sums(rows, sums)
    return sums


def test_tables_hold_every_sum_of_four_rows():
    rows = numbers(32, 48, whole=True)
    sums = tables(rows)
    for pattern in range(16):
        bits = np.array([pattern >> k & 1 for k in range(GROUP)])
        expected = np.einsum("k,gko->go", bits, rows.reshape(8, GROUP, 48))
        assert np.array_equal(sums[:, :, pattern].transpose(1, 0, 2).reshape(8, 48), expected)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(("inputs", "outputs"), WIDTHS)
@pytest.mark.parametrize("whole", [True, False])
def test_spikes_forward(inputs, outputs, steps, whole):
    rows, bias = numbers(inputs, outputs, whole=whole), numbers(outputs, seed=2, whole=whole)
    fired, out = spikes(steps, inputs), np.full((TILE, outputs), 7, np.float32)
    add_spikes(masks_of(fired), tables(rows), bias, out, steps)
    expected = fired.astype(np.float64) @ rows + bias
    tolerance = 0 if whole else 1e-5 * np.sqrt(inputs)
    np.testing.assert_allclose(out[:steps], expected[:steps], rtol=0, atol=tolerance)
    assert (out[steps:] == 7).all()


@pytest.mark.parametrize("density", [0.0, 1.0])
def test_no_spike_and_every_spike(density):
    rows, bias = numbers(64, 32, whole=True), numbers(32, seed=2, whole=True)
    out = np.empty((TILE, 32), np.float32)
    add_spikes(masks_of(spikes(TILE, 64, density)), tables(rows), bias, out, TILE)
    assert np.array_equal(out, np.broadcast_to(bias + density * rows.sum(axis=0), out.shape))


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(("inputs", "outputs"), WIDTHS)
@pytest.mark.parametrize("whole", [True, False])
def test_spikes_backward(inputs, outputs, steps, whole):
    """Patterns that begin in the middle of a longer array; the gradient adds to what was there."""
    gradient = numbers(TILE, outputs, whole=whole)
    gradient[steps:] = 0
    fired, before = spikes(steps, inputs), numbers(inputs, outputs, seed=3, whole=whole)
    own = patterns_of(fired, steps)
    patterns = np.concatenate(
        [np.full(3 * inputs, 240, np.uint8), own.ravel(), np.full(inputs, 240, np.uint8)]
    )
    out = before.copy()
    add_outer_spikes(patterns, 3 * inputs, gradient, np.empty(TILE // GROUP * TABLE, np.float32), out, steps)
    expected = before + fired[:steps].T.astype(np.float64) @ gradient[:steps]
    np.testing.assert_allclose(out, expected, rtol=0, atol=0 if whole else 1e-4)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("rows", [1, 4, 37, 64])
@pytest.mark.parametrize(("inner", "columns"), [(16, 16), (128, 128), (5, 80), (32, 144)])
def test_multiply(rows, inner, columns, accumulate):
    """Rows of a longer array; what lies after the last row of four is left as it is."""
    a, b = numbers(TILE + 6, inner, whole=True), numbers(inner, columns, seed=1, whole=True)
    before = numbers(TILE, columns, seed=2, whole=True)
    out = before.copy()
    multiply(a, 2 * inner, inner, 1, b, out, rows, inner, accumulate)
    expected = a[2 : 2 + rows].astype(np.float64) @ b + accumulate * before[:rows]
    assert np.array_equal(out[:rows], expected)
    rounded = -(-rows // 4) * 4
    assert np.array_equal(out[rounded:], before[rounded:])


def test_multiply_reads_a_transposed_matrix_by_its_strides():
    a, b = numbers(37, 80), numbers(37, 96, seed=1)
    out = np.empty((80, 96), np.float32)
    multiply(a, 0, 1, 80, b, out, 80, 37, False)
    np.testing.assert_allclose(out, a.T.astype(np.float64) @ b, rtol=0, atol=1e-4)
