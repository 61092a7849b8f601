"""The authors' published files: verified, fetched, read as data alone, everything else refused by name.

SPSN_WEIGHTS names a folder with the real ones, in the folders `basic`, `data_aug` and `regul` of the authors'
`outputs/`; without it the tests on them are skipped.
"""

import csv
import hashlib
import json
import os
import pickle
import shutil
import struct
import threading
import zipfile
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from support import ROOT, paper_run

from spsn.errors import DataError, RecordError
from spsn.network import StackedNetwork
from spsn.published import (
    FILES,
    LARGEST,
    SIZES,
    PublishedFile,
    fetch_weights,
    load_published,
    obtain,
    read_manifest,
    use_weights,
)

REAL = os.environ.get("SPSN_WEIGHTS")
needs_weights = pytest.mark.skipif(REAL is None, reason="SPSN_WEIGHTS is not set")


def state_of(model: str = "lif", **changes) -> dict[str, torch.Tensor]:
    """A network of the paper's architecture in the authors' form."""
    own = StackedNetwork(paper_run(model=model, **changes), (7,)).run_state(0)
    return {in_their_words(name, model): tensor for name, tensor in own.items()}


def in_their_words(name: str, model: str) -> str:
    layer, kind = name.split(".")
    return f"{2 * int(layer)}.{kind}" if model == "non-spiking" else f"{layer}.fc.{kind}"


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return state_of()


def made_up(folder: Path, names=("basic/a.pt", "regul/b.pt")) -> tuple[PublishedFile, ...]:
    """Files of chance content below `folder`, as if they were the published ones."""
    files = []
    for name in names:
        content = hashlib.sha256(name.encode()).digest() * 100
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        files.append(PublishedFile(name, hashlib.sha256(content).hexdigest(), "lif", "basic"))
    return tuple(files)


def test_the_ten_files_are_those_that_the_authors_report_on():
    with (ROOT / "paper" / "golden.csv").open() as file:
        reported = [(row["file"], row["model"], row["condition"]) for row in csv.DictReader(file)]
    assert [(file.path, file.model, file.condition) for file in FILES] == reported
    assert len({file.sha256 for file in FILES}) == len(FILES) == 10
    assert all(len(bytes.fromhex(file.sha256)) == 32 for file in FILES)


@needs_weights
def test_the_real_files_are_the_published_ones_and_are_read():
    facts = use_weights(REAL)
    assert [fact["file"] for fact in facts] == [file.path for file in FILES]
    for file, fact in zip(FILES, facts, strict=True):
        path = Path(REAL) / file.path
        assert fact["bytes"] == path.stat().st_size and fact["url"] == path.absolute().as_uri()
        network = StackedNetwork(paper_run(model=file.model), (0,))
        weights = load_published(path)
        network.load_run_state(0, weights)
        assert all(torch.equal(tensor, weights[key]) for key, tensor in network.run_state(0).items())
        assert sum(tensor.numel() for tensor in weights.values()) == 125_332


@needs_weights
def test_other_bytes_under_the_names_of_the_real_files_are_refused(tmp_path):
    shutil.copytree(REAL, tmp_path / "copy")
    paths = [tmp_path / "copy" / file.path for file in FILES[:3]]
    for path in paths:
        path.chmod(0o644)
        path.parent.chmod(0o755)
    paths[0].unlink()
    paths[1].write_bytes(paths[2].read_bytes())
    with pytest.raises(DataError) as caught:
        use_weights(tmp_path / "copy")
    assert f"{FILES[0].path} is missing" in str(caught.value)
    assert f"{FILES[1].path} is not the published file" in str(caught.value)
    assert FILES[2].path not in str(caught.value)


