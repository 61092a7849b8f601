"""Configurations: what is refused and how, what experiments inherit, agreement with the schema."""

import json
import subprocess
import sys
from copy import deepcopy

import jsonschema
import pytest
from support import ROOT, load_config

from spsn.errors import SettingsError
from spsn.files import write_json
from spsn.schema import schema
from spsn.settings import from_mapping, load, renew, to_mapping

CONFIGS = [("paper",), ("paper", "demo"), ("paper", "micro"), ("paper", "fsdd")]
SHD_TRAIN_GZ = "d47c9825dee33347913e8ce0f2be08b0"  # the archive's md5 as norse gives it


@pytest.fixture
def config():
    return load_config("paper")


@pytest.mark.parametrize("names", CONFIGS, ids=lambda names: names[-1])
def test_shipped_configurations_are_good_and_agree_with_the_schema(names):
    config = load_config(*names)
    jsonschema.validate(config, schema())
    settings = from_mapping(config)
    assert from_mapping(to_mapping(settings)) == settings
    jsonschema.validate(to_mapping(settings), schema())


def test_schema_file_is_the_one_that_the_dataclasses_give():
    written = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text())
    assert written == schema(), "run: python -m spsn.schema > workflow/schemas/config.schema.json"


def test_paper_has_the_values_of_table_one(config):
    settings = from_mapping(config)
    network, training = settings.network, settings.training
    assert (network.hidden_layers, network.hidden_size, network.threshold) == (3, 128, 1.0)
    assert (network.tau_mem, network.tau_syn, network.time_step) == (0.02, 0.02, 0.001)
    assert (training.epochs, training.batch_size, training.learning_rate) == (200, 64, 0.001)
    assert (settings.augmentation.shift, settings.augmentation.scale) == (0.1, 0.3)
    assert settings.experiments.regularization.published == {"spsn-sb": 0.4, "spsn-gs": 0.1}


def test_experiments_inherit_and_override(config):
    experiments = from_mapping(config).experiments
    assert experiments.loss_mode.network.hidden_layers == 1
    assert experiments.loss_mode.network.tau_mem == 0.001
    assert experiments.loss_mode.network.hidden_size == 128
    assert experiments.accuracy.network == from_mapping(config).network


@pytest.mark.parametrize(
    ("path", "key", "named"),
    [
        ((), "datset", "dataset"),
        (("training",), "epoch", "epochs"),
        (("experiments", "accuracy"), "condition", "conditions"),
        (("experiments", "timing", "epoch"), "batch", "batches"),
        (("experiments", "loss_mode", "network"), "tau_membrane", "tau_mem"),
    ],
)
def test_unknown_key_is_refused_with_the_nearest_known_one(config, path, key, named):
    part = config
    for step in path:
        part = part[step]
    part[key] = 1
    with pytest.raises(SettingsError, match=f"'{key}'.*'{named}'"):
        from_mapping(config)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config, schema())


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("training", "epochs"), 0, "training.epochs must be greater than 0"),
        (("training", "epochs"), "many", "training.epochs must be a whole number"),
        (("training", "epochs"), True, "training.epochs must be a whole number"),
        (("training", "learning_rate"), "fast", "training.learning_rate must be a number"),
        (("network", "tau_mem"), -1.0, "network.tau_mem must be greater than 0"),
        (("network", "lif_reset"), "papr", "did you mean 'paper'"),
        (("dataset",), "shdd", "did you mean 'shd'"),
        (("dataset",), {"train": "a.h5", "name": "mine"}, "dataset.test is missing"),
        (("dataset",), {"audio": "words", "name": "mine"}, "dataset.labels is missing"),
        (("dataset",), {"audio": "words", "labls": "a.csv"}, "'labls' in dataset; did you mean 'labels'"),
        (("dataset",), {"audio": "my words", "labels": "a.csv"}, "dataset.name must be given"),
        (("dataset",), {"train": "x/shd_train.h5", "test": "x/shd_test.h5"}, "dataset.name must be given"),
        (
            ("dataset",),
            {"train": "a.h5", "test": "b.h5", "name": "fsdd"},
            "another than shd, synthetic-digits",
        ),
        (("shd",), {"archives": {"shd_train.h5.rar": "0" * 32}}, "shd.archives has 'shd_train.h5.rar'"),
        (("shd",), {"archives": {"shd_train.h5.gz": "abc"}}, "'abc'; it must give"),
        (("experiments", "accuracy", "models"), [], "at least one entry"),
        (
            ("experiments", "accuracy", "models"),
            ["liff"],
            r"models\[0\] cannot be 'liff'; did you mean 'lif'",
        ),
        (("experiments", "robustness", "seed"), 10, "experiments.robustness"),
        (("augmentation", "scale"), 1.0, "augmentation.scale"),
        (("network", "time_step"), 10, r"network\.time_step must be at most 0\.1.*write 0\.01 for 10 ms"),
        (
            ("experiments", "loss_mode", "network"),
            {"time_step": 1},
            r"loss_mode\.network\.time_step.*write 0\.001 for 1 ms",
        ),
        (
            ("experiments", "comparison", "tables"),
            [{"time_step": 4, "methods": ["lif"]}],
            r"tables\[0\]\.time_step.*write 0\.004 for 4 ms",
        ),
        (("experiments", "accuracy", "models"), ["lif", "spsn-sb", "lif"], "models has 'lif' more than once"),
        (("experiments", "accuracy", "conditions"), ["basic", "basic"], "conditions has 'basic' more than"),
        (("experiments", "regularization", "thresholds"), [0.1, 0.4, 0.10], "thresholds has 0.1 more than"),
        (("experiments", "loss_mode", "modes"), ["max", "max"], "loss_mode.modes has 'max' more than once"),
        (
            ("experiments", "comparison", "tables"),
            [{"time_step": 0.004, "methods": ["lif"]}, {"time_step": 4e-3, "methods": ["psu", "lif"]}],
            r"comparison\.tables\[1\] has lif on steps of 4 ms again; leave it in one table",
        ),
        (
            ("experiments", "robustness", "sample"),
            2264,
            "robustness.sample is 2264.* 2264 samples.*0 to 2263",
        ),
        (("name",), "a/b", "folder"),
        (("name",), "README.md", "none of data, gpu-check, README.md"),
        (("name",), "gpu-check", "none of data, gpu-check, README.md"),
        (("execution",), None, "must be a mapping"),
    ],
)
def test_bad_values_are_refused_in_words(config, path, value, words):
    part = config
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    with pytest.raises(SettingsError, match=words):
        from_mapping(config)


