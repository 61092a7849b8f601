"""Every method of the comparison in a stack: runs alone and together, resumption, gradients that are one."""

from dataclasses import replace

import pytest
import torch
from support import load_config
from test_network import CHOSEN, SEEDS, make_store, stack_batch

from spsn import grid
from spsn.data.batches import Batches
from spsn.evaluation import test as evaluate
from spsn.methods import CONTROLS, METHODS, TRAITS
from spsn.network import SpikeNoise, StackedNetwork
from spsn.neurons import MODELS
from spsn.noise import Purpose
from spsn.objective import objective
from spsn.settings import from_mapping
from spsn.stack import Stack, train_epoch

NAMES = tuple(METHODS)
# Noise that theorems leave: the last bits of float64, through a few layers and steps.
CLOSE = 1e-9


@pytest.fixture(scope="module")
def store():
    return make_store([10, 15, 12, 30, 25, 36, 40, 34])


@pytest.fixture(scope="module")
def run_of():
    """A small run of a method by its name."""
    paper = from_mapping(load_config("paper"))

    def make(name: str, **changes):
        known = {"classes": 5, "train_digest": "", "test_digest": "", "backend": "torch", "steps": 41}
        run = grid.method_run(paper, name, 0.001, **known)
        small = {
            "hidden_layers": 2,
            "hidden_size": 12,
            "threshold": 0.1,
            "tau_mem": 0.002,
            "batch_size": 3,
            "epochs": 2,
        }
        return replace(run, learning_rate=0.01, shift=0.0, scale=0.0, **{**small, **changes})

    return make


def noise(seeds=SEEDS) -> SpikeNoise:
    return SpikeNoise(seeds, Purpose.TRAINING_SPIKES, epoch=2, step=5)


def lively(network: StackedNetwork) -> StackedNetwork:
    """Biases that make all fire and matter for padding, the same for a run alone and in a stack; float64."""
    with torch.no_grad():
        for layer, bias in enumerate(network.biases):
            for run, seed in enumerate(network.seeds):
                bias[run] = torch.sin(torch.arange(bias.shape[1]) + layer + seed)
    return network.double()


def gradients(network: StackedNetwork, batch, seeds=SEEDS) -> tuple:
    output = network(batch, noise(seeds))
    losses = objective(output.logits, batch.labels, output.rates, None, output.potentials, batch.lengths)
    losses.sum().backward()
    return output, losses, {name: p.grad for name, p in network.named_parameters()}


def test_every_model_is_in_the_tables():
    assert set(TRAITS) == set(MODELS) == {method.model for method in METHODS.values()}
    assert all(name == method.name for name, method in METHODS.items())
    assert all({a, b} <= set(METHODS) for a, b in CONTROLS)
    assert all(TRAITS[model].fused != "network" for model, kind in MODELS.items() if kind.learns)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_does_not_know_its_stack(store, run_of, name):
    """Alone, a run gives what it gives beside longer ones: logits, rates, loss, every gradient."""
    run = run_of(name)
    stack = lively(StackedNetwork(run, SEEDS))
    together = gradients(stack, stack_batch(store))
    for r, seed in enumerate(SEEDS):
        alone = lively(StackedNetwork(run, (seed,)))
        output, losses, grads = gradients(alone, stack_batch(store, [r]), (seed,))
        torch.testing.assert_close(output.logits[0], together[0].logits[r], rtol=CLOSE, atol=CLOSE)
        torch.testing.assert_close(losses[0], together[1][r], rtol=CLOSE, atol=CLOSE)
        for ours, theirs in zip(output.rates, together[0].rates, strict=True):
            torch.testing.assert_close(ours[0], theirs[r], rtol=CLOSE, atol=CLOSE)
        for key, gradient in grads.items():
            torch.testing.assert_close(gradient[0], together[2][key][r], rtol=CLOSE, atol=CLOSE)
    assert all(float(rate.detach().sum()) > 0 for rate in together[0].rates)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(store, run_of, name):
    """No weight, bias or slope of any layer is left out: a zero gradient would freeze it for ever."""
    clipped = name in ("saf-f", "spike-representation")  # a rate at its greatest has no gradient
    run = run_of(name, threshold=1.0 if clipped else 0.1)
    _, _, grads = gradients(lively(StackedNetwork(run, SEEDS)), stack_batch(store))
    assert all(bool(g.abs().flatten(1).sum(dim=1).gt(0).all()) for g in grads.values())
    assert all(bool(g.isfinite().all()) for g in grads.values())


