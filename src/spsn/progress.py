"""What a person sees while something long goes on: one line that renews itself on a terminal, now and then a
line in a log.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY = 15.0  # seconds between two lines in a log file


def duration(seconds: float) -> str:
    """A duration as a person says it: 42 s, 3 min 20 s, 5 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Progress:
    """Epoch, loss, accuracy, epochs per second and time left of one training."""

    def __init__(self, title: str, done: int, total: int) -> None:
        self.title, self.total = title, total
        self.first, self.started, self.told = done, time.monotonic(), 0.0

    def epoch(self, done: int, loss: float, accuracy: float) -> None:
        """Tell that `done` epochs are finished, the last with this mean loss and accuracy (0-1)."""
        now = time.monotonic()
        rate = (done - self.first) / max(now - self.started, 1e-9)
        left = duration((self.total - done) / rate)
        line = (
            f"{self.title}: epoch {done}/{self.total}  loss {loss:.4f}  accuracy {accuracy:.3f}  "
            f"{rate:.2f} epochs/s  {left} left"
        )
        self._show(line, now, done == self.total)

    def _show(self, line: str, now: float, final: bool) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{line}", end="\n" if final else "", file=sys.stderr, flush=True)
        elif final or now - self.told >= EVERY:
            print(line, file=sys.stderr, flush=True)
            self.told = now


class Counter:
    """How many of a known number of equal pieces are done."""

    def __init__(self, title: str) -> None:
        self.title, self.told = title, 0.0
        self.first: tuple[int, float] | None = None  # pieces at the first call, which may be older, and when

    def __call__(self, done: int, total: int) -> None:
        """Tell that `done` of `total` pieces are finished; the first call is where the estimate begins."""
        now = time.monotonic()
        first, started = self.first = self.first or (done, now)
        rate = (done - first) / max(now - started, 1e-9)
        line = f"{self.title}: {done}/{total}" + (f"  {duration((total - done) / rate)} left" if rate else "")
        if sys.stderr.isatty():
            print(f"\r\x1b[K{line}", end="\n" if done == total else "", file=sys.stderr, flush=True)
        elif done == total or now - self.told >= EVERY:
            print(line, file=sys.stderr, flush=True)
            self.told = now


@contextmanager
def bytes_shown(title: str, done: int, total: int | None) -> Iterator[Callable[[int], object]]:
    """Yield what is to be told of every new number of bytes: a bar on a terminal, now and then a line in a
    log.
    """
    from tqdm import tqdm

    if sys.stderr.isatty():
        with tqdm(total=total, initial=done, desc=title, unit="B", unit_scale=True) as bar:
            yield bar.update
        return
    first = told = time.monotonic()
    before, whole = done, "?" if total is None else tqdm.format_sizeof(total, "B")

    def tell(count: int) -> None:
        nonlocal done, told
        done, now = done + count, time.monotonic()
        if done != total and now - told < EVERY:
            return
        told, rate = now, (done - before) / max(now - first, 1e-9)
        left = "" if total is None else f"  {duration((total - done) / rate)} left"
        print(f"{title}: {tqdm.format_sizeof(done, 'B')}/{whole}{left}", file=sys.stderr, flush=True)

    yield tell
