"""A grid of runs that is trained in several calls, and the bundles between them."""

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import yaml
from support import load_config, make_words

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # the commands are a package of the repository's root

from benchmarks import bundles, paper_blocks, paper_data, paper_state  # noqa: E402
from benchmarks.paper_state import State, carry_out  # noqa: E402
from spsn.data.shd import write_split  # noqa: E402
from spsn.errors import DataError, RecordError, SettingsError  # noqa: E402
from spsn.files import write_json  # noqa: E402
from spsn.records import read_record  # noqa: E402
from spsn.settings import from_mapping, to_mapping  # noqa: E402

GRID = {
    "name": "few",
    "network": {"hidden_layers": 2, "hidden_size": 12, "time_step": 0.002},
    "training": {"epochs": 3, "batch_size": 8},
    "execution": {"threads": 1, "device": "cpu", "checkpoint_every": 1, "seeds_per_block": 2},
    "experiments": {
        "accuracy": {"models": ["spsn-sb"], "conditions": ["basic"], "seeds": 2},
        "regularization": {"models": ["spsn-sb"], "thresholds": [0.4], "seeds": 2},
        "loss_mode": {"models": ["lif"], "modes": ["max"], "seeds": 2, "network": {"hidden_layers": 1}},
        "robustness": {"models": ["spsn-sb"], "condition": "basic"},
    },
}
FIRST = "accuracy/spsn-sb/basic"


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Two small files and the grid's configuration."""
    folder = tmp_path_factory.mktemp("words")
    for split, samples, seed in (("train", 40, 1), ("test", 20, 2)):
        write_split(folder / f"words_{split}.h5", make_words(samples, 4, seed))
    (folder / "few.yaml").write_text(yaml.safe_dump(GRID))
    return folder


def gpu_paper(words, out, *arguments):
    """The command on the small files."""
    command = [sys.executable, "-m", "benchmarks.gpu_paper", "--out", str(out)]
    command += ["--train", str(words / "words_train.h5"), "--test", str(words / "words_test.h5")]
    command += ["--config", "config/paper.yaml", str(words / "few.yaml"), *map(str, arguments)]
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def calls(words, tmp_path_factory):
    """A call that stops after one block, and one elsewhere that goes on from its bundle."""
    first, second = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    one = gpu_paper(words, first, "--minutes", 5, "--blocks", 1)
    assert one.returncode == 0, one.stderr
    two = gpu_paper(words, second, "--minutes", 5, "--weights", "--resume", first / "bundle-1.tar.gz")
    assert two.returncode == 0, two.stderr
    return first, second, one, two


def outcomes(out):
    runs = out / "work/results/few/runs"
    records = {str(path.relative_to(runs)): read_record(path) for path in runs.rglob("*.json")}
    return {name: (record.settings, record.result) for name, record in records.items()}


def test_a_call_that_goes_on_gives_what_an_undisturbed_one_gives(words, calls, tmp_path):
    whole = gpu_paper(words, tmp_path, "--minutes", 5)
    assert whole.returncode == 0, whole.stderr
    ours, theirs = outcomes(calls[1]), outcomes(tmp_path)
    assert len(theirs) == 6 and ours == theirs
    assert outcomes(calls[0]) == {k: v for k, v in theirs.items() if k.startswith(FIRST)}


def test_the_index_says_what_is_done_and_what_is_left(calls):
    first, second = (json.loads((calls[k] / "index.json").read_text()) for k in (0, 1))
    assert [entry["run"] for entry in first["runs"]] == [f"{FIRST}/seed0", f"{FIRST}/seed1"]
    assert len(first["left"]) == 4 and second["left"] == [] and len(second["runs"]) == 6
    lies = {entry["run"]: entry["bundle"] for entry in second["runs"]}
    assert lies[f"{FIRST}/seed0"] == "bundle-1.tar.gz" and set(lies.values()) > {"bundle-2.tar.gz"}
    assert "2 runs done, 4 left" in calls[2].stdout and "6 runs done, 0 left" in calls[3].stdout


def test_a_bundle_holds_what_is_new(calls):
    def names(path):
        with tarfile.open(path) as tar:
            return tar.getnames()

    assert names(calls[0] / "bundle-1.tar.gz") == [
        "index.json", f"runs/{FIRST}/seed0.json", f"runs/{FIRST}/seed1.json",
    ]  # fmt: skip
    second = names(calls[1] / "bundle-2.tar.gz")
    assert len(second) == 1 + 4 * 2 and not any(FIRST in name for name in second)
    assert "runs/loss_mode/lif/loss-max/seed1.safetensors" in second


