"""LIF with a soft reset: EXODUS and SLAYER against autograd, the implicit function theorem, and finite
differences of a smooth neuron.
"""

import math

import pytest
import torch
from torch import Tensor

from spsn.neurons.exodus import SoftResetLIF, errors, simulate, soft_reset_lif, unrolled
from spsn.neurons.integrator import recurrence
from spsn.neurons.surrogate import surrogate_slope

SURROGATES = ["exponential", "sigmoid", "superspike"]
DECAYS = [0.0, 0.5, 0.95, 1.0]
THRESHOLDS = [0.3, 1.0, 1.7]
METHODS = ["scan", "loop"]
PAIRS = [("exodus", "bptt"), ("slayer", "bptt-detached")]


def exponential_integral(distance: Tensor) -> Tensor:
    """Of the exponential surrogate at a threshold of 0.7."""
    tail = torch.exp(distance.abs() / -0.7)
    return torch.where(distance < 0, tail, 2 - tail)


INTEGRALS = {
    "exponential": exponential_integral,
    "sigmoid": lambda distance: torch.sigmoid(4 * distance),
    "superspike": lambda distance: distance / (100 * distance.abs() + 1),
}


def drive(*shape: int, seed: int = 0) -> Tensor:
    """A noisy input that makes the neurons fire now and then."""
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 0.2 + 0.8 * noise


def gradient_of(x: Tensor, *constants, **options) -> tuple[Tensor, Tensor]:
    """Spikes, and the gradient of their weighted sum."""
    leaf = x.clone().requires_grad_()
    s = soft_reset_lif(leaf, *constants, **options)
    (s * drive(*x.shape, seed=99)).sum().backward()
    return s.detach(), leaf.grad


def assert_near(ours: Tensor, judge: Tensor, share: float = 1e-12) -> None:
    """Within `share` of the greatest value."""
    torch.testing.assert_close(ours, judge, rtol=0, atol=share * float(judge.abs().max()))


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize(("closed", "autograd"), PAIRS)
def test_closed_forms_equal_autograd(closed, autograd, surrogate, threshold, decay):
    for steps in (1, 2, 33, 80):
        x = drive(2, 3, steps, 4)
        judged = gradient_of(x, decay, threshold, autograd, surrogate)
        for method in METHODS:
            s, dx = gradient_of(x, decay, threshold, closed, surrogate, method=method)
            assert torch.equal(s, judged[0])
            assert_near(dx, judged[1])
    assert 0.02 < s.mean() < 0.98


def test_the_reset_in_the_graph_matters():
    exodus, slayer = (gradient_of(drive(2, 80, 4), 0.95, 1.0, g)[1] for g in ("exodus", "slayer"))
    assert (exodus - slayer).abs().max() > 0.1 * exodus.abs().max()


def test_an_example_by_hand():
    """Two steps, a spike in the first: u = x0, then lam (x0 - 1) + x1."""
    lam, x0, x1, g0, g1 = 0.5, 1.5, 0.25, 2.0, 3.0
    x = torch.tensor([[x0], [x1]], dtype=torch.float64, requires_grad=True)
    s = soft_reset_lif(x, lam)
    (s * torch.tensor([[g0], [g1]])).sum().backward()
    slope0, slope1 = math.exp(-0.5), math.exp(-0.5)  # of potentials of 1.5 and 0.5
    assert s.flatten().tolist() == [1.0, 0.0]
    expected = [slope0 * g0 + lam * (1 - slope0) * slope1 * g1, slope1 * g1]
    assert x.grad.flatten().tolist() == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 64, 65])
def test_the_scan_is_the_loop(steps):
    source, slopes = drive(2, steps, 3), drive(2, steps, 3, seed=1).sigmoid()
    for decay in DECAYS:
        for reset in (0.0, 0.4, 1.7):
            assert_near(*(errors(source, slopes, decay, reset, method) for method in METHODS))


@pytest.mark.parametrize("decay", DECAYS)
def test_a_reset_of_nothing_makes_slayer_of_exodus(decay):
    """At the same threshold, in the closed form and in the graph."""
    source, slopes = drive(2, 40, 3), drive(2, 40, 3, seed=1).sigmoid()
    slayer = recurrence(source.flip(-2), decay, 0.0).flip(-2)
    assert_near(errors(source, slopes, decay, 0.0), slayer)
    assert_near(errors(source, slopes, decay, 1e-300, "loop"), slayer)
    gradients = []
    for detached in (False, True):
        x = drive(2, 40, 3).requires_grad_()
        s = unrolled(x, decay, 1.0, exponential_integral, reset=0.0, detached=detached)[1]
        gradients.append(torch.autograd.grad((s * source).sum(), x)[0])
    assert_near(*gradients)


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("gradient", ["bptt", "bptt-detached", "exodus", "slayer"])
def test_without_memory_a_gradient_stays_in_its_step(gradient, surrogate):
    x = drive(2, 30, 3)
    expected = surrogate_slope(x - 0.7, surrogate, 0.7) * drive(*x.shape, seed=99)
    assert_near(gradient_of(x, 0.0, 0.7, gradient, surrogate)[1], expected)


