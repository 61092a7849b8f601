"""A whole workflow killed again and again, held against one that nobody disturbed.

    make killed-demo [ARGS="--config config/demo.yaml --kills 7 --folder build/killed-demo"]

Clones this repository's last commit twice, runs the configuration in each, and kills the second run (SIGKILL)
at random moments spread over the time that the first one took, in turn Snakemake alone and every process.
Then everything that is no time must be the same: settings, result and weights of every run, each file that a
job measured, and every table, figure, number of the report and page of the PDF, made from what the second
measured with the first's times. The second's own tables, figures and report must be what its records say
(`spsn verify`). Prints what was killed and compared, as JSON; exit code 1 where anything differs.
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
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from disturbances import command_line, processes_in, tensors_of, wait_until
from support import environment

from spsn import manifest
from spsn.files import write_json
from spsn.layout import results
from spsn.provenance import machine, versions_of
from spsn.replication.run_table import write_runs
from spsn.replication.typesetting import REPORT, build_pdf
from spsn.settings import load
from spsn.verification.files import PDFS
from spsn.verification.recompute import Place, steps
from spsn.verification.verify import verify

ROOT = Path(__file__).resolve().parent.parent
TIMES = (manifest.EPOCH, manifest.LENGTH)
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
        checkout(quiet, commit_of(ROOT))
        begin = time.monotonic()
        subprocess.run(command, cwd=quiet, env=environment(quiet), check=True)
        (quiet / SECONDS).write_text(f"{time.monotonic() - begin:.1f}")
    seconds = float((quiet / SECONDS).read_text())
    checkout(killed, commit_of(quiet))
    kills = kill_again_and_again(killed, command, options.kills, seconds, random.Random(options.seed))
    subprocess.run(command, cwd=killed, env=environment(killed), check=True)
    compared = compare(quiet, killed)
    found = {
        "command": f"make killed-demo ARGS='{' '.join(sys.argv[1:])}'",
        "git_commit": commit_of(killed),
        "machine": machine(),
        "versions": versions_of(("spsn", "python", "torch", "numpy", "numba", "snakemake", "papermill")),
        "undisturbed_seconds": seconds,
        "kills": kills,
        "same": compared.same,
        "different": compared.different,
    }
    print(json.dumps(found, indent=1))
    if options.out:
        write_json(options.out, found)
    return 1 if compared.different or len(kills) < options.kills else 0


def commit_of(folder: Path) -> str:
    """The commit that a checkout stands at."""
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def checkout(folder: Path, commit: str) -> None:
    """A commit in a folder of its own, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    subprocess.run(["git", "checkout", "--quiet", "--detach", commit], cwd=folder, check=True)


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
        words = command_line(int(process.name))
        own = next((place for place, word in enumerate(words) if Path(word).name == "spsn"), None)
        if own is not None and "python" in Path(words[0]).name:
            about = words[words.index("--block") + 1] if "--block" in words else words[own + 2]
            found.add(f"{words[own + 1]} {about}" if not about.startswith("-") else words[own + 1])
    return sorted(found)


@dataclass
class Compared:
    """How many things are the same, by kind, and the names of those that are not."""

    same: Counter = field(default_factory=Counter)
    different: list[str] = field(default_factory=list)

    def judge(self, kind: str, name: str, equal: bool) -> None:
        """Count one thing."""
        self.same[kind] += equal
        self.different += [] if equal else [name]


def compare(quiet: Path, killed: Path) -> Compared:
    """Hold the results of two checkouts against each other, and the second's against its own records."""
    name = next(path.parent.name for path in quiet.glob("results/*/settings.json"))
    settings = load(quiet / "results" / name / "settings.json")
    ours, theirs = (folder / results(settings) for folder in (quiet, killed))
    names, compared = manifest.report_files(settings), Compared()
    made = {manifest.RUNS, *(name for step in steps(settings, comparison=False) for name in step.makes)}
    given = [name for name in names if name not in made and not name.startswith("runs/")]
    with tempfile.TemporaryDirectory(prefix="spsn-killed-") as temporary:
        place = Place(Path(temporary), settings, quiet / "paper")
        compare_runs(manifest.records_among(names), ours, theirs, place, compared)
        compare_given(given, ours, theirs, place, compared)
        make_again(place, manifest.records_among(names))
        for name in sorted({*made, PDFS[REPORT]}):
            equal = (place.folder / name).read_bytes() == (ours / name).read_bytes()
            compared.judge("tables, figures and report, with the same times", name, equal)
    verified = verify(theirs, killed / "paper")
    compared.same["tables, figures and report of its own records"] = verified.checked["files made again"]
    compared.different += verified.lines
    return compared


def compare_runs(records: list[str], ours: Path, theirs: Path, place: Place, compared: Compared) -> None:
    """Settings, results and weights; `place` gets their records with our times."""
    for name in records:
        own, other = (json.loads((folder / name).read_text()) for folder in (ours, theirs))
        compared.judge("runs", name, all(own[part] == other[part] for part in ("settings", "result")))
        weights = name.removesuffix("json") + "safetensors"
        own_tensors, tensors = (tensors_of((folder / weights).read_bytes()) for folder in (ours, theirs))
        compared.judge("weights", weights, own_tensors == tensors)
        write_json(place.folder / name, {**other, "execution": own["execution"]})


def compare_given(names: list[str], ours: Path, theirs: Path, place: Place, compared: Compared) -> None:
    """What jobs measured or found out; `place` gets theirs where it holds no time, else ours."""
    for name in (*names, REPORT.provenance):
        times = name in (*TIMES, REPORT.provenance)
        if not times and not name.startswith("notebooks/"):
            equal = (ours / name).read_bytes() == (theirs / name).read_bytes()
            compared.judge("files without times", name, equal)
        (place.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile((ours if times else theirs) / name, place.folder / name)


def make_again(place: Place, records: list[str]) -> None:
    """Every table, figure and number, and the report, from what lies in `place`."""
    (place.folder / manifest.RUNS).parent.mkdir(parents=True, exist_ok=True)
    write_runs([place.folder / name for name in records], place.folder / manifest.RUNS)
    for step in steps(place.settings, comparison=False):
        (place.folder / step.makes[0]).parent.mkdir(parents=True, exist_ok=True)
        step.make(place)
    build_pdf(place.folder, place.paper / "report.tex", place.folder / PDFS[REPORT])


if __name__ == "__main__":
    sys.exit(main())
