"""LIF with a soft reset as torch operations against the plain forms in float64: spikes equal, gradients to
rounding.
"""

import math

import pytest
import torch
from soft_reset_judge import SURROGATES, WAYS, assert_agrees, clear, fused, noisy, plain

from spsn import threads
from spsn.kernels.cpu import soft_reset as forms
from spsn.neurons.exodus import SoftResetLIF, soft_reset_lif

SHAPES = [(1, 1), (2, 70), (3, 7, 16), (2, 3, 64, 20), (9, 65, 1), (1, 300, 16), (70, 128)]
MARGIN = 1e-6


def tolerance(way: str, surrogate: str) -> float:
    """SuperSpike's slope moves by up to 200 times what rounding moves the potential by, which for
    accumulations is a small difference of large numbers.
    """
    if surrogate != "superspike":
        return 1e-5
    return 1e-3 if way == "accumulate" else 2e-4


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("way", WAYS)
def test_spikes_and_gradients_are_those_of_the_plain_form(way, surrogate, shape):
    x = clear(way, shape, 0.95, 0.7, MARGIN)
    assert_agrees(forms, way, x, (0.95, 0.7, surrogate), tolerance(way, surrogate))


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("way", WAYS)
def test_with_other_decays(way, decay):
    for threshold in (0.4, 2.0):
        x = clear(way, (2, 67, 5), decay, threshold, MARGIN)
        assert_agrees(forms, way, x, (decay, threshold, "exponential"), 1e-5)


@pytest.mark.parametrize(
    ("way", "given", "expected"),
    [
        ("exodus", [0.5, 0.5, 0.5, 0.5], [1.0, 1.0, 1.0, 0.0]),
        ("accumulate", [0.5, 0.75, 0.875, 0.9375], [1.0, 1.5, 1.75, 0.875]),
    ],
)
def test_at_the_threshold_it_fires(way, given, expected):
    """Numbers that float32 has exactly, the last of them just missed: theta, and what it adds up to."""
    x = torch.tensor(given).unsqueeze(1)
    x[3] = x[3].nextafter(torch.zeros(1))
    out = fused(forms, way, x, 0.5, 0.5, "exponential")
    assert out.flatten().tolist() == expected


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("way", WAYS)
def test_extremes(way, surrogate):
    """The sign decides, the slope is nothing, and what is not a number does not fire."""
    x = torch.tensor([1e4, -1e4, 1e30, -1e30, math.inf, -math.inf, math.nan]).expand(20, 7).contiguous()
    ours = x.clone().requires_grad_()
    out, expected = fused(forms, way, ours, 0.9, 1.0, surrogate), plain(way, x.double(), 0.9, 1.0, surrogate)
    out.sum().backward()
    assert torch.equal(out > 0, expected > 0) and not out[:, 6].any()
    assert (ours.grad[:, :6].abs() < 1e-6).all()
    assert ours.grad[:, 6].isnan().all()


def test_what_is_not_a_number_stays_where_it_is():
    """`instant`'s gradient does not go back in time; an accumulation forgets it."""
    x = noisy((1, 40, 3))
    x[0, 20, 1] = math.nan
    for way, lost in (("instant", 20), ("accumulate", 1), ("exodus", 40)):
        leaf = x.clone().requires_grad_()
        out = fused(forms, way, leaf, 0.9, 1.0, "sigmoid")
        out.sum().backward()
        assert out.isfinite().all() and leaf.grad.isnan().sum() == lost
        assert leaf.grad[0, 20, 1].isnan()


def test_the_neuron_takes_its_fused_form():
    x = clear("exodus", (2, 70, 20), 0.9, 1.0, MARGIN)
    for gradient in ("exodus", "slayer"):
        leaf = x.clone().requires_grad_()
        s = SoftResetLIF(0.02, -0.02 * math.log(0.9), 1.0, gradient, "sigmoid", fused=True)(leaf)
        s[..., ::2].sum().backward()  # a gradient with holes
        holes = torch.zeros_like(x)
        holes[..., ::2] = 1.0
        direct = x.clone().requires_grad_()
        forms.soft_reset_lif(direct, 0.9, 1.0, gradient, "sigmoid").backward(holes)
        assert torch.equal(s, soft_reset_lif(x, 0.9, 1.0, gradient, "sigmoid"))
        torch.testing.assert_close(leaf.grad, direct.grad, rtol=1e-6, atol=1e-7)
        assert not leaf.grad[..., 1::2].any()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", [(1, 70, 100), (7, 130, 20)])
def test_threads_change_no_bit(way, shape):
    """Few samples are shared out by neurons, many by samples."""
    x = noisy(shape, 1)
    results = []
    before = threads.kernel_threads()
    try:
        for count in (1, 2, 3, 5):
            threads.set_kernel_threads(count)
            leaf = x.clone().requires_grad_()
            out = fused(forms, way, leaf, 0.95, 1.0, "exponential")
            (out * x).sum().backward()
            results.append((out.detach(), leaf.grad))
    finally:
        threads.set_kernel_threads(before)
    assert all(torch.equal(*pair) for r in results[1:] for pair in zip(r, results[0], strict=True))


@pytest.mark.parametrize("way", WAYS)
def test_the_input_is_left_alone_and_passes_do_not_meet(way):
    x, y = noisy((2, 70, 16), 1), noisy((2, 70, 16), 2)
    before = x.clone()
    x.requires_grad_()
    first = fused(forms, way, x, 0.95, 1.0, "sigmoid")
    alone = torch.autograd.grad(first.sum(), x, retain_graph=True)[0]
    fused(forms, way, y, 0.95, 1.0, "sigmoid")
    assert torch.equal(torch.autograd.grad(first.sum(), x)[0], alone)
    assert torch.equal(x.detach(), before)


@pytest.mark.parametrize(
    ("x", "gradient", "surrogate", "what"),
    [
        (torch.zeros(3, 2, dtype=torch.float64), "exodus", "sigmoid", "float32"),
        (torch.zeros(0, 2), "exodus", "sigmoid", "not empty"),
        (torch.zeros(3, 2), "bptt", "sigmoid", "gradients are"),
        (torch.zeros(3, 2), "exodus", "box", "surrogate"),
    ],
)
def test_what_the_kernels_cannot_take_is_refused(x, gradient, surrogate, what):
    with pytest.raises(ValueError, match=what):
        forms.soft_reset_lif(x, 0.9, 1.0, gradient, surrogate)
    if gradient == "exodus":
        with pytest.raises(ValueError, match=what):
            forms.accumulate(x, 0.9, 1.0, surrogate)
