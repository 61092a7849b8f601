"""Several ways of computing one thing, measured beside each other, each in a process of its own.

They take turns, of one long call or of short ones the last of which counts, so that whatever else the machine
does meets all alike; while one works, the others block on a pipe (`worker.py`), so that no pool of threads
spins beside another's work and each has its own peak of memory. Between two turns there is a pause, in which
the threads of the last one fall asleep.

A ratio is that of two medians. Its quartiles are those of the ratios within each round, whose two calls the
machine's other work met alike.

`malloc_tuned` starts the process with glibc told to keep large freed blocks instead of giving them back to
the kernel, as `processes.keep_memory` does from within; otherwise glibc is left as it comes.
"""

import json
import os
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from statistics import median, quantiles
from typing import Any

from spsn.errors import SpsnError
from spsn.timing.measure import MEASURED, Call, Measurement
from spsn.timing.pipe import Process

PAUSE = 0.03  # seconds; idle OpenMP threads spin for a few milliseconds before they sleep
TUNABLES = {  # those of `processes.keep_memory`
    "glibc.malloc.mmap_threshold": 1 << 30,
    "glibc.malloc.trim_threshold": (1 << 31) - 1,
    "glibc.malloc.top_pad": 1 << 26,
}


@dataclass(frozen=True)
class Contestant:
    """`make` ("module:function") makes the subject of `settings`, both in the process that measures it."""

    name: str
    make: str
    settings: dict[str, Any] = field(default_factory=dict)
    malloc_tuned: bool = False


def with_tuned(contestants: Mapping[str, Contestant], tuned: Collection[str]) -> list[Contestant]:
    """The contestants by key; those whose key is among `tuned` a second time, with malloc tuned."""
    found = []
    for key, contestant in contestants.items():
        found.append(contestant)
        if key in tuned:
            found.append(replace(contestant, name=f"{contestant.name}, malloc tuned", malloc_tuned=True))
    return found


@dataclass(frozen=True)
class Outcome:
    """Calls and memory of one contestant, and what it said besides."""

    measurement: Measurement
    details: dict[str, Any]
    malloc: str

    def record(self) -> dict[str, Any]:
        """What records keep of it. Seconds; bytes; `grown_bytes` is the peak less what was held before."""
        m = self.measurement
        return {
            "status": m.status,
            "malloc": self.malloc,
            "seconds": m.median,
            "quartiles": m.quartiles,
            "all_seconds": m.seconds,
            "peak_bytes": m.peak_bytes,
            "grown_bytes": m.grown_bytes,
            **self.details,
        }


class Worker(Process):
    """The process of one contestant, which is asked the words of `worker.py`; leaving the context ends it."""

    def __init__(self, contestant: Contestant) -> None:
        self.contestant = contestant
        words = [contestant.make, json.dumps(contestant.settings)]
        command = [sys.executable, "-m", "spsn.timing.worker", *words]
        super().__init__(command, env=environment(contestant.malloc_tuned))

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_) -> None:
        self.end()

    def answer(self) -> dict[str, Any]:
        """The next answer. Raises `SpsnError` where the process says that it cannot, or is gone."""
        said = super().answer()
        if said is None:
            said = {"refusal": f"its process ended with {self.process.wait()}"}
        if "refusal" in said:
            raise SpsnError(f"{self.contestant.name} cannot be measured: {said['refusal']}")
        return said


def environment(malloc_tuned: bool) -> dict[str, str]:
    """This process's environment with glibc's malloc as it comes, or tuned."""
    own = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES" and not k.startswith("MALLOC_")}
    tunables = ":".join(f"{name}={value}" for name, value in TUNABLES.items())
    return own | ({"GLIBC_TUNABLES": tunables} if malloc_tuned else {})


def contest(contestants: Sequence[Contestant], repeats: int, warmup: int) -> dict[str, Outcome]:
    """Measure the contestants in turn: `repeats` rounds of one turn each, after `warmup` such rounds.

    Memory is that of all calls together, the first ones included. One that runs out of memory leaves the
    rounds. Raises `SpsnError` where one cannot be measured at all.
    """
    with ExitStack() as stack:
        workers = {c.name: stack.enter_context(Worker(c)) for c in contestants}
        for worker in workers.values():
            worker.answer()  # all start at once; ready once each has answered
        calls = {name: [] for name in workers}
        status = dict.fromkeys(workers, MEASURED)
        for _ in range(warmup + repeats):
            for name in [name for name in workers if status[name] == MEASURED]:
                time.sleep(PAUSE)
                said = workers[name].ask("call")
                status[name] = said.pop("status")
                calls[name].append(said)
        return {name: _outcome(w, status[name], calls[name][warmup:]) for name, w in workers.items()}


def _outcome(worker: Worker, status: str, calls: list[dict[str, Any]]) -> Outcome:
    malloc = "tuned" if worker.contestant.malloc_tuned else "default"
    if status != MEASURED:
        return Outcome(Measurement(status), {}, malloc)
    memory = worker.ask("memory")
    held, peak = memory["held_bytes"], memory["peak_bytes"]
    grown = None if held is None else peak - held
    measured = tuple(Call(c["seconds"], tuple(c["parts"]), c["unsynchronised"]) for c in calls)
    return Outcome(Measurement(status, measured, peak, grown), worker.ask("details"), malloc)


def ratio(slow: Measurement, fast: Measurement) -> dict[str, Any]:
    """How many times as long `slow` takes: the ratio of the medians, and the quartiles of the rounds'.

    {} where one of them was not measured.
    """
    if not slow.calls or not fast.calls:
        return {}
    rounds = [a / b for a, b in zip(slow.seconds, fast.seconds, strict=True)]
    first, _, third = quantiles(rounds * 2 if len(rounds) == 1 else rounds, method="inclusive")
    return {"ratio": median(slow.seconds) / median(fast.seconds), "ratio_quartiles": (first, third)}


def compared(outcomes: Mapping[str, Outcome], base: str) -> dict[str, dict[str, Any]]:
    """The records by name, each with `ratio`, `ratio_quartiles` and `memory_ratio` of `base` to it.

    Without these where `base` was not measured.
    """
    records = {name: outcome.record() for name, outcome in outcomes.items()}
    if base in outcomes:
        for name, outcome in outcomes.items():
            pair = outcomes[base].measurement, outcome.measurement
            records[name] |= ratio(*pair) | {"memory_ratio": memory_ratio(*pair)}
    return records


def memory_ratio(large: Measurement, small: Measurement) -> float | None:
    """How many times the bytes of `small` the calls of `large` take, both beyond what was held before."""
    return large.grown_bytes / small.grown_bytes if large.grown_bytes and small.grown_bytes else None
