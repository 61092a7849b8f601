"""Bad files, each through `spsn events --data FILE`: refused by name and remedy, with nothing left behind."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from h5py import h5s, h5t

from spsn.cli import main
from spsn.data import chunks, heap
from spsn.data.events import EventStore
from spsn.data.hdf5 import UnreadError, reading
from spsn.data.shd import DATASETS, MAX_SAMPLE_SECONDS, SpikeFile, check_split, read_split, write_split
from spsn.errors import DataError
from spsn.grid import find_block
from spsn.records import read_record
from spsn.training import Data, train_block

REMEDY = "Remove it and fetch, copy or make it again."


@pytest.fixture
def bad(spikes, tmp_path):
    """A sound file, to be spoilt."""
    write_split(tmp_path / "bad.h5", spikes)
    return tmp_path / "bad.h5"


@pytest.fixture
def refused(tmp_path, capsys):
    """Check that `spsn events` refuses a file for a reason, with the remedy, and leaves nothing behind."""

    def check(path, *reasons, remedy=REMEDY):
        before = set(tmp_path.iterdir())
        out = tmp_path / "out.safetensors"
        assert main(["events", "--data", str(path), "--time-step", "0.001", "--out", str(out)]) == 1
        said = capsys.readouterr().err
        for part in (f"spsn: {path}: ", *reasons, remedy):
            assert part in said
        assert said.count("\n") == 1 or "errno" in said  # HDF5's own words may have several lines
        assert set(tmp_path.iterdir()) == before

    return check


def replaced(path, name, *values, **how):
    """Put another data set in the place of one."""
    with h5py.File(path, "a") as file:
        del file[name]
        file.create_dataset(name, *values, **how)


def set_row(path, name, row, values):
    with h5py.File(path, "a") as file:
        file[name][row] = values


def test_a_sound_file_is_taken(bad, tmp_path):
    out = tmp_path / "out.safetensors"
    assert main(["events", "--data", str(bad), "--time-step", "0.001", "--out", str(out)]) == 0
    assert len(EventStore.load(out)) == 24


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated(share, bad, refused):
    whole = bad.read_bytes()
    bad.write_bytes(whole[: int(share * len(whole))])
    refused(bad, "not a whole HDF5 file")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a whole HDF5 file"),
        (b"\n<!DOCTYPE html><html>not found</html>", "a web page, not an HDF5 file"),
        (b"\x1f\x8b" + bytes(100), "not a whole HDF5 file"),
    ],
    ids=["empty", "web page", "still packed"],
)
def test_no_hdf5(content, reason, bad, refused):
    bad.write_bytes(content)
    refused(bad, reason)


def test_what_is_no_file(tmp_path, refused):
    os.mkfifo(tmp_path / "pipe.h5")
    (tmp_path / "folder.h5").mkdir()
    refused(
        tmp_path / "none.h5", "no such file", remedy="Fetch it, or name the folder that holds it (data_dir)."
    )
    refused(tmp_path / "folder.h5", "a folder", remedy="Name the file itself.")
    refused(tmp_path / "pipe.h5", "a pipe or a device", remedy="Name the file itself.")


def test_a_disk_that_fails_is_no_damage(refused):
    """The memory of a process, read at 0, fails as a broken disk does."""
    memory = Path("/proc/self/mem")
    if not memory.exists():
        pytest.skip("needs /proc/self/mem")
    refused(memory, "cannot be read", "Input/output error", remedy="See to the disk")
    with pytest.raises(UnreadError):
        read_split(memory)


def test_too_little_memory_is_no_damage(bad):
    words = rf"{bad}: there is not enough memory to read it \(.*1\.00 PiB"
    with pytest.raises(UnreadError, match=words), reading(bad):
        np.empty(1 << 50, "u1")


@pytest.mark.parametrize("name", DATASETS)
def test_a_part_that_is_missing_or_a_group(name, bad, refused):
    with h5py.File(bad, "a") as file:
        del file[name]
        file.create_group(name)
    refused(bad, f"no /{name}: not a file in SHD's layout")


def test_a_group_that_is_missing_or_a_data_set(bad, refused):
    replaced(bad, "spikes", data=[1, 2])
    refused(bad, "no /spikes/times, /spikes/units")
    with h5py.File(bad, "a") as file:
        del file["spikes"]
    refused(bad, "no /spikes/times, /spikes/units")


@pytest.mark.parametrize(
    ("times", "units", "reason"),
    [
        ([0.5], [700], "unit 700 of spike 0 in sample 3, but 700 channels (1 such in all)"),
        ([0.5], [65_535], "unit 65535 of spike 0 in sample 3"),
        ([0.5, -0.25], [1, 2], "time -0.25 s of spike 1 in sample 3 is negative or not a number"),
        ([np.nan, 0.5], [1, 2], "time nan s of spike 0 in sample 3 is negative or not a number"),
        ([np.inf], [1], "time inf s of spike 0 in sample 3 is over MAX_SAMPLE_SECONDS = 10"),
        (
            [0.5, 60.0],
            [1, 2],
            "time 60.0 s of spike 1 in sample 3 is over MAX_SAMPLE_SECONDS = 10; times",
        ),
        ([0.1, 0.2], [1], "sample 3 has 2 times but 1 units"),
    ],
)
def test_spikes_that_cannot_be(times, units, reason, bad, refused):
    set_row(bad, "spikes/times", 3, np.array(times, np.float16))
    set_row(bad, "spikes/units", 3, np.array(units, np.uint16))
    refused(bad, reason)


def test_a_label_of_20(bad, refused):
    with h5py.File(bad, "a") as file:
        file["labels"][5] = 20
    refused(bad, "label 20 of sample 5, but 20 classes")


def test_zero_classes(bad, refused):
    replaced(bad, "extra/keys", (0,), "S1")
    refused(bad, "no class names")


def test_zero_samples(bad, refused):
    for name in DATASETS[:4]:
        kind = (
            h5py.vlen_dtype("f2" if name.endswith("times") else "u2") if name.startswith("spikes") else "u2"
        )
        replaced(bad, name, (0,), kind)
    refused(bad, "no samples")


def test_unequal_numbers_of_rows(bad, refused):
    replaced(bad, "spikes/units", (25,), h5py.vlen_dtype("u2"))
    refused(bad, "24 rows of times, 25 of units, 24 labels, 24 speakers: these must be equal")


def test_unsorted_times_are_sorted_and_it_is_said_with_the_file(spikes, bad, tmp_path, caplog):
    times, units = spikes.sample(2)[:2]
    set_row(bad, "spikes/times", 2, times[::-1])
    set_row(bad, "spikes/units", 2, units[::-1])
    with caplog.at_level(logging.WARNING):
        main(["events", "--data", str(bad), "--time-step", "0.001", "--out", str(tmp_path / "a.safetensors")])
    assert f"{bad}: 1 of 24 samples have unsorted spike times (first: sample 2); sorted" in caplog.text
    assert EventStore.load(tmp_path / "a.safetensors").digest == EventStore.from_spikes(spikes, 1.0).digest


def test_a_time_step_too_short_for_the_file_names_it(bad):
    set_row(bad, "spikes/times", 3, np.array([9.5], np.float16))
    set_row(bad, "spikes/units", 3, np.array([1], np.uint16))
    with pytest.raises(DataError, match=r"bad\.h5: spike times .* 0\.1 ms\. Use a longer time step"):
        EventStore.from_spikes(read_split(bad), 0.1)


WRONG = {
    "labels of float": ("labels", dict(data=np.zeros(24)), "/labels holds float64, not whole numbers"),
    "labels of text": ("labels", dict(data=np.array([b"a"] * 24)), "not whole numbers"),
    "labels of truth": ("labels", dict(data=np.zeros(24, bool)), "/labels holds bool, not whole numbers"),
    "labels compound": ("labels", dict(data=np.zeros(24, "i2,f4")), "not whole numbers"),
    "labels of two dimensions": ("labels", dict(data=np.zeros((24, 1), int)), "has the shape (24, 1)"),
    "labels without one": ("labels", dict(data=3), "/labels has the shape ()"),
    "labels of nothing": ("labels", dict(data=h5py.Empty("i4")), "/labels has the shape None"),
    "labels below 0": ("labels", dict(data=np.full(24, -1)), "a label is outside 0..65535"),
    "speakers of two dimensions": (
        "extra/speaker", dict(data=np.zeros((24, 2), int)), "/extra/speaker has the shape (24, 2)"),
    "speakers complex": ("extra/speaker", dict(data=np.zeros(24, complex)), "not whole numbers"),
    "times of text": (
        "spikes/times", dict(data=["0.5"] * 24, dtype=h5py.string_dtype()), "times holds text, not rows"),
    "times of whole numbers": (
        "spikes/times", dict(shape=(24,), dtype=h5py.vlen_dtype("i4")), "holds int32, not rows of seconds"),
    "times complex": (
        "spikes/times", dict(shape=(24,), dtype=h5py.vlen_dtype("c8")), "holds complex64, not rows"),
    "times not in rows": ("spikes/times", dict(data=np.zeros((24, 5), "f2")), "has the shape (24, 5)"),
    "times one by one": ("spikes/times", dict(data=np.zeros(24, "f2")), "not rows of seconds of variable"),
    "units of float": (
        "spikes/units", dict(shape=(24,), dtype=h5py.vlen_dtype("f4")), "holds float32, not rows of"),
    "units of references": ("spikes/units", dict(shape=(24,), dtype=h5py.ref_dtype), "not rows of channels"),
    "names that are numbers": ("extra/keys", dict(data=np.arange(20)), "/extra/keys holds int64, not text"),
    "names of two dimensions": ("extra/keys", dict(data=np.full((20, 1), b"a")), "has the shape (20, 1)"),
    "names too long": ("extra/keys", dict(shape=(20,), dtype="S1000000"), "of text, over MAX_TEXT"),
    "too many names": ("extra/keys", dict(shape=(70_000,), dtype="S1"), "70000 entries, over MAX_ENT"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_types_and_shapes(case, bad, refused):
    name, how, reason = WRONG[case]
    replaced(bad, name, **how)
    refused(bad, reason)


def test_a_number_that_no_machine_has(bad, refused):
    """A float whose bits lie elsewhere: converting such a type may crash the HDF5 library."""
    odd = h5t.IEEE_F32LE.copy()
    odd.set_fields(30, 22, 8, 0, 22)
    odd.set_offset(0)
    with h5py.File(bad, "a") as file:
        del file["spikes/times"]
        h5py.h5d.create(file.id, b"spikes/times", h5t.vlen_create(odd), h5s.create_simple((24,)))
    refused(bad, "not rows of seconds")


def test_links_lead_nowhere(bad, tmp_path, refused, spikes):
    write_split(tmp_path / "other.h5", spikes)
    for link in (h5py.ExternalLink("other.h5", "/labels"), h5py.SoftLink("/extra/speaker")):
        for name in ("labels", "extra/meta_info/age", "extra/keys"):
            write_split(bad, spikes)
            with h5py.File(bad, "a") as file:
                del file[name]
                file[name] = link
            refused(bad, f"/{name} is a link to elsewhere, which is not followed")
    write_split(bad, spikes)
    with h5py.File(bad, "a") as file:
        del file["spikes"]
        file["spikes"] = h5py.ExternalLink("other.h5", "/spikes")
    refused(bad, "/spikes/times is a link to elsewhere")


@pytest.mark.parametrize("name", ["labels", "extra/meta_info/age"])
def test_values_in_other_files(name, bad, tmp_path, refused, spikes):
    (tmp_path / "secret").write_bytes(bytes(48))
    replaced(bad, name, shape=(24,), dtype="u2", external=[(str(tmp_path / "secret"), 0, 48)])
    refused(bad, f"/{name} keeps its values in other files, which are not read")
    layout = h5py.VirtualLayout((24,), "u2")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "labels", (24,))
    with h5py.File(bad, "a") as file:
        del file[name]
        file.create_virtual_dataset(name, layout)
    refused(bad, f"/{name} keeps its values in other files, which are not read")


# Claims of what is not there: in a process with little memory, and in little time.

WITH_LITTLE_MEMORY = """
import resource, sys
from spsn.cli import main
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
for path in sys.argv[2:]:
    assert main(["events", "--data", path, "--time-step", "0.001", "--out", sys.argv[1]]) == 1
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


