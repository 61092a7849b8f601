"""Coverage-guided fuzzing of the readers in tests/readers.py: `tools/fuzz.py [--minutes 10] [READER ...]`.

`make fuzz` calls this for all of them. libFuzzer changes the files of tests/corpus/READER and keeps, below
build/fuzz/READER, what reaches new lines of spsn, for the next call. What a reader raises besides
`SpsnError`, or takes over ten seconds or four gigabytes for, ends its run, and stays in build/fuzz as
crash-..., timeout-... or oom-...: put it into the corpus, which a test replays. build/fuzz/READER.log has
libFuzzer's own words. `--out FILE` keeps what was counted as JSON: of each reader the minutes, how many
inputs it was given and the names of what was found; the machine, versions and commit.
"""

import argparse
import logging
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["spsn"]):
    import readers

    from spsn import provenance
    from spsn.files import write_json

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "fuzz"


@dataclass(frozen=True)
class Count:
    """What came of a reader: minutes with its start, inputs it was given, names of those that broke it.

    `sound` is false where it ended with a fault, with an input that was kept or without.
    """

    reader: str
    minutes: float
    executions: int | None
    sound: bool
    findings: tuple[str, ...]


def main() -> int:
    """Fuzz one reader here, or several one after the other, each in a process of its own."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("readers", nargs="*", metavar="READER", help=f"of {', '.join(readers.READERS)}")
    given.add_argument("--minutes", type=float, default=10.0, help="for each reader (default: 10)")
    given.add_argument("--out", type=Path, help="keep what was counted in this file, as JSON")
    options = given.parse_args()
    if unknown := set(options.readers) - set(readers.READERS):
        given.error(f"there is no reader {', '.join(sorted(unknown))}")
    if len(options.readers) == 1 and options.out is None:
        fuzz(options.readers[0], options.minutes)
        return 0
    about, counts = made_with() if options.out else {}, []
    for name in options.readers or readers.READERS:
        counts.append(apart(name, options.minutes))
        if options.out:  # after each, for whoever ends it early
            write_json(options.out, {"readers": [asdict(count) for count in counts], **about})
    return 0 if all(count.sound for count in counts) else 1


def apart(name: str, minutes: float) -> Count:
    """Fuzz a reader in another process; print and return how many inputs it was given, and what broke it."""
    BUILD.mkdir(parents=True, exist_ok=True)
    log, began = BUILD / f"{name}.log", time.monotonic()
    with log.open("wb") as out:
        command = [sys.executable, __file__, name, "--minutes", str(minutes)]
        ended = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT).returncode
    took, said = (time.monotonic() - began) / 60, log.read_text(errors="replace")
    count = re.search(r"number_of_executed_units: (\d+)", said)
    found = tuple(Path(path).name for path in re.findall(r"Test unit written to (\S+)", said))
    print(f"{name:12} {count[1] if count else 'no':>10} inputs  {f'A FAULT: {log}' if ended else 'sound'}")
    return Count(name, round(took, 2), int(count[1]) if count else None, not ended, found)


def made_with() -> dict[str, Any]:
    """The machine, the versions and the commit that a count is of."""
    return {
        "machine": provenance.machine(),
        "versions": provenance.versions() | {"atheris": metadata.version("atheris")},
        "git_commit": provenance.git_commit(),
    }


def fuzz(name: str, minutes: float) -> None:
    """Fuzz a reader until time is up, or an input breaks it; libFuzzer ends the process."""
    logging.disable()
    kept = BUILD / name
    kept.mkdir(parents=True, exist_ok=True)
    reader = readers.READERS[name]
    with tempfile.TemporaryDirectory(prefix="spsn-fuzz-") as scratch:
        folder = Path(scratch)

        def once(content: bytes) -> None:
            readers.outcome(reader, content, folder)
            for left in folder.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()

        seconds = f"-max_total_time={int(60 * minutes)}"
        limits = [seconds, "-timeout=10", "-rss_limit_mb=4096", "-max_len=262144"]
        places = [f"-artifact_prefix={BUILD}/", str(kept), str(ROOT / "tests" / "corpus" / name)]
        atheris.Setup([sys.argv[0], "-print_final_stats=1", *limits, *places], once)
        atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
