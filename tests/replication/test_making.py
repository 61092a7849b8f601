"""JSON below a results folder comes from anybody: whatever it holds, its reader names the file."""

import json
from pathlib import Path

import pytest

from spsn.data.describe import read_source
from spsn.errors import DataError, RecordError
from spsn.replication.compared import commonest_share
from spsn.replication.golden_table import read_golden
from spsn.replication.making import classes_of, read_json

NONSENSE = ("[" * 10**5, '{"half": ', "[]", '{"a": NaN}', "\udcff", '{"a": 1e999}')
READERS = {
    "data.json": (classes_of, commonest_share, lambda folder: read_json(folder, "data.json")),
    "golden/about.json": (read_golden,),
}


@pytest.mark.parametrize("content", NONSENSE, ids=range(len(NONSENSE)))
@pytest.mark.parametrize("name", READERS)
def test_json_that_is_no_value_names_its_file(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content.encode(errors="surrogateescape"))
    for read in READERS[name]:
        with pytest.raises(RecordError, match=rf"{name}: cannot be read as JSON .*`snakemake "):
            read(tmp_path)
    with pytest.raises(DataError, match=rf"{name}: cannot be read"):
        read_source(tmp_path / name)


@pytest.mark.parametrize(
    "test",
    [{"classes": 0}, {"classes": "many"}, {"classes": []}, {}, [], None, {"classes": True, "samples": 0}],
)
def test_facts_without_classes_are_named(test: object, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(json.dumps({"splits": {"test": test}}))
    with pytest.raises(RecordError, match=r"data\.json: "):
        commonest_share(tmp_path)
    if not isinstance(test, dict) or "samples" not in test:
        with pytest.raises(RecordError, match=r"data\.json: states no number of classes"):
            classes_of(tmp_path)


def test_a_share_that_no_number_holds_is_named(tmp_path: Path) -> None:
    test = {"classes": 20, "samples": 1, "samples_per_class": {"max": 10**400}}
    (tmp_path / "data.json").write_text(json.dumps({"splits": {"test": test}}))
    with pytest.raises(RecordError, match=r"data\.json: cannot be read as facts of the data"):
        commonest_share(tmp_path)
