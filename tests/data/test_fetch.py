"""Fetching from a web server on this machine that serves good, broken, wrong and absent archives."""

import gzip
import hashlib
import io
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support import ROOT, environment

from spsn.data import checks, existing, unpack
from spsn.data import fetch as fetching
from spsn.data.download import DownloadError
from spsn.data.existing import use_existing
from spsn.data.fetch import ARCHIVES, SOURCES, fetch
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
            "archives": self.archives(),
            "expect": EXPECT,
            "timeout": 5.0,
            "pause": 0.0,
        }
        return fetch(NAME, folder, **(settings | changes))

    def archives(self) -> dict[str, str]:
        return {f"{NAME}.zip": md5(self.zip), f"{NAME}.gz": md5(self.gz)}


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
    assert (folder / NAME).read_bytes() == content
    assert [p.name for p in folder.iterdir()] == [NAME]


def kept(folder: Path) -> list[str]:
    """What waits in a folder for the next try."""
    return sorted(p.name for p in (folder / ".downloads").glob("*"))


def assert_nothing(folder: Path, *waiting: str) -> None:
    assert [p.name for p in folder.iterdir()] == [".downloads"] * bool(waiting)
    assert kept(folder) == sorted(waiting)


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
        server.serve("/first/shd_test.h5.zip", published.zip, cut=len(published.zip) - 100)
    server.serve("/first/shd_test.h5.zip", published.zip)
    assert "/first/" in published.fetch(server, folder)["url"]
    assert_placed(folder, published.content)
    server.replies.clear()
    server.serve("/first/shd_test.h5.zip", published.zip, cut=len(published.zip) - 100)
    with pytest.raises(DataError, match="shd_test.h5.zip: .*100 more expected.*are kept in"):
        published.fetch(server, folder / "other", attempts=2)
    assert_nothing(folder / "other", f"{NAME}.zip.part", f"{NAME}.zip.part.json")


def test_an_archive_that_is_shorter_than_it_should_be(published, server, folder):
    """Nothing but the md5 tells."""
    server.serve("/first/shd_test.h5.zip", published.zip[:-100], declared=None)
    server.serve("/second/shd_test.h5.gz", published.gz[:-100])
    with pytest.raises(DataError, match=r"zip: md5 .* instead of[\s\S]*gz: md5 .* instead of"):
        published.fetch(server, folder)
    assert_nothing(folder)


