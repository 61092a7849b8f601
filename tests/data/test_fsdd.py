"""The Free Spoken Digit Dataset: fetched from a web server here or taken from a folder, and checked."""

import csv
import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from support import ROOT, environment

from spsn.data import fsdd
from spsn.data.fsdd import fetch_fsdd, labels, published_digests
from spsn.errors import DataError

NAMES = [
    f"{digit}_{speaker}_{take}.wav" for digit in (0, 7) for speaker in ("theo", "lucas") for take in (4, 5)
]
RECORDINGS = {name: f"sound of {name}".encode() for name in NAMES}
DIGESTS = {name: hashlib.sha256(content).hexdigest() for name, content in RECORDINGS.items()}
FOLDER = "free-spoken-digit-dataset-1.0.10"
REAL = os.environ.get("SPSN_FSDD")


def archive(recordings, extra=()) -> bytes:
    """The release's layout: recordings in a folder of their own, among other files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as packed:
        named = {f"{FOLDER}/README.md": b"read me", f"{FOLDER}/recordings/notes.wav": b"unknown"}
        named |= {f"{FOLDER}/recordings/{name}": content for name, content in recordings.items()}
        for name, content in (named | dict(extra)).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return out.getvalue()


def fetch(folder, **how):
    how = {"digests": DIGESTS} | how
    return fetch_fsdd(folder, **how)


def assert_placed(folder: Path) -> None:
    assert {p.name: p.read_bytes() for p in (folder / "recordings").iterdir()} == RECORDINGS
    with (folder / "labels.csv").open(newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == sorted(NAMES)


def test_the_split_is_by_speaker_and_take():
    rows = {row["file"]: row for row in labels(NAMES)}
    assert {name for name, row in rows.items() if row["split"] == "train"} == {
        "0_lucas_5.wav",
        "7_lucas_5.wav",
    }
    assert rows["7_theo_5.wav"] == {
        "file": "7_theo_5.wav",
        "label": "seven",
        "speaker": "theo",
        "split": "test",
    }


def test_the_published_list_has_every_take_once():
    digests = published_digests()
    assert len(digests) == len(set(digests.values())) == 3000
    assert all(len(bytes.fromhex(digest)) == 32 for digest in digests.values())
    rows = list(labels(digests))
    assert Counter(row["split"] for row in rows) == {"train": 2250, "test": 750}
    assert Counter((row["label"], row["speaker"]) for row in rows).most_common()[-1][1] == 50
    assert Counter(row["speaker"] for row in rows if row["split"] == "test")["theo"] == 500


def test_from_the_web_through_a_redirect(server, tmp_path, monkeypatch):
    """The release's address leads to another host, which must be one that is known."""
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    server.serve("/tags/v1.tar.gz", b"", status=302, headers={"Location": f"{elsewhere}/packed"})
    server.serve("/packed", archive(RECORDINGS))
    with pytest.raises(DataError, match="localhost"):
        fetch(tmp_path / "a", archive=f"{server.url}/tags/v1.tar.gz", attempts=1)
    monkeypatch.setattr(fsdd, "HOSTS", ("localhost",))
    found = fetch(tmp_path / "b", archive=f"{server.url}/tags/v1.tar.gz")
    assert found["url"] == f"{server.url}/tags/v1.tar.gz" and found["recordings"] == len(NAMES)
    assert_placed(tmp_path / "b")
    assert {p.name for p in (tmp_path / "b").iterdir()} == {"labels.csv", "recordings"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (archive(RECORDINGS | {NAMES[3]: b"another"}), f"{NAMES[3]} has SHA-256"),
        (
            archive({name: RECORDINGS[name] for name in NAMES[1:]}),
            f"1 of 8 recordings are missing, first {NAMES[0]}",
        ),
        (archive(RECORDINGS)[:-40], "cannot be unpacked"),
        (b"<html>gone</html>", "a web page, not the archive"),
        (archive({}), "8 of 8 recordings are missing"),
        (archive(RECORDINGS | {NAMES[0]: b"x" * (fsdd.LARGEST + 1)}), "over LARGEST"),
    ],
    ids=["changed", "incomplete", "truncated", "page", "empty", "huge"],
)
def test_a_wrong_archive_leaves_what_was_there(content, words, server, tmp_path):
    server.serve("/good.tar.gz", archive(RECORDINGS))
    fetch(tmp_path, archive=f"{server.url}/good.tar.gz")
    server.serve("/bad.tar.gz", content)
    with pytest.raises(DataError, match=words) as caught:
        fetch(tmp_path, archive=f"{server.url}/bad.tar.gz")
    assert "bad.tar.gz" in str(caught.value) and "By hand" in str(caught.value)
    assert_placed(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["labels.csv", "recordings"]


def test_members_that_leave_their_folder_are_left_alone(server, tmp_path):
    outside = {f"../../recordings/{NAMES[0]}": RECORDINGS[NAMES[0]], "/tmp/recordings/evil.wav": b"evil"}
    server.serve("/a.tar.gz", archive(RECORDINGS, outside))
    fetch(tmp_path / "deep" / "folder", archive=f"{server.url}/a.tar.gz")
    assert_placed(tmp_path / "deep" / "folder")
    assert [p.name for p in tmp_path.iterdir()] == ["deep"]


def headers(*members: tuple[bytes, int], then: bytes = b"") -> bytes:
    """A .tar.gz of headers of these types and sizes in bytes, all called like a recording, with `then` after
    them.
    """
    blocks = []
    for kind, size in members:
        member = tarfile.TarInfo(f"recordings/{NAMES[0]}")
        member.type, member.size = kind, size
        blocks.append(member.tobuf(tarfile.GNU_FORMAT))
    return gzip.compress(b"".join(blocks) + then, 1)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_name_that_would_fill_the_memory_is_not_read(kind, tmp_path):
    size = 64 << 20
    (tmp_path / "bomb.tar.gz").write_bytes(headers((kind, size), then=bytes(size)))
    assert (tmp_path / "bomb.tar.gz").stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=f"a piece of {size} bytes, over LARGEST"):
            fetch(tmp_path / "data", data_dir=tmp_path / "bomb.tar.gz")
        assert tracemalloc.get_traced_memory()[1] < size / 4
    finally:
        tracemalloc.stop()


