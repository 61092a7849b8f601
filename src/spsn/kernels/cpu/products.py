"""The products of a layer, on tiles that stay in cache.

Spikes are 0 or 1, so a product with them is a sum of rows. Four rows have sixteen possible sums; with these
made ahead, a pattern of four spikes costs one addition in place of four:

    forward    y[t] = sum_g sums[g][pattern of the neurons 4g ... 4g+3 at t]              sums of weight rows
    gradient   dW[n] += sum_q sums[q][pattern of neuron n in the steps 4q ... 4q+3]      sums of gradient rows

(Arlazarov, Dinic, Kronrod and Faradzhev 1970, "the method of four Russians".) The sums are exact up to the
rounding of their additions. What is not binary - the gradient that a layer hands down, the outputs of the
non-spiking network - takes an ordinary product in register blocks of 4 x 64.

Shapes: a tile has up to `TILE` time steps; widths are multiples of `LANES`, filled with zeros.
"""

from spsn.compiled import jit
from spsn.kernels.cpu.simd import (
    LANES,
    WIDE,
    byte_at,
    fma,
    load,
    load_wide,
    splat,
    splat_at,
    splat_wide,
    splat_wide_at,
    store,
)

TILE = 64  # time steps: a tile of 128 neurons takes 32 KiB
GROUP = 4  # spikes in a pattern
PATTERNS = 16
TABLE = PATTERNS * LANES  # numbers in the table of one pattern and sixteen columns


@jit
def _fill_sums(sums, at, r0, r1, r2, r3):
    """sums[at + 16 p]: the sum of those of four rows whose bit is set in p."""
    store(sums, at, splat(0.0))
    store(sums, at + LANES, r0)
    r01 = r0 + r1
    store(sums, at + 2 * LANES, r1)
    store(sums, at + 3 * LANES, r01)
    store(sums, at + 4 * LANES, r2)
    store(sums, at + 5 * LANES, r0 + r2)
    store(sums, at + 6 * LANES, r1 + r2)
    store(sums, at + 7 * LANES, r01 + r2)
    store(sums, at + 8 * LANES, r3)
    store(sums, at + 9 * LANES, r0 + r3)
    store(sums, at + 10 * LANES, r1 + r3)
    store(sums, at + 11 * LANES, r01 + r3)
    r23 = r2 + r3
    store(sums, at + 12 * LANES, r23)
    store(sums, at + 13 * LANES, r0 + r23)
    store(sums, at + 14 * LANES, r1 + r23)
    store(sums, at + 15 * LANES, r01 + r23)


@jit
def weight_sums(rows, sums):
    """sums (out / 16, in / 4, 16, 16) of weight rows (in, out)."""
    inputs, outputs = rows.shape
    at = 0
    for column in range(0, outputs, LANES):
        for row in range(0, inputs, GROUP):
            first = row * outputs + column
            _fill_sums(
                sums, at, load(rows, first), load(rows, first + outputs),
                load(rows, first + 2 * outputs), load(rows, first + 3 * outputs),
            )  # fmt: skip
            at += TABLE


@jit
def add_spikes(masks, sums, bias, out, steps):
    """out[t] = bias + the sum of the weight rows of the neurons that fire at t.

    masks (TILE, in / 16) uint16, sums as `weight_sums` gives them, bias (out,), out (TILE, out).
    """
    blocks, outputs = masks.shape[1], bias.shape[0]
    width = TABLE * GROUP * blocks
    for column in range(0, outputs, LANES):
        first = column // LANES * width
        for t in range(steps):
            a, b = load(bias, column), splat(0.0)
            c, d = splat(0.0), splat(0.0)
            at = first
            for block in range(blocks):
                mask = int(masks[t, block])
                a = a + load(sums, at + ((mask << 4) & 240))
                b = b + load(sums, at + TABLE + (mask & 240))
                c = c + load(sums, at + 2 * TABLE + ((mask >> 4) & 240))
                d = d + load(sums, at + 3 * TABLE + ((mask >> 8) & 240))
                at += 4 * TABLE
            store(out, t * outputs + column, (a + b) + (c + d))


