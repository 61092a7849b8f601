"""HDF5 files and archives of a few kilobytes that stand for gigabytes: refused with little memory."""

import io
import json
import lzma
import subprocess
import sys
import tarfile
import zipfile
import zlib
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from spsn.data import hdf5
from spsn.data import unpack as unpacking
from spsn.data.fsdd import fetch_fsdd
from spsn.data.hdf5 import MAX_TABLES
from spsn.data.shd import read_split, write_split
from spsn.data.unpack import unpack
from spsn.errors import DataError

READ = """
import json, resource, sys
from spsn.data.shd import read_split
from spsn.errors import DataError
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
said = {}
for path in sys.argv[1:]:
    try:
        read_split(path)
        said[path] = "taken"
    except DataError as error:
        said[path] = str(error)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(json.dumps([said, int(peak)]))
"""


@cache
def bomb(mebibytes: int) -> bytes:
    """Zeros, packed a thousandfold."""
    packing, block = zlib.compressobj(9), bytes(1 << 20)
    return b"".join(packing.compress(block) for _ in range(mebibytes)) + packing.flush()


def swollen(path: Path, name: str, kind: str, rows: int) -> None:
    """Let the chunk of a list unpack to half a gibibyte."""
    with h5py.File(path, "a") as file:
        del file[name]
        data = file.create_dataset(name, (rows,), kind, chunks=(rows,), compression="gzip", maxshape=(None,))
        data.id.write_direct_chunk((0,), bomb(512))


@pytest.fixture
def sound(spikes, tmp_path):
    def make(name: str) -> Path:
        write_split(tmp_path / name, spikes)
        return tmp_path / name

    return make


def twice_packed(path: Path) -> None:
    settings = h5p.create(h5p.DATASET_CREATE)
    settings.set_chunk((24,))
    settings.set_deflate(9)
    settings.set_deflate(9)
    with h5py.File(path, "a") as file:
        del file["labels"]
        h5d.create(file.id, b"labels", h5t.STD_U16LE, h5s.create_simple((24,)), settings)


def many_lists(path: Path, count: int) -> None:
    with h5py.File(path, "a") as file:
        group = file["extra/meta_info"]
        for number in range(count):
            group[f"{number}"] = group["age"]  # one list under many names


def with_a_tree(path: Path, levels: int, back: bool = False) -> None:
    """Put the chunks of the labels below `levels` of nodes, each of which names the next one 64 times; with
    `back` the first of them itself.
    """
    with h5py.File(path, "a", libver=("earliest", "v108")) as file:
        del file["labels"]
        file.create_dataset("labels", (24,), "u2", chunks=(8,), maxshape=(None,), compression="gzip")
        file["labels"][:] = 0
    content = bytearray(path.read_bytes())
    end, place = len(content), content.rfind(b"TREE\1")  # the one node, of three chunks
    root = place
    for level in range(1, levels + 1):
        child = len(content) if back else root
        root = len(content)
        key = bytes(content[place + 24 : place + 48])  # size, filters, first row, 0
        last = bytes(content[place + 24 + 3 * 32 : place + 48 + 3 * 32])
        head = b"TREE\1" + bytes([level]) + (64).to_bytes(2, "little") + b"\xff" * 16
        content += head + (key + child.to_bytes(8, "little")) * 64 + last
    where = content.find(place.to_bytes(8, "little"))
    content[where : where + 8] = root.to_bytes(8, "little")
    content[40:48] = len(content).to_bytes(8, "little")
    assert int.from_bytes(path.read_bytes()[40:48], "little") == end  # where a file says that it ends
    path.write_bytes(content)


def one_chunk_many_times(path: Path) -> None:
    """A list of one row whose index of chunks has three."""
    with h5py.File(path, "a", libver=("earliest", "v108")) as file:
        del file["labels"]
        file.create_dataset("labels", (24,), "u2", chunks=(8,), maxshape=(None,), compression="gzip")[:] = 0
        size = file["labels"].id.get_offset()
    content = path.read_bytes()
    at = content.find((24).to_bytes(8, "little") + b"\xff" * 8)  # rows now, rows at most
    assert size is None and at > 0
    path.write_bytes(content[:at] + (8).to_bytes(8, "little") + content[at + 8 :])


