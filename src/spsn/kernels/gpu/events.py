"""The first layer straight from the events on a device: no dense input, no augmented copy of the events.

    forward   x[t] = bias + sum of weight[k] over the events of the recording's row f(t), and over the canvas
              columns k that read an event's channel
    backward  gradient[k] = sum of dx[t] over the batch's samples in their order, over the events of the
              recording's channel g(k), and over the steps t that read an event's row

`tables.py` says for every step, and for every canvas column, which events those are. Every sum is taken in
one fixed order, whatever else is in the stack, without atomics.

Both gather rows of W float32: one for each event that is seen, so that S = 10 runs of B = 64 samples of 7,700
events and W = 128 take 2.5 GB either way, and the gathers are what both cost.

`_rows`: program = 32 steps of a sample, 4 at a time, 8 events of each at a time, and half of 128 neurons. One
run's weights for 64 neurons are 179 kB, which a multiprocessor's first cache can hold; programs beside each
other share a run and a half. Per neuron and step: 4 bytes written, 7.7 x 4 gathered, 7.7 additions.

`_columns`: program = one column of one run, 128 neurons, whose sums are in registers, and a group of 16
samples; 8 events at a time. The columns of a group run beside each other and take its samples in the same
order, so that few of them are read at a time: about 4 bytes a neuron and step come from memory, 7.7 x 4 from
the second cache. `_add_groups` adds what the groups found: 20 bytes a weight, where there are 4 groups.

The 32 lanes of a program are one warp: no program waits for another, sums over events stay in a lane.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from spsn.data.shd import CHANNELS
from spsn.kernels.gpu.launching import on
from spsn.kernels.gpu.store import DeviceStore, Draws
from spsn.kernels.gpu.tables import column_tables, row_tables, unpacked

STEPS = 32  # of a program of the way forward
STEPS_AT_ONCE = 4
EVENTS_AT_ONCE = 8
FORWARD_WIDTH = 64  # neurons of a program, at most
BACKWARD_WIDTH = 128
GROUP = 16  # samples of a program of the way back: few enough that the busiest column ends with the others
BLOCK = 1024


def first_rows(store: DeviceStore, draws: Draws, weight: Tensor, bias: Tensor, out: Tensor) -> None:
    """Pre-activations of the first layer: out (S, B, T, W), T = draws.steps, by a run's own steps.

    weight (S, 700, W), bias (S, W), W a power of two; all float32. A sample's canvas ends with the run's last
    step; the steps before it see no event. Steps at or beyond a run's length are not written. Raises
    ValueError for tensors of another shape or type, or that are not contiguous.
    """
    (runs, samples), width = draws.samples.shape, weight.shape[-1]
    _check(weight, (runs, CHANNELS, width))
    _check(bias, (runs, width))
    _check(out, (runs, samples, draws.steps, width))
    tables, block = row_tables(store, draws), min(width, FORWARD_WIDTH)
    tiles = triton.cdiv(draws.steps, STEPS)
    read = store.channels, tables.bases, tables.begins, tables.ends, tables.columns, tables.most
    with on(out.device):
        _rows[(runs * (width // block) * samples * tiles,)](
            *read, draws.lengths, weight, bias, out, samples, draws.steps, tiles,
            CHANNELS, width, block, STEPS, STEPS_AT_ONCE, EVENTS_AT_ONCE, num_warps=1,
        )  # fmt: skip


def first_gradient(store: DeviceStore, draws: Draws, dx: Tensor) -> Tensor:
    """Gradient (S, 700, W) of the weights of `first_rows` from that of its result, dx (S, B, T, W) float32.

    Steps at or beyond a run's length are not read. Raises ValueError for a dx of another shape or type, or
    that is not contiguous.
    """
    (runs, samples), width = draws.samples.shape, dx.shape[-1]
    _check(dx, (runs, samples, draws.steps, width))
    groups, block = triton.cdiv(samples, GROUP), min(width, BACKWARD_WIDTH)
    parts = torch.empty(runs, groups, CHANNELS, width, dtype=torch.float32, device=dx.device)
    tables = column_tables(store, draws)
    read = store.bins, tables.bases, tables.begins, tables.ends, tables.rows, tables.most
    with on(dx.device):
        _columns[(runs * groups * (width // block) * CHANNELS,)](
            *read, dx, parts, samples, draws.steps, groups,
            CHANNELS, width, block, EVENTS_AT_ONCE, num_warps=1,
        )  # fmt: skip
        if groups == 1:
            return parts[:, 0]
        gradient = parts.new_empty(runs, CHANNELS, width)
        blocks = triton.cdiv(CHANNELS * width, BLOCK)
        _add_groups[(blocks, runs)](parts, gradient, groups, CHANNELS * width, BLOCK)
    return gradient


def _check(tensor: Tensor, shape: tuple[int, ...]) -> None:
    """The kernels do not look where a tensor ends."""
    width = shape[-1]
    if tensor.shape != shape or tensor.dtype != torch.float32 or not tensor.is_contiguous():
        given = f"{tensor.dtype} {tuple(tensor.shape)}"
        raise ValueError(f"a contiguous float32 tensor of shape {shape} is needed, not {given}")
    if width & (width - 1):
        raise ValueError(f"the width must be a power of two, not {width}")


@triton.jit(do_not_specialize=["batch", "steps", "tiles"])
def _rows(
    channels, bases, begins, ends, columns, most, lengths, weight, bias, out, batch, steps, tiles,
    CHANNELS: tl.constexpr, W: tl.constexpr, BLOCK: tl.constexpr,
    STEPS: tl.constexpr, AT_ONCE: tl.constexpr, EVENTS: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    tile, rest = program % tiles, program // tiles
    item, rest = rest % batch, rest // batch
    run = (rest // (W // BLOCK)).to(tl.int64)
    neuron = (rest % (W // BLOCK)) * BLOCK + tl.arange(0, BLOCK)
    pair = run * batch + item
    length = tl.load(lengths + run)
    events, columns = channels + tl.load(bases + pair), columns + pair * CHANNELS
    repeats = tl.load(most + pair)
    weights = weight + run * (CHANNELS * W) + neuron
    resting = tl.load(bias + run * W + neuron)
    for t0 in range(tile * STEPS, tl.minimum(tile * STEPS + STEPS, length), AT_ONCE):
        t = t0 + tl.arange(0, AT_ONCE)
        at = pair * steps + t
        begin = tl.load(begins + at, mask=t < length, other=0)
        end = tl.load(ends + at, mask=t < length, other=0)
        x = tl.zeros((AT_ONCE, BLOCK), tl.float32) + resting[None, :]
        for e0 in range(0, tl.max(end - begin, 0), EVENTS):
            event = (e0 + tl.arange(0, EVENTS))[:, None] + begin[None, :]
            there = event < end[None, :]
            channel = tl.load(events + event, mask=there, other=0).to(tl.int32)
            column = tl.load(columns + channel, mask=there, other=0)
            first, count = unpacked(column)
            for k in range(repeats):
                places = weights[None, None, :] + ((first + k) * W)[:, :, None]
                x += tl.sum(tl.load(places, mask=(k < count)[:, :, None], other=0.0), 0)
        tl.store(out + at[:, None] * W + neuron[None, :], x, mask=(t < length)[:, None])


@triton.jit(do_not_specialize=["batch", "steps", "groups"])
def _columns(
    bins, bases, begins, ends, rows, most, dx, parts, batch, steps, groups,
    CHANNELS: tl.constexpr, W: tl.constexpr, BLOCK: tl.constexpr, EVENTS: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    column, rest = program % CHANNELS, program // CHANNELS
    neuron = (rest % (W // BLOCK)) * BLOCK + tl.arange(0, BLOCK)
    part = (rest // (W // BLOCK)).to(tl.int64)
    run, group = part // groups, (part % groups).to(tl.int32)
    at = (run * CHANNELS + column) * batch
    begins, ends = begins + at, ends + at
    total = tl.zeros((BLOCK,), tl.float32)
    for item in range(group * batch // groups, (group + 1) * batch // groups):
        pair = run * batch + item
        times, table = bins + tl.load(bases + pair), rows + pair * steps
        errors = dx + pair * steps * W + neuron
        begin, end, repeats = tl.load(begins + item), tl.load(ends + item), tl.load(most + pair)
        for e0 in range(begin, end, EVENTS):
            event = e0 + tl.arange(0, EVENTS)
            row = tl.load(times + event, mask=event < end, other=0).to(tl.int32) & 0xFFFF
            seen = tl.load(table + row, mask=event < end, other=0)
            first, count = unpacked(seen)
            for k in range(repeats):
                error = errors[None, :] + ((first + k) * W)[:, None]
                total += tl.sum(tl.load(error, mask=(k < count)[:, None], other=0.0), 0)
    tl.store(parts + (part * CHANNELS + column) * W + neuron, total)


@triton.jit(do_not_specialize=["groups"])
def _add_groups(parts, gradient, groups, SIZE: tl.constexpr, BLOCK: tl.constexpr):
    run = tl.program_id(1).to(tl.int64)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float32)
    for group in range(groups):
        total += tl.load(parts + (run * groups + group) * SIZE + at, mask=at < SIZE, other=0.0)
    tl.store(gradient + run * SIZE + at, total, mask=at < SIZE)
