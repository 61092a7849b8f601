"""A step of training as a CUDA graph: captured once, then replayed by one call of the host.

What is captured is a function that only launches on memory that stays where it is (`feed.py`), so a replay
does what calling it again would do. There is a graph for every shape of a step, told by a key: an epoch's
whole batches, and its last and smaller one. They never run at once and leave nothing for one another, so they
share a pool of memory, in which the smaller one finds room that the larger one has taken.

The first epoch of a key is computed by ordinary calls: they load every kernel and make the libraries'
handles and workspaces, none of which may happen in a capture, on the stream on which it will take place.
Before a capture what they have left in the allocator is given back: an epoch by graphs needs the memory of
one without.

A capture that fails costs no step, since nothing is computed in it. Where memory did not suffice the caller
is told so; for any other reason steps are computed by ordinary calls from then on, and a warning says why.
"""

import logging
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Protocol

import torch

from spsn.memory import is_out_of_memory, release

log = logging.getLogger(__name__)
Step = Callable[[], None]


class Recorder(Protocol):
    """What captures steps."""

    def beside(self) -> AbstractContextManager:
        """In which ordinary calls are made that come before a capture."""

    def __call__(self, step: Step) -> Step:
        """Capture a step, computing nothing; returns what replays it."""


class CudaRecorder:
    """Captures on a stream of its own of one device, all graphs in one pool."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def beside(self) -> Iterator[None]:
        """On the stream of the captures, after what was asked for before and before what is asked later."""
        outer = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(outer)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            outer.wait_stream(self._stream)

    def __call__(self, step: Step) -> Step:
        release()  # the allocator may give nothing back during a capture
        graph, outer = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self._device)
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                step()
        except BaseException:
            self._leave(outer)
            raise
        return graph.replay

    def _leave(self, outer: torch.cuda.Stream) -> None:
        """Put back what torch leaves where the end of a capture fails too: its stream as the current one,
        and, before version 2.12, an allocator that goes on as if in a capture (pytorch/pytorch#180395).
        """
        torch.cuda.set_stream(outer)
        with suppress(Exception):  # where it has ended
            torch._C._cuda_endAllocateToPool(self._stream.device_index, self._pool)


class Graphs:
    """The graphs of one function's shapes. `failed`: a capture did, so that no other one is tried."""

    def __init__(self, recorder: Recorder | None) -> None:
        """recorder: None where nothing is captured and every step is an ordinary call."""
        self.failed = False
        self._recorder = recorder
        self._replays: dict[Hashable, Step] = {}
        self._called: set[Hashable] = set()
        self._ready: set[Hashable] = set()

    def begin_epoch(self) -> None:
        """Steps that were called in epochs before this one may be captured."""
        self._ready |= self._called

    def __call__(self, key: Hashable, step: Step) -> None:
        """Carry out a step. Equal keys mean equal launches.

        Raises what says that memory does not suffice for a capture, and whatever an ordinary call raises.
        """
        if key not in self._replays and key in self._ready and not self.failed:
            self._capture(key, step)
        if key in self._replays:
            self._replays[key]()
            return
        with self._recorder.beside() if self._recorder and not self.failed else nullcontext():
            step()
        self._called.add(key)

    def __len__(self) -> int:
        """How many graphs there are."""
        return len(self._replays)

    def _capture(self, key: Hashable, step: Step) -> None:
        if self._recorder is None:
            return
        try:
            self._replays[key] = self._recorder(step)
            return
        except Exception as error:
            why, lack = f"{type(error).__name__}: {error}", out_of_memory(error)
        self._replays.clear()
        if lack is not None:
            raise lack
        self.failed = True
        log.warning(
            "a training step could not be captured as a CUDA graph (%s); its kernels are launched one by "
            "one, with the same results",
            why,
        )


def out_of_memory(error: BaseException | None) -> BaseException | None:
    """The exception that says that memory did not suffice, among an exception and those that it came after:
    the end of a capture raises its own where the capture was broken off.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if is_out_of_memory(error):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None
