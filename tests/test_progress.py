"""What a person sees of long work: durations, the line of a training, the count of pieces."""

import io
import re
import sys

import pytest

from spsn import progress
from spsn.progress import EVERY, Counter, Progress, duration


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (42.4, "42 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3599.4, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (18_600, "5 h 10 min"),
        (360_000, "100 h 0 min"),
    ],
)
def test_a_duration_as_a_person_says_it(seconds, text):
    assert duration(seconds) == text


def test_a_line_of_training_says_epoch_loss_accuracy_speed_and_time_left(clock, capsys):
    shown = Progress("accuracy lif", 0, 200)
    clock.now += 50
    shown.epoch(25, 1.23456, 0.4567)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "accuracy lif: epoch 25/200  loss 1.2346  accuracy 0.457  0.50 epochs/s  5 min 50 s left"


def test_epochs_done_before_do_not_count_as_speed(clock, capsys):
    shown = Progress("a", 100, 200)
    clock.now += 20
    shown.epoch(110, 1.0, 0.5)
    assert "epoch 110/200" in (line := capsys.readouterr().err)
    assert "0.50 epochs/s  3 min 0 s left" in line


def test_a_log_gets_a_line_now_and_then_and_always_the_last(clock, capsys):
    shown = Progress("a", 0, 100)
    for epoch in range(1, 101):
        clock.now += EVERY / 10 + 0.01
        shown.epoch(epoch, 1.0, 0.5)
    lines = capsys.readouterr().err.splitlines()
    epochs = [int(re.search(r"epoch (\d+)/", line)[1]) for line in lines]
    assert epochs[-1] == 100 and lines[-1].endswith(" 0 s left")
    assert all(later - earlier >= 10 for earlier, later in zip(epochs[:-2], epochs[1:-1], strict=True))
    assert 10 <= len(lines) <= 12


def test_a_training_of_one_epoch_is_told(capsys):
    """Without a clock put in: no division by the time that has not passed."""
    Progress("a", 0, 1).epoch(1, 2.5, 0.25)
    assert "epoch 1/1  loss 2.5000  accuracy 0.250" in capsys.readouterr().err


@pytest.mark.parametrize("earlier", [0, 20])
def test_a_count_says_how_many_are_done_and_what_is_left(earlier, clock, capsys):
    """What an earlier, stopped run had done took no time now."""
    count = Counter("digits")
    count(earlier, earlier + 40)
    clock.now += 30
    count(earlier + 10, earlier + 40)
    clock.now += 1
    count(earlier + 11, earlier + 40)  # too soon
    clock.now += 1
    count(earlier + 40, earlier + 40)
    assert capsys.readouterr().err.splitlines() == [
        f"digits: {earlier}/{earlier + 40}",
        f"digits: {earlier + 10}/{earlier + 40}  1 min 30 s left",
        f"digits: {earlier + 40}/{earlier + 40}  0 s left",
    ]


def test_a_count_of_nothing_done_can_be_told(clock, capsys):
    count = Counter("digits")
    clock.now += EVERY
    count(0, 3)
    assert capsys.readouterr().err.startswith("digits: 0/3")


@pytest.mark.parametrize("kind", ["training", "count"])
def test_a_terminal_gets_one_line_that_renews_itself(monkeypatch, kind):
    monkeypatch.setattr(sys, "stderr", Terminal())
    if kind == "training":
        shown = Progress("work", 0, 3)
        for epoch in (1, 2, 3):
            shown.epoch(epoch, 1.0, 0.5)
    else:
        count = Counter("work")
        for done in (1, 2, 3):
            count(done, 3)
    text = sys.stderr.getvalue()
    assert text.count("\r\x1b[Kwork: ") == 3  # every time, however soon: back to the line's start, clear it
    assert text.count("\n") == 1 and text.endswith("left\n")


def test_nothing_goes_to_standard_output(clock, capsys):
    Progress("a", 0, 1).epoch(1, 1.0, 1.0)
    Counter("b")(1, 1)
    assert capsys.readouterr().out == ""