def claim(path, name, row, length):
    """Let the reference of a row claim a length: its first four bytes."""
    with h5py.File(path) as file:
        begin = file[name].id.get_offset() + 16 * row
    with open(path, "r+b") as file:
        file.seek(begin)
        file.write(int(length).to_bytes(4, "little"))


def huge(path, name, count):
    """A data set of `count` entries that takes no room: chunks that were never written."""
    with h5py.File(path, "a") as file:
        kind = file[name].dtype
        del file[name]
        file.create_dataset(name, (count,), kind, chunks=(1000,))


def claims(folder, spikes):
    """Files that claim too much, and what must be said of them."""
    said = {}

    def spoilt(name, reason):
        write_split(folder / name, spikes)
        said[folder / name] = reason
        return folder / name

    for dataset in ("spikes/times", "spikes/units"):
        path = spoilt(f"{dataset[7:]}-9.h5", "over MAX_SPIKES = 900000000")
        claim(path, dataset, 5, 10**9)
        path = spoilt(f"{dataset[7:]}-32bits.h5", "(row 5 alone 4294967295), over MAX_SPIKES")
        claim(path, dataset, 5, 2**32 - 1)
    path = spoilt("long.h5", "but the file has")
    claim(path, "spikes/times", 5, 10**7)
    path = spoilt("a-little.h5", "row 5 of /spikes/times claims 60 entries, which are not there")
    for dataset in ("spikes/times", "spikes/units"):
        claim(path, dataset, 5, 60)
    for dataset in DATASETS[:4]:
        huge(
            spoilt(f"{dataset.replace('/', '-')}.h5", "claims 1000000000 entries, over MAX_SAMPLES"),
            dataset,
            10**9,
        )
    huge(spoilt("names.h5", "claims 1000000000 entries, over MAX_ENTRIES"), "extra/keys", 10**9)
    shared = spoilt("shared.h5", "but the file has")
    with h5py.File(shared, "a") as file:
        for dataset, kind in (("times", "f2"), ("units", "u2")):
            del file[f"spikes/{dataset}"]
            rows = file.create_dataset(f"spikes/{dataset}", (24,), h5py.vlen_dtype(kind))
            rows[0] = np.zeros(200_000, kind)
        begins = [file[f"spikes/{dataset}"].id.get_offset() for dataset in ("times", "units")]
    content = bytearray(shared.read_bytes())
    for begin in begins:
        content[begin : begin + 24 * 16] = content[begin : begin + 16] * 24
    shared.write_bytes(content)
    return said


