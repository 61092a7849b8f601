"""`spsn data inspect`: what a file holds, whether it is sound, whether it is SHD, and pictures of it."""

import gzip
import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from spsn.data import hdf5, shd
from spsn.data import inspect as inspecting
from spsn.data.events import EventStore
from spsn.data.identity import shd_identity
from spsn.data.inspect import examine, inspect, plot, render, spike_facts
from spsn.data.inspect_text import printable
from spsn.data.shd import SpikeFile, write_split
from spsn.data.statistics import median_sample, of_samples, summary, times
from spsn.dataset_settings import SHD_FILES
from spsn.errors import DataError, SettingsError, SpsnError

PNG, PDF = b"\x89PNG\r\n\x1a\n", b"%PDF-"


@pytest.fixture
def file(spikes, tmp_path):
    path = tmp_path / "words.h5"
    write_split(path, spikes, made_by="a test")
    return path


def test_a_sound_file_is_told(spikes, file):
    found = inspect(file)
    json.dumps(found, allow_nan=False)
    assert (found["kind"], found["sound"], found["problems"]) == ("spikes", True, [])
    assert (found["samples"], found["spikes"], found["made_by"]) == (24, len(spikes.times), "a test")
    assert found["bytes"] == file.stat().st_size
    assert found["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert [c["name"] for c in found["classes"]] == list(spikes.class_names)
    assert [c["samples"] for c in found["classes"]] == np.bincount(spikes.labels, minlength=20).tolist()
    assert sum(s["samples"] for s in found["speakers"]) == 24
    assert found["speakers"][3]["gender"] == "male" and found["speakers"][3]["age"] == 23
    assert found["silent_samples"] == sum(len(spikes.sample(i).times) == 0 for i in range(24))
    assert found["time"] == "float16 seconds" and found["meta"] == ["age", "body_height", "gender"]


def test_statistics_are_those_of_the_samples(spikes):
    found = spike_facts(spikes)
    samples = [spikes.sample(i) for i in range(len(spikes))]
    counts = [len(s.times) for s in samples]
    assert found["spikes_per_sample"]["mean"] == pytest.approx(np.mean(counts))
    assert found["spikes_per_sample"]["sd"] == pytest.approx(np.std(counts, ddof=1))
    assert (found["spikes_per_sample"]["min"], found["spikes_per_sample"]["max"]) == (
        min(counts),
        max(counts),
    )
    last = [float(max(s.times, default=0)) for s in samples]
    assert found["duration_s"]["mean"] == pytest.approx(np.mean(last))
    assert found["duration_s"]["max"] == pytest.approx(max(last))
    active = [len(set(s.units.tolist())) for s in samples]
    assert found["active_channels_per_sample"]["median"] == np.median(active)
    assert found["active_channels"] == len(set(spikes.units.tolist()))


@pytest.mark.parametrize("values", [[], [np.nan], [np.inf, np.nan]])
def test_a_summary_of_nothing_is_none(values):
    assert set(summary(np.array(values)).values()) == {None}


def test_the_samples_of_a_file_and_of_its_store_are_the_same(make_spikes):
    """More samples than are taken at a time, silent ones among them, first and last."""
    spikes = make_spikes(600, 7)
    rows = [spikes.sample(i) for i in range(600)]
    for i in (0, 1, 300, 599):
        rows[i] = rows[i]._replace(times=rows[i].times[:0], units=rows[i].units[:0])
    columns = ([getattr(row, name) for row in rows] for name in rows[0]._fields)
    spikes = SpikeFile.from_rows(*columns, spikes.class_names)
    store = EventStore.from_spikes(spikes, 1.0)
    own, stored = of_samples(spikes), of_samples(store)
    for found in (own, stored):
        np.testing.assert_array_equal(found.spikes, [len(row.times) for row in rows])
        np.testing.assert_array_equal(found.active_channels, [len(set(row.units.tolist())) for row in rows])
        np.testing.assert_array_equal(found.labels, [row.label for row in rows])
        np.testing.assert_array_equal(found.speakers, [row.speaker for row in rows])
        assert found.class_names == spikes.class_names
    np.testing.assert_array_equal(own.last_spike_s, [float(max(row.times, default=0)) for row in rows])
    assert stored.last_spike_s.tolist() == [max(times(store, i), default=0) for i in range(600)]
    assert np.abs(own.last_spike_s - stored.last_spike_s).max() <= 0.001


def test_a_store_tells_the_same_as_its_file(spikes, file, tmp_path):
    path = tmp_path / "words.safetensors"
    EventStore.from_spikes(spikes, 1.0).save(path)
    store, found = inspect(path), inspect(file)
    assert store["kind"] == "event store" and store["sound"] and store["time"] == "bins of 1 ms"
    for name in ("samples", "spikes", "classes", "silent_samples", "spikes_per_sample", "active_channels"):
        assert store[name] == found[name]
    step = 0.001  # the end of the bin against the time itself
    assert abs(store["duration_s"]["mean"] - found["duration_s"]["mean"]) <= step


def test_every_fault_is_listed_and_the_file_is_still_told(spikes, file):
    labels, units, times = spikes.labels.copy(), spikes.units.copy(), spikes.times.copy()
    bad = replace(spikes, labels=labels, units=units, times=times)
    labels[5], units[0], times[0], times[1], times[-1] = 20, 65535, np.nan, np.inf, 60
    spoil(file, bad)
    found = inspect(file)
    assert not found["sound"] and len(found["problems"]) == 4
    for said in ("label 20", "unit 65535", "time nan", "MAX_SAMPLE_SECONDS"):
        assert any(said in problem for problem in found["problems"])
    assert found["samples"] == 24
    json.dumps(found, allow_nan=False)
    assert "sound     no" in render(found) and "- label 20 of sample 5" in render(found)


def spoil(path, spikes):
    """Write what `write_split` would refuse: a sound file, spoilt afterwards."""
    import h5py

    with h5py.File(path, "a") as file:
        file["labels"][:] = spikes.labels
        for i in range(len(spikes)):
            file["spikes/times"][i], file["spikes/units"][i] = spikes.sample(i)[:2]


@pytest.mark.parametrize(
    ("name", "content", "kind", "said"),
    [
        ("a.h5", b"<html>", "spikes", "a web page"),
        ("a.h5", b"", "spikes", "not a whole HDF5 file"),
        ("a.safetensors", b"\x08" + bytes(7) + b"{}      ", "event store", "not a whole event store"),
        ("a.zip", b"PK\x03\x04" + bytes(50), "archive", "not an archive of SHD"),
        ("a.gz", gzip.compress(b"x", mtime=0), "archive", "not an archive of SHD"),
        ("a.wav", b"RIFF" + bytes(50), "recording", "not a sound that can be read"),
        ("a.txt", b"some text that is longer than that", "unknown", "no spikes"),
    ],
)
def test_what_is_not_sound(name, content, kind, said, tmp_path):
    (tmp_path / name).write_bytes(content)
    found = inspect(tmp_path / name)
    json.dumps(found, allow_nan=False)
    assert (found["kind"], found["sound"]) == (kind, False)
    assert said in found["problems"][0]
    assert found["problems"][0] in render(found)
    with pytest.raises(DataError, match="not drawn, since it is not sound"):
        plot(tmp_path / name, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_a_file_that_is_absent(tmp_path):
    with pytest.raises(DataError, match="none.h5: no such file"):
        inspect(tmp_path / "none.h5")


def test_shd_is_known_by_its_digest_alone(file, monkeypatch, spikes, make_spikes, tmp_path):
    assert inspect(file)["shd"] == {
        "is_shd": False,
        "says": "it is not SHD: its digest is not one that is published",
    }
    md5 = hashlib.md5(file.read_bytes()).hexdigest()
    monkeypatch.setitem(SHD_FILES, "shd_test.h5", md5)
    assert inspect(file)["shd"] == {"is_shd": True, "says": "it is SHD's shd_test.h5, to the byte (md5)"}
    packed = tmp_path / "shd_test.h5.gz"
    packed.write_bytes(gzip.compress(b"as if"))
    md5 = hashlib.md5(packed.read_bytes()).hexdigest()
    monkeypatch.setitem(inspecting.ARCHIVES, "shd_test.h5.gz", md5)
    found = inspect(packed)
    assert found["sound"] and found["shd"]["is_shd"] and "shd_test.h5.gz" in render(found)


def test_a_file_with_shd_numbers_is_not_called_shd(tmp_path):
    n = 2264
    same = SpikeFile.from_rows(
        [[0.5]] * n, [[1]] * n, np.arange(n) % 20, [0] * n, [str(k) for k in range(20)]
    )
    write_split(tmp_path / "a.h5", same)
    found = inspect(tmp_path / "a.h5")["shd"]
    assert found == {
        "is_shd": False,
        "says": "has SHD's numbers, but its digest is not one that is published",
    }
    write_split(tmp_path / "a.h5", same, made_by="a test")
    assert inspect(tmp_path / "a.h5")["shd"]["says"].startswith("it is not SHD")


@pytest.mark.parametrize(
    ("name", "samples", "classes", "made_by", "md5", "said"),
    [
        ("shd_test.h5", 2264, 20, None, SHD_FILES["shd_test.h5"], "published"),
        (None, 2264, 20, None, SHD_FILES["shd_test.h5"].upper(), "published"),
        ("shd_train.h5", 2264, 20, None, SHD_FILES["shd_test.h5"], "no"),
        ("shd_test.h5", 2264, 20, None, "0" * 32, "numbers"),
        (None, 8156, 20, None, None, "numbers"),
        ("shd_test.h5", 8156, 20, None, "0" * 32, "no"),
        (None, 2264, 20, "a test", "0" * 32, "no"),
        (None, 2264, 20, "", "0" * 32, "no"),
        (None, 2263, 20, None, "0" * 32, "no"),
        (None, None, None, None, "0" * 32, "no"),
    ],
)
def test_what_may_be_shd(name, samples, classes, made_by, md5, said):
    assert shd_identity(name, samples, classes, made_by, md5) == said


def test_another_name_is_none_of_shd():
    with pytest.raises(KeyError):
        shd_identity("words.h5", 1, 1, None, None)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_a_table_does_not_know_is_none(spikes, tmp_path, value):
    ages = np.arange(float(spikes.speakers.max()) + 1)
    ages[3] = value
    write_split(tmp_path / "a.h5", replace(spikes, meta={"age": ages}))
    found = inspect(tmp_path / "a.h5")
    json.dumps(found, allow_nan=False)
    told = {speaker["speaker"]: speaker["age"] for speaker in found["speakers"]}
    assert told.pop(3) is None and None not in told.values()


def test_what_is_odd_is_noted(spikes, tmp_path):
    odd = replace(spikes, class_names=("vier",) * 20, times=spikes.times.copy())
    row = slice(*odd.offsets[2:4])
    odd.times[row] = odd.times[row][::-1]
    write_split(tmp_path / "a.h5", odd)
    found = inspect(tmp_path / "a.h5")
    assert found["sound"] and found["notes"] == [
        "unsorted spike times in 1 samples; binning sorts them",
        "classes share a name; they are told apart by their labels",
    ]


def test_names_cannot_command_a_terminal(spikes, tmp_path):
    named = replace(spikes, class_names=("a\x1b[31m\nb", "‮x", "fünf") + spikes.class_names[3:])
    write_split(tmp_path / "a.h5", named, made_by="\x1b]0;title\x07")
    text = render(inspect(tmp_path / "a.h5"))
    assert all(c.isprintable() for line in text.split("\n") for c in line)
    assert r"a\x1b[31m\nb" in text and "fünf" in text
    assert printable("é\t") == "é\\t"


# Recordings. `soundfile` and scipy come with the extra `ear`.


@pytest.fixture
def word(tmp_path):
    """A tone of 440 Hz, 0.15 s, with 0.05 s of silence before it, on two sides."""
    soundfile = pytest.importorskip("soundfile")
    rate = 8000
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(0.15 * rate)) / rate)
    wave = np.concatenate([np.zeros(int(0.05 * rate)), tone])
    soundfile.write(tmp_path / "word.wav", np.stack([wave, wave], 1), rate)
    return tmp_path / "word.wav"


