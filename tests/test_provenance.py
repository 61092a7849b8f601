"""Provenance: what it says of the machine, the versions and the commit is true and can be written as JSON."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import crafted_folder
import crafted_results as crafted
import numpy as np
import pytest

import spsn
from spsn import provenance
from spsn.files import digest
from spsn.replication import digests
from spsn.replication.facts.machine import machine_macros
from spsn.replication.report import write_provenance

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
    assert set(provenance.versions()) == {"spsn", "python", "zlib", "numpy"}


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
def test_what_git_cannot_compare_is_not_called_clean(copied_package: Path, tmp_path: Path) -> None:
    git(copied_package, "init", "-q")
    git(copied_package, "add", ".")
    git(copied_package, "commit", "-q", "-m", "first")
    head = git(copied_package, "rev-parse", "HEAD")
    wrapper = tmp_path / "programs" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\ncase "$*" in *status*) exit 1;; esac\nexec {shutil.which("git")} "$@"\n')
    wrapper.chmod(0o755)
    path = f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}"
    assert commit_seen_from(copied_package, path=path) == f"{head}-dirty"


@needs_git
def test_a_file_whose_name_is_no_utf8_may_have_changed(copied_package: Path) -> None:
    other = os.fsencode(copied_package) + b"/caf\xe9.txt"
    git(copied_package, "init", "-q")
    git(copied_package, "config", "core.quotepath", "false")
    for content in ("old", "new"):
        with open(other, "w") as file:
            file.write(content)
        if content == "old":
            git(copied_package, "add", ".")
            git(copied_package, "commit", "-q", "-m", "first")
    head = git(copied_package, "rev-parse", "HEAD")
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


def test_the_driver_is_read_from_the_lines_of_nvidias_modules(tmp_path: Path) -> None:
    about = tmp_path / "version"
    for line, version in (
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024",
            "550.54.15",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build", "570.86.15"),
        ("something else", None),
    ):
        about.write_text(f"{line}\nGCC version: 12.2.0\n")
        assert provenance._driver(about) == version
    assert provenance._driver(tmp_path / "absent") is None


def test_tex_is_named_as_it_names_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.tex_version() is None
    program = tmp_path / "tectonic"
    program.write_text("#!/bin/sh\necho tectonic 0.15\necho more\n")
    program.chmod(0o755)
    assert provenance.tex_version() == "tectonic 0.15"


def test_jobs_have_a_start_and_an_end(tmp_path: Path) -> None:
    benchmarks = tmp_path / "benchmarks"
    benchmarks.mkdir()
    for name, seconds, ended in (("train_b", "30.5", 1_000_000.5), ("train_a", "100", 1_000_050)):
        (benchmarks / f"{name}.tsv").write_text(f"s\th:m:s\n{seconds}\t0:00:30\n")
        os.utime(benchmarks / f"{name}.tsv", (ended, ended))
    (benchmarks / "empty.tsv").write_text("")
    times = digests.job_times(tmp_path)
    assert list(times) == ["train_a", "train_b"]
    assert times["train_b"] == {
        "started": "1970-01-12T13:46:10+00:00", "ended": "1970-01-12T13:46:40+00:00", "seconds": 30.5,
    }  # fmt: skip
    assert digests.span(times) == {
        "started": "1970-01-12T13:45:50+00:00", "ended": "1970-01-12T13:47:30+00:00",
    }  # fmt: skip
    assert digests.span({}) == {"started": None, "ended": None}


def test_the_lock_is_named_by_its_digest() -> None:
    lock = SOURCE.parents[1] / "requirements.lock"
    assert digests.lock_digest() == hashlib.sha256(lock.read_bytes()).hexdigest()


def test_provenance_names_every_file_that_the_report_rests_on(tmp_path: Path) -> None:
    settings = crafted.plan("demo")
    crafted.write(tmp_path, settings)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "report.log").write_text("no result")
    write_provenance(tmp_path, settings, tmp_path / "provenance.json", ["spsn"])
    found = json.loads((tmp_path / "provenance.json").read_text())
    assert found["git_dirty"] in (True, False, None)
    assert found["files"]["tables/runs.csv"] == digest(tmp_path / "tables/runs.csv")
    assert {"settings.json", "data.json", "timing/epoch.csv", "figures/figure1.pdf"} <= set(found["files"])
    assert not [name for name in found["files"] if name.startswith(("logs", "report", "provenance"))]
    assert set(found["paper"]) == set(digests.TEXT) and len(found["code"]) == 64


def test_provenance_names_what_trained_the_reports_own_runs_alone(tmp_path: Path) -> None:
    settings = crafted.plan("demo")
    folder = crafted_folder.write(tmp_path / "demo", settings, typeset=False)
    record = json.loads((folder / "runs/accuracy/lif/basic/seed0.json").read_text())
    record["execution"]["git_commit"] = "of a run that is no longer in the grid"
    (folder / "runs/accuracy/lif/basic/seed77.json").write_text(json.dumps(record))
    write_provenance(folder, settings, folder / "provenance.json", ["spsn"])
    training = json.loads((folder / "provenance.json").read_text())["training"]
    assert training["git_commits"] == ["0123abc"] and training["machines"] == [crafted.MACHINE]


def test_the_report_says_in_which_state_the_sources_were() -> None:
    known = {"machine": {"driver": "550.54.15"}, "versions": {"spsn": "1"}, "commands": ["spsn"]}
    clean = machine_macros({**known, "git_commit": "c0ffee", "requirements_lock": "ab" * 32, "tex": "TeX 1"})
    assert "c0ffee} (no uncommitted changes)" in clean["Commit"]
    assert "abababababababab" in clean["LockDigest"] and clean["TexVersion"] == "TeX 1"
    assert "NVIDIA driver" in clean["MachineTable"] and "550." in clean["MachineTable"]
    changed = machine_macros({**known, "git_commit": "c0ffee-dirty"})
    assert "(with uncommitted changes)" in changed["Commit"]
    assert changed["LockDigest"] == changed["TexVersion"] == "unknown"
