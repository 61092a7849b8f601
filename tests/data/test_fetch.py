"""Fetching from a web server on this machine that serves good, broken, wrong and absent archives."""

import gzip
import hashlib
import io
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from spsn.data.fetch import ARCHIVES, SOURCES, fetch, use_existing
from spsn.data.shd import Expectation, read_split, write_split
from spsn.errors import DataError

NAME = "shd_test.h5"
EXPECT = Expectation(24, 20)
PAGE = b"<!DOCTYPE html><html><body>Sorry</body></html>"


def zipped(content: bytes, name: str = NAME) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"__MACOSX/._{name}", b"finder")
        archive.writestr(f"datasets/{name}", content)
    return out.getvalue()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@dataclass
class Published:
    """A file, its two archives, and what `fetch` is told about them."""

    content: bytes
    zip: bytes
    gz: bytes

    def fetch(self, server, folder: Path, **changes) -> dict:
        settings = {
            "sources": [f"{server.url}/first/", f"{server.url}/second"],
            "archives": {f"{NAME}.zip": md5(self.zip), f"{NAME}.gz": md5(self.gz)},
            "expect": EXPECT,
            "timeout": 5.0,
            "pause": 0.0,
        }
        return fetch(NAME, folder, **(settings | changes))


@pytest.fixture(scope="module")
def published(tmp_path_factory, make_spikes) -> Published:
    path = tmp_path_factory.mktemp("published") / NAME
    write_split(path, make_spikes())
    content = path.read_bytes()
    return Published(content, zipped(content), gzip.compress(content, mtime=0))


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "data"


def assert_placed(folder: Path, content: bytes) -> None:
    assert [p.name for p in folder.iterdir()] == [NAME]
    assert (folder / NAME).read_bytes() == content


def test_good_zip(published, server, folder):
    server.serve("/first/shd_test.h5.zip", published.zip)
    found = published.fetch(server, folder)
    assert_placed(folder, published.content)
    assert found == {
        "file": NAME,
        "url": f"{server.url}/first/{NAME}.zip",
        "md5": md5(published.zip),
        "sha256": hashlib.sha256(published.content).hexdigest(),
        "bytes": len(published.content),
    }
    assert server.asked == ["/first/shd_test.h5.zip"]


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}])
def test_good_gz(headers, published, server, folder):
    """Some servers declare a .gz as an encoding of the file: it must be checked as it was sent."""
    server.serve("/first/shd_test.h5.gz", published.gz, headers=headers)
    found = published.fetch(server, folder)
    assert_placed(folder, published.content)
    assert found["url"].endswith("/first/shd_test.h5.gz") and found["md5"] == md5(published.gz)
    assert server.asked == ["/first/shd_test.h5.zip", "/first/shd_test.h5.gz"]


@pytest.mark.parametrize("broken", ["changed", "page", "empty"])
def test_a_bad_archive_sends_to_the_next_source(broken, published, server, folder):
    changed = published.zip[:-1] + bytes([published.zip[-1] ^ 1])
    bad = {"changed": changed, "page": PAGE, "empty": b""}[broken]
    server.serve("/first/shd_test.h5.zip", bad)
    server.serve("/second/shd_test.h5.zip", published.zip)
    assert published.fetch(server, folder)["url"].startswith(f"{server.url}/second/")
    assert_placed(folder, published.content)


def test_a_truncated_body_is_tried_again_then_given_up(published, server, folder):
    for _ in range(2):
        server.serve("/first/shd_test.h5.zip", published.zip[:-100], declared=len(published.zip))
    server.serve("/first/shd_test.h5.zip", published.zip)
    assert "/first/" in published.fetch(server, folder)["url"]
    assert_placed(folder, published.content)
    server.replies.clear()
    server.serve("/first/shd_test.h5.zip", published.zip[:-100], declared=len(published.zip))
    with pytest.raises(DataError, match="shd_test.h5.zip: .*IncompleteRead"):
        published.fetch(server, folder / "other")
    assert not list((folder / "other").iterdir())


def test_a_busy_server_is_asked_again_an_absent_file_is_not(published, server, folder):
    server.serve("/first/shd_test.h5.gz", b"busy", status=503)
    server.serve("/first/shd_test.h5.gz", published.gz)
    published.fetch(server, folder)
    assert server.asked == ["/first/shd_test.h5.zip"] + ["/first/shd_test.h5.gz"] * 2


