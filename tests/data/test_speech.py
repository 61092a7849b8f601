"""The synthetic digits: who says what, how it sounds, and the files that come of it."""

import hashlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spsn.data import espeak
from spsn.data.audio import trim
from spsn.data.hearing import hear_folder
from spsn.data.pieces import Kept
from spsn.data.shd import read_split
from spsn.data.speech import MADE_BY, hear_utterances, make_digits, speak
from spsn.data.utterances import CLASS_NAMES, FULL, HELD_OUT, RATES, SPEAKERS, plan
from spsn.errors import SettingsError, SpsnError


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    pytest.importorskip("espeakng_loader")
    progress = []
    folder = tmp_path_factory.mktemp("digits")
    paths = make_digits(24, 20, 3, folder, workers=1, progress=lambda *seen: progress.append(seen))
    return paths, progress


# --- the plan --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("train", "test"), [(20, 20), (333, 111), (FULL["train"], FULL["test"])])
def test_plan_is_balanced_and_keeps_two_speakers_for_the_test(train, test):
    splits = dict(zip(("train", "test"), plan(train, test, seed=0), strict=True))
    assert {name: len(split) for name, split in splits.items()} == {"train": train, "test": test}
    for name, split in splits.items():
        assert {u.split for u in split} == {name}
        labels = Counter(u.label for u in split)
        assert len(labels) == 20 and max(labels.values()) - min(labels.values()) <= 1
        assert all(RATES[0] <= u.rate <= RATES[1] and 0 <= u.pitch <= 99 for u in split)
    seen = Counter(u.speaker for u in splits["train"])
    assert set(seen) == set(range(12)) - set(HELD_OUT) and max(seen.values()) - min(seen.values()) <= 1
    held_out = sum(u.speaker in HELD_OUT for u in splits["test"])
    assert held_out == round(0.8 * test)
    names = [u.name for split in splits.values() for u in split]
    assert len(set(names)) == len(names)


def test_every_speaker_says_every_word_equally_often():
    train, test = plan(400, 100, seed=0)
    assert set(Counter((u.label, u.speaker) for u in train).values()) == {2}
    assert set(Counter((u.label, u.speaker) for u in test if u.speaker in HELD_OUT).values()) == {2}


def test_an_utterance_is_a_function_of_seed_and_name():
    short, long = plan(40, 20, seed=1)[0], plan(60, 20, seed=1)[0]
    assert set(short) < set(long)
    assert plan(40, 20, seed=1)[0] == short
    other = {u.name: u for u in plan(40, 20, seed=2)[0]}
    assert {u.name for u in short} == set(other)
    assert sum(other[u.name] == u for u in short) == 0
    assert [u.name for u in short] != [u.name for u in plan(40, 20, seed=2)[0]]  # files differ in order, too


def test_files_are_shuffled():
    labels = [u.label for u in plan(400, 100, seed=0)[0]]
    assert len(set(labels[:20])) < 20 and labels != sorted(labels)
    assert abs(np.corrcoef(labels, np.arange(400))[0, 1]) < 0.2


def test_too_few_samples_are_refused():
    with pytest.raises(SettingsError, match="19 test samples are too few for 20 classes"):
        plan(100, 19, seed=0)


# --- the voices ------------------------------------------------------------------------------------


def test_all_words_are_pronounced_and_distinct():
    pytest.importorskip("espeakng_loader")
    words = {u.label: u for u in plan(200, 20, seed=0)[0] if u.speaker == 0}
    spoken = {label: said.phonemes for label, said in zip(words, speak(list(words.values())), strict=True)}
    assert len(spoken) == 20 and all(spoken.values()) and len(set(spoken.values())) == 20
    assert "y" in spoken[CLASS_NAMES.index("fuenf")].lower()  # the umlaut arrived
    assert spoken[CLASS_NAMES.index("nine")] == "n'aIn"


def test_all_speakers_sound_different():
    pytest.importorskip("espeakng_loader")
    train, test = plan(200, 100, seed=0)
    by_speaker = {u.speaker: u for u in train + test if u.text == "seven"}
    assert len(by_speaker) == len(SPEAKERS)
    plain = [replace(u, rate=120, pitch=50, noise=1) for u in by_speaker.values()]
    assert len({said.wave.tobytes() for said in speak(plain)}) == len(SPEAKERS)