@pytest.mark.parametrize("amount", [0.0, 0.25, 0.6, 1.2])
def test_the_identity_without_leak(amount):
    """lam = 1 and a slope of 1/theta: ds[T] / dx[T-n] = (1/theta) (1 - c/theta)^n, c what a spike takes off.

    c = theta: the past has no gradient at all.
    """
    threshold, steps = 0.6, 12
    expected = torch.tensor(
        [(1 - amount / threshold) ** n / threshold for n in range(steps)][::-1], dtype=torch.float64
    )
    source = torch.zeros(steps, 1, dtype=torch.float64)
    source[-1] = 1 / threshold
    slopes = torch.full_like(source, 1 / threshold)
    for method in METHODS:
        closed = errors(source, slopes, 1.0, amount, method).squeeze()
        torch.testing.assert_close(closed, expected, rtol=1e-12, atol=1e-14)
    x = drive(steps, 1).requires_grad_()
    _, s = unrolled(x, 1.0, threshold, lambda distance: _Steady.apply(distance, threshold), reset=amount)
    s[-1].sum().backward()
    torch.testing.assert_close(x.grad.squeeze(), expected, rtol=1e-12, atol=1e-14)


class _Steady(torch.autograd.Function):
    """A spike whose derivative is 1/theta everywhere."""

    @staticmethod
    def forward(ctx, distance: Tensor, threshold: float) -> Tensor:
        ctx.threshold = threshold
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return gradient / ctx.threshold, None


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("surrogate", SURROGATES)
def test_the_implicit_function_theorem(surrogate, decay):
    """dx = K^T (1 + R D)^-T D g and, the reset's response left out, K^T D g, by dense matrices."""
    steps, threshold = 9, 0.7
    x, g = drive(steps, 1), drive(steps, 1, seed=99)
    lag = torch.arange(steps).unsqueeze(1) - torch.arange(steps)
    powers = torch.where(lag >= 0, torch.tensor(decay, dtype=torch.float64) ** lag.clamp(min=0), 0.0)
    response, reset = powers, threshold * powers * (lag > 0)
    potentials, spikes = simulate(x, decay, threshold)
    assert_near(response @ x - reset @ spikes, potentials)
    slopes = torch.diag(surrogate_slope(potentials - threshold, surrogate, threshold).squeeze())
    implicit = torch.eye(steps, dtype=torch.float64) + reset @ slopes
    exodus = response.T @ torch.linalg.solve(implicit.T, slopes @ g)
    assert_near(gradient_of(x, decay, threshold, "exodus", surrogate)[1], exodus)
    assert_near(gradient_of(x, decay, threshold, "slayer", surrogate)[1], response.T @ slopes @ g)


class _SmoothNeuron(torch.autograd.Function):
    """A smooth neuron forward, EXODUS's recurrence back."""

    @staticmethod
    def forward(ctx, x: Tensor, decay: float, surrogate: str, method: str) -> Tensor:
        potentials, outputs = unrolled(x, decay, 0.7, INTEGRALS[surrogate])
        ctx.save_for_backward(potentials)
        ctx.constants = decay, surrogate, method
        return outputs

    @staticmethod
    def backward(ctx, gradient: Tensor):
        decay, surrogate, method = ctx.constants
        slopes = surrogate_slope(ctx.saved_tensors[0] - 0.7, surrogate, 0.7)
        return errors(slopes * gradient, slopes, decay, 0.7, method), None, None, None


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("decay", [0.0, 0.8, 1.0])
@pytest.mark.parametrize("surrogate", SURROGATES)
def test_exodus_is_the_gradient_of_a_smooth_neuron(surrogate, decay, method):
    x = drive(2, 7, 2).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: _SmoothNeuron.apply(x, decay, surrogate, method), (x,), eps=1e-7, atol=1e-5
    )


@pytest.mark.parametrize("threshold", [0.5, 1.0, 2.0, 2.5, 3.0])
def test_exodus_contracts_up_to_a_slope_of_two(threshold):
    """Driven by its threshold a neuron fires at every step with theta sg = theta: factors 1 - theta.

    The slope of `sigmoid` is 1 at the threshold, whatever that is.
    """
    steps = 40
    x = torch.full((steps, 1), threshold, dtype=torch.float64, requires_grad=True)
    s = soft_reset_lif(x, 1.0, threshold, "exodus", "sigmoid")
    assert s.all()
    s[-1].sum().backward()
    expected = (1 - threshold) ** torch.arange(steps - 1, -1, -1).double()
    torch.testing.assert_close(x.grad.squeeze(), expected, rtol=1e-12, atol=0)
    assert (x.grad[0].abs() <= 1).item() == (0 <= threshold <= 2)


