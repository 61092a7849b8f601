"""The workflow through a real Slurm: what scancel, a time limit or an urgent job ends, the next job takes up,
and the records are those of a workflow that nobody disturbed.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from support import environment, make_project, snakemake

from spsn.preemption import requeue
from spsn.records import read_record

pytestmark = pytest.mark.slurm

EPOCHS = 100
# The blocks whose jobs are ended: in which partition, how, and what Slurm says of the job afterwards. Two are
# preempted, and end under their own numbers: one is requeued by Slurm, the other cancelled and put back.
URGENT = ("sbatch", "-Q", "--partition=urgent", "--gpus=2", "--time=1", "--output=/dev/null", "--wrap=true")
TIME_LIMIT = ("scontrol", "update", "JobId={job}", "EndTime=now+1seconds")
PUT_BACK = "regularization/spsn-sb/regularized-0.40"
ENDED = {
    "accuracy/lif/augmented": ("gpus", ("scancel", "{job}"), "JobState=CANCELLED .* Restarts=0 "),
    "accuracy/spsn-sb/augmented": ("gpus", TIME_LIMIT, "JobState=TIMEOUT .* Restarts=0 "),
    "loss_mode/lif/loss-mean": ("requeued", URGENT, "JobState=COMPLETED .* Restarts=[1-9] "),
    PUT_BACK: ("cancelled", URGENT, "JobState=COMPLETED .* Restarts=[1-9] "),
}
RESUBMITTED = 2  # by Snakemake
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
    config["experiments"]["loss_mode"] |= {"modes": ["mean"], "training": {"epochs": EPOCHS}}
    config["experiments"]["regularization"]["training"] = {"epochs": EPOCHS}
    path.write_text(yaml.safe_dump(config))
    profile = folder / "profiles/slurm/config.yaml"
    options = yaml.safe_load(profile.read_text())
    for block, (partition, *_) in ENDED.items():
        options["set-resources"][f"train_{block.replace('/', '_')}_0-1"] = {"slurm_partition": partition}
    profile.write_text(yaml.safe_dump(options))
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
        assert workflow.poll() is None and time.monotonic() < end, f"of {jobs} only {kept} kept a checkpoint"
        kept |= {block for block in jobs if checkpoints(folder, block)}
        for block in set(ENDED) - set(jobs):
            if process := trainer(folder, block):
                os.kill(process, signal.SIGSTOP)
                assert not checkpoints(folder, block)
                partition, command, _ = ENDED[block]
                found = variables(process)
                assert (
                    found["CUDA_VISIBLE_DEVICES"] in {"0", "1"} and found["SLURM_JOB_PARTITION"] == partition
                )
                jobs[block] = found["SLURM_JOB_ID"]
                said = slurm.run(*(word.format(job=jobs[block]) for word in command))
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
    for block, (*_, states) in ENDED.items():
        shown = slurm.run("scontrol", "show", "job", jobs[block])
        assert re.search(states, shown, re.DOTALL), shown
    assert f"Slurm cancelled job {jobs[PUT_BACK]} for another one" in said
    assert said.count("Trying to restart job") == RESUBMITTED == said.count("runtime=1440")
    assert outcomes(cluster) == outcomes(quiet) and len(outcomes(quiet)) == 8
    assert not list(cluster.glob("results/tiny/checkpoints/**/*.epoch*"))

    sent = {path.parent.name: path.stem for path in cluster.glob(".snakemake/slurm_logs/*/*.log")}
    assert {"rule_describe", "rule_time_epoch", "rule_robustness"} <= set(sent)
    assert not {"rule_settings", "rule_collect", "rule_table2_accuracy"} & set(sent)
    assert "Partition=main" in slurm.run("scontrol", "show", "job", sent["rule_describe"])
    assert "OverSubscribe=NO" in slurm.run("scontrol", "show", "job", sent["rule_time_epoch"])
    assert (cluster / TARGETS[-1]).is_file()
    assert "Nothing to be done" in snakemake(cluster, "--dry-run", *TARGETS).stdout


def test_a_job_that_slurm_does_not_take_back_is_told_of(slurm, capfd):
    assert not requeue("4000000")
    assert "job 4000000 for another one and does not take it back (Invalid job id" in capfd.readouterr().err
