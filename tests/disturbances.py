"""What the tests of faults share: a place in which `spsn train` works, ways to disturb it, and its outcome.

A process is disturbed by code that runs in it before the command does: it sets a limit, or waits for the
system call at which it sends itself the signal. The signals, limits, full disks and damaged bytes are real.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import ROOT, environment, lacking

from spsn import compile_cache, processes
from spsn.cli import main
from spsn.files import write_json
from spsn.records import read_record
from spsn.settings import Settings, from_mapping, to_mapping

BLOCK, SEEDS = "accuracy/spsn-sb/augmented", (0, 1)
FOLDER = Path("checkpoints") / BLOCK
LONG = 200  # epochs that take seconds, also on a fast machine
# Ends this process by SIGKILL when an event whose last argument matches a pattern occurs for the n-th time.
AT_EVENT = """
import os, re, signal, sys
left = [{count}]
def hook(event, arguments):
    if event == {event!r} and re.search({pattern!r}, " ".join(map(str, arguments[:2]))):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
"""
# The kernel ends this process in the middle of a write, at a file's n-th byte.
AT_BYTE = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, ({byte}, {byte}))
"""
SPSN = "\nimport sys\nfrom spsn.cli import main\nsys.exit(main(sys.argv[1:]))\n"


def start(folder: Path, *arguments: str, before: str = "", **variables: str) -> subprocess.Popen:
    """Start `spsn` in a folder, after the code `before`."""
    return subprocess.Popen(
        [sys.executable, "-c", before + SPSN, *map(str, arguments)],
        cwd=folder,
        env={**environment(ROOT), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears_the_keyboard,
    )


def hears_the_keyboard() -> None:
    """Have a process end at Ctrl-C, also where these tests run in a background that does not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finish(process: subprocess.Popen) -> tuple[int, str]:
    """Status and messages of a process that ends by itself; a hang is a failure."""
    _, messages = process.communicate(timeout=120)
    return process.returncode, messages


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> bool:
    """Whether the condition came true in time."""
    end = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < end:
        time.sleep(0.005)
    return bool(met)


@dataclass(frozen=True)
class Place:
    """A folder with settings and event stores, in which a block is trained."""

    folder: Path

    @property
    def command(self) -> tuple[str, ...]:
        """The command that trains the block; every path is relative."""
        data = ("--train", "train.safetensors", "--test", "test.safetensors", "--results", "results")
        seeds = ",".join(map(str, SEEDS))
        return ("train", "--block", BLOCK, "--seeds", seeds, "--settings", "settings.json", *data)

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def start(self, before: str = "", **variables: str) -> subprocess.Popen:
        """Start the training in a process of its own."""
        return start(self.folder, *self.command, before=before, **variables)

    def run(self, before: str = "", **variables: str) -> tuple[int, str]:
        """Status and messages of a training in a process of its own."""
        return finish(self.start(before, **variables))

    def train(self, monkeypatch: pytest.MonkeyPatch) -> int:
        """The status of the same command in this process."""
        with monkeypatch.context() as patch:
            patch.chdir(self.folder)
            return main([*self.command, "--detached"])

    def interrupt(self, monkeypatch: pytest.MonkeyPatch, epochs: int = 3) -> None:
        """Train in this process, and stop after so many epochs of the first run."""
        answers = iter([False] * epochs + [True])
        with monkeypatch.context() as patch:
            patch.setattr(processes, "stop_at_sigterm", lambda: nullcontext(answers.__next__))
            assert self.train(monkeypatch) == 143
        assert self.epochs() == [epochs]

    def outcome(self) -> dict:
        """Of every run: settings, result, and the bytes of its weights."""
        found = {}
        for path in sorted(self.results.glob("runs/**/*.json")):
            record = read_record(path)
            weights = path.with_suffix(".safetensors").read_bytes()
            found[path.name] = (record.settings, record.result, tensors_of(weights))
        return found

    def epochs(self) -> list[int]:
        """After how many epochs there is a checkpoint, of any run."""
        names = (path.name for path in self.results.glob("checkpoints/**/seed*.epoch*.safetensors"))
        return sorted(int(re.search(r"epoch(\d+)", name)[1]) for name in names)

    def leftovers(self) -> list[str]:
        """Files that are not whole."""
        return sorted(path.name for path in self.results.rglob("*.part"))


def tensors_of(content: bytes) -> bytes:
    """What follows the header of a safetensors file, which names the record and with it times."""
    return content[8 + int.from_bytes(content[:8], "little") :]


def make_place(folder: Path, settings: Settings, stores, epochs: int, every: int = 1) -> Place:
    """Write what the training reads."""
    folder.mkdir(parents=True, exist_ok=True)
    config = to_mapping(settings)
    config["experiments"]["accuracy"]["training"]["epochs"] = epochs
    config["execution"]["checkpoint_every"] = every
    write_json(folder / "settings.json", to_mapping(from_mapping(config)))
    for store, split in zip(stores, ("train", "test"), strict=True):
        store.save(folder / f"{split}.safetensors")
    return Place(folder)


def compiled_code(base: Path) -> Path:
    """A copy, below `base`, of the code that trainings before have compiled; its folder."""
    (warm, _), *_ = compile_cache.folders(compile_cache.sources_digest("spsn"))
    return Path(shutil.copytree(warm, base / warm.name, ignore=shutil.ignore_patterns("*.tmp.*")))


def flip(path: Path, seed: int, first: int = 0, bits: int = 1) -> None:
    """Flip some bits of a file at random places from byte `first` on."""
    chance, content = random.Random(seed), bytearray(path.read_bytes())
    for _ in range(bits):
        content[chance.randrange(first, len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def cut(path: Path, seed: int) -> None:
    """Cut a file short at a random place."""
    content = path.read_bytes()
    path.write_bytes(content[: random.Random(seed).randrange(1, len(content))])


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A small disk in memory at `folder`, which only root can have; yields what mounts it otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        lacking("needs the right to mount a file system")
    try:
        yield lambda how: subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def is_alive(pid: int) -> bool:
    """Whether a thread of a process works; only when the last has ended are its files closed."""
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        try:
            if (thread / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                return True
        except OSError:
            continue
    return False


def processes_in(folder: Path) -> list[Path]:
    """The entries below /proc of the processes that work in a folder, or below it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(process / "cwd")).is_relative_to(folder):
                found.append(process)
        except OSError:
            continue
    return found


def children(pid: int, command: str = "") -> list[int]:
    """Processes that a process started, of those whose command line has `command` in it."""
    found = Path(f"/proc/{pid}/task").glob("*/children")
    started = [int(number) for path in found for number in os.fsdecode(path.read_bytes()).split()]
    return [child for child in started if not command or command in " ".join(command_line(child))]


def command_line(pid: int) -> list[str]:
    """The words that a process was started with; none where it has ended."""
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).split("\0")
    except OSError:
        return []
