"""Both tables of a configuration, end to end, in the columns that the figures read."""

import csv
from pathlib import Path

import pytest
import torch
import yaml

from spsn.errors import SettingsError
from spsn.settings import Settings, from_mapping
from spsn.timing.layers import LAYERS
from spsn.timing.networks import TRAINERS
from spsn.timing.random_store import random_store
from spsn.timing.study import device_name, epoch_run, epoch_study, sequence_length_study, write_rows

CONFIG = Path(__file__).parents[2] / "config" / "paper.yaml"
CPU = torch.device("cpu")

EPOCH_COLUMNS = (
    "model,implementation,status,seconds_per_epoch,seconds_compute,seconds_data,batches_measured,"
    "batches_per_epoch,batch_size,mean_steps,augmented,device,threads,dtype"
)
LENGTH_COLUMNS = (
    "model,implementation,steps,repeat,status,seconds,forward_seconds,backward_seconds,"
    "seconds_unsynchronised,peak_bytes,batch_size,inputs,neurons,device,threads,dtype"
)


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def small(**epoch) -> Settings:
    """The paper's configuration with small sizes."""
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["network"] |= {"hidden_size": 8, "time_step": 0.02}
    config["training"]["batch_size"] = 4
    config["execution"]["threads"] = 1
    timing = config["experiments"]["timing"]
    timing["epoch"] |= {"batches": 2, "seconds_per_point": 60.0} | epoch
    timing["sequence_length"] |= {"lengths": [4, 9], "repeats": 2, "batch_size": 2, "inputs": 6, "neurons": 5}
    return from_mapping(config)


@pytest.fixture(scope="module")
def store():
    return random_store(samples=10, spikes=40, time_step_ms=20.0)


def read(path):
    text = path.read_text(encoding="utf-8")
    return text.splitlines()[0], list(csv.DictReader(text.splitlines()))


def test_epoch_study(store, tmp_path):
    path = tmp_path / "timing" / "epoch.csv"
    write_rows(epoch_study(small(), store, CPU), path)
    header, rows = read(path)
    assert header == EPOCH_COLUMNS
    assert {(row["model"], row["implementation"]) for row in rows} == set(TRAINERS)
    for row in rows:
        assert row["status"] == "measured"
        parts = float(row["seconds_compute"]) + float(row["seconds_data"])
        assert float(row["seconds_per_epoch"]) == pytest.approx(parts) and parts > 0
        assert (row["batches_measured"], row["batches_per_epoch"], row["batch_size"]) == ("2", "3", "4")
        assert 0 < float(row["mean_steps"]) <= store.length.max()
        assert (row["augmented"], row["device"]) == ("True", "cpu")
        assert (row["threads"], row["dtype"]) == ("1", "float32")
    assert list(path.parent.iterdir()) == [path]


def test_what_was_too_slow_leaves_its_numbers_empty(store, tmp_path):
    write_rows(epoch_study(small(seconds_per_point=1e-9, models=["lif"]), store, CPU), tmp_path / "epoch.csv")
    _, rows = read(tmp_path / "epoch.csv")
    assert [row["implementation"] for row in rows] == ["paper", "unbind", "torch", "fused"]
    for row in rows:
        assert row["status"] == "too-slow" and row["batches_per_epoch"] == "3"
        for column in (
            "seconds_per_epoch",
            "seconds_compute",
            "seconds_data",
            "batches_measured",
            "mean_steps",
        ):
            assert row[column] == ""


def test_sequence_length_study(tmp_path):
    write_rows(sequence_length_study(small(), CPU), tmp_path / "lengths.csv")
    header, rows = read(tmp_path / "lengths.csv")
    assert header == LENGTH_COLUMNS
    points = [(row["model"], row["implementation"], int(row["steps"]), int(row["repeat"])) for row in rows]
    assert sorted(points) == sorted((*name, t, r) for name in LAYERS for t in (4, 9) for r in (0, 1))
    for row in rows:
        assert row["status"] == "measured" and row["seconds_unsynchronised"] == ""
        assert float(row["seconds"]) > 0


def test_the_run_is_the_accuracy_experiment_s_network(store):
    run = epoch_run(small(), "spsn-gs", store)
    assert (run.model, run.hidden_layers, run.hidden_size, run.classes) == ("spsn-gs", 3, 8, 20)
    assert (run.shift, run.scale, run.rate_threshold, run.loss_mode) == (0.1, 0.3, None, "mean")


def test_data_of_another_time_step_are_refused():
    other = random_store(samples=2, spikes=5, time_step_ms=4.0)
    with pytest.raises(SettingsError, match="4.0 ms.*20.0 ms"):
        epoch_study(small(), other, CPU)


def test_a_cpu_is_called_cpu():
    assert device_name(CPU) == "cpu"