def test_a_line_that_is_cut_again_and_again(published, server, folder):
    chance = np.random.default_rng(0)
    cut = lambda left: left if left < 50 else int(chance.integers(1, left // 2))  # noqa: E731
    server.serve("/first/shd_test.h5.zip", published.zip, ranges=True, cut=cut)
    published.fetch(server, folder, attempts=1)
    assert_placed(folder, published.content)
    assert len(server.asked) > 5 and server.sent == len(published.zip)


def test_the_mirror_goes_on_where_the_host_broke_off(published, server, folder):
    half = len(published.zip) // 2
    server.serve("/first/shd_test.h5.zip", published.zip, cut=half)
    server.serve("/second/shd_test.h5.zip", published.zip, ranges=True)
    found = published.fetch(server, folder, attempts=1)
    assert found["url"].startswith(f"{server.url}/second/")
    assert_placed(folder, published.content)
    assert server.ranges()[-1] == f"bytes={half}-"


def test_a_source_may_lead_to_another_source_but_not_elsewhere(published, server, folder):
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    server.serve("/first/shd_test.h5.zip", b"", status=302, headers={"Location": f"{elsewhere}/moved"})
    server.serve("/moved", published.zip)
    with pytest.raises(DataError, match="127.0.0.1 redirects to localhost"):
        published.fetch(server, folder)
    assert_nothing(folder)
    published.fetch(server, folder, sources=[f"{server.url}/first", f"{elsewhere}/second"])
    assert_placed(folder, published.content)


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
    assert "/second/" in published.fetch(server, folder, timeout=0.4, attempts=1)["url"]
    assert_placed(folder, published.content)


def test_absent_everywhere(published, server, folder):
    with pytest.raises(DataError) as caught:
        published.fetch(server, folder)
    message = str(caught.value)
    for source in ("first", "second"):
        for kind in ("zip", "gz"):
            assert f"{server.url}/{source}/{NAME}.{kind}: 404" in message
    assert str(folder / NAME) in message and "By hand" in message and "data_dir" in message
    assert_nothing(folder)


def test_nobody_answers(published, server, folder):
    """A source that is silent is not asked for its other archive; the way by hand is told."""
    server.close()
    with pytest.raises(DataError, match="could not be fetched") as caught:
        published.fetch(server, folder, attempts=2)
    message = str(caught.value)
    assert message.count("Connection refused") == 2 and f"{NAME}.gz: " not in message
    assert "By hand" in message and "data_dir" in message
    assert_nothing(folder)


@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_an_unpackable_archive_of_the_right_md5(kind, published, server, folder):
    cut = getattr(published, kind)[:-20]
    server.serve(f"/first/{NAME}.{kind}", cut)
    with pytest.raises(DataError, match="cannot be unpacked"):
        published.fetch(server, folder, archives={f"{NAME}.{kind}": md5(cut)})
    assert_nothing(folder)


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
    assert_nothing(folder)


def test_the_same_wrong_archive_is_not_asked_for_elsewhere(published, server, folder):
    """The same md5 brings the same bytes; the other archive may hold better ones."""
    bad = zipped(PAGE)
    for source in ("first", "second"):
        server.serve(f"/{source}/{NAME}.zip", bad)
    server.serve(f"/second/{NAME}.gz", published.gz)
    archives = published.archives() | {f"{NAME}.zip": md5(bad)}
    assert published.fetch(server, folder, archives=archives)["url"].endswith(f"/second/{NAME}.gz")
    assert server.asked == [f"/first/{NAME}.zip", f"/first/{NAME}.gz", f"/second/{NAME}.gz"]
    assert_placed(folder, published.content)


def test_an_archive_is_kept_when_the_memory_is_too_small(published, server, folder, monkeypatch):
    server.serve("/first/shd_test.h5.zip", published.zip)
    with monkeypatch.context() as patched:
        patched.setattr(unpack, "read_split", lambda _: np.empty(1 << 50, "u1"))
        with pytest.raises(DataError, match=r"not enough memory.*\.downloads") as caught:
            published.fetch(server, folder)
    assert not isinstance(caught.value, DownloadError) and "damaged" not in str(caught.value)
    assert_nothing(folder, f"{NAME}.zip", f"{NAME}.zip.url")
    published.fetch(server, folder)
    assert server.asked == ["/first/shd_test.h5.zip"]
    assert_placed(folder, published.content)


def test_the_portal_of_a_network_costs_nothing(published, server, folder):
    """It answers everything; whoever gets through it goes on where the line broke."""
    half = len(published.zip) // 2
    server.serve("/first/shd_test.h5.zip", published.zip, cut=half, headers={"ETag": '"1"'})
    for _ in range(2):
        server.serve("/first/shd_test.h5.zip", PAGE)
    server.serve("/first/shd_test.h5.zip", published.zip, ranges=True, headers={"ETag": '"1"'})
    how = {"sources": [f"{server.url}/first"]}
    for _ in range(2):
        with pytest.raises(DataError, match=f"a web page instead of the file.*{half} bytes are kept"):
            published.fetch(server, folder, **how)
        assert_nothing(folder, f"{NAME}.zip.part", f"{NAME}.zip.part.json")
    published.fetch(server, folder, **how)
    assert_placed(folder, published.content)
    assert server.ranges()[-1] == f"bytes={half}-"


@pytest.mark.parametrize("name", ["foo.h5", "shd_test.h5.zip", "SHD_test.h5"])
def test_what_nobody_publishes_is_not_looked_for(name, folder):
    with pytest.raises(
        DataError, match=rf"{name}: only shd_test\.h5 and shd_train\.h5 can be fetched"
    ) as caught:
        fetch(name, folder)
    assert "By hand" not in str(caught.value) and not folder.exists()


def test_an_existing_archive_that_cannot_be_read(tmp_path, folder):
    if not Path("/proc/self/mem").exists():
        pytest.skip("needs /proc/self/mem")
    (tmp_path / f"{NAME}.zip").symlink_to("/proc/self/mem")
    with pytest.raises(DataError, match=rf"{NAME}\.zip: cannot be read \(Input/output error\)"):
        use_existing(tmp_path, NAME, folder)


def test_a_published_archive_must_hold_the_published_number_of_samples(
    published, server, folder, monkeypatch
):
    monkeypatch.setitem(ARCHIVES, f"{NAME}.zip", md5(published.zip))
    server.serve("/first/shd_test.h5.zip", published.zip)
    with pytest.raises(DataError, match="24 samples where 2264 are expected"):
        published.fetch(server, folder, expect=None)
    assert_nothing(folder)


def test_an_archive_of_another_md5_may_hold_any_number_of_samples(published, server, folder):
    server.serve("/first/shd_test.h5.zip", published.zip)
    published.fetch(server, folder, expect=None)
    assert_placed(folder, published.content)


@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_an_archive_that_would_fill_the_disk_is_refused(kind, published, server, folder, monkeypatch):
    monkeypatch.setattr(unpack, "MAX_FILE_BYTES", len(published.content) - 1)
    server.serve(f"/first/{NAME}.{kind}", getattr(published, kind))
    with pytest.raises(DataError, match=f"over MAX_FILE_BYTES = {len(published.content) - 1}"):
        published.fetch(server, folder)
    assert_nothing(folder)


def test_a_bomb_that_lies_about_its_size_is_refused(tmp_path, monkeypatch):
    """The size in a .zip's list is that of one byte; what comes out counts."""
    content = bytes(3 << 20)
    packed = zipped(content).replace(len(content).to_bytes(4, "little"), (1).to_bytes(4, "little"))
    (tmp_path / "bomb.zip").write_bytes(packed)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(content))
    monkeypatch.setattr(unpack, "MAX_FILE_BYTES", 2 << 20)
    for kind in ("zip", "gz"):
        with pytest.raises(DataError, match="MAX_FILE_BYTES|cannot be unpacked"):
            unpack.unpack(tmp_path / f"bomb.{kind}", NAME, tmp_path / "out")
        assert (tmp_path / "out").stat().st_size <= 2 << 20


def test_what_was_downloaded_is_kept_when_the_disk_is_full(published, server, folder):
    """A limit on file sizes stands for the disk: the archive has room, what is in it has none."""
    assert len(published.zip) < len(published.content) - 1
    server.serve("/first/shd_test.h5.zip", published.zip)
    limit = len(published.content) - 1
    code = (
        "import resource, sys\n"
        "from spsn.data.fetch import fetch\n"
        "from spsn.errors import DataError\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        f"try: fetch({NAME!r}, sys.argv[1], sources=[sys.argv[2]], archives={published.archives()})\n"
        "except DataError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, folder, f"{server.url}/first"]
    run = subprocess.run(command, env=environment(ROOT), capture_output=True, text=True, check=True)
    assert f"{folder / NAME}: cannot be written" in run.stdout and "Make room" in run.stdout
    assert_nothing(folder, f"{NAME}.zip", f"{NAME}.zip.url")
    asked = list(server.asked)
    assert published.fetch(server, folder)["url"] == f"{server.url}/first/{NAME}.zip"
    assert server.asked == asked
    assert_placed(folder, published.content)


def test_a_wrong_archive_that_lies_there_is_removed(published, server, folder):
    (folder / ".downloads").mkdir(parents=True)
    (folder / ".downloads" / f"{NAME}.zip").write_bytes(published.zip[:-1])
    with pytest.raises(DataError, match="404"):
        published.fetch(server, folder)
    assert_nothing(folder)


def test_what_a_killed_process_left_is_in_nobodys_way(published, server, folder):
    (folder / ".downloads").mkdir(parents=True)
    for left in (NAME, f"{NAME}.lock", f"{NAME}.gz.part"):
        (folder / ".downloads" / left).write_bytes(b"left")
    server.serve("/first/shd_test.h5.zip", published.zip)
    published.fetch(server, folder)
    assert_placed(folder, published.content)


def test_several_at_once(published, server, folder):
    """Each waits for the one before it, and all bring the same."""
    server.serve("/first/shd_test.h5.zip", published.zip, trickle=1000)
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda _: published.fetch(server, folder), range(3)))
    assert found[0] == found[1] == found[2]
    assert_placed(folder, published.content)


