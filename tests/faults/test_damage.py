"""Files that are no longer what was written: cut short, with flipped bits, foreign, or from another time."""

import os
import shutil
import stat
from pathlib import Path

import pytest
from disturbances import FOLDER, SEEDS, compiled_code, cut, flip

from spsn import compile_cache
from spsn.checkpoints import CheckpointStore, load_weights
from spsn.cli import main
from spsn.errors import RecordError
from spsn.records import read_record

RUNS = Path("runs/accuracy/spsn-sb/augmented")


@pytest.fixture
def finished(place, monkeypatch):
    """A training that came to its end, and the record of each run as it was kept."""
    assert place.train(monkeypatch) == 0
    return place, {seed: read_record(place.results / RUNS / f"seed{seed}.json") for seed in SEEDS}


def checkpoint(place) -> Path:
    return place.results / FOLDER / "seed0.epoch3.safetensors"


def kept(place, settings) -> bool:
    """Whether the store holds the run whole."""
    return CheckpointStore(place.results).finished(settings)


def test_a_checkpoint_cut_short(interrupted, undisturbed, monkeypatch):
    """Promised: no part of a checkpoint serves. Seen: it was none; the run began anew, to the same bits."""
    settings = next(iter(undisturbed().values()))[0]
    assert CheckpointStore(interrupted.results).load(settings, 3)
    cut(checkpoint(interrupted), 21)
    assert CheckpointStore(interrupted.results).load(settings, 3) is None
    assert interrupted.train(monkeypatch) == 0 and interrupted.outcome() == undisturbed()


@pytest.mark.parametrize("seed", range(6))
def test_a_checkpoint_with_a_flipped_bit(interrupted, undisturbed, monkeypatch, seed):
    """Promised: a changed weight, moment or loss serves no run. Seen: wherever the bit lay it was none."""
    settings = next(iter(undisturbed().values()))[0]
    before = checkpoint(interrupted).read_bytes()
    tensors = 8 + int.from_bytes(before[:8], "little")
    flip(checkpoint(interrupted), seed, first=tensors if seed % 2 else 0)
    assert checkpoint(interrupted).read_bytes() != before
    assert CheckpointStore(interrupted.results).load(settings, 3) is None
    assert interrupted.train(monkeypatch) == 0 and interrupted.outcome() == undisturbed()


def test_a_changed_loss_in_a_checkpoints_header(interrupted, undisturbed, monkeypatch):
    """Promised: what a checkpoint says of the past is checked too. Seen: a digit of a loss was changed; it
    was none.
    """
    content = checkpoint(interrupted).read_bytes()
    at = content.index(b"train_loss") + len(rb"train_loss\": [") + 2
    changed = content[:at] + (b"1" if content[at : at + 1] != b"1" else b"2") + content[at + 1 :]
    checkpoint(interrupted).write_bytes(changed)
    assert changed != content and len(changed) == len(content)
    assert interrupted.train(monkeypatch) == 0 and interrupted.outcome() == undisturbed()


def test_a_finished_record_cut_short(finished, undisturbed, monkeypatch):
    """Promised: the run is trained again. Seen: that one alone, to the same bits."""
    place, records = finished
    cut(place.results / FOLDER / "seed0.done.json", 22)
    assert [kept(place, record.settings) for record in records.values()] == [False, True]
    assert place.train(monkeypatch) == 0 and place.outcome() == undisturbed()
    assert read_record(place.results / RUNS / "seed1.json") == records[1]


def test_a_finished_record_with_another_number(finished, undisturbed, monkeypatch):
    """Promised: no number that was not measured is put among the results. Seen: one bit made a 2 of a loss
    a 3, in JSON as good as before; the run was trained again.
    """
    place, records = finished
    path = place.results / FOLDER / "seed0.done.json"
    text = path.read_text()
    begin = text.index('"train_loss": [')
    at = next(i for i in range(begin, len(text)) if text[i] == "2")
    path.write_text(text[:at] + "3" + text[at + 1 :])
    assert read_record(path).result != records[0].result
    assert not kept(place, records[0].settings)
    assert place.train(monkeypatch) == 0 and place.outcome() == undisturbed()


def test_kept_weights_with_a_flipped_bit(finished, undisturbed, monkeypatch):
    """Promised: they serve nobody. Seen: the run was trained again, to the same bits."""
    place, records = finished
    flip(place.results / FOLDER / "seed0.done.safetensors", 23, first=5000)
    assert not kept(place, records[0].settings)
    assert place.train(monkeypatch) == 0 and place.outcome() == undisturbed()


def test_emitted_weights_with_a_flipped_bit(finished, undisturbed, monkeypatch):
    """Promised: who reads them is told. Seen: refused with what to do, and doing it gave them back."""
    place, _ = finished
    weights = place.results / RUNS / "seed0.safetensors"
    whole = weights.read_bytes()
    flip(weights, 24, first=5000)
    with pytest.raises(RecordError, match="no whole weights file; train the run again"):
        load_weights(weights)
    assert place.train(monkeypatch) == 0 and weights.read_bytes() == whole
    assert place.outcome() == undisturbed()


