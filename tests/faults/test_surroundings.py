"""What a training stands on: power, rights of new files, the place of the results, what people remove."""

import os
import resource
import shutil
import stat
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from disturbances import FOLDER, disk
from support import lacking

from spsn.checkpoints import CheckpointStore

SIZE = 256 << 20  # bytes of a disk, few of which are used; on a smaller one ext4 keeps nothing in memory


@contextmanager
def partition(image: Path, folder: Path):
    """A disk whose contents are the file `image`, at `folder`; as other file systems do, it does not guess
    which files were meant to replace others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-o", "loop,noauto_da_alloc", str(image), str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        lacking("needs the right to mount a file system that lies in a file")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fail(image: Path, folder: Path, name: str) -> Path:
    """What a disk holds when the power fails: what the system still had in memory is not there.

    Names come to a disk every few seconds by themselves; that one file is synchronised brings them at once.
    """
    with (folder / "other").open("wb") as other:
        os.fsync(other.fileno())
    subprocess.run(["cp", "--sparse=always", image, image.with_name(name)], check=True)
    return image.with_name(name)


def test_the_power_fails(place, undisturbed, monkeypatch, tmp_path):
    """Promised: what has its name has its contents. Seen: of a disk that was copied without what was still in
    memory, after three epochs and at the end, the one copy had the checkpoint, the other all results, whole;
    the first went on to the same bits.
    """
    image = tmp_path / "disk"
    image.touch()
    os.truncate(image, SIZE)
    if shutil.which("mkfs.ext4") is None:
        lacking("needs mkfs.ext4")
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    with partition(image, place.results):
        place.interrupt(monkeypatch)
        begun = fail(image, place.results, "begun")
        assert place.train(monkeypatch) == 0
        ended = fail(image, place.results, "ended")
    with partition(ended, place.results):
        assert place.outcome() == undisturbed()
    with partition(begun, place.results):
        assert place.epochs() == [3] and not place.outcome()
        (settings, *_), *_ = undisturbed().values()
        assert CheckpointStore(place.results).load(settings, 3)
        assert place.train(monkeypatch) == 0 and place.outcome() == undisturbed()


@pytest.mark.parametrize("mask", [0o077, 0o000])
def test_a_umask(place, undisturbed, monkeypatch, mask):
    """Promised: results are open to whom the umask leaves them, and to nobody else. Seen: every file was."""
    before = os.umask(mask)
    try:
        assert place.train(monkeypatch) == 0
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in place.results.rglob("*") if path.is_file()}
    assert modes == {0o666 & ~mask} and place.outcome() == undisturbed()


def test_results_that_are_a_link_to_another_disk(place, undisturbed, monkeypatch, capsys):
    """Promised: it says that the link leads nowhere; with that disk there, a link is as good as a folder.
    Seen: both; no file was renamed from one disk to another.
    """
    elsewhere = place.folder / "elsewhere"
    place.results.symlink_to(elsewhere)
    assert place.train(monkeypatch) == 1 and not elsewhere.exists()
    assert (
        f"results is a link to {elsewhere}, which is not there). Make that folder" in capsys.readouterr().err
    )
    with disk(elsewhere, "10m"):
        assert elsewhere.stat().st_dev != place.folder.stat().st_dev
        assert place.train(monkeypatch) == 0 and place.outcome() == undisturbed()


def test_no_more_files(place, undisturbed, monkeypatch, capsys):
    """Promised: a disk that has room, but can hold no more files, is told from a full one. Seen: so it was
    said of the second checkpoint, and the first stayed; with more, the same bits.
    """
    with disk(place.results, "10m,nr_inodes=9") as mount:
        assert place.train(monkeypatch) == 1
        assert os.statvfs(place.results).f_favail <= 1 and os.statvfs(place.results).f_bavail > 1000
        named = f"{FOLDER}/seed0.epoch2.safetensors: cannot be written (No space left on device). Its file "
        assert f"{named}system has room, but can hold no more files (df -i)" in capsys.readouterr().err
        assert place.epochs() == [1] and not place.leftovers()
        mount("nr_inodes=100")
        assert place.train(monkeypatch) == 0 and place.outcome() == undisturbed()


@contextmanager
def open_files(more: int):
    """This process can open so many files more than it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_one = os.open(os.devnull, os.O_RDONLY)
    os.close(next_one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_more_open_files(place, undisturbed, monkeypatch, capsys):
    """Promised: the limit is named. Seen: with the first run's lock it was reached, and named at the
    second's; without it, the same bits.
    """
    undisturbed()  # all that is imported and compiled at first is open no more
    with open_files(1):
        assert place.train(monkeypatch) == 1
    named = "seed1.lock: cannot be written (Too many open files). Raise the limit on open files (ulimit -n)"
    assert named in capsys.readouterr().err and not place.epochs()
    assert place.train(monkeypatch) == 0 and place.outcome() == undisturbed()


@pytest.mark.parametrize("run", [0, 1])
def test_the_results_are_removed_while_they_are_made(place, undisturbed, monkeypatch, capsys, run):
    """Promised: a training makes what it still can, and says what it cannot. Seen: removed while the first
    run was trained, both came to their end; while the second was, the first's loss was named, and the same
    command trained it again, to the same bits.
    """
    prune, removed = CheckpointStore.prune, []

    def removing(store, settings, epoch):
        prune(store, settings, epoch)
        if settings.seed == run and epoch == 3 and not removed:
            removed.append(sorted(path.name for path in place.results.rglob("seed*")))
            shutil.rmtree(place.results)

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "prune", removing)
        assert place.train(monkeypatch) == run
    assert f"seed{run}.epoch3.safetensors" in removed[0]
    said = "seed0.done.safetensors: was removed meanwhile; train the run again"
    assert (said in capsys.readouterr().err) == bool(run)
    assert place.train(monkeypatch) == 0 and place.outcome() == undisturbed()
