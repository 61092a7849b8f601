"""The check of a GPU: its reduced form on a CPU from end to end, and its plan for a GPU."""

import inspect
import json
import logging
import os
import subprocess
import sys
import time
from argparse import Namespace
from importlib import import_module
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # the commands are a package of the repository's root

from benchmarks import gpu_check, gpu_graphs, gpu_plan, gpu_text, sequence_length  # noqa: E402
from spsn.resident import SWITCH  # noqa: E402
from spsn.timing.gpu_targets import figures, verdicts  # noqa: E402
from spsn.timing.steps import MODELS  # noqa: E402

ABSENT = ("snakemake", "tonic", "seaborn", "scipy", "matplotlib", "papermill", "yaml", "soundfile", "pandas")
HIDE = f"""
import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        hidden = name.partition(".")[0] in {ABSENT!r}
        return None if hidden else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
"""


def options(**changes):
    return Namespace(**{"models": list(MODELS), "threads": 1, "minutes": 8.0, **changes})


@pytest.fixture(scope="module")
def reduced(tmp_path_factory):
    """The reduced form of one model, as a module, where packages are absent that a GPU's machine may lack."""
    folder = tmp_path_factory.mktemp("check")
    (folder / "sitecustomize.py").write_text(HIDE)
    path = os.pathsep.join([str(folder), str(ROOT / "src")])
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--device", "cpu", "--threads", "1"]
    command += ["--models", "spsn-sb", "--minutes", "10", "--out", str(folder / "out")]
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done, json.loads((folder / "out/cpu-check.json").read_text()), folder


def test_the_hidden_packages_are_hidden(reduced):
    """Else the next test would say less."""
    environment = os.environ | {"PYTHONPATH": str(reduced[2])}
    for name in ABSENT:
        done = subprocess.run(
            [sys.executable, "-c", f"import {name}"], env=environment, capture_output=True, text=True
        )
        assert f"No module named '{name}'" in done.stderr


def test_the_reduced_form_runs_to_its_end_and_says_what_it_is(reduced):
    done, record, folder = reduced
    first = done.stdout.split("\n\n")
    assert first[0] == "Device: cpu" and first[1] == gpu_text.REDUCED
    assert record["reduced"] and record["device"] == "cpu" and record["machine"]["cores"] >= 1
    assert record["command"].startswith("python -m benchmarks.gpu_check --device cpu")
    assert {point["status"] for point in record["points"]} == {"measured"}
    parts = [point["part"] for point in record["points"]]
    assert set(parts) == {"stack", "baseline", "epoch", "graphs", "lengths"} and parts[0] == "stack"
    assert record["seconds"] == record["points"][0]["seconds_per_run_epoch"] > 0
    for left in record["skipped"]:
        assert f"| {left['part']} | {left['why']} |" in done.stdout
    assert "tests that need a GPU" in done.stdout and "fused, S = 2" in done.stdout
    assert os.listdir(folder / "out") == ["cpu-check.json"]


def test_no_target_is_judged_without_a_gpu(reduced):
    record = reduced[1]
    assert all(row["measured"] is None for row in record["targets"])
    assert {row["must_is"] for row in record["targets"]} == {"not measured", "-"}
    assert "| target" not in reduced[0].stdout


def test_the_plan_has_all_sizes_and_the_most_important_first():
    parts = gpu_plan.plan(options(), "cuda:0")
    heads = [(p.name, p.about["model"], p.about["runs"], p.about["augmented"]) for p in parts[:4]]
    assert heads == [("stack", model, 10, True) for model in MODELS]
    stacks = [tuple(p.about.values()) for p in parts if p.name == "stack"]
    wanted = {(m, "fused", s, a) for m in MODELS for s in (1, 10, 40, 80) for a in (True, False)}
    assert wanted <= set(stacks) and len(stacks) == len(set(stacks))
    assert {(m, "torch", 10, True) for m in MODELS} <= set(stacks)
    assert {p.about["model"] for p in parts if p.name == "baseline" and p.about["augmented"]} == set(MODELS)
    assert max(max(p.settings["lengths"]) for p in parts if p.name == "lengths") == 1_000_000
    assert {p.name for p in parts} == set(gpu_plan.NAMES)
    graphed = {(p.about["runs"], p.about["graphs"]) for p in parts if p.name == "graphs"}
    assert graphed == {(1, True), (1, False), (10, True), (10, False)}
    ceilings = [p.name for p in parts].index("ceilings")
    assert all(number > ceilings for number, p in enumerate(parts) if p.limits)


@pytest.mark.parametrize("device", ["cuda:0", "cpu"])
def test_every_part_can_be_called_with_its_settings(device):
    for part in gpu_plan.plan(options(), device):
        module, _, name = part.function.partition(":")
        settings = json.loads(json.dumps(part.settings | part.otherwise))
        settings |= ({"limits": {}} if part.limits else {}) | ({"seconds": 1.0} if part.here else {})
        inspect.signature(getattr(import_module(module), name)).bind(**settings)
        assert part.needs <= part.most


def test_without_time_all_is_skipped_and_said(tmp_path):
    parts = gpu_plan.plan(options(), "cuda:0")
    points, skipped = gpu_check.carry_out(parts, time.monotonic(), tmp_path / "kept.jsonl")
    assert points == [] and [s["part"] for s in skipped] == [p.title for p in parts]
    assert skipped[0]["why"] == "0 s were left of the minutes"


