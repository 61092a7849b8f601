"""A training step of every method against T: every point accounted for, in a process of its own."""

import csv
import os
import signal
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from support import ROOT, run_python

from spsn.config_files import merged
from spsn.errors import SpsnError
from spsn.files import write_json
from spsn.memory import is_out_of_memory
from spsn.methods import METHODS
from spsn.network import StackedNetwork
from spsn.settings import Settings, from_mapping, to_mapping
from spsn.timing import method_step, methods
from spsn.timing.apart import ask
from spsn.timing.measure import MEASURED, OUT_OF_MEMORY, TOO_SLOW
from spsn.timing.method_step import MEASURE_STEP, limit_memory, shorter, training_step
from spsn.timing.methods import (
    Point,
    implementations,
    matrix_bytes,
    method_study,
    needed_bytes,
    refusal,
    timed_run,
)

CONFIG = ROOT / "config" / "paper.yaml"
CPU = torch.device("cpu")
HERE = "test_methods"  # the process finds this file on its path
COLUMNS = (
    "method,model,implementation,steps,status,seconds_median,seconds_q1,seconds_q3,peak_bytes,batch_size,"
    "repeats,device,threads,dtype"
)
MEGABYTE = 10**6


def small(*names, hidden_size=8, **timing) -> Settings:
    """The paper's configuration with a small network, and the comparison's timing of the methods `names`."""
    config = merged([CONFIG])
    config["network"]["hidden_size"] = hidden_size
    config["execution"] |= {"threads": 1, "device": "cpu"}
    fast = {"methods": list(names), "lengths": [5, 3], "repeats": 2, "batch_size": 2, "seconds_per_point": 60}
    config["experiments"]["comparison"]["timing"] = fast | timing
    return from_mapping(config)


def asked(settings, method, implementation, steps, repeats=1):
    """What a process says of one point."""
    run = asdict(timed_run(settings, method, implementation, steps))
    wanted = {"run": run, "steps": steps, "device": "cpu", "repeats": repeats, "budget_seconds": 60.0}
    return ask(MEASURE_STEP, wanted, 300)


@pytest.fixture
def on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(os.path.dirname(__file__))


def test_a_model_has_the_implementations_that_its_traits_name(monkeypatch):
    assert implementations("psu", CPU) == implementations("bptt", CPU) == ["eager"]
    for model in ("lif", "spsn-sb", "non-spiking", "exodus", "saf-f"):
        assert implementations(model, CPU) == ["eager", "fused"]
    monkeypatch.setattr("spsn.devices.find_spec", lambda name: None)
    assert implementations("lif", torch.device("cuda")) == ["eager"]


def test_the_run_is_the_comparison_s_network_of_the_method():
    settings = small("lif", batch_size=7)
    eager, fused = (timed_run(settings, "lif-per-step", way, 40) for way in ("eager", "fused"))
    assert (eager.backend, fused.backend) == ("torch", "fused")
    assert eager == replace(fused, backend="torch")
    assert (fused.model, fused.loss_mode, fused.batch_size, fused.steps) == ("lif", "per-step", 7, None)
    assert (fused.hidden_layers, fused.hidden_size, fused.classes, fused.threads) == (3, 8, 20, 1)
    assert (fused.shift, fused.scale, fused.rate_threshold) == (0.0, 0.0, None)
    assert timed_run(settings, "rpsu", "eager", 40).steps == 40


@pytest.mark.parametrize("method", METHODS)
def test_a_step_trains_every_method_on_exactly_so_many_steps(method):
    run = timed_run(small(method, batch_size=3), method, "eager", 9)
    seen = []
    build = method_step.package_trainer

    def kept(backend, run, device):
        trainer = build(backend, run, device)
        seen.extend([trainer, trainer.network.run_state(0)])
        return replace(trainer, prepare=lambda batch: seen.append(batch) or trainer.prepare(batch))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(method_step, "package_trainer", kept)
        step = training_step(run, 9, CPU)
    step()
    trainer, before, batch = seen
    assert batch.shape == (1, 3, 9) and batch.lengths == (9,)
    after = trainer.network.run_state(0)
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_the_step_before_all_others_is_the_same_network_but_short():
    run = timed_run(small("rpsu"), "rpsu", "eager", 500)
    tiny = shorter(run, 2, 8)
    assert (tiny.batch_size, tiny.steps) == (2, 8)
    assert replace(tiny, batch_size=run.batch_size, steps=500) == run
    assert shorter(replace(run, steps=None), 2, 8).steps is None


