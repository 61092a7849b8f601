"""Measuring so that the number can be believed.

Every measured call begins and ends with an idle device: on CUDA the time is that between two events on the
stream, the first recorded when the device had nothing to do and the second awaited; on a CPU it is the wall
clock. Several functions are measured in turn, one call each, so that whatever else the machine does meets all
alike. Before:

    a first call of each tells its peak memory (`memory.py`), with nothing left over from the one before;
    further calls warm up; they end early where they alone would take a tenth of the budget.

What is too large is a result, not a crash: `out-of-memory` where an allocation fails, `too-slow` where the
fastest call before the measurement, times the repeats, passes the budget. `predict` tells the same of a size
not yet tried from smaller ones.

`unsynchronised` is what a harness that forgets to wait for the device would print: the time until the calls
returned.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any, Protocol

import torch

from spsn.memory import is_out_of_memory, peak_after, release, reset_peak

MEASURED, TOO_SLOW, OUT_OF_MEMORY = "measured", "too-slow", "out-of-memory"
WARM_UP_SHARE = 0.1
Lap = Callable[[], None]
Function = Callable[[Lap], object]


class Clock(Protocol):
    """Marks in time on a device, and the seconds between two of them once `wait` has returned.

    `asynchronous`: whether calls return before their work is done.
    """

    asynchronous: bool

    def mark(self) -> Any: ...
    def wait(self) -> None: ...
    def seconds(self, begin: Any, end: Any) -> float: ...


class WallClock:
    """For a CPU, where a call has done its work when it returns."""

    asynchronous = False

    def mark(self) -> float:
        """Now, in seconds."""
        return time.perf_counter()

    def wait(self) -> None:
        """Nothing is outstanding."""

    def seconds(self, begin: float, end: float) -> float:
        """Seconds from one mark to the other."""
        return end - begin


class CudaClock:
    """Events on the current stream: a mark passes when the device has done all that came before it."""

    asynchronous = True

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def mark(self) -> torch.cuda.Event:
        """An event, recorded."""
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def wait(self) -> None:
        """Until the device is idle."""
        torch.cuda.synchronize(self.device)

    def seconds(self, begin: torch.cuda.Event, end: torch.cuda.Event) -> float:
        """Seconds between two events that have passed."""
        return begin.elapsed_time(end) / 1000.0


@dataclass(frozen=True)
class Call:
    """One call: `seconds` from start to end, `parts` between its laps, `unsynchronised` (None on a CPU)."""

    seconds: float
    parts: tuple[float, ...]
    unsynchronised: float | None


@dataclass(frozen=True)
class Measurement:
    """The calls (none unless `status` is measured) and the memory of one of them.

    `grown_bytes` is the peak less what was held before the call.
    """

    status: str
    calls: tuple[Call, ...] = ()
    peak_bytes: int | None = None
    grown_bytes: int | None = None

    @property
    def seconds(self) -> tuple[float, ...]:
        """Seconds of every measured call."""
        return tuple(call.seconds for call in self.calls)

    @property
    def median(self) -> float | None:
        """The median call, in seconds."""
        return median(self.seconds) if self.calls else None

    @property
    def quartiles(self) -> tuple[float, float] | None:
        """First and third quartile, in seconds."""
        if not self.calls:
            return None
        seconds = self.seconds * 2 if len(self.calls) == 1 else self.seconds
        first, _, third = quantiles(seconds, method="inclusive")
        return first, third


def clock_for(device: torch.device) -> Clock:
    """The clock that fits a device."""
    return CudaClock(device) if device.type == "cuda" else WallClock()


def default_warm_up(device: torch.device) -> int:
    """Calls before the measurement: ten on CUDA (compilers, plans, clocks that rise), two on a CPU."""
    return 10 if device.type == "cuda" else 2


def measure(
    function: Function,
    *,
    repeats: int,
    warmup: int,
    device: torch.device,
    budget_seconds: float,
    clock: Clock | None = None,
) -> Measurement:
    """Measure one function, called with a `lap` that divides its time; see `measure_in_turn`."""
    options = {"repeats": repeats, "warmup": warmup, "device": device, "budget_seconds": budget_seconds}
    return measure_in_turn({"": function}, **options, clock=clock)[""]


def measure_in_turn(
    functions: Mapping[str, Function],
    *,
    repeats: int,
    warmup: int,
    device: torch.device,
    budget_seconds: float,
    clock: Clock | None = None,
) -> dict[str, Measurement]:
    """Measure functions beside each other: `repeats` rounds of one call each, after `warmup` >= 1 calls of
    each.

    The budget is one function's share: seconds that its repeats together may take.
    """
    clock = clock or clock_for(device)
    memory = {name: _first_call(function, device, clock) for name, function in functions.items()}
    failed = {name: OUT_OF_MEMORY for name, first in memory.items() if first is None}
    for name, function in functions.items():
        first = memory[name]
        if first is not None:
            times = _warm_up(function, first[0], warmup, budget_seconds, clock)
            if times is None or min(times) * repeats > budget_seconds:
                failed[name] = OUT_OF_MEMORY if times is None else TOO_SLOW
    calls: dict[str, list[Call]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name in [name for name in functions if name not in failed]:
            call = timed_call(functions[name], clock)
            if call is None:
                failed[name] = OUT_OF_MEMORY
            else:
                calls[name].append(call)
    return {name: _result(failed.get(name), calls[name], memory[name]) for name in functions}


def _result(failure: str | None, calls: list[Call], memory: tuple | None) -> Measurement:
    _, peak, grown = memory or (None, None, None)
    return Measurement(failure or MEASURED, () if failure else tuple(calls), peak, grown)


def _first_call(
    function: Function, device: torch.device, clock: Clock
) -> tuple[float, int | None, int | None] | None:
    """Seconds, peak and grown bytes of a first call; None where memory did not suffice."""
    before = reset_peak(device)
    call = timed_call(function, clock)
    if call is None:
        return None
    peak = peak_after(before, device)
    return call.seconds, peak, None if peak is None else peak - before


def _warm_up(
    function: Function, first: float, warmup: int, budget_seconds: float, clock: Clock
) -> list[float] | None:
    """Seconds of all calls before the measurement; no second one where the first passes the budget."""
    times = [first]
    while len(times) < warmup and times[0] <= budget_seconds:
        if len(times) > 1 and sum(times) > WARM_UP_SHARE * budget_seconds:
            break
        call = timed_call(function, clock)
        if call is None:
            return None
        times.append(call.seconds)
    return times


def timed_call(function: Function, clock: Clock) -> Call | None:
    """One call from an idle device to an idle device; None where memory did not suffice."""
    clock.wait()
    try:
        started, marks = time.perf_counter(), [clock.mark()]
        function(lambda: marks.append(clock.mark()))
        marks.append(clock.mark())
        returned = time.perf_counter() - started
        clock.wait()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        error.__traceback__ = None  # its frames hold the tensors
        release()
        return None
    parts = tuple(clock.seconds(a, b) for a, b in zip(marks[:-1], marks[1:], strict=True))
    return Call(clock.seconds(marks[0], marks[-1]), parts, returned if clock.asynchronous else None)


def predict(known: Mapping[int, float], size: int, order: int) -> float | None:
    """Seconds at `size` from seconds at smaller sizes; None where there are none.

    order 1 (work linear in size): in proportion to the largest. order 2: t = a n + b n^2 through the two
    largest, neither term falling; from a single one in proportion to n^2, which is never too little.
    """
    sizes = sorted(n for n in known if n < size)
    if not sizes:
        return None
    last = sizes[-1]
    rate = known[last] / last
    if order == 1:
        return rate * size
    if len(sizes) == 1:
        return rate * size * size / last
    slope = (rate - known[sizes[-2]] / sizes[-2]) / (last - sizes[-2])
    return size * (rate + max(0.0, min(slope, rate / last)) * (size - last))
