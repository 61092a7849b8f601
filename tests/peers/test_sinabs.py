"""sinabs as the judge of LIF with a soft reset, and of its gradients; `make peers` runs this where sinabs is.

sinabs.layers.LIF with SingleSpike and MembraneSubtract is the neuron of `spsn.neurons.exodus`:

    v[t] = alpha (v[t-1] - theta s[t-1]) + z[t]     alpha = exp(-1 / tau), tau in time steps; IAF: alpha = 1
    s[t] = 1[v[t] >= theta]                         z = x, or (1 - alpha) x where norm_input is set

with SingleExponential(grad_width=1) as the exponential surrogate. Its reset stays in autograd's graph, so its
gradient is that of `bptt` and `exodus`; with spikes detached before they reset, that of `slayer`.

Its spikes are float32 whatever its input's type is, and so is what comes back through them. `OwnTypeSpike`
keeps the type, without which a gradient in float64 is as exact as float32.
"""

import math

import pytest
import torch
from peers_judge import WHY, assert_near, share
from soft_reset_judge import clear, noisy
from torch import Tensor, nn

from spsn.neurons.exodus import SoftResetLIF, soft_reset_lif

layers = pytest.importorskip("sinabs.layers", reason=WHY)
activation = pytest.importorskip("sinabs.activation", reason=WHY)

TAUS = [1.5, 20.0, math.inf]  # time steps
THRESHOLDS = [0.7, 1.0]
KEPT, DETACHED = ["bptt", "exodus"], ["bptt-detached", "slayer"]
SHAPE = (3, 60, 20)  # samples, time steps, neurons
MARGIN = 1e-5  # of any potential from its threshold: no rounding turns a spike


class OwnTypeSpike(activation.SingleSpike):
    """SingleSpike, with spikes of the potential's type."""

    @staticmethod
    def forward(ctx, potential, threshold, surrogate):
        return activation.SingleSpike.forward(ctx, potential, threshold, surrogate).to(potential.dtype)


class DetachedSubtract(activation.MembraneSubtract):
    """MembraneSubtract of spikes that are constants."""

    def __call__(self, spikes, state, threshold):
        return super().__call__(spikes.detach(), state, threshold)


def judge(tau: float, threshold: float, dtype: torch.dtype, **options) -> nn.Module:
    """sinabs' layer, with constants that are not trained; (B, T, N) to (B, T, N)."""
    chosen = {
        "spike_threshold": torch.tensor(threshold, dtype=dtype),
        "spike_fn": OwnTypeSpike,
        "surrogate_grad_fn": activation.SingleExponential(grad_width=1.0),
    } | options
    if tau == math.inf:
        return layers.IAF(**chosen)
    return layers.LIF(tau_mem=tau, **{"norm_input": False} | chosen).to(dtype).requires_grad_(False)


def ours(tau: float, threshold: float, gradient: str) -> SoftResetLIF:
    """The same neuron in seconds, steps of 1 ms."""
    return SoftResetLIF(tau / 1000, 0.001, threshold, gradient, "exponential")


