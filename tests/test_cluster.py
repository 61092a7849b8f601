"""What the workflow asks of a cluster: dry runs with the profile for Slurm, for which no Slurm is needed."""

import re
from pathlib import Path

import pytest
import yaml
from support import ROOT, make_project, run_python

PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Rule: what it asks for, in Snakemake's words. The data are digits that are made, the device is free."""
    folder = tmp_path_factory.mktemp("project")
    path = make_project(folder)
    config = yaml.safe_load(path.read_text())
    config |= {"dataset": "synthetic-digits", "execution": {"device": "auto"}}
    path.write_text(yaml.safe_dump(config))
    return dry_run(folder, "--resources", "gpu=20", "--configfile", "tiny.yaml")


def dry_run(folder: Path, *arguments: str) -> dict[str, str]:
    """Rule: resources and, where it is more than one, threads."""
    profile = ("--workflow-profile", "profiles/slurm", "--cores", "16")  # a dry run assumes one without
    done = run_python(folder, "snakemake", "all", "time_methods", "--dry-run", *profile, *arguments)
    assert done.returncode == 0, done.stdout
    rules = re.findall(r"^rule ([\w.-]+):\n((?: +.*\n)+)", done.stdout, re.MULTILINE)
    return {name: " ".join(re.findall(r"((?:resources|threads): .*)", body)) for name, body in rules}


def test_trainings_ask_for_a_gpu_wherever_snakemake_itself_runs(asked):
    trainings = [words for name, words in asked.items() if name.startswith("train_")]
    assert len(trainings) == 8
    assert all("gpu=1" in words and "runtime=720" in words and "mem_mb=8000" in words for words in trainings)
    assert "gpu=1" in asked["robustness"] and "gpu=" not in asked["describe"]


def test_measurements_have_a_machine_but_not_all_gpus_of_the_cluster(asked):
    measurements = {name for name in asked if name.startswith("time_")}
    assert measurements == set(PROFILE["set-resources"]) == {"time_epoch", "time_lengths", "time_methods"}
    for name in measurements:
        assert "slurm_extra=--exclusive" in asked[name] and "gpu=1," in asked[name] + ","


def test_cores_of_a_machine_that_nobody_knows_yet_are_a_fixed_number(asked):
    assert "threads: 8" in asked["digits"] and "mem_mb=6600" in asked["digits"]


def test_what_a_rule_does_not_say_the_profile_does(asked):
    defaults = PROFILE["default-resources"]
    assert f"runtime={defaults['runtime']}" in asked["events_train_2ms"]
