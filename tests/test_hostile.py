"""Names, addresses and files made to do harm: nothing of them is executed, and nothing leaves its folder."""

import io
import json
import pickle
import re
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import save_file
from support import ROOT, load_config, make_project, run_python, snakemake

from spsn.checkpoints import LARGEST, Checkpoint, CheckpointStore, History, load_weights
from spsn.cli import main
from spsn.commands import merged
from spsn.data.download import DownloadError, download
from spsn.data.events import ARRAYS, FORMAT, TYPES, EventStore
from spsn.errors import DataError, RecordError, SettingsError, SpsnError
from spsn.files import parse_json
from spsn.mapping import shown
from spsn.published import load_published
from spsn.records import read_record
from spsn.replication.notebooks import normalise
from spsn.settings import MAX_SEEDS, from_mapping, load
from spsn.weights import network_of
from spsn.yaml_files import LARGEST as LARGEST_YAML
from spsn.yaml_files import MAX_VALUES

CODE = [*(ROOT / "src").rglob("*.py"), *(ROOT / "workflow").rglob("*.smk"), ROOT / "Snakefile"]
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
    found = [f"{path}: {line}" for path in CODE for line in path.read_text().splitlines()
             if re.search(forbidden, line)]  # fmt: skip
    assert not found


def test_every_load_of_torch_reads_data_alone():
    calls = [line for path in CODE for line in path.read_text().splitlines() if "torch.load(" in line]
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
    changed(project, dataset=data, golden={"weights": harm}, shd={"sources": list(HARM)}, data_dir=harm)
    made = [f"{results}/settings.json", f"{results}/events/test_2ms.safetensors"]
    done = snakemake(project, "-p", "-k", *made, f"{results}/golden/weights.json", config="harm.yaml")
    assert all((project / path).is_file() for path in made), done.stdout
    assert json.loads((project / made[0]).read_text())["golden"]["weights"] == harm
    assert done.returncode != 0 and "not the authors' published weights" in "".join(
        path.read_text() for path in (project / f"{results}/logs").glob("published*")
    )
    assert not canaries(project)


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


# --- records, stores, checkpoints, notebooks ---------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [("NaN", "NaN"), ("[-Infinity]", "Inf"), ("[1e999]", "1e999"), (NESTED, "nested"), ("1" * 5000, "digit")],
    ids=["nan", "infinity", "large", "nested", "long"],
)  # fmt: skip
def test_json_that_is_no_value(text, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        parse_json(text)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(RecordError, match=r"a\.json"):
        read_record(tmp_path / "a.json")
    with pytest.raises(SettingsError, match=r"a\.json"):
        load(tmp_path / "a.json")


@pytest.mark.parametrize("text", ["[1]", "1", "null", '"a"'])
def test_settings_that_are_no_mapping(text, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(SettingsError, match="must be a mapping"):
        load(tmp_path / "a.json")


SOUND = json.loads((ROOT / "tests/corpus/record/sound").read_text())


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("result", "train_accuracy", []),
        ("result", "train_loss", [True]),
        ("result", "test_hits", "many"),
        ("result", "test_hits", 2**64),
        ("result", "speakers", {"4": {"hits": 1}}),
        ("result", "speakers", {"4": 7}),
        ("result", "spikes_per_ms", {"0": 1}),
        ("settings", "model", ["lif"]),
        ("settings", "loss_mode", "other"),
        ("settings", "seed", 1.5),
        ("execution", "epoch_seconds", None),
        ("execution", "machine", []),
    ],
)
def test_a_record_of_wrong_types(part, key, value, tmp_path):
    content = json.loads(json.dumps(SOUND))
    content[part][key] = value
    path = tmp_path / "seed0.json"
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=r"seed0\.json: its .*train again"):
        read_record(path)


def stored(path: Path, about: object, **changes) -> None:
    """A store whose digest is right, whoever made it up."""
    arrays = {name: np.zeros(0 if name in ("time_bin", "channel") else 1, TYPES[name]) for name in ARRAYS}
    arrays |= {"offsets": np.zeros(2, np.int64), "length": np.ones(1, np.int32)} | changes
    if isinstance(about, dict):
        classes = about.get("classes")
        made_up = EventStore(**arrays, classes=classes, time_step_ms=about.get("time_step_ms"))
        try:
            about = about | {"digest": made_up.digest}
        except (TypeError, ValueError):
            about = about | {"digest": "0"}
    save_file(arrays, path, {FORMAT: about if isinstance(about, str) else json.dumps(about)})


def test_a_store_made_up_soundly_is_taken(tmp_path):
    stored(tmp_path / "a", {"classes": ["a"], "time_step_ms": 1.0})
    assert len(EventStore.load(tmp_path / "a")) == 1


