"""What a person types wrongly, or names in another's place: told in words, without harm to any file."""

import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from safetensors.torch import save_file
from support import ROOT, make_words

import spsn
from spsn.checkpoints import CheckpointStore, load_weights
from spsn.cli import main
from spsn.data.events import EventStore
from spsn.data.inspect import inspect
from spsn.data.shd import write_split
from spsn.errors import DataError, RecordError
from spsn.layout import parse_seeds
from spsn.network import StackedNetwork
from spsn.records import Execution, Result, RunRecord, read_record
from spsn.settings import MAX_SEEDS

PAPER = str(ROOT / "config" / "paper.yaml")
DELETION = ("remove", "delete")


@pytest.fixture
def place(run, tmp_path) -> Path:
    """A folder with a data file, its event store, a run's weights and record, and a table of words."""
    from spsn.checkpoints import weights_digest

    spikes = make_words(6, 2, 1)
    write_split(tmp_path / "words.h5", spikes)
    EventStore.from_spikes(spikes, 2.0).save(tmp_path / "events.safetensors")
    weights = StackedNetwork(run, [run.seed]).run_state(0)
    result = Result((1.0,), (0.5,), 1, 2, 0.5, (), (0, 1), {}, weights_digest(weights))
    record = RunRecord(run, result, Execution((1.0,), 0.5, None, 1, "cpu", {}, {}, None))
    store = CheckpointStore(tmp_path / "results")
    store.finish(record, weights)
    made = store.emit(run)
    for suffix in (".json", ".safetensors"):
        os.replace(made.with_suffix(suffix), tmp_path / f"seed0{suffix}")
    (tmp_path / "words.csv").write_text("file,label\na.wav,zero\n")
    return tmp_path


def refused(capsys, *arguments: str | Path) -> str:
    """What a command says that must not succeed."""
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as ended:  # of the grammar
        status = ended.code
    said = capsys.readouterr().err
    assert status not in (0, None) and "Traceback" not in said
    return said


# --- files in another's place ------------------------------------------------------------------


def test_what_is_no_event_store_is_told_and_not_to_be_removed(place):
    for name, said in (
        ("words.h5", r"words\.h5: is an HDF5 file, not an event store\. Bin it with `spsn events --data "),
        ("seed0.safetensors", r"holds a run's weights, not an event store"),
        ("words.csv", r"words\.csv: not a whole event store .*Name one, or make it"),
    ):
        with pytest.raises(DataError, match=said) as caught:
            EventStore.load(place / name)
        assert not any(word in str(caught.value).lower() for word in DELETION)


def test_the_advice_for_a_data_file_makes_a_store(place):
    with pytest.raises(DataError) as caught:
        EventStore.load(place / "words.h5")
    advice = str(caught.value).split("`")[1].replace("SECONDS", "0.002")
    command = shlex.split(advice.replace("STORE.safetensors", str(place / "new.safetensors")))
    assert main(command[1:]) == 0
    assert (
        EventStore.load(place / "new.safetensors").digest
        == EventStore.load(place / "events.safetensors").digest
    )


def test_a_damaged_store_is_to_be_made_again(place):
    path = place / "events.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"not a whole event store .* Remove it and make it again"):
        EventStore.load(path)


def test_a_run_s_weights_are_inspected_as_such(place, capsys):
    facts = inspect(place / "seed0.safetensors")
    assert facts["kind"] == "weights" and not any(word in facts["problems"][0] for word in DELETION)
    refused(capsys, "data", "inspect", place / "seed0.safetensors")


