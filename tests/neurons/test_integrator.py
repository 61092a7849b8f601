"""The leaky integrator: three forms of one filter, its limits, its adjoint, its mean."""

import math

import numpy as np
import pytest
import torch

from spsn.neurons.integrator import (
    LeakyIntegrator,
    chunks,
    decay,
    fft,
    impulse_response,
    integrate,
    mean_coefficients,
    recurrence,
)

PARALLEL = {"fft": fft, "chunks": chunks}
FORMS = {"recurrence": recurrence, **PARALLEL}
PAPER = decay(0.02, 0.001)
DECAYS = [
    (PAPER, PAPER),
    (0.9, 0.8),
    (0.8, 0.9),
    (PAPER, PAPER + 5e-4),
    (PAPER, PAPER - 1e-7),
    (PAPER, PAPER + 1e-9),
    (0.9, 0.0),
    (0.0, 0.9),
    (5e-4, 0.0),
    (0.0, 5e-4),
    (0.0, 0.0),
]
LENGTHS = [1, 2, 3, 7, 31, 32, 33, 50, 100, 1370]


def drive(*shape, dtype=torch.float64, seed=0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def far_apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """Greatest difference, relative to the greatest value."""
    return float((one.double() - other.double()).abs().max() / other.double().abs().max())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("alpha", "beta"), DECAYS)
