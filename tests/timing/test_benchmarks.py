"""The benchmark commands: each prints one JSON object with what a record must hold."""

import json
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from spsn.errors import SpsnError
from spsn.timing import benchmark
from spsn.timing.filters import FILTERS
from spsn.timing.layers import LAYERS
from spsn.timing.random_store import random_spikes, random_store

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
LENGTHS = ["--lengths", "3", "5", "--repeats", "2", "--batch-size", "2", "--inputs", "4", "--neurons", "4"]
EPOCH = [
    "--samples", "9", "--spikes", "30", "--time-step-ms", "20", "--batch-size", "4", "--batches", "1",
    "--hidden-size", "6", "--models", "spsn-sb", "lif", "--implementations", "paper", "torch",
]  # fmt: skip


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def run(monkeypatch, capsys, script, *arguments):
    """What the command prints, read as JSON."""
    path = BENCHMARKS / script
    monkeypatch.setattr(sys, "argv", [str(path), "--device", "cpu", "--threads", "1", *arguments])
    runpy.run_path(str(path))["main"]()
    return json.loads(capsys.readouterr().out)


def check(record, script):
    assert record["seconds"] > 0
    assert record["peak_bytes"] is None or record["peak_bytes"] > 0
    assert record["machine"]["cores"] >= 1 and record["versions"]["torch"] == torch.__version__
    assert record["command"].startswith(f"python benchmarks/{script} --device cpu")
    assert (record["device"], record["threads"]) == ("cpu", 1) and len(record["load_average"]) == 3


def test_data(monkeypatch, capsys, tmp_path):
    arguments = ["--samples", "20", "--spikes", "40", "--batch-size", "8", "--repeats", "2", "--runs", "2"]
    kept = tmp_path / "record.json"
    record = run(monkeypatch, capsys, "data.py", *arguments, "--output", str(kept))
    check(record, "data.py")
    assert json.loads(kept.read_text()) == record
    assert record["batches"] == 3 and len(record["epochs"]) == 2
    assert 0 < record["events_after_augmentation"] < 2 * 2 * record["spikes"]


def test_inner_ear(monkeypatch, capsys):
    pytest.importorskip("espeakng_loader")
    record = run(monkeypatch, capsys, "inner_ear.py", "--utterances", "2", "--repeats", "1")
    check(record, "inner_ear.py")
    assert record["utterances"] == 2 and 0.4 < record["speech_seconds"] < 3 and record["spikes"] > 1000
    assert record["seconds_with_tables"] > 0


def test_sequence_length(monkeypatch, capsys, tmp_path):
    table = tmp_path / "lengths.csv"
    record = run(monkeypatch, capsys, "sequence_length.py", *LENGTHS, "--csv", str(table))
    check(record, "sequence_length.py")
    assert len(record["points"]) == 2 * len(LAYERS)
    last = record["points"][-1]
    assert record["seconds"] == last["seconds"] and last["steps"] == 5
    assert f"{last['model']} {last['implementation']}, T = 5" in record["what"]
    assert len(table.read_text().splitlines()) == 1 + 2 * 2 * len(LAYERS)


def test_epoch(monkeypatch, capsys):
    record = run(monkeypatch, capsys, "epoch.py", *EPOCH)
    check(record, "epoch.py")
    names = [(point["model"], point["implementation"]) for point in record["points"]]
    assert names == [("lif", "paper"), ("lif", "torch"), ("spsn-sb", "paper"), ("spsn-sb", "torch")]
    assert record["seconds"] == record["points"][-1]["seconds_per_epoch"]


def test_epoch_of_an_event_store(monkeypatch, capsys, tmp_path):
    path = tmp_path / "train.safetensors"
    random_store(samples=6, spikes=20, time_step_ms=20.0).save(path)
    record = run(monkeypatch, capsys, "epoch.py", *EPOCH, "--events", str(path))
    assert record["samples"] == 6 and record["points"][0]["batches_per_epoch"] == 2


