"""The fused stack against the plain form in float64: values and gradients of every parameter, on shapes that
end within, at and after a tile of 64 steps, a vector of 16 neurons, a group of 8 samples.
"""

import pytest
import torch
from fused import assert_close, batch_of, decided, fused_network, gradients, noise_of, spike_totals
from support import small_run

from spsn.network import StackedNetwork

MODES = ("mean", "max", "last")
KINDS = {
    "lif": {"model": "lif"},
    "lif-paper": {"model": "lif", "lif_reset": "paper"},
    "spsn-sb": {"model": "spsn-sb"},
    "spsn-gs": {"model": "spsn-gs"},
    "non-spiking": {"model": "non-spiking"},
}
# Steps of each run, samples, neurons of a hidden layer, hidden layers.
SHAPES = [
    ((1,), 1, 1, 1),
    ((2,), 9, 70, 3),
    ((7, 3, 5), 3, 16, 2),
    ((64,), 3, 70, 2),
    ((65, 64, 1), 3, 20, 3),
    ((65,), 1, 128, 3),
    ((1000,), 1, 16, 2),
    ((130, 1000, 7), 1, 20, 1),
    ((66, 2, 129), 9, 1, 3),
    ((7, 2, 1), 9, 128, 1),
    ((64, 63, 65), 1, 70, 2),
    ((192,), 9, 16, 1),
]
# A float32 potential is good to about 1e-6; LIF's slope 1 / (100 |d| + 1)^2 makes up to 200 times that of it.
TOLERANCE = {"lif": 1e-4, "lif-paper": 1e-4, "spsn-sb": 3e-5, "spsn-gs": 3e-5, "non-spiking": 3e-5}


