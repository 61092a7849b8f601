"""The parts of `gpu_check` in their order, and the one that runs tests."""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spsn.errors import SpsnError

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("stack", "baseline", "epoch", "graphs", "tests", "lengths", "ceilings", "kernels")
TESTS = ("tests/test_cuda.py", "tests/kernels/gpu")
SHARE_OF_TESTS = 0.2  # of the minutes
FIRST = 180.0  # seconds that a stack may take: the first one makes the data and compiles
STACKS = (10, 1, 40, 80)  # runs
GRAPHED = (1, 10)  # runs of the stacks that are trained with CUDA graphs and without
TINY = {"samples": 24, "shorter": 20.0}  # data without a GPU: T of about 50
TOLD = 4000  # characters of the tests' output that are kept
Settings = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """A call (`spsn.timing.remote`): begun where `needs` seconds are left, stopped after `most`.

    `about` goes into the record; `here`: called by this process itself, while there is no other; `limits`:
    wants the measured ceilings; `otherwise`: changed settings for a second try where the first fails.
    """

    name: str
    title: str
    function: str
    settings: Settings
    about: Settings = field(default_factory=dict)
    needs: float = 5.0
    most: float = 120.0
    here: bool = False
    limits: bool = False
    otherwise: Settings = field(default_factory=dict)


def plan(options: argparse.Namespace, device: str) -> list[Part]:
    """All parts for a device, the most important first."""
    shared = {"device": device, "threads": options.threads}
    if not device.startswith("cuda"):
        return _reduced(options.models, shared)
    shared |= {"data": {}}
    models = options.models
    first = [m for m in ("spsn-sb", "lif") if m in models]
    others = [m for m in models if m not in first]
    parts = [_stack(m, 10, True, shared) for m in models]
    parts += [_baseline(m, True, shared) for m in first]
    parts += [_epoch(m, 10, shared) for m in first[:1]]
    parts += [_stack(m, 1, True, shared) for m in first[:1]]
    parts += [_graphs(m, runs, on, shared) for m in first[:1] for runs in GRAPHED for on in (True, False)]
    parts += [_lengths(device, 64, (100, 1000, 3000, 10_000), 2, 15.0, 130.0, options)]
    parts += [_tests(60 * options.minutes)]
    parts += [_ceilings(device), *(_kernels(m, shared) for m in first)]
    sizes = [(m, runs) for runs in STACKS for m in models]
    done = [("spsn-sb", 1), *((m, 10) for m in models)]
    parts += [_stack(m, runs, True, shared) for m, runs in sizes if (m, runs) not in done]
    parts += [_lengths(device, 1, (100, 1000, 10_000, 100_000, 1_000_000), 3, 10.0, 100.0, options)]
    parts += [_stack(m, 10, False, shared) for m in models]
    parts += [_baseline(m, True, shared) for m in others]
    parts += [_stack(m, 10, True, shared, "torch") for m in models]
    parts += [_kernels(m, shared) for m in others]
    parts += [_stack(m, runs, False, shared) for m, runs in sizes if runs != 10]
    parts += [_baseline(m, False, shared) for m in models]
    return parts


def _reduced(models: list[str], shared: Settings) -> list[Part]:
    """The same for a CPU, as small as can be; no ceilings and tests, which are a GPU's."""
    tiny = shared | {"data": TINY, "batch_size": 8}
    few = {"warmup": 1, "seconds": 0.1}
    parts = [_stack(m, runs, True, tiny | few) for m in models for runs in (1, 2)]
    parts += [_stack(m, 2, False, tiny | few) for m in models[:1]]
    parts += [_baseline(m, True, tiny | {"warmup": 1, "steps": 1}) for m in models]
    parts += [_epoch(m, 2, tiny) for m in models[:1]]
    parts += [_graphs(models[0], 1, False, tiny)]
    parts += [_stack(m, 2, True, tiny | few, "torch") for m in models[:1]]
    settings = {"device": shared["device"], "threads": shared["threads"], "inputs": 16, "neurons": 16}
    study = {"batch_size": 2, "lengths": [50, 100], "repeats": 1, "seconds_per_point": 5.0}
    return [*parts, _length_part(settings | study, 60.0)]


def left_out(on_gpu: bool) -> list[dict[str, str]]:
    """What the reduced form leaves out."""
    if on_gpu:
        return []
    small = f"{TINY['samples']} samples of about 50 steps in place of 8156 of 750, batches of 8"
    return [
        {"part": "the data of SHD's size", "why": f"no GPU: {small}"},
        {"part": "stacks of 10, 40 and 80 runs", "why": "no GPU: stacks of 1 and 2"},
        {"part": "tests that need a GPU", "why": "no GPU"},
        {"part": "Figure 5 beyond T = 100", "why": "no GPU"},
        {"part": "kernels and the fraction of their floor", "why": "no GPU"},
    ]


