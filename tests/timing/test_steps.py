"""What benchmarks measure: whole steps, the integrator, layer 1."""

import numpy as np
import pytest
import torch

from spsn.data.batches import Batches
from spsn.errors import SpsnError
from spsn.timing.filters import FILTERS, filter_subject, samples_for
from spsn.timing.first_layers import FIRST_LAYERS, _pass, first_layer_subject
from spsn.timing.pipe import named
from spsn.timing.random_store import even_store
from spsn.timing.steps import BACKENDS, MODELS, STEP, ready, step_subject, table_one

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("steps", [1, 2, 130])
def test_even_stores_have_exactly_t_steps_and_the_density_of_shd(steps):
    store = even_store(5, steps)
    assert store.length.tolist() == [steps] * 5
    assert np.diff(store.offsets).tolist() == [round(7.7 * steps)] * 5
    for i in range(5):
        own = slice(store.offsets[i], store.offsets[i + 1])
        cells = store.time_bin[own].astype(int) * 700 + store.channel[own]
        assert (np.diff(cells) >= 0).all() and store.channel[own].max() < 700
        assert store.time_bin[own].max() == steps - 1
    assert Batches(store, 5, (0,)).gather([[4, 3, 2, 1, 0]]).shape == (1, 5, steps)
    if steps > 100:
        assert store.channel.mean() == pytest.approx(349.5, abs=20)
        assert store.time_bin.mean() == pytest.approx((steps - 1) / 2, abs=5)


@pytest.mark.parametrize("steps", [0, 2**16 + 1])
def test_even_stores_have_at_least_one_step_and_no_more_than_can_be_numbered(steps):
    with pytest.raises(SpsnError, match=f"not {steps}"):
        even_store(1, steps)


def test_table_one():
    run = table_one("lif", even_store(2, 3), threads=1)
    assert (run.hidden_layers, run.hidden_size, run.tau_mem, run.tau_syn) == (3, 128, 0.02, 0.02)
    assert (run.threads, run.classes, run.time_step, run.rate_threshold) == (1, 20, 0.001, None)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_step_trains_every_time_it_is_called(model, backend):
    if backend == "unbind" and model != "lif":
        with pytest.raises(SpsnError, match=f"{model} has baseline, torch and fused"):
            step_subject(model, backend)
        return
    runs = 2 if backend in ("torch", "fused") else 1
    found = ready(model, backend, 3, 12, runs, CPU, {"hidden_size": 6, "threshold": 0.05, "threads": 1})
    parameters = list(found.network.parameters())
    assert parameters[0].numel() == runs * 700 * 6 and found.spikes.shape == (runs, 3, 12)
    for _ in range(2):
        before = [p.detach().clone() for p in parameters]
        found.step(lambda: None)
        for old, new in zip(before, parameters, strict=True):
            assert not torch.equal(old, new.detach()) and new.isfinite().all()


def test_the_step_that_a_contestant_names():
    settings = {"model": "spsn-sb", "backend": "baseline", "batch": 3, "time_steps": 12, "threads": 1}
    subject = named(STEP)(**settings, hidden_size=6)
    subject.call(lambda: None)
    assert subject.details() == {"dense_bytes": 4 * 3 * 12 * 700}


@pytest.mark.parametrize("backend", ["baseline", "unbind"])
def test_the_paper_s_way_trains_one_network(backend):
    with pytest.raises(SpsnError, match="not a stack of 3 runs; leave runs at 1"):
        step_subject("lif", backend, runs=3)


@pytest.mark.parametrize("form", FILTERS)
def test_filters_are_judged_by_the_recurrence_in_float64(form):
    subject = filter_subject(form, time_steps=300, batch=2, neurons=3, threads=1)
    subject.call(lambda: None)
    found = subject.details()
    assert 0 < found["error"] < 2e-5 and 0 < found["gradient_error"] < 2e-5 and found["batch"] == 2


def test_the_wrap_of_the_short_fft_shows():
    found = filter_subject("fft", time_steps=50, batch=4, neurons=8, threads=1).details()
    assert 0.05 < found["error"] < 0.2 and 0.05 < found["gradient_error"] < 0.2


def test_the_batch_falls_as_sequences_grow():
    assert [samples_for(t) for t in (1, 100, 1000, 10_000, 100_000)] == [64, 64, 64, 8, 1]


def test_forms_of_layer_1_agree():
    dense, *others = (
        _pass(make, 3, 20, 5, CPU)(lambda: None)
        for form, (_, make) in FIRST_LAYERS.items()
        if form != "densify"
    )
    assert others
    for other in others:
        for a, b in zip(dense, other, strict=True):
            torch.testing.assert_close(a, b.reshape(a.shape), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", FIRST_LAYERS)
def test_layer_1_can_be_called_again_and_again(form):
    subject, laps = first_layer_subject(form, batch=2, time_steps=9, neurons=4, threads=1), []
    subject.call(lambda: laps.append(1))
    subject.call(lambda: laps.append(1))
    assert len(laps) == (0 if form == "densify" else 2)


def test_fused_forms_on_a_gpu_without_triton_are_refused(monkeypatch):
    monkeypatch.setattr("spsn.devices.find_spec", lambda name: None)
    with pytest.raises(SpsnError, match="needs the package triton"):
        filter_subject("fused", time_steps=3, batch=1, device="cuda")