@pytest.mark.parametrize(
    "about",
    [
        {"classes": [1], "time_step_ms": 1.0}, {"classes": 5, "time_step_ms": 1.0},
        {"classes": [["a"]], "time_step_ms": 1.0}, {"classes": ["a"], "time_step_ms": "1"},
        {"classes": ["a"], "time_step_ms": None}, {"classes": ["a"], "time_step_ms": [1]},
        {"classes": ["a"], "time_step_ms": -1.0}, {"classes": ["a"], "time_step_ms": True},
        {"classes": ["a"], "time_step_ms": float("nan")}, {}, NESTED, "[]", "7", "{",
    ],
    ids=lambda about: str(about)[:40],
)  # fmt: skip
def test_a_store_that_says_what_cannot_be(about, tmp_path):
    stored(tmp_path / "a", about)
    with pytest.raises(DataError, match="a: "):
        EventStore.load(tmp_path / "a")


@pytest.mark.parametrize(
    "changes",
    [
        {"label": np.zeros((1, 1), np.int64)}, {"label": np.zeros((), np.int64)},
        {"offsets": np.array([0, 2**62])}, {"offsets": np.zeros(0, np.int64)},
        {"label": np.zeros(1, np.float32)}, {"length": np.full(1, 2**31 - 1, np.int32)},
    ],
    ids=str,
)  # fmt: skip
def test_a_store_whose_arrays_cannot_be(changes, tmp_path):
    stored(tmp_path / "a", {"classes": ["a"], "time_step_ms": 1.0}, **changes)
    with pytest.raises(DataError, match="a: "):
        EventStore.load(tmp_path / "a")


def tensors(header: dict | bytes, claimed: int | None = None, body: bytes = bytes(16)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if claimed is None else claimed).to_bytes(8, "little") + text + body


def entry(begin: int, end: int, shape: list, kind: str = "F32") -> dict:
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


UNSAFE = {
    "a header longer than the file": tensors({}, 2**40),
    "a header of all numbers": tensors({}, 2**64 - 1),
    "overlapping": tensors({"a": entry(0, 16, [4]), "b": entry(8, 16, [2])}),
    "a hole": tensors({"a": entry(0, 4, [1]), "b": entry(12, 16, [1])}),
    "beyond the end": tensors({"a": entry(0, 1 << 40, [1 << 38])}),
    "backwards": tensors({"a": entry(16, 0, [4])}),
    "overflowing": tensors({"a": entry(0, 16, [2**33, 2**33, 4])}),
    "another length": tensors({"a": entry(0, 16, [400])}),
    "an unknown type": tensors({"a": entry(0, 16, [4], "PY")}),
    "not JSON": tensors(b"(" * 100),
    "nested": tensors(b'{"a":' * 10_000),
    "nested metadata": tensors({"__metadata__": {"run": NESTED}}, body=b""),
    "metadata that are a list": tensors({"__metadata__": {"run": "[]"}}, body=b""),
    "metadata that are numbers": tensors({"__metadata__": {"run": 7}}, body=b""),
}


@pytest.mark.parametrize("fault", UNSAFE)
def test_unsafe_tensors(fault, tmp_path, run):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(UNSAFE[fault])
    with pytest.raises(RecordError, match=r"weights\.safetensors"):
        load_weights(path)
    with pytest.raises(DataError, match=r"weights\.safetensors"):
        EventStore.load(path)
    store = CheckpointStore(tmp_path)
    kept = store._path(run, 1)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(UNSAFE[fault])
    assert store.epochs(run) == {1} and store.load(run, 1) is None


def test_a_sparse_file_of_a_terabyte_is_not_read(tmp_path, run):
    """It takes no room on the disk, and its header is sound."""
    store, size = CheckpointStore(tmp_path), 1 << 40
    path = store._path(run, 1)
    path.parent.mkdir(parents=True)
    path.write_bytes(tensors({"0.weight": entry(0, size, [size])}, body=b""))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + size)
    assert store.load(run, 1) is None
    with pytest.raises(RecordError, match="no whole weights file"):
        load_weights(path)


