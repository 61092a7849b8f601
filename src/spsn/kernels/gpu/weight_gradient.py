"""The gradient of a hidden layer's weights on a GPU: sum over samples and steps of below[t]^T dx[t].

A program takes a group of samples of one run and a block of the gradient, which stays in registers, and goes
through the samples in order and through their steps 32 at a time; the groups' sums are added in order
afterwards, so two calls give the same bits.

Precision as in `products.py`: "float32" multiplies in float32; "split" takes the sum of two bfloat16 numbers
for dx, 16 bits together, and for the outputs of the non-spiking network, and sums in float32; spikes are
exact.

Bytes a neuron and step: 4 of dx and V / (8 W) of spikes, or 4 V / W of outputs, below, read once where the
gradient is one block. Tensor cores: 4 V operations a neuron and step (6 V for outputs).
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from spsn.kernels.gpu import launching
from spsn.kernels.gpu.products import TILE, piece_type

BLOCK = 128  # rows and columns of the gradient that one program has
PROGRAMS = 1056  # enough for every multiprocessor of an H200 to have eight, so that the last ones cost little


def weight_gradient(below: Tensor, dx: Tensor, lengths: Tensor, precision: str = "float32") -> Tensor:
    """float32 (S, V, W): sum over b and t of below[b, t]^T dx[b, t], over a run's own steps.

    below: spikes int32 (S, B, Q, V) or outputs float32 (S, B, T, V); dx float32 (S, B, T, W); lengths int32
    (S,); precision "float32" or "split". Raises ValueError for another precision.
    """
    runs, samples, steps, width = dx.shape
    rows = below.shape[-1]
    block_rows, block_columns = min(rows, BLOCK), min(width, BLOCK)
    blocks = (rows // block_rows) * (width // block_columns)
    groups = min(samples, triton.cdiv(PROGRAMS, runs * blocks))
    per_group = triton.cdiv(samples, groups)
    groups = triton.cdiv(samples, per_group)
    parts = torch.empty((runs, groups, rows, width), dtype=torch.float32, device=dx.device)
    split = precision == "split"
    with launching.on(dx.device):
        _weight_gradient[(runs * groups, rows // block_rows, width // block_columns)](
            below, dx, lengths, parts, samples, groups, per_group, steps,
            SPIKES=below.dtype == torch.int32, SPLIT=split, TYPE=piece_type(precision, dx.device), TILE=TILE,
            STEPS=TILE if split else 16, ROWS=rows, WIDTH=width, BLOCK_ROWS=block_rows,
            BLOCK_COLUMNS=block_columns, num_warps=8, num_stages=2,
        )  # fmt: skip
    return parts.sum(dim=1) if groups > 1 else parts[:, 0]


@triton.jit
def _load_below(
    below, number, t0, length, T, column,
    SPIKES: tl.constexpr, TYPE: tl.constexpr, TILE: tl.constexpr, STEPS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """What the layer below gave at STEPS steps from t0 on, in some columns, transposed: (columns, STEPS)."""
    step = tl.arange(0, STEPS)
    if SPIKES:
        words = tl.load(below + (number * tl.cdiv(T, TILE) + t0 // TILE) * ROWS + column)
        tile = ((words[:, None] >> (t0 % TILE + step)[None, :]) & 1).to(TYPE)
    else:
        at = below + ((number * T + t0 + step) * ROWS)[None, :] + column[:, None]
        tile = tl.load(at, mask=(t0 + step < length)[None, :], other=0.0)
    return tile


@triton.jit
def _add_product(total, left, right, SPIKES: tl.constexpr, SPLIT: tl.constexpr, TYPE: tl.constexpr):
    """total + left @ right, the small terms first."""
    if SPLIT:
        big = right.to(TYPE)
        small = (right - big.to(tl.float32)).to(TYPE)
        high = left.to(TYPE)
        total = tl.dot(high, small, total)
        if not SPIKES:
            total = tl.dot((left - high.to(tl.float32)).to(TYPE), big, total)
        total = tl.dot(high, big, total)
    else:
        total = tl.dot(left, right, total, input_precision="ieee")
    return total


@triton.jit(do_not_specialize=["samples", "groups", "per_group", "T"])
def _weight_gradient(
    below, dx, lengths, parts, samples, groups, per_group, T,
    SPIKES: tl.constexpr, SPLIT: tl.constexpr, TYPE: tl.constexpr, TILE: tl.constexpr, STEPS: tl.constexpr,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_COLUMNS: tl.constexpr,
):  # fmt: skip
    part = tl.program_id(0).to(tl.int64)
    run, group = part // groups, (part % groups).to(tl.int32)
    row = tl.program_id(1) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    column = tl.program_id(2) * BLOCK_COLUMNS + tl.arange(0, BLOCK_COLUMNS)
    step = tl.arange(0, STEPS)
    length = tl.load(lengths + run)
    total = tl.zeros((BLOCK_ROWS, BLOCK_COLUMNS), tl.float32)
    for item in range(group * per_group, tl.minimum((group + 1) * per_group, samples)):
        number = run * samples + item
        for t0 in range(0, length, STEPS):
            at = dx + ((number * T + t0 + step) * WIDTH)[:, None] + column[None, :]
            right = tl.load(at, mask=(t0 + step < length)[:, None], other=0.0)
            left = _load_below(below, number, t0, length, T, row, SPIKES, TYPE, TILE, STEPS, ROWS)
            total = _add_product(total, left, right, SPIKES, SPLIT, TYPE)
    tl.store(parts + part * ROWS * WIDTH + (row * WIDTH)[:, None] + column[None, :], total)
