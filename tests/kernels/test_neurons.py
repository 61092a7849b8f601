"""Neurons as torch operations against the plain forms in float64: spikes equal, gradients to rounding."""

import math

import pytest
import torch
from torch import Tensor

from spsn import neurons as plain
from spsn import threads
from spsn.kernels.cpu.engine import NoiseAddress
from spsn.kernels.cpu.neurons import bernoulli_spikes, gumbel_spikes, integrate, lif
from spsn.neurons.integrator import recurrence
from spsn.neurons.lif import autograd_lif
from spsn.noise import Purpose, uniforms

ALPHA, BETA = math.exp(-1 / 10), math.exp(-1 / 20)
ADDRESS = NoiseAddress((5,), Purpose.TIMING, epoch=2, step=3)
KINDS = ["spsn-sb", "spsn-gs", "lif", "lif-paper"]
SHAPES = [(1, 1), (2, 70), (3, 7, 16), (2, 3, 64, 20), (9, 65, 1), (1, 1000, 16), (130, 128)]
CLEAR = 2e-6


def fused(kind: str, x: Tensor, alpha: float = ALPHA, beta: float = BETA) -> Tensor:
    if kind.startswith("lif"):
        return lif(x, alpha, beta, 0.7, "paper" if kind == "lif-paper" else "code")
    fire = bernoulli_spikes if kind == "spsn-sb" else gumbel_spikes
    return fire(x, alpha, beta, ADDRESS, layer=1)


def noise_for(x: Tensor) -> Tensor:
    drawn = uniforms(5, Purpose.TIMING, (x[..., 0, 0].numel(), *x.shape[-2:]), epoch=2, step=3, layer=1)
    return torch.from_numpy(drawn).double().view(x.shape)


def judge(kind: str, x: Tensor, alpha: float = ALPHA, beta: float = BETA) -> tuple[Tensor, Tensor]:
    """Spikes of the plain form, and the distances of its potentials from their decisions."""
    if kind.startswith("lif"):
        s, u = autograd_lif(x, alpha, beta, 0.7, "paper" if kind == "lif-paper" else "code")
        return s, (u - 0.7) / u.abs().max()
    u, r = recurrence(x, alpha, beta), noise_for(x)
    scale = u.abs().max().clamp(min=1)
    if kind == "spsn-sb":
        return plain.spsn.bernoulli_spikes(u, r), (u - torch.logit(r)) / scale
    return plain.spsn.gumbel_spikes(u, r), (2 * u + torch.logit(r)) / scale


def clear_drive(kind: str, shape: tuple[int, ...]) -> Tensor:
    """A noisy input with which no decision is closer than rounding."""
    for seed in range(200):
        x = 0.1 + torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        if judge(kind, x.double())[1].abs().min() > CLEAR:
            return x
    raise AssertionError("no clear drive found")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_spikes_and_gradients_are_those_of_the_plain_form(kind, shape):
    x = clear_drive(kind, shape)
    weigh = torch.randn(shape, generator=torch.Generator().manual_seed(99))
    ours, theirs = x.clone().requires_grad_(), x.double().requires_grad_()
    s, expected = fused(kind, ours), judge(kind, theirs)[0]
    assert torch.equal(s.double(), expected)
    (s * weigh).sum().backward()
    (expected * weigh).sum().backward()
    tolerance = 1e-4 if kind.startswith("lif") else 1e-5
    assert (ours.grad - theirs.grad).abs().max() <= tolerance * theirs.grad.abs().max()
    assert theirs.grad.any()


@pytest.mark.parametrize("kind", [*KINDS, "integrator"])
@pytest.mark.parametrize("shape", [(1, 70, 100), (7, 130, 20)])
def test_threads_change_no_bit(kind, shape):
    """Few samples are shared out by neurons, many by samples."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    results = []
    before = threads.kernel_threads()
    try:
        for count in (1, 2, 3, 5):
            threads.set_kernel_threads(count)
            leaf = x.clone().requires_grad_()
            out = integrate(leaf, ALPHA, BETA) if kind == "integrator" else fused(kind, leaf)
            (out * x).sum().backward()
            results.append((out.detach(), leaf.grad))
    finally:
        threads.set_kernel_threads(before)
    assert all(torch.equal(*pair) for r in results[1:] for pair in zip(r, results[0], strict=True))


@pytest.mark.parametrize("kind", ["lif", "integrator"])
def test_leading_dimensions_and_strides_do_not_matter(kind):
    fire = (lambda x: integrate(x, ALPHA, BETA)) if kind == "integrator" else (lambda x: fused(kind, x))
    x = torch.randn(2, 3, 66, 20, generator=torch.Generator().manual_seed(2))
    s = fire(x)
    assert s.any()
    assert torch.equal(fire(x[1, 2]), s[1, 2])
    assert torch.equal(fire(x.transpose(-1, -2).contiguous().transpose(-1, -2)), s)
    leaf = x.clone().requires_grad_()
    fire(leaf)[..., ::2].sum().backward()  # a gradient with holes
    dense = x.clone().requires_grad_()
    weigh = torch.zeros(20)
    weigh[::2] = 1
    (fire(dense) * weigh).sum().backward()
    assert torch.equal(leaf.grad, dense.grad)


@pytest.mark.parametrize("kind", KINDS)
def test_the_input_is_left_alone_and_passes_do_not_meet(kind):
    """Unlike the engine, these operations keep what they need: two passes may be open at once."""
    x, y = (torch.randn(2, 70, 16, generator=torch.Generator().manual_seed(k)) for k in (1, 2))
    before = x.clone()
    x.requires_grad_()
    first = fused(kind, x)
    alone = torch.autograd.grad(first.sum(), x, retain_graph=True)[0]
    fused(kind, y)
    assert torch.equal(torch.autograd.grad(first.sum(), x)[0], alone)
    assert torch.equal(x.detach(), before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int32])
def test_other_types_than_float32_are_refused(dtype):
    x = torch.zeros(3, 2, dtype=dtype)
    for operation in (lambda: integrate(x, 0.9, 0.9), lambda: fused("lif", x), lambda: fused("spsn-sb", x)):
        with pytest.raises(ValueError, match="float32"):
            operation()


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_is_no_word_is_refused(seed):
    with pytest.raises(ValueError, match="a seed must lie"):
        bernoulli_spikes(torch.zeros(2, 2), ALPHA, BETA, NoiseAddress((seed,)))
