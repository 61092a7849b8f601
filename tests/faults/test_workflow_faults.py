"""The whole workflow, disturbed: killed again and again, interrupted by hand, started twice."""

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from disturbances import hears_the_keyboard, processes_in, tensors_of, wait_until
from support import environment, make_project, run_python, snakemake

from spsn.records import read_record

RESULTS = Path("results/tiny")
ALL = (f"{RESULTS}/tables/runs.csv", f"{RESULTS}/robustness/trials.csv")
BLOCK = f"{RESULTS}/runs/accuracy/spsn-sb/augmented"
RECORDS = tuple(f"{BLOCK}/seed{seed}.json" for seed in (0, 1))
# In turn: Snakemake alone, it and all its jobs, and what a terminal that is closed sends them all.
KILLS = (
    (os.kill, signal.SIGKILL),
    (os.killpg, signal.SIGKILL),
    (os.killpg, signal.SIGHUP),
    (os.kill, signal.SIGKILL),
    (os.killpg, signal.SIGKILL),
)
TIMES = ("epoch_seconds", "test_seconds", "peak_bytes")


@pytest.fixture(scope="module")
def quiet(tmp_path_factory) -> Path:
    """A project whose workflow nobody disturbed."""
    folder = prepared(tmp_path_factory.mktemp("quiet") / "project")
    done = snakemake(folder, *ALL)
    assert done.returncode == 0, done.stdout
    return folder


@pytest.fixture
def without_runs(quiet, tmp_path) -> Path:
    """The same project with its data, before anything was trained."""
    folder = Path(shutil.copytree(quiet, tmp_path / "project"))
    for name in ("runs", "checkpoints"):
        shutil.rmtree(folder / RESULTS / name)
    return folder


def prepared(folder: Path) -> Path:
    """A project of three blocks of two runs."""
    folder.mkdir()
    path = make_project(folder, epochs=200)  # seconds, so that every kill finds something at work
    config = yaml.safe_load(path.read_text())
    config["experiments"] |= {
        "accuracy": {"models": ["spsn-sb"], "conditions": ["augmented"], "seeds": 2},
        "loss_mode": {"models": ["spsn-sb"], "modes": ["max"], "seeds": 2, "network": {"hidden_layers": 1}},
        "robustness": {"models": ["spsn-sb"], "condition": "augmented", "trials": 3},
    }
    path.write_text(yaml.safe_dump(config))
    return folder


def start(folder: Path, *targets: str) -> subprocess.Popen:
    """Start the workflow in a group of processes of its own, as a terminal does."""
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "2", *targets, "--configfile", "tiny.yaml"],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=hears_the_keyboard,
    )


def made(folder: Path) -> set[Path]:
    """Every file below the results but for the logs."""
    files = (path for path in (folder / RESULTS).rglob("*") if path.is_file())
    return {path for path in files if path.suffix != ".log"}


def runs(folder: Path) -> dict:
    """Of every run: settings, result, and its weights' bytes."""
    records = {
        path.relative_to(folder): read_record(path) for path in folder.glob(f"{RESULTS}/runs/**/*.json")
    }
    return {
        path: (r.settings, r.result, tensors_of((folder / path.with_suffix(".safetensors")).read_bytes()))
        for path, r in records.items()
    }


def numbers(path: Path) -> list[dict[str, str]]:
    """A table without its times."""
    with path.open(newline="") as file:
        return [
            {key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(file)
        ]


def test_a_whole_workflow_killed_five_times(tmp_path, quiet, terminal):
    """Promised: two whole runs agree in every run's settings and result and every number of a table that is
    no time, however often one was killed. Seen: five kills at random moments, of Snakemake alone, of all its
    jobs and with their terminal, from the first file on; the same bytes.
    """
    folder, chance, kills = prepared(tmp_path / "project"), random.Random(41), 0
    for kill, number in KILLS:
        before = made(folder)
        workflow = start(folder, *ALL)
        assert wait_until(lambda old=before: made(folder) - old, 120)
        time.sleep(chance.uniform(0, 0.7))
        kills += workflow.poll() is None
        kill(workflow.pid, number)
        assert workflow.wait() == -number
        assert wait_until(lambda: not processes_in(folder), 20), "a job outlived the workflow"
        shutil.rmtree(folder / ".snakemake" / "locks", ignore_errors=True)  # what --unlock does, in less time
    assert kills == len(KILLS)
    assert run_python(folder, "snakemake", "--unlock").returncode == 0  # word for word as README has it
    done = snakemake(folder, *ALL)
    assert done.returncode == 0, done.stdout
    assert runs(folder) == runs(quiet) and len(runs(quiet)) == 6
    for table in ALL:
        assert numbers(folder / table) == numbers(quiet / table) and numbers(quiet / table)


def test_ctrl_c_at_the_keyboard(without_runs, quiet):
    """Promised: one Ctrl-C ends the workflow cleanly, and the next call completes it. Seen: workflow and
    trainer ended, the lock was let go of, checkpoints stood; the second call needed no --unlock.
    """
    workflow = start(without_runs, *RECORDS)
    assert wait_until(lambda: list(without_runs.glob(f"{RESULTS}/checkpoints/**/*.epoch*")), 120)
    os.killpg(workflow.pid, signal.SIGINT)
    assert workflow.wait(timeout=60) != 0
    assert wait_until(lambda: not processes_in(without_runs), 20)
    assert not runs(without_runs) and not list(without_runs.rglob("results/**/*.part"))
    done = snakemake(without_runs, *RECORDS)
    assert done.returncode == 0, done.stdout
    found = runs(without_runs)
    assert found == {path: run for path, run in runs(quiet).items() if path in found} and len(found) == 2


def test_two_workflows_in_one_folder(without_runs, quiet):
    """Promised: the second is turned away and harms nothing. Seen: it said that the folder is locked; the
    first came to its end.
    """
    first = start(without_runs, *RECORDS)
    assert wait_until(lambda: list(without_runs.glob(f"{RESULTS}/checkpoints/**/*.epoch*")), 120)
    first.send_signal(signal.SIGSTOP)
    second = snakemake(without_runs, *RECORDS)
    first.send_signal(signal.SIGCONT)
    assert second.returncode != 0 and "cannot be locked" in second.stdout
    assert first.wait(timeout=120) == 0
    found = runs(without_runs)
    assert found == {path: run for path, run in runs(quiet).items() if path in found} and len(found) == 2
