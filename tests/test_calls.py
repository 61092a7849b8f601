"""What a results folder says of the commands that made it, here and where jobs were sent elsewhere."""

from pathlib import Path

import pytest
from support import make_project, run_python, snakemake

from spsn.calls import HERE, commands, remember, remembered, sent

BARE = "--executor slurm --jobs 50"
SLURM = f"--workflow-profile profiles/slurm {BARE}"
# An executor for Snakemake to find: it sends jobs elsewhere, and is asked here for local ones alone.
ELSEWHERE = """
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings

common_settings = CommonSettings(
    non_local_exec=True, implies_no_shared_fs=False, job_deploy_sources=False
)


class Executor(RemoteExecutor):
    def run_job(self, job):
        raise NotImplementedError

    async def check_active_jobs(self, active_jobs):
        for job in active_jobs:
            yield job

    def cancel_jobs(self, active_jobs):
        pass
"""


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        ("--workflow-profile profiles/slurm train", {}, SLURM),
        ("--workflow-profile=profiles/slurm", {}, SLURM),
        ("all --executor slurm --jobs 50", {}, BARE),
        ("--profile a --profile=b", {"SNAKEMAKE_PROFILE": "c"}, f"--profile a --profile b {BARE}"),
        ("--workflow-profile none", {}, BARE),
        ("", {"SNAKEMAKE_PROFILE": "my profile"}, f"--profile 'my profile' {BARE}"),
    ],
)  # fmt: skip
def test_executor_and_profiles_are_what_is_said_of_a_call(words, variables, said):
    assert sent("slurm", 50, words.split(), variables) == said


def test_a_target_stands_where_no_option_takes_it():
    config = " --configfile config/demo.yaml"
    assert commands(HERE + config, []) == ["snakemake --cores all --configfile config/demo.yaml"]
    assert commands(HERE + config, [], "comparison") == [
        "snakemake --cores all comparison --configfile config/demo.yaml"
    ]
    assert commands(SLURM + config, [], "comparison") == [f"snakemake comparison {SLURM}{config}"]


def test_calls_that_sent_jobs_elsewhere_are_remembered_once(tmp_path):
    path = tmp_path / "logs" / "sent.txt"
    assert remembered(path) == []
    for options in (SLURM, SLURM, "--executor other --jobs 1"):
        remember(options, path)
    assert commands(HERE, remembered(path)) == [
        f"snakemake {SLURM}",
        "snakemake --executor other --jobs 1",
        "snakemake --cores all",
    ]
    assert commands(SLURM, remembered(path)) == [f"snakemake {SLURM}", "snakemake --executor other --jobs 1"]


def provenance(folder: Path) -> str:
    """The shell command that would write provenance.json here."""
    done = snakemake(folder, "results/tiny/provenance.json", "--dry-run", "--printshellcmds")
    assert done.returncode == 0, done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "spsn provenance" in line]
    return line


def test_a_workflow_tells_where_it_sent_jobs(tmp_path):
    make_project(tmp_path)
    here = "'snakemake --cores all --configfile tiny.yaml'"
    assert f"--command {here} --out" in provenance(tmp_path)
    plugin = tmp_path / "src" / "snakemake_executor_plugin_elsewhere"
    plugin.mkdir()
    (plugin / "__init__.py").write_text(ELSEWHERE)
    options = ["--workflow-profile", "none", "--executor", "elsewhere", "--jobs", "3"]
    done = run_python(
        tmp_path, "snakemake", "results/tiny/settings.json", *options, "--configfile", "tiny.yaml"
    )
    assert done.returncode == 0, done.stdout
    there = "'snakemake --executor elsewhere --jobs 3 --configfile tiny.yaml'"
    assert f"--command {there} {here} --out" in provenance(tmp_path)
