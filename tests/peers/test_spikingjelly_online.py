"""SpikingJelly as the judge of OTTT, SLTT and SAF-E; `make peers` runs this where SpikingJelly is.

OTTTLIFNode and SLTTLIFNode are LIF with a soft reset, where asked for, and lam = 1 - 1 / tau, with the past
potential, the reset included, as a constant. The former passes its trace on with its spikes, with which
OTTTSequential finds the gradient of the next weights. Its first module learns from what it is given: an input
without a trace, or [input, trace]. A bias has no trace: db = sum_t delta[t].

Theirs runs a step at a time, with a loss and a backward pass at each; ours all steps at once. The surrogate
is their default, Sigmoid(4).
"""

import math
from dataclasses import dataclass

import pytest
import torch
from peers_judge import WHY, assert_near, share
from soft_reset_judge import noisy
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from spsn.neurons.accumulation import spikes_of, trace, traced_affine
from spsn.neurons.accumulation_layers import OTTTLayer, SAFLayer

neuron = pytest.importorskip("spikingjelly.activation_based.neuron", reason=WHY)
layer = pytest.importorskip("spikingjelly.activation_based.layer", reason=WHY)

DECAYS = [0.5, math.exp(-0.2), math.exp(-0.05)]
THRESHOLDS = [0.7, 1.0]
SIZES, STEPS = [12, 10, 8, 5], 40  # input, two hidden layers, classes


def problem() -> tuple[Tensor, Tensor]:
    """Input spikes (B, T, 12) and labels (B,)."""
    return (noisy((4, STEPS, SIZES[0]), 3) > 0.9).double(), torch.tensor([0, 1, 2, 4])


def affine_maps() -> list[nn.Linear]:
    """Weights and biases that make neurons fire now and then."""
    torch.manual_seed(0)
    made = [nn.Linear(a, b).double() for a, b in zip(SIZES[:-1], SIZES[1:], strict=True)]
    with torch.no_grad():
        for affine in made[:-1]:
            affine.weight.mul_(5)
    return made


@dataclass(frozen=True)
class Outcome:
    """Spikes of the hidden layers and logits, all (B, T, ...), and the gradients of all parameters."""

    spikes: list[Tensor]
    logits: Tensor
    gradients: list[Tensor]


def online(net: nn.Module, inputs: list, labels: Tensor) -> Outcome:
    """What SpikingJelly finds, a loss and a backward pass at every step."""
    spikes: dict[nn.Module, list[Tensor]] = {
        module: [] for module in net if not isinstance(module, nn.Linear)
    }

    def keep(module, _, out):
        spikes[module].append(out[0] if isinstance(out, list) else out)

    for module in spikes:
        module.register_forward_hook(keep)
    logits = []
    for given in inputs:
        out = net(given)
        (cross_entropy(out, labels) / len(inputs)).backward()
        logits.append(out)
    fired = [torch.stack(steps, dim=1).detach() for steps in spikes.values()]
    return Outcome(fired, torch.stack(logits, dim=1).detach(), [p.grad for p in net.parameters()])


def judge(maps: list[nn.Linear], node: type, container: type, decay: float, threshold: float) -> nn.Module:
    """A network of SpikingJelly's on these maps, for one time step at a time."""
    constants = {"decay_input": False, "v_threshold": threshold, "v_reset": None}
    modules: list[nn.Module] = [maps[0]]
    for affine in maps[1:]:
        modules += [node(1 / (1 - decay), **constants), affine]
    return container(*modules).train()


def own(kind: type, affine: nn.Linear, decay: float, threshold: float, **options) -> nn.Module:
    """A layer of ours with the weights and biases of this map; its time is counted in steps."""
    tau = -1 / math.log(decay)
    made = kind(affine.in_features, affine.out_features, tau, 1.0, threshold, "sigmoid", **options)
    made.weight, made.bias = affine.weight, affine.bias
    return made


def ours(
    maps: list[nn.Linear], x: Tensor, labels: Tensor, decay: float, threshold: float, traced: list[bool]
) -> Outcome:
    """The same network, all time steps at once."""
    spikes, s = [], x
    for affine, has_trace in zip(maps[:-1], traced[:-1], strict=True):
        s = own(OTTTLayer, affine, decay, threshold, traced=has_trace)(s)
        spikes.append(s)
    return learned(maps, spikes, labels, decay if traced[-1] else 0.0)


