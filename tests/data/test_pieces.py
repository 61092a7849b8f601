"""Hearing in pieces: nothing is heard twice, nothing is lost, and nothing is left behind."""

import logging
import multiprocessing
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from spsn.data.pieces import Kept, check_targets, hear_all, key_of, write_together
from spsn.data.shd import read_split
from spsn.errors import SpsnError

NUMBERS = list(range(20))
KEYS = [key_of("number", n) for n in NUMBERS]


def count(numbers, *, log):
    """Number n has n spikes, all in channel n; the log has a line for each that was heard."""
    with open(log, "a") as file:
        file.writelines(f"{n}\n" for n in numbers)
    return [(np.arange(n, dtype=np.float16), np.full(n, n, np.uint16)) for n in numbers]


def stumble(numbers, *, log, at):
    if at in numbers:
        raise SpsnError(f"stumbled at {at}")
    return count(numbers, log=log)


def die(numbers):
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def heard_since(log: Path) -> list[int]:
    lines = [int(line) for line in log.read_text().split()] if log.exists() else []
    log.unlink(missing_ok=True)
    return sorted(lines)


def check(rows, numbers=NUMBERS):
    assert [len(times) for times, _ in rows] == list(numbers)
    for (times, units), n in zip(rows, numbers, strict=True):
        assert times.dtype == np.float16 and units.dtype == np.uint16
        assert times.tolist() == list(range(n)) and set(units.tolist()) <= {n}


@pytest.mark.parametrize("workers", [1, 3])
def test_rows_come_in_order_and_are_counted(log, workers):
    progress = []
    rows = hear_all(
        NUMBERS, KEYS, partial(count, log=log), workers=workers, progress=lambda *seen: progress.append(seen)
    )
    check(rows)
    assert heard_since(log) == NUMBERS
    assert len(progress) == 4 and progress == sorted(progress)
    assert progress[0] == (0, 20) and progress[-1] == (20, 20)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_heard_before_a_failure_is_not_heard_again(log, tmp_path, workers):
    kept = Kept(tmp_path / "kept")
    with pytest.raises(SpsnError, match="stumbled at 19"):
        hear_all(NUMBERS, KEYS, partial(stumble, log=log, at=19), workers=workers, kept=kept, size=4)
    before = heard_since(log)
    progress = []
    rows = hear_all(
        NUMBERS,
        KEYS,
        partial(count, log=log),
        kept=kept,
        size=4,
        progress=lambda *seen: progress.append(seen),
    )
    check(rows)
    after = heard_since(log)
    if workers == 1:
        assert before == NUMBERS[:16] and after == NUMBERS[16:]
        assert progress == [(16, 20), (20, 20)]
    assert set(before + after) == set(NUMBERS)
    check(hear_all(NUMBERS, KEYS, partial(count, log=log), kept=kept))
    assert heard_since(log) == []


def test_only_what_has_another_key_is_heard_anew(log, tmp_path):
    kept = Kept(tmp_path / "kept")
    hear = partial(count, log=log)
    hear_all(NUMBERS, KEYS, hear, kept=kept)
    heard_since(log)
    keys = [*KEYS]
    keys[7] = key_of("another number", 7)
    check(hear_all(NUMBERS, keys, hear, kept=kept))
    assert heard_since(log) == [7]
    check(
        hear_all([30, *NUMBERS[::-1]], [key_of("number", 30), *KEYS[::-1]], hear, kept=kept),
        [30, *NUMBERS[::-1]],
    )
    assert heard_since(log) == [30]


def test_a_damaged_piece_is_as_good_as_none(log, tmp_path):
    kept = Kept(tmp_path / "kept")
    hear = partial(count, log=log)
    hear_all(NUMBERS[:12], KEYS[:12], hear, kept=kept, size=4)
    pieces = sorted(kept.folder.iterdir())
    pieces[0].write_bytes(b"")
    pieces[1].write_bytes(pieces[1].read_bytes()[:300])
    heard_since(log)
    check(hear_all(NUMBERS[:12], KEYS[:12], hear, kept=kept, size=4), NUMBERS[:12])
    assert len(heard_since(log)) == 8


def test_silent_rows_are_kept(log, tmp_path):
    kept = Kept(tmp_path / "kept")
    hear_all([0, 0], ["a", "b"], partial(count, log=log), kept=kept)
    check(hear_all([0, 0], ["a", "b"], partial(count, log=log), kept=kept), [0, 0])
    assert heard_since(log) == [0, 0]


def test_removal_takes_what_is_ours_alone(log, tmp_path):
    kept = Kept(tmp_path / "kept")
    kept.remove()  # where there is none
    hear_all(NUMBERS, KEYS, partial(count, log=log), kept=kept)
    (kept.folder / ".0123.npz.abc.part").touch()  # what a killed run leaves
    kept.remove()
    assert not kept.folder.exists()
    hear_all(NUMBERS, KEYS, partial(count, log=log), kept=kept)
    (kept.folder / "letter.txt").touch()
    kept.remove()
    assert [path.name for path in kept.folder.iterdir()] == ["letter.txt"]