def _stack(model: str, runs: int, augmented: bool, shared: Settings, backend: str = "fused") -> Part:
    about = {"model": model, "backend": backend, "runs": runs, "augmented": augmented}
    title = f"{model} {backend}, {runs} run{'s' if runs > 1 else ''}, {_condition(augmented)}"
    return Part("stack", title, "spsn.timing.stacks:stack_epoch", about | shared, about, 6.0, FIRST)


def _baseline(model: str, augmented: bool, shared: Settings) -> Part:
    about = {"model": model, "implementation": "paper", "augmented": augmented}
    settings = shared | {"model": model, "augmented": augmented}
    title = f"{model}, the paper's way, {_condition(augmented)}"
    return Part("baseline", title, "spsn.timing.stacks:paper_epoch", settings, about, 10.0, 60.0)


def _epoch(model: str, runs: int, shared: Settings) -> Part:
    about = {"model": model, "backend": "fused", "runs": runs, "augmented": True}
    title = f"{model} fused, {runs} runs, augmented, whole epochs"
    settings = about | shared
    return Part("epoch", title, "spsn.timing.stacks:whole_epochs", settings, about, 10.0, 90.0)


def _graphs(model: str, runs: int, graphs: bool, shared: Settings) -> Part:
    about = {"model": model, "backend": "fused", "runs": runs, "augmented": True, "graphs": graphs}
    how = "replayed as CUDA graphs" if graphs else "led by the host"
    title = f"{model} fused, {runs} run{'s' if runs > 1 else ''}, augmented, steps {how}"
    return Part("graphs", title, "benchmarks.gpu_graphs:graph_epochs", about | shared, about, 15.0, 90.0)


def _condition(augmented: bool) -> str:
    return "augmented" if augmented else "basic"


def _tests(seconds: float) -> Part:
    limit = SHARE_OF_TESTS * seconds
    settings = {"paths": TESTS}
    return Part("tests", "tests", "benchmarks.gpu_plan:gpu_tests", settings, {}, 15.0, limit, here=True)


def _ceilings(device: str) -> Part:
    return Part("ceilings", "ceilings", "spsn.timing.gpu_floor:ceilings", {"device": device}, {}, 6.0, 30.0)


def _kernels(model: str, shared: Settings) -> Part:
    about = {"model": model, "backend": "fused", "runs": 10, "augmented": True}
    title = f"kernels of a step, {model} fused, 10 runs, augmented"
    function = "spsn.timing.gpu_floor:step_kernels"
    return Part("kernels", title, function, about | shared, about, 8.0, 60.0, limits=True)


def _lengths(
    device: str, batch: int, lengths: tuple[int, ...], repeats: int, each: float, most: float, options
) -> Part:
    settings = {"device": device, "threads": options.threads, "inputs": 128, "neurons": 128}
    study = {"batch_size": batch, "lengths": lengths, "repeats": repeats, "seconds_per_point": each}
    return _length_part(settings | study, most)


def _length_part(settings: Settings, most: float) -> Part:
    about = {key: settings[key] for key in ("batch_size", "inputs", "neurons")}
    title = f"Figure 5 to T = {max(settings['lengths']):,}, {settings['batch_size']} sample(s)"
    function, without = "benchmarks.sequence_length:length_study", {"fused": False}
    return Part("lengths", title, function, settings, about, 15.0, most, otherwise=without)


def gpu_tests(*, paths: list[str], seconds: float) -> dict[str, Any]:
    """Run tests of the checkout; how many passed, failed and were skipped, and the end of what they said.

    Raises `SpsnError` where pytest or the tests are absent, or the time is over.
    """
    if importlib.util.find_spec("pytest") is None:
        raise SpsnError("pytest is not installed")
    present = [path for path in paths if (ROOT / path).exists()]
    if not present:
        raise SpsnError(f"{ROOT} has no {' or '.join(paths)}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *present]
    own = {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | own, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"")[-TOLD:]
        raise SpsnError(f"the tests were not done within {seconds:.0f} s: {said!r}") from error
    return {"returned": done.returncode, **counts(done.stdout), "told": (done.stdout + done.stderr)[-TOLD:]}


def counts(output: str) -> dict[str, int]:
    """Passed, failed (errors among them) and skipped tests of what pytest printed."""
    last = output.strip().rpartition("\n")[2]
    found = {word: int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", last)}
    failed = sum(found.get(word, 0) for word in ("failed", "error", "errors"))
    return {"passed": found.get("passed", 0), "failed": failed, "skipped": found.get("skipped", 0)}
