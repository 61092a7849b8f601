"""What is measured, in which order, and what becomes of that which cannot be."""

import math
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from support import Clock

from spsn.memory import available_bytes, is_out_of_memory, peak_bytes, reset_peak
from spsn.timing.measure import (
    MEASURED,
    OUT_OF_MEMORY,
    TOO_SLOW,
    Call,
    Measurement,
    clock_for,
    default_warm_up,
    measure,
    measure_in_turn,
    predict,
)

CPU = torch.device("cpu")


def lasting(clock, *durations, calls=None):
    """A function that lasts so long in its successive calls, the last duration for good."""
    left = list(durations)

    def function(lap):
        if calls is not None:
            calls.append(None)
        clock.now += left.pop(0) if len(left) > 1 else left[0]

    return function


def test_warm_up_is_not_counted():
    clock, calls = Clock(), []
    m = measure(
        lasting(clock, 50.0, 20.0, 1.0, 2.0, 4.0, calls=calls),
        repeats=3, warmup=2, device=CPU, budget_seconds=1e9, clock=clock,
    )  # fmt: skip
    assert m.status == MEASURED and m.seconds == (1.0, 2.0, 4.0) and len(calls) == 5
    assert m.median == 2.0 and m.quartiles == (1.5, 3.0)


def test_laps_divide_the_time():
    clock = Clock()

    def function(lap):
        clock.now += 2.0
        lap()
        clock.now += 5.0

    m = measure(function, repeats=2, warmup=1, device=CPU, budget_seconds=99.0, clock=clock)
    assert [call.parts for call in m.calls] == [(2.0, 5.0)] * 2 and m.seconds == (7.0, 7.0)


def test_functions_take_turns():
    called = []
    functions = {name: lambda lap, name=name: called.append(name) for name in "abc"}
    measured = measure_in_turn(functions, repeats=3, warmup=1, device=CPU, budget_seconds=99.0)
    assert called == list("abc") + list("abc") * 3
    assert list(measured) == list("abc") and all(len(m.calls) == 3 for m in measured.values())


def test_the_wall_clock_measures_what_the_call_takes():
    m = measure(lambda lap: time.sleep(0.01), repeats=2, warmup=1, device=CPU, budget_seconds=99.0)
    assert min(m.seconds) >= 0.01
    assert all(call.unsynchronised is None for call in m.calls)  # nothing is asynchronous on a CPU


def petabyte(lap):
    torch.empty(10**15, dtype=torch.uint8)


def numpy_exabyte(lap):
    np.zeros(10**18, np.uint8)


def python_exabyte(lap):
    bytes(10**18)


@pytest.mark.parametrize("function", [petabyte, numpy_exabyte, python_exabyte])
def test_too_large_is_a_result_and_the_others_go_on(function):
    functions = {"large": function, "small": lambda lap: torch.ones(3)}
    measured = measure_in_turn(functions, repeats=2, warmup=2, device=CPU, budget_seconds=99.0)
    assert measured["large"] == Measurement(OUT_OF_MEMORY)
    assert measured["small"].status == MEASURED and len(measured["small"].calls) == 2