def test_an_archive_put_there_by_hand_is_taken(published, server, folder):
    (folder / ".downloads").mkdir(parents=True)
    (folder / ".downloads" / f"{NAME}.zip").write_bytes(PAGE)
    (folder / ".downloads" / f"{NAME}.gz").write_bytes(published.gz)
    found = published.fetch(server, folder)
    assert found["url"] == (folder / ".downloads" / f"{NAME}.gz").as_uri() and not server.asked
    assert_placed(folder, published.content)


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
    assert [p.name for p in tmp_path.iterdir()] == ["file"] and not server.asked


def test_published_sources_and_checksums():
    assert SOURCES == ("https://zenkelab.org/datasets/", "https://compneuro.net/datasets/")
    assert [name for name in ARCHIVES if name.startswith("shd_train")] == [
        "shd_train.h5.zip",
        "shd_train.h5.gz",
    ]
    assert all(len(bytes.fromhex(value)) == 16 for value in ARCHIVES.values())
    assert existing.FILES.keys() == checks.SHD_EXPECTED.keys()
    assert fetching._hosts(SOURCES) == {
        "zenkelab.org",
        "www.zenkelab.org",
        "compneuro.net",
        "www.compneuro.net",
    }


def test_existing_file_is_checked_and_linked(published, tmp_path, folder):
    (tmp_path / "mine").mkdir()
    source = tmp_path / "mine" / NAME
    source.write_bytes(published.content)
    found = use_existing(tmp_path / "mine", NAME, folder, expect=EXPECT)
    assert (folder / NAME).is_symlink() and (folder / NAME).samefile(source)
    assert found["url"] == source.as_uri() and found["bytes"] == len(published.content)
    assert found["sha256"] == hashlib.sha256(published.content).hexdigest()
    assert found["md5"] == md5(published.content) and found["published_md5"] is False
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