def test_a_server_that_falls_silent_is_left_for_the_next(published, server, folder):
    half, whole = published.zip[: len(published.zip) // 2], len(published.zip)
    server.serve("/first/shd_test.h5.zip", half, declared=whole, stall=True)
    server.serve("/first/shd_test.h5.gz", b"", declared=whole, stall=True)
    server.serve("/second/shd_test.h5.zip", published.zip)
    assert "/second/" in published.fetch(server, folder, timeout=0.2, attempts=1)["url"]
    assert_placed(folder, published.content)


def test_absent_everywhere(published, server, folder):
    with pytest.raises(DataError) as caught:
        published.fetch(server, folder)
    message = str(caught.value)
    for source in ("first", "second"):
        for kind in ("zip", "gz"):
            assert f"{server.url}/{source}/{NAME}.{kind}: 404" in message
    assert str(folder / NAME) in message and "By hand" in message and "data_dir" in message
    assert not list(folder.iterdir())


def test_nobody_answers(published, server, folder):
    server.close()
    with pytest.raises(DataError, match="could not be fetched"):
        published.fetch(server, folder, attempts=2)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_an_unpackable_archive_of_the_right_md5(kind, published, server, folder):
    cut = getattr(published, kind)[:-20]
    server.serve(f"/first/{NAME}.{kind}", cut)
    with pytest.raises(DataError, match="cannot be unpacked"):
        published.fetch(server, folder, archives={f"{NAME}.{kind}": md5(cut)})
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("archive", "wanted"),
    [
        (zipped(b"x", "other.h5"), "holds 0 files called shd_test.h5"),
        (zipped(PAGE), r"refused: shd_test\.h5: a web page"),
        (zipped(b"\x89HDF\r\n\x1a\n" + b"\0" * 500), r"refused: shd_test\.h5: not a whole HDF5 file"),
    ],
)
def test_contents_are_checked_after_the_checksum(archive, wanted, published, server, folder):
    server.serve("/first/shd_test.h5.zip", archive)
    with pytest.raises(DataError, match=wanted):
        published.fetch(server, folder, archives={f"{NAME}.zip": md5(archive)})
    assert not list(folder.iterdir())


def test_the_number_of_samples_is_that_of_shd_unless_told_otherwise(published, server, folder):
    server.serve("/first/shd_test.h5.zip", published.zip)
    with pytest.raises(DataError, match="24 samples where 2264 are expected"):
        published.fetch(server, folder, expect=None)


def test_a_failed_fetch_leaves_the_old_file(published, server, folder):
    folder.mkdir()
    (folder / NAME).write_bytes(b"old")
    with pytest.raises(DataError):
        published.fetch(server, folder)
    assert_placed(folder, b"old")


def test_a_folder_that_cannot_be_made_is_a_data_error(published, server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        published.fetch(server, tmp_path / "file")


def test_published_sources_and_checksums():
    assert SOURCES == ("https://zenkelab.org/datasets/", "https://compneuro.net/datasets/")
    assert [name for name in ARCHIVES if name.startswith("shd_train")] == [
        "shd_train.h5.zip",
        "shd_train.h5.gz",
    ]
    assert all(len(bytes.fromhex(value)) == 16 for value in ARCHIVES.values())


def test_existing_file_is_checked_and_linked(published, tmp_path, folder):
    (tmp_path / "mine").mkdir()
    source = tmp_path / "mine" / NAME
    source.write_bytes(published.content)
    found = use_existing(tmp_path / "mine", NAME, folder, expect=EXPECT)
    assert (folder / NAME).is_symlink() and (folder / NAME).samefile(source)
    assert found["url"] == source.as_uri() and found["bytes"] == len(published.content)
    assert found["sha256"] == hashlib.sha256(published.content).hexdigest()
    assert use_existing(tmp_path / "mine", NAME, folder, expect=EXPECT) == found
    assert [p.name for p in folder.iterdir()] == [NAME]


def test_existing_file_in_the_folder_itself_stays(published, folder):
    folder.mkdir()
    (folder / NAME).write_bytes(published.content)
    use_existing(folder, NAME, folder, expect=EXPECT)
    assert not (folder / NAME).is_symlink()
    assert_placed(folder, published.content)


def test_existing_file_is_copied_where_links_cannot_be_made(published, tmp_path, folder, monkeypatch):
    (tmp_path / NAME).write_bytes(published.content)

    def no_links(*_):
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", no_links)
    use_existing(tmp_path, NAME, folder, expect=EXPECT)
    assert not (folder / NAME).is_symlink()
    assert_placed(folder, published.content)


def test_existing_file_that_is_absent_or_wrong(published, tmp_path, folder):
    with pytest.raises(DataError, match=rf"{tmp_path}/{NAME}: no such file.*By hand"):
        use_existing(tmp_path, NAME, folder)
    (tmp_path / NAME).write_bytes(published.content)
    with pytest.raises(DataError, match="24 samples where 2264"):
        use_existing(tmp_path, NAME, folder)
    assert not folder.exists()


def test_other_data_sets_may_have_any_size(published, make_spikes, tmp_path, folder):
    (tmp_path / "mine.h5").write_bytes(published.content)
    use_existing(tmp_path, "mine.h5", folder)
    np.testing.assert_array_equal(read_split(folder / "mine.h5").units, make_spikes().units)


@pytest.mark.parametrize("library", ["requests", "tqdm"])
def test_without_its_libraries_it_says_what_to_install(library, folder):
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from spsn.data.fetch import fetch\n"
        "from spsn.errors import DataError\n"
        "try: fetch('shd_test.h5', sys.argv[1])\n"
        "except DataError as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert library in run.stdout and "install spsn[pipeline]" in run.stdout
