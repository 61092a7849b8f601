"""The paper's way of computing against this package's, in float64, and where the two must differ."""

import numpy as np
import pytest
import torch

from spsn.neurons import integrator, lif, spsn
from spsn.timing import baselines

ALPHA, BETA = 0.9, 0.82


def normal(*shape, seed=0, scale=1.0):
    return scale * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def uniform(*shape, seed=1):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def with_gradient(function, x, weights):
    """Output and gradient of sum(weights * output)."""
    x = x.clone().requires_grad_()
    out = function(x)
    (out * weights).sum().backward()
    return out.detach(), x.grad


def same(function, other, x, tolerance=1e-12):
    weights = normal(*x.shape, seed=5)
    out, gradient = with_gradient(function, x, weights)
    out_other, gradient_other = with_gradient(other, x, weights)
    torch.testing.assert_close(out, out_other, rtol=0, atol=tolerance)
    torch.testing.assert_close(gradient, gradient_other, rtol=tolerance, atol=tolerance)
    return out


@pytest.mark.parametrize("baseline", [baselines.loop_lif, baselines.unbind_lif])
@pytest.mark.parametrize("steps", [1, 2, 70])
def test_lif_loops_equal_the_package(baseline, steps):
    x = normal(3, steps, 11, scale=2.0)
    for plain in (lif.lif, lambda *a: lif.autograd_lif(*a)[0]):
        spikes = same(lambda x: baseline(x, ALPHA, BETA, 0.7), lambda x, f=plain: f(x, ALPHA, BETA, 0.7), x)
    if steps > 2:
        assert 0.02 < spikes.mean() < 0.9


@pytest.mark.parametrize("baseline", [baselines.loop_lif, baselines.unbind_lif])
def test_lif_fires_strictly_above_threshold(baseline):
    x = torch.tensor([1.0, np.nextafter(1.0, 2.0)], dtype=torch.float64).reshape(1, 1, 2)
    assert baseline(x, 0.0, 0.0).tolist() == [[[0.0, 1.0]]]


@pytest.mark.parametrize("baseline", [baselines.loop_integrator, baselines.unbind_integrator])
def test_integrator_loops_equal_the_recurrence(baseline):
    x = normal(2, 40, 5)
    same(lambda x: baseline(x, ALPHA, BETA), lambda x: integrator.recurrence(x, ALPHA, BETA), x)


def nodes(function, steps):
    """How often each operation of the backward appears in the graph of `function`."""
    out = function(normal(1, steps, 2).requires_grad_() * 1.0, ALPHA, BETA)
    seen, waiting = {}, [out.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen[node] = node.name()
            waiting += [following for following, _ in node.next_functions]
    names = list(seen.values())
    return {name: names.count(name) for name in names}


@pytest.mark.parametrize("pair", ["lif", "integrator"])
def test_only_the_paper_s_loop_slices(pair):
    sliced = nodes(getattr(baselines, f"loop_{pair}"), 30)
    unbound = nodes(getattr(baselines, f"unbind_{pair}"), 30)
    assert sliced.pop("SelectBackward0") == 30
    assert unbound.pop("UnbindBackward0") == 1
    sliced.pop("SliceBackward0", None)
    assert sliced == unbound  # otherwise the same loop


def decays(tau_steps):
    return (integrator.decay(tau_steps, 1.0),) * 2


def test_three_spectra_at_2t_wrap_round_onto_the_start():
    alpha, beta = decays(20.0)
    x = normal(4, 50, 6)
    true = integrator.recurrence(x, alpha, beta)
    off = (baselines.wrapped_fft(x, alpha, beta) - true).norm() / true.norm()
    assert 0.05 < off < 0.5
    assert (integrator.fft(x, alpha, beta) - true).norm() / true.norm() < 1e-12


def test_the_wrap_is_that_of_a_circular_convolution():
    alpha, beta, steps = 0.95, 0.9, 33
    x = normal(1, steps, 1)
    n = np.arange(steps)
    full = np.convolve(np.convolve(alpha**n, (1 - beta) * beta**n), x[0, :, 0].numpy())  # 3T - 2 samples
    folded = full[: 2 * steps].copy()
    folded[: len(full) - 2 * steps] += full[2 * steps :]
    torch.testing.assert_close(
        baselines.wrapped_fft(x, alpha, beta)[0, :, 0], torch.from_numpy(folded[:steps]), rtol=0, atol=1e-12
    )


def test_the_wrap_lets_later_input_into_the_past():
    alpha, beta = decays(20.0)
    x = torch.zeros(1, 50, 1, dtype=torch.float64)
    x[0, -1] = 1.0
    assert baselines.wrapped_fft(x, alpha, beta)[0, :25].abs().max() > 1e-3


def test_in_long_sequences_the_wrap_is_gone():
    alpha, beta = decays(5.0)
    x = normal(2, 400, 4)
    same(
        lambda x: baselines.wrapped_fft(x, alpha, beta),
        lambda x: integrator.recurrence(x, alpha, beta),
        x,
        tolerance=1e-11,
    )


def test_spectra_follow_length_decays_and_dtype():
    for alpha, beta, steps, dtype in [
        (0.5, 0.4, 64, torch.float64),
        (0.5, 0.4, 80, torch.float64),
        (0.6, 0.4, 80, torch.float64),
        (0.6, 0.4, 80, torch.float32),
        (0.5, 0.4, 64, torch.float64),
    ]:
        x = normal(1, steps, 2).to(dtype)
        out = baselines.wrapped_fft(x, alpha, beta)
        assert out.dtype == dtype
        torch.testing.assert_close(out, integrator.recurrence(x, alpha, beta), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("baseline", "plain"),
    [(baselines.bernoulli_fire, spsn.bernoulli_spikes), (baselines.gumbel_fire, spsn.gumbel_spikes)],
)
def test_firing_equals_the_package_for_the_same_uniforms(baseline, plain):
    u, r = normal(5, 60, 9, scale=2.0), uniform(5, 60, 9)
    spikes = same(lambda u: baseline(u, r), lambda u: plain(u, r), u)
    assert set(spikes.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(("baseline", "slope"), [(baselines.bernoulli_fire, 1), (baselines.gumbel_fire, 2)])
def test_own_draws_fire_with_the_neuron_s_probability(baseline, slope):
    draws = 40_000
    u = torch.tensor([-1.0, -0.2, 0.0, 0.6])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        rate = baseline(u.expand(draws, 1, 4)).mean(dim=(0, 1))
    p = torch.sigmoid(slope * u)
    assert ((rate - p).abs() < 4.5 * (p * (1 - p) / draws).sqrt()).all()
