"""The Free Spoken Digit Dataset: fetched from a web server here or taken from a folder, and checked."""

import csv
import hashlib
import io
import os
import tarfile
from collections import Counter
from pathlib import Path

import pytest

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
    assert not list((tmp_path / "b" / ".downloads").iterdir())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (archive(RECORDINGS | {NAMES[3]: b"another"}), f"{NAMES[3]} has SHA-256"),
        (
            archive({name: RECORDINGS[name] for name in NAMES[1:]}),
            f"1 of 8 recordings are missing, first {NAMES[0]}",
        ),
        (archive(RECORDINGS)[:-40], "cannot be unpacked"),
        (b"<html>gone</html>", "cannot be unpacked"),
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
    assert not list((tmp_path / ".downloads").iterdir())
    assert sorted(p.name for p in tmp_path.iterdir()) == [".downloads", "labels.csv", "recordings"]


def test_members_that_leave_their_folder_are_left_alone(server, tmp_path):
    outside = {f"../../recordings/{NAMES[0]}": RECORDINGS[NAMES[0]], "/tmp/recordings/evil.wav": b"evil"}
    server.serve("/a.tar.gz", archive(RECORDINGS, outside))
    fetch(tmp_path / "deep" / "folder", archive=f"{server.url}/a.tar.gz")
    assert_placed(tmp_path / "deep" / "folder")
    assert [p.name for p in tmp_path.iterdir()] == ["deep"]


@pytest.mark.parametrize("place", ["", "recordings", "archive"])
def test_from_a_folder_without_a_network(place, tmp_path):
    mine = tmp_path / "mine"
    (mine / "recordings").mkdir(parents=True)
    if place == "archive":
        (mine / f"{FOLDER}.tar.gz").write_bytes(archive(RECORDINGS))
    else:
        for name, content in RECORDINGS.items():
            (mine / place / name).write_bytes(content)
    assert fetch(tmp_path / "data", data_dir=mine)["url"].startswith("file:")
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