def test_existing_file_of_a_published_md5(published, tmp_path, folder, monkeypatch, caplog):
    """Contents with SHD's numbers and another md5 are taken, with a warning."""
    (tmp_path / NAME).write_bytes(published.content)
    use_existing(tmp_path, NAME, folder, expect=EXPECT)
    assert "its md5 is not one that is published" in caplog.text
    caplog.clear()
    monkeypatch.setitem(existing.FILES, NAME, md5(published.content))
    assert use_existing(tmp_path, NAME, folder, expect=EXPECT)["published_md5"] is True
    assert not caplog.text


def test_existing_file_that_says_that_it_is_something_else(make_spikes, published, tmp_path, folder):
    write_split(tmp_path / NAME, make_spikes(), made_by="synthetic digits")
    with pytest.raises(DataError, match=rf"{NAME}: is not SHD.*'synthetic digits'.*By hand"):
        use_existing(tmp_path, NAME, folder, expect=EXPECT)
    assert not folder.exists()
    found = use_existing(tmp_path, NAME, folder, archives=published.archives())  # then nobody says it is SHD
    assert found["published_md5"] is False and (folder / NAME).exists()


@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_existing_archive_is_unpacked(kind, published, tmp_path, folder):
    source = tmp_path / f"{NAME}.{kind}"
    source.write_bytes(getattr(published, kind))
    found = use_existing(tmp_path, NAME, folder, archives=published.archives())
    assert found["url"] == source.as_uri() and found["md5"] == md5(getattr(published, kind))
    assert found["published_md5"] is False and found["file"] == NAME
    assert found["sha256"] == hashlib.sha256(published.content).hexdigest()
    assert_placed(folder, published.content)
    assert not (folder / NAME).is_symlink() and source.exists()


def test_existing_archive_that_is_wrong(published, tmp_path, folder):
    (tmp_path / f"{NAME}.zip").write_bytes(published.zip)
    with pytest.raises(DataError, match=rf"{NAME}\.zip has md5 .* not {ARCHIVES[f'{NAME}.zip']}.*By hand"):
        use_existing(tmp_path, NAME, folder)
    assert not folder.exists()
    cut = published.zip[:-30]
    (tmp_path / f"{NAME}.zip").write_bytes(cut)
    with pytest.raises(DataError, match=rf"{tmp_path}/{NAME}\.zip: the archive cannot be unpacked"):
        use_existing(tmp_path, NAME, folder, archives={f"{NAME}.zip": md5(cut)})
    assert_nothing(folder)
    (tmp_path / f"{NAME}.gz").write_bytes(published.gz)  # of two the right one is taken
    found = use_existing(tmp_path, NAME, folder, archives=published.archives())
    assert found["url"].endswith(".gz")


def test_existing_file_into_a_folder_that_cannot_be_made(published, tmp_path):
    (tmp_path / NAME).write_bytes(published.content)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        use_existing(tmp_path, NAME, tmp_path / "file", expect=EXPECT)


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
    command = [sys.executable, "-c", code, folder]
    run = subprocess.run(command, env=environment(ROOT), capture_output=True, text=True, check=True)
    assert library in run.stdout and "install spsn[pipeline]" in run.stdout
