"""JSON below a results folder comes from anybody: whatever it holds, its reader names the file."""

import json
from pathlib import Path

import pytest

from spsn.data.describe import read_source
from spsn.errors import DataError, RecordError
from spsn.replication.compared import commonest_share
from spsn.replication.golden_table import read_golden
from spsn.replication.making import UNKNOWN, classes_of, make_command, read_json

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


SLURM = "--workflow-profile profiles/slurm --executor slurm --jobs 50 --configfile a.yaml"


def told(folder: Path, *commands: object, name: str = "provenance.json") -> str:
    """The command that makes a file of a folder whose provenance names `commands`."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps({"commands": commands}))
    return make_command(folder, "data.json")


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("snakemake --cores all", "--cores all"),
        ("snakemake --cores all --configfile 'my own.yaml'", "--cores all --configfile 'my own.yaml'"),
        ("snakemake --cores all --config 'name=\"x\"'", "--cores all --config 'name=\"x\"'"),
        (f"snakemake {SLURM}", SLURM),
    ],
)
def test_the_command_has_the_options_that_the_provenance_names(
    command: str, options: str, tmp_path: Path
) -> None:
    wanted = f"`snakemake {tmp_path / 'data.json'} {options}`"
    assert told(tmp_path, command) == wanted == told(tmp_path, "spsn data", command)


def test_the_comparison_s_provenance_serves_where_there_is_no_other(tmp_path: Path) -> None:
    command = "snakemake --cores all comparison --configfile a.yaml"
    found = told(tmp_path, command, name="report/full_provenance.json")
    assert found == f"`snakemake {tmp_path / 'data.json'} --cores all --configfile a.yaml`"


@pytest.mark.parametrize(
    "commands",
    [
        (),
        ("rm -rf ~",),
        ("snakemake --snakefile /tmp/theirs",),
        ("snakemake --cores all --config a=1 --snakefile=x",),
        ("snakemake --cores 'all",),
        ("snakemake " + "a" * 9000,),
        (1, None, [], {}, ""),
    ],
)
def test_no_other_command_is_passed_on(commands: tuple, tmp_path: Path) -> None:
    assert told(tmp_path, *commands) == f"`snakemake {tmp_path / 'data.json'} --cores all`{UNKNOWN}"


@pytest.mark.parametrize("content", [*NONSENSE, '{"commands": {"a": 1}}', None])
def test_without_a_provenance_a_configuration_is_asked_for(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "provenance.json").write_bytes(content.encode(errors="surrogateescape"))
    assert make_command(tmp_path, "data.json").endswith(f"--cores all`{UNKNOWN}")


def test_what_a_shell_would_run_stays_quoted(tmp_path: Path) -> None:
    assert "--configfile '$(touch x)'" in told(tmp_path, "snakemake --configfile '$(touch x)'")
    assert "';'" in told(tmp_path, "snakemake --cores all ; touch x")
