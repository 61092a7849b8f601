"""What a batch's augmentation does to its samples' events, as tables: one small kernel for each direction.

`spsn.data.batches` has the two maps: row t of a sample's canvas reads the recording's row f(t), column k its
channel g(k); both are `source_index` of the place, and grow with it. The tables hold the same bits:

    forward   for every step of a run, where the events of the row that it reads begin and end;
              for every channel, the first canvas column that reads it and how many do
    backward  for every canvas column, where the events of the channel that it reads begin and end;
              for every row of the recording, the first of the run's steps that reads it and how many do

The second of each is the other direction of a map that grows: the first place whose source is not before a
given one. A guess finds it to within a place, and steps from there until it is exact.

A source index is computed in float64 in the order of `source_index`. No product but an exact one is added to
anything (save in the guess), so fused multiply-adds could round nothing otherwise; they are off all the same.
Rounding to the nearest, half to even, is the addition and subtraction of 3 * 2^51. Python floats reach a
kernel as float32: the literals below, and half of a number of steps or channels, are exact in it.

Program: one sample of one run. A source takes a division and 8 more float64 operations; the other direction
of a map takes four sources a place where the guess is right. 640 samples of 1000 steps and 700 channels make
3.3 million divisions of about 40 instructions either way: 10 microseconds of a card that does 64 a clock on
each of 132 multiprocessors. Written are 8 bytes a step and 4 a channel forward, 8 a channel and 4 a row
backward: 7 MB and 6 MB, from half as many read.
"""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from spsn.data.shd import CHANNELS
from spsn.kernels.gpu.launching import on
from spsn.kernels.gpu.store import DeviceStore, Draws

BLOCK = 1024  # places at a time: all 700 columns at once
OPTIONS = {"num_warps": 4, "enable_fp_fusion": False}


@dataclass(frozen=True, eq=False)
class RowTables:
    """Which events each step of a run adds, and which weight rows an event is.

    bases int64 (S, B): where a sample's events begin; begins, ends int32 (S, B, T): counted from there;
    columns int32 (S, B, 700): first canvas column * 256 + number of columns; most int32 (S, B): the greatest
    such number.
    """

    bases: Tensor
    begins: Tensor
    ends: Tensor
    columns: Tensor
    most: Tensor


@dataclass(frozen=True, eq=False)
class ColumnTables:
    """Which events each canvas column counts, and at which of the run's steps an event is seen.

    bases int64 (S, B): where a sample's events begin; begins, ends int32 (S, 700, B): counted from there;
    rows int32 (S, B, T): first step * 256 + number of steps, by the recording's row; most int32 (S, B): the
    greatest such number.
    """

    bases: Tensor
    begins: Tensor
    ends: Tensor
    rows: Tensor
    most: Tensor


def row_tables(store: DeviceStore, draws: Draws) -> RowTables:
    """The tables of the way forward. A run's steps at or beyond its length are left as they are."""
    runs, samples = draws.samples.shape
    tables = RowTables(
        bases=_empty(draws, runs, samples, dtype=torch.int64),
        begins=_empty(draws, runs, samples, draws.steps),
        ends=_empty(draws, runs, samples, draws.steps),
        columns=_empty(draws, runs, samples, CHANNELS),
        most=_empty(draws, runs, samples),
    )
    made = tables.bases, tables.begins, tables.ends, tables.columns, tables.most
    read = store.lengths, store.offsets, store.row_offsets, store.row_begins
    with on(draws.samples.device):
        _row_tables[(runs * samples,)](
            *_drawn(draws), *read, *made, samples, draws.steps, CHANNELS, BLOCK, **OPTIONS
        )
    return tables


def column_tables(store: DeviceStore, draws: Draws) -> ColumnTables:
    """The tables of the way back. Rows at or beyond a recording's length are left as they are."""
    runs, samples = draws.samples.shape
    tables = ColumnTables(
        bases=_empty(draws, runs, samples, dtype=torch.int64),
        begins=_empty(draws, runs, CHANNELS, samples),
        ends=_empty(draws, runs, CHANNELS, samples),
        rows=_empty(draws, runs, samples, draws.steps),
        most=_empty(draws, runs, samples),
    )
    made = tables.bases, tables.begins, tables.ends, tables.rows, tables.most
    read = store.lengths, store.offsets, store.column_begins
    with on(draws.samples.device):
        _column_tables[(runs * samples,)](
            *_drawn(draws), *read, *made, samples, draws.steps, CHANNELS, BLOCK, **OPTIONS
        )
    return tables


def _empty(draws: Draws, *shape: int, dtype: torch.dtype = torch.int32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device=draws.samples.device)


def _drawn(draws: Draws) -> tuple:
    """The draws, and how far apart the runs lie in the first three."""
    given = draws.samples, draws.shifts, draws.zooms
    return *given, draws.lengths, *(array.stride(0) for array in given)


@triton.jit
def packed(first, count):
    """A first place, below 2^16, and how many from there, below 2^8, in one int32."""
    return (first << 8) | count


@triton.jit
def unpacked(word):
    """The first place and how many from there."""
    return word >> 8, word & 255


