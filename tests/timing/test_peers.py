"""The comparison with other libraries: the inputs that all share, the processes, the page made of a record,
and, where the libraries are installed, that their networks are the one that is compared.
"""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # the commands are a package of the repository's root

from benchmarks import peers  # noqa: E402
from benchmarks.peer_networks import SYSTEMS, inputs, rounds, worker  # noqa: E402
from benchmarks.peer_networks.inputs import Inputs, Shape  # noqa: E402
from benchmarks.peer_networks.page import page, write_page  # noqa: E402
from spsn.data import shd  # noqa: E402
from spsn.errors import SpsnError  # noqa: E402
from spsn.timing.random_store import even_store  # noqa: E402

PEERS_PYTHON = ROOT / ".venv-peers/bin/python"
OWN = [name for name, system in SYSTEMS.items() if not system.is_peer]
PEERS = [name for name, system in SYSTEMS.items() if system.is_peer]
SMALL = Shape(batch=3, steps=12, hidden_layers=2, hidden_size=5)
installed = pytest.mark.skipif(not PEERS_PYTHON.exists(), reason="make peers makes .venv-peers")


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_inputs(shape=SMALL, spikes_per_step=30.0, gain=6.0) -> Inputs:
    """Inputs on which neurons fire."""
    store = even_store(shape.batch, shape.steps, density=spikes_per_step)
    sizes = [inputs.CHANNELS] + [shape.hidden_size] * shape.hidden_layers + [20]
    generator = torch.Generator().manual_seed(3)
    state = {}
    for layer, (before, after) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        state[f"{layer}.weight"] = gain * before**-0.5 * torch.randn(after, before, generator=generator)
        state[f"{layer}.bias"] = 0.5 * torch.rand(after, generator=generator)
    return Inputs(shape, store.time_bin, store.channel, store.offsets, store.label, state)


@pytest.fixture
def saved(tmp_path) -> Path:
    path = tmp_path / "inputs.npz"
    small_inputs().save(path)
    return path


def test_inputs_come_back_from_their_file(saved):
    made, read = small_inputs(), Inputs.load(saved)
    assert read.shape == made.shape
    for name in ("time_bin", "channel", "offsets", "labels"):
        assert np.array_equal(getattr(read, name), getattr(made, name))
    assert read.state.keys() == made.state.keys()
    assert all(torch.equal(read.state[name], made.state[name]) for name in made.state)


def test_dense_input_counts_every_spike_and_its_beginning_is_the_shorter_one():
    made = small_inputs()
    dense = made.dense()
    assert dense.shape == (3, 12, inputs.CHANNELS) and inputs.CHANNELS == shd.CHANNELS
    assert dense.sum(dim=(1, 2)).tolist() == np.diff(made.offsets).tolist() == [360] * 3
    beginning = made.first(5)
    assert beginning.shape.steps == 5 and torch.equal(beginning.dense(), dense[:, :5])
    assert 0 < beginning.offsets[-1] < made.offsets[-1]


@pytest.mark.parametrize("system", OWN)
def test_own_systems_train_the_same_network_on_the_same_spikes(system):
    ours = importlib.import_module("benchmarks.peer_networks.ours")
    made = small_inputs()
    trainer, plain = ours.trainer(system, made), ours.trainer("unbind", made)
    assert trainer.loss() == pytest.approx(plain.loss(), abs=1e-5)
    assert trainer.rates() == pytest.approx(plain.rates(), abs=1e-6) and all(trainer.rates())
    before = trainer.loss()
    for _ in range(30):
        trainer.step()
    assert trainer.loss() < before


def test_workers_answer_in_turn_and_a_missing_interpreter_is_a_failure_of_its_systems_alone(saved, tmp_path):
    pythons = {False: sys.executable, True: tmp_path / "nowhere/python"}
    systems = ["paper", "snntorch-leaky", "torch"]
    options = {"threads": 1, "repeats": 2, "seconds": 60.0}
    found = rounds.measure(systems, pythons, saved, **options)
    assert list(found) == systems
    for name in ("paper", "torch"):
        point = found[name]
        assert point["error"] is None and point["repeats"] == len(point["all_seconds"]) == 2
        assert min(point["all_seconds"]) <= point["seconds"] <= max(point["all_seconds"])
        assert point["peak_bytes"] is None or point["peak_bytes"] >= point["held_bytes"] > 0
        assert point["versions"]["torch"] == torch.__version__
    assert found["paper"]["loss"] == pytest.approx(found["torch"]["loss"], abs=1e-3)  # five steps later
    missing = found["snntorch-leaky"]
    assert missing["seconds"] is None and missing["repeats"] == 0 and "nowhere/python" in missing["error"]


