"""SHD's HDF5 layout: what is written is read back, by us and by tonic; what is damaged is refused by name."""

import re
from dataclasses import replace

import h5py
import numpy as np
import pytest

from spsn.data.checks import faults
from spsn.data.shd import (
    CHANNELS,
    DATASETS,
    MAX_SAMPLE_SECONDS,
    SHD_EXPECTED,
    Expectation,
    SpikeFile,
    check_split,
    read_split,
    write_split,
)
from spsn.errors import DataError


def with_value(spikes: SpikeFile, field: str, index: int, value) -> SpikeFile:
    array = getattr(spikes, field).copy()
    array[index] = value
    return replace(spikes, **{field: array})


def rows(times, units, **changes) -> SpikeFile:
    n = len(times)
    values = {"labels": [0] * n, "speakers": [0] * n, "class_names": ["one", "two"]} | changes
    return SpikeFile.from_rows(times, units, **values)


def test_what_is_written_is_read_back(spikes, tmp_path):
    write_split(tmp_path / "a.h5", spikes)
    found = read_split(tmp_path / "a.h5")
    for name in ("times", "units", "offsets", "labels", "speakers"):
        expected, array = getattr(spikes, name), getattr(found, name)
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)
    assert found.class_names == spikes.class_names
    assert found.meta.keys() == spikes.meta.keys()
    for name, values in spikes.meta.items():
        np.testing.assert_array_equal(found.meta[name], values)


@pytest.mark.parametrize("lengths", [(1,), (1, 1), (3, 3), (0, 0), (2, 0, 5)])
def test_rows_of_every_shape_survive(lengths, tmp_path):
    times = [np.linspace(0, 1, n).astype(np.float16) for n in lengths]
    units = [np.arange(n, dtype=np.uint16) + 7 for n in lengths]
    write_split(tmp_path / "a.h5", rows(times, units))
    found = read_split(tmp_path / "a.h5")
    assert [len(found.sample(i).times) for i in range(len(found))] == list(lengths)
    np.testing.assert_array_equal(found.times, np.concatenate(times))
    np.testing.assert_array_equal(found.units, np.concatenate(units))


def test_sample_gives_its_own_spikes():
    found = rows([[0.5], [], [0.25, 0.75]], [[3], [], [1, 2]], labels=[0, 1, 1], speakers=[4, 5, 6])
    assert found.sample(2).times.tolist() == [0.25, 0.75]
    assert found.sample(-1).units.tolist() == [1, 2]
    assert (found.sample(2).label, found.sample(2).speaker) == (1, 6)
    assert len(found.sample(1).times) == 0
    with pytest.raises(IndexError):
        found.sample(3)


def test_same_spikes_same_bytes(spikes, tmp_path):
    write_split(tmp_path / "a.h5", spikes)
    write_split(tmp_path / "elsewhere" / "b.h5", replace(spikes, meta=dict(reversed(spikes.meta.items()))))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "elsewhere" / "b.h5").read_bytes()
    write_split(tmp_path / "c.h5", with_value(spikes, "times", 0, 0))
    assert (tmp_path / "a.h5").read_bytes() != (tmp_path / "c.h5").read_bytes()


def test_what_made_a_file_is_kept(spikes, tmp_path):
    write_split(tmp_path / "a.h5", spikes)
    assert read_split(tmp_path / "a.h5").made_by is None
    write_split(tmp_path / "b.h5", spikes, made_by="spsn: Wörter, seed 0")
    found = read_split(tmp_path / "b.h5")
    assert found.made_by == "spsn: Wörter, seed 0" and found.path == str(tmp_path / "b.h5")
    write_split(tmp_path / "c.h5", found)  # what is read is written again, to the byte
    assert (tmp_path / "b.h5").read_bytes() == (tmp_path / "c.h5").read_bytes()
    write_split(tmp_path / "d.h5", spikes, made_by="x" * 100_000)
    assert read_split(tmp_path / "d.h5").made_by == "x" * 4096


def test_a_made_by_of_another_kind_is_left_out(spikes, tmp_path):
    write_split(tmp_path / "a.h5", spikes)
    for value in (3, np.array([b"a", b"b"]), "of variable length", h5py.Empty("f4")):
        with h5py.File(tmp_path / "a.h5", "a") as file:
            file.attrs["made_by"] = value
        assert read_split(tmp_path / "a.h5").made_by is None


def test_names_of_speakers_are_kept(spikes, tmp_path):
    named = replace(spikes, meta={"name": np.array(["Zoë", "", "Li"] * 4)})
    write_split(tmp_path / "a.h5", named)
    assert read_split(tmp_path / "a.h5").meta["name"].tolist() == ["Zoë", "", "Li"] * 4