def cases():
    for k, kind in enumerate(KINDS):
        for n, (lengths, samples, size, layers) in enumerate(SHAPES):
            settings = small_run(
                **KINDS[kind], hidden_size=size, hidden_layers=layers, classes=5, time_step=0.001,
                threshold=0.1 if max(lengths) > 2 else 0.02, loss_mode=MODES[(n + n // 3 + k) % 3],
                rate_threshold=(0.01, None)[(n + k) % 2],
            )  # fmt: skip
            augmented = (n // 2 + k) % 2 == 1
            name = f"{kind}-T{max(lengths)}-S{len(lengths)}-B{samples}-N{size}-L{layers}"
            name += f"-{settings.loss_mode}" + "-augmented" * augmented + "-penalty" * (n + k + 1 & 1)
            yield pytest.param(settings, lengths, samples, augmented, TOLERANCE[kind], id=name)


@pytest.mark.parametrize(("settings", "lengths", "samples", "augmented", "tolerance"), list(cases()))
def test_the_fused_stack_is_the_plain_one(settings, lengths, samples, augmented, tolerance):
    batch, seeds = batch_of(lengths, samples, augmented), (4, 0, 9)[: len(lengths)]
    assert batch.lengths == lengths
    fused, plain, noise = decided(settings, seeds, batch)
    output, grads = gradients(fused, batch, noise)
    judge, expected = gradients(plain, batch, noise)
    if settings.model != "non-spiking":
        for ours, theirs in zip(*(spike_totals(o, batch) for o in (output, judge)), strict=True):
            assert torch.equal(ours, theirs)  # else a decision was not clear
    assert_close(output.logits, judge.logits, 1e-5)
    for ours, theirs in zip(output.rates, judge.rates, strict=True):
        assert_close(ours, theirs, 1e-5)
    assert judge.rates[0].sum() > 0 or max(lengths) == 1
    for ours, theirs in zip(grads, expected, strict=True):
        assert_close(ours, theirs, tolerance)
    assert all((gradient != 0).any() for gradient in expected[-1:])


def test_several_runs_differ_in_length_and_seed():
    """What the cases above rely on: a stack's runs do not compute the same thing."""
    batch = batch_of((7, 3, 5), 3)
    logits = fused_network(small_run(classes=5), (4, 0, 9))(batch, noise_of((4, 0, 9))).logits
    assert len({tuple(run.flatten().tolist()) for run in logits}) == 3


def small_pass(**changes):
    settings = small_run(classes=5, **changes)
    network, batch = fused_network(settings, (4, 0)), batch_of((70, 20), 3)
    return network, batch, network(batch, noise_of((4, 0)))


def test_going_back_through_an_overwritten_pass_is_refused():
    network, batch, output = small_pass()
    network(batch, noise_of((4, 0), step=1))
    with pytest.raises(RuntimeError, match="overwritten"):
        output.logits.sum().backward()


def test_a_pass_without_gradients_overwrites_too():
    network, batch, output = small_pass()
    with torch.no_grad():
        network(batch, noise_of((4, 0)))
    with pytest.raises(RuntimeError, match="overwritten"):
        output.logits.sum().backward()


@pytest.mark.parametrize("mode", ["mean", "last"])
def test_the_same_way_back_twice_gives_the_same(mode):
    network, _, output = small_pass(loss_mode=mode)
    weigh = torch.linspace(-1, 1, output.logits.numel()).view_as(output.logits)
    loss = (output.logits * weigh).sum() + output.rates[0].sum()
    once = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
    again = torch.autograd.grad(loss, list(network.parameters()))
    assert all(torch.equal(*pair) for pair in zip(once, again, strict=True))
    assert all(gradient.any() for gradient in once)


def test_the_gradient_is_linear_in_what_comes_back():
    """dL/dlogits, and dL/drates of each layer alone, add up."""
    network, batch, output = small_pass(model="spsn-gs", loss_mode="last")
    parts = [output.logits.square().sum(), output.rates[0].square().sum(), output.rates[1].square().sum()]
    parameters = list(network.parameters())
    alone = [
        torch.autograd.grad(part, parameters, retain_graph=True, materialize_grads=True) for part in parts
    ]
    together = torch.autograd.grad(sum(parts), parameters)
    for whole, pieces in zip(together, zip(*alone, strict=True), strict=True):
        assert_close(whole, sum(piece.double() for piece in pieces), 1e-5)
    assert not alone[1][1].any() and alone[2][1].any()  # the rates below do not know the weights above


def test_a_pass_without_gradients_gives_the_same_and_no_graph():
    network, batch, output = small_pass(loss_mode="max")
    with torch.no_grad():
        silent = network(batch, noise_of((4, 0)))
    assert output.logits.requires_grad and not silent.logits.requires_grad
    assert torch.equal(output.logits, silent.logits)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    frozen = network(batch, noise_of((4, 0)))
    assert torch.equal(output.logits, frozen.logits) and not frozen.logits.requires_grad


def test_frozen_layers_get_no_gradient_and_change_none():
    network, _, output = small_pass()
    expected = torch.autograd.grad(output.logits.sum(), network.weights[0])[0]
    network, _, _ = small_pass()
    network.weights[1].requires_grad_(False)
    network(batch_of((70, 20), 3), noise_of((4, 0))).logits.sum().backward()
    assert network.weights[1].grad is None
    assert torch.equal(network.weights[0].grad, expected)


def test_a_second_derivative_is_refused_rather_than_wrong():
    network, _, output = small_pass()
    with pytest.raises(RuntimeError):
        (gradient,) = torch.autograd.grad(output.logits.square().sum(), network.weights[0], create_graph=True)
        torch.autograd.grad(gradient.sum(), network.weights[0])


@pytest.mark.parametrize("mode", ["mean", "last"])
@pytest.mark.parametrize("name", ["weights.0", "weights.1", "weights.2", "biases.0", "biases.1", "biases.2"])
def test_gradients_are_finite_differences_where_the_network_is_smooth(name, mode):
    """With half of the rectified units always on and half always off the logits are linear in the parameters
    of every single layer, so a difference over a long way is the derivative.
    """
    network, batch, _ = small_pass(model="non-spiking", loss_mode=mode)
    with torch.no_grad():
        for bias, size in zip(network.biases, (12.0, 40.0), strict=False):
            bias[:, ::2], bias[:, 1::2] = size, -size
    parameter = dict(network.named_parameters())[name]
    generator = torch.Generator().manual_seed(1)
    weigh = torch.rand(2, 3, 5, generator=generator)
    way = torch.rand(parameter.shape, generator=generator)
    loss = (network(batch).logits * weigh).sum()
    expected = (torch.autograd.grad(loss, parameter)[0].double() * way).sum()
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            parameter += sign * way / 8
            values.append((network(batch).logits.double() * weigh).sum())
            parameter -= sign * way / 8
    assert abs(expected) > 1e-2
    assert float((values[0] - values[1]) * 4) == pytest.approx(float(expected), rel=1e-3)


@pytest.mark.parametrize("model", KINDS)
def test_the_collapsed_readout_is_the_simulated_one(model):
    """The mean over time by the weighted sum of the spikes, and by the readout's potentials."""
    settings, batch = small_run(**KINDS[model], classes=5, threshold=0.1), batch_of((70, 20), 3)
    collapsed = fused_network(settings, (4, 0))
    simulated = StackedNetwork(collapsed.settings, (4, 0), collapse=False)
    simulated.load_state_dict(collapsed.state_dict())
    (output, grads), (other, others) = (
        gradients(network, batch, noise_of((4, 0))) for network in (collapsed, simulated)
    )
    assert_close(output.logits, other.logits.double(), 1e-5)
    for ours, theirs in zip(grads, others, strict=True):
        assert_close(ours, theirs.double(), 1e-5)