def test_an_utterance_does_not_depend_on_those_before_it():
    pytest.importorskip("espeakng_loader")
    utterances = plan(40, 20, seed=0)[0][:12]
    forwards = [said.wave.tobytes() for said in speak(utterances)]
    backwards = [said.wave.tobytes() for said in speak(utterances[::-1])]
    assert forwards == backwards[::-1]
    assert speak(utterances[5:6])[0].wave.tobytes() == forwards[5]


def test_faster_is_shorter():
    pytest.importorskip("espeakng_loader")
    word = plan(20, 20, seed=0)[0][0]
    slow, fast = speak([replace(word, rate=90), replace(word, rate=140)])
    assert len(trim(fast.wave)) < 0.8 * len(trim(slow.wave))


def test_a_long_path_to_the_voices_does_no_harm(tmp_path):
    loader = pytest.importorskip("espeakng_loader")
    folder = tmp_path / ("long" * 25) / ("path" * 25)
    folder.mkdir(parents=True)
    (folder / "espeakng_loader").symlink_to(Path(loader.__file__).parent)
    source = Path(sys.modules[speak.__module__].__file__).parents[2]
    program = (
        "from spsn.data.speech import speak, _installed; from spsn.data.utterances import plan;"
        "print(len(str(_installed()[1])), len(speak(plan(20, 20, seed=0)[0][:1])[0].wave))"
    )
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{source}"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    length, samples = map(int, done.stdout.split())
    assert length > 200 and samples == len(speak(plan(20, 20, seed=0)[0][:1])[0].wave)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(SpsnError, match=r"pip install 'spsn\[speech\]'"):
        speak(plan(20, 20, seed=0)[0][:1])


def test_an_unknown_voice_is_named():
    pytest.importorskip("espeakng_loader")
    word = plan(20, 20, seed=0)[0][0]
    with pytest.raises(SpsnError, match="no voice variant 'nosuch'"):
        speak([replace(word, voice="en+nosuch")])
    with pytest.raises(SpsnError, match="no voice 'xx'"):
        speak([replace(word, voice="xx")])


# --- the files -------------------------------------------------------------------------------------


def test_files_hold_the_plan_in_shd_layout(digits):
    (train_path, test_path), progress = digits
    assert train_path.name == "synthetic_digits_train.h5" and test_path.name == "synthetic_digits_test.h5"
    assert sorted(p.name for p in train_path.parent.iterdir()) == [test_path.name, train_path.name]
    assert progress[-1] == (44, 44) and [done for done, _ in progress] == sorted(
        {done for done, _ in progress}
    )
    for path, utterances in zip((train_path, test_path), plan(24, 20, seed=3), strict=True):
        spikes = read_split(path)
        assert spikes.class_names == CLASS_NAMES and spikes.made_by == MADE_BY
        assert spikes.labels.tolist() == [u.label for u in utterances]
        assert spikes.speakers.tolist() == [u.speaker for u in utterances]
        assert spikes.meta["gender"].tolist() == [speaker.gender for speaker in SPEAKERS]


def test_a_place_that_cannot_be_written_is_told_before_anything_is_heard(tmp_path):
    (tmp_path / "synthetic_digits_test.h5").mkdir()
    with pytest.raises(SpsnError, match=r"synthetic_digits_test\.h5: is a folder"):
        make_digits(20, 20, 0, tmp_path, workers=1)
    (tmp_path / "file").touch()
    with pytest.raises(SpsnError, match=r"file/synthetic_digits_train\.h5: cannot be written"):
        make_digits(20, 20, 0, tmp_path / "file", workers=1)
    with pytest.raises(SpsnError, match="workers is 0"):
        make_digits(20, 20, 0, tmp_path / "free", workers=0)
    assert not list((tmp_path / "free").iterdir())


