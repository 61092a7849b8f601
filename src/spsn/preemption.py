"""Jobs that Slurm cancels to make room for others (PreemptMode=CANCEL): put back into the queue.

Where a site requeues what it preempts, Slurm starts the job again. Where it cancels, nobody would: the
executor of Snakemake (2.8) takes every preempted job for one that Slurm resumes, and waits without end.
So the job is put back under its own number, for which the executor waits.
"""

import os
import subprocess
import sys
import threading
import time

PATIENCE = 60  # seconds for a command of Slurm


def watch(interval: float) -> None:
    """Look from now on, in a thread, every `interval` seconds for jobs of this folder that were cancelled.

    Those that were cancelled before are left alone: nobody waits for them.
    """
    folder = os.getcwd()
    threading.Thread(target=_watch, args=(interval, folder, preempted(folder)), daemon=True).start()


def _watch(interval: float, folder: str, left_alone: set[str]) -> None:
    before: set[str] = set()
    while True:
        time.sleep(interval)
        now = preempted(folder) - left_alone
        for job in sorted(now & before):  # seen once, Slurm may be about to requeue it
            if not requeue(job):
                left_alone.add(job)
        before = now


def preempted(folder: str) -> set[str]:
    """Numbers of this person's preempted jobs that work in `folder`; none where Slurm does not answer."""
    listing = _run("squeue", "--me", "--noheader", "--states=PREEMPTED", "--format=%i %T %Z")
    words = [line.split(maxsplit=2) for line in listing.stdout.splitlines()] if listing else []
    return {job for job, *rest in words if rest == ["PREEMPTED", folder]}


def requeue(job: str) -> bool:
    """Put a job back into the queue; whether Slurm did, which is told on standard error either way."""
    done = _run("scontrol", "requeue", job)
    if done and done.returncode == 0:
        print(f"spsn: Slurm cancelled job {job} for another one; it is in the queue again", file=sys.stderr)
        return True
    said = " ".join((done.stdout + done.stderr).split()) if done else "scontrol does not answer"
    print(
        f"spsn: Slurm cancelled job {job} for another one and does not take it back ({said}). Snakemake "
        "would wait for it without end: when the other jobs are done, stop it with Ctrl-C and start it again",
        file=sys.stderr,
    )
    return False


def _run(*command: str) -> subprocess.CompletedProcess | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PATIENCE)
    except (OSError, subprocess.SubprocessError):
        return None
