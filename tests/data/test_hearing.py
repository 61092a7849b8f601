"""Folders of recordings: the files that come of them, and what happens when hearing is stopped."""

import hashlib
import logging
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from spsn.data import inner_ear
from spsn.data.audio import trim
from spsn.data.hearing import BATCH_CODE, CODE, MADE_BY, hear_collection, hear_folder
from spsn.data.labels import read_labels
from spsn.data.pieces import Kept
from spsn.data.shd import read_split
from spsn.errors import DataError, SpsnError

soundfile = pytest.importorskip("soundfile")
RATE = 8000  # the ear's tables for it are soon made
EAR = Path(inner_ear.__file__).parent
PATTERN = "{label}_{speaker}_{take}.wav"


def word(seed: int, seconds: float = 0.06, rate: int = RATE) -> np.ndarray:
    """A short sound of its own, in silence."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    tones = sum(np.sin(2 * np.pi * f * t) for f in rng.uniform(200, 2000, 3))
    silence = np.zeros(rate // 100)
    return np.concatenate([silence, np.round(5000 * tones * np.hanning(len(t))), silence]).astype(np.int16)


def collect(folder: Path, words: int) -> Path:
    """A folder of `words` words, two labels, said by ann and bob in turn."""
    folder.mkdir()
    for i in range(words):
        soundfile.write(folder / f"{i % 2}_{('ann', 'bob')[i // 2 % 2]}_{i}.wav", word(i), RATE)
    return folder


def files(folder: Path) -> list[Path]:
    return [folder / "words_train.h5", folder / "words_test.h5"]


def hear(folder, out, **how):
    return hear_folder(folder, PATTERN, files(out), test_speakers=["bob"], **how)


def contents(out: Path) -> list[bytes]:
    return [path.read_bytes() for path in files(out)]


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return collect(tmp_path_factory.mktemp("sounds") / "words", 20)


@pytest.fixture(scope="module")
def heard(sounds, tmp_path_factory):
    out = tmp_path_factory.mktemp("heard")
    return out, hear(sounds, out)


# --- the files -------------------------------------------------------------------------------------


def test_files_hold_what_the_ear_hears(sounds, heard):
    out, _ = heard
    assert sorted(path.name for path in out.iterdir()) == ["words_test.h5", "words_train.h5"]
    for path, speaker in zip(files(out), ("ann", "bob"), strict=True):
        spikes = read_split(path)
        assert spikes.class_names == ("0", "1") and spikes.made_by == MADE_BY
        assert spikes.meta["name"].tolist() == ["ann", "bob"]
        names = sorted(
            (p.stem for p in sounds.glob(f"*_{speaker}_*")),
            key=lambda n: hashlib.sha256(n.encode()).hexdigest(),
        )
        assert len(spikes) == len(names) == 10
        for i, name in enumerate(names):
            sample = spikes.sample(i)
            times, units = inner_ear.hear(trim(word(int(name.split("_")[2]))), RATE, seed=0, name=name)
            assert len(times) > 30
            np.testing.assert_array_equal(sample.times, times.astype(np.float16))
            np.testing.assert_array_equal(sample.units, units)
            assert (sample.label, sample.speaker) == (int(name[0]), ("ann", "bob").index(speaker))


def test_facts_say_how_the_files_were_made(sounds, heard):
    facts = heard[1]
    expected = {"made by": MADE_BY, "seed": 0, "trimmed": True, "device": "cpu", "recordings": 20}
    assert facts.items() >= expected.items() and facts["numpy"] == np.__version__
    lines = sorted(f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.stem}\n" for p in sounds.iterdir())
    assert facts["sha256 of all"] == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_workers_do_not_change_the_bytes(sounds, heard, tmp_path):
    progress = []
    hear(sounds, tmp_path, workers=2, progress=lambda *seen: progress.append(seen))
    assert contents(tmp_path) == contents(heard[0])
    assert len(progress) == 4 and progress[0] == (0, 20) and progress[-1] == (20, 20)


def test_seed_and_trimming_change_the_spikes(sounds, heard, tmp_path):
    for i, how in enumerate((dict(seed=1), dict(trim=False))):
        out = tmp_path / str(i)
        facts = hear(sounds, out, **how)
        assert (facts["seed"], facts["trimmed"]) == (how.get("seed", 0), how.get("trim", True))
        for theirs, ours in zip(contents(heard[0]), contents(out), strict=True):
            assert theirs != ours


def test_rates_may_differ_within_a_folder(tmp_path):
    rates = (8000, 16_000, 22_050, 48_000)
    for i, rate in enumerate(rates):
        soundfile.write(tmp_path / f"{i % 2}_{'ab'[i % 2]}_{rate}.flac", word(0, rate=rate), rate)
    hear_folder(tmp_path, PATTERN.replace("wav", "flac"), files(tmp_path), test_speakers=["b"])
    counts = [len(s.times) for path in files(tmp_path) for s in map(read_split(path).sample, range(2))]
    assert max(counts) < 1.2 * min(counts)  # one sound, whatever its rate


def test_a_collection_need_not_come_from_a_folder(sounds, heard, tmp_path):
    collection = read_labels(sounds, PATTERN, test_speakers=["bob"])
    out = dict(zip(("train", "test"), files(tmp_path), strict=True))
    hear_collection(collection, out, seed=0, trim=True)
    assert contents(tmp_path) == contents(heard[0])


# --- what cannot be heard --------------------------------------------------------------------------


def test_all_bad_recordings_are_told_before_any_is_heard(tmp_path):
    folder = collect(tmp_path / "words", 16)
    bad = sorted(folder.iterdir())[:13]
    for path in bad:
        path.write_bytes(b"no sound")
    progress = []
    with pytest.raises(DataError) as caught:
        hear(folder, tmp_path, progress=lambda *seen: progress.append(seen))
    message = str(caught.value)
    assert message.startswith("13 of 16 recordings cannot be heard") and "and 3 more" in message
    assert sum(str(path) in message for path in bad) == 10
    assert not progress and not any(path.exists() for path in files(tmp_path))


def test_devices_and_files_that_cannot_be_are_refused(sounds, tmp_path):
    with pytest.raises(SpsnError, match="'tpu' must be one of cpu, cuda"):
        hear(sounds, tmp_path, device="tpu")
    with pytest.raises(SpsnError, match="Name two files"):
        hear_folder(sounds, PATTERN, [tmp_path / "x.h5", tmp_path / "x.h5"], test_speakers=["bob"])
    if not torch.cuda.is_available():
        with pytest.raises(SpsnError, match="no CUDA device"):
            hear(sounds, tmp_path, device="cuda")
    with pytest.raises(SpsnError, match="workers is 0"):
        hear(sounds, tmp_path, workers=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_file_that_cannot_be_written_is_told_before_any_recording_is_heard(sounds, tmp_path, split):
    target = tmp_path / f"words_{split}.h5"
    target.mkdir()
    progress = []
    with pytest.raises(SpsnError, match=rf"words_{split}\.h5: is a folder"):
        hear(sounds, tmp_path, progress=lambda *seen: progress.append(seen))
    assert not progress and list(tmp_path.iterdir()) == [target]


def test_a_failure_at_the_end_leaves_the_old_pair(sounds, heard, tmp_path):
    hear(sounds, tmp_path)

    def occupy(done, total):
        if done == total:
            files(tmp_path)[1].unlink()
            files(tmp_path)[1].mkdir()

    with pytest.raises(SpsnError, match=r"words_test\.h5: cannot be written"):
        hear(sounds, tmp_path, seed=1, progress=occupy)
    assert files(tmp_path)[0].read_bytes() == contents(heard[0])[0]


# --- other devices ---------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["torch", "cuda"])
def test_torch_hears_the_same(device, tmp_path):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    folder = collect(tmp_path / "words", 4)
    facts = hear(folder, tmp_path / "torch", device=device)
    assert facts["device"] == device and facts["torch"] == torch.__version__
    hear(folder, tmp_path / "numba")
    for theirs, ours in zip(files(tmp_path / "numba"), files(tmp_path / "torch"), strict=True):
        theirs, ours = read_split(theirs), read_split(ours)
        assert theirs.labels.tolist() == ours.labels.tolist()
        sets = [set(zip(s.times.tolist(), s.units.tolist(), strict=True)) for s in (theirs, ours)]
        assert len(sets[0] & sets[1]) > 0.99 * len(sets[0]) and len(sets[0]) > 100


def test_every_module_of_the_ear_is_part_of_what_was_heard():
    ears = {f"data/{path.name}" for name in ("inner_ear", "membrane") for path in EAR.glob(f"{name}*.py")}
    assert ears == {*CODE, *BATCH_CODE} - {"data/audio.py"}


# --- interruptions ---------------------------------------------------------------------------------


def stop_at_the_end(done, total):
    if done == total:  # heard and kept, but not written
        raise InterruptedError


def test_only_a_changed_recording_is_heard_anew(sounds, tmp_path):
    folder = collect(tmp_path / "words", 10)
    with pytest.raises(InterruptedError):
        hear(folder, tmp_path, progress=stop_at_the_end)
    assert not any(path.exists() for path in files(tmp_path))
    soundfile.write(folder / "0_ann_0.wav", word(99), RATE)
    progress = []
    hear(folder, tmp_path, progress=lambda *seen: progress.append(seen))
    assert progress == [(9, 10), (10, 10)]
    hear(folder, tmp_path / "fresh")
    assert contents(tmp_path) == contents(tmp_path / "fresh")
    assert not list(tmp_path.glob(".*"))


def test_a_second_run_waits_for_the_first(sounds, heard, tmp_path, caplog):
    progress, kept = [], Kept(tmp_path / ".words_train.hearing")
    second = threading.Thread(
        target=hear, args=(sounds, tmp_path), kwargs={"progress": lambda *seen: progress.append(seen)}
    )
    with caplog.at_level(logging.WARNING), kept.alone():
        second.start()
        while "another process" not in caplog.text:
            assert second.is_alive()
            time.sleep(0.01)
        assert not progress
        kept.remove()
    second.join()
    assert progress[-1] == (20, 20) and contents(tmp_path) == contents(heard[0])
    assert sorted(tmp_path.iterdir()) == sorted(files(tmp_path))


HEAR = """
import sys
from spsn.data.hearing import hear_folder
if __name__ == "__main__":
    folder, *out = sys.argv[1:]
    hear_folder(folder, "{label}_{speaker}_{take}.wav", out, test_speakers=["bob"], workers=2)
