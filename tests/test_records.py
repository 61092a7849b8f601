"""Run records and files that appear whole."""

import json
import os

import pytest

from spsn.errors import RecordError
from spsn.files import whole_file, write_json, write_rows
from spsn.records import Execution, Result, RunRecord, read_record, record_path, settings_digest, write_record


@pytest.fixture
def record(run):
    result = Result(
        train_loss=(2.5, 1.25), train_accuracy=(0.1, 1 / 3), test_hits=3, test_total=7, test_accuracy=3 / 7,
        spikes_per_ms=(0.1, 0.2), predictions=(1, 2, 3, 0, 0, 1, 2),
        speakers={"4": {"hits": 3, "total": 7, "in_training": False}}, weights_digest="ab",
    )  # fmt: skip
    execution = Execution((1.0, 1.5), 0.5, 10**9, 1, "cpu", {"cores": 2}, {"torch": "2"}, None)
    return RunRecord(run, result, execution)


def test_round_trip_is_exact(record, tmp_path):
    path = record_path(tmp_path, record.settings)
    assert path == tmp_path / "runs/accuracy/spsn-sb/basic/seed0.json"
    write_record(path, record)
    assert read_record(path) == record


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[: len(text) // 2], "cannot be read"),
        (lambda text: "[]", "schema version"),
        (lambda text: text.replace('"schema_version": 1', '"schema_version": 99'), "schema version"),
        (lambda text: text.replace('"test_hits"', '"hits"'), "test_hits"),
        (lambda text: json.dumps({**json.loads(text), "execution": None}), "execution"),
    ],
)
def test_damaged_records_are_refused_with_file_and_remedy(record, tmp_path, damage, words):
    path = tmp_path / "seed0.json"
    write_record(path, record)
    path.write_text(damage(path.read_text()))
    with pytest.raises(RecordError, match=words) as error:
        read_record(path)
    assert str(path) in str(error.value) and "train again" in str(error.value)


def test_every_setting_changes_the_digest(run):
    from dataclasses import fields, replace

    seen = {settings_digest(run)}
    for field in fields(run):
        value = getattr(run, field.name)
        other = f"{value}x" if isinstance(value, str) else (value or 0) + 1
        seen.add(settings_digest(replace(run, **{field.name: other})))
    assert len(seen) == len(fields(run)) + 1


def test_a_failed_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(RuntimeError), whole_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert json.loads(path.read_text()) == {"old": 1}
    assert os.listdir(tmp_path) == ["a.json"]
    with pytest.raises(ValueError):
        write_json(path, {"bad": float("nan")})
    assert json.loads(path.read_text()) == {"old": 1}


def test_json_lists_of_numbers_stand_on_one_line_and_mean_the_same(tmp_path):
    value = {"a": [1, 2.5, -3e-7], "b": ["x, y", {"c": [0]}], "d": []}
    write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text()) == value
    assert "[ 1, 2.5, -3e-07 ]" in (tmp_path / "a.json").read_text()


def test_csv_rows(tmp_path):
    write_rows([{"a": 1, "b": "x,y"}], tmp_path / "a.csv", ("a", "b"))
    assert (tmp_path / "a.csv").read_text() == 'a,b\n1,"x,y"\n'
    with pytest.raises(ValueError):
        write_rows([{"c": 1}], tmp_path / "b.csv", ("a",))
    assert not (tmp_path / "b.csv").exists()
