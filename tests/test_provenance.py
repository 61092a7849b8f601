"""Provenance: what it says of the machine, the versions and the commit is true and can be written as JSON."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import spsn
from spsn import provenance

SOURCE = Path(spsn.__file__).parent
ASK = "from spsn.provenance import git_commit; print(git_commit())"
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit_seen_from(folder: Path, *, path: str | None = None) -> str:
    """What `git_commit` of the package copied below `folder` answers, asked in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    if path is not None:
        environment["PATH"] = path
    command = [sys.executable, "-c", ASK]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()


@pytest.fixture
def copied_package(tmp_path: Path) -> Path:
    """A folder `checkout` that holds a copy of the core of the package."""
    folder = tmp_path / "checkout"
    (folder / "spsn").mkdir(parents=True)
    for name in ("__init__.py", "provenance.py"):
        shutil.copy(SOURCE / name, folder / "spsn" / name)
    return folder


def test_machine_can_be_written_and_does_not_change() -> None:
    first, second = provenance.machine(), provenance.machine()
    assert first == second
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    assert first["system"] == platform.system()
    assert 1 <= first["cores"] <= os.cpu_count()
    assert first["processor"]


def test_machine_does_not_give_the_host_name() -> None:
    assert platform.node() not in provenance.machine().values()


def test_versions_are_those_that_are_imported() -> None:
    found = provenance.versions()
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert found["spsn"] == spsn.__version__
    assert all(isinstance(version, str) and version for version in found.values())


def test_versions_leave_out_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "PACKAGES", ("numpy", "a-package-that-nobody-made"))
    assert set(provenance.versions()) == {"spsn", "python", "numpy"}


@needs_git
def test_commit_of_a_clean_and_of_a_changed_checkout(copied_package: Path) -> None:
    assert commit_seen_from(copied_package) == "None"
    git(copied_package, "init", "-q")
    git(copied_package, "add", ".")
    assert commit_seen_from(copied_package) == "None"
    git(copied_package, "commit", "-q", "-m", "first")
    head = git(copied_package, "rev-parse", "HEAD")
    assert commit_seen_from(copied_package) == head
    (copied_package / "notes.txt").write_text("outside the package")
    assert commit_seen_from(copied_package) == head
    (copied_package / "spsn" / "extra.py").write_text("")
    assert commit_seen_from(copied_package) == f"{head}-dirty"
    (copied_package / "spsn" / "extra.py").unlink()
    (copied_package / "spsn" / "__init__.py").write_text("__version__ = 'changed'\n")
    assert commit_seen_from(copied_package) == f"{head}-dirty"


@needs_git
def test_a_package_below_a_foreign_repository_has_no_commit(copied_package: Path) -> None:
    outer = copied_package.parent
    git(outer, "init", "-q")
    (outer / "own.txt").write_text("theirs")
    git(outer, "add", "own.txt")
    git(outer, "commit", "-q", "-m", "theirs")
    assert commit_seen_from(copied_package) == "None"


def test_no_commit_without_git(copied_package: Path, tmp_path: Path) -> None:
    empty = tmp_path / "no-programs"
    empty.mkdir()
    assert commit_seen_from(copied_package, path=str(empty)) == "None"
