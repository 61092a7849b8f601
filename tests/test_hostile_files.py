"""Records, stores, checkpoints, weights and notebooks made to do harm: each is refused in words."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from support import ROOT

from spsn.checkpoints import LARGEST, Checkpoint, CheckpointStore, History, load_weights
from spsn.data.events import ARRAYS, FORMAT, TYPES, EventStore
from spsn.errors import DataError, RecordError, SettingsError, SpsnError
from spsn.files import parse_json
from spsn.published import load_published
from spsn.records import read_record
from spsn.replication.notebooks import normalise
from spsn.settings import load
from spsn.weights import network_of

NESTED = "[" * 100_000


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
