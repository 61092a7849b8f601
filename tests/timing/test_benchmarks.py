"""The benchmark commands: each prints one JSON object with what a record must hold."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

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
    with pytest.raises(SystemExit, match="unbind"):
        run(monkeypatch, capsys, "sequence_length.py", "--models", "spsn-sb", "--implementations", "unbind")


def test_random_spikes_are_a_sound_split_of_the_size_asked_for():
    spikes = random_spikes(samples=50, spikes=200)
    assert len(spikes) == 50 and abs(np.diff(spikes.offsets).mean() - 200) < 40
    for i in range(50):
        times = spikes.sample(i).times
        assert (np.diff(times) >= 0).all() and times[0] >= 0 and 0.5 < times[-1] <= 1.38
    assert np.array_equal(spikes.times, random_spikes(samples=50, spikes=200).times)
    assert not np.array_equal(spikes.units, random_spikes(samples=50, spikes=200, seed=1).units)