@pytest.mark.parametrize("last_good", [0, 1, 2, 3])
def test_memory_that_runs_out_later_is_a_result_too(last_good):
    calls = []

    def function(lap):
        calls.append(None)
        if len(calls) > last_good:
            petabyte(lap)

    m = measure(function, repeats=2, warmup=2, device=CPU, budget_seconds=99.0)
    assert m.status == OUT_OF_MEMORY and m.seconds == () and m.median is None and m.quartiles is None
    assert len(calls) == last_good + 1


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), ValueError("no"), KeyError("no")])
def test_other_errors_are_not_swallowed(error):
    def function(lap):
        raise error

    with pytest.raises(type(error)):
        measure(function, repeats=1, warmup=1, device=CPU, budget_seconds=99.0)
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    "message",
    [
        "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried.",
        "CUDA out of memory. Tried to allocate 2.00 GiB.",
        "CUDA error: out of memory",
        "cuFFT error: CUFFT_ALLOC_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_messages_of_exhausted_memory(message):
    assert is_out_of_memory(RuntimeError(message))


def test_a_first_call_beyond_the_budget_is_the_only_one():
    clock, calls = Clock(), []
    function = lasting(clock, 11.0, calls=calls)
    m = measure(function, repeats=3, warmup=5, device=CPU, budget_seconds=10.0, clock=clock)
    assert m.status == TOO_SLOW and m.calls == () and len(calls) == 1


def test_repeats_beyond_the_budget_are_too_slow_though_one_call_is_not():
    clock, calls = Clock(), []
    function = lasting(clock, 4.0, calls=calls)
    assert (
        measure(function, repeats=3, warmup=5, device=CPU, budget_seconds=11.9, clock=clock).status
        == TOO_SLOW
    )
    assert len(calls) == 2
    assert (
        measure(function, repeats=3, warmup=5, device=CPU, budget_seconds=12.0, clock=clock).status
        == MEASURED
    )


def test_a_slow_first_call_alone_condemns_nothing():
    clock = Clock()  # compilation, say
    m = measure(lasting(clock, 8.0, 1.0), repeats=3, warmup=2, device=CPU, budget_seconds=10.0, clock=clock)
    assert m.seconds == (1.0, 1.0, 1.0)


def test_a_long_warm_up_ends_early():
    clock, calls = Clock(), []
    function = lasting(clock, 1.0, calls=calls)
    measure(function, repeats=2, warmup=10, device=CPU, budget_seconds=30.0, clock=clock)
    assert len(calls) == 4 + 2  # four seconds pass a tenth of thirty


def test_what_is_too_slow_does_not_hold_up_the_others():
    clock = Clock()
    functions = {"slow": lasting(clock, 9.0), "fast": lasting(clock, 1.0)}
    measured = measure_in_turn(functions, repeats=2, warmup=1, device=CPU, budget_seconds=10.0, clock=clock)
    assert [measured[name].status for name in functions] == [TOO_SLOW, MEASURED]


def test_one_call_is_its_own_quartiles():
    assert Measurement(MEASURED, (Call(2.0, (2.0,), None),)).quartiles == (2.0, 2.0)


def test_prediction_needs_something_smaller():
    assert predict({}, 10, 1) is None and predict({10: 1.0, 20: 2.0}, 10, 2) is None


def test_linear_work_is_predicted_in_proportion_to_the_largest():
    assert predict({10: 5.0, 100: 20.0, 999: 1.0}, 300, 1) == pytest.approx(60.0)


def test_quadratic_work_is_predicted_exactly():
    times = {n: 3e-3 * n + 2e-6 * n * n for n in (100, 500, 2000)}
    assert predict(times, 5000, 2) == pytest.approx(3e-3 * 5000 + 2e-6 * 5000**2)


def test_a_single_quadratic_point_is_never_too_little():
    assert predict({100: 2.0}, 300, 2) == pytest.approx(18.0)
    assert predict({100: 2.0}, 300, 2) > 3e-3 * 300


def test_noise_does_not_bend_the_prediction_beyond_a_line_and_a_square():
    assert predict({100: 2.0, 200: 2.0}, 400, 2) == pytest.approx(4.0)  # falling per step: in proportion
    assert predict({100: 0.1, 200: 2.0}, 400, 2) == pytest.approx(8.0)  # rising faster than n^2: n^2


needs_proc = pytest.mark.skipif(
    reset_peak(CPU) is None, reason="the resident high water cannot be reset here"
)
MEBIBYTE = 2**20


@needs_proc
def test_peak_memory_is_that_of_the_function():
    held = torch.ones(20 * MEBIBYTE)  # 80 MiB that are not the function's

    def function(lap):
        torch.ones(16 * MEBIBYTE).add_(1)  # 64 MiB

    m = measure(function, repeats=1, warmup=1, device=CPU, budget_seconds=99.0)
    assert 60 * MEBIBYTE < m.grown_bytes < 90 * MEBIBYTE
    assert m.peak_bytes > m.grown_bytes + held.nbytes


@needs_proc
def test_an_earlier_peak_is_forgotten():
    reset_peak(CPU)
    torch.ones(32 * MEBIBYTE).add_(1)
    high = peak_bytes(CPU)
    assert high - reset_peak(CPU) > 100 * MEBIBYTE
    assert peak_bytes(CPU) < high - 100 * MEBIBYTE


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="no /proc/meminfo")
def test_available_memory_is_what_the_machine_has_at_most():
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert 0 < available_bytes(CPU) <= total


def test_a_cpu_is_measured_by_the_wall_clock():
    assert not clock_for(CPU).asynchronous and default_warm_up(CPU) >= 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_is_awaited_and_its_peak_is_the_tensors():
    device = torch.device("cuda")
    a = torch.ones(4096, 4096, device=device)

    def function(lap):
        b = a
        for _ in range(20):
            b = b @ a
        lap()

    m = measure(function, repeats=3, warmup=3, device=device, budget_seconds=99.0)
    assert m.status == MEASURED and all(len(call.parts) == 2 for call in m.calls)
    assert all(0 < call.unsynchronised < math.inf for call in m.calls)
    assert m.grown_bytes >= a.nbytes and m.peak_bytes >= m.grown_bytes
    assert available_bytes(device) is None
    large = measure(
        lambda lap: torch.empty(10**14, dtype=torch.uint8, device=device),
        repeats=1, warmup=1, device=device, budget_seconds=99.0,
    )  # fmt: skip
    assert large.status == OUT_OF_MEMORY
