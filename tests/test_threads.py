"""Sharing work over threads: every task once, failures shown, forks survived; who computes with how many."""

import multiprocessing
import threading
import time

import pytest
import torch

from spsn import threads


@pytest.fixture(autouse=True)
def counts_restored():
    before, torchs = threads.kernel_threads(), torch.get_num_threads()
    yield
    threads.set_kernel_threads(before)
    torch.set_num_threads(torchs)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("tasks", [0, 1, 2, 7, 200])
def test_every_task_is_done_once(count, tasks):
    threads.set_kernel_threads(count)
    done: list[tuple[int, int]] = []
    for _ in range(3):  # the same threads serve again
        done.clear()
        threads.share(tasks, lambda worker, task: done.append((worker, task)))
        assert sorted(task for _, task in done) == list(range(tasks))
        assert {worker for worker, _ in done} <= set(range(count))


def test_a_worker_does_one_task_at_a_time():
    """What belongs to a worker (its memory) is never in use twice."""
    threads.set_kernel_threads(4)
    busy = [threading.Lock() for _ in range(4)]

    def work(worker: int, task: int) -> None:
        assert busy[worker].acquire(blocking=False)
        time.sleep(0.001)
        busy[worker].release()

    threads.share(60, work)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_tasks_run_side_by_side(count):
    """Each waits until all are there: one after the other they would never meet."""
    threads.set_kernel_threads(count)
    meeting = threading.Barrier(count, timeout=20)
    identities = set()

    def work(worker: int, task: int) -> None:
        identities.add(threading.get_ident())
        meeting.wait()

    threads.share(count, work)
    assert len(identities) == count and threading.get_ident() in identities


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("failing", [0, 4, 9])
def test_a_failure_in_any_task_is_raised(count, failing):
    threads.set_kernel_threads(count)

    def work(worker: int, task: int) -> None:
        time.sleep(0.001)
        if task == failing:
            raise ZeroDivisionError(f"task {task}")

    with pytest.raises(ZeroDivisionError, match=f"task {failing}"):
        threads.share(10, work)
    done = []
    threads.share(10, lambda worker, task: done.append(task))  # and nothing is broken afterwards
    assert sorted(done) == list(range(10))


def test_a_failure_is_raised_once_nothing_runs_any_more():
    """Whoever catches it may use the memory that the tasks wrote to."""
    threads.set_kernel_threads(3)
    meeting = threading.Barrier(3, timeout=20)
    running: set[int] = set()

    def work(worker: int, task: int) -> None:
        running.add(task)
        meeting.wait()
        if task == 1:
            running.discard(task)
            raise KeyError(task)
        time.sleep(0.05)
        running.discard(task)

    with pytest.raises(KeyError):
        threads.share(3, work)
    assert not running


def test_when_all_fail_one_failure_is_raised():
    threads.set_kernel_threads(3)

    def work(worker: int, task: int) -> None:
        raise ValueError(f"task {task}")

    with pytest.raises(ValueError, match="task"):
        threads.share(5, work)


def test_the_number_may_change_between_two_calls():
    for count in (1, 4, 2, 5, 1, 3):
        threads.set_kernel_threads(count)
        assert threads.kernel_threads() == count
        meeting = threading.Barrier(count, timeout=20)
        threads.share(count, lambda worker, task, meeting=meeting: meeting.wait())


@pytest.mark.parametrize("count", [0, -1])
def test_no_threads_are_refused(count):
    threads.set_kernel_threads(2)
    with pytest.raises(ValueError, match="at least one thread"):
        threads.set_kernel_threads(count)
    assert threads.kernel_threads() == 2


def _meet() -> list[int]:
    """Three tasks that wait for each other: which were done."""
    meeting = threading.Barrier(3, timeout=20)
    done = []

    def work(worker: int, task: int) -> None:
        meeting.wait()
        done.append(task)

    threads.share(3, work)
    return sorted(done)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_shares_with_threads_of_its_own():
    threads.set_kernel_threads(3)
    assert _meet() == [0, 1, 2]  # the pool exists; its threads do not come along
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=lambda: theirs.send((threads.kernel_threads(), _meet())), daemon=True)
    child.start()
    assert ours.poll(30), "the child waits for threads that it does not have"
    assert ours.recv() == (3, [0, 1, 2])
    child.join(30)
    assert child.exitcode == 0
    assert _meet() == [0, 1, 2]  # and the parent's go on


@pytest.mark.parametrize(
    ("backend", "device", "torchs"),
    [("fused", "cpu", 1), ("torch", "cpu", 2), ("fused", "cuda", 2), ("fused", torch.device("cpu"), 1)],
)
def test_who_computes_with_how_many(backend, device, torchs):
    torch.set_num_threads(1 if torchs == 2 else 2)
    threads.use(backend, 2, device)
    assert torch.get_num_threads() == torchs
    if torchs == 1:
        assert threads.kernel_threads() == 2
