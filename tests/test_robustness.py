"""Repeated passes through trained networks (Figure 6), and weights tested by themselves."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from spsn.checkpoints import load_weights
from spsn.cli import main
from spsn.errors import DataError, RecordError, SettingsError
from spsn.evaluation import repeat_sample, repeat_test
from spsn.grid import find_block
from spsn.network import StackedNetwork
from spsn.records import read_record
from spsn.robustness import TEST_SET_COLUMNS, TRIAL_COLUMNS, study
from spsn.training import Data, train_block
from spsn.weights import evaluate_weights, with_weights

MODELS = ("spsn-sb", "spsn-gs")
TRIALS = 3


@pytest.fixture(scope="module")
def results(settings, stores, tmp_path_factory):
    """A results folder with one augmented run of the two stochastic models and of the non-spiking one."""
    folder, threads = tmp_path_factory.mktemp("results"), torch.get_num_threads()
    for model in (*MODELS, "non-spiking"):
        train_block(
            settings, find_block(settings, f"accuracy/{model}/augmented", (0,)), Data(*stores), folder
        )
    yield folder
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def shown(settings, stores, results) -> tuple[list[dict], list[dict]]:
    """The rows of both files."""
    return run_study(settings, stores[1], results)


def run_study(settings, store, results):
    paths = results / "robustness" / "trials.csv", results / "robustness" / "test_set.csv"
    study(settings, store, results, *paths)
    return tuple(list(csv.DictReader(path.open())) for path in paths)


def record_of(results, model):
    return read_record(results / "runs" / "accuracy" / model / "augmented" / "seed0.json")


def weights_of(results, model):
    return results / "runs" / "accuracy" / model / "augmented" / "seed0.safetensors"


def network_of(results, model):
    return with_weights(record_of(results, model).settings, load_weights(weights_of(results, model)))


def wanting(settings, **changes):
    """The settings with another robustness experiment."""
    experiment = replace(settings.experiments.robustness, **changes)
    return replace(settings, experiments=replace(settings.experiments, robustness=experiment))


def of(rows, model):
    return [row for row in rows if row["model"] == model]


def test_rows_and_columns(settings, stores, shown):
    trials, test_set = shown
    store, wanted = stores[1], settings.experiments.robustness
    assert (wanted.models, wanted.trials, wanted.condition) == (MODELS, TRIALS, "augmented")
    assert tuple(trials[0]) == TRIAL_COLUMNS and tuple(test_set[0]) == TEST_SET_COLUMNS
    for model in MODELS:
        places = [(int(row["trial"]), int(row["class"])) for row in of(trials, model)]
        assert places == [(trial, label) for trial in range(TRIALS) for label in range(4)]
        assert [int(row["sample"]) for row in of(test_set, model)] == list(range(len(store)))
    assert len(trials) == 2 * TRIALS * 4 and len(test_set) == 2 * len(store)
    assert {(row["condition"], row["seed"]) for row in trials + test_set} == {("augmented", "0")}
    assert all(int(row["true_label"]) == store.label[int(row["sample"])] for row in trials + test_set)
    assert all(row["class_name"] == store.classes[int(row["class"])] for row in trials)


@pytest.mark.parametrize("model", MODELS)
def test_trials_are_the_potentials_of_the_sample(settings, stores, results, shown, model):
    sample = settings.experiments.robustness.sample
    potentials = repeat_sample(network_of(results, model), stores[1], sample, TRIALS)
    rows = of(shown[0], model)
    written = np.array([float(row["mean_potential"]) for row in rows]).reshape(TRIALS, 4)
    assert np.array_equal(written, potentials)
    assert [int(row["predicted"]) for row in rows] == np.repeat(written.argmax(axis=1), 4).tolist()
    assert len(np.unique(written[:, 0])) == TRIALS  # the noise moves it


@pytest.mark.parametrize("model", MODELS)
def test_the_first_pass_is_the_records_and_the_rest_follow_from_the_passes(stores, results, shown, model):
    record = record_of(results, model)
    labels = repeat_test(network_of(results, model), stores[1], TRIALS)
    assert labels[0].tolist() == list(record.result.predictions)
    rows = of(shown[1], model)
    for sample, row in enumerate(rows):
        passes = labels[:, sample].tolist()
        assert int(row["trials"]) == TRIALS
        assert int(row["distinct_labels"]) == len(set(passes))
        assert passes.count(int(row["majority_label"])) == max(passes.count(label) for label in passes)
        assert int(row["hits"]) == passes.count(int(row["true_label"]))
    assert any(int(row["distinct_labels"]) > 1 for row in rows)  # four epochs make no sure network


def test_one_trial_alone_is_the_record(settings, stores, results):
    _, test_set = run_study(wanting(settings, trials=1), stores[1], results)
    for model in MODELS:
        record, rows = record_of(results, model), of(test_set, model)
        assert [int(row["majority_label"]) for row in rows] == list(record.result.predictions)
        assert {row["distinct_labels"] for row in rows} == {"1"}
        assert sum(int(row["hits"]) for row in rows) == record.result.test_hits


def test_another_sample_is_shown_where_it_is_asked_for(settings, stores, results, shown):
    last = len(stores[1]) - 1
    trials, test_set = run_study(wanting(settings, sample=last), stores[1], results)
    assert {row["sample"] for row in trials} == {str(last)}
    assert [row["mean_potential"] for row in trials] != [row["mean_potential"] for row in shown[0]]
    assert test_set == shown[1]


def test_a_sample_beyond_the_split_is_refused(settings, stores, tmp_path):
    wanted = wanting(settings, sample=len(stores[1]))
    with pytest.raises(SettingsError, match="robustness.sample is 20, but the test split has 20 samples"):
        run_study(wanted, stores[1], tmp_path)
    assert not list(tmp_path.iterdir())


def test_other_spikes_than_the_records_are_refused(settings, stores, results):
    other = replace(stores[1], label=stores[1].label[::-1].copy())
    assert other.digest != stores[1].digest
    with pytest.raises(DataError, match="seed0.json: was tested on other spikes"):
        run_study(settings, other, results)


def test_a_run_that_is_absent_is_named(settings, stores, tmp_path):
    with pytest.raises(RecordError, match="accuracy/spsn-sb/augmented/seed0.json"):
        run_study(settings, stores[1], tmp_path)


def test_weights_of_another_network_are_refused_with_their_file(settings, stores, results, tmp_path):
    shutil.copytree(results / "runs", tmp_path / "runs")
    weights = load_weights(weights_of(results, MODELS[0]))
    kept = weights_of(tmp_path, MODELS[0])
    save_file({name: tensor[..., :1].contiguous() for name, tensor in weights.items()}, kept)
    with pytest.raises(RecordError, match="seed0.safetensors: these weights are not .*; train the run again"):
        run_study(settings, stores[1], tmp_path)


@pytest.mark.parametrize("model", [*MODELS, "non-spiking"])
def test_weights_by_themselves_give_what_the_record_says(stores, results, model):
    """The first trial is the training's own test pass where batch size, seed and time constants agree."""
    record = record_of(results, model)
    found = evaluate_weights(load_weights(weights_of(results, model)), model, stores[1], 2, batch_size=8)
    assert (record.settings.tau_mem, record.settings.tau_syn, record.settings.batch_size) == (0.02, 0.02, 8)
    assert found["model"] == model and found["samples"] == len(stores[1])
    assert len(found["hits"]) == 2 and found["hits"][0] == record.result.test_hits
    assert found["accuracy"] == [hits / len(stores[1]) for hits in found["hits"]]
    if model == "non-spiking":
        assert found["spikes_per_ms"] == [] and found["hits"][0] == found["hits"][1]
    else:
        assert found["spikes_per_ms"][0] == list(record.result.spikes_per_ms)
        assert len(found["spikes_per_ms"][0]) == record.settings.hidden_layers == 2
        assert found["spikes_per_ms"][1] != found["spikes_per_ms"][0]


