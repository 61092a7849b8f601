"""Layers by the kernels for GPUs against their equations in float64."""

from dataclasses import replace

import pytest
import torch
from gpu_layers import (
    CLEAR,
    KINDS,
    SPIKING,
    THRESHOLD,
    assert_close,
    kept_for,
    pack,
    pass_of,
    plain_layer,
    random,
    random_spikes,
    unpack,
)

from spsn.kernels.cpu.fire import Neuron
from spsn.kernels.gpu import layers
from spsn.kernels.gpu.fire import SLOPE_UNIT
from spsn.kernels.gpu.layers import Down, Given, Pass, Product, Rows, Top, backward, forward

SIZE, WIDTH = 11, 16
LENGTHS = [(1, 2), (31, 32), (33, 64)]
SAMPLES = 3
TOGETHER = 4  # samples of a program, one of them missing
HALF = 2.0**-11  # rounding of a slope to float16


@pytest.fixture(autouse=True)
def programs_of_several_samples(monkeypatch):
    """Interpreted, a program takes as long for four samples as for one."""
    monkeypatch.setattr(layers, "together", lambda samples, held: TOGETHER)


@pytest.fixture
def as_trained(monkeypatch):
    """Programs as `together` has them."""
    monkeypatch.undo()


def clear(kind: str, lengths, device, make, precision: str = "float32"):
    """A pass, the pre-activations that `make(attempt)` gives of it, and the layer, all decisions clear."""
    for attempt in range(100):
        of = pass_of(kind, SIZE, lengths, device, attempt, precision)
        given, x = make(attempt)
        layer = plain_layer(of, 1, x)
        if layer.margin > CLEAR:
            return of, given, layer
    raise AssertionError("no clear decisions found")


def rows_case(kind: str, lengths, device):
    def make(attempt: int):
        x = 1.5 * random(len(lengths), SAMPLES, max(lengths), WIDTH, seed=attempt)
        x[..., SIZE:] = 0
        own = [x[run, :, :steps, :SIZE] for run, steps in enumerate(lengths)]
        return Rows(x.to(device)), own

    return clear(kind, lengths, device, make)


def product_case(kind: str, lengths, device, precision: str, below: int = 32):
    size = below - 3

    def make(attempt: int):
        s = random_spikes(lengths, SAMPLES, max(lengths), size, below, seed=attempt)
        if kind == "relu":
            s *= random(*s.shape, seed=attempt + 50).abs()
        weight = 0.6 * random(len(lengths), below, WIDTH, seed=attempt)
        weight[:, size:], weight[:, :, SIZE:] = 0, 0
        bias = 0.1 * random(len(lengths), WIDTH, seed=attempt)
        bias[:, SIZE:] = 0
        x = torch.einsum("sbtk,skw->sbtw", s.double(), weight.double()) + bias.double()[:, None, None]
        own = [x[run, :, :steps, :SIZE] for run, steps in enumerate(lengths)]
        held = (s if kind == "relu" else pack(s)).to(device)
        return Product(held, weight.to(device), bias.to(device)), own

    return clear(kind, lengths, device, make, precision)


