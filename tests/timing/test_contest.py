"""Measurements in processes of their own: turns, memory, refusals, ratios."""

import json
import os
import sys

import pytest
import torch

from spsn.errors import SpsnError
from spsn.timing.contest import (
    Contestant,
    Outcome,
    Worker,
    compared,
    contest,
    environment,
    memory_ratio,
    ratio,
)
from spsn.timing.measure import MEASURED, OUT_OF_MEMORY, Call, Measurement
from spsn.timing.worker import TURN, Subject, answers

SUBJECTS = """
import os, time
import torch
from spsn.errors import SpsnError
from spsn.timing.worker import Subject

CPU = torch.device("cpu")


def logging(name, log, seconds, megabytes=0):
    def call(lap):
        print("this line must not reach the answers")
        with open(log, "a") as file:
            file.write(f"{name} {os.getpid()}\\n")
        taken = bytearray(os.urandom(1000)) * (1000 * megabytes)
        lap()
        time.sleep(seconds)
    return Subject(call, CPU, lambda: {"tunables": os.environ.get("GLIBC_TUNABLES")})


def greedy(after):
    calls = []
    def call(lap):
        calls.append(None)
        if len(calls) > after:
            torch.empty(10**15, dtype=torch.uint8)
    return Subject(call, CPU)


def unwilling():
    raise SpsnError("there is no such thing; take another")


def dying():
    def call(lap):
        os._exit(7)
    return Subject(call, CPU)
"""


@pytest.fixture
def subjects(tmp_path, monkeypatch):
    """The name of a module that worker processes can import."""
    (tmp_path / "crafted_subjects.py").write_text(SUBJECTS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    return "crafted_subjects"


def test_contestants_take_turns_in_processes_of_their_own(subjects, tmp_path, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=3")
    log = tmp_path / "log"
    small = {"name": "small", "log": str(log), "seconds": 2 * TURN}
    contestants = [
        Contestant("small", f"{subjects}:logging", small),
        Contestant("large", f"{subjects}:logging", small | {"name": "large", "megabytes": 100}, True),
        Contestant("greedy", f"{subjects}:greedy", {"after": 2}),
    ]
    outcomes = contest(contestants, repeats=2, warmup=1)
    lines = [line.split() for line in log.read_text().splitlines()]
    assert [name for name, _ in lines] == ["small", "large"] * 3
    assert len({pid for _, pid in lines}) == 2 and str(os.getpid()) not in {pid for _, pid in lines}

    small, large = (outcomes[name].record() for name in ("small", "large"))
    assert len(small["all_seconds"]) == 2 and small["seconds"] >= 2 * TURN
    assert [len(call.parts) for call in outcomes["small"].measurement.calls] == [2, 2]
    assert small["malloc"] == "default" and small["tunables"] is None
    assert large["malloc"] == "tuned" and "glibc.malloc.trim_threshold=2147483647" in large["tunables"]
    if large["grown_bytes"] is not None:
        assert small["grown_bytes"] < 50e6 < 95e6 < large["grown_bytes"] < large["peak_bytes"]

    assert outcomes["greedy"].measurement == Measurement(OUT_OF_MEMORY)
    assert outcomes["greedy"].record()["seconds"] is None


def test_what_cannot_be_measured_is_said(subjects):
    with pytest.raises(SpsnError, match="unwilling cannot be measured: there is no such thing; take another"):
        contest([Contestant("unwilling", f"{subjects}:unwilling")], repeats=1, warmup=1)
    with pytest.raises(SpsnError, match="dying cannot be measured: its process ended with 7"):
        contest([Contestant("dying", f"{subjects}:dying")], repeats=1, warmup=1)


def test_no_process_remains(subjects):
    with Worker(Contestant("greedy", f"{subjects}:greedy", {"after": 9})) as worker:
        assert worker.answer() == {"ready": True}
    assert worker.process.returncode is not None


def test_of_short_calls_the_last_one_of_a_turn_counts(monkeypatch):
    """The clock stands at 0, moves by 90 ms with every call, and is looked at once a call besides."""
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    calls = []

    def call(lap):
        calls.append(len(calls))
        now[0] += 0.09 if len(calls) < 3 else 0.5

    (answer,) = answers(Subject(call, torch.device("cpu")), iter(["call\n"]))
    assert calls == [0, 1, 2] and answer["seconds"] == pytest.approx(0.5)
    (answer,) = answers(Subject(call, torch.device("cpu")), iter(["call\n"]))
    assert calls == [0, 1, 2, 3] and answer["seconds"] == pytest.approx(0.5)


def test_answers_to_words():
    subject = Subject(lambda lap: lap(), torch.device("cpu"), lambda: {"said": 1})
    call, memory, details = answers(subject, iter(["call\n", "unknown\n", "memory\n", "details\n"]))
    assert call["status"] == MEASURED and len(call["parts"]) == 2 and json.dumps(call)
    assert sum(call["parts"]) == pytest.approx(call["seconds"]) and call["unsynchronised"] is None
    assert memory["held_bytes"] is None or 0 < memory["held_bytes"] <= memory["peak_bytes"]
    assert details == {"said": 1}


def test_an_untuned_process_has_malloc_as_it_comes(monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000")
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0")
    assert not {"MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"} & environment(False).keys()
    assert environment(True)["GLIBC_TUNABLES"].count("=") == 3
    assert environment(False)["PATH"] == os.environ["PATH"]


def measurement(*seconds, grown=None):
    return Measurement(MEASURED, tuple(Call(s, (s,), None) for s in seconds), 10**9, grown)


def test_ratios_are_those_of_the_medians_and_their_quartiles_those_of_the_rounds():
    slow, fast = measurement(10.0, 40.0, 30.0), measurement(1.0, 2.0, 5.0)
    assert ratio(slow, fast) == {"ratio": 15.0, "ratio_quartiles": (8.0, 15.0)}
    assert ratio(measurement(3.0), measurement(2.0)) == {"ratio": 1.5, "ratio_quartiles": (1.5, 1.5)}
    assert ratio(slow, Measurement(OUT_OF_MEMORY)) == {} == ratio(Measurement(OUT_OF_MEMORY), fast)


def test_memory_is_compared_by_what_calls_add():
    assert memory_ratio(measurement(1.0, grown=800), measurement(1.0, grown=100)) == 8.0
    assert memory_ratio(measurement(1.0, grown=800), measurement(1.0)) is None


def test_records_are_compared_with_one_of_them():
    outcomes = {
        "base": Outcome(measurement(4.0, grown=30), {"extra": 1}, "default"),
        "other": Outcome(measurement(2.0, grown=10), {}, "tuned"),
    }
    records = compared(outcomes, "base")
    assert (records["other"]["ratio"], records["other"]["memory_ratio"]) == (2.0, 3.0)
    assert records["base"]["ratio"] == 1.0 and records["base"]["extra"] == 1
    assert "ratio" not in compared({"other": outcomes["other"]}, "base")["other"]