def learned(maps: list[nn.Linear], spikes: list[Tensor], labels: Tensor, decay: float) -> Outcome:
    """Of the mean cross entropy over the steps, with a linear readout of the last spikes."""
    weight, bias = maps[-1].weight, maps[-1].bias
    logits = traced_affine(spikes[-1].unsqueeze(0), weight.unsqueeze(0), bias.unsqueeze(0), decay).squeeze(0)
    loss = cross_entropy(logits.flatten(0, 1), labels.repeat_interleave(logits.shape[1]))
    gradients = torch.autograd.grad(loss, [p for affine in maps for p in affine.parameters()])
    return Outcome([s.detach() for s in spikes], logits.detach(), list(gradients))


def assert_computes(found: Outcome, expected: Outcome) -> None:
    """The same spikes and logits."""
    for s, judged in zip(found.spikes, expected.spikes, strict=True):
        assert 0.02 < s.mean() < 0.9 and torch.equal(s, judged)
    assert_near([found.logits], [expected.logits])


def traced_steps(x: Tensor, decay: float) -> list[list[Tensor]]:
    """[input, trace] of every step, the trace by SpikingJelly's own recurrence."""
    steps, kept = [], torch.zeros_like(x[:, 0])
    for now in x.unbind(1):
        kept = neuron.OTTTLIFNode.track_trace(now, kept, 1 / (1 - decay))
        steps.append([now, kept])
    return steps


@pytest.mark.parametrize("traced_input", [False, True])
@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("decay", DECAYS)
def test_ottt_s_weights_learn_the_same(decay, threshold, traced_input):
    """Without the first layer's trace as the authors' program has it; weights, not biases."""
    maps, (x, labels) = affine_maps(), problem()
    net = judge(maps, neuron.OTTTLIFNode, layer.OTTTSequential, decay, threshold)
    expected = online(net, traced_steps(x, decay) if traced_input else x.unbind(1), labels)
    found = ours(maps, x, labels, decay, threshold, [traced_input, True, True])
    assert_computes(found, expected)
    assert_near(found.gradients[::2], expected.gradients[::2])


@pytest.mark.parametrize("decay", DECAYS)
def test_its_biases_are_those_without_a_trace(decay):
    """db = sum_t delta[t], where ours is the weight of a unit that fires at every step."""
    maps, (x, labels) = affine_maps(), problem()
    net = judge(maps, neuron.OTTTLIFNode, layer.OTTTSequential, decay, 1.0)
    expected = online(net, x.unbind(1), labels).gradients[1::2]
    without = ours(maps, x, labels, decay, 1.0, [False, False, False]).gradients[1::2]
    with_trace = ours(maps, x, labels, decay, 1.0, [True, True, True]).gradients[1::2]
    assert_near(without, expected)
    assert all(share(one, judged) > 0.1 for one, judged in zip(with_trace, expected, strict=True))


@pytest.mark.parametrize("decay", DECAYS)
def test_a_bias_is_the_weight_of_a_unit_that_always_fires(decay):
    """The first layer's bias as a column of weights there, with a trace as any input has."""
    maps, (x, labels) = affine_maps(), problem()
    wider = nn.Linear(SIZES[0] + 1, SIZES[1], bias=False).double()
    with torch.no_grad():
        wider.weight.copy_(torch.cat([maps[0].weight, maps[0].bias[:, None]], dim=1))
    net = judge([wider, *maps[1:]], neuron.OTTTLIFNode, layer.OTTTSequential, decay, 1.0)
    expected = online(net, traced_steps(pad(x, (0, 1), value=1.0), decay), labels).gradients[0]
    weight, bias, *_ = ours(maps, x, labels, decay, 1.0, [True, True, True]).gradients
    assert_near([weight, bias], [expected[:, :-1], expected[:, -1]])


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("decay", DECAYS)
def test_sltt_is_the_same_without_traces(decay, threshold):
    maps, (x, labels) = affine_maps(), problem()
    net = judge(maps, neuron.SLTTLIFNode, nn.Sequential, decay, threshold)
    expected = online(net, x.unbind(1), labels)
    found = ours(maps, x, labels, decay, threshold, [False, False, False])
    assert_computes(found, expected)
    assert_near(found.gradients, expected.gradients)


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("decay", DECAYS)
def test_saf_e_s_weights_learn_as_ottt_s_there(decay, threshold):
    maps, (x, labels) = affine_maps(), problem()
    net = judge(maps, neuron.OTTTLIFNode, layer.OTTTSequential, decay, threshold)
    expected = online(net, traced_steps(x, decay), labels)
    a, spikes = trace(x, decay), []
    for affine in maps[:-1]:
        a = own(SAFLayer, affine, decay, threshold)(a)
        spikes.append(spikes_of(a, decay))
    found = learned(maps, spikes, labels, decay)
    assert_computes(found, expected)
    assert_near(found.gradients[::2], expected.gradients[::2])
