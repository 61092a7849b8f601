"""Calls in a process apart: its answers, its failures, its end."""

import os
import time

import pytest

from spsn.errors import SpsnError
from spsn.timing.remote import FAILED, REFUSED, STOPPED, Remote, called

HERE = "test_remote"  # the process finds this file on its path


def answer(number):
    return {"twice": 2 * number, "process": os.getpid()}


def own_status():
    return {"status": "too-slow"}


def refuse():
    raise SpsnError("not that one; take another")


def fail():
    raise RuntimeError("a kernel broke")


def run_out():
    raise MemoryError


def die():
    os._exit(7)


def sleep():
    time.sleep(60)


def chatter():
    print("what libraries print")
    return {"said": True}


@pytest.fixture
def remote(monkeypatch):
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    with Remote() as made:
        yield made


def test_calls_share_a_process_until_one_fails(remote):
    first = remote.ask(f"{HERE}:answer", {"number": 21}, 60)
    second = remote.ask(f"{HERE}:answer", {"number": 1}, 60)
    assert first["status"] == "measured" and (first["twice"], second["twice"]) == (42, 2)
    assert first["process"] == second["process"] != os.getpid()
    assert remote.ask(f"{HERE}:own_status", {}, 60) == {"status": "too-slow"}
    refused = remote.ask(f"{HERE}:refuse", {}, 60)
    assert refused == {"status": REFUSED, "why": "not that one; take another"}
    assert remote.ask(f"{HERE}:run_out", {}, 60) == {"status": "out-of-memory"}
    assert remote.ask(f"{HERE}:chatter", {}, 60)["said"]
    assert remote.ask(f"{HERE}:answer", {"number": 0}, 60)["process"] == first["process"]
    failed = remote.ask(f"{HERE}:fail", {}, 60)
    assert failed["status"] == FAILED and failed["why"] == "RuntimeError: a kernel broke"
    assert "in fail" in failed["told"]
    assert remote.ask(f"{HERE}:answer", {"number": 0}, 60)["process"] != first["process"]


def test_what_dies_or_takes_too_long_is_replaced(remote):
    process = remote.ask(f"{HERE}:answer", {"number": 0}, 60)["process"]
    stopped = remote.ask(f"{HERE}:sleep", {}, 0.2)
    assert stopped["status"] == STOPPED and "within 0 s" in stopped["why"]
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    died = remote.ask(f"{HERE}:die", {}, 60)
    assert died == {"status": FAILED, "why": "its process ended with 7"}
    assert remote.ask(f"{HERE}:answer", {"number": 4}, 60)["twice"] == 8


def test_a_call_made_here_answers_alike(monkeypatch):
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    assert called(f"{HERE}:answer", {"number": 3})["twice"] == 6
    assert called(f"{HERE}:refuse", {})["status"] == REFUSED
    assert called("spsn.timing.nowhere:nothing", {})["status"] == FAILED