def check_forward(of: Pass, source, layer) -> None:
    lengths, steps = of.lengths.tolist(), int(of.lengths.max())
    kept = kept_for(of, SAMPLES, steps, WIDTH)
    c = random(len(lengths), steps, seed=9)
    forward(of, 1, source, kept, c.to(of.lengths.device))
    for run, own in enumerate(lengths):
        s = layer.s[run].detach()
        if kept.outputs is None:
            words = -(-own // 32)  # those beyond are not written
            spikes = unpack(kept.spikes[run : run + 1, :, :words], 32 * words)[0]
            assert (kept.spikes[run, :, words:] == -77).all()
            assert torch.equal(spikes[:, :own, :SIZE], s)
            assert not spikes[:, own:].any() and not spikes[..., SIZE:].any()
            slopes = layer.slopes[run]
            ours = kept.slopes[run, :, :own, :SIZE].cpu().double() * SLOPE_UNIT
            assert ((ours - slopes).abs() <= 2 * HALF * slopes + 1e-9).all()
            assert (kept.slopes[run, :, own:] == -77).all()
        else:
            assert_close(kept.outputs[run, :, :own, :SIZE], s)
            assert (kept.outputs[run, :, own:] == -77).all()
        assert_close(kept.totals[run, :, :SIZE], s.sum(1))
        weighted = torch.einsum("t,btn->bn", c[run, :own].double(), s)
        assert_close(kept.averaged[run, :, :SIZE], weighted)
    assert not kept.totals[..., SIZE:].any() and not kept.averaged[..., SIZE:].any()


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_forward_from_rows(kind, lengths, device):
    check_forward(*rows_case(kind, lengths, device))


@pytest.mark.parametrize("precision", ["float32", "split"])
@pytest.mark.parametrize("kind", KINDS)
def test_forward_from_the_layer_below(kind, precision, device):
    check_forward(*product_case(kind, (33, 20), device, precision))


def check_backward(of: Pass, source, layer, g, kept) -> None:
    """`g`: dL/ds of every run (B, T_r, N) float64 without the constant."""
    lengths, steps = of.lengths.tolist(), int(of.lengths.max())
    device = of.lengths.device
    constant = random(len(lengths), WIDTH, seed=31)
    constant[:, SIZE:] = 0
    dx = torch.full((len(lengths), SAMPLES, steps, WIDTH), -77.0, device=device)
    bias = torch.full((len(lengths), SAMPLES, WIDTH), -77.0, device=device)
    backward(of, source, kept, constant.to(device), dx, bias)
    for run, own in enumerate(lengths):
        given = g[run] + constant[run, :SIZE].double()
        (judge,) = torch.autograd.grad(layer.s[run], layer.x[run], given, retain_graph=True)
        assert_close(dx[run, :, :own, :SIZE], judge, 4 * HALF)
        assert_close(bias[run, :, :SIZE], dx[run, :, :own, :SIZE].cpu().double().sum(1))
        assert not dx[run, :, :own, SIZE:].any()
        assert (dx[run, :, own:] == -77).all()
    assert not bias[..., SIZE:].any()


def backward_case(kind: str, lengths, device, precision: str = "float32"):
    """A pass whose way forward was made; what it kept, and the layer."""
    of, source, layer = rows_case(kind, lengths, device)
    of = replace(of, precision=precision)
    kept = kept_for(of, SAMPLES, max(lengths), WIDTH)
    forward(of, 1, source, kept, torch.zeros(len(lengths), max(lengths), device=device))
    return of, kept, layer


@pytest.mark.parametrize("lengths", [(1, 2), (33, 64)])
@pytest.mark.parametrize("kind", KINDS)
def test_backward_from_an_averaged_readout(kind, lengths, device):
    of, kept, layer = backward_case(kind, lengths, device)
    averaged, c = random(len(lengths), SAMPLES, WIDTH), random(len(lengths), max(lengths), seed=1)
    averaged[..., SIZE:] = 0
    g = [
        torch.einsum("t,bn->btn", c[run, :own], averaged[run, :, :SIZE]).double()
        for run, own in enumerate(lengths)
    ]
    check_backward(of, Top(averaged.to(device), c.to(device)), layer, g, kept)


@pytest.mark.parametrize("kind", KINDS)
def test_backward_from_what_is_given(kind, device):
    lengths = (33, 20)
    of, kept, layer = backward_case(kind, lengths, device)
    given = random(2, SAMPLES, 33, WIDTH)
    given[..., SIZE:] = 0
    g = [given[run, :, :own, :SIZE].double() for run, own in enumerate(lengths)]
    check_backward(of, Given(given.to(device)), layer, g, kept)


@pytest.mark.parametrize("precision", ["float32", "split"])
@pytest.mark.parametrize("kind", KINDS)
def test_backward_from_the_layer_above(kind, precision, device):
    lengths, above = (20, 33), 32
    of, kept, layer = backward_case(kind, lengths, device, precision)
    dx, weight = random(2, SAMPLES, 33, above), random(2, above, WIDTH, seed=1)
    weight[..., SIZE:] = 0
    g = [(dx[run].double() @ weight[run].double())[:, :own, :SIZE] for run, own in enumerate(lengths)]
    check_backward(of, Down(dx.to(device), weight.to(device)), layer, g, kept)


@pytest.mark.parametrize("kind", ["sb", "relu"])
def test_forward_without_a_gradient_to_come(kind, device):
    """T is then told by the coefficients alone."""
    of, source, layer = product_case(kind, (33, 20), device, "float32")
    kept = kept_for(of, SAMPLES, 33, WIDTH, gradient=False)
    c = random(2, 33, seed=9)
    forward(of, 1, source, kept, c.to(device))
    for run, own in enumerate((33, 20)):
        weighted = torch.einsum("t,btn->bn", c[run, :own].double(), layer.s[run].detach())
        assert_close(kept.averaged[run, :, :SIZE], weighted)


@pytest.mark.parametrize("width", [32, 256])
def test_a_hidden_layer_of_another_width(width, device, as_trained):
    """The weights of 256 neurons are read anew for every tile."""
    of = pass_of("gs", width, (5,), device, precision="split")
    s = random_spikes((5,), 1, 5, width, width)
    weight, bias = random(1, width, width) / width**0.5, random(1, width, seed=1)
    x = s[0].double() @ weight[0].double() + bias.double()
    kept = kept_for(of, 1, 5, width)
    forward(
        of, 2, Product(pack(s).to(device), weight.to(device), bias.to(device)), kept, random(1, 5).to(device)
    )
    layer = plain_layer(of, 2, [x])
    assert layer.margin > CLEAR
    assert torch.equal(unpack(kept.spikes, 5)[0], layer.s[0].detach())


EXTREMES = [0.0, 50.0, 1e4, 1e30, -50.0, -1e4, -1e30, float("nan")]


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("kind", SPIKING)
def test_potentials_far_out_give_finite_slopes_and_what_is_not_a_number_shows(kind, device):
    of = replace(pass_of(kind, 8, (2,), device), neuron=Neuron(KINDS[kind], 0.0, 0.0, THRESHOLD))
    x = torch.zeros(1, 1, 2, WIDTH)
    x[..., :8] = torch.tensor(EXTREMES)
    kept = kept_for(of, 1, 2, WIDTH)
    forward(of, 0, Rows(x.to(device)), kept, torch.ones(1, 2, device=device))
    dx, bias = torch.empty(1, 1, 2, WIDTH, device=device), torch.empty(1, 1, WIDTH, device=device)
    backward(of, Given(torch.ones_like(dx)), kept, torch.zeros(1, WIDTH, device=device), dx, bias)
    judge = plain_layer(of, 0, [x[0, :, :, :7]]).slopes[0]
    assert_close(dx[0, :, 0, :7], judge[:, 0], 2 * HALF)
    assert dx[0, 0, 0, 7].isnan() and bias[0, 0, 7].isnan()
    assert kept.totals[0, 0, 1:4].tolist() == [1.0 if kind == "lif-paper" else 2.0] * 3
    assert kept.totals[0, 0, 4:8].tolist() == [0.0] * 4


def test_two_passes_give_the_same_bits(device):
    def once():
        of, source, _ = product_case("sb", (33, 20), device, "split")
        kept = kept_for(of, SAMPLES, 33, WIDTH)
        forward(of, 1, source, kept, random(2, 33).to(device))
        dx = torch.zeros(2, SAMPLES, 33, WIDTH, device=device)
        bias = torch.empty(2, SAMPLES, WIDTH, device=device)
        above = Down(random(2, SAMPLES, 33, 32).to(device), random(2, 32, WIDTH).to(device))
        backward(of, above, kept, torch.zeros(2, WIDTH, device=device), dx, bias)
        return kept.spikes, kept.slopes, kept.totals, kept.averaged, dx, bias

    for first, second in zip(once(), once(), strict=True):
        assert torch.equal(first.view(torch.uint8), second.view(torch.uint8))


def test_refuses_an_unknown_precision(device):
    of, source, _ = product_case("lif", (2, 1), device, "half")
    with pytest.raises(ValueError, match="'half'"):
        forward(of, 1, source, kept_for(of, SAMPLES, 2, WIDTH), random(2, 2).to(device))
