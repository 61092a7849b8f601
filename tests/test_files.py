"""Files that appear whole, or not at all and say why; files that are asked for and cannot be read."""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import lacking

from spsn.errors import DataError, SpsnError
from spsn.files import check_regular, check_size, digest, read_text, require_file, whole_file, write_text

ON_A_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from spsn.errors import SpsnError

def tried(write, path):
    try:
        write(path)
    except SpsnError as error:
        print(error)
    else:
        print("written")

{make}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
{write}
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)


def test_a_file_is_not_seen_before_it_is_whole(tmp_path):
    path = tmp_path / "new" / "a"
    with whole_file(path) as part:
        part.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new" and os.listdir(path.parent) == ["a"]


@pytest.mark.parametrize(
    "error", [KeyError("x"), KeyboardInterrupt(), ConnectionError("line"), OSError("other")]
)
def test_what_else_goes_wrong_passes_and_leaves_the_old_file(error, tmp_path):
    write_text(tmp_path / "a", "old")
    with pytest.raises(type(error)) as met, whole_file(tmp_path / "a") as part:
        part.write_text("new")
        raise error
    assert met.value is error
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "old"


def test_a_missing_source_is_not_taken_for_a_bad_target(tmp_path):
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "a"):
        (tmp_path / "source").read_bytes()


@pytest.mark.parametrize("place", ["file/a", "folder"])
def test_a_place_that_cannot_be_written_is_named(place, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    with pytest.raises(SpsnError, match=rf"{place}: cannot be written \(.+\). Make room .* rights"):
        write_text(tmp_path / place, "new")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


@pytest.fixture
def open_folder():
    """A folder that everybody may enter, and what makes this process one without root's rights meanwhile."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)

    @contextmanager
    def as_nobody():
        was = os.geteuid()
        if was == 0:
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(was)

    yield folder, as_nobody
    shutil.rmtree(folder)


@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_an_unwritable_folder_is_named(mode, open_folder):
    folder, as_nobody = open_folder
    (folder / "locked").mkdir(mode=mode)
    with as_nobody(), pytest.raises(SpsnError, match=r"locked/a: cannot be written \(Permission denied\)"):
        write_text(folder / "locked" / "a", "new")
    with as_nobody(), pytest.raises(SpsnError, match=r"locked/b/a: cannot be written \(Permission denied\)"):
        write_text(folder / "locked" / "b" / "a", "new")
    (folder / "locked").chmod(0o755)
    assert not list((folder / "locked").iterdir())


@pytest.mark.parametrize(
    ("make", "write"),
    [
        (
            "from spsn.files import write_json",
            "tried(lambda a: write_json(a, [0] * 99_999), sys.argv[1])",
        ),
        (
            """
import numpy as np
from spsn.data.events import EventStore
from spsn.data.shd import SpikeFile, write_split
rows = [np.linspace(0, 1, 9000)] * 4
spikes = SpikeFile.from_rows(rows, [np.zeros(9000, int)] * 4, [0] * 4, [0] * 4, ["a"])
store = EventStore.from_spikes(spikes, 1.0)
""",
            "tried(store.save, sys.argv[1]); tried(lambda a: write_split(a, spikes), sys.argv[1])",
        ),
    ],
    ids=["json", "spikes and events"],
)
@pytest.mark.parametrize("limit", [4096, 60_000])
def test_a_full_disk_is_named(make, write, limit, tmp_path):
    """A limit on the size of files stands for the disk; every writer is tried at its start and later on."""
    done = run(ON_A_FULL_DISK.format(make=make, write=write, limit=limit), str(tmp_path / "a"))
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert f"{tmp_path}/a: cannot be written (File too large). Raise the limit" in line
    assert done.stdout and not done.stderr
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_really_full(tmp_path, writers):
    """The same on a file system of 64 KiB, where this machine lets one be made."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], capture_output=True
    ).returncode:
        lacking("no file system can be mounted here")
    try:
        for write in writers:
            with pytest.raises(SpsnError, match=r"disk/a: cannot be written \(No space left on device\)"):
                write(disk / "a")
            assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.fixture
def writers():
    """What writes an event store, a spike file and a text, each greater than 64 KiB."""
    from support import make_words

    from spsn.data.events import EventStore
    from spsn.data.shd import write_split

    words = make_words(400, 4, 0)
    return (
        EventStore.from_spikes(words, 1.0).save,
        lambda path: write_split(path, words),
        lambda path: write_text(path, "x" * 100_000),
    )


def test_the_digest_of_a_file(tmp_path):
    """Against coreutils."""
    path = tmp_path / "a"
    path.write_bytes(bytes(range(256)) * 5000)
    for algorithm in ("sha256", "md5"):
        told = subprocess.run([f"{algorithm}sum", path], capture_output=True, text=True, check=True).stdout
        assert digest(path, algorithm) == told.split()[0]
    assert digest(path) == digest(str(path), "sha256")
    with pytest.raises(FileNotFoundError):
        digest(tmp_path / "none")


def test_a_file_that_can_be_read_is_taken(tmp_path):
    write_text(tmp_path / "a", "")
    assert require_file(tmp_path / "a", "Fetch it.") is None


def test_what_is_no_file_is_refused_without_opening_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # opening it for reading would wait for ever
    for name, said in {
        "none": "no such file. Fetch it.",
        "none/none": "no such file",
        ".": "a folder, not a file",
        "pipe": "a pipe or a device",
        "x" * 300: "cannot be read (File name too long)",
        "zero\0byte": "cannot be read (",
    }.items():
        with pytest.raises(DataError) as error:
            require_file(tmp_path / name, "Fetch it.")
        assert said in str(error.value) and str(tmp_path) in str(error.value)


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, said in {
        "none": "No such file",
        ".": "a folder, not a file",
        "pipe": "a pipe or a device",
    }.items():
        for read in (check_regular, digest, read_text, lambda path: check_size(path, 9)):
            with pytest.raises(OSError, match=said) as error:
                read(tmp_path / name)
            assert str(tmp_path) in str(error.value)
    with pytest.raises(IsADirectoryError):
        read_text(tmp_path)


def test_a_text_is_read_up_to_its_bound(tmp_path):
    write_text(tmp_path / "a", "fünf\r\n")
    assert check_regular(tmp_path / "a") == check_size(tmp_path / "a", 7) == 7
    assert read_text(tmp_path / "a", 7) == "fünf\r\n"
    for read in (check_size, read_text):
        with pytest.raises(ValueError, match="it has 7 bytes, and no sound file of its kind over 6"):
            read(tmp_path / "a", 6)
    (tmp_path / "a").write_bytes(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        read_text(tmp_path / "a")


def test_a_file_without_rights_is_refused(open_folder):
    folder, as_nobody = open_folder
    (folder / "a").write_text("")
    (folder / "a").chmod(0)
    with (
        as_nobody(),
        pytest.raises(DataError, match=r"a: cannot be read \(Permission denied\). Mend its rights"),
    ):
        require_file(folder / "a", "Fetch it.")