def test_a_second_run_waits_for_the_first(tmp_path, caplog):
    progress, caught = [], []

    def second():
        with pytest.raises(InterruptedError) as error:
            make_digits(20, 20, 0, tmp_path, 1, progress=stop)
        caught.append(error)

    def stop(*seen):
        progress.append(seen)
        raise InterruptedError

    with caplog.at_level(logging.WARNING), Kept(tmp_path / ".synthetic_digits_train.hearing").alone():
        waiting = threading.Thread(target=second)
        waiting.start()
        while "another process" not in caplog.text:
            assert waiting.is_alive()
            time.sleep(0.01)
        assert not progress
    waiting.join()
    assert progress == [(0, 40)] and len(caught) == 1 and not list(tmp_path.iterdir())


def test_words_have_spikes_as_many_and_as_long_as_speech_has(digits):
    for path in digits[0]:
        spikes = read_split(path)
        counts = np.diff(spikes.offsets)
        assert counts.min() > 1500 and counts.max() < 20_000 and 5000 < counts.mean() < 10_000
        for sample in map(spikes.sample, range(len(spikes))):
            assert 0.25 < sample.times[-1] < 1.4 and (np.diff(sample.times) >= 0).all()
            assert len(np.unique(sample.units)) > 200


def test_spikes_do_not_depend_on_company_or_number_of_workers(digits):
    train, _ = plan(24, 20, seed=3)
    stored = read_split(digits[0][0])
    short = [i for i, said in enumerate(speak(train)) if len(trim(said.wave)) < 0.6 * espeak.SAMPLE_RATE][
        9::-1
    ]
    progress = []
    chosen = [train[i] for i in short]
    rows = hear_utterances(chosen, 3, workers=2, progress=lambda *seen: progress.append(seen))
    assert len(rows) == 10 and progress[0] == (0, 10) and progress[2:] == [(10, 10)]
    for i, (times, units) in zip(short, rows, strict=True):
        np.testing.assert_array_equal(times, stored.sample(i).times)
        np.testing.assert_array_equal(units, stored.sample(i).units)


def test_same_word_said_twice_differs(digits):
    spikes = read_split(digits[0][0])
    label = Counter(spikes.labels.tolist()).most_common(1)[0][0]
    first, second = (spikes.sample(i) for i in np.nonzero(spikes.labels == label)[0])
    assert not np.array_equal(first.units, second.units)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_recordings_of_the_words_give_the_same_spikes(digits, suffix, tmp_path):
    soundfile = pytest.importorskip("soundfile")
    stored, chosen = {}, []
    for path, utterances in zip(digits[0], plan(24, 20, seed=3), strict=True):
        waves = [said.wave for said in speak(utterances)]
        spikes = read_split(path)
        stored |= {u.name: spikes.sample(i) for i, u in enumerate(utterances)}
        shortest = sorted(zip(map(len, map(trim, waves)), range(len(waves)), strict=True))[:4]
        chosen += [(utterances[i], waves[i]) for _, i in shortest]
    for utterance, wave in chosen:
        soundfile.write(tmp_path / f"{utterance.name}.{suffix}", wave, espeak.SAMPLE_RATE, subtype="PCM_16")

    out = [tmp_path / "out" / f"words_{split}.h5" for split in ("train", "test")]
    pattern = f"{{split}}_{{label}}_{{speaker}}_{{take}}.{suffix}"
    facts = hear_folder(tmp_path, pattern, out, seed=3, classes=CLASS_NAMES)
    assert facts["recordings"] == 8
    heard = [sample for path in out for sample in samples_of(read_split(path))]
    names = [u.name for split in ("train", "test") for u in in_file_order(chosen, split)]
    for name, sample in zip(names, heard, strict=True):
        assert sample.label == stored[name].label
        np.testing.assert_array_equal(sample.times, stored[name].times)
        np.testing.assert_array_equal(sample.units, stored[name].units)


def samples_of(spikes):
    return [spikes.sample(i) for i in range(len(spikes))]


def in_file_order(chosen, split):
    utterances = [u for u, _ in chosen if u.split == split]
    return sorted(utterances, key=lambda u: hashlib.sha256(u.name.encode()).hexdigest())
