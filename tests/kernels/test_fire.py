"""How neurons fire: the laws of the draws, the slopes, the threshold, and potentials far out."""

import math

import pytest
import torch
from torch import Tensor

from spsn.kernels.cpu.engine import NoiseAddress
from spsn.kernels.cpu.neurons import bernoulli_spikes, gumbel_spikes, lif
from spsn.neurons.integrator import recurrence
from spsn.neurons.lif import autograd_lif
from spsn.neurons.spsn import bernoulli_spikes as plain_bernoulli
from spsn.neurons.spsn import gumbel_spikes as plain_gumbel
from spsn.noise import Purpose, uniforms

POTENTIALS = torch.tensor([-3.0, -1.0, -0.3, 0.0, 0.7, 2.0, 4.0])
EXTREMES = [100.0, 1e4, 1e30, -100.0, -1e4, -1e30]
ADDRESS = NoiseAddress((3,), Purpose.ILLUSTRATION)
FIRE = {
    "spsn-sb": lambda x, alpha=0.0, beta=0.0: bernoulli_spikes(x, alpha, beta, ADDRESS),
    "spsn-gs": lambda x, alpha=0.0, beta=0.0: gumbel_spikes(x, alpha, beta, ADDRESS),
    "lif": lambda x, alpha=0.0, beta=0.0: lif(x, alpha, beta),
    "lif-paper": lambda x, alpha=0.0, beta=0.0: lif(x, alpha, beta, reset="paper"),
}
STOCHASTIC = ["spsn-sb", "spsn-gs"]
LIFS = ["lif", "lif-paper"]


def plainly(kind: str, x: Tensor, alpha: float, beta: float) -> Tensor:
    """The plain form by its recurrence, with the same noise."""
    if kind in LIFS:
        return autograd_lif(x, alpha, beta, 1.0, "paper" if kind == "lif-paper" else "code")[0]
    r = torch.from_numpy(uniforms(3, Purpose.ILLUSTRATION, (1, *x.shape))[0]).to(x.dtype)
    fire = plain_bernoulli if kind == "spsn-sb" else plain_gumbel
    return fire(recurrence(x, alpha, beta), r)


def with_gradient(fire, x: Tensor, *decays: float) -> tuple[Tensor, Tensor]:
    leaf = x.clone().requires_grad_()
    s = fire(leaf, *decays)
    s.sum().backward()
    return s.detach(), leaf.grad


def steady(kind: str) -> tuple[Tensor, Tensor]:
    """Spikes and slopes (64, 1000, 7) at constant potentials: without memory u = x."""
    return with_gradient(FIRE[kind], POTENTIALS.expand(64, 1000, 7).contiguous())


@pytest.mark.parametrize(("kind", "slope"), [("spsn-sb", 1), ("spsn-gs", 2)])
def test_firing_rates_at_constant_potentials(kind, slope):
    s, _ = steady(kind)
    assert set(s.unique().tolist()) == {0.0, 1.0}
    probability = torch.sigmoid(slope * POTENTIALS.double())
    deviation = (probability * (1 - probability) / 64_000).sqrt()
    assert ((s.double().mean(dim=(0, 1)) - probability).abs() < 5 * deviation).all()


@pytest.mark.parametrize("kind", STOCHASTIC)
def test_spikes_are_independent_over_time_samples_and_neurons(kind):
    """At rest products of neighbours are 1 in a quarter of the cases."""
    s, _ = with_gradient(FIRE[kind], torch.zeros(32, 1000, 32))
    for pair in (s[:, 1:] * s[:, :-1], s[1:] * s[:-1], s[..., 1:] * s[..., :-1], s[:, 4:] * s[:, :-4]):
        assert abs(float(pair.double().mean()) - 0.25) < 5 * math.sqrt(0.25 * 0.75 / pair.numel()) * 1.3


def test_the_bernoulli_slope_is_rho_squared_times_one_minus_rho():
    _, slope = steady("spsn-sb")
    rho = torch.sigmoid(POTENTIALS.double())
    torch.testing.assert_close(slope[5, 70].double(), rho**2 * (1 - rho), rtol=2e-6, atol=0)
    assert (slope == slope[0, 0]).all()