def test_layout_is_that_of_shd(spikes, tmp_path):
    write_split(tmp_path / "a.h5", spikes)
    with h5py.File(tmp_path / "a.h5") as file:
        assert h5py.check_vlen_dtype(file["spikes/times"].dtype) == np.float16
        assert h5py.check_vlen_dtype(file["spikes/units"].dtype) == np.uint16
        assert file["labels"].dtype == file["extra/speaker"].dtype == np.uint16
        assert file["extra/keys"][-1].decode() == "fünf"
        assert set(file["extra/meta_info"]) == {"gender", "age", "body_height"}


def test_wider_types_and_variable_length_text_are_read(spikes, tmp_path):
    """Files made with other tools: float64 times, int64 units and labels, text of variable length."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, kind in (("times", "f8"), ("units", "i8")):
            data = file.create_dataset(f"spikes/{name}", (len(spikes),), h5py.vlen_dtype(kind))
            for i in range(len(spikes)):
                data[i] = getattr(spikes.sample(i), name).astype(kind)
        file["labels"], file["extra/speaker"] = spikes.labels.astype("i8"), spikes.speakers.astype("i4")
        file.create_dataset("extra/keys", data=list(spikes.class_names), dtype=h5py.string_dtype())
    found = check_split(read_split(tmp_path / "a.h5"), "a.h5", expect=Expectation(24, 20))
    assert (found.times.dtype, found.units.dtype, found.labels.dtype) == (np.float16, np.uint16, np.uint16)
    np.testing.assert_array_equal(found.times, spikes.times)
    np.testing.assert_array_equal(found.units, spikes.units)
    assert found.class_names == spikes.class_names


def test_tonic_reads_our_files(spikes, tmp_path, monkeypatch):
    tonic = pytest.importorskip("tonic")
    folder = tmp_path / "SHD"
    for split in ("train", "test"):
        write_split(folder / f"shd_{split}.h5", spikes)
        (
            folder / f"shd_{split}.h5.zip"
        ).touch()  # tonic asks for the archive's presence, not for its contents

    def no_network(self):
        raise AssertionError("tonic wants to download")

    monkeypatch.setattr(tonic.datasets.SHD, "download", no_network)
    for train in (True, False):
        found = tonic.datasets.SHD(str(tmp_path), train=train)
        assert len(found) == len(spikes)
        assert [name.decode() for name in found.classes] == list(spikes.class_names)
        np.testing.assert_array_equal(found.speaker, spikes.speakers)
        for i in range(len(spikes)):
            events, label = found[i]
            assert label == spikes.labels[i]
            np.testing.assert_array_equal(events["x"], spikes.sample(i).units)
            np.testing.assert_array_equal(
                events["t"], (spikes.sample(i).times.astype(np.float64) * 1e6).astype(int)
            )


def test_shd_sizes_are_those_published():
    expected = {name: (e.samples, e.classes) for name, e in SHD_EXPECTED.items()}
    assert expected == {"shd_train.h5": (8156, 20), "shd_test.h5": (2264, 20)}


@pytest.mark.parametrize("name", DATASETS)
def test_a_missing_part_is_named(name, spikes, tmp_path):
    write_split(tmp_path / "a.h5", spikes)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file[name]
    with pytest.raises(DataError, match=rf"a\.h5: no /{name}"):
        read_split(tmp_path / "a.h5")


def test_absent_file(tmp_path):
    with pytest.raises(DataError, match=r"b\.h5: no such file.*data_dir"):
        read_split(tmp_path / "b.h5")


def test_web_page_instead_of_a_file(tmp_path):
    (tmp_path / "a.h5").write_text("\n<!DOCTYPE html>\n<html><body>404</body></html>")
    with pytest.raises(DataError, match=r"a\.h5: a web page, not an HDF5 file"):
        read_split(tmp_path / "a.h5")


@pytest.mark.parametrize("kept", [0, 100, 0.5, -1])
def test_truncated_file(kept, spikes, tmp_path):
    write_split(tmp_path / "a.h5", spikes)
    whole = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(whole[: int(kept * len(whole)) if kept == 0.5 else kept])
    with pytest.raises(DataError, match=r"a\.h5: not a whole HDF5 file"):
        read_split(tmp_path / "a.h5")


def test_damage_among_the_spikes_is_a_data_error(spikes, tmp_path):
    """The heap that holds the rows is overwritten: the file opens, its spikes cannot be read."""
    write_split(tmp_path / "a.h5", spikes)
    whole = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(whole.replace(b"GCOL", b"\0\0\0\0"))
    with pytest.raises(DataError, match=r"a\.h5: no sound heap at \d+"):
        read_split(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("labels", "rows of times"), ("extra/speaker", "rows of times"), ("spikes/times", "rows of times")],
)
def test_unequal_numbers_of_rows(name, wanted, spikes, tmp_path):
    write_split(tmp_path / "a.h5", spikes)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        shorter, kind = file[name][:-1], file[name].dtype
        del file[name]
        data = file.create_dataset(name, shorter.shape, kind)
        for i, row in enumerate(shorter):
            data[i] = row
    with pytest.raises(DataError, match=rf"a\.h5.*{wanted}"):
        read_split(tmp_path / "a.h5")


def test_unequal_times_and_units_name_the_sample(spikes, tmp_path):
    write_split(tmp_path / "a.h5", spikes)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["spikes/units"][3] = np.zeros(99, np.uint16)
    with pytest.raises(DataError, match=r"a\.h5.*sample 3 has \d+ times but 99 units"):
        read_split(tmp_path / "a.h5")


def test_negative_label_is_not_wrapped_around(spikes, tmp_path):
    write_split(tmp_path / "a.h5", spikes)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["labels"]
        file["labels"] = np.full(len(spikes), -1)
    with pytest.raises(DataError, match=r"a\.h5.*a label is outside"):
        read_split(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("field", "index", "value", "wanted"),
    [
        ("labels", 5, 20, "label 20 of sample 5, but 20 classes"),
        ("units", 0, CHANNELS, r"unit 700 of spike 0 in sample \d+, but 700 channels"),
        ("times", -1, np.nan, r"time nan s of spike \d+ in sample \d+ is negative or not a number"),
        ("times", -1, -0.25, "time -0.25 s .* negative"),
        ("times", -1, np.inf, "time inf s .* over MAX_SAMPLE_SECONDS = 10"),
        ("times", -1, 750.5, "time 750.5 s .* over MAX_SAMPLE_SECONDS = 10"),
        ("offsets", -1, 0, "offsets do not divide"),
        ("offsets", 1, 60_000, "offsets do not divide"),
    ],
)
def test_contents_that_cannot_be_are_refused(field, index, value, wanted, spikes, tmp_path):
    bad = with_value(spikes, field, index, value)
    with pytest.raises(DataError, match=rf"somewhere\.h5: {wanted}"):
        check_split(bad, "somewhere.h5")
    with pytest.raises(DataError, match=wanted):
        write_split(tmp_path / "a.h5", bad)
    assert not list(tmp_path.iterdir())


def test_the_place_of_a_fault_is_right():
    units = [[1, 2], [], [3, 4, 700, 701]]
    with pytest.raises(
        DataError, match=re.escape("unit 700 of spike 2 in sample 2, but 700 channels (2 such")
    ):
        check_split(rows([[0, 0], [], [0] * 4], units), "a.h5")


def test_limits_themselves_are_allowed():
    kept = rows([[0.0, MAX_SAMPLE_SECONDS]], [[0, CHANNELS - 1]], labels=[1])
    assert check_split(kept, "a.h5", expect=Expectation(1, 2)) is kept


@pytest.mark.parametrize(
    ("expect", "wanted"),
    [(Expectation(8156, 20), "24 samples where 8156"), (Expectation(24, 10), "20 classes")],
)
def test_expected_counts(expect, wanted, spikes):
    with pytest.raises(DataError, match=wanted):
        check_split(spikes, "a.h5", expect=expect)


def test_every_fault_is_listed(spikes):
    bad = with_value(with_value(with_value(spikes, "labels", 5, 20), "units", 0, 700), "times", -1, 60)
    found = list(faults(bad, expect=Expectation(8156, 20)))
    assert [line.split()[0] for line in found] == ["24", "label", "unit", "time"]
    assert list(faults(replace(bad, class_names=())))[0] == "no class names"
    assert not list(faults(spikes))


def test_a_file_without_samples_is_refused():
    with pytest.raises(DataError, match="no samples"):
        check_split(rows([], []), "a.h5")


def test_other_types_and_lengths_are_refused(spikes):
    with pytest.raises(DataError, match="float16"):
        check_split(replace(spikes, times=spikes.times.astype(np.float32)), "a.h5")
    with pytest.raises(DataError, match="differ in length"):
        check_split(replace(spikes, speakers=spikes.speakers[1:]), "a.h5")


@pytest.mark.parametrize(
    ("units", "wanted"), [([[-1]], "outside"), ([[70_000]], "outside"), ([[0.5]], "whole")]
)
def test_units_that_do_not_fit_are_refused(units, wanted):
    with pytest.raises(ValueError, match=wanted):
        rows([[0.1]], units)