@triton.jit
def _source(place, size, zoom, shift):
    """`spsn.data.batches.source_index` of places (n,) int32; what is far outside stays outside."""
    centre = size * 0.5
    x = (place.to(tl.float64) + 0.5 - centre - shift) / zoom + centre - 0.5
    x = tl.minimum(tl.maximum(x, -1e9), 1e9)
    return ((x + 6755399441055744.0) - 6755399441055744.0).to(tl.int32)


@triton.jit
def _first_place(source, size, zoom, shift):
    """The first of the places 0 ... size - 1 that reads `source` or what lies beyond; `size` if none."""
    centre = size * 0.5
    guess = (source.to(tl.float64) - centre) * zoom + centre + shift + 0.5
    place = tl.minimum(tl.maximum(guess, 0.0), size * 1.0).to(tl.int32)
    late = (place < size) & (_source(place, size, zoom, shift) < source)
    while tl.max(late.to(tl.int32), 0) > 0:
        place += late.to(tl.int32)
        late = (place < size) & (_source(place, size, zoom, shift) < source)
    early = (place > 0) & (_source(place - 1, size, zoom, shift) >= source)
    while tl.max(early.to(tl.int32), 0) > 0:
        place -= early.to(tl.int32)
        early = (place > 0) & (_source(place - 1, size, zoom, shift) >= source)
    return place


@triton.jit
def _places(source, size, zoom, shift):
    """The first place that reads a source, and how many do."""
    first = _first_place(source, size, zoom, shift)
    return first, _first_place(source + 1, size, zoom, shift) - first


@triton.jit
def _own_draw(samples, shifts, zooms, samples_step, shifts_step, zooms_step, batch):
    """The program's sample among all, its run and place there; the recording, shift and zoom drawn for it."""
    pair = tl.program_id(0).to(tl.int64)
    run, item = pair // batch, pair % batch
    sample = tl.load(samples + run * samples_step + item).to(tl.int64)
    shift, zoom = tl.load(shifts + run * shifts_step + item), tl.load(zooms + run * zooms_step + item)
    return pair, run, item, sample, shift, zoom


@triton.jit(do_not_specialize=["samples_step", "shifts_step", "zooms_step", "batch", "steps"])
def _row_tables(
    samples, shifts, zooms, lengths, samples_step, shifts_step, zooms_step,
    own_lengths, offsets, row_offsets, row_begins,
    bases, begins, ends, columns, most, batch, steps,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    pair, run, item, sample, shift, zoom = _own_draw(
        samples, shifts, zooms, samples_step, shifts_step, zooms_step, batch
    )
    own, length = tl.load(own_lengths + sample), tl.load(lengths + run)
    empty = length - own
    tl.store(bases + pair, tl.load(offsets + sample))
    lane = tl.arange(0, BLOCK)
    first, count = _places(lane, CHANNELS, zoom, shift)
    real = lane < CHANNELS
    tl.store(columns + pair * CHANNELS + lane, packed(first, count), mask=real)
    tl.store(most + pair, tl.max(tl.where(real, count, 0), 0))
    rows = row_begins + tl.load(row_offsets + sample)
    for t0 in range(0, length, BLOCK):
        t = t0 + lane
        source = _source(t - empty, own, zoom, 0.0)
        seen = (t >= empty) & (t < length) & (source >= 0) & (source < own)
        at = pair * steps + t
        tl.store(begins + at, tl.load(rows + source, mask=seen, other=0), mask=t < length)
        tl.store(ends + at, tl.load(rows + source + 1, mask=seen, other=0), mask=t < length)


@triton.jit(do_not_specialize=["samples_step", "shifts_step", "zooms_step", "batch", "steps"])
def _column_tables(
    samples, shifts, zooms, lengths, samples_step, shifts_step, zooms_step,
    own_lengths, offsets, column_begins,
    bases, begins, ends, rows, most, batch, steps,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    pair, run, item, sample, shift, zoom = _own_draw(
        samples, shifts, zooms, samples_step, shifts_step, zooms_step, batch
    )
    own = tl.load(own_lengths + sample)
    empty = tl.load(lengths + run) - own
    tl.store(bases + pair, tl.load(offsets + sample))
    lane = tl.arange(0, BLOCK)
    source = _source(lane, CHANNELS, zoom, shift)
    seen = (lane < CHANNELS) & (source >= 0) & (source < CHANNELS)
    channels = column_begins + sample * (CHANNELS + 1) + source
    at = (run * CHANNELS + lane) * batch + item
    tl.store(begins + at, tl.load(channels, mask=seen, other=0), mask=lane < CHANNELS)
    tl.store(ends + at, tl.load(channels + 1, mask=seen, other=0), mask=lane < CHANNELS)
    greatest = 0
    for row0 in range(0, own, BLOCK):
        row = row0 + lane
        first, count = _places(row, own, zoom, 0.0)
        tl.store(rows + pair * steps + row, packed(empty + first, count), mask=row < own)
        greatest = tl.maximum(greatest, tl.max(tl.where(row < own, count, 0), 0))
    tl.store(most + pair, greatest)