def hold(folder, entered, leave):
    with Kept(folder).alone():
        entered.set()
        leave.wait(60)
        Kept(folder).keep(["a"], count([1], log=Path(folder).with_name("log")))
        Kept(folder).remove()


def test_a_second_process_waits_for_the_folder(tmp_path, caplog):
    kept = Kept(tmp_path / "kept")
    context = multiprocessing.get_context("spawn")
    entered, leave = context.Event(), context.Event()
    other = context.Process(target=hold, args=(kept.folder, entered, leave))
    other.start()
    assert entered.wait(60)
    seen = []

    def second():
        with kept.alone():
            seen.append((tmp_path / "log").exists())
            kept.keep(["b"], count([2], log=tmp_path / "log"))
            seen.append(set(kept.rows({"a", "b"})))

    with caplog.at_level(logging.WARNING):
        waiting = threading.Thread(target=second)
        waiting.start()
        while "waiting" not in caplog.text:
            assert waiting.is_alive()
        assert not seen
        leave.set()
        waiting.join(60)
    other.join(60)
    assert other.exitcode == 0 and seen == [True, {"b"}]
    assert [path.suffix for path in kept.folder.iterdir()] == [".npz"]  # and no lock


def test_a_folder_without_pieces_does_not_stay(tmp_path):
    kept = Kept(tmp_path / "kept")
    with pytest.raises(SpsnError, match="stumbled"), kept.alone():
        assert kept.folder.exists()
        raise SpsnError("stumbled")
    assert not kept.folder.exists()
    kept.folder.touch()
    with pytest.raises(SpsnError, match=r"kept: cannot be written \(File exists\)"), kept.alone():
        pass


@pytest.mark.parametrize("workers", [0, -3])
def test_fewer_than_one_worker_is_refused(log, workers):
    with pytest.raises(SpsnError, match=f"workers is {workers}: there must be at least one"):
        hear_all(NUMBERS, KEYS, partial(count, log=log), workers=workers)
    assert heard_since(log) == []


def test_targets_that_cannot_be_written_are_told_before(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder.h5").mkdir()
    good = tmp_path / "deep" / "good.h5"
    check_targets([good, tmp_path / "file"])
    assert not list(good.parent.iterdir())
    for bad, said in (("folder.h5", "is a folder"), ("file/x.h5", r"cannot be written \(")):
        with pytest.raises(SpsnError, match=rf"{bad}: {said}"):
            check_targets([good, tmp_path / bad])
    with pytest.raises(SpsnError, match="/dev/null: is a pipe or a device"):
        check_targets([Path("/dev/null")])


def test_files_appear_together_or_not_at_all(tmp_path, make_spikes):
    first, second = tmp_path / "a.h5", tmp_path / "b.h5"
    write_together({first: make_spikes(seed=1), second: make_spikes(seed=2)}, made_by="words")
    before = first.read_bytes(), second.read_bytes()
    assert read_split(first).made_by == "words"
    second.unlink()
    second.mkdir()
    with pytest.raises(SpsnError, match=r"b\.h5: cannot be written"):
        write_together({first: make_spikes(seed=3), second: make_spikes(seed=2)}, made_by="words")
    assert first.read_bytes() == before[0] and sorted(tmp_path.iterdir()) == [first, second]
    second.rmdir()
    write_together({first: make_spikes(seed=1), second: make_spikes(seed=2)}, made_by="words")
    assert (first.read_bytes(), second.read_bytes()) == before


def test_a_killed_process_is_told_of():
    with pytest.raises(SpsnError, match="fewer workers"):
        hear_all(NUMBERS, KEYS, die, workers=2)


def test_workers_have_one_thread_each():
    import os

    before = dict(os.environ)
    hear_all(NUMBERS[:4], KEYS[:4], one_thread, workers=2, size=2)
    assert dict(os.environ) == before


def one_thread(numbers):
    import os

    assert os.environ["OMP_NUM_THREADS"] == os.environ["NUMBA_NUM_THREADS"] == "1"
    return [(np.empty(0, np.float16), np.empty(0, np.uint16)) for _ in numbers]


def test_keys_tell_everything_apart():
    parts = ["code", {"numpy": "2", "scipy": "1"}, 0, "name", True]
    assert key_of(*parts) == key_of(*parts) == key_of("code", {"scipy": "1", "numpy": "2"}, 0, "name", True)
    others = [[*parts[:i], "other", *parts[i + 1 :]] for i in range(len(parts))]
    assert len({key_of(*p) for p in [parts, *others]}) == len(parts) + 1
