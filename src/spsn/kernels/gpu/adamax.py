"""One step of Adamax (`spsn.optimizer`) for all parameters of a stack in one launch.

A program finds the addresses of its tensor in a table and does `BLOCK` numbers of it; programs beyond the end
of a shorter tensor have nothing to do. A number takes 16 bytes read and 12 written: 3.5 MB a step for the
0.12 million parameters of a run of the paper.

`update` sends addresses and rates with every call. `Update` has sent its addresses before, and finds the rate
among those of an epoch by the number of the step, which lies on the device as well: its launches are alike.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from spsn.kernels.gpu.launching import on

BLOCK = 1024


def update(
    arrays: Sequence[tuple[Tensor, ...]], rates: Sequence[float], beta1: float, beta2: float, eps: float
) -> None:
    """For each parameter p its gradient g, m and v, contiguous float32: p, m and v change in place."""
    table, constants = _table(arrays), _constants(arrays, rates, beta1, beta2, eps)
    grid = (triton.cdiv(max(p.numel() for p, *_ in arrays), BLOCK), len(arrays))
    with on(table.device):
        _update[grid](table, constants, constants, table, BLOCK, AT_STEP=False)


class Update:
    """The step of parameters that stay where they are, and are all as many steps old."""

    def __init__(
        self, arrays: Sequence[tuple[Tensor, Tensor, Tensor]], beta1: float, beta2: float, eps: float
    ) -> None:
        """arrays: p, m and v of each parameter, contiguous float32."""
        self.gradients = [torch.empty_like(p, requires_grad=False) for p, _, _ in arrays]
        self._held = [(p.detach(), g, m, v) for (p, m, v), g in zip(arrays, self.gradients, strict=True)]
        self._table = _table(self._held)
        self._constants = _constants(self._held, [0.0] * len(self._held), beta1, beta2, eps)
        self._grid = triton.cdiv(max(p.numel() for p, *_ in self._held), BLOCK), len(self._held)

    @torch.no_grad()
    def __call__(self, gradients: Sequence[Tensor], rates: Tensor, moment: Tensor) -> None:
        """p, m and v change in place by the gradients, of the parameters' shapes in any order in memory.

        rates float32 (K,): lr / (1 - b1^t) of every step of an epoch, of which moment[0], int64, is this one.
        """
        for kept, gradient in zip(self.gradients, gradients, strict=True):
            kept.copy_(gradient)
        with on(rates.device):
            _update[self._grid](self._table, self._constants, rates, moment, BLOCK, AT_STEP=True)


def _table(arrays: Sequence[tuple[Tensor, ...]]) -> Tensor:
    """Of each parameter where p, g, m and v lie, and how many numbers they are; int64 (P, 5)."""
    places = [[t.data_ptr() for t in tensors] + [tensors[0].numel()] for tensors in arrays]
    return torch.tensor(places).to(arrays[0][0].device, non_blocking=True)


def _constants(
    arrays: Sequence[tuple[Tensor, ...]], rates: Sequence[float], beta1: float, beta2: float, eps: float
) -> Tensor:
    """float32 (P, 4)."""
    rows = torch.tensor([[rate, 1 - beta1, beta2, eps] for rate in rates])
    return rows.to(arrays[0][0].device, non_blocking=True)


@triton.jit
def _update(table, constants, rates, moment, BLOCK: tl.constexpr, AT_STEP: tl.constexpr):
    which = tl.program_id(1)
    row = table + which * 5
    size = tl.load(row + 4)
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = at < size
    parameter = tl.load(row).to(tl.pointer_type(tl.float32)) + at
    gradient = tl.load(row + 1).to(tl.pointer_type(tl.float32)) + at
    average = tl.load(row + 2).to(tl.pointer_type(tl.float32)) + at
    largest = tl.load(row + 3).to(tl.pointer_type(tl.float32)) + at
    own = constants + which * 4
    share, kept, eps = tl.load(own + 1), tl.load(own + 2), tl.load(own + 3)
    rate = tl.load(rates + tl.load(moment)) if AT_STEP else tl.load(own)
    g = tl.load(gradient, mask=here, other=0.0)
    m = tl.load(average, mask=here, other=0.0)
    m += share * (g - m)
    old = kept * tl.load(largest, mask=here, other=0.0)
    new = tl.abs(g) + eps
    v = tl.where(old > new, old, new)  # what is no number stays so
    p = tl.load(parameter, mask=here, other=0.0) - rate * m / v
    tl.store(average, m, mask=here)
    tl.store(largest, v, mask=here)
    tl.store(parameter, p, mask=here)
