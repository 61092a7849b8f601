"""A whole workflow killed again and again, held against one that nobody disturbed.

    make killed-demo [ARGS="--config config/demo.yaml --kills 7 --folder build/killed-demo"]

Clones this repository's last commit twice, runs the configuration in each, and kills the second run (SIGKILL)
at random moments spread over the time that the first one took, in turn Snakemake alone and every process.
Then everything that is no time must be the same: settings, result and weights of every run, each file that a
job measured, and every table, figure, number of the report and page of the PDF, made from what the second
measured with the first's times. Prints what was killed and compared, as JSON; exit code 1 where anything
differs.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from disturbances import processes_in, tensors_of, wait_until
from support import environment

from spsn import manifest
from spsn.files import write_json
from spsn.layout import results
from spsn.provenance import machine, versions_of
from spsn.replication.run_table import write_runs
from spsn.replication.typesetting import REPORT, build_pdf
from spsn.settings import load
from spsn.verification.recompute import Place, steps

ROOT = Path(__file__).resolve().parent.parent
TIMES = ("timing/epoch.csv", "timing/sequence_length.csv")
SECONDS = "seconds.txt"  # how long the undisturbed run took
PATIENCE = 60.0  # seconds in which every process of a killed workflow must have ended


def main() -> int:
    """Run both, compare them, print and write what was found."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--config", default="config/demo.yaml")
    given.add_argument("--kills", type=int, default=7)
    given.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    given.add_argument("--folder", type=Path, default=ROOT / "build" / "killed-demo")
    given.add_argument("--again", action="store_true", help="keep the undisturbed run of the call before")
    given.add_argument("--out", type=Path, help="write what is printed there too")
    options = given.parse_args()
    quiet, killed = (options.folder.resolve() / name for name in ("quiet", "killed"))
    command = [sys.executable, "-m", "snakemake", "--cores", "all", "--configfile", options.config]
    if not options.again:
        checkout(quiet)
        begin = time.monotonic()
        subprocess.run(command, cwd=quiet, env=environment(quiet), check=True)
        (quiet / SECONDS).write_text(f"{time.monotonic() - begin:.1f}")
    seconds = float((quiet / SECONDS).read_text())
    checkout(killed)
    kills = kill_again_and_again(killed, command, options.kills, seconds, random.Random(options.seed))
    subprocess.run(command, cwd=killed, env=environment(killed), check=True)
    same, different = compare(quiet, killed)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=quiet, capture_output=True, text=True, check=True
    )
    found = {
        "command": f"make killed-demo ARGS='{' '.join(sys.argv[1:])}'",
        "git_commit": commit.stdout.strip(),
        "machine": machine(),
        "versions": versions_of(("spsn", "python", "torch", "numpy", "numba", "snakemake", "papermill")),
        "undisturbed_seconds": seconds,
        "kills": kills,
        "same": same,
        "different": different,
    }
    print(json.dumps(found, indent=1))
    if options.out:
        write_json(options.out, found)
    return 1 if different or len(kills) < options.kills else 0


def checkout(folder: Path) -> None:
    """The last commit in a folder of its own, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)


def kill_again_and_again(
    folder: Path, command: list[str], count: int, seconds: float, chance: random.Random
) -> list[dict[str, object]]:
    """Start the workflow and kill it, `count` times; what was at work at each kill."""
    kills = []
    for number in range(count):
        workflow = subprocess.Popen(command, cwd=folder, env=environment(folder), start_new_session=True)
        time.sleep(seconds / (count + 1) * chance.uniform(0.5, 1.0))  # starting takes its time each time
        at_work = jobs_of(folder)
        if workflow.poll() is not None:
            break
        everything = number % 2 == 1
        (os.killpg if everything else os.kill)(workflow.pid, signal.SIGKILL)
        workflow.wait()
        kills.append({"killed": "everything" if everything else "snakemake", "at_work": at_work})
        assert wait_until(lambda: not processes_in(folder), PATIENCE), "a job outlived the workflow"
        subprocess.run([*command, "--unlock"], cwd=folder, env=environment(folder), check=True)
    return kills


def jobs_of(folder: Path) -> list[str]:
    """The commands of spsn that work in a folder, with the block or notebook that they are about."""
    found = set()
    for process in processes_in(folder):
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        own = next((place for place, word in enumerate(words) if Path(word).name == "spsn"), None)
        if own is not None and "python" in Path(words[0]).name:
            about = words[words.index("--block") + 1] if "--block" in words else words[own + 2]
            found.add(f"{words[own + 1]} {about}" if not about.startswith("-") else words[own + 1])
    return sorted(found)


def compare(quiet: Path, killed: Path) -> tuple[dict[str, int], list[str]]:
    """How many things are the same, by kind, and the names of those that are not."""
    name = next(path.parent.name for path in quiet.glob("results/*/settings.json"))
    settings = load(quiet / "results" / name / "settings.json")
    ours, theirs = (folder / results(settings) for folder in (quiet, killed))
    same: dict[str, int] = {}
    different: list[str] = []

    def judge(kind: str, name: str, equal: bool) -> None:
        same[kind] = same.get(kind, 0) + equal
        different.extend([] if equal else [name])

    names = manifest.report_files(settings)
    with tempfile.TemporaryDirectory(prefix="spsn-killed-") as temporary:
        place = Place(Path(temporary), settings, quiet / "paper")
        records = manifest.records_among(names)
        for name in records:
            own, other = (json.loads((folder / name).read_text()) for folder in (ours, theirs))
            judge("runs", name, all(own[part] == other[part] for part in ("settings", "result")))
            weights = name.removesuffix("json") + "safetensors"
            judge(
                "weights",
                weights,
                tensors_of((ours / weights).read_bytes()) == tensors_of((theirs / weights).read_bytes()),
            )
            write_json(place.folder / name, {**other, "execution": own["execution"]})
        again = steps(settings, comparison=False)
        made = {manifest.RUNS, *(name for step in again for name in step.makes)}
        rest = [name for name in names if name not in made and not name.startswith("runs/")]
        for name in (*rest, REPORT.provenance):
            times = name in (*TIMES, REPORT.provenance)
            if not times and not name.startswith("notebooks/"):
                judge("files without times", name, (ours / name).read_bytes() == (theirs / name).read_bytes())
            (place.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile((ours if times else theirs) / name, place.folder / name)
        (place.folder / manifest.RUNS).parent.mkdir(parents=True, exist_ok=True)
        write_runs([place.folder / name for name in records], place.folder / manifest.RUNS)
        for step in again:
            (place.folder / step.makes[0]).parent.mkdir(parents=True, exist_ok=True)
            step.make(place)
        build_pdf(place.folder, quiet / "paper" / "report.tex", place.folder / "report" / "report.pdf")
        for name in sorted({*made, "report/report.pdf"}):
            kind = "tables, figures and report, with the same times"
            judge(kind, name, (place.folder / name).read_bytes() == (ours / name).read_bytes())
    return same, different


if __name__ == "__main__":
    sys.exit(main())
