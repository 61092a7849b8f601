"""The event store: the authors' binning, counts that add up, files that are what they say."""

import logging
from dataclasses import fields, replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from spsn.data.events import ARRAYS, EventStore, bin_times
from spsn.data.shd import CHANNELS, SpikeFile
from spsn.errors import DataError, SettingsError


def spike_file(*samples) -> SpikeFile:
    """Samples as lists of (seconds, channel)."""
    return SpikeFile.from_rows(
        times=[np.array([t for t, _ in sample], np.float16) for sample in samples],
        units=[np.array([c for _, c in sample], np.uint16) for sample in samples],
        labels=[i % 3 for i in range(len(samples))],
        speakers=range(len(samples)),
        class_names=["one", "two", "three"],
    )


@pytest.fixture
def store(spikes) -> EventStore:
    return EventStore.from_spikes(spikes, 1.0)


@pytest.mark.parametrize(
    ("ms", "expected"),
    [
        (0.0, 0),
        (0.01, 1),
        (1.0, 1),
        # float16 seconds and float16(0.001) = 0.00100040...: where float64 says 751 and 1370
        (750.49, 750),
        (1369.14, 1369),
    ],
)
def test_crafted_times(ms, expected):
    assert bin_times(np.array([ms / 1000], np.float16), 1.0).tolist() == [expected]


@pytest.mark.parametrize("step_ms", [0.5, 1.0, 2.0, 4.0, 10.0])
def test_bins_are_right_closed_float16_quotients(step_ms):
    """Against the rule spelled out with exact numbers: round t / float16(step) to float16, then round up."""
    times = np.arange(0, 2.0, 2**-12).astype(np.float16)
    step = np.float64(np.float16(step_ms / 1000))
    quotient = (times.astype(np.float64) / step).astype(np.float16).astype(np.float64)
    bins = bin_times(times, step_ms).astype(np.float64)
    assert ((bins >= quotient) & (bins < quotient + 1)).all()
    assert (np.flatnonzero(bins == 0) == np.flatnonzero(times == 0)).all()
    assert (np.diff(bins) >= 0).all()


def test_float64_would_give_other_bins():
    """The half precision matters: up to a second, some bins lie one before float64's, and none after."""
    times = np.arange(0, 1.0, 2**-13).astype(np.float16)
    wide = np.ceil(times.astype(np.float64) / 0.001)
    difference = bin_times(times, 1.0) - wide
    assert set(np.unique(difference)) == {-1, 0}


def test_a_numpy_time_step_changes_nothing():
    times = np.array([0.75049, 1.36914], np.float16)
    np.testing.assert_array_equal(bin_times(times, np.float64(1.0)), bin_times(times, 1))


@pytest.mark.parametrize("step_ms", [0, -1.0, float("nan")])
def test_time_step_must_be_positive(step_ms):
    with pytest.raises(SettingsError, match="time_step_ms must be positive"):
        bin_times(np.zeros(1, np.float16), step_ms)


@pytest.mark.parametrize(("seconds", "step_ms"), [(np.nan, 1.0), (-0.1, 1.0), (np.inf, 1.0), (8.0, 0.1)])
def test_times_without_a_bin_are_refused(seconds, step_ms):
    with pytest.raises(DataError, match="spike times"):
        bin_times(np.array([0.0, seconds], np.float16), step_ms)


def test_duplicates_add():
    store = EventStore.from_spikes(spike_file([(0.002, 5), (0.002, 5), (0.002, 6), (0.0, 699)]), 1.0)
    counts = store.dense(0)
    assert counts.shape == (3, CHANNELS)
    assert (counts[2, 5], counts[2, 6], counts[0, 699], counts.sum()) == (2, 1, 1, 4)


def test_an_empty_sample_is_one_silent_step():
    store = EventStore.from_spikes(spike_file([], [(0.004, 1)], []), 1.0)
    assert store.length.tolist() == [1, 5, 1]
    assert store.offsets.tolist() == [0, 0, 1, 1]
    assert store.dense(0).shape == (1, CHANNELS) and not store.dense(2).any()


def test_dense_counts_every_spike_in_its_own_cell(spikes, store):
    for i in range(len(spikes)):
        sample, expected = spikes.sample(i), np.zeros((store.length[i], CHANNELS), int)
        for t, c in zip(bin_times(sample.times, 1.0), sample.units, strict=True):
            expected[t, c] += 1
        np.testing.assert_array_equal(store.dense(i), expected)
        assert store.length[i] == (bin_times(sample.times, 1.0).max() + 1 if len(sample.times) else 1)
    np.testing.assert_array_equal(store.label, spikes.labels)
    np.testing.assert_array_equal(store.speaker, spikes.speakers)
    assert store.classes == spikes.class_names and store.label.dtype == np.int64


def test_events_are_ordered_by_bin_then_channel(store):
    for begin, end in zip(store.offsets[:-1], store.offsets[1:], strict=True):
        key = store.time_bin[begin:end].astype(int) * CHANNELS + store.channel[begin:end]
        assert (np.diff(key) >= 0).all()