def test_an_implementation_that_a_model_lacks_is_refused(monkeypatch, capsys):
    with pytest.raises(SpsnError, match="none of spsn-sb has an implementation on cpu that is called unbind"):
        run(monkeypatch, capsys, "sequence_length.py", "--models", "spsn-sb", "--implementations", "unbind")


STEP = ["--batch", "2", "--time-steps", "9", "--repeats", "2", "--warmup", "1"]


def test_a_step(monkeypatch, capsys):
    options = ["--model", "spsn-gs", "--backend", "torch", "--runs", "2", "--malloc-tuned", "--json"]
    record = run(monkeypatch, capsys, "step.py", *STEP, *options)
    check(record, "step.py")
    assert (record["model"], record["backend"], record["runs"]) == ("spsn-gs", "torch", 2)
    assert (record["batch"], record["time_steps"], record["malloc"]) == (2, 9, "tuned")
    assert len(record["all_seconds"]) == 2 and record["dense_bytes"] == 4 * 2 * 2 * 9 * 700
    assert record["grown_bytes"] is None or 0 <= record["grown_bytes"] < record["peak_bytes"]


def test_a_step_on_one_line_as_a_module(tmp_path):
    """As one types it in the repository's root, and so the record says it."""
    kept = tmp_path / "record.json"
    options = ["--device", "cpu", "--model", "lif", "--backend", "torch", "--output", str(kept), *STEP]
    command = [sys.executable, "-m", "benchmarks.step", *options]
    done = subprocess.run(command, cwd=BENCHMARKS.parent, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 1 and "lif torch, 2 x 9 steps" in done.stdout
    record = json.loads(kept.read_text())
    assert record["malloc"] == "default" and record["seconds"] > 0
    assert record["command"] == shlex.join(["python", "-m", "benchmarks.step", *options])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "lif", "--backend", "baseline", "--runs", "2"], "trains one network, not a stack of 2"),
        (["--model", "spsn-sb", "--backend", "unbind"], "unbind is LIF's loop"),
        (["--model", "lif", "--backend", "torch", "--time-steps", "70000"], "1 to 65536 time steps"),
    ],
)
def test_a_step_that_cannot_be_measured_is_refused(monkeypatch, capsys, options, said):
    with pytest.raises(SpsnError, match=said):
        run(monkeypatch, capsys, "step.py", *options)


@pytest.mark.parametrize(
    "options",
    [
        ["--model", "lif"],
        ["--model", "mlp", "--backend", "torch"],
        ["--model", "lif", "--backend", "torch", "--batch", "0"],
        ["--model", "lif", "--backend", "torch", "--repeats", "-1"],
    ],
)
def test_bad_options_are_refused(monkeypatch, capsys, options):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, capsys, "step.py", *options)
    assert ended.value.code == 2 and "usage" in capsys.readouterr().err


def test_what_can_be_put_right_is_said_without_a_traceback(capsys):
    def main():
        raise SpsnError("no such thing; take another")

    with pytest.raises(SystemExit) as ended:
        benchmark.run(main)
    assert ended.value.code == "benchmarks: no such thing; take another"


def test_compare(monkeypatch, capsys, tmp_path):
    kept = tmp_path / "record.json"
    options = [
        "--models",
        "spsn-sb",
        "--backends",
        "baseline",
        "unbind",
        "fused",
        "--json",
        "--output",
        str(kept),
    ]
    record = run(monkeypatch, capsys, "compare.py", *STEP, *options)
    check(record, "compare.py")
    assert json.loads(kept.read_text()) == record
    named = [(p["model"], p["backend"], p["malloc"]) for p in record["points"]]
    assert named == [
        ("spsn-sb", "baseline", "default"), ("spsn-sb", "baseline", "tuned"), ("spsn-sb", "fused", "default"),
    ]  # fmt: skip
    base, _, fused = record["points"]
    assert fused["ratio"] == pytest.approx(base["seconds"] / fused["seconds"])
    assert base["ratio_quartiles"] == [1.0, 1.0] and len(fused["all_seconds"]) == 2
    assert "memory_ratio" in fused and record["what"] == "training step, spsn-sb fused"


