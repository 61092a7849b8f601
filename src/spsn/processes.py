"""How a process ends: with the one that started it, in good order where it is asked to, and not for want of a
listener.

A killed workflow would leave its jobs running. So a job watches its parent, and where that is a shell, which
outlives its own parent too, the shell's parent, and so on within its process group. (A shell that somebody
types into is of another group than what it starts.) When one of them goes, this process ends with status 143,
as on SIGTERM. What it has written is whole (`files.py`).

A cluster sends SIGTERM before it takes a machine away (Slurm at the end of the time limit, when another job
preempts this one, and for scancel), and SIGKILL some time after it. Work that can be taken up again uses that
time to come to a place from which it is. A terminal that is closed sends SIGHUP, and a soft limit of
processor time SIGXCPU, once a second up to the hard one: they ask for the same.
"""

import ctypes
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any, TextIO

INTERVAL = 0.5  # seconds between two looks
SHELLS = {"sh", "bash", "dash", "zsh", "ksh"}
TERMINATED = 143  # as a shell reports SIGTERM
CALLS = (signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU)
ONE_CALL = 5.0  # seconds in which several SIGTERMs are one: at a time limit Slurm sends two


def parent_of(pid: int) -> int | None:
    """The parent of a process; None where that cannot be told (it is gone, or there is no /proc)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def end_with_parent() -> None:
    """Watch, in a thread from now on, the parent and, behind shells, who of this group started them."""
    line = [os.getppid()]
    while _name_of(line[-1]) in SHELLS and _is_of_this_group(parent := parent_of(line[-1])):
        line.append(parent)
    threading.Thread(target=_watch, args=(line,), daemon=True).start()


def _is_of_this_group(pid: int | None) -> bool:
    try:
        return pid is not None and os.getpgid(pid) == os.getpgrp()
    except ProcessLookupError:
        return False


def _name_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _watch(line: list[int]) -> None:
    while os.getppid() == line[0] and all(parent_of(pid) == parent for pid, parent in pairwise(line)):
        time.sleep(INTERVAL)
    with suppress(OSError):  # its terminal, or who read what it said, may have ended too
        print("the process that started this one has ended; so does this one", file=sys.stderr, flush=True)
    os._exit(TERMINATED)


@contextmanager
def stop_at_sigterm() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether one of `CALLS` asked this process, meanwhile, to stop where it can.

    A further SIGTERM, later than `ONE_CALL` seconds, ends it at once with status 143. What was ignored
    before, as nohup has it of SIGHUP, stays so; SIGXCPU, once it came, is ignored from then on. For the main
    thread.
    """
    asked: list[tuple[int, float]] = []

    def handle(number: int, frame: object) -> None:
        now = time.monotonic()
        if number == signal.SIGTERM and any(n == number and now - then > ONE_CALL for n, then in asked):
            os._exit(TERMINATED)
        asked.append((number, now))

    heard = [n for n in CALLS if n == signal.SIGTERM or signal.getsignal(n) is not signal.SIG_IGN]
    before = {n: signal.signal(n, handle) for n in heard}
    try:
        yield lambda: bool(asked)
    finally:
        for n, handler in before.items():
            warned = n == signal.SIGXCPU and any(number == n for number, _ in asked)
            signal.signal(n, signal.SIG_IGN if warned else handler)  # which comes again every second


class _Lossy:
    """A stream that loses what cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def heard_or_not() -> Iterator[None]:
    """Let no work end because nobody can hear of it: its terminal was closed, who read its messages has
    ended, the disk of its log is full, or it has no standard error.
    """
    before = sys.stderr
    sys.stderr = _Lossy(before or io.StringIO())
    try:
        yield
    finally:
        sys.stderr = before
        try:
            if before:
                before.flush()
        except OSError:  # else Python would try once more at its end, and call that a failure
            os.dup2(os.open(os.devnull, os.O_WRONLY), before.fileno())


def keep_memory() -> None:
    """Ask glibc to keep large freed blocks: training frees and takes the same megabytes at every step.

    Without it the kernel maps and clears these pages anew each time, which costs a third of the time on a
    CPU.
    """
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return  # another C library
    mallopt(mmap_threshold, 1 << 30)
    mallopt(trim_threshold, (1 << 31) - 1)
    mallopt(top_pad, 1 << 26)