def test_answers_that_the_data_do_not_know_are_wrong(run, stores):
    """A network with more classes than the data is tested too."""
    network = StackedNetwork(replace(run, classes=9), [0])
    with torch.no_grad():
        network.biases[-1][0, 8] = 1000.0
    assert evaluate_weights(network.run_state(0), "spsn-sb", stores[1])["hits"] == [0]


@pytest.mark.parametrize("model", ["spsn-gs", "non-spiking"])
def test_the_command_prints_json(stores, results, tmp_path, capsys, model):
    stores[1].save(tmp_path / "test.safetensors")
    weights = weights_of(results, model)
    arguments = ["evaluate", "--weights", weights, "--model", model, "--trials", 2]
    assert main([str(a) for a in [*arguments, "--test", tmp_path / "test.safetensors"]]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["settings"]["from"] == str(weights.with_suffix(".json"))
    assert printed["hits"][0] == record_of(results, model).result.test_hits


def test_the_command_reads_weights_as_the_authors_publish_them(run, stores, tmp_path, capsys):
    state = StackedNetwork(replace(run, model="lif", threshold=1.0), [0]).run_state(0)
    published = {key.replace(".", ".fc.", 1): tensor for key, tensor in state.items()}
    torch.save(published, tmp_path / "model.pt")
    stores[1].save(tmp_path / "test.safetensors")
    arguments = ["--weights", tmp_path / "model.pt", "--test", tmp_path / "test.safetensors"]
    assert main(["evaluate", "--model", "lif", *map(str, arguments)]) == 0
    assert json.loads(capsys.readouterr().out) == evaluate_weights(state, "lif", stores[1])


def test_the_command_says_what_is_wrong(stores, results, tmp_path, capsys):
    stores[1].save(tmp_path / "test.safetensors")
    arguments = ["--test", str(tmp_path / "test.safetensors"), "--weights"]
    assert main(["evaluate", "--model", "lif", *arguments, str(tmp_path / "none.safetensors")]) == 1
    assert "none.safetensors: no such file" in capsys.readouterr().err
    weights = str(weights_of(results, "spsn-sb"))
    assert main(["evaluate", "--model", "spsn", *arguments, weights]) == 1
    captured = capsys.readouterr()
    assert "weights of spsn-sb, not of 'spsn'" in captured.err and captured.out == ""


def test_an_unknown_model_is_refused_with_the_known_ones(run, stores):
    weights = StackedNetwork(run, [0]).run_state(0)
    with pytest.raises(SettingsError, match="'alif'; known: lif, spsn-sb, spsn-gs, non-spiking"):
        evaluate_weights(weights, "alif", stores[1])


DAMAGES = {
    "other inputs": lambda w: w | {"0.weight": w["0.weight"][:, :699]},
    "other names": lambda w: {f"layer{key}": tensor for key, tensor in w.items()},
    "a bias is absent": lambda w: {key: tensor for key, tensor in w.items() if key != "1.bias"},
    "nothing": lambda w: {},
    "layers that do not fit": lambda w: w | {"1.weight": w["1.weight"][:, :5]},
    "a bias that does not fit": lambda w: w | {"0.bias": w["0.bias"][:5]},
    "one column, which torch would repeat": lambda w: w | {"2.weight": w["2.weight"][:, :1]},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_weights_of_another_shape_are_refused(run, stores, damage):
    weights = StackedNetwork(run, [0]).run_state(0)
    with pytest.raises(RecordError, match="weights"):
        evaluate_weights(DAMAGES[damage](weights), "spsn-sb", stores[1])
