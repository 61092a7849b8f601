"""The first layer alone as a torch operation: an affine map of events, dense in time, differentiable.

The network's own way forward never makes this tensor: it takes the layer tile by tile (`passes.py`). Here the
same kernels fill it, for layers that stand on their own.
"""

import numpy as np
import torch
from torch import Tensor

from spsn import threads
from spsn.compiled import jit
from spsn.data.batches import Batch
from spsn.data.shd import CHANNELS
from spsn.kernels.cpu.buffers import empty, whole, zeros
from spsn.kernels.cpu.engine import GROUP_SAMPLES, batch_events
from spsn.kernels.cpu.events import add_event_gradient, add_events, prepare_columns
from spsn.kernels.cpu.tiles import add_over_time, clear


def event_affine(batch: Batch, weight: Tensor, bias: Tensor, out: np.ndarray | None = None) -> Tensor:
    """Pre-activations (S, B, T, N) of a batch's events for weights (S, N, 700) and biases (S, N), float32.

    Run r's steps are the last T_r of the T; what lies before them is 0. `out`, an array (S, B, T, W) float32
    with W = N filled up to whole vectors, takes the result in place of new memory. Raises ValueError for
    weights that do not fit the batch.
    """
    return _EventAffine.apply(batch, out, weight, bias)


class _EventAffine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, batch: Batch, out: np.ndarray | None, weight: Tensor, bias: Tensor) -> Tensor:
        runs, size = bias.shape
        _, samples, steps = batch.shape
        if weight.shape != (batch.shape[0], size, CHANNELS):
            raise ValueError(
                f"weights {tuple(weight.shape)} do not fit {batch.shape[0]} runs of {CHANNELS} channels"
            )
        width = whole(size)
        rows, shift = zeros(runs, CHANNELS, width), zeros(runs, width)
        rows[:, :, :size] = weight.detach().numpy().transpose(0, 2, 1)
        shift[:, :size] = bias.detach().numpy()
        out = empty(runs, samples, steps, width) if out is None else out
        given = batch_events(batch)

        def work(_: int, task: int) -> None:
            run, item = divmod(task, samples)
            _forward(*given, run, item, rows[run], shift[run], out[run, item])

        threads.share(runs * samples, work)
        ctx.batch, ctx.size = batch, size
        return torch.from_numpy(out)[..., :size]

    @staticmethod
    def backward(ctx, gradient: Tensor):
        batch, size = ctx.batch, ctx.size
        runs, samples, _ = batch.shape
        missing = whole(size) - size
        gradient = torch.nn.functional.pad(gradient, (0, missing)) if missing else gradient.contiguous()
        given, groups, array = batch_events(batch), -(-samples // GROUP_SAMPLES), gradient.numpy()
        rows = [zeros(CHANNELS, whole(size)) for _ in range(runs * groups)]
        shift = zeros(runs * groups, whole(size))

        def work(_: int, task: int) -> None:
            run, group = divmod(task, groups)
            span = group * samples // groups, (group + 1) * samples // groups
            _backward(*given, run, *span, array[run], rows[task], shift[task])

        threads.share(runs * groups, work)
        dw = [sum(rows[r * groups + 1 : (r + 1) * groups], rows[r * groups])[:, :size].T for r in range(runs)]
        db = shift.reshape(runs, groups, -1).sum(axis=1)[:, :size]
        return None, None, torch.from_numpy(np.stack(dw)), torch.from_numpy(np.ascontiguousarray(db))


@jit
def _forward(events, draws, run, item, rows, shift, x):
    """x (T, W): a sample's pre-activations."""
    steps, width = x.shape
    own = draws.lengths[run]
    columns = np.empty((2, CHANNELS), np.int32)
    prepare_columns(draws, run, item, columns)
    clear(x, 0, (steps - own) * width)
    add_events(events, draws, run, item, 0, own, columns, rows, shift, x[steps - own :])


@jit
def _backward(events, draws, run, begin, end, gradient, rows, shift):
    """rows (700, W) += the weight gradient of some samples, shift (W,) += the bias's."""
    steps = gradient.shape[1]
    own = draws.lengths[run]
    columns = np.empty((2, CHANNELS), np.int32)
    for item in range(begin, end):
        prepare_columns(draws, run, item, columns)
        tile = gradient[item, steps - own :]
        add_event_gradient(events, draws, run, item, 0, own, columns, rows, tile)
        add_over_time(tile, own, shift)
