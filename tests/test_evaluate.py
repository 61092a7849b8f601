"""`spsn evaluate`: a run's weights with the settings that trained it, all others with the paper's."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spsn import threads
from spsn.checkpoints import load_weights
from spsn.cli import main
from spsn.errors import DataError, RecordError, SettingsError
from spsn.experiment_settings import ComparisonTable
from spsn.grid import comparison_blocks, find_block
from spsn.network import StackedNetwork
from spsn.records import read_record, write_record
from spsn.run_weights import evaluate_file
from spsn.training import Data, train_block
from spsn.weights import SAID, TABLE_ONE, evaluate_weights

BLOCKS = ("loss_mode/lif/loss-last", "accuracy/spsn-sb/basic")


@pytest.fixture(scope="module")
def place(settings, stores, tmp_path_factory) -> Path:
    """Trained runs: one that forgets within a step and reads out the last step alone, one of Table I's
    constants; and the test file.
    """
    folder, count = tmp_path_factory.mktemp("results"), torch.get_num_threads()
    experiments = settings.experiments
    forgetful = {
        "tau_mem": 0.002,
        "tau_syn": 0.002,
        "lif_reset": "paper",
        "time_step": 0.002,
        "threshold": 0.1,
    }
    quick = replace(experiments.loss_mode.network, **forgetful)
    experiments = replace(
        experiments, loss_mode=replace(experiments.loss_mode, network=quick, modes=("last",))
    )
    settings = replace(settings, experiments=experiments)
    for name in BLOCKS:
        train_block(settings, find_block(settings, name, (0,)), Data(*stores), folder)
    stores[1].save(folder / "test.safetensors")
    yield folder
    threads.use("torch", count)


def weights_of(place: Path, block: str) -> Path:
    return place / "runs" / block / "seed0.safetensors"


def beside(path: Path, place: Path) -> Path:
    """A copy of weights and record in another folder."""
    for suffix in (".safetensors", ".json"):
        shutil.copy(path.with_suffix(suffix), place)
    return place / path.name


@pytest.mark.parametrize("block", BLOCKS)
def test_a_run_is_tested_as_it_was_trained(place, block):
    path = weights_of(place, block)
    record, found = read_record(path.with_suffix(".json")), evaluate_file(path, place / "test.safetensors")
    assert found["hits"] == [record.result.test_hits] and found["model"] == record.settings.model
    assert found["spikes_per_ms"] == [list(record.result.spikes_per_ms)]
    said = found["settings"]
    assert said.pop("from") == str(path.with_suffix(".json"))
    assert said == {name: getattr(record.settings, name) for name in SAID}


def test_the_paper_s_constants_would_give_another_network(place, stores):
    """What makes the test above one of the settings."""
    path = weights_of(place, BLOCKS[0])
    record = read_record(path.with_suffix(".json"))
    found = evaluate_weights(load_weights(path), "lif", stores[1], batch_size=8)
    assert found["spikes_per_ms"] != [list(record.result.spikes_per_ms)]
    assert found["settings"] == {
        "from": TABLE_ONE, "tau_mem": 0.02, "tau_syn": 0.02, "threshold": 1.0, "time_step": 0.002,
        "lif_reset": "code", "loss_mode": "mean",
    }  # fmt: skip


def test_a_model_that_contradicts_the_record_is_refused(place):
    path, test = weights_of(place, BLOCKS[0]), place / "test.safetensors"
    assert evaluate_file(path, test, "lif") == evaluate_file(path, test)
    with pytest.raises(SettingsError, match=r"seed0\.json: .* weights of lif, not of 'spsn-sb'"):
        evaluate_file(path, test, "spsn-sb")


def test_other_steps_than_the_run_s_are_refused(place, stores, tmp_path):
    replace(stores[1], time_step_ms=4.0).save(tmp_path / "test.safetensors")
    with pytest.raises(DataError, match=r"steps of 2 ms, but the events are in steps of 4 ms"):
        evaluate_file(weights_of(place, BLOCKS[0]), tmp_path / "test.safetensors")


def test_a_run_s_weights_are_not_tested_without_its_record(place, tmp_path):
    path = beside(weights_of(place, BLOCKS[0]), tmp_path)
    path.with_suffix(".json").unlink()
    with pytest.raises(RecordError, match=r"put that beside them, as seed0\.json"):
        evaluate_file(path, place / "test.safetensors", "lif")
    path.with_suffix(".json").write_text("{")
    with pytest.raises(RecordError, match=r"seed0\.json: cannot be read as a run record"):
        evaluate_file(path, place / "test.safetensors", "lif")


def test_the_record_of_other_weights_is_refused(place, tmp_path):
    path = beside(weights_of(place, BLOCKS[0]), tmp_path)
    shutil.copy(weights_of(place, BLOCKS[1]).with_suffix(".json"), path.with_suffix(".json"))
    with pytest.raises(RecordError, match=r"seed0\.json: is the record of other weights"):
        evaluate_file(path, place / "test.safetensors")


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "nobody's"},
        {"hidden_size": 10**9},
        {"hidden_layers": 10**9},
        {"classes": 10**9},
        {"steps": 10**9},
        {"tau_mem": 0.0},
        {"batch_size": -1},
        {"threads": 0},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_settings_of_no_network_are_refused_before_one_is_made(place, tmp_path, changes):
    path = beside(weights_of(place, BLOCKS[1]), tmp_path)
    record = read_record(path.with_suffix(".json"))
    write_record(path.with_suffix(".json"), replace(record, settings=replace(record.settings, **changes)))
    with pytest.raises(RecordError, match="no network has its settings|these weights are not those"):
        evaluate_file(path, place / "test.safetensors")


def test_bare_weights_need_a_model_and_are_taken_for_the_paper_s(run, stores, place, tmp_path, capsys):
    """Whatever else lies beside them."""
    state, path = StackedNetwork(replace(run, model="lif"), [0]).run_state(0), tmp_path / "theirs.safetensors"
    save_file(state, path)
    path.with_suffix(".json").write_text(json.dumps({"settings": asdict(run)}))
    with pytest.raises(SettingsError, match="name it: --model lif, spsn-sb, spsn-gs or non-spiking"):
        evaluate_file(path, place / "test.safetensors")
    arguments = ["--weights", str(path), "--test", str(place / "test.safetensors"), "--model", "lif"]
    assert main(["evaluate", *arguments]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == evaluate_weights(state, "lif", stores[1]) and printed["settings"]["from"] == TABLE_ONE


def test_help_says_what_is_assumed(capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Table I: time constants of 20 ms, threshold 1" in said


def test_a_method_that_learns_more_than_weights_is_tested_too(settings, stores, tmp_path):
    """Its neurons' own parameters lie among the weights; Table I knows no such network."""
    table = ComparisonTable(0.002, ("ipsu-sigmoid",))
    comparison = replace(settings.experiments.comparison, tables=(table,), seeds=1)
    settings = replace(settings, experiments=replace(settings.experiments, comparison=comparison))
    (block,) = comparison_blocks(settings)
    count = torch.get_num_threads()
    train_block(settings, block, Data(*stores), tmp_path)
    stores[1].save(tmp_path / "test.safetensors")
    path = weights_of(tmp_path, block.name)
    record = read_record(path.with_suffix(".json"))
    assert evaluate_file(path, tmp_path / "test.safetensors")["hits"] == [record.result.test_hits]
    threads.use("torch", count)
