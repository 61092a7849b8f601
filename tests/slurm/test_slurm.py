"""The workflow through a real Slurm: what scancel ends, and what a time limit ends, the next job takes up,
and the records are those of a workflow that nobody disturbed.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from support import environment, make_project, snakemake

from spsn.records import read_record

pytestmark = pytest.mark.slurm

EPOCHS = 100
# The blocks whose jobs are ended, how, and what Slurm then says of the job.
ENDED = {
    "accuracy/lif/augmented": (("scancel", "{job}"), "CANCELLED"),
    "accuracy/spsn-sb/augmented": (("scontrol", "update", "JobId={job}", "EndTime=now+1seconds"), "TIMEOUT"),
}
# What a cluster of one machine needs otherwise than the profile says: no accounting, and no patience.
HERE = (
    "--workflow-profile=profiles/slurm",
    "--slurm-partition-config=partitions.yaml",
    "--slurm-status-command=squeue",
    "--slurm-init-seconds-before-status-checks=2",
    "--seconds-between-status-checks=2",
    "--latency-wait=10",
)
PARTITIONS = {"partitions": {"main": {"max_runtime": "3-0"}, "gpus": {"max_runtime": "3-0", "max_gpu": 2}}}
# All that is sent to the cluster, and one notebook, which is not.
TARGETS = ("train", "timing", "results/tiny/robustness/trials.csv", "results/tiny/tables/table2.csv")
PATIENCE = 600  # seconds


def project(folder: Path) -> Path:
    """A tiny workflow. Its longer trainings take seconds, and keep no checkpoint unless asked to end."""
    folder.mkdir()
    path = make_project(folder)
    config = yaml.safe_load(path.read_text())
    config["execution"] |= {"device": "auto", "checkpoint_every": EPOCHS}
    config["experiments"]["accuracy"] |= {
        "conditions": ["augmented"],
        "seeds": 2,
        "training": {"epochs": EPOCHS},
    }
    config["experiments"]["loss_mode"] |= {"modes": ["mean"]}
    path.write_text(yaml.safe_dump(config))
    (folder / "partitions.yaml").write_text(yaml.safe_dump(PARTITIONS))
    return folder


def outcomes(folder: Path) -> dict:
    """Settings and result of every run record."""
    paths = sorted(folder.glob("results/tiny/runs/**/*.json"))
    records = {str(path.relative_to(folder)): read_record(path) for path in paths}
    return {name: (record.settings, record.result) for name, record in records.items()}


def checkpoints(folder: Path, block: str) -> list[Path]:
    """What is kept of a block's running runs."""
    return list(folder.glob(f"results/tiny/checkpoints/{block}/*.epoch*"))


def trainer(folder: Path, block: str) -> int | None:
    """The process that trains a block, once it has trained an epoch."""
    log = folder / "results/tiny/logs" / f"train_{block.replace('/', '_')}_0-1.log"
    if not log.exists() or ": epoch " not in log.read_text():
        return None
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode().split("\0")
            here = os.readlink(process / "cwd") == str(folder)
        except OSError:
            continue
        if here and "--block" in command and block in command:
            return int(process.name)
    return None


def variables(process: int) -> dict[str, str]:
    """A process's environment."""
    lines = Path(f"/proc/{process}/environ").read_bytes().decode().split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)


def end_jobs(slurm, workflow: subprocess.Popen, folder: Path) -> dict[str, str]:
    """Have Slurm end the jobs of `ENDED` in their first epochs until each keeps a checkpoint; their numbers.

    A trainer is stopped before, lest it be done too soon: Slurm wakes what it asks to end.
    """
    jobs, kept, end = {}, set(), time.monotonic() + PATIENCE
    while kept != set(ENDED):
        assert workflow.poll() is None and time.monotonic() < end, f"only {kept} kept a checkpoint"
        kept |= {block for block in jobs if checkpoints(folder, block)}
        for block in set(ENDED) - set(jobs):
            if process := trainer(folder, block):
                os.kill(process, signal.SIGSTOP)
                assert not checkpoints(folder, block)
                found = variables(process)
                assert found["CUDA_VISIBLE_DEVICES"] in {"0", "1"} and found["SLURM_JOB_PARTITION"] == "gpus"
                jobs[block] = found["SLURM_JOB_ID"]
                said = slurm.run(*(word.format(job=jobs[block]) for word in ENDED[block][0]))
                assert not said, said
        time.sleep(0.1)
    return jobs


def test_jobs_that_slurm_ends_are_taken_up_and_change_no_record(slurm, tmp_path):
    quiet, cluster = project(tmp_path / "quiet"), project(tmp_path / "cluster")
    done = snakemake(quiet, "train")
    assert done.returncode == 0, done.stdout

    command = [sys.executable, "-m", "snakemake", *TARGETS, *HERE]
    with open(tmp_path / "output", "w") as output:
        workflow = subprocess.Popen(
            [*command, "--configfile", "tiny.yaml"],
            cwd=cluster, env=environment(cluster), stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        jobs = end_jobs(slurm, workflow, cluster)
        status = workflow.wait(timeout=PATIENCE)
    finally:
        if workflow.poll() is None:
            os.killpg(workflow.pid, signal.SIGKILL)
        workflow.wait()
        said = (tmp_path / "output").read_text()
    assert status == 0, said[-5000:]
    for block, (_, state) in ENDED.items():
        assert f"JobState={state}" in slurm.run("scontrol", "show", "job", jobs[block])
    assert said.count("Trying to restart job") == len(ENDED) == said.count("runtime=1440")
    assert outcomes(cluster) == outcomes(quiet) and len(outcomes(quiet)) == 8
    assert not list(cluster.glob("results/tiny/checkpoints/**/*.epoch*"))

    sent = {path.parent.name: path.stem for path in cluster.glob(".snakemake/slurm_logs/*/*.log")}
    assert {"rule_describe", "rule_time_epoch", "rule_robustness"} <= set(sent)
    assert not {"rule_settings", "rule_collect", "rule_table2_accuracy"} & set(sent)
    assert "Partition=main" in slurm.run("scontrol", "show", "job", sent["rule_describe"])
    assert "OverSubscribe=NO" in slurm.run("scontrol", "show", "job", sent["rule_time_epoch"])
    assert (cluster / TARGETS[-1]).is_file()
    assert "Nothing to be done" in snakemake(cluster, "--dry-run", *TARGETS).stdout