def test_an_emitted_record_cut_short(finished, undisturbed, monkeypatch, capsys, tmp_path):
    """Promised: no table is made of it, and it comes back. Seen: `collect` named it; the next training gave
    back the same bytes, execution times included.
    """
    place, _ = finished
    record = place.results / RUNS / "seed0.json"
    whole = record.read_bytes()
    cut(record, 25)
    assert main(["collect", str(record), "--out", str(tmp_path / "runs.csv")]) == 1
    assert "seed0.json: cannot be read as a run record" in capsys.readouterr().err
    assert not (tmp_path / "runs.csv").exists()
    assert place.train(monkeypatch) == 0 and record.read_bytes() == whole
    assert place.outcome() == undisturbed()


@pytest.mark.parametrize("harm", [cut, flip])
def test_a_damaged_event_store(place, undisturbed, monkeypatch, capsys, harm):
    """Promised: no run learns from other spikes. Seen: cut short or with a flipped bit it was refused by
    name, before anything was trained; made again, the same bits.
    """
    store = place.folder / "train.safetensors"
    whole = store.read_bytes()
    harm(store, 26)
    assert store.read_bytes() != whole
    assert place.train(monkeypatch) == 1
    assert "train.safetensors: " in capsys.readouterr().err and not list(place.results.rglob("seed*"))
    store.write_bytes(whole)
    assert place.train(monkeypatch) == 0 and place.outcome() == undisturbed()


def test_settings_cut_short(place, undisturbed, monkeypatch, capsys):
    """Promised: half a configuration trains nothing. Seen: refused by name."""
    path = place.folder / "settings.json"
    whole = path.read_bytes()
    cut(path, 27)
    assert place.train(monkeypatch) == 1
    assert "settings.json" in capsys.readouterr().err and not place.results.exists()
    path.write_bytes(whole)
    assert place.train(monkeypatch) == 0 and place.outcome() == undisturbed()


def test_stale_and_foreign_files_beside(interrupted, undisturbed, monkeypatch):
    """Promised: only whole files under their own names count. Seen: an unfinished file was cleared away, a
    person's copy of a checkpoint was left alone and took no part, a dead trainer's lock held nobody up.
    """
    folder = interrupted.results / FOLDER
    copied = folder / "seed0.epoch5 (copy).safetensors"
    shutil.copy(checkpoint(interrupted), copied)
    (folder / ".seed0.epoch9.safetensors.k2j4.part").write_bytes(b"half")
    (folder / "seed0.lock").write_text("process 1 on elsewhere\n")
    assert interrupted.train(monkeypatch) == 0 and interrupted.outcome() == undisturbed()
    assert copied.exists() and not interrupted.leftovers()


def test_a_checkpoint_of_other_code(interrupted, undisturbed, monkeypatch):
    """Promised: a checkpoint serves only the sources that made it. Seen: it began anew, to the same bits."""
    settings = next(iter(undisturbed().values()))[0]
    with monkeypatch.context() as patch:
        patch.setattr("spsn.sources.digest", lambda names: "other code")
        assert CheckpointStore(interrupted.results).load(settings, 3) is None
        assert interrupted.train(monkeypatch) == 0
    assert interrupted.outcome() == undisturbed()


def test_a_damaged_compile_cache(place, undisturbed, tmp_path):
    """Promised: damaged machine code is not run. Seen: a flipped bit in the code of the optimizer's step
    and an index that was cut short were noticed; both were compiled anew, to the same bits.
    """
    undisturbed()
    folder = compiled_code(tmp_path / "cache")
    (code,) = folder.glob("_update-*.nbc")
    flip(code, 28, first=code.stat().st_size // 2)
    (index,) = folder.glob("_fill_words-*.nbi")
    cut(index, 28)
    status, messages = place.run(SPSN_CACHE_DIR=str(tmp_path / "cache"))
    assert status == 0 and messages.count("cannot be used") == 2, messages
    assert place.outcome() == undisturbed()


def test_no_home_and_no_cache_folder(place, undisturbed, tmp_path):
    """Promised: compiled code finds a place, or none is needed. Seen: with a home that cannot be, and no
    XDG folder, the temporary directory held it, for this person alone.
    """
    undisturbed()
    base = tmp_path / "tmp" / f"spsn-cache-{os.geteuid()}"
    folder = compiled_code(base)
    base.chmod(0o700)
    (folder / compile_cache.USED).unlink()
    (tmp_path / "obstacle").write_text("a file, below which no folder can be")
    places = {"HOME": str(tmp_path / "obstacle"), "XDG_CACHE_HOME": "", "NUMBA_CACHE_DIR": ""}
    status, messages = place.run(SPSN_CACHE_DIR="", TMPDIR=str(tmp_path / "tmp"), **places)
    assert status == 0 and "Traceback" not in messages, messages
    assert (folder / compile_cache.USED).exists() and stat.S_IMODE(base.stat().st_mode) == 0o700
    assert "no folder can be written" not in messages and "compiling" not in messages, messages
    assert place.outcome() == undisturbed()
