"""LIF: the two resets, the strict threshold, and a gradient in closed form."""

import math

import pytest
import torch
from torch import nn

from spsn.neurons.integrator import recurrence
from spsn.neurons.lif import LIF, autograd_lif, lif, surrogate

ALPHA, BETA = math.exp(-1 / 10), math.exp(-1 / 20)
RESETS = ["code", "paper"]


def drive(*shape, seed=0, dtype=torch.float64) -> torch.Tensor:
    """A noisy input that makes the neurons fire in about a fifth of the steps."""
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (0.5 + 2 * noise).to(dtype)


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize(("alpha", "beta"), [(ALPHA, BETA), (BETA, BETA), (0.9, 0.0), (0.0, 0.9), (0.0, 0.0)])
@pytest.mark.parametrize("threshold", [0.3, 1.0])
def test_closed_form_equals_autograd(reset, alpha, beta, threshold):
    for steps in (1, 2, 33, 80):
        weight = drive(2, 3, steps, 4, seed=1)
        spikes, gradients = [], []
        for function in (lif, lambda *arguments: autograd_lif(*arguments)[0]):
            x = drive(2, 3, steps, 4).requires_grad_()
            s = function(x, alpha, beta, threshold, reset)
            (s * weight).sum().backward()
            spikes.append(s)
            gradients.append(x.grad)
        assert torch.equal(*spikes)
        torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-13)
    assert 0.02 < spikes[0].mean() < 0.9


def test_an_example_by_hand():
    """Two steps, a spike in the first: u = (1-b) x0, then (1-b) (a x0 + x1); no gradient by the reset."""
    a, b, x0, x1, g0, g1 = 0.5, 0.75, 6.0, 0.5, 2.0, 3.0
    x = torch.tensor([[x0], [x1]], dtype=torch.float64, requires_grad=True)
    s = lif(x, a, b)
    (s * torch.tensor([[g0], [g1]])).sum().backward()
    u0, u1 = (1 - b) * x0, (1 - b) * (a * x0 + x1)
    d0, d1 = ((1 - b) * g / (100 * abs(u - 1) + 1) ** 2 for u, g in ((u0, g0), (u1, g1)))
    assert (u0, u1) == (1.5, 0.875)
    assert s.flatten().tolist() == [1.0, 0.0]
    assert x.grad.flatten().tolist() == pytest.approx([d0 + a * d1, d1], rel=1e-14)


def test_surrogate_is_superspike():
    distance = torch.tensor([0.0, 0.01, -0.01, 0.99, -1.0], dtype=torch.float64)
    assert surrogate(distance).tolist() == pytest.approx([1, 1 / 4, 1 / 4, 1e-4, 101.0**-2])


@pytest.mark.parametrize("reset", RESETS)
def test_the_threshold_is_strict(reset):
    """Without memory u = x: a neuron exactly at the threshold is silent."""
    one = torch.tensor(1.0, dtype=torch.float64)
    x = torch.stack([one, one.nextafter(2 * one), one.nextafter(0 * one)]).view(3, 1, 1)
    assert lif(x, 0.0, 0.0, 1.0, reset).flatten().tolist() == [0.0, 1.0, 0.0]
    assert autograd_lif(x, 0.0, 0.0, 1.0, reset)[0].flatten().tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("reset", RESETS)
def test_without_a_threshold_it_is_the_integrator(reset):
    x = drive(2, 90, 4)
    s, u = autograd_lif(x, ALPHA, BETA, math.inf, reset)
    torch.testing.assert_close(u, recurrence(x, ALPHA, BETA), rtol=0, atol=1e-12)
    assert not s.any() and not lif(x, ALPHA, BETA, math.inf, reset).any()


@pytest.mark.parametrize("reset", RESETS)
def test_the_potential_after_a_spike(reset):
    """One step after a spike the code's potential is (1 - beta) i, equation 6's is 0."""
    x = drive(3, 120, 8)
    s, u = autograd_lif(x, ALPHA, BETA, 1.0, reset)
    after = s[:, :-1].bool()
    assert after.sum() > 50
    drive_alone = (1 - BETA) * recurrence(x, ALPHA, 0.0)
    expected = drive_alone[:, 1:][after] if reset == "code" else torch.zeros(int(after.sum())).double()
    torch.testing.assert_close(u[:, 1:][after], expected, rtol=0, atol=1e-12)
    kept = ~after  # elsewhere the potential follows its recurrence
    leaky = BETA * u[:, :-1] + drive_alone[:, 1:]
    torch.testing.assert_close(u[:, 1:][kept], leaky[kept], rtol=0, atol=1e-12)


def test_the_papers_reset_gives_fewer_spikes():
    x = drive(8, 300, 20)
    counts = {reset: lif(x, ALPHA, BETA, 1.0, reset).sum() for reset in RESETS}
    assert 0.5 * counts["code"] < counts["paper"] < 0.99 * counts["code"]


@pytest.mark.parametrize("reset", RESETS)
def test_left_padding_only_shifts_unless_there_is_a_bias(reset):
    affine = nn.Linear(6, 5, dtype=torch.float64)
    inputs = (2 * drive(2, 60, 6)).relu()
    padded = torch.cat([torch.zeros(2, 25, 6, dtype=torch.float64), inputs], dim=1)
    neuron = LIF(0.02, 0.01, 0.001, reset=reset)
    with torch.no_grad():
        affine.weight.uniform_(0, 0.5)
        affine.bias.zero_()
        without = neuron(affine(padded))
        assert without.sum() > 20
        assert not without[:, :25].any()
        assert torch.equal(without[:, 25:], neuron(affine(inputs)))
        affine.bias.fill_(0.09)  # the potential it alone leads to is just below the threshold
        assert not torch.equal(neuron(affine(padded))[:, 25:], neuron(affine(inputs)))


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_potentials_stay_finite(reset, dtype):
    x = torch.tensor([-1e4, -100.0, -50.0, 50.0, 100.0, 1e4, 0.0], dtype=dtype).repeat(60, 1)
    x.requires_grad_()
    s = lif(x, ALPHA, BETA, 1.0, reset)
    s.sum().backward()
    assert s.dtype == dtype
    assert s[-1].tolist() in ([0, 0, 0, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0, 0])
    assert s.sum(dim=0)[:3].sum() == 0 and (s.sum(dim=0)[3:6] >= 29).all() and s[:, 6].sum() == 0
    assert x.grad.isfinite().all()
    assert (x.grad[:, 6] > 0).all()  # a silent neuron still learns


@pytest.mark.parametrize("reset", RESETS)
def test_the_layer_has_the_decays_of_its_time_constants(reset):
    neuron = LIF(tau_mem=0.02, tau_syn=0.01, time_step=0.001, threshold=0.5, reset=reset)
    x = drive(2, 50, 3)
    assert torch.equal(neuron(x), lif(x, ALPHA, BETA, 0.5, reset))


def test_leading_dimensions_and_strides_do_not_matter():
    x = drive(2, 3, 45, 4)
    s = lif(x, ALPHA, BETA)
    assert torch.equal(lif(x[1, 2], ALPHA, BETA), s[1, 2])
    assert torch.equal(lif(x.transpose(-1, -2).contiguous().transpose(-1, -2), ALPHA, BETA), s)


def test_an_unknown_reset_is_refused():
    with pytest.raises(ValueError, match="reset"):
        LIF(reset="soft")
