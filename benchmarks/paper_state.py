"""What is done of a grid, and training as much of the rest as fits into a time."""

import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import paper_blocks
from benchmarks.paper_blocks import Files
from spsn.grid import Block, RunSettings
from spsn.progress import duration
from spsn.records import record_path, settings_digest
from spsn.settings import Settings
from spsn.timing.measure import MEASURED
from spsn.timing.remote import STOPPED, Remote

MARGIN = 1.15  # times the estimate
TESTING = 3.0  # seconds a block, beside its epochs
ESTIMATING = 15.0  # seconds: with less left nothing is begun
log = logging.getLogger("benchmarks.gpu_paper")


class State:
    """The blocks of a grid, the data of each, and what is done. `written`: the settings' own file."""

    def __init__(self, settings: Settings, files: Files, results: Path, written: Path) -> None:
        self.settings, self.results, self.written = settings, results, written
        self.blocks = paper_blocks.ordered(settings)
        steps = {block.network.time_step for block in self.blocks}
        self._stores = {step: files.stores(settings, step) for step in sorted(steps)}

    def runs(self, block: Block) -> list[RunSettings]:
        """The block's runs."""
        stores = self._stores[block.network.time_step]
        return paper_blocks.runs_of(
            self.settings, block, paper_blocks.loaded(stores["train"], stores["test"])
        )

    def undone(self, block: Block) -> list[RunSettings]:
        """Those of them that have no record."""
        runs = self.runs(block)
        done = paper_blocks.done(self.results, runs)
        return [run for run in runs if run not in done]

    def entries(self) -> dict[str, dict[str, Any]]:
        """Every run that has its record: what an index says of it, by name."""
        runs = [run for block in self.blocks for run in paper_blocks.done(self.results, self.runs(block))]
        return {run_name(run): {"run": run_name(run), "settings": settings_digest(run)} for run in runs}

    def left(self, finished: Mapping[str, Any]) -> list[str]:
        """The names of all others."""
        names = [run_name(run) for block in self.blocks for run in self.runs(block)]
        return [name for name in names if name not in finished]

    def counts(self, block: Block, finished: Mapping[str, Any]) -> tuple[int, int]:
        """How many of a block's runs are done, and how many there are."""
        names = [f"{block.name}/seed{seed}" for seed in block.seeds]
        return sum(name in finished for name in names), len(names)

    def names(self, entries: Iterable[Mapping[str, Any]], weights: bool) -> list[str]:
        """Files of finished runs and the newest checkpoints of unfinished ones, from the results' folder."""
        suffixes = (".json", ".safetensors") if weights else (".json",)
        found = [Path("runs", f"{entry['run']}{suffix}") for entry in entries for suffix in suffixes]
        for block in self.blocks:
            for run in self.undone(block):
                kept = (self.results / "checkpoints" / block.name).glob(f"seed{run.seed}.epoch*.safetensors")
                found += [path.relative_to(self.results) for path in sorted(kept, key=_epoch)[-1:]]
        return [str(path) for path in found if (self.results / path).exists()]

    def asked(self, block: Block) -> dict[str, Any]:
        """What `paper_blocks.estimate` and `train` are called with."""
        stores = {split: str(path) for split, path in self._stores[block.network.time_step].items()}
        names = {"settings": str(self.written), "results": str(self.results)}
        return {**names, "block": block.name, "seeds": list(block.seeds), **stores}


def run_name(run: RunSettings) -> str:
    """`experiment/model/condition/seed<k>`: where its record lies below `runs/`."""
    return str(record_path("", run).relative_to("runs").with_suffix(""))


def _epoch(path: Path) -> int:
    return int(path.name.split(".")[1].removeprefix("epoch"))


def carry_out(
    state: State, until: float, most: int | None = None, paces: Mapping[str, float] | None = None
) -> dict[str, str]:
    """Train block after block until `until` (of `time.monotonic`), `most` of them; what is to be said of each
    that was not done before, by its job.

    paces: seconds of an epoch of a run, by the kind of block, where they are known.
    """
    said: dict[str, str] = {}
    known, begun = dict(paces or {}), 0
    with Remote() as remote:
        for block in state.blocks:
            left = state.undone(block)
            if not left:
                continue
            refused = _refusal(state, block, left, remote, until, known) if begun != most else "not begun"
            begun += refused is None
            said[block.job] = refused or _trained(state, block, left, remote, until, known)
            log.info("%s: %s", block.job, said[block.job])
    return said


def _refusal(
    state: State, block: Block, left: list[RunSettings], remote: Remote, until: float, paces: dict[str, float]
) -> str | None:
    """Why a block is not begun; None where it is expected to end in time."""
    key, seconds = paper_blocks.kind(block), until - time.monotonic()
    if seconds < ESTIMATING:
        return "not begun: the time is over"
    if key not in paces:
        answer = remote.ask("benchmarks.paper_blocks:estimate", state.asked(block), seconds)
        if answer["status"] != MEASURED:
            return f"not begun: {answer['status']} ({answer.get('why', 'no more is known')})"
        paces[key] = answer["seconds_per_run_epoch"]
    expected = MARGIN * paces[key] * paper_blocks.epochs_left(state.results, left) + TESTING
    if expected > until - time.monotonic():
        return f"not begun: would take about {duration(expected)}"
    return None


def _trained(
    state: State, block: Block, left: list[RunSettings], remote: Remote, until: float, paces: dict[str, float]
) -> str:
    """Train a block, and learn how long its kind takes."""
    epochs, begun = paper_blocks.epochs_left(state.results, left), time.monotonic()
    answer = remote.ask("benchmarks.paper_blocks:train", state.asked(block), max(0.0, until - begun))
    took = time.monotonic() - begun
    if answer["status"] == MEASURED:
        paces[paper_blocks.kind(block)] = took / max(1, epochs)
        return f"trained in {duration(took)}"
    paper_blocks.emit_finished(state.results, left)
    if answer["status"] == STOPPED:
        again = paper_blocks.epochs_left(state.results, state.undone(block))
        return f"stopped after {duration(took)}, {again} of {epochs} epochs are left"
    return f"{answer['status']}: {answer.get('why', 'no more is known')}"