def test_a_small_study_measures_every_point(tmp_path):
    settings, path = tmp_path / "settings.json", tmp_path / "timing" / "methods.csv"
    write_json(settings, to_mapping(small("lif", "rpsu")))
    done = run_python(ROOT, "spsn.cli", "time-methods", "--settings", str(settings), "--out", str(path))
    assert done.returncode == 0 and "T = 5, lif, fused: measured" in done.stdout, done.stdout
    text = path.read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(text))
    assert text[0] == COLUMNS
    points = [(row["steps"], row["method"], row["implementation"]) for row in rows]
    kinds = [("lif", "eager"), ("lif", "fused"), ("rpsu", "eager")]
    assert points == [(steps, *kind) for steps in ("3", "5") for kind in kinds]
    for row in rows:
        assert (row["status"], row["model"]) == ("measured", row["method"])
        low, middle, high = (float(row[f"seconds_{name}"]) for name in ("q1", "median", "q3"))
        assert 0 < low <= middle <= high
        assert int(row["peak_bytes"]) < 100 * MEGABYTE
        assert (row["batch_size"], row["repeats"], row["device"]) == ("2", "2", "cpu")
        assert (row["threads"], row["dtype"]) == ("1", "float32")


def test_the_peak_is_what_training_holds_and_not_the_process():
    settings, steps = small("non-spiking", hidden_size=128, batch_size=16), 1500
    found = asked(settings, "non-spiking", "eager", steps)
    layer = 4 * 16 * steps * 128  # bytes of one layer's activity
    assert found["status"] == MEASURED and len(found["seconds"]) == 1
    assert 3 * layer < found["peak_bytes"] < 20 * layer


def test_the_peak_holds_matrices_with_their_gradients_and_moments():
    steps, settings = 1200, small("rpsu", batch_size=1)
    run = timed_run(settings, "rpsu", "eager", steps)
    network = StackedNetwork(shorter(run, 1, 30), (0,))
    square = [p for name, p in network.named_parameters() if name.endswith("time_weight")]
    assert matrix_bytes(run, 30) == 4 * 4 * sum(p.numel() for p in square) > 0  # gradient and two moments
    assert matrix_bytes(timed_run(settings, "psu", "eager", steps), steps) == 0
    found = asked(settings, "rpsu", "eager", steps)
    assert found["peak_bytes"] > matrix_bytes(run, steps)


def measured(seconds, peak=None):
    return Point(MEASURED, (seconds,), peak)


def test_refusals_for_time():
    run = timed_run(small("lif"), "lif", "eager", 100)

    def why(earlier, steps):
        return refusal(earlier, run, steps, 10, 100.0, CPU)

    once = {100: measured(0.5)}
    assert why({}, 100) is None
    assert why(once, 1999) is None and why(once, 2001) == TOO_SLOW
    squared = {100: measured(0.5), 200: measured(2.0)}
    assert why(squared, 440) is None and why(squared, 460) == TOO_SLOW
    for status in (TOO_SLOW, OUT_OF_MEMORY):
        assert why(once | {300: Point(status)}, 301) == status


