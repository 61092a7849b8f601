"""Systems measured in turn, each in its own process: one step of each a round, always in the same order."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.peer_networks import SYSTEMS
from spsn.timing.contest import PAUSE

ROOT = Path(__file__).resolve().parents[2]
SLOW = 5.0  # s: a step longer than this is measured without one before it
LAST_LINES = 3  # of what a process wrote that ended by itself


class Failure(Exception):
    """A system that cannot be measured, and why."""


class Worker:
    """A process that runs one system (`worker.py`)."""

    def __init__(self, system: str, python: str | Path, inputs: Path, threads: int) -> None:
        """Raises `Failure` where `python` cannot be run, or the system's network not be built."""
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (`close`)
        command = [python, "-m", "benchmarks.peer_networks.worker", system, inputs, threads]
        paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                encoding="utf-8",
            )
        except OSError as error:
            self.errors.close()
            raise Failure(f"{python} cannot be run ({error.strerror}); `make peers` makes it") from None
        self.versions = self._read()["versions"]

    def ask(self, word: str) -> dict[str, Any]:
        """The answer to one word. Raises `Failure`, after which the process is gone."""
        try:
            print(word, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise self._ended() from None
        return self._read()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()
        self.errors.close()

    def _read(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            raise self._ended()
        answer = json.loads(line)
        if "error" in answer:
            self.close()
            raise Failure(answer["error"])
        return answer

    def _ended(self) -> Failure:
        status = self.process.wait()
        self.errors.seek(0)
        said = " / ".join(self.errors.read().strip().splitlines()[-LAST_LINES:])
        self.close()
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
            worker.close()
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