def test_a_recording_is_told(word):
    found = inspect(word)
    json.dumps(found, allow_nan=False)
    assert (found["kind"], found["sound"], found["heard"], found["problems"]) == ("recording", True, True, [])
    assert (found["sample_rate"], found["sides"], found["encoding"]) == (8000, 2, "WAV PCM_16")
    assert found["seconds"] == pytest.approx(0.2) and found["peak"] == pytest.approx(0.5, abs=1e-3)
    assert found["rms"] == pytest.approx(0.5 / np.sqrt(2) * np.sqrt(0.15 / 0.2), rel=0.01)
    assert found["silence_s"]["before"] == pytest.approx(0.05, abs=0.001) and found["clipped"] == 0
    text = render(found)
    assert "2 sides, mixed down" in text and "takes it" in text and "nothing above 4 kHz" in text


@pytest.mark.parametrize(
    ("wave", "reason", "key", "value"),
    [
        (np.zeros(800), "silent", "peak", 0.0),
        (np.ones(8000 * 7) * 0.5, "Cut it into words of at most 5 s", "seconds", 7.0),
        (np.empty(0), "holds no samples", "rms", None),
    ],
    ids=["silent", "too long", "empty"],
)
def test_a_recording_that_the_ear_does_not_take(wave, reason, key, value, tmp_path):
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.wav", wave, 8000)
    found = inspect(tmp_path / "a.wav")
    assert not found["sound"] and not found["heard"] and reason in found["problems"][0]
    assert found[key] == value
    assert "does not take it" in render(found)
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("size", [1e200, 1.5e308, 1e-200], ids=str)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")  # of two sides whose sum is infinite
def test_levels_beyond_all_measure(size, tmp_path):
    soundfile = pytest.importorskip("soundfile")
    wave = size * np.sin(np.arange(800) / 3)
    soundfile.write(tmp_path / "a.wav", np.stack([wave, wave], 1), 8000, subtype="DOUBLE")
    found = inspect(tmp_path / "a.wav")
    json.dumps(found, allow_nan=False)
    assert found["peak"] == pytest.approx(size, rel=0.01)
    assert found["rms"] == pytest.approx(size / np.sqrt(2), rel=0.01)
    assert found["silence_s"]["after"] < 0.001 and found["heard"] == found["sound"]