def test_what_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    content = archive(RECORDINGS, {"large": bytes(40_000)})
    (tmp_path / "a.tar.gz").write_bytes(content)
    size = len(gzip.decompress(content))
    monkeypatch.setattr(fsdd, "LARGEST_UNPACKED", size)
    fetch(tmp_path / "data", data_dir=tmp_path / "a.tar.gz")
    monkeypatch.setattr(fsdd, "LARGEST_UNPACKED", 20_000)
    with pytest.raises(DataError, match="bytes or more, over LARGEST_UNPACKED = 20000"):
        fetch(tmp_path / "data", data_dir=tmp_path / "a.tar.gz")
    assert_placed(tmp_path / "data")


@pytest.mark.parametrize(
    "members",
    [
        [(tarfile.REGTYPE, -512)],
        [(tarfile.GNUTYPE_LONGNAME, -512)],
        [(tarfile.GNUTYPE_LONGNAME, 0)] * 3000,
        [(b"?", 0)] * 3000,
    ],
    ids=["leads back", "less than nothing", "names of names", "unknown"],
)
def test_headers_of_no_sound_archive_are_refused(members, tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(headers(*members, then=bytes(1024)))
    with pytest.raises(DataError, match=r"a\.tar\.gz: .*By hand"):
        fetch(tmp_path / "data", data_dir=tmp_path / "a.tar.gz")
    assert not list((tmp_path / "data").iterdir())


CODE = """
import json, logging, os, signal, sys
from spsn.data import fsdd
logging.basicConfig(level="INFO")
real = os.replace
def replace(a, b):
    real(a, b)
    if sys.argv[4] and os.fspath(b).endswith("/old"):
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace
fsdd.fetch_fsdd(sys.argv[1], archive=sys.argv[2], digests=json.loads(sys.argv[3]), pause=0)
"""


def start(folder: Path, url: str, killed: str = "") -> subprocess.Popen:
    """Fetch in a process of its own; `killed`: it dies when the old recordings have been moved aside."""
    command = [sys.executable, "-c", CODE, str(folder), url, json.dumps(DIGESTS), killed]
    return subprocess.Popen(command, env=environment(ROOT), text=True, stderr=subprocess.PIPE)


def test_two_processes_at_once(server, tmp_path):
    """The second waits for the first; both succeed."""
    content = archive(RECORDINGS)
    server.serve("/a.tar.gz", content, cut=len(content) - 1, stall=True)
    server.serve("/a.tar.gz", content)
    first = start(tmp_path, f"{server.url}/a.tar.gz")
    until = time.monotonic() + 30
    while not server.asked:
        assert time.monotonic() < until and first.poll() is None
        time.sleep(0.01)
    second = start(tmp_path, f"{server.url}/a.tar.gz")
    assert "another process is at work on it" in second.stderr.readline()
    server.go_on.set()
    errors = [process.communicate()[1] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], errors
    assert_placed(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["labels.csv", "recordings"]


@pytest.mark.parametrize("good", [True, False], ids=["fetched", "put back"])
def test_a_process_that_is_killed_takes_nothing_with_it(good, server, tmp_path):
    """Though it dies where the old recordings have gone and the new ones not yet come."""
    server.serve("/a.tar.gz", archive(RECORDINGS))
    server.serve("/bad.tar.gz", b"bad")
    fetch(tmp_path, archive=f"{server.url}/a.tar.gz")
    process = start(tmp_path, f"{server.url}/a.tar.gz", "killed")
    process.communicate()
    assert process.returncode == -signal.SIGKILL and not (tmp_path / "recordings").exists()
    if good:
        fetch(tmp_path, archive=f"{server.url}/a.tar.gz")
    else:
        with pytest.raises(DataError, match="cannot be unpacked"):
            fetch(tmp_path, archive=f"{server.url}/bad.tar.gz")
    assert_placed(tmp_path)
    left = {p.name for p in tmp_path.iterdir()} - {".downloads"}
    assert left == {"labels.csv", "recordings"}


@pytest.mark.parametrize("place", ["", "the archive itself"])
def test_what_cannot_be_read_is_named(place, tmp_path):
    """Not the place for the recordings. The memory of a process, read at 0, fails as a broken disk does."""
    if not Path("/proc/self/mem").exists():
        pytest.skip("needs /proc/self/mem")
    mine = tmp_path / "mine"
    mine.mkdir()
    bad = mine / (NAMES[0] if not place else f"{FOLDER}.tar.gz")
    bad.symlink_to("/proc/self/mem")
    with pytest.raises(DataError, match=rf"{bad} cannot be read \(Input/output error\)") as caught:
        fetch(tmp_path / "data", data_dir=bad if place else mine)
    assert "written" not in str(caught.value)


def test_a_recording_that_is_no_file(tmp_path):
    (tmp_path / NAMES[0]).mkdir()
    (tmp_path / NAMES[1]).write_bytes(b"")
    with pytest.raises(DataError, match=f"{NAMES[0]}: a folder, not a file"):
        fetch(tmp_path / "data", data_dir=tmp_path)


@pytest.mark.parametrize("place", ["", "recordings", "archive", "archive by its tag", "the archive itself"])
def test_from_a_folder_without_a_network(place, tmp_path):
    mine = tmp_path / "mine"
    (mine / "recordings").mkdir(parents=True)
    if "archive" in place:
        name = "v1.0.10" if "tag" in place else FOLDER
        (mine / f"{name}.tar.gz").write_bytes(archive(RECORDINGS))
    else:
        for name, content in RECORDINGS.items():
            (mine / place / name).write_bytes(content)
    if place == "the archive itself":
        mine /= f"{FOLDER}.tar.gz"
    assert fetch(tmp_path / "data", data_dir=mine)["url"].startswith(mine.as_uri())
    assert_placed(tmp_path / "data")


def test_a_folder_that_holds_nothing_or_something_else(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: holds neither.*By hand"):
        fetch(tmp_path / "data", data_dir=tmp_path / "nowhere")
    (tmp_path / NAMES[0]).write_bytes(b"other")
    with pytest.raises(DataError, match=f"{NAMES[0]} has SHA-256"):
        fetch(tmp_path / "data", data_dir=tmp_path)
    assert not list((tmp_path / "data").iterdir())


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        fetch(tmp_path / "file" / "data", data_dir=tmp_path)


@pytest.mark.skipif(not REAL, reason="needs SPSN_FSDD, a folder with the release's archive")
def test_the_real_archive_has_every_recording(server, tmp_path):
    packed = next(Path(REAL).glob("free-spoken-digit-dataset-*.tar.gz")).read_bytes()
    server.serve("/v1.0.10.tar.gz", packed)
    fetch_fsdd(tmp_path, archive=f"{server.url}/v1.0.10.tar.gz")
    assert len(list((tmp_path / "recordings").iterdir())) == 3000