def wide_tables(path: Path) -> None:
    """A text of 250 letters among 65,536 of a table, which in NumPy would all be as long, 64 times."""
    with h5py.File(path, "a") as file:
        group = file["extra/meta_info"]
        kind = {"dtype": "S250", "chunks": (1024,), "compression": "gzip"}
        group.create_dataset("name", (65_536,), **kind)[0] = b"x" * 250
        for number in range(60):
            group[f"{number}"] = group["name"]


def one_long_text(path: Path) -> None:
    with h5py.File(path, "a") as file:
        texts = file.create_dataset("extra/meta_info/name", (5000,), h5py.string_dtype())
        texts[0] = "x" * 1_000_000


def test_bombs_are_refused_with_little_memory(sound):
    swollen(sound("labels.h5"), "labels", "u2", 24)
    swollen(sound("speaker.h5"), "extra/speaker", "u2", 24)
    swollen(sound("keys.h5"), "extra/keys", "S8", 20)
    swollen(sound("age.h5"), "extra/meta_info/age", "i2", 12)
    twice_packed(sound("twice.h5"))
    many_lists(sound("many.h5"), MAX_TABLES + 1)
    one_long_text(sound("long.h5"))
    wide_tables(sound("wide.h5"))
    with_a_tree(sound("back.h5"), 1, back=True)
    with_a_tree(sound("often.h5"), 5)
    one_chunk_many_times(sound("chunks.h5"))
    with sound("sparse.h5").open("r+b") as file:
        file.truncate(hdf5.MAX_BYTES + 1)
    folder = sound("sound.h5").parent
    paths = sorted(map(str, folder.glob("*.h5")))
    done = subprocess.run([sys.executable, "-c", READ, *paths], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    said, peak = json.loads(done.stdout)
    said = {Path(path).stem: words for path, words in said.items()}
    for name in ("labels", "speaker", "keys", "age"):
        assert "unpacks to more than its" in said[name] or "has a chunk of" in said[name], said
    assert "only gzip is known" in said["twice"] and "over MAX_TABLES" in said["many"]
    assert "leads back" in said["back"] and "leads to 65 of " in said["often"]
    assert "more than the 1 chunks that its 8 entries need" in said["chunks"]
    assert "over MAX_BYTES" in said["sparse"]
    assert said["long"] == said["wide"] == said["sound"] == "taken"
    assert peak < 400_000  # KiB


def test_many_chunks_below_many_nodes_are_read(sound, spikes):
    """A sound tree of two levels, and others that were deleted."""
    path = sound("chunks.h5")
    for length in (1, 3, 1):
        with h5py.File(path, "a") as file:
            group = file["extra/meta_info"]
            for name in ("age", "other"):
                group.pop(name, None)
                group.create_dataset(name, data=np.arange(500), chunks=(length,), maxshape=(None,))
    assert path.read_bytes().count(b"TREE\1\1") > 1
    np.testing.assert_array_equal(read_split(path).meta["age"], np.arange(500))


def test_a_text_that_would_swell_a_table_is_left_out(sound):
    path = sound("long.h5")
    one_long_text(path)
    assert set(read_split(path).meta) == {"gender", "age", "body_height"}


@pytest.mark.parametrize(
    "how",
    [{"compression": "gzip"}, {"compression": "gzip", "shuffle": True}, {"fletcher32": True},
     {"compression": "gzip", "shuffle": True, "fletcher32": True}, {"shuffle": True}],
    ids=str,
)  # fmt: skip
def test_lists_as_other_programs_pack_them_are_read(how, sound, spikes):
    path = sound("packed.h5")
    with h5py.File(path, "a") as file:
        for name, values in (("labels", spikes.labels), ("extra/speaker", spikes.speakers)):
            del file[name]
            file.create_dataset(name, data=values, chunks=(7,), maxshape=(None,), **how)
    found = read_split(path)
    np.testing.assert_array_equal(found.labels, spikes.labels)
    np.testing.assert_array_equal(found.speakers, spikes.speakers)


def test_a_chunk_of_gigabytes_is_refused(sound):
    path = sound("chunks.h5")
    with h5py.File(path, "a") as file:
        del file["extra/keys"]
        file.create_dataset(
            "extra/keys", (1,), "S1000000", chunks=(4000,), maxshape=(None,), compression="gzip"
        )
    with pytest.raises(DataError, match="over MAX_CHUNK"):
        read_split(path)


# --- archives --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_zip_packed_in_other_ways_is_refused(way, tmp_path):
    """LZMA lets a file of a hundred bytes ask for a dictionary of four gibibytes."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", way) as archive:
        archive.writestr("shd_test.h5", b"x" * 100)
    with pytest.raises(DataError, match="only deflate is known"):
        unpack(tmp_path / "a.zip", "shd_test.h5", tmp_path / "out")
    assert lzma.is_check_supported(lzma.CHECK_NONE)


def test_a_table_of_contents_of_many_megabytes_is_not_read(tmp_path):
    count = unpacking.BLOCK // 50 + 1
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("shd_test.h5", b"content")
        for number in range(count):
            archive.writestr(f"{number:05}", b"")
    with pytest.raises(DataError, match=f"asks for more than {unpacking.BLOCK} bytes at once"):
        unpack(tmp_path / "a.zip", "shd_test.h5", tmp_path / "out")


@pytest.mark.parametrize(
    "name", ["../../shd_test.h5", "/etc/shd_test.h5", "a/../../../shd_test.h5", "..\\shd_test.h5"]
)
def test_a_member_stays_where_it_is_told_to_go(name, tmp_path):
    (inner := tmp_path / "inner").mkdir()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, b"content")
    try:
        unpack(tmp_path / "a.zip", "shd_test.h5", inner / "out")
    except DataError:
        assert "\\" in name
    assert {p.name for p in tmp_path.rglob("*")} <= {"a.zip", "inner", "out"}


def test_a_link_in_a_zip_is_no_link(tmp_path):
    link = zipfile.ZipInfo("shd_test.h5")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, b"/etc/passwd")
    unpack(tmp_path / "a.zip", "shd_test.h5", tmp_path / "out")
    assert not (tmp_path / "out").is_symlink() and (tmp_path / "out").read_bytes() == b"/etc/passwd"


def hostile_tar(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, kind, link in (
            ("x/recordings/0_a_1.wav", tarfile.SYMTYPE, "/etc/passwd"),
            ("x/recordings/0_a_2.wav", tarfile.LNKTYPE, "../../outside"),
            ("x/recordings/0_a_3.wav", tarfile.CHRTYPE, ""),
            ("x/recordings/0_a_4.wav", tarfile.FIFOTYPE, ""),
            ("/recordings/0_a_5.wav", tarfile.REGTYPE, ""),
            ("../../recordings/0_a_6.wav", tarfile.REGTYPE, ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, link
            content = b"outside" if kind == tarfile.REGTYPE else b""
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_a_tar_of_links_devices_and_absolute_names_leaves_nothing(tmp_path):
    (tmp_path / "given").mkdir()
    hostile_tar(tmp_path / "given" / "a.tar.gz")
    digests = {f"0_a_{number}.wav": "0" * 64 for number in range(1, 7)}
    with pytest.raises(DataError, match="SHA-256"):
        fetch_fsdd(tmp_path / "out", data_dir=tmp_path / "given", digests=digests)
    left = {p.name for p in tmp_path.rglob("*") if p.name != "out"}
    assert left == {"given", "a.tar.gz"}