def test_the_mean_gumbel_slope_is_the_closed_form():
    """E[2 y (1-y)] = 2 f(2u), f(a) = e^a ((a-2) e^a + a + 2) / (e^a - 1)^3, f(0) = 1/6."""
    _, slope = steady("spsn-gs")
    a = 2 * POTENTIALS.double()
    f = a.exp() * ((a - 2) * a.exp() + a + 2) / torch.expm1(a) ** 3
    f[POTENTIALS == 0] = 1 / 6
    error = slope.double().std(dim=(0, 1)) / 64_000**0.5
    assert ((slope.double().mean(dim=(0, 1)) - 2 * f).abs() < 5 * error).all()


@pytest.mark.parametrize("kind", LIFS)
def test_the_threshold_is_strict(kind):
    one = torch.tensor(1.0)
    x = torch.stack([one, one.nextafter(2 * one), one.nextafter(0 * one)]).view(1, 3)
    assert FIRE[kind](x).tolist() == [[0.0, 1.0, 0.0]]


@pytest.mark.parametrize("distance", [0.0, 1e-3, -1e-3, 0.25, -1.0, 30.0])
def test_lifs_slope_is_superspike(distance):
    s, slope = with_gradient(FIRE["lif"], torch.tensor([[1.0 + distance]]))
    exact = float(torch.tensor(1.0 + distance)) - 1.0
    assert slope.item() == pytest.approx((100 * abs(exact) + 1) ** -2, rel=1e-5)
    assert s.item() == (distance > 0)


@pytest.mark.parametrize("kind", LIFS)
def test_without_a_threshold_lif_never_fires(kind):
    x = 100 * torch.randn(90, 20, generator=torch.Generator().manual_seed(0))
    reset = "paper" if kind == "lif-paper" else "code"
    s, gradient = with_gradient(lambda x: lif(x, 0.9, 0.95, math.inf, reset), x)
    assert not s.any() and not gradient.any()


def test_the_first_step_after_a_spike_is_lost_by_the_papers_reset_alone():
    """A drive that is far above the threshold at every step, on both sides of a tile's end."""
    x = torch.full((130, 3), 50.0)
    assert FIRE["lif"](x).all()
    alternating = torch.arange(130) % 2 == 0
    assert torch.equal(FIRE["lif-paper"](x), alternating.float()[:, None].expand(130, 3))
    _, gradient = with_gradient(FIRE["lif-paper"], x)
    assert gradient[alternating].all() and not gradient[~alternating].any()


@pytest.mark.parametrize("decays", [(0.0, 0.0), (0.9, 0.95)])
@pytest.mark.parametrize("kind", FIRE)
def test_extreme_potentials_stay_finite(kind, decays):
    x = torch.tensor(EXTREMES).expand(130, 6).contiguous()
    s, gradient = with_gradient(FIRE[kind], x, *decays)
    expected, slopes = with_gradient(lambda x: plainly(kind, x, *decays), x.double())
    assert torch.equal(s.double(), expected)
    assert not s[:, 3:].any() and s[4:, :3].any(dim=0).all()
    torch.testing.assert_close(gradient.double(), slopes, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("decays", [(0.0, 0.0), (0.9, 0.95)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", FIRE)
def test_what_is_not_finite_shows_in_the_gradient_just_where_the_plain_form_shows_it(kind, value, decays):
    """One bad number in the middle of time, in one neuron; its neighbours do not notice."""
    x = torch.randn(100, 3, generator=torch.Generator().manual_seed(4))
    clean = with_gradient(FIRE[kind], x, *decays)
    x[70, 1] = value
    s, gradient = with_gradient(FIRE[kind], x, *decays)
    judge = x.double().requires_grad_()
    plainly(kind, judge, *decays).sum().backward()
    for neuron in (0, 2):
        assert torch.equal(s[:, neuron], clean[0][:, neuron])
        assert torch.equal(gradient[:, neuron], clean[1][:, neuron])
    finite, expected = gradient.isfinite(), judge.grad.isfinite()
    if kind in LIFS and value == math.inf:
        assert (finite | ~expected).all()  # at the reset the plain form multiplies infinity with 0
    else:
        assert torch.equal(finite, expected)
    assert torch.equal(s[:70], clean[0][:70])