def test_what_is_no_record_is_told_and_not_to_be_deleted(place, capsys):
    for name, said in (
        (".", "is a folder; name the record files in it"),
        ("words.csv", "cannot be read as a run record"),
        ("seed0.safetensors", "is a run's weights, not a run record"),
        ("nope.json", "nope.json: no such file"),
    ):
        told = refused(capsys, "collect", place / name, "--out", place / "runs.csv")
        assert said in told and "delete" not in told
    text = (place / "seed0.json").read_text()
    (place / "seed0.json").write_text(text[: len(text) // 2])
    with pytest.raises(RecordError, match="cannot be read as a run record .*; delete it and train again"):
        read_record(place / "seed0.json")


def test_what_are_no_weights_is_told(place, run):
    weights = place / "seed0.safetensors"
    assert load_weights(weights)
    for path, said in (
        (place / "nope.safetensors", "no such file"),
        (place, "a folder, not a file"),
        (place / "seed0.json", r"seed0\.json: is a run's record; name the weights beside it, seed0\.safet"),
        (place / "words.h5", "is no whole weights file but an HDF5 file; name a run's"),
    ):
        with pytest.raises(RecordError, match=said) as caught:
            load_weights(path)
        assert "again" not in str(caught.value)
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(RecordError, match="is no whole weights file; train the run again"):
        load_weights(weights)
    save_file(StackedNetwork(replace(run, model="lif"), [0]).run_state(0), place / "bare.safetensors")
    with pytest.raises(DataError, match=r"bare\.safetensors: not a whole event store .*Name one"):
        EventStore.load(place / "bare.safetensors")


@pytest.mark.parametrize("name", ["nope.ipynb", "words.csv", "."])
def test_what_is_no_notebook_is_told(place, name, capsys):
    out = place / "out.ipynb"
    told = refused(capsys, "notebook", place / name, "--results", "results/demo", "--out", out)
    assert f"{place / name}: " in told and "Name" in told and not out.exists()


def test_a_folder_that_is_not_there_is_told_before_anything_is_imported(tmp_path):
    code = (
        "import sys; from spsn.cli import main; status = main(['verify', sys.argv[1]]);"
        "print(status, 'torch' in sys.modules, 'pandas' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "nope")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "False", "False"] and "nope: no such folder" in done.stderr


# --- the command line --------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["0", "-2", "1.5", "many", "9" * 30])
@pytest.mark.parametrize(
    "command",
    ["evaluate --weights w --test t --trials", "published-weights --weights w --trials",
     "published-weights --weights w --limit", "events --data a --time-step 1 --out b --limit"],
)  # fmt: skip
def test_counts_are_positive(command, number, capsys):
    assert "must be a whole number from 1 on" in refused(capsys, *command.split(), number)


def test_seeds_of_digits_are_those_of_the_configuration(tmp_path, capsys):
    told = refused(capsys, *f"digits --train 1 --test 1 --out {tmp_path} --seed -1".split())
    assert "must be a whole number from 0 on, not '-1'" in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0-999999999", f"more than {MAX_SEEDS} seeds"),
        (f"0-{MAX_SEEDS - 1},{MAX_SEEDS}", f"more than {MAX_SEEDS} seeds"),
        ("a", "'a' names no seeds; write them as 0-9 or 0,3,7"),
        ("", "names no seeds"),
        ("9-0", "the smaller comes first"),
        ("9" * 19, "no range of seeds"),
    ],
)
def test_seeds_that_nobody_trains(text, said, capsys):
    rest = "--settings s --block b --train a --test b --results r"
    assert said in refused(capsys, "train", "--seeds", text, *rest.split())


def test_seeds_are_read_in_order_and_once():
    assert parse_seeds("3,0-2,1") == (3, 0, 1, 2)
    assert len(parse_seeds(f"0-{MAX_SEEDS - 1}")) == MAX_SEEDS


def test_an_unknown_block_is_answered_with_the_nearest(tmp_path, capsys):
    settings = tmp_path / "s.json"
    assert main(["settings", "--config", PAPER, "--out", str(settings)]) == 0
    rest = f"--settings {settings} --seeds 0 --train a --test b --results r".split()
    told = refused(capsys, "train", "--block", "accuracy/lif/bsic", *rest)
    assert f"{settings}: its grid has no block accuracy/lif/bsic; did you mean accuracy/lif/basic?" in told
    told = refused(capsys, "train", "--block", "x", *rest)
    assert "it has accuracy/lif/basic, " in told


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out == f"spsn {spsn.__version__}\n"


# --- configurations ----------------------------------------------------------------------------


def told_of(capsys, folder: Path, text: str, *before: str) -> str:
    (folder / "own.yaml").write_text(text)
    return refused(capsys, "settings", "--out", folder / "s.json", "--config", *before, folder / "own.yaml")


@pytest.mark.parametrize("text", ["name: a", ""])
def test_a_part_of_a_configuration_is_to_be_laid_over_the_whole(tmp_path, text, capsys):
    told = told_of(capsys, tmp_path, text)
    assert "own.yaml: key " in told and " is missing. A file with a few keys" in told
    assert f"--config config/paper.yaml {tmp_path / 'own.yaml'}" in told


def test_a_configuration_that_is_not_there(tmp_path, capsys):
    told = refused(capsys, "settings", "--config", tmp_path / "no.yaml", "--out", tmp_path / "s.json")
    assert "no.yaml: no such file. Name one that is there" in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("training: {learning_rate: 1e-3}", "must be a number, not '1e-3'; write 1.0e-3 without quotes"),
        ("training: {learning_rate: 1.0e3}", "not '1.0e3'; write 1.0e+3"),
        ("training: {learning_rate: '.5'}", "not '.5'; write 0.5"),
        ("training: {epochs: '3'}", "must be a whole number, not '3'; write 3"),
        ("execution: {allow_long: 'true'}", "must be true or false, not 'true'; write true"),
        ("name: 2024", 'must be a text, not 2024; quote it: name: "2024" in a file'),
    ],
)
def test_a_value_of_another_kind_is_told_how_to_write_it(tmp_path, text, said, capsys):
    told = told_of(capsys, tmp_path, text, PAPER)
    assert f"{PAPER}, {tmp_path / 'own.yaml'}: " in told and said in told


@pytest.mark.parametrize("text", ["fast", "", "e3", ".", "nan"])
def test_what_reads_as_nothing_else_is_told_no_way(tmp_path, text, capsys):
    told = told_of(capsys, tmp_path, f"training: {{learning_rate: {json.dumps(text)}}}", PAPER)
    assert f"must be a number, not '{text}'\n" in told


def test_what_is_advised_is_read(tmp_path):
    """YAML takes the advised forms for numbers, whatever it took the others for."""
    assert yaml.safe_load("[1.0e-3, 1.0e+3, 0.5, 3, true]") == [0.001, 1000.0, 0.5, 3, True]