def test_refusals_for_memory(monkeypatch):
    settings = small("lif", "rpsu")
    lif, rpsu = (timed_run(settings, name, "eager", 100) for name in ("lif", "rpsu"))
    known = {100: measured(1e-6, MEGABYTE)}
    assert needed_bytes({}, lif, 300) == 0 and needed_bytes(known, lif, 300) == 3 * MEGABYTE
    matrices = 3 * 16 * 300**2
    assert needed_bytes({}, rpsu, 300) == matrices
    rest = MEGABYTE - 3 * 16 * 100**2
    assert needed_bytes(known, rpsu, 300) == pytest.approx(matrices + 3 * rest)
    twice = known | {200: measured(2e-6, 4 * MEGABYTE)}
    assert needed_bytes(twice, lif, 400) == pytest.approx(16 * MEGABYTE)
    assert needed_bytes({100: measured(1e-6)}, lif, 300) == 0  # where peaks cannot be told
    room = {"cpu": matrices, "cuda": None}
    monkeypatch.setattr(methods, "available_bytes", lambda device: room[device.type])
    gpu = torch.device("cuda", 0)
    for device in (CPU, gpu):
        assert refusal({}, rpsu, 300, 1, 100.0, device) is None
    assert refusal({}, rpsu, 301, 1, 100.0, CPU) == OUT_OF_MEMORY
    assert refusal({}, rpsu, 301, 1, 100.0, gpu) is None
    assert refusal({}, rpsu, 10**6, 1, 100.0, gpu) == OUT_OF_MEMORY  # it is drawn on the host
    assert refusal(known, lif, 10**6, 1, 1e9, gpu) is None


def test_no_process_is_started_for_what_is_refused(monkeypatch):
    monkeypatch.setattr(methods, "available_bytes", lambda device: 0)
    monkeypatch.setattr(methods, "ask", None)
    (row,) = method_study(small("rpsu", lengths=[9]), CPU)
    assert (row.status, row.seconds_median, row.seconds_q1, row.peak_bytes) == ("out_of_memory", *[None] * 3)


def test_what_is_too_slow_is_a_row_without_numbers():
    rows = method_study(small("psu", seconds_per_point=1e-9), CPU)
    assert [(row.steps, row.status) for row in rows] == [(3, "too_slow"), (5, "too_slow")]
    assert {(row.seconds_median, row.seconds_q3, row.peak_bytes) for row in rows} == {(None, None, None)}


def test_lengths_that_no_sample_can_have_are_refused():
    with pytest.raises(SpsnError, match="time steps, not 100000"):
        method_study(small("psu", lengths=[10**5]), CPU)


def fail(**_):
    raise RuntimeError("a kernel broke")


def be_killed(**_):
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(**_):
    time.sleep(60)


def in_its_place(monkeypatch, function):
    """A study of one point whose process calls `function`."""
    monkeypatch.setattr(methods, "MEASURE_STEP", f"{HERE}:{function.__name__}")
    return method_study(small("psu", lengths=[4], seconds_per_point=0.1), CPU)


def test_a_process_that_the_system_killed_ran_out_of_memory(monkeypatch, on_the_path):
    assert [row.status for row in in_its_place(monkeypatch, be_killed)] == ["out_of_memory"]


def test_a_process_that_takes_far_too_long_is_ended(monkeypatch, on_the_path):
    monkeypatch.setattr(methods, "STARTING", 1.0)
    assert [row.status for row in in_its_place(monkeypatch, sleep)] == ["too_slow"]


def test_any_other_failure_is_told(monkeypatch, on_the_path):
    with pytest.raises(SpsnError, match="psu .* T = 4 with backend torch: RuntimeError: a kernel broke"):
        in_its_place(monkeypatch, fail)


def want_more_than_there_is():
    method_step.available_bytes = lambda device: 200 * MEGABYTE
    before = torch.empty(150 * MEGABYTE, dtype=torch.uint8)
    limit_memory(CPU)
    del before
    kept = [torch.empty(50 * MEGABYTE, dtype=torch.uint8) for _ in range(3)]
    try:
        torch.empty(400 * MEGABYTE, dtype=torch.uint8)
    except RuntimeError as error:
        return {"refused": is_out_of_memory(error), "kept": len(kept)}
    return {"refused": False}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_a_process_takes_no_more_memory_than_there_was(on_the_path):
    found = ask(f"{HERE}:want_more_than_there_is", {}, 120)
    assert found["refused"] and found["kept"] == 3