@jit
def add_outer_spikes(patterns, first, gradient, sums, out, steps):
    """out (in, out) += sum_t s[t]^T gradient[t] for spikes s in `patterns` from the flat index `first` on.

    patterns (..., in) uint8: a row is four time steps, 16 times the pattern; gradient (TILE, out), 0 after
    the last step; sums: scratch of TILE / 4 tables.
    """
    inputs, outputs = out.shape
    groups = (steps + GROUP - 1) // GROUP
    for column in range(0, outputs, LANES):
        for q in range(groups):
            row = q * GROUP * outputs + column
            _fill_sums(
                sums, q * TABLE, load(gradient, row), load(gradient, row + outputs),
                load(gradient, row + 2 * outputs), load(gradient, row + 3 * outputs),
            )  # fmt: skip
        for n in range(0, inputs, 8):  # eight sums at once hide the latency of an addition
            at = n * outputs + column
            a, b = load(out, at), load(out, at + outputs)
            c, d = load(out, at + 2 * outputs), load(out, at + 3 * outputs)
            e, f = load(out, at + 4 * outputs), load(out, at + 5 * outputs)
            g, h = load(out, at + 6 * outputs), load(out, at + 7 * outputs)
            p, table = first + n, 0
            for _ in range(groups):
                a = a + load(sums, table + byte_at(patterns, p))
                b = b + load(sums, table + byte_at(patterns, p + 1))
                c = c + load(sums, table + byte_at(patterns, p + 2))
                d = d + load(sums, table + byte_at(patterns, p + 3))
                e = e + load(sums, table + byte_at(patterns, p + 4))
                f = f + load(sums, table + byte_at(patterns, p + 5))
                g = g + load(sums, table + byte_at(patterns, p + 6))
                h = h + load(sums, table + byte_at(patterns, p + 7))
                p, table = p + inputs, table + TABLE
            store(out, at, a)
            store(out, at + outputs, b)
            store(out, at + 2 * outputs, c)
            store(out, at + 3 * outputs, d)
            store(out, at + 4 * outputs, e)
            store(out, at + 5 * outputs, f)
            store(out, at + 6 * outputs, g)
            store(out, at + 7 * outputs, h)


@jit
def multiply(a, first, row_stride, inner_stride, b, out, rows, inner, accumulate):
    """out[i] = sum_k a[i, k] b[k], added to what is there where `accumulate`.

    a[i, k] is the flat element first + i row_stride + k inner_stride; b (inner, columns); out (.., columns).
    Four rows at a time: `a` and `out` have room for `rows` rounded up to a multiple of 4.
    """
    columns = out.shape[1]
    wide = columns - columns % WIDE
    for column in range(0, wide, WIDE):
        for i in range(0, rows, 4):
            at = i * columns + column
            if accumulate:
                y0, y1 = load_wide(out, at), load_wide(out, at + columns)
                y2, y3 = load_wide(out, at + 2 * columns), load_wide(out, at + 3 * columns)
            else:
                y0, y1, y2, y3 = splat_wide(0.0), splat_wide(0.0), splat_wide(0.0), splat_wide(0.0)
            p = first + i * row_stride
            for k in range(inner):
                row = load_wide(b, k * columns + column)
                y0 = fma(splat_wide_at(a, p), row, y0)
                y1 = fma(splat_wide_at(a, p + row_stride), row, y1)
                y2 = fma(splat_wide_at(a, p + 2 * row_stride), row, y2)
                y3 = fma(splat_wide_at(a, p + 3 * row_stride), row, y3)
                p += inner_stride
            store(out, at, y0)
            store(out, at + columns, y1)
            store(out, at + 2 * columns, y2)
            store(out, at + 3 * columns, y3)
    for column in range(wide, columns, LANES):
        for i in range(rows):
            at = i * columns + column
            y = load(out, at) if accumulate else splat(0.0)
            p = first + i * row_stride
            for k in range(inner):
                y = fma(splat_at(a, p), load(b, k * columns + column), y)
                p += inner_stride
            store(out, at, y)
