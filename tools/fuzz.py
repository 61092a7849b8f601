"""Coverage-guided fuzzing of the readers in tests/readers.py: `tools/fuzz.py [--minutes 10] [READER ...]`.

`make fuzz` calls this for all of them. libFuzzer changes the files of tests/corpus/READER and keeps, below
build/fuzz/READER, what reaches new lines of spsn, for the next call. What a reader raises besides
`SpsnError`, or takes over ten seconds or four gigabytes for, ends its run, and stays in build/fuzz as
crash-..., timeout-... or oom-...: put it into the corpus, which a test replays. build/fuzz/READER.log has
libFuzzer's own words.
"""

import argparse
import logging
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["spsn"]):
    import readers

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "fuzz"


def main() -> int:
    """Fuzz one reader here, or several one after the other, each in a process of its own."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("readers", nargs="*", metavar="READER", help=f"of {', '.join(readers.READERS)}")
    given.add_argument("--minutes", type=float, default=10.0, help="for each reader (default: 10)")
    options = given.parse_args()
    if unknown := set(options.readers) - set(readers.READERS):
        given.error(f"there is no reader {', '.join(sorted(unknown))}")
    if len(options.readers) == 1:
        fuzz(options.readers[0], options.minutes)
        return 0
    return max([apart(name, options.minutes) for name in options.readers or readers.READERS])


def apart(name: str, minutes: float) -> int:
    """Fuzz a reader in another process; print how many inputs it was given, return 1 where one broke it."""
    BUILD.mkdir(parents=True, exist_ok=True)
    log = BUILD / f"{name}.log"
    with log.open("wb") as out:
        command = [sys.executable, __file__, name, "--minutes", str(minutes)]
        ended = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT).returncode
    count = re.search(r"number_of_executed_units: (\d+)", log.read_text(errors="replace"))
    print(f"{name:12} {count[1] if count else 'no':>10} inputs  {f'A FAULT: {log}' if ended else 'sound'}")
    return 1 if ended else 0


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
                left.unlink()

        seconds = f"-max_total_time={int(60 * minutes)}"
        limits = [seconds, "-timeout=10", "-rss_limit_mb=4096", "-max_len=262144"]
        places = [f"-artifact_prefix={BUILD}/", str(kept), str(ROOT / "tests" / "corpus" / name)]
        atheris.Setup([sys.argv[0], "-print_final_stats=1", *limits, *places], once)
        atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