def gradient_of(neuron: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes, and the gradient of their weighted sum."""
    leaf = x.clone().requires_grad_()
    s = neuron(leaf)
    (s * noisy(x.shape, 99).to(x.dtype)).sum().backward()
    return s.detach(), leaf.grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spike", [activation.SingleSpike, OwnTypeSpike])
@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("tau", TAUS)
def test_spikes_are_the_same(tau, threshold, spike, dtype):
    x = clear("exodus", SHAPE, math.exp(-1 / tau), threshold, MARGIN).to(dtype)
    s = ours(tau, threshold, "exodus")(x)
    assert 0.05 < s.mean() < 0.95
    assert torch.equal(s, judge(tau, threshold, dtype, spike_fn=spike)(x).to(dtype))


@pytest.mark.parametrize("tau", TAUS[:2])
def test_a_normed_input_is_this_input_times_one_minus_alpha(tau):
    alpha = math.exp(-1 / tau)
    x = clear("exodus", SHAPE, alpha, 1.0, MARGIN).double()
    s, gradient = gradient_of(ours(tau, 1.0, "exodus"), x)
    theirs, normed = gradient_of(judge(tau, 1.0, x.dtype, norm_input=True), x / (1 - alpha))
    assert torch.equal(s, theirs)
    assert share(gradient * (1 - alpha), normed) < 1e-12


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("tau", TAUS)
def test_its_autograd_is_bptt_and_exodus(tau, threshold):
    """Neither SLAYER's gradient nor one of its detached reset."""
    x = clear("exodus", SHAPE, math.exp(-1 / tau), threshold, MARGIN).double()
    _, expected = gradient_of(judge(tau, threshold, x.dtype), x)
    for gradient in KEPT:
        assert share(gradient_of(ours(tau, threshold, gradient), x)[1], expected) < 1e-12
    for gradient in DETACHED:
        assert share(gradient_of(ours(tau, threshold, gradient), x)[1], expected) > 0.05


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("tau", TAUS)
def test_with_its_reset_detached_it_is_slayer(tau, threshold):
    x = clear("exodus", SHAPE, math.exp(-1 / tau), threshold, MARGIN).double()
    _, expected = gradient_of(judge(tau, threshold, x.dtype, reset_fn=DetachedSubtract()), x)
    for gradient in DETACHED:
        assert share(gradient_of(ours(tau, threshold, gradient), x)[1], expected) < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tau", TAUS)
def test_as_it_stands_it_is_exact_to_float32(tau, dtype):
    x = clear("exodus", SHAPE, math.exp(-1 / tau), 0.7, MARGIN).to(dtype)
    _, expected = gradient_of(judge(tau, 0.7, dtype, spike_fn=activation.SingleSpike), x)
    for gradient in KEPT:
        assert share(gradient_of(ours(tau, 0.7, gradient), x)[1], expected) < 1e-5


@pytest.mark.parametrize(("gradient", "reset"), [("exodus", "kept"), ("slayer", "detached")])
def test_a_network_s_weights_learn_the_same(gradient, reset):
    """Three layers of neurons and a linear readout, cross entropy of its mean over time."""
    sizes, resets = [12, 10, 8, 8], {"kept": activation.MembraneSubtract(), "detached": DetachedSubtract()}
    torch.manual_seed(0)
    affine = [nn.Linear(a, b).double() for a, b in zip(sizes, [*sizes[1:], 4], strict=True)]
    with torch.no_grad():
        for layer in affine[:-1]:
            layer.weight.mul_(3)
    x, labels = (noisy((4, 50, 12)) > 0.9).double(), torch.tensor([0, 1, 2, 3])

    def gradients(make) -> tuple[list[Tensor], list[Tensor]]:
        signal, spikes = x, []
        for layer in affine[:-1]:
            spikes.append(signal := make()(layer(signal)))
        loss = nn.functional.cross_entropy(affine[-1](signal).mean(dim=1), labels)
        return spikes, torch.autograd.grad(loss, [p for layer in affine for p in layer.parameters()])

    theirs, expected = gradients(lambda: judge(20.0, 1.0, x.dtype, reset_fn=resets[reset]))
    fired, found = gradients(lambda: ours(20.0, 1.0, gradient))
    for s, judged in zip(fired, theirs, strict=True):
        assert 0.02 < s.mean() < 0.9 and torch.equal(s, judged)
    assert_near(found, expected)


def test_at_the_threshold_both_fire():
    one = torch.tensor(1.0, dtype=torch.float64)
    x = torch.stack([one, one.nextafter(2 * one), one.nextafter(0 * one)]).view(3, 1, 1)
    for spikes in (judge(1.5, 1.0, x.dtype)(x), soft_reset_lif(x, 0.5, 1.0)):
        assert spikes.flatten().tolist() == [1.0, 1.0, 0.0]


def test_its_default_neuron_fires_several_times_in_a_step():
    x = torch.tensor([0.9, 1.9, 2.5, 0.0], dtype=torch.float64).view(1, 4, 1)
    several = judge(math.inf, 1.0, x.dtype, spike_fn=activation.MultiSpike)
    single = judge(math.inf, 1.0, x.dtype, spike_fn=activation.MaxSpike(1))
    assert several(x).flatten().tolist() == [0.0, 2.0, 3.0, 0.0]
    assert single(x).flatten().tolist() == soft_reset_lif(x, 1.0).flatten().tolist() == [0.0, 1.0, 1.0, 1.0]