def test_impulse_response_is_that_of_two_filters_in_a_row(form, alpha, beta):
    """Against the convolution of both kernels, a sum of positive terms that cannot cancel."""
    n = np.arange(90.0)
    expected = np.convolve(alpha**n, (1 - beta) * beta**n)[:90]
    impulse = torch.zeros(90, 1, dtype=torch.float64)
    impulse[0] = 1
    np.testing.assert_allclose(FORMS[form](impulse, alpha, beta)[:, 0], expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(impulse_response(alpha, beta, 90), expected, rtol=1e-11, atol=1e-300)


def test_impulse_response_of_the_paper():
    h = impulse_response(PAPER, PAPER, 2000)
    assert h[0] == pytest.approx(1 - PAPER)
    assert h.argmax() in (18, 19)  # the peak is flat: h[18] = h[19] (1 + 2e-4)
    assert h.max() == pytest.approx(0.3772, abs=5e-5)
    assert h.sum() == pytest.approx(1 / (1 - PAPER), rel=1e-12)


@pytest.mark.parametrize("form", PARALLEL)
@pytest.mark.parametrize("steps", LENGTHS)
def test_parallel_forms_equal_the_recurrence(form, steps):
    x = drive(3, steps, 5)
    for alpha, beta in DECAYS:
        assert far_apart(PARALLEL[form](x, alpha, beta), recurrence(x, alpha, beta)) < 1e-12


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("steps", LENGTHS)
def test_single_precision(form, steps):
    x = drive(3, steps, 5)
    u = FORMS[form](x.float(), PAPER, PAPER)
    assert u.dtype == torch.float32
    assert far_apart(u, recurrence(x, PAPER, PAPER)) < 5e-6


@pytest.mark.parametrize("form", PARALLEL)
@pytest.mark.parametrize("gap", [1e-3, 1e-5, 1e-7, 1e-9])
def test_single_precision_survives_nearly_equal_decays(form, gap):
    x = drive(2, 200, 4)
    u = PARALLEL[form](x.float(), PAPER, PAPER - gap)
    assert far_apart(u, recurrence(x, PAPER, PAPER - gap)) < 5e-6


@pytest.mark.parametrize("form", FORMS)
def test_constant_input_is_amplified_by_the_dc_gain(form):
    u = FORMS[form](torch.ones(800, 1, dtype=torch.float64), 0.9, PAPER)
    assert u[-1].item() == pytest.approx(1 / (1 - 0.9), rel=1e-12)


@pytest.mark.parametrize(("form", "leak"), [("recurrence", 0), ("fft", 1e-6), ("chunks", 0)])
def test_nothing_comes_before_its_cause(form, leak):
    """The Fourier form leaks its rounding error, and no more."""
    x = drive(2, 100, 3, dtype=torch.float32)
    later = x.clone()
    later[:, 60:] += 1
    u = FORMS[form](later, PAPER, PAPER)
    change = (u - FORMS[form](x, PAPER, PAPER)).abs()
    assert change[:, :60].max() <= leak * u.abs().max()
    assert change[:, 60].min() > 0.04


@pytest.mark.parametrize("form", FORMS)
def test_limits_of_the_time_constants(form):
    x = drive(2, 70, 3)
    exponential = torch.stack([sum(0.9**k * x[:, t - k] for k in range(t + 1)) for t in range(70)], dim=1)
    for alpha, beta, expected in [(0.9, 0.0, exponential), (0.0, 0.9, 0.1 * exponential), (0.0, 0.0, x)]:
        assert far_apart(FORMS[form](x, alpha, beta), expected) < 1e-12
    assert far_apart(FORMS[form](x, 0.9, 1e-12), exponential) < 1e-10


@pytest.mark.parametrize("form", FORMS)
def test_zeros_in_front_only_shift(form):
    x = drive(2, 75, 3)
    padded = torch.cat([torch.zeros(2, 41, 3, dtype=x.dtype), x], dim=1)
    u = FORMS[form](padded, 0.9, PAPER)
    assert u[:, :41].abs().max() < 1e-13
    assert far_apart(u[:, 41:], FORMS[form](x, 0.9, PAPER)) < 1e-12


def test_the_authors_convolution_wraps_round():
    """The product of three spectra at length 2T fills 3T-2 samples; at T = 50 the wrapped tail is a tenth."""
    steps = 50
    x, n = drive(4, steps, 8), torch.arange(steps, dtype=torch.float64)
    kernels = [(PAPER**n)[:, None], ((1 - PAPER) * PAPER**n)[:, None]]
    spectrum = torch.fft.rfft(x, n=2 * steps, dim=1)
    for kernel in kernels:
        spectrum = spectrum * torch.fft.rfft(kernel, n=2 * steps, dim=0)
    wrapped = torch.fft.irfft(spectrum, n=2 * steps, dim=1)[:, :steps]
    u = recurrence(x, PAPER, PAPER)
    assert (wrapped - u).norm() / u.norm() > 0.05
    assert (fft(x, PAPER, PAPER) - u).norm() / u.norm() < 1e-13


@pytest.mark.parametrize("form", PARALLEL)
@pytest.mark.parametrize("steps", [1, 5, 32, 77])
def test_gradient_is_that_of_the_loop(form, steps):
    weight = drive(2, steps, 3, seed=1)
    for alpha, beta in DECAYS:
        gradients = []
        for function in (PARALLEL[form], recurrence):
            x = drive(2, steps, 3).requires_grad_()
            (function(x, alpha, beta) * weight).sum().backward()
            gradients.append(x.grad)
        assert far_apart(*gradients) < 1e-12


@pytest.mark.parametrize("form", FORMS)
def test_gradcheck(form):
    x = drive(2, 37, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: FORMS[form](x, 0.9, PAPER), x)


@pytest.mark.parametrize("steps", LENGTHS)
def test_mean_over_time_is_a_weighted_sum_of_the_input(steps):
    x = drive(3, steps, 4)
    for alpha, beta in DECAYS:
        c = torch.tensor(mean_coefficients(alpha, beta, steps))
        assert far_apart(torch.einsum("t,btn->bn", c, x), recurrence(x, alpha, beta).mean(dim=1)) < 1e-12


@pytest.mark.parametrize("form", FORMS)
def test_leading_dimensions_and_strides_do_not_matter(form):
    x = drive(2, 3, 45, 4)
    u = FORMS[form](x, 0.9, PAPER)
    assert u.shape == x.shape
    assert far_apart(FORMS[form](x[1, 2], 0.9, PAPER), u[1, 2]) < 1e-12
    time_last = x.transpose(-1, -2).contiguous().transpose(-1, -2)
    assert far_apart(FORMS[form](time_last, 0.9, PAPER), u) < 1e-12


@pytest.mark.parametrize("method", ["auto", *FORMS])
def test_the_layer_has_the_decays_of_its_time_constants(method):
    layer = LeakyIntegrator(tau_mem=0.02, tau_syn=0.01, time_step=0.001, method=method)
    assert (layer.alpha, layer.beta) == (math.exp(-0.1), math.exp(-0.05))
    x = drive(2, 45, 4)
    assert far_apart(layer(x), recurrence(x, math.exp(-0.1), math.exp(-0.05))) < 1e-12
    assert torch.equal(layer(x), integrate(x, layer.alpha, layer.beta, method))


def test_decay():
    assert decay(0.02, 0.001) == pytest.approx(0.951229, abs=1e-6)
    assert decay(0.0, 0.001) == 0.0
    for tau, step in [(-0.01, 0.001), (0.02, 0.0), (0.02, -1.0)]:
        with pytest.raises(ValueError, match="time"):
            decay(tau, step)