def test_order_in_the_file_does_not_matter_but_is_reported(spikes, store, caplog):
    shuffled = replace(spikes, times=spikes.times.copy(), units=spikes.units.copy())
    row = slice(spikes.offsets[2], spikes.offsets[3])
    assert row.stop - row.start > 2
    shuffled.times[row], shuffled.units[row] = spikes.times[row][::-1], spikes.units[row][::-1]
    with caplog.at_level(logging.WARNING):
        assert EventStore.from_spikes(spikes, 1.0).digest == store.digest
        assert not caplog.records  # a fall from one sample to the next is none
        assert EventStore.from_spikes(shuffled, 1.0).digest == store.digest
    assert "1 of 24 samples have unsorted spike times (first: sample 2)" in caplog.text


def test_limit_takes_the_first_samples(spikes, store):
    first = EventStore.from_spikes(spikes, 1.0, limit=7)
    assert len(first) == 7 and first.classes == store.classes
    for name in ("label", "speaker", "length"):
        np.testing.assert_array_equal(getattr(first, name), getattr(store, name)[:7])
    np.testing.assert_array_equal(first.time_bin, store.time_bin[: first.offsets[-1]])
    assert EventStore.from_spikes(spikes, 1.0, limit=1000).digest == store.digest
    with pytest.raises(SettingsError, match="at least 1"):
        EventStore.from_spikes(spikes, 1.0, limit=0)


def test_the_spikes_are_left_as_they_were(spikes):
    times, units = spikes.times.copy(), spikes.units.copy()
    store = EventStore.from_spikes(spikes, 4.0)
    store.speaker[:] = 9
    np.testing.assert_array_equal(spikes.times, times)
    np.testing.assert_array_equal(spikes.units, units)
    assert len(set(spikes.speakers.tolist())) > 1


def test_round_trip(store, tmp_path):
    store.save(tmp_path / "a.safetensors")
    found = EventStore.load(tmp_path / "a.safetensors")
    for name in ARRAYS:
        assert getattr(found, name).dtype == getattr(store, name).dtype
        np.testing.assert_array_equal(getattr(found, name), getattr(store, name))
    assert (found.classes, found.time_step_ms, found.digest) == (store.classes, 1.0, store.digest)
    store.save(tmp_path / "sub" / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "sub" / "b.safetensors").read_bytes()
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["a.safetensors"]


def test_a_store_without_any_spike_survives(tmp_path):
    silent = EventStore.from_spikes(spike_file([], []), 1.0)
    silent.save(tmp_path / "a.safetensors")
    assert EventStore.load(tmp_path / "a.safetensors").length.tolist() == [1, 1]


@pytest.mark.parametrize("name", ARRAYS)
def test_any_changed_number_changes_the_digest(name, store):
    changed = getattr(store, name).copy()
    changed[len(changed) // 2] += 1
    assert replace(store, **{name: changed}).digest != store.digest


def test_changed_settings_change_the_digest(spikes, store):
    assert replace(store, time_step_ms=2.0).digest != store.digest
    assert replace(store, classes=store.classes[::-1]).digest != store.digest
    assert EventStore.from_spikes(spikes, 4.0).digest != store.digest
    assert EventStore.from_spikes(spikes, 1).digest == store.digest
    assert len(fields(store)) == len(ARRAYS) + 2  # nothing else is there to be changed


def test_a_changed_file_is_refused(store, tmp_path):
    path = tmp_path / "a.safetensors"
    store.save(path)
    whole = bytearray(path.read_bytes())
    whole[-5] ^= 1
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"a\.safetensors: contents do not match their digest"):
        EventStore.load(path)


def test_what_is_no_store_is_refused(store, tmp_path):
    with pytest.raises(DataError, match=r"none\.safetensors: no such file"):
        EventStore.load(tmp_path / "none.safetensors")
    store.save(tmp_path / "a.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    save_file(load_file(tmp_path / "a.safetensors"), tmp_path / "foreign.safetensors")
    for name in ("cut", "empty", "foreign"):
        with pytest.raises(DataError, match=rf"{name}\.safetensors: not a whole event store"):
            EventStore.load(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize(
    ("name", "value"),
    [("channel", 700), ("label", 3), ("label", -1), ("offsets", 9), ("length", 0), ("time_bin", 60_000)],
)
def test_a_store_whose_numbers_cannot_be_is_refused(name, value, tmp_path):
    """It carries its own right digest: whoever wrote it was wrong before."""
    store = EventStore.from_spikes(spike_file([(0.002, 5), (0.004, 5)], [(0.001, 6)]), 1.0)
    wrong = getattr(store, name).copy()
    wrong[-1] = value
    replace(store, **{name: wrong}).save(tmp_path / "a.safetensors")
    with pytest.raises(DataError, match=r"a\.safetensors: its arrays do not fit one another"):
        EventStore.load(tmp_path / "a.safetensors")


def test_a_store_of_other_types_is_refused(store, tmp_path):
    replace(store, label=store.label.astype(np.int32)).save(tmp_path / "a.safetensors")
    with pytest.raises(DataError, match="do not fit"):
        EventStore.load(tmp_path / "a.safetensors")