@pytest.mark.parametrize("decay", [0.5, 0.95, 1.0])
def test_slayer_adds_up_what_exodus_lets_fade(decay):
    """The same neuron with a threshold of 1: SLAYER's gradient grows to its bound 1 / (1 - lam), EXODUS's
    stays 1; an input that is not so particular stays below the bound.
    """
    steps = 200
    grown = sum(decay**n for n in range(steps))
    x = torch.ones(steps, 1, dtype=torch.float64)
    for gradient, first in (("slayer", grown), ("exodus", 1.0)):
        leaf = x.clone().requires_grad_()
        soft_reset_lif(leaf, decay, 1.0, gradient).sum().backward()
        assert leaf.grad[0].item() == pytest.approx(first, rel=1e-12)
    if decay < 1:
        assert grown == pytest.approx(1 / (1 - decay), rel=1e-3)
    leaf = drive(steps, 50).requires_grad_()
    soft_reset_lif(leaf, decay, 1.0, "slayer").sum().backward()
    assert 1 < leaf.grad.max() < grown


@pytest.mark.parametrize("gradient", ["bptt", "exodus"])
def test_at_the_threshold_it_fires(gradient):
    one = torch.tensor(1.0, dtype=torch.float64)
    x = torch.stack([one, one.nextafter(2 * one), one.nextafter(0 * one)]).view(3, 1, 1)
    assert soft_reset_lif(x, 0.5, 1.0, gradient).flatten().tolist() == [1.0, 1.0, 0.0]


def test_what_a_spike_takes_off():
    """Without leak nothing is lost: the input's sum is what was taken off and what is left."""
    x = drive(4, 300, 5).abs()
    u, s = simulate(x, 1.0, 0.7)
    left = u[:, -1] - 0.7 * s[:, -1]
    torch.testing.assert_close(x.sum(dim=1), 0.7 * s.sum(dim=1) + left, rtol=1e-12, atol=0)
    assert 0.5 < s.mean() < 1 and torch.equal(s, (u >= 0.7).double())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("gradient", ["exodus", "slayer"])
def test_extreme_potentials_stay_finite(gradient, surrogate, dtype):
    """Nothing comes from nothing, and what is not a number does not fire."""
    x = torch.tensor([-1e30, -1e4, 0.0, 1e4, 1e30, math.nan], dtype=dtype).repeat(60, 1).requires_grad_()
    s = soft_reset_lif(x, 0.9, 1.0, gradient, surrogate)
    s.sum().backward()
    assert s.dtype == dtype
    assert s.sum(dim=0).tolist() == [0, 0, 0, 60, 60, 0]
    assert x.grad[:, :5].isfinite().all() and x.grad[:, 5].isnan().all()
    assert (x.grad[:, 2] > 0).all()  # a silent neuron still learns


def test_the_layer_has_the_decay_of_its_time_constant():
    x = drive(2, 50, 3)
    for tau, lam in ((0.02, math.exp(-0.05)), (math.inf, 1.0), (0.0, 0.0)):
        neuron = SoftResetLIF(tau, 0.001, 0.5, "slayer", "sigmoid")
        ours, plain = x.clone().requires_grad_(), x.clone().requires_grad_()
        s, expected = neuron(ours), soft_reset_lif(plain, lam, 0.5, "slayer", "sigmoid")
        assert torch.equal(s, expected)
        s.sum().backward()
        expected.sum().backward()
        assert torch.equal(ours.grad, plain.grad)


@pytest.mark.parametrize("fused", [False, True])
def test_leading_dimensions_and_strides_do_not_matter(fused):
    x = drive(2, 3, 45, 4).float()
    s = soft_reset_lif(x, 0.9, fused=fused)
    assert s.any() and s.shape == x.shape
    assert torch.equal(soft_reset_lif(x[1, 2], 0.9, fused=fused), s[1, 2])
    assert torch.equal(
        soft_reset_lif(x.transpose(-1, -2).contiguous().transpose(-1, -2), 0.9, fused=fused), s
    )


@pytest.mark.parametrize("gradient", ["bptt", "exodus", "slayer"])
def test_the_input_is_left_alone(gradient):
    x = drive(40, 2, 3).movedim(0, -2)  # lies as the loop over time wants it
    before = x.clone()
    gradient_of(x, 0.9, 1.0, gradient)
    simulate(x, 0.9, 1.0)
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"gradient": "bp"}, "gradient"),
        ({"surrogate": "box"}, "surrogate"),
        ({"method": "fft"}, "method"),
        ({"threshold": 0.0}, "threshold"),
        ({"threshold": math.inf}, "threshold"),
        ({"gradient": "bptt", "fused": True}, "fused"),
    ],
)
def test_what_it_cannot_do_is_refused(options, what):
    with pytest.raises(ValueError, match=what):
        soft_reset_lif(torch.zeros(3, 2), 0.9, **options)
    if what in ("gradient", "surrogate", "threshold"):
        with pytest.raises(ValueError, match=what):
            SoftResetLIF(**options)