def test_a_folder_that_lacks_files_or_has_others_is_refused_with_their_names(tmp_path):
    files = made_up(tmp_path, ("basic/a.pt", "basic/b.pt", "basic/c.pt"))
    assert [fact["sha256"] for fact in use_weights(tmp_path, files=files)] == [f.sha256 for f in files]
    (tmp_path / "basic/a.pt").unlink()
    (tmp_path / "basic/b.pt").write_bytes(b"other")
    with pytest.raises(DataError) as caught:
        use_weights(tmp_path, files=files)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}: ") and "spsn published-weights" in message
    assert "basic/a.pt is missing" in message and "basic/b.pt is not the published file" in message
    assert "c.pt" not in message


@pytest.mark.parametrize("model", ["lif", "spsn-gs", "non-spiking"])
def test_a_state_dict_in_the_authors_form_is_read(tmp_path, model):
    written = state_of(model)
    torch.save(written, tmp_path / "model.pt")
    read = load_published(tmp_path / "model.pt")
    assert {in_their_words(name, model) for name in read} == written.keys()
    assert all(torch.equal(read[name], written[in_their_words(name, model)]) for name in read)


@pytest.mark.parametrize("model", ["lif", "non-spiking"])
def test_another_architecture_is_read_where_it_is_asked_for(tmp_path, model):
    written = state_of(model, hidden_layers=2, hidden_size=10, classes=4)
    torch.save(written, tmp_path / "model.pt")
    read = load_published(tmp_path / "model.pt", sizes=None)
    assert [tuple(tensor.shape) for tensor in read.values()] == [
        (10, 700), (10,), (10, 10), (10,), (4, 10), (4,),
    ]  # fmt: skip
    with pytest.raises(RecordError, match="model.pt.*lacks"):
        load_published(tmp_path / "model.pt")


def other(state, key, tensor):
    return state | {key: tensor}