def test_what_would_not_be_read_again_is_not_written(tmp_path, run):
    large = torch.empty(LARGEST // 4 + 1, device="meta")
    with pytest.raises(SpsnError, match="make the network smaller"):
        CheckpointStore(tmp_path).save(run, Checkpoint({"0.weight": large}, History([1.0], [1.0], [1.0])))


def archived(value: float) -> bytes:
    """A network of two layers in the authors' form, all of whose weights have one value."""
    shapes = {"0.weight": (2, 700), "0.bias": (2,), "2.weight": (2, 2), "2.bias": (2,)}
    torch.save({name: torch.full(shape, value) for name, shape in shapes.items()}, made := io.BytesIO())
    return made.getvalue()


def test_an_archive_with_two_tables_of_contents(tmp_path):
    """zipfile takes the one before the end, torch the one at the place that the end names: what was judged
    is what is read.
    """
    judged, hidden, path = archived(1.0), archived(2.0), tmp_path / "two.pt"
    path.write_bytes(hidden[: hidden.rindex(b"PK\5\6")] + judged)
    assert torch.load(path, weights_only=True)["0.weight"].unique().tolist() == [2.0]
    assert load_published(path, sizes=None)["0.weight"].unique().tolist() == [1.0]


def test_published_weights_with_packed_parts_are_refused(tmp_path):
    sound = zipfile.ZipFile(io.BytesIO(archived(1.0)))
    with zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in sound.namelist():
            packed.writestr(name, sound.read(name))
    with pytest.raises(RecordError, match=r"packed\.pt: .*its parts are packed"):
        load_published(tmp_path / "packed.pt", sizes=None)


@pytest.mark.parametrize("weight", [(1, 1), (30_000, 1), None])
def test_weights_cannot_claim_a_network_by_its_biases(weight, stores):
    """Two lists of 30,000 biases stand for a matrix of 3.6 GB between them."""
    claimed = {f"{layer}.bias": torch.zeros(30_000) for layer in (0, 1)}
    claimed |= {f"{layer}.weight": torch.zeros(weight or 1) for layer in (0, 1)}
    with pytest.raises(RecordError, match="not those of a feedforward network"):
        network_of(claimed, "lif", stores[1])


@pytest.mark.parametrize("kind", [torch.complex64, torch.int8, torch.bool])
def test_weights_are_real_numbers_of_somebody(kind, stores):
    def weights(size: int, kind: torch.dtype) -> dict[str, torch.Tensor]:
        shapes = {"0.weight": (size, 700), "0.bias": (size,), "1.weight": (2, size), "1.bias": (2,)}
        return {name: torch.zeros(shape, dtype=kind) for name, shape in shapes.items()}

    network_of(weights(3, torch.float64), "lif", stores[1])
    for wrong in (weights(3, kind), weights(0, torch.float32)):
        with pytest.raises(RecordError, match="not those of a feedforward network"):
            network_of(wrong, "lif", stores[1])


def test_checkpoints_of_strange_names_are_passed_over(tmp_path, run):
    store = CheckpointStore(tmp_path)
    folder = store._path(run, 1).parent
    folder.mkdir(parents=True)
    for name in ("epoch", "epochx", "epoch-1", "epoch1.2", "epoch " + "9" * 200):
        (folder / f"seed0.{name}.safetensors").touch()
    assert store.epochs(run) == set()
    store.prune(run, None)


@pytest.mark.parametrize(
    "content",
    ["[]", "{}", NESTED, '{"cells": 5, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
     '{"cells": [{"cell_type": "code"}], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
     '{"cells": [], "nbformat": 4, "nbformat_minor": 5, "metadata": 7}',
     '{"cells": [], "nbformat": 10, "nbformat_minor": 5, "metadata": {}}'],
    ids=range(7),
)  # fmt: skip
def test_a_notebook_that_is_none(content, tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text(content)
    with pytest.raises(SpsnError, match=r"a\.ipynb: cannot be read"):
        normalise(path)
    assert path.read_text() == content


def test_a_redirect_whose_host_is_read_in_two_ways(server, tmp_path):
    """urlsplit finds the host behind the @, requests before the backslash; 127.0.0.1 is the stranger here."""
    known = server.url.replace("127.0.0.1", "localhost")
    server.serve("/a", b"", status=302, headers={"Location": f"{server.url}\\@{known.partition('//')[2]}/b"})
    server.serve(f"/%5C@{known.partition('//')[2]}/b", b"theirs")
    with pytest.raises(DownloadError, match=r"localhost redirects to 127\.0\.0\.1"):
        download(f"{known}/a", tmp_path / "a", attempts=1)
    assert server.asked == ["/a"] and not list(tmp_path.iterdir())


def test_what_the_document_names_is_there():
    """Every test of the table, and every limit in capitals."""
    text = (ROOT / "docs" / "hostile-input.md").read_text()
    named = re.findall(r"`((?:[\w]+/)*test_\w+\.py)(?:::(test_\w+))?`", text)
    assert len(named) > 20
    for path, name in named:
        assert re.search(rf"^def {name or 'test_'}", (ROOT / "tests" / path).read_text(), re.MULTILINE), name
    sources = "".join(path.read_text() for path in CODE)
    limits = re.findall(r"\b(?:MAX|LARGEST|LONGEST)_?[A-Z]*\b", text)
    assert limits and not [limit for limit in limits if not re.search(rf"^{limit} = ", sources, re.MULTILINE)]


def test_this_python_refuses_numbers_without_end():
    assert 0 < sys.get_int_max_str_digits() <= 4300
