"""One layer against the number of time steps: the same in every implementation, every point accounted for."""

import inspect
from dataclasses import replace

import pytest
import torch

from spsn import threads
from spsn.settings import NetworkSettings, SequenceLengthTiming
from spsn.timing import sequence_length
from spsn.timing.layers import LAYERS, LayerKind, fused_neurons, layer_pass
from spsn.timing.measure import MEASURED, OUT_OF_MEMORY, TOO_SLOW, Call, Measurement
from spsn.timing.sequence_length import length_rows, measure_lengths, refusal

CPU = torch.device("cpu")
NETWORK = NetworkSettings(1, 16, 0.02, 0.02, 1.0, 0.004)
SMALL = SequenceLengthTiming((6, 3), 2, 2, 8, 5, 60.0)


def gradients(name, inputs, weight, bias):
    """Gradients of the copies that `layer_pass` makes of weight and bias."""
    seen = []

    def neuron(x):
        seen.append(x)
        x.retain_grad()
        return LAYERS[name].make(name[0], NETWORK)(x)

    layer_pass(neuron, inputs, weight, bias)(lambda: None)
    return seen[0].detach(), seen[0].grad


def test_every_implementation_of_lif_is_the_same_layer():
    spikes, weight, bias = sequence_length._layer(
        replace(SMALL, batch_size=4, inputs=128, neurons=32), 120, CPU
    )
    parameters = spikes.double(), 2 * weight.double(), bias.double()
    found = {name: gradients(name, *parameters) for name in LAYERS if name[0] == "lif" and name[1] != "fused"}
    x, gradient = found.pop(("lif", "torch"))
    assert gradient.abs().max() > 0
    fused_x, fused = gradients(("lif", "fused"), *(p.float() for p in parameters))
    torch.testing.assert_close(fused_x.double(), x, rtol=1e-5, atol=1e-6)
    assert (fused - gradient).norm() < 1e-3 * gradient.norm()
    for other_x, other in found.values():
        assert torch.equal(x, other_x)
        torch.testing.assert_close(other, gradient, rtol=1e-9, atol=1e-15)


def test_the_fused_spsn_draws_anew_at_the_rate_of_its_potential():
    make = LAYERS["spsn-sb", "fused"].make
    neuron, x = make("spsn-sb", NETWORK), torch.full((8, 500, 16), -0.05)
    first, second = neuron(x), neuron(x)
    potential = LAYERS["spsn-sb", "torch"].make("spsn-sb", NETWORK).integrator(x)
    assert set(first.unique().tolist()) == {0.0, 1.0} and not torch.equal(first, second)
    assert first.mean().item() == pytest.approx(torch.sigmoid(potential).mean().item(), abs=0.01)


@pytest.mark.parametrize("count", [1, 2])
def test_each_way_computes_on_its_own_kind_of_threads(monkeypatch, count):
    seen = set()

    def make(model, network):
        return lambda x: seen.add((torch.get_num_threads(), threads.kernel_threads())) or x

    names = [("lif", "mine"), ("lif", "fused")]
    for name in names:
        monkeypatch.setitem(LAYERS, name, LayerKind(make))
    before = torch.get_num_threads()
    try:
        threads.use("torch", count)
        rows = length_rows(measure_lengths(SMALL, NETWORK, CPU, names=names), SMALL, "cpu")
        assert seen == {(count, count), (1, count)}
        assert {row.threads for row in rows} == {count} and torch.get_num_threads() == count
    finally:
        threads.use("torch", before)


@pytest.mark.parametrize("triton", [True, False])
def test_a_gpu_has_fused_forms_where_triton_is(monkeypatch, triton):
    begun, names = [], [("lif", "torch"), ("lif", "fused")]
    monkeypatch.setattr("spsn.devices.find_spec", lambda name: object() if triton else None)
    monkeypatch.setattr(sequence_length, "_rehearse", lambda *given: None)
    monkeypatch.setattr(sequence_length, "_measure_length", lambda *given: begun.append(given[4]) or {})
    measure_lengths(SMALL, NETWORK, torch.device("cuda"), names=names)
    assert begun == [names[: 1 + triton]] * 2