def test_nothing_is_trained_in_no_time_and_nothing_packed_twice(words, calls, tmp_path):
    carried = [calls[k] / f"bundle-{k + 1}.tar.gz" for k in (0, 1)]
    done = gpu_paper(words, tmp_path, "--minutes", 0, "--resume", *carried)
    assert "6 runs done, 0 left" in done.stdout, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.json", "work"]
    again = gpu_paper(words, tmp_path / "none", "--minutes", 0)
    assert "0 runs done, 6 left" in again.stdout and again.stdout.count("not begun: the time is over") == 3


def test_what_other_sources_made_is_refused(words, calls, tmp_path):
    results = tmp_path / "results"
    index = bundles.unpack(calls[0] / "bundle-1.tar.gz", results)
    files = index.pop("files")
    bundles.pack(results, files, tmp_path, 7, index | {"sources": "other"}, 1 << 20)
    options = ("--minutes", 0, "--resume", tmp_path / "bundle-7.tar.gz")
    refused = gpu_paper(words, tmp_path / "out", *options)
    assert refused.returncode == 1 and "bundle-7.tar.gz: was made by other sources" in refused.stderr
    assert "Traceback" not in refused.stderr
    taken = gpu_paper(words, tmp_path / "out", *options, "--other-sources")
    assert "2 runs done, 4 left" in taken.stdout


@pytest.fixture
def long_state(words, tmp_path):
    """A grid whose blocks would take many minutes."""
    config = load_config("paper") | {"dataset": {"train": "a_train.h5", "test": "a_test.h5"}}
    config |= {key: config[key] | GRID[key] for key in ("network", "execution")} | {"name": "few"}
    config["training"] = {"epochs": 100_000, "batch_size": 8, "learning_rate": 0.001}
    config["experiments"] |= {k: config["experiments"][k] | v for k, v in GRID["experiments"].items()}
    settings = from_mapping(config | {"execution": {**config["execution"], "allow_long": True}})
    files = paper_blocks.Files(words / "words_train.h5", words / "words_test.h5", tmp_path / "events")
    write_json(tmp_path / "settings.json", to_mapping(settings))
    return State(settings, files, tmp_path / "results", tmp_path / "settings.json")


def test_a_block_that_does_not_fit_is_not_begun(long_state):
    known = {paper_blocks.kind(block): 1.0 for block in long_state.blocks}
    said = carry_out(long_state, time.monotonic() + 30, paces=known)
    assert len(said) == 3 and all("not begun: would take about 63 h" in words for words in said.values())
    assert not list(long_state.results.glob("**/*.safetensors"))


def test_a_block_that_takes_longer_than_expected_is_stopped_and_carried_on(long_state, tmp_path, monkeypatch):
    monkeypatch.setattr(paper_state, "ESTIMATING", 0.0)
    known = {paper_blocks.kind(block): 0.0 for block in long_state.blocks}
    said = carry_out(long_state, time.monotonic() + 12, most=1, paces=known)
    first = long_state.blocks[0]
    assert said[first.job].startswith("stopped after")
    names = long_state.names([], weights=False)
    assert len(names) == 1 and names[0].startswith(f"checkpoints/{FIRST}/seed0.epoch")
    about = {"sources": "", "name": "few", "runs": []}
    (path,) = bundles.pack(long_state.results, names, tmp_path, 1, about, 1 << 24)
    bundles.unpack(path, tmp_path / "elsewhere")
    epochs = int(names[0].split("epoch")[1].split(".")[0])
    left = paper_blocks.epochs_left(tmp_path / "elsewhere", long_state.runs(first))
    assert epochs > 1 and left == 2 * 100_000 - epochs


def test_blocks_come_in_the_order_of_the_report():
    settings = from_mapping(load_config("paper"))
    found = paper_blocks.ordered(settings)
    names = [block.name for block in found]
    assert len(names) == len(set(names)) == 8 + 16 + 9
    assert {name.split("/")[0] for name in names[:8]} == {"accuracy"}
    published = ["regularization/spsn-sb/regularized-0.40", "regularization/spsn-gs/regularized-0.10"]
    assert names[8:10] == published and names[24].startswith("loss_mode")
    more = load_config("paper")
    more["execution"]["seeds_per_block"] = 5
    seeds = [block.seeds[0] for block in paper_blocks.ordered(from_mapping(more))]
    assert seeds == [0] * 33 + [5] * 33


def test_blocks_of_a_kind_take_equally_long():
    blocks = paper_blocks.ordered(from_mapping(load_config("paper")))
    kinds = {block.name: paper_blocks.kind(block) for block in blocks}
    assert kinds["regularization/spsn-sb/regularized-0.01"] == kinds["accuracy/spsn-sb/augmented"]
    assert kinds["accuracy/spsn-sb/basic"] != kinds["accuracy/spsn-sb/augmented"]
    assert kinds["loss_mode/lif/loss-mean"] != kinds["accuracy/lif/basic"]