@pytest.mark.parametrize("name", NAMES)
def test_events_are_dense_input(store, run_of, name):
    network, batch = lively(StackedNetwork(run_of(name), SEEDS)), stack_batch(store)
    of_events = network(batch, noise())
    of_dense = network(batch.dense().double(), noise(), batch.lengths)
    torch.testing.assert_close(of_events.logits, of_dense.logits, rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize(("name", "other"), CONTROLS)
def test_what_is_one_gradient_by_theorem_is_one_in_the_network(store, run_of, name, other):
    """Threshold 1, where the last-step methods agree; the same initial weights and data."""
    ours, theirs = (
        gradients(lively(StackedNetwork(run_of(method, threshold=1.0), SEEDS)), stack_batch(store))
        for method in (name, other)
    )
    torch.testing.assert_close(ours[0].logits, theirs[0].logits, rtol=CLOSE, atol=CLOSE)
    for key, gradient in ours[2].items():
        torch.testing.assert_close(gradient, theirs[2][key], rtol=1e-8, atol=CLOSE)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", ["torch", "fused"])
def test_an_interrupted_run_ends_as_if_it_had_not_been(store, run_of, name, backend):
    """One epoch, a checkpoint, one more: the same bits as two at once; and the weights moved."""
    run = run_of(name, backend=backend)
    if backend == "fused" and TRAITS[run.model].fused == "none":
        pytest.skip("has no fused form")
    batches = Batches(store, run.batch_size, (0,))
    whole, first = (Stack.begin([run], torch.device("cpu")) for _ in range(2))
    for stack, epochs in ((whole, 2), (first, 1)):
        for _ in range(epochs):
            train_epoch(stack, batches)
    second = Stack.begin([run], torch.device("cpu"))
    before = second.network.run_state(0)
    second.restore([first.checkpoint(0)])
    train_epoch(second, batches)
    after, resumed = whole.network.run_state(0), second.network.run_state(0)
    assert after.keys() == resumed.keys()
    assert all(torch.equal(after[key], resumed[key]) for key in after)
    assert not torch.equal(after["0.weight"], before["0.weight"])
    passes = [evaluate(stack.network, store).predictions for stack in (whole, second)]
    assert (passes[0] == passes[1]).all()


@pytest.mark.parametrize("name", [n for n in NAMES if TRAITS[METHODS[n].model].fused != "none"])
def test_the_fused_form_is_the_plain_one(store, run_of, name):
    """Logits, loss and gradients of the first batch in float32; no spike lies on the edge here."""
    found = []
    for backend in ("torch", "fused"):
        network = StackedNetwork(run_of(name, backend=backend), SEEDS[:1])
        found.append(gradients(network, stack_batch(store, [1]), SEEDS[:1]))
    assert CHOSEN[1].size == found[0][0].logits.shape[1]
    torch.testing.assert_close(found[0][0].logits, found[1][0].logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-5)
    for key, gradient in found[0][2].items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(gradient, found[1][2][key], rtol=1e-3, atol=1e-3 * scale)


def on_device(run, batch, device, dtype) -> tuple:
    """Output, losses and gradients of the middle run, computed on a device and brought to the CPU."""
    network = lively(StackedNetwork(run, SEEDS[1:2])).to(device=device, dtype=dtype)
    spikes = SpikeNoise(SEEDS[1:2], Purpose.TRAINING_SPIKES, epoch=2, step=5, device=device)
    there = batch.to(device)
    output = network(there, spikes)
    found = output.logits, there.labels, output.rates, None, output.potentials, there.lengths
    losses = objective(*found)
    losses.sum().backward()
    gradients = {name: p.grad.cpu() for name, p in network.named_parameters()}
    return output.logits.detach().cpu(), losses.detach().cpu(), gradients


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_on_a_gpu_it_is_what_it_is_on_a_cpu(store, run_of, name):
    """The plain form in float64 there and here."""
    batch = stack_batch(store, [1])
    cpu, gpu = (on_device(run_of(name), batch, device, torch.float64) for device in ("cpu", "cuda"))
    torch.testing.assert_close(cpu[:2], gpu[:2], rtol=CLOSE, atol=CLOSE)
    for key, gradient in cpu[2].items():
        torch.testing.assert_close(gradient, gpu[2][key], rtol=1e-8, atol=CLOSE)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", [n for n in NAMES if TRAITS[METHODS[n].model].fused != "none"])
def test_on_a_gpu_the_fused_form_is_the_plain_one(store, run_of, name):
    batch = stack_batch(store, [1])
    plain, fused = (
        on_device(run_of(name, backend=backend), batch, "cuda", torch.float32)
        for backend in ("torch", "fused")
    )
    torch.testing.assert_close(plain[0], fused[0], rtol=1e-2, atol=1e-3)
    for key, gradient in plain[2].items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(gradient, fused[2][key], rtol=0, atol=2e-2 * scale)