WEIGHT, BIAS = "1.fc.weight", "1.fc.bias"
WRONG = {  # what is saved in place of a good state dict, and what the refusal says
    "a key less": (lambda s: {k: t for k, t in s.items() if k != BIAS}, f"lacks {BIAS}"),
    "a key more": (lambda s: s | {"4.fc.weight": torch.zeros(3)}, "also has 4.fc.weight"),
    "a layer of the other form": (lambda s: s | {"8.weight": torch.zeros(3)}, "also has 8.weight"),
    "other shape": (lambda s: other(s, WEIGHT, torch.zeros(128, 127)), r"\(128, 127\), not \(128, 128\)"),
    "turned round": (lambda s: other(s, "0.fc.weight", s["0.fc.weight"].T), r"\(700, 128\)"),
    "a number alone": (lambda s: other(s, BIAS, torch.tensor(0.0)), r"the shape \(\)"),
    "not a number": (lambda s: other(s, WEIGHT, s[WEIGHT].clone().fill_(torch.nan)), "not finite"),
    "one infinite": (lambda s: other(s, BIAS, torch.tensor([torch.inf] + [0.0] * 127)), "not finite"),
    "float64": (lambda s: other(s, WEIGHT, s[WEIGHT].double()), "float64, not float32"),
    "whole numbers": (lambda s: other(s, BIAS, torch.zeros(128, dtype=torch.int64)), "int64, not float32"),
    "sparse": (lambda s: other(s, WEIGHT, s[WEIGHT].to_sparse()), "no plain tensor"),
    "nowhere": (lambda s: other(s, WEIGHT, torch.empty(128, 128, device="meta")), "no plain tensor"),
    "a list among them": (lambda s: other(s, BIAS, [0.0] * 128), "no plain tensor"),
    "huge by strides of 0": (lambda s: other(s, WEIGHT, torch.zeros(1, 1).expand(10**6, 10**7)), "shape"),
    "a list": (lambda s: list(s.values()), "no parameters by name"),
    "a tensor": (lambda s: s[WEIGHT], "no parameters by name"),
    "numbered": (lambda s: dict(enumerate(s.values())), "no parameters by name"),
    "nothing": (lambda s: {}, "lacks"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_wrong_contents_are_refused_with_the_files_name(state, tmp_path, fault):
    change, message = WRONG[fault]
    torch.save(change(state), tmp_path / "model.pt")
    with pytest.raises(RecordError, match=rf"model\.pt: is not a state dict.*{message}"):
        load_published(tmp_path / "model.pt")


class Destructive:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("plain", [False, True])
def test_a_pickle_that_wants_to_run_something_is_refused(state, tmp_path, plain):
    path, trace = tmp_path / "model.pt", tmp_path / "trace"
    content = state | {"5.fc.weight": Destructive(trace)}
    if plain:
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    with pytest.raises(RecordError, match=r"model\.pt: .*cannot be read"):
        load_published(path)
    assert not trace.exists()


def garbled(state, path: Path) -> None:
    """A good file whose archive says that the first tensor's storage has 2**31 - 1 numbers."""
    torch.save(state, path)
    with zipfile.ZipFile(path) as archive:
        members = [(member, archive.read(member)) for member in archive.infolist()]
    before, after = (b"J" + struct.pack("<i", n) for n in (128 * 700, 2**31 - 1))
    assert any(before in content for _, content in members)
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members:
            archive.writestr(
                member, content.replace(before, after) if member.filename.endswith("data.pkl") else content
            )


def swollen(state, path: Path) -> None:
    """A small file that would unpack to more than memory may be spent on."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("m/data/0", "w") as member:
        for _ in range(LARGEST // 2**20 + 1):
            member.write(bytes(2**20))


BROKEN = {
    "empty": lambda state, path: path.write_bytes(b""),
    "text": lambda state, path: path.write_text("404: Not Found"),
    "a page": lambda state, path: path.write_text("<!DOCTYPE html><html></html>"),
    "every byte": lambda state, path: path.write_bytes(bytes(range(256))),
    "a claimed storage": garbled,
    "a bomb": swollen,
}


@pytest.mark.parametrize("fault", BROKEN)
def test_what_is_no_such_file_is_refused_with_its_name(state, tmp_path, fault):
    path = tmp_path / "model.pt"
    BROKEN[fault](state, path)
    with pytest.raises(RecordError, match=r"model\.pt: is not a state dict"):
        load_published(path)


def test_what_is_no_file_is_not_to_be_fetched_again(tmp_path):
    with pytest.raises(RecordError, match=r"nope\.pt: no such file\. .* --weights fetch"):
        load_published(tmp_path / "nope.pt")
    with pytest.raises(RecordError, match="a folder, not a file. Name the file itself"):
        load_published(tmp_path)


@pytest.mark.parametrize("kept", [1, 1000, 0.5, 0.99])
def test_a_truncated_file_is_refused(state, tmp_path, kept):
    path = tmp_path / "model.pt"
    torch.save(state, path)
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(RecordError, match=r"model\.pt: is not a state dict"):
        load_published(path)


def test_what_lies_there_already_needs_no_network(tmp_path):
    files = made_up(tmp_path)
    facts = fetch_weights(tmp_path, base="http://127.0.0.1:9/", files=files)
    assert facts == [
        {"file": f.path, "url": f"http://127.0.0.1:9/{f.path}", "sha256": f.sha256, "bytes": 3200}
        for f in files
    ]


@contextmanager
def serving(folder: Path):
    """A web server on this machine for the files below `folder`: its address, and the paths asked for."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments, **keywords):
            super().__init__(*arguments, directory=str(folder), **keywords)

        def log_message(self, *_):
            asked.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", asked
        server.shutdown()


@pytest.fixture
def patience(monkeypatch) -> dict:
    """Keywords for one quick try, on this machine alone."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return {"attempts": 1, "pause": 0.0, "timeout": 5.0}


def test_what_is_absent_or_spoilt_is_fetched_and_nothing_else(tmp_path, patience):
    (there := tmp_path / "there").mkdir()
    files = made_up(there, ("basic/a.pt", "regul/b.pt", "regul/c.pt"))
    here = tmp_path / "here"
    made_up(here, ["basic/a.pt"])
    (here / "regul").mkdir()
    (here / "regul/b.pt").write_bytes(b"half a fi")
    with serving(there) as (base, asked):
        facts = fetch_weights(here, base=base, files=files, **patience)
        assert sorted(set(asked)) == ["/regul/b.pt", "/regul/c.pt"]
        told = len(asked)
        assert fetch_weights(here, base=base, files=files, **patience) == facts and len(asked) == told
    assert [fact["url"] for fact in facts] == [base + file.path for file in files]
    assert sorted(p for p in here.rglob("*.pt")) == sorted(here / file.path for file in files)
    assert use_weights(here, files=files)


@needs_weights
def test_the_real_files_are_fetched_from_a_server_as_the_authors_is(tmp_path, patience):
    with serving(Path(REAL)) as (base, _):
        assert obtain("fetch", tmp_path / "w", tmp_path / "manifest.json", base=base, **patience)
    found = read_manifest(tmp_path / "manifest.json")
    assert found["available"] and len(found["files"]) == 10 and found["folder"] == str(tmp_path / "w")
    assert len(use_weights(found["folder"])) == 10


def test_other_bytes_from_the_server_are_refused(tmp_path, patience):
    (there := tmp_path / "there").mkdir()
    files = made_up(there)
    (there / files[1].path).write_bytes(b"<!DOCTYPE html><html></html>")
    with serving(there) as (base, _), pytest.raises(DataError, match=r"regul/b\.pt: a web page"):
        fetch_weights(tmp_path / "here", base=base, files=files, **patience)
    assert [p.name for p in (tmp_path / "here").rglob("*.pt")] == ["a.pt"]


@pytest.mark.parametrize("fault", ["no server", "no file"])
def test_what_cannot_be_fetched_is_said_and_stops_nothing(tmp_path, patience, fault):
    (there := tmp_path / "there").mkdir()
    files, manifest = made_up(there), tmp_path / "manifest.json"
    with serving(there) as (base, _):
        (there / files[0].path).unlink()
        if fault == "no file":
            assert not obtain("fetch", tmp_path / "w", manifest, files=files, base=base, **patience)
    if fault == "no server":
        assert not obtain("fetch", tmp_path / "w", manifest, files=files, base=base, **patience)
    found = read_manifest(manifest)
    assert not found["available"] and f"{base}{files[0].path}" in found["reason"]
    assert found["files"] == []


def test_a_local_folder_is_obtained_or_refused(tmp_path):
    folder, manifest = tmp_path / "weights", tmp_path / "manifest.json"
    files = made_up(folder)
    assert obtain(str(folder), tmp_path / "unused", manifest, files=files)
    found = read_manifest(manifest)
    assert (found["available"], found["reason"], found["folder"]) == (True, None, str(folder))
    assert [fact["file"] for fact in found["files"]] == [file.path for file in files]
    assert found["weights"] == "local" and not (tmp_path / "unused").exists()
    manifest.unlink()
    (folder / files[0].path).unlink()
    with pytest.raises(DataError, match=files[0].path):
        obtain(str(folder), tmp_path / "unused", manifest, files=files)
    assert not manifest.exists()


def test_a_manifest_that_says_nothing_is_refused(tmp_path):
    for content in ("", "[]", "{}", json.dumps({"weights": "fetch"})):
        (tmp_path / "manifest.json").write_text(content)
        with pytest.raises(RecordError, match="manifest.json"):
            read_manifest(tmp_path / "manifest.json")
    with pytest.raises(RecordError, match="absent.json"):
        read_manifest(tmp_path / "absent.json")


def test_sizes_are_the_papers():
    assert sum((a + 1) * b for a, b in zip(SIZES[:-1], SIZES[1:], strict=True)) == 125_332
