"""SpikingJelly as the judge of Spike Representation and SAF-F; `make peers` runs this where SpikingJelly is.

DSRIFNode and DSRLIFNode are the neurons of Spike Representation (arXiv 2205.00459) as its authors have them:
with alpha = 1 (they fire at the threshold, not below), and of x / (1 - beta) in place of x, they are LIF with
a soft reset, beta the decay (IF: none), whose spikes are V / dt high (IF: V). With z the weighted rate of x,
in units of V, the weighted rate r of their spikes has the gradient

    IF     dr/dz = 1[0 <= z <= 1]         as here with a decay of 1
    LIF    dr/dz = k 1[0 < z < 1 / k]     k = q / (1 - exp(-q)), q = dt / tau

which is spread evenly over time. The latter takes q for 1 - beta: errors grow by k in each layer, and a z
between 1 / k and 1 counts as clipped, which none is here. As errors are spread evenly, weights learn from the
plain mean of their input, not from the weighted one as here; for biases that makes no difference.
"""

import math

import pytest
import torch
from peers_judge import WHY, assert_near
from soft_reset_judge import noisy
from torch import Tensor, nn

from spsn.neurons.accumulation_layers import FinalStepLayer

neuron = pytest.importorskip("spikingjelly.activation_based.neuron", reason=WHY)

THRESHOLDS = [0.75, 1.0]  # which float32, the type of their spikes, has
SIZES, STEPS = [12, 10, 8, 6], 40
STEP = 0.05  # dt of theirs; any
NEAR = 1e-5  # their spikes, and what comes back through them, are float32


def affine_maps(seed: int) -> list[nn.Linear]:
    torch.manual_seed(seed)
    made = [nn.Linear(a, b).double() for a, b in zip(SIZES[:-1], SIZES[1:], strict=True)]
    with torch.no_grad():
        for affine in made:
            affine.weight.mul_(3)
    return made


def inputs() -> Tensor:
    """Spikes (B, T, 12)."""
    return (noisy((4, STEPS, SIZES[0]), 3) > 0.6).double()


def loss_of(rate: Tensor) -> Tensor:
    """Linear, so that its gradient is the same for any rate (B, N)."""
    return (rate * noisy(rate.shape, 99).double()).sum()


def weighted_rate(s: Tensor, decay: float) -> Tensor:
    """sum_t decay^(T-1-t) s[t] / sum_t decay^(T-1-t): (B, T, N) to (B, N)."""
    weight = decay ** torch.arange(s.shape[1] - 1, -1, -1).double()
    return torch.einsum("t,btn->bn", weight / weight.sum(), s)


def gradients(loss: Tensor, maps: list[nn.Linear]) -> list[Tensor]:
    """Of weight and bias of each map in turn."""
    return list(torch.autograd.grad(loss, [p for affine in maps for p in affine.parameters()]))


def ours(maps: list[nn.Linear], decay: float, threshold: float, method: str):
    """Spikes (B, T, N) and z (B, N) of every layer, and the gradients."""
    tau = math.inf if decay == 1 else -1 / math.log(decay)
    s, fired, drives = inputs(), [], []
    rate = weighted_rate(s, decay)
    for affine in maps:
        made = FinalStepLayer(affine.in_features, affine.out_features, tau, 1.0, threshold, method)
        made.weight, made.bias = affine.weight, affine.bias
        drives.append(affine(rate).detach() / threshold)
        s, rate = made(s, rate)
        fired.append(s)
    return fired, drives, gradients(loss_of(rate), maps)


def theirs(maps: list[nn.Linear], node: nn.Module, gain: float, height: float):
    """Spikes (B, T, N) of every layer, and the gradients; the node fires alike for gain times its input."""
    s, fired = inputs().transpose(0, 1), []
    for affine in maps:
        s = node(gain * affine(s)).double() / height
        fired.append(s.detach().transpose(0, 1))
    return fired, gradients(loss_of(s.mean(dim=0)), maps)


def clear_maps(decay: float, threshold: float, most: float) -> list[nn.Linear]:
    """Maps with which every layer fires and units are clipped on both sides, no z between `most` and 1."""
    for seed in range(300):
        maps = affine_maps(seed)
        fired, drives, _ = ours(maps, decay, threshold, "saf-f")
        inside = [float(((z > 0) & (z < 1)).double().mean()) for z in drives]
        between = any(((z > 0.999 * most) & (z < 1.001)).any() for z in drives)
        above = any((z > 1).any() for z in drives)
        if above and not between and min(inside) > 0.1 and max(inside) < 0.9:
            assert all(0.02 < s.mean() < 0.98 for s in fired)
            return maps
    raise AssertionError("no clear maps found")


@pytest.mark.parametrize("method", ["spike-representation", "saf-f"])
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_without_leak_weights_and_biases_learn_the_same(threshold, method):
    """SAF-F's gradient lacks a 1 / V for each layer up to the output."""
    maps = clear_maps(1.0, threshold, 1.0)
    fired, _, found = ours(maps, 1.0, threshold, method)
    node = neuron.DSRIFNode(STEPS, threshold, alpha=1.0, v_threshold_training=False)
    judged, expected = theirs(maps, node, 1.0, threshold)
    assert all(torch.equal(s, judge) for s, judge in zip(fired, judged, strict=True))
    if method == "saf-f":
        layers = [len(maps) - n // 2 for n in range(2 * len(maps))]
        expected = [threshold**k * one for k, one in zip(layers, expected, strict=True)]
    assert_near(found, expected, NEAR)


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("q", [0.05, 0.2])
def test_with_a_leak_errors_are_the_same_but_for_its_expansion(q, threshold):
    decay, factor = math.exp(-q), q / -math.expm1(-q)
    maps = clear_maps(decay, threshold, 1 / factor)
    fired, _, found = ours(maps, decay, threshold, "spike-representation")
    options = {"tau": STEP / q, "delta_t": STEP, "alpha": 1.0, "v_threshold_training": False}
    node = neuron.DSRLIFNode(STEPS, threshold, **options)
    judged, expected = theirs(maps, node, 1 / (1 - decay), threshold / STEP)
    assert all(torch.equal(s, judge.round()) for s, judge in zip(fired, judged, strict=True))
    layers = range(len(maps), 0, -1)
    scaled = [factor**k * one for k, one in zip(layers, found[1::2], strict=True)]
    assert_near(scaled, expected[1::2], NEAR)
