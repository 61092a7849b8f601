"""Names, addresses and files made to do harm: nothing of them is executed, and nothing leaves its folder."""

import json
import pickle
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from readers import READERS
from support import ROOT, load_config, make_project, run_python, snakemake

from spsn.checkpoints import load_weights
from spsn.cli import main
from spsn.config_files import merged
from spsn.data.download import DownloadError, download
from spsn.data.events import EventStore
from spsn.errors import SettingsError, SpsnError
from spsn.layout import check_given
from spsn.mapping import shown
from spsn.published import load_published
from spsn.records import read_record
from spsn.replication.notebooks import normalise
from spsn.settings import MAX_SEEDS, from_mapping, load
from spsn.yaml_files import LARGEST as LARGEST_YAML
from spsn.yaml_files import MAX_VALUES


def in_cells(notebook: Path) -> str:
    """The code of a notebook."""
    cells = json.loads(notebook.read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


CODE = {
    path: path.read_text()
    for path in (
        *(path for part in ("src", "tools", "benchmarks") for path in (ROOT / part).rglob("*.py")),
        *(ROOT / "workflow").rglob("*.smk"),
        ROOT / "Snakefile",
    )
} | {path: in_cells(path) for path in (ROOT / "notebooks").rglob("*.ipynb")}
NESTED = "[" * 100_000


# --- what the code itself may do ---------------------------------------------------------------


@pytest.mark.parametrize(
    "forbidden",
    [
        r"\bpickle\.loads?\(", r"\bPickler\b|\bUnpickler\b", r"\bmarshal\b", r"\bshelve\b", r"\bjoblib\b",
        r"allow_pickle", r"read_pickle", r"weights_only=False", r"yaml\.(unsafe_|full_)?load\((?!.*_Plain)",
        r"shell=True", r"os\.(system|popen)\(", r"(?<![\w.])(eval|exec)\(", r"\.extractall\(",
    ],
)  # fmt: skip
def test_no_code_reads_objects_or_builds_a_shells_commands(forbidden):
    assert len(CODE) > 100
    found = [f"{path}: {line}" for path, text in CODE.items() for line in text.splitlines()
             if re.search(forbidden, line)]  # fmt: skip
    assert not found


@pytest.mark.parametrize("part", ["src", "workflow", "tools", "benchmarks", "notebooks"])
def test_the_code_of_every_folder_is_looked_through(part):
    assert any(path.is_relative_to(ROOT / part) and text.strip() for path, text in CODE.items())


def test_every_load_of_torch_reads_data_alone():
    calls = [line for text in CODE.values() for line in text.splitlines() if "torch.load(" in line]
    assert len(calls) == 1 and "weights_only=True" in calls[0]


class Destructive:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_real_pickle_under_every_readers_name_runs_nothing(tmp_path, settings):
    trace, content = tmp_path / "trace", None
    content = pickle.dumps(Destructive(trace))
    pickle.loads(content)
    assert trace.exists()  # it does what it says
    trace.unlink()
    path = tmp_path / "given"
    for read in (load, read_record, load_weights, load_published, EventStore.load, normalise):
        path.write_bytes(content)
        with pytest.raises(SpsnError, match="given"):
            read(path)
    with pytest.raises(SettingsError):
        merged([path])
    assert not trace.exists()


# --- configurations ----------------------------------------------------------------------------


def config_file(folder: Path, text: str) -> Path:
    path = folder / "given.yaml"
    path.write_text(text)
    return path


BOMB = "a0: &a0 [x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 40)
)
LIST = f"accuracy: &m [{'lif, ' * 1000}]\ntables: [{'*m, ' * 1000}]\n"
MERGED = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 60))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: !!python/object/apply:os.system ['touch trace']", "python/object"),
        ("name: !!python/name:os.system", "python/name"),
        ("name: " + NESTED, "given.yaml"),
        (MERGED, "merge key <<"),
        (BOMB + "name: *a39\ndataset: *a39\n", f"MAX_VALUES = {MAX_VALUES}"),
        (LIST, f"MAX_VALUES = {MAX_VALUES}"),
        ("name: 2001-99-99", "given.yaml"),
        ("name: !!int 0x", "given.yaml"),
        (f"name: 1{':1' * 200}.5", "given.yaml"),
        ("? [a]\n: 1", "given.yaml"),
        ("- a", "mapping"),
        ("x: &x {x: *x}", "MAX_VALUES"),
        ("name: a\nname: \udcff", "given.yaml"),
    ],
    ids=[
        *(
            "object",
            "name",
            "nested",
            "merged",
            "bomb",
            "list of lists",
            "date",
            "number",
            "sexagesimal",
            "key",
        ),
        *("list", "self", "not UTF-8"),
    ],
)
def test_yaml_that_is_more_than_data(text, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "given.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError, match=said) as caught:
        from_mapping(merged([ROOT / "config" / "paper.yaml", path]))
    assert len(str(caught.value)) < 5000 and not (tmp_path / "trace").exists()


def test_an_alias_of_aliases_is_not_written_out():
    """Whoever makes settings of a mapping need not have read it by `merged`: Snakemake reads YAML itself."""
    content = yaml.safe_load(BOMB)
    assert len(shown(content["a39"])) < 1000
    for key in ("name", "network", "dataset", "experiments"):
        with pytest.raises(SettingsError) as caught:
            from_mapping(load_config("paper") | {key: content["a39"]})
        assert len(str(caught.value)) < 1000


def test_a_configuration_over_the_limit_is_not_read(tmp_path):
    for excess, said in ((0, "unknown key"), (1, "LARGEST")):
        with pytest.raises(SettingsError, match=said):
            from_mapping(merged([config_file(tmp_path, "x: " + "a" * (LARGEST_YAML - 3 + excess))]))


@pytest.mark.parametrize("experiment", ["accuracy", "regularization", "loss_mode", "comparison"])
def test_seeds_are_counted(experiment):
    config = load_config("paper")
    for seeds in (MAX_SEEDS, MAX_SEEDS + 1):
        config["experiments"][experiment]["seeds"] = seeds
        if seeds == MAX_SEEDS:
            assert getattr(from_mapping(config).experiments, experiment).seeds == MAX_SEEDS
            continue
        with pytest.raises(SettingsError, match=rf"{experiment}\.seeds must be at most {MAX_SEEDS}"):
            from_mapping(config)


@pytest.mark.parametrize(
    "value", [float("inf"), float("-inf"), float("nan"), 10**400, 2**63, -(1 << 20_000)], ids=range(6)
)
def test_numbers_that_nobody_can_count_with(value):
    for part, key in (("training", "learning_rate"), ("training", "epochs"), ("network", "tau_mem")):
        config = load_config("paper")
        config[part][key] = value
        with pytest.raises(SettingsError, match=f"{part}.{key}"):
            from_mapping(config)


@pytest.mark.parametrize("value", ["a\0b", "a\nb", "a\x1b[31mb", "a\u2028b", "\ud800", "x" * 5000])
def test_texts_that_are_no_names(value):
    for change in ({"data_dir": value}, {"shd": {"sources": [value]}}, {"golden": {"weights": value}}):
        with pytest.raises(SettingsError, match="control characters"):
            from_mapping(load_config("paper") | change)


def test_no_text_can_be_an_option_of_a_command():
    """`spsn fetch --out OURS --sources ADDRESS --out THEIRS` would write to theirs."""
    audio = {"audio": "sounds", "labels": "{label}.wav", "test_speakers": ["ann", "--source=/etc/passwd"]}
    for change in (
        {"shd": {"sources": ["https://a.org", "--out", "/tmp/shd_test.h5"]}},
        {"dataset": audio},
        {"name": "-rf"},
    ):
        with pytest.raises(
            SettingsError, match=r"without '-' before it, not '--?(out|source=/etc/passwd|rf)'"
        ):
            from_mapping(load_config("paper") | change)


@pytest.mark.parametrize(
    "name", ["..", ".", "../x", "/x", "a/../../b", "a\\b", "", "~", "a b", "$(x)", "a" * 101, "data"]
)
def test_a_name_that_leaves_the_results_is_refused(name):
    with pytest.raises(SettingsError, match="folder's name"):
        from_mapping(load_config("paper") | {"name": name})


def test_what_is_said_of_a_file_commands_no_terminal(tmp_path, capsys):
    assert (
        main(["evaluate", "--weights", str(tmp_path / "a\x1b]0;x\x07b"), "--model", "lif", "--test", "b"])
        == 1
    )
    said = capsys.readouterr().err
    assert "\\x1b]0;x\\x07" in said and "\x1b" not in said


# --- the workflow ------------------------------------------------------------------------------


HARM = (
    "';touch CANARY;'",
    '";touch CANARY;"',
    "$(touch CANARY)",
    "`touch CANARY`",
    "&& touch CANARY #",
    "|touch CANARY",
)


def canaries(folder: Path) -> list[Path]:
    return list(folder.rglob("CANARY*"))


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("harm")
    make_project(folder)
    return folder


def changed(project: Path, **changes) -> None:
    config = yaml.safe_load((project / "tiny.yaml").read_text())
    (project / "harm.yaml").write_text(yaml.safe_dump(config | changes))


def test_python_in_a_configuration_file_does_nothing(project):
    (project / "harm.yaml").write_text("name: !!python/object/apply:os.system ['touch CANARY']\n")
    done = snakemake(project, "-n", "-p", "settings", config="harm.yaml")
    assert done.returncode != 0 and not canaries(project), done.stdout


def test_values_of_a_configuration_reach_no_shell(project):
    """Real jobs whose commands hold texts, addresses, folders and files that would make a file."""
    harm, results = " ".join(HARM), "results/tiny"
    (project / harm.replace("/", "")).mkdir(exist_ok=True)
    for split in ("train", "test"):
        shutil.copy(project / f"words_{split}.h5", project / f"{harm}_{split}.h5")
    data = {"train": f"{harm}_train.h5", "test": f"{harm}_test.h5", "name": "words"}
    weights = f"{harm} {{output}} {{x}}"
    changed(project, dataset=data, golden={"weights": weights}, shd={"sources": list(HARM)}, data_dir=harm)
    made = [f"{results}/settings.json", f"{results}/events/test_2ms.safetensors"]
    done = snakemake(project, "-p", "-k", *made, f"{results}/golden/weights.json", config="harm.yaml")
    assert all((project / path).is_file() for path in made), done.stdout
    assert json.loads((project / made[0]).read_text())["golden"]["weights"] == weights
    assert done.returncode != 0 and "not the authors' published weights" in "".join(
        path.read_text() for path in (project / f"{results}/logs").glob("published*")
    )
    assert not canaries(project)


@pytest.mark.parametrize(
    ("key", "dataset"),
    [
        ("dataset.train", {"train": "FOLDER/{x}_train.h5", "test": "FOLDER/a_test.h5"}),
        ("dataset.test", {"train": "FOLDER/a_train.h5", "test": "FOLDER/a}_test.h5"}),
        ("dataset.labels", {"audio": "FOLDER/{x}", "labels": "labels.csv", "name": "words"}),
        (None, {"audio": "FOLDER/{x}", "labels": "{label}_{speaker}.wav", "name": "words"}),
        (None, {"train": "FOLDER/a_train.h5", "test": "FOLDER/a_test.h5"}),
    ],
)
def test_braces_in_the_path_of_a_file_are_no_wildcards(key, dataset, tmp_path):
    for name in ("{x}_train.h5", "a_train.h5", "a_test.h5", "a}_test.h5", "{x}/labels.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    given = {name: value.replace("FOLDER", str(tmp_path)) for name, value in dataset.items()}
    settings = from_mapping(load_config("paper") | {"dataset": given})
    if key is None:
        assert check_given(settings) is None
        return
    with pytest.raises(SettingsError, match=rf"configuration: {key} is .*braces for wildcards; rename"):
        check_given(settings)


def test_the_name_of_a_configuration_file_reaches_no_shell(project):
    """Snakemake's own report is made at the end by a command that names the files."""
    name = "a'$(touch CANARY);touch CANARY2;'.yaml"
    shutil.copy(project / "tiny.yaml", project / name)
    (project / "results/tiny/report").mkdir(parents=True, exist_ok=True)
    (project / "results/tiny/report/report.pdf").touch()
    done = snakemake(project, "--force", "settings", config=name)
    assert done.returncode == 0, done.stdout
    assert (project / "results/tiny/logs/report_html.log").exists()  # the command was run
    assert not canaries(project)


def test_a_strangers_configuration_is_checked_before_snakemake_sees_it(tmp_path):
    """Snakemake itself evaluates a file that says __use_yte__; `spsn settings` refuses it."""
    given = config_file(tmp_path, "__use_yte__: true\nname: ?open('CANARY', 'w').name\n")
    command = ["spsn.cli", "settings", "--config", str(ROOT / "config/paper.yaml")]
    done = run_python(tmp_path, *command, str(given), "--out", "checked.json", sources=ROOT)
    assert done.returncode == 1 and "__use_yte__" in done.stdout
    assert not (tmp_path / "checked.json").exists() and not canaries(tmp_path)


# --- downloads, and the document -------------------------------------------------------------------


def test_a_redirect_whose_host_is_read_in_two_ways(server, tmp_path):
    """urlsplit finds the host behind the @, requests before the backslash; 127.0.0.1 is the stranger here."""
    known = server.url.replace("127.0.0.1", "localhost")
    server.serve("/a", b"", status=302, headers={"Location": f"{server.url}\\@{known.partition('//')[2]}/b"})
    server.serve(f"/%5C@{known.partition('//')[2]}/b", b"theirs")
    with pytest.raises(DownloadError, match=r"localhost redirects to 127\.0\.0\.1"):
        download(f"{known}/a", tmp_path / "a", attempts=1)
    assert server.asked == ["/a"] and not list(tmp_path.iterdir())


def test_the_fuzzing_is_told_as_its_records_have_it():
    text = (ROOT / "docs" / "hostile-input.md").read_text()
    records = [json.loads(path.read_text()) for path in (ROOT / "benchmarks/records").glob("cpu-fuzz*.json")]
    counts = [count for record in records for count in record["readers"]]
    assert {count["reader"] for count in counts} == set(READERS) and len(counts) == len(READERS)
    for count in counts:
        assert count["minutes"] >= 10 and count["sound"] and not count["findings"]
        assert f"| {count['reader']} | {count['executions']:,} |" in text


def test_what_the_document_names_is_there():
    """Every test of the table, and every limit in capitals."""
    text = (ROOT / "docs" / "hostile-input.md").read_text()
    named = re.findall(r"`((?:[\w]+/)*test_\w+\.py)(?:::(test_\w+))?`", text)
    assert len(named) > 20
    for path, name in named:
        assert re.search(rf"^def {name or 'test_'}", (ROOT / "tests" / path).read_text(), re.MULTILINE), name
    sources = "".join(CODE.values())
    limits = re.findall(r"\b(?:MAX|LARGEST|LONGEST)_?[A-Z]*\b", text)
    assert limits and not [limit for limit in limits if not re.search(rf"^{limit} = ", sources, re.MULTILINE)]


def test_this_python_refuses_numbers_without_end():
    assert 0 < sys.get_int_max_str_digits() <= 4300