"""


def children_of(pid: int) -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.add(int(path.parent.name))
        except (OSError, ValueError):
            continue
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_killed_run_leaves_nothing_running_and_is_gone_on_with(tmp_path):
    folder = collect(tmp_path / "words", 64)
    (tmp_path / "hear.py").write_text(HEAR)
    source = Path(sys.modules[hear_folder.__module__].__file__).parents[2]
    command = [sys.executable, tmp_path / "hear.py", folder, *files(tmp_path)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(source)})
    work = tmp_path / ".words_train.hearing"
    while not list(work.glob("[!.]*.npz")):
        assert process.poll() is None
        time.sleep(0.005)
    children = children_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(children) >= 2 and not any(path.exists() for path in files(tmp_path))
    deadline = time.monotonic() + 30
    while any(map(alive, children)):
        assert time.monotonic() < deadline, "a worker outlives its parent"
        time.sleep(0.05)

    progress = []
    hear(folder, tmp_path, progress=lambda *seen: progress.append(seen))
    assert progress[0][0] >= 8 and progress[0][0] % 8 == 0 and progress[0][1] == 64
    assert len(progress) == 1 + (64 - progress[0][0]) // 8 and progress[-1] == (64, 64)
    assert not work.exists()
    hear(folder, tmp_path / "fresh")
    assert contents(tmp_path) == contents(tmp_path / "fresh")


# --- other people's recordings, heard by another program -------------------------------------------


@pytest.mark.skipif("SPSN_FSDD" not in os.environ, reason="SPSN_FSDD names no folder with the FSDD spikes")
def test_real_digits_match_the_published_spikes_in_law(tmp_path):
    source, per_split = Path(os.environ["SPSN_FSDD"]), 12
    with tarfile.open(source / "free-spoken-digit-dataset-1.0.10.tar.gz") as archive:
        members = {Path(m.name).name: m for m in archive if m.name.endswith(".wav")}
        table, rows = ["file,label,speaker,split"], {}
        for split in ("train", "test"):
            names = sorted(
                (name for name in members if fsdd_split(name) == split),
                key=lambda name: hashlib.sha256(name.removesuffix(".wav").encode()).hexdigest(),
            )
            rows[split] = len(names)
            for name in names[:per_split]:
                (tmp_path / name).write_bytes(archive.extractfile(members[name]).read())
                table.append(f"{name},{name[0]},{name.split('_')[1]},{split}")
    (tmp_path / "labels.csv").write_text("\n".join(table))
    hear_folder(tmp_path, "labels.csv", files(tmp_path), trim=False)
    counts, histograms = [], []
    for path, split in zip(files(tmp_path), rows, strict=True):
        ours, theirs = read_split(path), read_split(source / f"fsdd_{split}.h5")
        assert len(theirs) == rows[split] and ours.labels.tolist() == theirs.labels[:per_split].tolist()
        pairs = [(ours.sample(i), theirs.sample(i)) for i in range(per_split)]
        counts += [len(a.times) / len(b.times) for a, b in pairs]
        histograms += [(of_channels(a), of_channels(b), of_times(a), of_times(b)) for a, b in pairs]
    assert len(counts) == 24 and abs(np.mean(counts) - 1) < 0.02
    channels, their_channels, times, their_times = (
        np.sum(each, axis=0) for each in zip(*histograms, strict=True)
    )
    assert np.corrcoef(channels, their_channels)[0, 1] > 0.99
    assert np.corrcoef(times, their_times)[0, 1] > 0.99


def fsdd_split(name: str) -> str:
    _, speaker, take = name.removesuffix(".wav").split("_")
    return "test" if speaker == "theo" or int(take) < 5 else "train"


def of_channels(sample):
    return np.bincount(sample.units, minlength=700)


def of_times(sample):
    return np.histogram(sample.times.astype(float), bins=120, range=(0, 1.2))[0]