def test_a_network_that_failed_twice_is_not_tried_again(tmp_path):
    def part(title, model):
        about = {"model": model, "backend": "fused", "runs": 1, "augmented": True}
        return gpu_plan.Part("stack", title, "spsn.timing.nowhere:nothing", {}, about)

    parts = [part(str(number), "lif") for number in range(3)] + [part("other", "spsn-sb")]
    kept = tmp_path / "kept.jsonl"
    points, skipped = gpu_check.carry_out(parts, time.monotonic() + 120, kept)
    assert [p["title"] for p in points] == ["0", "1", "other"]
    assert all(p["status"] == "failed" and "nowhere" in p["why"] for p in points)
    assert skipped == [{"part": "2", "why": "the same network failed twice before"}]
    assert [json.loads(line) for line in kept.read_text().splitlines()] == points


def test_a_second_try_leaves_out_what_failed(tmp_path):
    study = {"batch_size": 2, "lengths": [10], "repeats": 1, "seconds_per_point": 5.0}
    shared = {"device": "cpu", "threads": 1, "inputs": 3, "neurons": 3}
    part = gpu_plan._length_part(shared | study | {"fused": "no such option", "wrong": 1}, 60.0)
    (point,), _ = gpu_check.carry_out([part], time.monotonic() + 120, tmp_path / "kept.jsonl")
    assert point["status"] == "failed" and "first_failed" in point
    whole = sequence_length.length_study(**shared, **study)["curves"]
    part = sequence_length.length_study(**shared, **study, fused=False)["curves"]
    assert {curve["implementation"] for curve in whole} - {c["implementation"] for c in part} == {"fused"}


def test_graphs_are_switched_for_one_call(monkeypatch):
    """And what is warned of meanwhile is kept with the figure."""
    for before in (None, "1"):
        monkeypatch.delenv(SWITCH, raising=False)
        if before:
            monkeypatch.setenv(SWITCH, before)

        def epochs(**settings):
            logging.getLogger("spsn.resident").warning("%s: %s", os.environ[SWITCH], settings)
            return {"seconds_per_run_epoch": 1.0}

        monkeypatch.setattr(gpu_graphs, "whole_epochs", epochs)
        for graphs, value in ((True, "1"), (False, "0")):
            found = gpu_graphs.graph_epochs(graphs=graphs, runs=2)
            assert found["warnings"] == [f"{value}: {{'runs': 2, 'epochs': 3}}"]
            assert os.environ.get(SWITCH) == before


def test_tests_are_run_and_counted():
    found = gpu_plan.gpu_tests(paths=["tests/test_grid.py"], seconds=120)
    assert found["returned"] == 0 and found["passed"] > 3 and found["failed"] == 0
    line = "1 failed, 2 passed, 3 skipped, 4 errors in 0.12s"
    assert gpu_plan.counts(f"F..\n{line}\n") == {"passed": 2, "failed": 5, "skipped": 3}


def test_tests_that_are_absent_or_take_too_long_are_refused():
    with pytest.raises(gpu_plan.SpsnError, match="has no tests/nowhere.py"):
        gpu_plan.gpu_tests(paths=["tests/nowhere.py"], seconds=1)
    with pytest.raises(gpu_plan.SpsnError, match="not done within 0 s"):
        gpu_plan.gpu_tests(paths=["tests/test_grid.py"], seconds=0.01)


def test_the_text_of_a_gpu():
    """Points as a GPU would give them; the numbers are made up."""
    fused = {"status": "measured", "seconds_per_run_epoch": 0.02, "how": "scaled", "peak_bytes": 2 * 10**9}
    fused |= {"mean_steps": 1100.0, "first_step_seconds": 9.0, "finite": True}
    points = [
        {"part": part.name, "title": part.title, **part.about, **fused}
        for part in gpu_plan.plan(options(), "cuda:0")
        if part.name in ("stack", "baseline", "epoch", "graphs")
    ]
    points[-1] |= {"warnings": ["a training step could not be captured"]}
    points[5] |= {"status": "out-of-memory", "seconds_per_run_epoch": None}
    row = {"kernel": "forward_kernel", "seconds": 1e-4, "launches": 3.0, "bytes_per_second": 2e12}
    row |= {"operations_per_second": 1e14, "fraction_of_floor": 0.5, "floor_seconds": 5e-5}
    ceilings = {"bytes_per_second": 4e12, "operations_per_second": 8e14}
    points += [
        {"part": "ceilings", "title": "ceilings", "status": "measured", **ceilings},
        {
            "part": "kernels",
            "title": "kernels of lif",
            "status": "measured",
            "kernels": [row],
            "seconds": 1e-4,
        },
        {"part": "tests", "title": "tests", "status": "measured", "passed": 7, "failed": 0, "skipped": 1},
        {"part": "tests", "title": "others", "status": "refused", "why": "pytest is not installed"},
    ]
    details = {"reduced": False, "points": points, "skipped": [], "targets": verdicts(figures(points))}
    said = gpu_text.text(torch.device("cpu"), details)
    assert "| SPSN-SB, a run's epoch in a stack | 20 | 75 | met | 20 | met | ms |" in said
    assert "| lif, augmented | 20 | 20 | 20 | 20 | 20 |" in said and "out-of-memory" in said
    assert "| spsn-sb fused, 10 runs, augmented, steps replayed as CUDA graphs | 20 |" in said
    assert "a training step could not be captured |" in said
    assert "| forward_kernel | 100 | 3 | 2 | 100 | 50% |" in said
    assert "Copy: 4.00 TB/s. bfloat16 product: 800 TFLOP/s." in said
    assert "Tests: 7 passed, 0 failed, 1 skipped" in said and "pytest is not installed" in said


def test_a_device_s_name_names_the_record():
    assert gpu_check.slug(torch.device("cpu")) == "cpu"
