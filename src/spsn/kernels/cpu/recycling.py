"""Memory for large results, taken over from results that nobody holds any more.

The system hands out memory page by page and clears it first: for tensors that are computed as fast as they
can be written, that takes longer than the computation. So the memory of a few results is kept for the next
ones. What malloc is told (`spsn.processes.keep_memory`) does the same, but only for programs that say so.
"""

import math
import threading
import weakref

import torch
from torch import Tensor

from spsn.kernels.cpu.buffers import empty

KEPT = 4  # blocks; as many large results as one pass of a layer makes
LEAST = 1 << 20  # bytes; for less malloc is good enough

_spare: list = []
_changing = threading.RLock()  # a collection, and with it `_keep`, may come at any moment


def recycled(*shape: int) -> Tensor:
    """A float32 tensor that is not set, beginning at a whole cache line."""
    size = math.prod(shape)
    block = _taken(size)
    array = (empty(size) if block is None else block).reshape(shape)
    if array.nbytes >= LEAST:
        weakref.finalize(array, _keep, array.reshape(-1)).atexit = False
    return torch.from_numpy(array)


def _taken(size: int):
    with _changing:
        for place, block in enumerate(_spare):
            if block.size == size:
                return _spare.pop(place)
    return None


def _keep(block) -> None:
    """The oldest goes where there are enough: sizes change with the length of sequences."""
    with _changing:
        _spare.append(block)
        del _spare[:-KEPT]