def test_a_worker_s_words(saved):
    trainer = worker._prepare("paper", Inputs.load(saved), 1)
    assert torch.get_num_threads() == 1
    first = worker.ANSWERS["first"](trainer)
    assert first["seconds"] > 0 and (first["peak_bytes"] or 1) >= (first["held_bytes"] or 0)
    before = [layer.weight.detach().clone() for layer in trainer.trainer.network.layers]
    assert worker.ANSWERS["cold"](trainer)["seconds"] > 0
    assert worker.ANSWERS["step"](trainer)["seconds"] > 0
    after = [layer.weight for layer in trainer.trainer.network.layers]
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    state = worker.ANSWERS["state"](trainer)
    assert np.isfinite(state["loss"]) and len(state["rates"]) == SMALL.hidden_layers


def test_what_takes_long_takes_part_in_fewer_rounds():
    rounds_of = [rounds._rounds(first, repeats=5, seconds=100.0) for first in (0.01, 30.0, 55.0, 1000.0)]
    assert rounds_of == [5, 3, 1, 1]


def test_a_library_that_is_not_installed_is_named(saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "norse", None)
    for name in [name for name in sys.modules if name == "benchmarks.peer_networks.norse"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match="norse"):
        worker._prepare("norse-module", Inputs.load(saved), 1)


