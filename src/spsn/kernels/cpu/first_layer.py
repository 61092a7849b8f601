"""The first layer alone as a torch operation: an affine map of events, dense in time, differentiable.

The network's own way forward never makes this tensor: it takes the layer tile by tile (`passes.py`). Here the
same kernels fill it, for layers that stand on their own.
"""

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spsn import threads
from spsn.compiled import jit
from spsn.data.batches import Batch
from spsn.data.shd import CHANNELS
from spsn.kernels.cpu.buffers import whole, zeros
from spsn.kernels.cpu.engine import GROUP_SAMPLES, batch_events
from spsn.kernels.cpu.events import add_event_gradient, add_events, prepare_columns
from spsn.kernels.cpu.products import TILE
from spsn.kernels.cpu.recycling import recycled
from spsn.kernels.cpu.tiles import add_over_time, clear, send


def event_affine(batch: Batch, weight: Tensor, bias: Tensor) -> Tensor:
    """Pre-activations (S, B, T, N) of a batch's events for weights (S, N, 700) and biases (S, N), float32.

    Run r's steps are the last T_r of the T; what lies before them is 0. Raises ValueError for weights that do
    not fit the batch.
    """
    return _EventAffine.apply(batch, weight, bias)


class _EventAffine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, batch: Batch, weight: Tensor, bias: Tensor) -> Tensor:
        runs, size = bias.shape
        _, samples, steps = batch.shape
        if runs != batch.shape[0] or weight.shape != (runs, size, CHANNELS):
            raise ValueError(
                f"weights {tuple(weight.shape)} do not fit {batch.shape[0]} runs of {CHANNELS} channels"
            )
        width = whole(size)
        rows, shift = zeros(runs, CHANNELS, width), zeros(runs, width)
        rows[:, :, :size] = weight.detach().numpy().transpose(0, 2, 1)
        shift[:, :size] = bias.detach().numpy()
        given, out = batch_events(batch), recycled(runs, samples, steps, width)
        array = out.numpy()
        tiles = [zeros(TILE, width) for _ in range(threads.kernel_threads())]

        def work(worker: int, task: int) -> None:
            run, item = divmod(task, samples)
            _forward(*given, run, item, rows[run], shift[run], tiles[worker], array[run, item])

        threads.share(runs * samples, work)
        ctx.batch, ctx.size = batch, size
        return out[..., :size]

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        batch, size = ctx.batch, ctx.size
        runs, samples, _ = batch.shape
        missing = whole(size) - size
        gradient = torch.nn.functional.pad(gradient, (0, missing)) if missing else gradient.contiguous()
        given, groups, array = batch_events(batch), -(-samples // GROUP_SAMPLES), gradient.numpy()
        rows = recycled(runs, groups, CHANNELS, whole(size)).numpy()
        shift = zeros(runs, groups, whole(size))

        def work(_: int, task: int) -> None:
            run, group = divmod(task, groups)
            span = group * samples // groups, (group + 1) * samples // groups
            _backward(*given, run, *span, array[run], rows[run, group], shift[run, group])

        threads.share(runs * groups, work)
        dw = np.stack([sum(of_run[1:], of_run[0])[:, :size].T for of_run in rows])
        db = np.ascontiguousarray(shift.sum(axis=1)[:, :size])
        return None, torch.from_numpy(dw), torch.from_numpy(db)


@jit
def _forward(events, draws, run, item, rows, shift, tile, x):
    """x (T, W): a sample's pre-activations, made in the tile and sent past the cache."""
    steps, width = x.shape
    own = draws.lengths[run]
    columns = np.empty((3, CHANNELS), np.int32)
    prepare_columns(draws, run, item, columns)
    begin = (steps - own) * width
    clear(x, 0, begin)
    for t0 in range(0, own, TILE):
        count = min(TILE, own - t0)
        add_events(events, draws, run, item, t0, count, columns, rows, shift, tile)
        send(tile, count, x, begin + t0 * width)


@jit
def _backward(events, draws, run, begin, end, gradient, rows, shift):
    """rows (700, W): the weight gradient of some samples; shift (W,) += the bias's."""
    clear(rows, 0, rows.size)
    steps = gradient.shape[1]
    own = draws.lengths[run]
    columns = np.empty((3, CHANNELS), np.int32)
    for item in range(begin, end):
        prepare_columns(draws, run, item, columns)
        for t0 in range(0, own, TILE):
            count = min(TILE, own - t0)
            tile = gradient[item, steps - own + t0 :]
            add_event_gradient(events, draws, run, item, t0, count, columns, rows, tile)
            add_over_time(tile, count, shift)