def test_clipping_is_noted(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    loud = np.clip(3 * np.sin(2 * np.pi * 300 * np.arange(2000) / 16000), -1, 1)
    soundfile.write(tmp_path / "a.flac", loud, 16000)
    found = inspect(tmp_path / "a.flac")
    assert found["clipped"] > 1000 and "recorded too loud?" in found["notes"][0] and found["sound"]
    assert found["encoding"] == "FLAC PCM_16"


# Pictures.


@pytest.fixture
def pictures():
    pytest.importorskip("matplotlib")
    from spsn.data import pictures

    return pictures


@pytest.fixture
def hearing(pictures):
    pytest.importorskip("scipy")
    pytest.importorskip("soundfile")
    from spsn.data import picture_of_hearing

    return picture_of_hearing


@pytest.mark.parametrize("ending", ["png", "pdf"])
def test_a_picture_of_spikes(ending, make_spikes, tmp_path, pictures):
    spikes = make_spikes(12, 3)
    names = ("$x^2", "a\x1b[31m", "\\end{")
    write_split(tmp_path / "words.h5", replace(spikes, class_names=names))
    for name in ("a", "b"):
        plot(tmp_path / "words.h5", tmp_path / f"{name}.{ending}")
    whole = (tmp_path / f"a.{ending}").read_bytes()
    assert whole.startswith(PNG if ending == "png" else PDF) and len(whole) > 5000
    assert whole == (tmp_path / f"b.{ending}").read_bytes()


def test_a_picture_of_a_store_and_of_silence(tmp_path, pictures):
    silent = SpikeFile.from_rows([[]] * 3, [[]] * 3, [0, 1, 1], [0] * 3, ["a", "b", "nobody"])
    EventStore.from_spikes(silent, 1.0).save(tmp_path / "a.safetensors")
    plot(tmp_path / "a.safetensors", tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)


def test_a_file_is_read_once_for_its_facts_and_its_picture(file, tmp_path, pictures, monkeypatch):
    opened, reading = [], hdf5.reading

    def counted(path):
        opened.append(path)
        return reading(path)

    monkeypatch.setattr(shd.hdf5, "reading", counted)
    found = examine(file)
    read = len(opened)
    assert found.facts == inspect(file) and len(found.content) == 24
    opened.clear()
    file.unlink()
    plot(found, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(PNG) and read and not opened


def test_the_sample_shown_has_the_median_of_spikes(spikes):
    each = of_samples(spikes)
    counts = each.spikes
    for among in (np.arange(24) < 5, np.arange(24) % 2 == 0, np.arange(24) == 7):
        chosen = median_sample(each, among)
        assert among[chosen]
        assert (counts[among] < counts[chosen]).sum() <= (among.sum() - 1) / 2
        assert (counts[among] > counts[chosen]).sum() <= among.sum() / 2


def test_no_raster_is_cut(make_spikes, pictures):
    spikes = make_spikes(24, 7)
    figure = pictures.spikes(spikes, "words")
    for k, axis in enumerate(figure.axes[:7]):
        i = median_sample(of_samples(spikes), spikes.labels == k)
        points = axis.collections[0].get_offsets()
        assert len(points) == len(spikes.sample(i).times)
        assert axis.get_xlim()[1] >= max(spikes.sample(i).times, default=0)


def test_only_png_and_pdf_are_drawn(file, tmp_path, pictures):
    with pytest.raises(SettingsError, match=r"a\.jpg: a picture is a \.png or \.pdf file"):
        plot(file, tmp_path / "a.jpg")


def test_an_archive_has_no_picture(tmp_path, monkeypatch):
    packed = tmp_path / "shd_test.h5.gz"
    packed.write_bytes(gzip.compress(b"as if"))
    md5 = hashlib.md5(packed.read_bytes()).hexdigest()
    monkeypatch.setitem(inspecting.ARCHIVES, packed.name, md5)
    with pytest.raises(SpsnError, match="there is no picture of archive"):
        plot(packed, tmp_path / "a.png")


def test_a_picture_of_a_recording_shows_the_tone_at_its_place(word, tmp_path, hearing):
    from spsn.data.audio import read_sound

    plot(word, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)
    figure = hearing.hearing(read_sound(word))
    level = figure.axes[1].images[0].get_array()
    assert level.shape[0] == 700 and level.max() == 0
    loudest = level.max(axis=1).argmax()
    assert hearing.best_frequencies()[loudest] == pytest.approx(440, rel=0.1)
    assert figure.axes[1].get_ylim() == (699.5, -0.5)  # high frequencies at the top
    limits = {axis.get_xlim() for axis in (figure.axes[0], figure.axes[1], figure.axes[2])}
    assert len(limits) == 1 and limits.pop() == pytest.approx((0, 0.15), abs=0.001)


def test_best_frequencies_are_those_of_the_model(hearing):
    """The places' best frequencies of the shallow-water model, from 22.5 kHz at the base to 100 Hz."""
    found = hearing.best_frequencies()
    assert (np.diff(found) < 0).all()
    for channel, hz in {
        0: 22_500,
        100: 9_500,
        200: 4_500,
        300: 2_100,
        400: 1_000,
        600: 220,
        699: 100,
    }.items():
        assert found[channel] == pytest.approx(hz, rel=0.03)


def test_levels_are_decibels_of_the_loudest(hearing):
    motion = np.repeat([[1.0], [0.1], [0.0]], 48, axis=1)
    motion[0, 24:] = 0.5
    level = hearing.envelope_db(motion, 24)
    np.testing.assert_allclose(level, [[0, 20 * np.log10(0.5)], [-20, -20], [-120, -120]])
