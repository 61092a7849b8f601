"""A measurement in a process of its own, which sleeps while others are measured.

Whoever starts it (`contest.py`) names a function of this package and its arguments; the function makes the
`Subject`. The process then reads one word a line and answers each with one JSON object a line:

    call      the subject is called, from an idle device to an idle device, again and again for `TURN`
              seconds; of its last call: seconds, and the parts between its laps
    memory    bytes held before the first call, and the most held at any time since
    details   what else the subject has to say

The first call after a pause meets a processor that slept and caches that others have filled. In a program
that does the same thing over and over it is the exception, and what takes a few milliseconds would be
measured as twice of that; what is longer than a turn is called once.

Between two words it blocks on the pipe: no thread of its own competes with what is measured elsewhere.
It ends with its input.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, TextIO

import torch

from spsn.errors import SpsnError
from spsn.memory import peak_after, reset_peak
from spsn.timing.measure import MEASURED, OUT_OF_MEMORY, Call, Clock, Function, clock_for, timed_call
from spsn.timing.pipe import answering, named, serve

TURN = 0.2  # seconds


@dataclass(frozen=True)
class Subject:
    """What is measured: `call(lap)`; `details()` is asked once all calls are done."""

    call: Function
    device: torch.device
    details: Callable[[], dict[str, Any]] = dict


def answers(subject: Subject, words: TextIO | Iterator[str]) -> Iterator[dict[str, Any]]:
    """What the process answers to each word."""
    clock = clock_for(subject.device)
    held = reset_peak(subject.device)
    for word in words:
        if word.strip() == "call":
            call = _turn(subject.call, clock)
            yield {"status": OUT_OF_MEMORY} if call is None else {"status": MEASURED} | asdict(call)
        elif word.strip() == "memory":
            yield {"held_bytes": held, "peak_bytes": peak_after(held, subject.device)}
        elif word.strip() == "details":
            yield subject.details()


def _turn(function: Function, clock: Clock) -> Call | None:
    """The last call of a turn; None where memory did not suffice."""
    begun = time.perf_counter()
    while True:
        call = timed_call(function, clock)
        if call is None or time.perf_counter() - begun >= TURN:
            return call


def main() -> None:
    """Serve until the input ends."""
    with answering() as send:
        try:
            subject = named(sys.argv[1])(**json.loads(sys.argv[2]))
        except SpsnError as error:
            send({"refusal": str(error)})
            return
        send({"ready": True})
        for answer in answers(subject, sys.stdin):
            send(answer)


if __name__ == "__main__":
    serve(main)
