"""LIF with a soft reset on a GPU against the plain forms in float64: spikes equal, gradients to the eleven
bits that slopes are kept with.
"""

import math

import pytest
import torch
from soft_reset_judge import SURROGATES, WAYS, assert_agrees, clear, fused, noisy, plain

pytest.importorskip("triton", reason="needs Triton")

from spsn.kernels.gpu import soft_reset as forms
from spsn.kernels.gpu import streams
from spsn.neurons.exodus import soft_reset_lif

MARGIN, BITS = 2e-6, 6e-4


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("way", WAYS)
def test_spikes_and_gradients_are_those_of_the_plain_form(device, way, surrogate):
    tolerance = 1e-3 if surrogate == "superspike" else BITS
    for shape in ((2, 1, 19, 5), (1, 1)):
        x = clear(way, shape, 0.95, 0.7, MARGIN)
        assert_agrees(forms, way, x, (0.95, 0.7, surrogate), tolerance, device)


@pytest.mark.parametrize(("way", "steps"), [("exodus", 64), ("exodus", 97), ("accumulate", 65)])
def test_of_every_length(device, way, steps):
    """Whole groups of rows, the next on their way, and what is left over."""
    x = clear(way, (1, steps, 3), 0.9, 1.0, MARGIN)
    assert_agrees(forms, way, x, (0.9, 1.0, "sigmoid"), BITS, device)


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("way", WAYS)
def test_with_other_decays(device, way, decay):
    """And a threshold at which the exponential's slope is beyond float16's numbers."""
    x = clear(way, (2, 12, 3), decay, 0.1, MARGIN)
    assert_agrees(forms, way, x, (decay, 0.1, "exponential"), BITS, device)


@pytest.mark.parametrize("decay", [0.3, 0.999])
def test_slayers_way_back_in_chunks_of_time(device, monkeypatch, decay):
    monkeypatch.setattr(streams, "LEAST", 64)
    x = clear("slayer", (2, 75, 5), decay, 1.0, MARGIN)
    assert_agrees(forms, "slayer", x, (decay, 1.0, "exponential"), BITS, device)


def test_samples_and_neurons_that_fill_no_program(device):
    x = clear("exodus", (2, 3, 35), 0.9, 1.0, MARGIN)
    for way in ("exodus", "instant"):
        assert_agrees(forms, way, x, (0.9, 1.0, "exponential"), BITS, device)


@pytest.mark.parametrize("way", ["exodus", "accumulate"])
def test_at_the_threshold_it_fires(device, way):
    given = [0.5, 0.5, 0.5, 0.5] if way == "exodus" else [0.5, 0.75, 0.875, 0.9375]
    x = torch.tensor(given).unsqueeze(1)
    x[3] = x[3].nextafter(torch.zeros(1))
    out = fused(forms, way, x.to(device), 0.5, 0.5, "exponential")
    expected = [1.0, 1.0, 1.0, 0.0] if way == "exodus" else [1.0, 1.5, 1.75, 0.875]
    assert out.flatten().tolist() == expected


@pytest.mark.filterwarnings("ignore:overflow encountered")  # interpreted, numpy says so
@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("way", WAYS)
def test_extremes(device, way, surrogate):
    """The sign decides, the slope is nothing, and what is not a number does not fire."""
    x = torch.tensor([1e4, -1e4, 1e30, -1e30, math.inf, -math.inf, math.nan]).expand(3, 7).contiguous()
    ours = x.clone().to(device).requires_grad_()
    out, expected = fused(forms, way, ours, 0.9, 1.0, surrogate), plain(way, x.double(), 0.9, 1.0, surrogate)
    out.sum().backward()
    assert torch.equal(out.cpu() > 0, expected > 0) and not out[:, 6].any()
    assert (ours.grad[:, :6].abs() < 1e-6).all()
    assert ours.grad[:, 6].isnan().all()


@pytest.mark.parametrize("way", ["exodus", "slayer", "instant"])
def test_gradients_of_any_strides(device, way):
    """That of a mean, which has no memory of its own, and one that lies otherwise in memory."""
    x = noisy((2, 34, 5)).to(device).requires_grad_()
    out = fused(forms, way, x, 0.9, 1.0, "sigmoid")
    weigh = torch.randn(2, 5, 34, device=device).transpose(1, 2)
    for given in (torch.full((), 0.7, device=device).expand(2, 34, 5), weigh):
        (ours,) = torch.autograd.grad(out, x, given, retain_graph=True)
        (dense,) = torch.autograd.grad(out, x, given.contiguous(), retain_graph=True)
        assert torch.equal(ours, dense) and ours.any()


@pytest.mark.parametrize("way", ["exodus", "accumulate"])
def test_the_input_is_left_alone_and_passes_do_not_meet(device, way):
    x, y = noisy((1, 9, 5), 1).to(device), noisy((1, 9, 5), 2).to(device)
    before = x.clone()
    x.requires_grad_()
    first = fused(forms, way, x, 0.95, 1.0, "sigmoid")
    alone = torch.autograd.grad(first.sum(), x, retain_graph=True)[0]
    fused(forms, way, y, 0.95, 1.0, "sigmoid")
    assert torch.equal(torch.autograd.grad(first.sum(), x)[0], alone)
    assert torch.equal(x.detach(), before)


@pytest.mark.gpu
def test_the_neuron_takes_the_kernels_of_where_its_input_lives(device):
    if device.type != "cuda":
        pytest.skip("no CUDA device")
    x = clear("exodus", (2, 70, 3), 0.9, 1.0, MARGIN).to(device)
    assert torch.equal(soft_reset_lif(x, 0.9, fused=True), soft_reset_lif(x, 0.9))


def test_what_the_kernels_cannot_take_is_refused(device):
    for x in (torch.zeros(3, 2, dtype=torch.float64, device=device), torch.zeros(0, 2, device=device)):
        for way in WAYS:
            with pytest.raises(ValueError, match="the fused neurons take"):
                fused(forms, way, x, 0.9, 1.0, "sigmoid")
    x = torch.zeros(3, 2, device=device)
    with pytest.raises(ValueError, match="gradients are"):
        forms.soft_reset_lif(x, 0.9, 1.0, "bptt", "sigmoid")
    with pytest.raises(ValueError, match="surrogate"):
        forms.accumulate(x, 0.9, 1.0, "box")