def test_a_process_that_ends_by_itself_is_a_failure_with_its_last_words(tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(rounds.Failure, match="status 3: no such luck"):
        rounds.Worker("paper", broken, tmp_path / "inputs.npz", 1)
    with pytest.raises(rounds.Failure, match="FileNotFoundError.*inputs.npz"):
        rounds.Worker("paper", sys.executable, tmp_path / "inputs.npz", 1)


def test_a_process_that_is_killed_while_it_waits_is_a_failure(saved):
    made = rounds.Worker("paper", sys.executable, saved, 1)
    made.process.kill()
    made.process.wait()
    with pytest.raises(rounds.Failure, match="status -9"):
        made.ask("step")


TINY = [
    "--systems", "unbind", "norse-module", "--time-steps", "6", "--batch", "2", "--repeats", "1",
    "--hidden-layers", "1", "--hidden-size", "4", "--threads", "1", "--peers-python", "no/python",
]  # fmt: skip


def test_the_command_prints_and_keeps_a_record_that_it_can_draw(tmp_path, monkeypatch):
    kept = tmp_path / "record.json"
    words = [sys.executable, "-m", "benchmarks.peers", *TINY, "--output", str(kept)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record == json.loads(kept.read_text())
    assert [(p["system"], p["steps"]) for p in record["points"]] == [("unbind", 6), ("norse-module", 6)]
    assert record["what"] == "training step of the LIF network, unbind, T = 6"
    assert record["seconds"] == record["points"][0]["seconds"] > 0
    assert record["command"].startswith("python -m benchmarks.peers --systems unbind")
    assert record["threads"] == 1 and record["machine"]["cores"] >= 1

    monkeypatch.setattr(sys, "argv", ["peers", "--draw", str(kept), "--docs", str(tmp_path / "docs")])
    peers.main()
    assert (tmp_path / "docs/peers.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "docs/peers.md").read_text()
    assert "700-4-20: 2 samples" in text and "norse LIF, T = 6: no/python cannot be run" in text


def test_a_gpu_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["peers", *TINY, "--device", "cuda"])
    with pytest.raises(SystemExit):
        peers.main()
    assert "one of CPUs" in capsys.readouterr().err


def test_a_record_that_cannot_be_read_is_said_so(monkeypatch, tmp_path):
    for path, text in ((tmp_path / "absent.json", None), (tmp_path / "torn.json", "{")):
        if text:
            path.write_text(text)
        monkeypatch.setattr(sys, "argv", ["peers", "--draw", str(path)])
        with pytest.raises(SpsnError, match=path.name):
            peers.main()


def point(system, steps, all_seconds, error=None, **more):
    described = vars(SYSTEMS[system])
    seconds = None if error else sorted(all_seconds)[len(all_seconds) // 2]
    shape = {"batch": 64, "steps": steps, "hidden_layers": 3, "hidden_size": 128}
    measured = {"all_seconds": all_seconds, "seconds": seconds, "repeats": len(all_seconds), "error": error}
    return {"system": system, **described, **shape, **measured, **more}


RATES = {"rates": [0.01, 0.02, 0.03], "loss": 2.9, "peak_bytes": 512_000_000}
RECORD = {
    "classes": 20,
    "gain": 4.0,
    "spikes_per_step": 7.7,
    "points": [
        point("fused", 100, [0.1, 0.2, 0.4], **RATES),
        point("snntorch-synaptic", 100, [1.0, 1.6, 2.0], versions={"snntorch": "1.0.0"}, **RATES),
        point("sinabs-layer", 100, [], "ImportError:\nno sinabs"),
        point("fused", 1000, [2.0], **RATES),
        point("snntorch-synaptic", 1000, [30.0], versions={"snntorch": "1.0.0"}, **RATES),
        point("sinabs-layer", 1000, [], "ImportError: no sinabs"),
    ],
    "threads": 2,
    "load_average": [0.1, 0.2, 0.3],
    "machine": {"processor": "A processor", "cores": 2},
    "versions": {"spsn": "1", "python": "3", "torch": "2", "numpy": "4", "numba": "5"},
    "git_commit": "0123",
    "command": "python -m benchmarks.peers",
}


def test_the_page_has_the_record_s_numbers():
    text = page(RECORD)
    assert "700-128-128-128-20: 64 samples" in text
    rows = [line for line in text.splitlines() if line.startswith("| snnTorch Synaptic | 2 |")]
    assert "| 1.6 (1-2, 3) | 8 | 512 | 30 (30-30, 1) | 15 | 512 |" in rows[0]
    assert "| sinabs LIF | 2 | - | - | - | - | - | - |" in text
    assert "- sinabs LIF, T = 100: ImportError: no sinabs" in text
    assert "10 / 20 / 30" in text and "snntorch 1.0.0" in text and "spsn 1, python 3" in text
    assert "{" not in text and "None" not in text


def test_equal_records_give_equal_files_of_a_readable_size(tmp_path):
    for name in ("a", "b"):
        write_page(RECORD, tmp_path / name)
    for name in ("peers.md", "peers.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    width, height = np.frombuffer((tmp_path / "a/peers.png").read_bytes()[16:24], ">u4")
    assert 1200 < width < 1500 and 150 < height < 1000


def test_every_library_is_pinned_and_torch_is_the_project_s():
    lines = (ROOT / "benchmarks/requirements-peers.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", pin) for pin in pins)
    names = [pin.partition("==")[0] for pin in pins]
    assert "torch" not in names and len(set(names)) == len(names)
    libraries = {SYSTEMS[name].library for name in PEERS}
    assert set(names[-len(libraries) :]) == libraries and lines[-len(libraries) - 1] == "# peers"


@installed
def test_a_peer_answers_as_a_worker_with_the_project_s_torch(saved):
    options = {"threads": 1, "repeats": 1, "seconds": 60.0}
    found = rounds.measure(["snntorch-leaky"], {True: PEERS_PYTHON}, saved, **options)["snntorch-leaky"]
    assert found["error"] is None and found["seconds"] > 0 and "snntorch" in found["versions"]
    pinned = (ROOT / "requirements-torch.txt").read_text().strip().partition("==")[2]
    assert found["versions"]["torch"].partition("+")[0] == pinned


TRAIN = """
import json, sys
from importlib import import_module
from pathlib import Path
import torch
from benchmarks.peer_networks import SYSTEMS
from benchmarks.peer_networks.inputs import Inputs
torch.set_num_threads(1)
made = Inputs.load(Path(sys.argv[1]))
found = {}
for name in sys.argv[2:]:
    trainer = import_module(f"benchmarks.peer_networks.{SYSTEMS[name].module}").trainer(name, made)
    losses, rates = [trainer.loss()], trainer.rates()
    for _ in range(10):
        trainer.step()
    found[name] = {"losses": [*losses, trainer.loss()], "rates": rates}
print(json.dumps(found))
"""


@installed
def test_peers_train_the_network_on_the_spikes(tmp_path):
    """Of second order they fire about as this package's network does, and the forms of one library alike."""
    path, shape = tmp_path / "inputs.npz", Shape(batch=4, steps=40, hidden_layers=2, hidden_size=32)
    made = small_inputs(shape, gain=12.0)
    made.save(path)
    done = subprocess.run(
        [PEERS_PYTHON, "-c", TRAIN, path, *PEERS], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rates = importlib.import_module("benchmarks.peer_networks.ours").trainer("unbind", made).rates()
    for name in PEERS:
        before, after = found[name]["losses"]
        assert np.isfinite(before) and after < before, name
        if SYSTEMS[name].order == 2:
            assert found[name]["rates"] == pytest.approx(rates, rel=0.5), name
    for one, other in (("norse-module", "norse-integral"), ("sinabs-layer", "sinabs-steps")):
        assert found[one]["losses"] == pytest.approx(found[other]["losses"], rel=1e-3)
        assert found[one]["rates"] == pytest.approx(found[other]["rates"], abs=1e-6)
