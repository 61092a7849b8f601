"""CPU threads: who computes with how many.

The plain forms run on torch's OpenMP pool. The fused ones run without the GIL on Python threads of their own,
and where they are used torch keeps to one thread: two pools on the same cores would wait for each other, and
an OpenMP pool waits by spinning.

The fused kernels take one thread until `use` or `set_kernel_threads` says otherwise.
"""

import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch

_pool: ThreadPoolExecutor | None = None
_count = 1


def use(backend: str, threads: int, device: torch.device | str = "cpu") -> None:
    """Compute on so many CPU threads from now on: the kernels' with the fused backend on a CPU, else torch's.

    Raises ValueError for less than one.
    """
    if threads < 1:
        raise ValueError(f"there must be at least one thread, not {threads}")
    fused = backend == "fused" and torch.device(device).type == "cpu"
    torch.set_num_threads(1 if fused else threads)
    set_kernel_threads(threads)


def set_kernel_threads(threads: int) -> None:
    """How many threads `share` spreads work over, the calling one among them."""
    global _count
    if threads < 1:
        raise ValueError(f"there must be at least one thread, not {threads}")
    if threads != _count:
        _drop_pool()
        _count = threads


def kernel_threads() -> int:
    """How many threads `share` spreads work over."""
    return _count


def share(tasks: int, work: Callable[[int, int], None], most: int | None = None) -> None:
    """Call work(worker, task) for every task, each once, on all threads; worker counts them from 0.

    most: with so many threads at most.

    `work` should let go of the GIL and must not call `share` itself. An exception in a task is raised here
    once no thread is at work any more; whether the tasks after it were done is left open.
    """
    workers = min(_count, tasks, most or tasks)
    if workers <= 1:
        for task in range(tasks):
            work(0, task)
        return
    numbers = itertools.count()

    def serve(worker: int) -> None:
        while (task := next(numbers)) < tasks:
            work(worker, task)

    others: list[Future] = []
    try:
        for worker in range(1, workers):
            others.append(_executor().submit(serve, worker))
        serve(0)
    finally:  # whatever happened, nobody goes on writing where others read
        failures = [other.exception() for other in others]
    for failure in failures:
        if failure is not None:
            raise failure


_making = threading.Lock()


def _executor() -> ThreadPoolExecutor:
    global _pool
    with _making:
        if _pool is None:
            _pool = ThreadPoolExecutor(_count - 1, thread_name_prefix="spsn")
        return _pool


def _drop_pool() -> None:
    global _pool
    if _pool is not None:
        _pool.shutdown(wait=False)
    _pool = None


def _after_fork() -> None:
    global _pool, _making
    _pool = None  # its threads did not come along
    _making = threading.Lock()  # perhaps held by one of them


os.register_at_fork(after_in_child=_after_fork)