def test_growth(monkeypatch, capsys):
    sizes = ["--time-steps", "4", "--runs", "2", "--runs-time-steps", "4", "--batch", "2", "--repeats", "1"]
    options = ["--models", "non-spiking", "--backend", "torch", "--json", *sizes]
    record = run(monkeypatch, capsys, "growth.py", *options)
    check(record, "growth.py")
    assert [(p["time_steps"], p["runs"]) for p in record["points"]] == [(4, 1), (4, 2)]
    assert record["backend"] == "torch" and record["orders"]["non-spiking"]["time_steps"] is None


def test_growth_is_the_slope_of_the_logarithms():
    orders = runpy.run_path(str(BENCHMARKS / "growth.py"))["orders"]
    sizes = [(100, 1), (200, 1), (400, 1), (200, 2), (200, 4)]
    points = [{"model": "lif", "time_steps": t, "runs": s, "seconds": 3e-4 * t**2 * s} for t, s in sizes]
    assert orders(points)["lif"] == pytest.approx({"time_steps": 2.0, "runs": 1.0})
    assert orders(points[:1])["lif"] == {"time_steps": None, "runs": None}


def test_filter(monkeypatch, capsys):
    options = ["--lengths", "40", "--neurons", "3", "--repeats", "2", "--tuned"]
    record = run(monkeypatch, capsys, "filter.py", *options, "--json")
    check(record, "filter.py")
    points = {point["form"]: point for point in record["points"]}
    assert set(points) == set(FILTERS) and points["fft"]["batch"] == 64
    assert points["fft"]["error"] > 0.01 > 1e-4 > points["chunks"]["error"]
    assert points["fused"]["gradient_error"] < 1e-4 and points["fused"]["ratio"] > 0


def test_first_layer_in_words_and_as_a_record(monkeypatch, capsys, tmp_path):
    path, kept = BENCHMARKS / "first_layer.py", tmp_path / "record.json"
    options = ["--forms", "dense", "events", "--batch", "2", "--time-steps", "9", "--neurons", "4"]
    fixed = ["--device", "cpu", "--threads", "1", "--repeats", "2", "--tuned", "--output", str(kept)]
    monkeypatch.setattr(sys, "argv", [str(path), *fixed, *options])
    runpy.run_path(str(path))["main"]()
    head, rule, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("| form | malloc | ms") and set(rule) == set("| -")
    assert [row.split(" | ")[0] for row in rows] == ["| dense", "| events"]
    record = json.loads(kept.read_text())
    check(record, "first_layer.py")
    assert [point["form"] for point in record["points"]] == ["dense", "events"]
    assert record["points"][1]["ratio"] > 0 and record["what"].endswith("layer 1, events")


def test_numbers_as_people_write_them():
    assert [benchmark.digits(n) for n in (0.01234, 1.0, 123456.0, 1e-7)] == ["0.0123", "1", "123000", "1e-07"]
    assert benchmark.with_range(2.0, (1.0, 3.456)) == "2 (1-3.46)" and benchmark.megabytes(12_600_000) == "13"
    assert benchmark.timed({"seconds": None, "status": "out-of-memory"}) == "out-of-memory"
    assert benchmark.timed({"seconds": 0.002, "quartiles": [0.001, 0.003]}, unit=1e-3) == "2 (1-3)"
    assert benchmark.table(["a", "b"], [[1, None]]) == "| a | b |\n| --- | --- |\n| 1 | - |"


def test_random_spikes_are_a_sound_split_of_the_size_asked_for():
    spikes = random_spikes(samples=50, spikes=200)
    assert len(spikes) == 50 and abs(np.diff(spikes.offsets).mean() - 200) < 40
    for i in range(50):
        times = spikes.sample(i).times
        assert (np.diff(times) >= 0).all() and times[0] >= 0 and 0.5 < times[-1] <= 1.38
    assert np.array_equal(spikes.times, random_spikes(samples=50, spikes=200).times)
    assert not np.array_equal(spikes.units, random_spikes(samples=50, spikes=200, seed=1).units)