def test_claims_are_refused_with_little_memory(spikes, tmp_path):
    said = claims(tmp_path, spikes)
    command = [sys.executable, "-c", WITH_LITTLE_MEMORY, str(tmp_path / "out"), *map(str, said)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for path, reason in said.items():
        line = next(line for line in done.stderr.splitlines() if f"{path}: " in line)
        assert reason in line and REMEDY in line
    assert int(done.stdout) < 400_000  # KiB at most, the interpreter and its libraries included
    assert set(tmp_path.iterdir()) == set(said)


def test_limits_leave_room_for_known_data():
    assert chunks.MAX_SAMPLES > 10 * 8156 and 10 * 63_000_000 < heap.MAX_SPIKES < 10**9
    assert MAX_SAMPLE_SECONDS > 5 * 1.37


def test_a_time_step_in_milliseconds_is_refused(bad, tmp_path, capsys):
    out = tmp_path / "a.safetensors"
    assert main(["events", "--data", str(bad), "--time-step", "10", "--out", str(out)]) == 1
    assert "--time-step must be at most 0.1, not 10" in (said := capsys.readouterr().err)
    assert "in seconds; write 0.01 for 10 ms" in said and not out.exists()


# What is odd, and no fault.


def test_an_empty_sample_is_kept_and_trains(settings, bad, tmp_path):
    set_row(bad, "spikes/times", 3, np.zeros(0, np.float16))
    set_row(bad, "spikes/units", 3, np.zeros(0, np.uint16))
    found = check_split(read_split(bad), bad)
    assert len(found) == 24 and not len(found.sample(3).times)
    store = EventStore.from_spikes(found, 1.0)
    assert store.length[3] == 1 and not store.dense(3).any()
    block = find_block(settings, "accuracy/spsn-sb/basic", (0,))
    silent = EventStore.from_spikes(SpikeFile.from_rows([[]] * 8, [[]] * 8, [0] * 8, [0] * 8, ["a"] * 4), 2.0)
    (path,) = train_block(settings, block, Data(silent, silent), tmp_path / "results")  # nothing but silence
    assert np.isfinite(read_record(path).result.train_loss).all()


def test_classes_may_share_a_name(bad):
    replaced(bad, "extra/keys", data=np.array([b"vier"] * 20))
    assert check_split(read_split(bad), bad).class_names == ("vier",) * 20


@pytest.mark.parametrize("variable", [True, False])
def test_names_of_any_bytes_are_read(variable, bad):
    names = [b"caf\xe9", b"a\x1b[31m\nb", b"$x^2$ \\end{document} %", "fünf 五".encode()] * 5
    kind = h5py.string_dtype() if variable else "S40"
    replaced(bad, "extra/keys", data=np.array(names, object if variable else kind), dtype=kind)
    found = read_split(bad).class_names
    assert found[:4] == ("caf�", "a\x1b[31m\nb", "$x^2$ \\end{document} %", "fünf 五")


def test_a_speaker_of_whom_nothing_is_known_is_no_fault(bad):
    replaced(bad, "extra/meta_info/age", data=np.full(12, np.nan))
    replaced(bad, "extra/meta_info/gender", data=np.zeros((3, 4)))  # no list: left out
    with h5py.File(bad, "a") as file:
        file.create_group("extra/meta_info/more")
    found = check_split(read_split(bad), bad).meta
    assert set(found) == {"age", "body_height"} and np.isnan(found["age"]).all()
    with h5py.File(bad, "a") as file:
        del file["extra/meta_info"]
    assert read_split(bad).meta == {}


def as_stored(path, spikes: SpikeFile, userblock: int = 0, kinds=("f2", "u2"), **how):
    """The spikes in a file as other tools may make it."""
    with h5py.File(path, "w", userblock_size=userblock) as file:
        for name, kind in zip(("times", "units"), kinds, strict=True):
            rows = file.create_dataset(f"spikes/{name}", (len(spikes),), h5py.vlen_dtype(kind), **how)
            for i in range(len(spikes)):
                rows[i] = getattr(spikes.sample(i), name).astype(kind)
        file["labels"], file["extra/speaker"] = spikes.labels, spikes.speakers
        file.create_dataset("extra/keys", data=list(spikes.class_names), dtype=h5py.string_dtype())


@pytest.mark.parametrize(
    "how",
    [
        {"userblock": 512},
        {"chunks": (5,), "maxshape": (None,)},
        {"chunks": (7,), "compression": "gzip", "userblock": 1024},
        {"kinds": (">f8", ">i4")},
        {"kinds": ("f4", "u1")},
    ],
    ids=str,
)
def test_rows_are_what_the_library_reads(how, spikes, tmp_path):
    """Rows are read past the HDF5 library; here it is the judge."""
    if "u1" in how.get("kinds", ()):
        spikes.units[:] %= 256
    as_stored(tmp_path / "a.h5", spikes, **how)
    found = read_split(tmp_path / "a.h5")
    np.testing.assert_array_equal(found.times, spikes.times)
    np.testing.assert_array_equal(found.units, spikes.units)
    if ">f8" in how.get("kinds", ()):
        return  # h5py itself reads such rows as if their bytes stood in the other order
    with h5py.File(tmp_path / "a.h5") as file:
        for i in range(len(found)):
            np.testing.assert_array_equal(found.sample(i).times, file["spikes/times"][i].astype(np.float16))
            np.testing.assert_array_equal(found.sample(i).units, file["spikes/units"][i])
    np.testing.assert_array_equal(found.offsets, spikes.offsets)
    assert found.class_names == spikes.class_names


def test_rows_packed_by_other_filters_than_gzip_are_refused(spikes, tmp_path, refused):
    as_stored(tmp_path / "a.h5", spikes, chunks=(5,), compression="lzf")
    refused(tmp_path / "a.h5", "it is packed by lzf; only gzip is known")


def test_rows_never_written_are_empty(spikes, tmp_path):
    for how in ({}, {"chunks": (5,)}):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            for name, kind in (("times", "f2"), ("units", "u2")):
                file.create_dataset(f"spikes/{name}", (24,), h5py.vlen_dtype(kind), **how)
            file["labels"], file["extra/speaker"] = spikes.labels, spikes.speakers
            file["extra/keys"] = np.array([b"a"] * 20)
        assert not len(check_split(read_split(tmp_path / "a.h5"), "a").times)


FUZZ = """
import random, sys
from spsn.data.shd import check_split, read_split
from spsn.errors import DataError
from spsn.data.events import EventStore
draw, path = random.Random(int(sys.argv[1])), sys.argv[2]
sound = open(path, "rb").read()
refused = 0
for _ in range(int(sys.argv[3])):
    content = bytearray(sound)
    for _ in range(draw.choice((1, 2, 8))):
        at = draw.randrange(len(content))
        content[at] = draw.choice((0, 255, content[at] ^ (1 << draw.randrange(8))))
    open(path, "wb").write(content)
    try:
        EventStore.from_spikes(check_split(read_split(path), path), 1.0)
    except DataError:
        refused += 1
print(refused)
"""


@pytest.mark.parametrize("how", [None, {"chunks": (5,), "compression": "gzip"}], ids=["plain", "packed"])
def test_no_damage_of_single_bytes_does_more_than_be_refused(how, spikes, tmp_path):
    """No crash and no other error, whatever byte is spoilt: 800 files, in a process of their own."""
    path = tmp_path / "a.h5"
    if how:
        as_stored(path, spikes, **how)
    else:
        write_split(path, spikes)
    command = [sys.executable, "-c", FUZZ, "1", str(path), "400"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 40 < int(done.stdout) < 400
