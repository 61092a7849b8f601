"""SPSN: the laws of the draws, the gradients of the estimators, no overflow."""

import numpy as np
import pytest
import torch
from torch import nn

from spsn.neurons.integrator import integrate
from spsn.neurons.spsn import SpsnGS, SpsnSB, bernoulli_spikes, gumbel_spikes
from spsn.noise import Purpose, uniforms

POTENTIALS = torch.tensor([-3.0, -1.0, -0.3, 0.0, 0.7, 2.0], dtype=torch.float64)
EXTREMES = [-1e4, -100.0, -50.0, 50.0, 100.0, 1e4]
DRAWS = 200_000


def draws(*shape: int, epoch: int = 0) -> torch.Tensor:
    """Uniforms, float64; the same at every call."""
    count = int(np.prod(shape))
    drawn = uniforms(0, Purpose.ILLUSTRATION, (1, 1, count), epoch=epoch)
    return torch.from_numpy(drawn).double().view(*shape)


def with_gradient(fire, potential: torch.Tensor, r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Spikes and ds/du of every draw."""
    u = potential.expand_as(r).clone().requires_grad_()
    s = fire(u, r)
    s.sum().backward()
    return s.detach(), u.grad


def assert_rate(spikes: torch.Tensor, probability: torch.Tensor) -> None:
    """The mean over draws lies within 4 standard deviations of the probability."""
    deviation = (probability * (1 - probability) / len(spikes)).sqrt()
    assert ((spikes.mean(dim=0) - probability).abs() < 4 * deviation).all()


def test_bernoulli_fires_with_probability_sigma_u():
    assert_rate(bernoulli_spikes(POTENTIALS, draws(DRAWS, 6)), torch.sigmoid(POTENTIALS))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_gumbel_fires_with_probability_sigma_2u_at_every_temperature(temperature):
    assert_rate(gumbel_spikes(POTENTIALS, draws(DRAWS, 6), temperature), torch.sigmoid(2 * POTENTIALS))


def test_gumbel_at_u_is_bernoulli_at_2u():
    """The same event under the mirrored uniform: r < sigma(2u) just where 1 - r > sigma(-2u)."""
    r = draws(DRAWS, 6)
    assert torch.equal(gumbel_spikes(POTENTIALS, 1 - r), bernoulli_spikes(2 * POTENTIALS, r))


def test_bernoulli_gradient_is_rho_squared_times_one_minus_rho():
    u = torch.linspace(-6, 6, 101, dtype=torch.float64)
    weight = torch.linspace(-2, 3, 101, dtype=torch.float64)
    u.requires_grad_()
    (bernoulli_spikes(u, draws(101)) * weight).sum().backward()
    rho = torch.sigmoid(u.detach())
    torch.testing.assert_close(u.grad, weight * rho**2 * (1 - rho), rtol=1e-14, atol=0)


def test_bernoulli_gradient_at_rest_and_at_its_peak():
    u = torch.tensor([0.0, np.log(2.0)], dtype=torch.float64)  # rho = 1/2, 2/3
    _, gradient = with_gradient(bernoulli_spikes, u, draws(2))
    assert gradient.tolist() == pytest.approx([1 / 8, 4 / 27], rel=1e-14)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_gumbel_gradient_is_that_of_the_soft_sample(temperature):
    r = draws(300, 6)
    _, gradient = with_gradient(lambda u, r: gumbel_spikes(u, r, temperature), POTENTIALS, r)
    y = torch.sigmoid((2 * POTENTIALS + torch.logit(r)) / temperature)
    torch.testing.assert_close(gradient, 2 * y * (1 - y) / temperature, rtol=1e-9, atol=1e-14)


def test_mean_gumbel_gradient_is_the_closed_form():
    """E[2 y (1-y)] = 2 f(2u), f(a) = e^a ((a-2) e^a + a + 2) / (e^a - 1)^3, f(0) = 1/6."""
    _, gradient = with_gradient(gumbel_spikes, POTENTIALS, draws(DRAWS, 6))
    a = 2 * POTENTIALS
    f = a.exp() * ((a - 2) * a.exp() + a + 2) / torch.expm1(a) ** 3
    f[POTENTIALS == 0] = 1 / 6
    error = gradient.std(dim=0) / DRAWS**0.5
    assert ((gradient.mean(dim=0) - 2 * f).abs() < 4 * error).all()


def test_one_logistic_draw_has_the_law_of_two_gumbel_draws():
    """Against torch's two-class Gumbel-Softmax on the logits (u, -u): rate, gradient's mean and spread."""
    spikes, gradient = with_gradient(gumbel_spikes, POTENTIALS, draws(DRAWS, 6))
    torch.manual_seed(0)
    u = POTENTIALS.expand(DRAWS, 6).clone().requires_grad_()
    reference = nn.functional.gumbel_softmax(torch.stack([u, -u], dim=-1), tau=1.0, hard=True)[..., 0]
    reference.sum().backward()
    for ours, theirs in [(spikes, reference.detach()), (gradient, u.grad), (gradient**2, u.grad**2)]:
        error = ((ours.var(dim=0) + theirs.var(dim=0)) / DRAWS).sqrt()
        assert ((ours.mean(dim=0) - theirs.mean(dim=0)).abs() < 4 * error).all()


@pytest.mark.parametrize("fire", [bernoulli_spikes, gumbel_spikes])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_spikes_are_exactly_0_or_1(fire, dtype):
    u = 5 * torch.randn(500, 200, generator=torch.Generator().manual_seed(1), dtype=dtype)
    s, _ = with_gradient(fire, u, draws(500, 200).to(dtype))
    assert s.dtype == dtype
    assert set(s.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("fire", [bernoulli_spikes, gumbel_spikes])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_potentials_stay_finite(fire, dtype):
    r = torch.tensor([2.0**-24, 0.5, 1 - 2.0**-24], dtype=dtype).repeat(len(EXTREMES), 1).T
    potential = torch.tensor(EXTREMES, dtype=dtype)
    s, gradient = with_gradient(fire, potential, r)
    assert torch.equal(s, (potential > 0).to(dtype).expand_as(s))
    assert gradient.isfinite().all()
    assert gradient.abs().max() < 1e-6


@pytest.mark.parametrize("fire", [bernoulli_spikes, gumbel_spikes])
def test_a_uniform_of_exactly_0_or_1_does_no_harm(fire):
    r = torch.tensor([[0.0], [1.0]])
    s, gradient = with_gradient(fire, torch.tensor([-1e4, -1.0, 0.0, 1.0, 1e4]), r.expand(2, 5))
    assert torch.isin(s, torch.tensor([0.0, 1.0])).all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize(("layer", "fire"), [(SpsnSB, bernoulli_spikes), (SpsnGS, gumbel_spikes)])
def test_a_layer_integrates_then_fires(layer, fire):
    neuron = layer(tau_mem=0.02, tau_syn=0.01, time_step=0.002)
    x = torch.randn(2, 50, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    potential = integrate(x, np.exp(-0.2), np.exp(-0.1), "recurrence")
    assert torch.equal(neuron(x, draws(2, 50, 6)), fire(potential, draws(2, 50, 6)))


@pytest.mark.parametrize("layer", [SpsnSB, SpsnGS])
def test_weights_below_a_hidden_layer_learn(layer):
    below, above = nn.Linear(4, 5), nn.Linear(5, 3)
    spikes = layer()(below(torch.ones(2, 40, 4)), draws(2, 40, 5).float())
    above(spikes).square().sum().backward()
    assert (below.weight.grad != 0).all() and (below.bias.grad != 0).all()


@pytest.mark.parametrize("layer", [SpsnSB, SpsnGS])
def test_without_uniforms_torch_draws_and_its_seed_decides(layer):
    x = torch.zeros(3, 200, 10)

    def spikes(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return layer()(x)

    assert torch.equal(spikes(0), spikes(0))
    assert not torch.equal(spikes(0), spikes(1))
    assert abs(spikes(0).mean() - 0.5) < 4 * 0.5 / 6000**0.5  # at rest every neuron fires every other step
