"""The product of a tile of time steps with a layer's weights, inside kernels: phase one of a tile.

A tile is 32 steps of a sample. What lies below or above, K numbers a step, is

    spikes    words int32 (S, B, Q, K): bit t % 32 of word t // 32 is step t
    numbers   float32 (S, B, T, K): outputs of the non-spiking network, dL/dx of the layer above

and is multiplied with weights (K, W) to float32 (32, W), which goes into the program's scratch. The product
is made transposed, the weights on its left: W = 128 rows suit a Hopper's tensor cores, 32 would not.

Precision "float32" multiplies in float32, on the ordinary units. "split" takes tensor cores: a weight is the
sum of two numbers of half its length, `halves`, and sums are float32.

    spikes    exact in float16; two products. The weight's halves are float16 of 16 w, wrong by 2^-24 |w|
              like float32 itself, or by 2^-29 where that is more; finite to |w| = 4094
    numbers   are halved likewise; three products, high high + high low + low high. The halves are bfloat16,
              whose range no gradient leaves: together 16 bits

Bytes: a step's spikes K / 8, numbers 4 K; into the scratch and out of it, 8 W, which stay in the cache. Where
K W <= 128^2 the halves lie in shared memory (64 KB) as long as the program runs; else every tile reads the
weights again.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 32
UNIT = tl.constexpr(1 / 16)  # of the halves


def piece_type(precision: str, device: torch.device) -> tl.dtype:
    """The type of a product's operands, where they may be inexact. Raises ValueError for no precision.

    What interprets kernels on a CPU computes with bfloat16 wrongly; float16 shows the same logic.
    """
    if precision == "float32":
        return tl.float32
    if precision != "split":
        raise ValueError(f"the precision must be 'float32' or 'split', not {precision!r}")
    return tl.float16 if device.type == "cpu" else tl.bfloat16


def halves(weight: Tensor, kind: torch.dtype) -> Tensor:
    """16 w (float32, any shape) as the sum of two numbers of `kind`: (2, *shape), the high ones first."""
    scaled = weight * 16
    high = scaled.to(kind)
    return torch.stack([high, (scaled - high).to(kind)])


@triton.jit
def split_product(total, high, low, tile, EXACT: tl.constexpr):
    """total + (high + low) @ tile, the small terms first; tile is EXACT in the halves' type, or float32."""
    if EXACT:
        total = tl.dot(low, tile, total)
        total = tl.dot(high, tile, total)
    else:
        big = tile.to(high.dtype)
        small = (tile - big.to(tl.float32)).to(high.dtype)
        total = tl.dot(high, small, total)
        total = tl.dot(low, big, total)
        total = tl.dot(high, big, total)
    return total


@triton.jit
def load_weights(weight, k0, n0, WIDTH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Rows from k0 on and columns from n0 on of weights (K, WIDTH), transposed: (COLUMNS, ROWS)."""
    k, n = k0 + tl.arange(0, ROWS), n0 + tl.arange(0, COLUMNS)
    return tl.load(weight + k[None, :] * WIDTH + n[:, None])


@triton.jit
def _load_tile(
    below, number, t0, length, T, k0,
    SPIKES: tl.constexpr, TYPE: tl.constexpr, TILE: tl.constexpr, BELOW: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """ROWS numbers from k0 on of what lies below at the steps from t0 on, transposed: (ROWS, TILE)."""
    step, k = tl.arange(0, TILE), k0 + tl.arange(0, ROWS)
    if SPIKES:
        words = tl.load(below + (number * tl.cdiv(T, TILE) + t0 // TILE) * BELOW + k)
        tile = ((words[:, None] >> step[None, :]) & 1).to(TYPE)
    else:
        at = (number * T + t0 + step) * BELOW
        exists = t0 + step < length
        tile = tl.load(below + at[None, :] + k[:, None], mask=exists[None, :], other=0.0)
    return tile


@triton.jit
def store_product(
    out, below, weight, apart, bias, high, low, number, count, t0, length, T,
    SPIKES: tl.constexpr, SPLIT: tl.constexpr, HELD: tl.constexpr, BIASED: tl.constexpr,
    TILE: tl.constexpr, BELOW: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """out (count, TILE, WIDTH): the tiles from t0 on of `count` samples times the weights (BELOW, WIDTH).

    number: the first sample's, counted through all runs. SPLIT: the weights are halves, `apart` numbers
    apart; HELD: they are in `high` and `low` already.
    """
    step = tl.arange(0, TILE)
    TYPE: tl.constexpr = weight.dtype.element_ty
    for sample in range(0, count):  # one by one: two at a time would take more than half of the registers
        for n0 in range(0, WIDTH, COLUMNS):
            n = n0 + tl.arange(0, COLUMNS)
            total = tl.zeros((COLUMNS, TILE), tl.float32)
            for k0 in range(0, BELOW, ROWS):
                tile = _load_tile(below, number + sample, t0, length, T, k0, SPIKES, TYPE, TILE, BELOW, ROWS)
                if HELD:
                    total = split_product(total, high, low, tile, SPIKES)
                elif SPLIT:
                    upper = load_weights(weight, k0, n0, WIDTH, ROWS, COLUMNS)
                    lower = load_weights(weight + apart, k0, n0, WIDTH, ROWS, COLUMNS)
                    total = split_product(total, upper, lower, tile, SPIKES)
                else:
                    weights = load_weights(weight, k0, n0, WIDTH, ROWS, COLUMNS)
                    total = tl.dot(weights, tile, total, input_precision="ieee")
            if SPLIT:
                total *= UNIT
            if BIASED:
                total += tl.load(bias + n)[:, None]
            tl.store(out + (sample * TILE + step)[None, :] * WIDTH + n[:, None], total)


@triton.jit
def held_weights(weight, apart, HELD: tl.constexpr, BELOW: tl.constexpr, WIDTH: tl.constexpr):
    """Both halves of all weights (BELOW, WIDTH), as `store_product` takes them; nothing unless HELD."""
    if HELD:
        high = load_weights(weight, 0, 0, WIDTH, BELOW, WIDTH)
        low = load_weights(weight + apart, 0, 0, WIDTH, BELOW, WIDTH)
    else:
        high = 0
        low = 0
    return high, low


@triton.jit
def product_rows(
    own, below, weight, apart, bias, high, low, number, count, t0, length, T,
    SPIKES: tl.constexpr, SPLIT: tl.constexpr, HELD: tl.constexpr, BIASED: tl.constexpr,
    SAMPLES: tl.constexpr, TILE: tl.constexpr, BELOW: tl.constexpr, WIDTH: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """`store_product` into the program's `own` scratch; where its first row lies for every lane."""
    tl.debug_barrier()  # the last tile's numbers have been read
    store_product(
        own, below, weight, apart, bias, high, low, number, count, t0, length, T,
        SPIKES, SPLIT, HELD, BIASED, TILE, BELOW, WIDTH, ROWS, COLUMNS,
    )  # fmt: skip
    tl.debug_barrier()
    return own + tl.arange(0, SAMPLES)[:, None] * (TILE * WIDTH) + tl.arange(0, WIDTH)[None, :]