def test_every_device_has_the_same_fused_neurons():
    pytest.importorskip("triton")
    modules = [fused_neurons(torch.device(kind)) for kind in ("cpu", "cuda")]
    assert modules[0] is not modules[1]
    for name in ("integrate", "bernoulli_spikes", "gumbel_spikes", "lif"):
        signatures = [inspect.signature(getattr(module, name)) for module in modules]
        assert signatures[0] == signatures[1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_small_study_on_a_gpu():
    """The fused layer is the CPU's, and every point is measured."""
    device = torch.device("cuda", 0)
    spikes, weight, bias = sequence_length._layer(
        replace(SMALL, batch_size=4, inputs=128, neurons=32), 120, torch.device("cpu")
    )
    for name in (("lif", "fused"), ("spsn-sb", "fused")):
        x, judge = gradients(name, spikes, 2 * weight, bias)
        there, ours = gradients(name, spikes.to(device), 2 * weight.to(device), bias.to(device))
        torch.testing.assert_close(there.cpu(), x, rtol=1e-5, atol=1e-5)
        assert (ours.cpu() - judge).norm() < 0.01 * judge.norm()
    rows = length_rows(measure_lengths(SMALL, NETWORK, device), SMALL, "cuda")
    assert len(rows) == 2 * len(LAYERS) * 2 and {row.status for row in rows} == {MEASURED}


def test_the_pass_runs_forward_then_backward_on_its_own_parameters():
    weight, bias = torch.ones(3, 2), torch.zeros(3)
    stages = []
    run = layer_pass(lambda x: stages.append("forward") or x, torch.ones(1, 4, 2), weight, bias)
    run(lambda: stages.append("lap"))
    run(lambda: stages.append("lap"))
    assert stages == ["forward", "lap"] * 2
    assert weight.grad is None and not weight.requires_grad


def test_input_is_sparse_and_a_longer_one_begins_with_a_shorter():
    timing = replace(SMALL, batch_size=8, inputs=100)
    short, long = (sequence_length._layer(timing, steps, CPU)[0] for steps in (50, 200))
    assert torch.equal(long[:, :50], short)
    assert set(long.unique().tolist()) == {0.0, 1.0}
    n = long.numel()
    assert abs(long.mean().item() - 0.05) < 4.5 * (0.05 * 0.95 / n) ** 0.5


def test_a_small_study_measures_every_point():
    found = measure_lengths(SMALL, NETWORK, CPU)
    assert list(found) == [6, 3] and all(list(of) == list(LAYERS) for of in found.values())
    rows = length_rows(found, SMALL, "cpu")
    assert len(rows) == 2 * len(LAYERS) * 2
    for row in rows:
        assert row.status == MEASURED and row.repeat in (0, 1)
        assert row.seconds == pytest.approx(row.forward_seconds + row.backward_seconds)
        assert row.seconds_unsynchronised is None
        assert (row.batch_size, row.inputs, row.neurons) == (2, 8, 5)
        assert (row.device, row.dtype, row.threads) == ("cpu", "float32", torch.get_num_threads())


def test_too_slow_is_one_row_without_numbers():
    timing = replace(SMALL, seconds_per_point=1e-12)
    rows = length_rows(measure_lengths(timing, NETWORK, CPU), timing, "cpu")
    assert len(rows) == 2 * len(LAYERS)
    for row in rows:
        assert (row.status, row.repeat, row.seconds, row.forward_seconds) == (TOO_SLOW, 0, None, None)


def test_an_absurd_length_is_out_of_memory():
    timing = replace(SMALL, lengths=(4, 10**15))
    found = measure_lengths(timing, NETWORK, CPU)
    assert {m.status for m in found[4].values()} == {MEASURED}
    assert {m.status for m in found[10**15].values()} == {OUT_OF_MEMORY}


def add_implementation(monkeypatch, neuron, order=1):
    """Register one more implementation of LIF, as anybody may; returns the lengths it is called with."""
    called = []

    def make(model, network):
        return lambda x: called.append(x.shape[1]) or neuron(x)

    monkeypatch.setitem(LAYERS, ("lif", "mine"), LayerKind(make, order))
    return called


def test_an_implementation_is_one_line(monkeypatch):
    called = add_implementation(monkeypatch, torch.sigmoid)
    found = measure_lengths(SMALL, NETWORK, CPU, names=[("lif", "mine")])
    assert found[3]["lif", "mine"].status == MEASURED and set(called) == {3, 6}


def test_after_memory_ran_out_nothing_longer_is_begun(monkeypatch):
    called = add_implementation(monkeypatch, lambda x: x.new_empty(10**15) if x.shape[1] > 3 else x)
    found = measure_lengths(replace(SMALL, lengths=(3, 6, 9)), NETWORK, CPU, names=[("lif", "mine")])
    assert [found[t]["lif", "mine"].status for t in (3, 6, 9)] == [MEASURED, OUT_OF_MEMORY, OUT_OF_MEMORY]
    assert called.count(6) == 1 and 9 not in called


def test_a_long_first_length_is_approached_from_shorter_ones(monkeypatch):
    called = add_implementation(monkeypatch, torch.relu)
    found = measure_lengths(replace(SMALL, lengths=(2000,)), NETWORK, CPU, names=[("lif", "mine")])
    assert list(found) == [2000]
    assert sorted(set(called)) == [100, 200, 2000]


def of_seconds(seconds, grown=None):
    return Measurement(MEASURED, (Call(seconds, (seconds,), None),), grown, grown)


def test_refusals():
    timing = replace(SMALL, repeats=10, seconds_per_point=100.0)
    history = {100: of_seconds(0.5), 200: of_seconds(1.0)}
    assert refusal({}, 100, 1, timing, CPU) is None
    assert refusal(history, 1999, 1, timing, CPU) is None
    assert refusal(history, 2001, 1, timing, CPU) == TOO_SLOW
    squared = {100: of_seconds(0.5), 200: of_seconds(2.0)}
    assert refusal(squared, 440, 2, timing, CPU) is None
    assert refusal(squared, 460, 2, timing, CPU) == TOO_SLOW
    assert refusal(history | {300: Measurement(TOO_SLOW)}, 2001, 1, timing, CPU) == TOO_SLOW
    assert refusal(history | {300: Measurement(OUT_OF_MEMORY)}, 301, 1, timing, CPU) == OUT_OF_MEMORY
    greedy = {100: of_seconds(1e-6, grown=10**11)}
    assert refusal(greedy, 10**6, 1, timing, CPU) == OUT_OF_MEMORY
    assert refusal({}, 10**15, 1, timing, CPU) == OUT_OF_MEMORY
