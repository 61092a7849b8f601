"""Systems measured in turn, each in its own process: one step of each a round, always in the same order."""

import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.peer_networks import SYSTEMS
from spsn.timing.contest import PAUSE
from spsn.timing.pipe import Process

ROOT = Path(__file__).resolve().parents[2]
SLOW = 5.0  # s: a step longer than this is measured without one before it
LAST_LINES = 3  # of what a process wrote that ended by itself


class Failure(Exception):
    """A system that cannot be measured, and why."""


class Worker(Process):
    """A process that runs one system (`worker.py`)."""

    def __init__(self, system: str, python: str | Path, inputs: Path, threads: int) -> None:
        """Raises `Failure` where `python` cannot be run, or the system's network not be built."""
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (`close`)
        command = [python, "-m", "benchmarks.peer_networks.worker", system, inputs, str(threads)]
        paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
        own = {"PYTHONPATH": os.pathsep.join(paths)}
        try:
            super().__init__(command, stderr=self.errors, cwd=ROOT, env=os.environ | own)
        except OSError as error:
            self.errors.close()
            raise Failure(f"{python} cannot be run ({error.strerror}); `make peers` makes it") from None
        self.versions = self.answer()["versions"]

    def end(self) -> None:
        """End the process at once."""
        super().end()
        self.errors.close()

    def answer(self) -> dict[str, Any]:
        """The next answer. Raises `Failure`, after which the process is gone, where there is none."""
        said = super().answer()
        if said is None:
            raise self._ended()
        if "error" in said:
            self.end()
            raise Failure(said["error"])
        return said

    def _ended(self) -> Failure:
        status = self.process.wait()
        self.errors.seek(0)
        said = " / ".join(self.errors.read().strip().splitlines()[-LAST_LINES:])
        self.end()
        return Failure(f"the process ended with status {status}: {said}")


def measure(
    systems: Sequence[str],
    pythons: Mapping[bool, str | Path],
    inputs: Path,
    *,
    threads: int,
    repeats: int,
    seconds: float,
) -> dict[str, dict[str, Any]]:
    """Measure steps on `inputs` in `repeats` rounds; `pythons[is_peer]` is the interpreter of a system.

    A system whose first step says that all rounds together would take it more than `seconds` takes part in
    the first of them only, in one at least. The result maps each system to its seconds, or to its error.
    """
    points: dict[str, dict[str, Any]] = {}
    workers: dict[str, Worker] = {}
    try:
        for system in systems:
            _begin(system, pythons[SYSTEMS[system].is_peer], inputs, threads, workers, points)
        for system in list(workers):
            _try(system, "first", workers, points)
        rounds = {system: _rounds(points[system]["first_seconds"], repeats, seconds) for system in workers}
        for number in range(repeats):
            for system in [system for system in workers if number < rounds[system]]:
                slow = points[system]["first_seconds"] > SLOW
                _try(system, "cold" if slow else "step", workers, points)
        for system in list(workers):
            _try(system, "state", workers, points)
    finally:
        for worker in workers.values():
            worker.end()
    return {system: _summary(points[system]) for system in systems}


def _begin(system: str, python, inputs: Path, threads: int, workers: dict, points: dict) -> None:
    points[system] = {"all_seconds": [], "error": None}
    _say(f"{system}: preparing")
    try:
        workers[system] = Worker(system, python, inputs, threads)
        points[system]["versions"] = workers[system].versions
    except Failure as failure:
        points[system]["error"] = str(failure)
        _say(f"{system}: {failure}")


def _try(system: str, word: str, workers: dict[str, Worker], points: dict[str, dict[str, Any]]) -> None:
    """Ask one system; where it fails it takes no further part."""
    try:
        answer = workers[system].ask(word)
    except Failure as failure:
        del workers[system]
        points[system]["error"] = str(failure)
        _say(f"{system}: {failure}")
        return
    time.sleep(PAUSE)
    if word in ("step", "cold"):
        points[system]["all_seconds"].append(answer["seconds"])
    else:
        points[system] |= {"first_seconds" if name == "seconds" else name: v for name, v in answer.items()}
    if "seconds" in answer:
        _say(f"{system}: {word} {answer['seconds']:.3f} s")


def _rounds(first: float, repeats: int, seconds: float) -> int:
    return max(1, min(repeats, int(seconds / first)))


def _summary(point: dict[str, Any]) -> dict[str, Any]:
    measured = point["all_seconds"] if point["error"] is None else []
    return {**point, "seconds": median(measured) if measured else None, "repeats": len(measured)}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
