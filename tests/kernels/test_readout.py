"""`integrate`: the identities of the leaky integrator, and the recurrence in float64 as the judge."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from spsn.kernels.cpu.neurons import integrate
from spsn.neurons.integrator import impulse_response, recurrence

DECAYS = [(math.exp(-1 / 20), math.exp(-1 / 20)), (0.9, 0.95), (0.95, 0.9), (0.9, 0.9 + 1e-7), (0.5, 0.999)]
STEPS = [1, 2, 3, 63, 64, 65, 200, 1000]


def signal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_near(ours: Tensor, judge: Tensor, tolerance: float = 1e-5) -> None:
    assert ours.dtype == torch.float32 and ours.shape == judge.shape
    assert (ours.detach().double() - judge).abs().max() <= tolerance * judge.abs().max()


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(("alpha", "beta"), DECAYS)
def test_values_and_gradients_are_those_of_the_recurrence(alpha, beta, steps):
    for neurons in (1, 16, 21):
        x, weigh = signal(2, steps, neurons).requires_grad_(), signal(2, steps, neurons, seed=1)
        u = integrate(x, alpha, beta)
        judge = x.detach().double().requires_grad_()
        expected = recurrence(judge, alpha, beta)
        assert_near(u, expected.detach())
        (u * weigh).sum().backward()
        (expected * weigh).sum().backward()
        assert_near(x.grad, judge.grad)


@pytest.mark.parametrize(("alpha", "beta"), DECAYS)
def test_the_impulse_response(alpha, beta):
    x = torch.zeros(200, 1)
    x[0] = 1
    assert_near(integrate(x, alpha, beta)[:, 0], torch.tensor(impulse_response(alpha, beta, 200)))


@pytest.mark.parametrize("delay", [1, 63, 64, 100])
def test_a_delay_passes_through(delay):
    x = signal(200, 5)
    late = torch.cat([torch.zeros(delay, 5), x])
    u = integrate(late, 0.9, 0.95)
    assert not u[:delay].any()
    assert torch.equal(u[delay:], integrate(x, 0.9, 0.95))


@pytest.mark.parametrize("t", [0, 63, 64, 130])
def test_the_past_does_not_know_the_future_nor_the_gradient_the_past(t):
    x, weigh = signal(150, 5), signal(150, 5, seed=1)
    other = x.clone()
    other[t + 1 :] = signal(149 - t, 5, seed=2)
    assert torch.equal(integrate(other, 0.9, 0.95)[: t + 1], integrate(x, 0.9, 0.95)[: t + 1])
    gradients = []
    for changed in (False, True):
        leaf = x.clone().requires_grad_()
        w = weigh.clone()
        w[:t] += changed
        (integrate(leaf, 0.9, 0.95) * w).sum().backward()
        gradients.append(leaf.grad)
    assert torch.equal(gradients[0][t:], gradients[1][t:])
    assert t == 0 or not torch.equal(gradients[0][:t], gradients[1][:t])


def test_it_is_linear():
    x, y = signal(150, 5), signal(150, 5, seed=1)
    together = integrate(3 * x - 2 * y, 0.9, 0.95)
    apart = 3 * integrate(x, 0.9, 0.95).double() - 2 * integrate(y, 0.9, 0.95).double()
    assert_near(together, apart)


@pytest.mark.parametrize(("alpha", "beta"), [*DECAYS, (0.0, 0.9), (0.9, 0.0)])
def test_the_gradient_is_the_adjoint(alpha, beta):
    """<w, h * v> = <dx(w), v>: for a linear operation the difference quotient in every direction."""
    x, w, v = signal(2, 150, 20).requires_grad_(), signal(2, 150, 20, seed=1), signal(2, 150, 20, seed=2)
    (gradient,) = torch.autograd.grad((integrate(x, alpha, beta) * w).sum(), x)
    u = integrate(v, alpha, beta).double()
    scale = float(u.norm() * w.double().norm())
    assert float((u * w).sum()) == pytest.approx(float((gradient.double() * v).sum()), abs=1e-6 * scale)


def test_without_memory_it_is_the_identity():
    x = signal(130, 20).requires_grad_()
    u = integrate(x, 0.0, 0.0)
    u.sum().backward()
    assert torch.equal(u, x) and (x.grad == 1).all()


def test_without_one_memory_it_is_a_single_exponential():
    x = torch.zeros(100, 1)
    x[0] = 1
    n = torch.arange(100, dtype=torch.float64)
    assert_near(integrate(x, 0.9, 0.0)[:, 0], 0.9**n)
    assert_near(integrate(x, 0.0, 0.9)[:, 0], (1 - 0.9) * 0.9**n)


@pytest.mark.parametrize(("alpha", "beta"), [(0.9, 0.95), (0.95, 0.95), (0.0, 0.8)])
def test_a_constant_input_leads_to_one_over_one_minus_alpha(alpha, beta):
    u = integrate(torch.ones(1000, 3), alpha, beta)
    assert u[-1].tolist() == pytest.approx([1 / (1 - alpha)] * 3, rel=1e-5)
    assert (np.diff(u[:60, 0]) > 0).all()