@pytest.mark.parametrize(
    ("data", "tests"),
    [
        ({"dataset": "shd"}, 2264),
        ({"dataset": "shd", "limit": {"test": 50}}, 50),
        ({"dataset": "synthetic-digits", "synthetic_digits": {"train": 40, "test": 20}}, 20),
        (
            {
                "dataset": "synthetic-digits",
                "synthetic_digits": {"train": 9, "test": 20},
                "limit": {"test": 99},
            },
            20,
        ),
        ({"dataset": {"train": "a.h5", "test": "b.h5", "name": "mine"}, "limit": {"test": 7}}, 7),
    ],
)
def test_the_sample_shown_is_one_that_the_test_split_can_have(config, data, tests):
    config |= data
    config["experiments"]["robustness"]["sample"] = tests - 1
    assert from_mapping(config).experiments.robustness.sample == tests - 1
    config["experiments"]["robustness"]["sample"] = tests
    with pytest.raises(SettingsError, match=f"the test split has {tests} samples; name one from 0"):
        from_mapping(config)


def test_of_other_data_the_number_of_test_samples_is_not_known(config):
    config["experiments"]["robustness"]["sample"] = 10**6
    from_mapping(config | {"dataset": {"train": "a.h5", "test": "b.h5", "name": "mine"}})
    from_mapping(config | {"shd": {"archives": {"shd_test.h5.zip": "0" * 32}}})


def test_a_step_of_a_tenth_of_a_second_is_the_longest(config):
    config["network"]["time_step"] = 0.1
    assert from_mapping(config).network.time_step == 0.1
    config["network"]["time_step"] = 0.11
    with pytest.raises(SettingsError, match="at most 0.1, not 0.11"):
        from_mapping(config)


def test_missing_key_is_named(config):
    del config["training"]
    with pytest.raises(SettingsError, match="training"):
        from_mapping(config)


def test_a_part_of_shd_is_not_shd(config):
    assert from_mapping(config).is_shd
    part = deepcopy(config)
    part["limit"] = {"train": 100, "test": None}
    assert not from_mapping(part).is_shd
    own = deepcopy(config)
    own["dataset"] = {"train": "a.h5", "test": "b.h5", "name": "mine"}
    assert not from_mapping(own).is_shd
    assert from_mapping(own).dataset_name == "mine"


def test_files_of_other_checksums_are_not_shd_whatever_they_are_called(config):
    config["shd"] = {"archives": {"shd_train.h5.zip": "0" * 32}}
    other = from_mapping(config)
    assert not other.is_shd and not other.is_part_of_shd and other.dataset_name != "shd"
    config["shd"] = {"sources": ["http://nearby/"], "archives": {"shd_train.h5.gz": SHD_TRAIN_GZ}}
    assert from_mapping(config).is_shd  # from another place, but the published archive


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("fsdd", "fsdd"),
        ({"train": "a/words_train.h5", "test": "a/words_test.h5"}, "words"),
        ({"audio": "recordings/birds", "labels": "birds.csv"}, "birds"),
        ({"audio": "recordings/birds", "labels": "birds.csv", "name": "owls"}, "owls"),
    ],
)
def test_what_data_are_called(config, dataset, name):
    assert from_mapping(config | {"dataset": dataset}).dataset_name == name


def test_command_writes_what_load_reads_and_explains_what_it_refuses(tmp_path):
    out = tmp_path / "settings.json"
    command = [sys.executable, "-m", "spsn.cli", "settings", "--out", str(out), "--config"]
    paper, demo = (str(ROOT / "config" / name) for name in ("paper.yaml", "demo.yaml"))
    subprocess.run([*command, paper, demo], check=True)
    assert load(out) == from_mapping(load_config("paper", "demo"))
    (tmp_path / "bad.yaml").write_text("trainning: {epochs: 3}")
    done = subprocess.run([*command, paper, str(tmp_path / "bad.yaml")], capture_output=True, text=True)
    assert done.returncode == 1
    assert "'trainning'" in done.stderr and "'training'" in done.stderr and "Traceback" not in done.stderr


def test_load_names_a_damaged_file(tmp_path):
    (tmp_path / "s.json").write_text("{")
    with pytest.raises(SettingsError, match=r"s\.json"):
        load(tmp_path / "s.json")


@pytest.mark.parametrize("stands", ["other", "damaged", "same", "nothing"])
def test_settings_are_written_unless_they_stand(config, tmp_path, stands):
    path, settings = tmp_path / "settings.json", from_mapping(config)
    other = from_mapping({**config, "name": "other"})
    if stands != "nothing":
        write_json(path, to_mapping(other if stands == "other" else settings))
    if stands == "damaged":
        path.write_bytes(path.read_bytes()[:100])
    before = path.stat().st_ino if path.exists() else None
    renew(settings, path)
    assert load(path) == settings
    assert (path.stat().st_ino == before) == (stands == "same")  # a file that is written is another one