def packed(folder, *members):
    """A bundle with what `unpack` must not take."""
    path = folder / "bundle-1.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    "name",
    ["../evil.json", "/tmp/evil.json", "runs/a/b/c/../../../../evil.json", "runs/../../a/seed0.json",
     "runs/a/b/c/seed0.py", "checkpoints/a/b/c/seed0.done.json", "evil"],
)  # fmt: skip
def test_no_path_leaves_the_folder(tmp_path, name):
    path = packed(
        tmp_path, (tarfile.TarInfo("runs/a/b/c/seed0.json"), b"{}"), (tarfile.TarInfo(name), b"evil")
    )
    with pytest.raises(RecordError, match="does not belong into a bundle"):
        bundles.unpack(path, tmp_path / "in/results")
    assert not (tmp_path / "in").exists() and not list(tmp_path.rglob("evil*"))


def test_links_are_refused(tmp_path):
    link = tarfile.TarInfo("runs/a/b/c/seed0.json")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with pytest.raises(RecordError, match="does not belong into a bundle"):
        bundles.unpack(packed(tmp_path, (link, b"")), tmp_path / "results")


def test_what_is_no_whole_bundle_is_refused(tmp_path, calls):
    whole = (calls[0] / "bundle-1.tar.gz").read_bytes()
    for content in (b"", b"no archive", whole[: len(whole) // 2]):
        (tmp_path / "bundle-1.tar.gz").write_bytes(content)
        with pytest.raises(RecordError, match="carry it over again"):
            bundles.unpack(tmp_path / "bundle-1.tar.gz", tmp_path / "results")
    with pytest.raises(RecordError, match="no whole bundle"):
        bundles.unpack(tmp_path / "absent.tar.gz", tmp_path / "results")
    index = json.dumps({"files": ["runs/a/b/c/seed0.json"], "sources": "", "runs": []}).encode()
    with pytest.raises(RecordError, match="what its index says"):
        bundles.unpack(packed(tmp_path, (tarfile.TarInfo("index.json"), index)), tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_what_is_too_large_for_one_bundle_is_parted(tmp_path):
    results, names = tmp_path / "results", []
    for number in range(5):
        names.append(f"runs/a/b/c/seed{number}.safetensors")
        (results / names[-1]).parent.mkdir(parents=True, exist_ok=True)
        (results / names[-1]).write_bytes(os.urandom(30_000))
    made = bundles.pack(results, names, tmp_path, 3, {"sources": "", "runs": []}, 80_000)
    assert [path.name for path in made] == [f"bundle-3{part}.tar.gz" for part in ("", "-2", "-3")]
    assert all(path.stat().st_size <= 80_000 for path in made)
    for path in made:
        bundles.unpack(path, tmp_path / "again")
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (results / name).read_bytes()
    assert bundles.next_number(tmp_path, [Path("x/bundle-11.tar.gz")]) == 12
    assert bundles.next_number(tmp_path, []) == 4
    before = [path.read_bytes() for path in made]
    bundles.pack(results, names, tmp_path, 3, {"sources": "", "runs": []}, 80_000)
    assert [path.read_bytes() for path in made] == before


def test_only_shd_is_called_shd(words, tmp_path):
    train, test = words / "words_train.h5", words / "words_test.h5"
    assert not paper_data.is_shd(train, "train")
    config = paper_data.given({"dataset": "shd"}, train, test)
    assert config["dataset"] == {"train": str(train), "test": str(test)}
    (tmp_path / "x.h5").write_bytes(b"no HDF5")
    with pytest.raises(DataError, match="not in SHD's layout"):
        paper_data.is_shd(tmp_path / "x.h5", "train")


def test_synthetic_digits_that_are_there_are_taken(tmp_path):
    config = {"synthetic_digits": {"train": 8156, "test": 2264, "seed": 3}, "name": "x"}
    for split in ("train", "test"):
        path = tmp_path / "digits-40-20-seed3" / f"synthetic_digits_{split}.h5"
        write_split(path, make_words(20, 4, 0))
    made, pair = paper_data.digits(config, (40, 20), tmp_path, 1)
    assert pair[1] == path and pair[0].name == "synthetic_digits_train.h5"
    assert made["dataset"] == "synthetic-digits" and made["name"] == "x"
    assert made["synthetic_digits"] == {"train": 40, "test": 20, "seed": 3}


def test_too_few_synthetic_digits_are_refused_by_what_makes_them(tmp_path):
    with pytest.raises(SettingsError, match="too few for 20 classes"):
        paper_data.digits({"synthetic_digits": {"seed": 0}}, (2, 2), tmp_path, 1)


@pytest.mark.parametrize(
    "given", [[], ["--train", "a.h5"], ["--train", "a", "--test", "b", "--digits", "2", "2"]]
)
def test_data_must_be_given_in_one_way(given):
    command = [sys.executable, "-m", "benchmarks.gpu_paper", "--out", "x", "--minutes", "1", *given]
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 2 and "give --train and --test, or --digits" in done.stderr
