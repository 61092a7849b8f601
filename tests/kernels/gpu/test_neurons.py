"""Neurons on a GPU against the plain forms in float64 and the CPU's kernels: spikes equal, gradients to the
eleven bits that slopes are kept with.
"""

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="needs Triton")

from spsn import neurons as plain
from spsn.kernels.cpu import neurons as on_cpu
from spsn.kernels.cpu.engine import NoiseAddress
from spsn.kernels.gpu import neurons as on_gpu
from spsn.kernels.gpu import streams
from spsn.neurons.integrator import recurrence
from spsn.neurons.lif import autograd_lif
from spsn.noise import Purpose, uniforms

ALPHA, BETA = 0.9, 0.95
ADDRESS = NoiseAddress((2**32 - 5,), Purpose.TIMING, epoch=2**31, step=3)
STOCHASTIC, LIFS = ["spsn-sb", "spsn-gs"], ["lif", "lif-paper"]
CLEAR = 4e-6  # of the greatest potential: more than rounding in float32 moves


def fused(forms, kind: str, x: Tensor, alpha: float = ALPHA, beta: float = BETA) -> Tensor:
    if kind == "integrator":
        return forms.integrate(x, alpha, beta)
    if kind in LIFS:
        return forms.lif(x, alpha, beta, 0.3, "paper" if kind == "lif-paper" else "code")
    fire = forms.bernoulli_spikes if kind == "spsn-sb" else forms.gumbel_spikes
    return fire(x, alpha, beta, ADDRESS, layer=1)


def noise_for(x: Tensor) -> Tensor:
    shape = (x[..., 0, 0].numel(), *x.shape[-2:])
    drawn = uniforms(ADDRESS.seeds[0], Purpose.TIMING, shape, epoch=2**31, step=3, layer=1)
    return torch.from_numpy(drawn).double().view(x.shape)


def judge(kind: str, x: Tensor, alpha: float = ALPHA, beta: float = BETA) -> tuple[Tensor, Tensor]:
    """What the plain form gives, and the distances of its potentials from their decisions."""
    if kind in LIFS:
        s, u = autograd_lif(x, alpha, beta, 0.3, "paper" if kind == "lif-paper" else "code")
        return s, (u - 0.3) / u.abs().max()
    u = recurrence(x, alpha, beta)
    if kind == "integrator":
        return u, torch.ones(())
    r, scale = noise_for(x), u.abs().max().clamp(min=1)
    if kind == "spsn-sb":
        return plain.spsn.bernoulli_spikes(u, r), (u - torch.logit(r)) / scale
    return plain.spsn.gumbel_spikes(u, r), (2 * u + torch.logit(r)) / scale


def clear_drive(kind: str, shape: tuple[int, ...], *decays: float) -> Tensor:
    """A noisy input with which no decision is closer than rounding."""
    for seed in range(200):
        x = 0.1 + torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        if judge(kind, x.double(), *decays)[1].abs().min() > CLEAR:
            return x
    raise AssertionError("no clear drive found")


def assert_agrees(kind: str, device: torch.device, shape: tuple[int, ...], *decays: float) -> None:
    """Spikes and gradients are those of the plain form."""
    x = clear_drive(kind, shape, *decays)
    weigh = torch.randn(shape, generator=torch.Generator().manual_seed(99))
    ours, theirs = x.clone().to(device).requires_grad_(), x.double().requires_grad_()
    s, expected = fused(on_gpu, kind, ours, *decays), judge(kind, theirs, *decays)[0]
    if kind == "integrator":
        torch.testing.assert_close(
            s.double().cpu(), expected, rtol=0, atol=1e-6 * expected.abs().max().item()
        )
    else:
        assert torch.equal(s.double().cpu(), expected) and (expected.any() or expected.numel() == 1)
    (s * weigh.to(device)).sum().backward()
    (expected * weigh).sum().backward()
    difference = (ours.grad.cpu().double() - theirs.grad).abs().max()
    assert theirs.grad.any() and difference <= 5e-4 * theirs.grad.abs().max()


@pytest.mark.parametrize("kind", [*STOCHASTIC, *LIFS, "integrator"])
def test_spikes_and_gradients_are_those_of_the_plain_form(device, kind):
    assert_agrees(kind, device, (2, 1, 29, 5))
    assert_agrees(kind, device, (1, 1))


@pytest.mark.parametrize("kind", [*STOCHASTIC, "integrator"])
@pytest.mark.parametrize("decays", [(ALPHA, BETA), (0.1, 0.2), (0.0, 0.0), (0.999, 0.999)])
def test_in_chunks_of_time_too(device, monkeypatch, kind, decays):
    """Chained where states outlast a chunk, not where they do not."""
    monkeypatch.setattr(streams, "LEAST", 64)
    assert_agrees(kind, device, (2, 75, 5), *decays)


@pytest.mark.parametrize("kind", LIFS)
@pytest.mark.parametrize("steps", [32, 48, 65, 113])
def test_lif_of_every_length(device, kind, steps):
    """Whole groups of rows, the next on their way, and what is left over."""
    assert_agrees(kind, device, (2, steps, 3))


def test_the_noise_has_the_same_bits(device):
    """At rest SPSN-SB fires where the uniform is below 1/2; samples and neurons that fill no program."""
    x = torch.zeros(2, 18, 35, device=device)
    r = noise_for(x)
    assert torch.equal(fused(on_gpu, "spsn-sb", x).cpu(), (r < 0.5).float())
    assert torch.equal(fused(on_gpu, "spsn-gs", x).cpu(), (r > 0.5).float())


@pytest.mark.parametrize("kind", [*STOCHASTIC, *LIFS])
def test_extreme_potentials_do_what_they_do_on_a_cpu(device, kind):
    """The sign decides, the slope is nothing; what is not a number shows in the gradient."""
    x = torch.tensor([1e4, -1e4, 1e30, -1e30, float("nan")]).expand(3, 5).contiguous()
    results = []
    for forms, there in ((on_gpu, device), (on_cpu, torch.device("cpu"))):
        leaf = x.to(there).clone().requires_grad_()
        s = fused(forms, kind, leaf, 0.0, 0.0)
        s.sum().backward()
        results.append((s.detach().cpu(), leaf.grad.cpu()))
    (s, gradient), (expected, judged) = results
    assert torch.equal(s[:, :4], expected[:, :4])
    assert gradient[:, :4].isfinite().all()
    torch.testing.assert_close(gradient[:, :4], judged[:, :4], rtol=1e-3, atol=1e-9)
    assert gradient[:, 4].isnan().all()


@pytest.mark.parametrize("kind", ["spsn-sb", "lif-paper", "integrator"])
def test_a_gradient_that_is_one_number_for_all(device, kind):
    """That of a mean, which has no memory of its own, and one that lies otherwise in memory."""
    x = torch.randn(2, 50, 5, generator=torch.Generator().manual_seed(3)).to(device).requires_grad_()
    s = fused(on_gpu, kind, x)
    weigh = torch.randn(2, 5, 50, device=device).transpose(1, 2)
    for given in (torch.full((), 0.7, device=device).expand(2, 50, 5), weigh):
        (ours,) = torch.autograd.grad(s, x, given, retain_graph=True)
        (dense,) = torch.autograd.grad(s, x, given.contiguous(), retain_graph=True)
        assert torch.equal(ours, dense) and ours.any()


@pytest.mark.parametrize("kind", ["spsn-sb", "lif"])
def test_the_input_is_left_alone_and_passes_do_not_meet(device, kind):
    x, y = (torch.randn(1, 40, 5, generator=torch.Generator().manual_seed(k)).to(device) for k in (1, 2))
    before = x.clone()
    x.requires_grad_()
    first = fused(on_gpu, kind, x)
    alone = torch.autograd.grad(first.sum(), x, retain_graph=True)[0]
    fused(on_gpu, kind, y)
    assert torch.equal(torch.autograd.grad(first.sum(), x)[0], alone)
    assert torch.equal(x.detach(), before)


def test_what_the_kernels_cannot_take_is_refused(device):
    for x in (torch.zeros(3, 2, dtype=torch.float64, device=device), torch.zeros(0, 2, device=device)):
        for kind in ("integrator", "lif", "spsn-sb"):
            with pytest.raises(ValueError, match="the fused neurons take"):
                fused(on_gpu, kind, x)
    with pytest.raises(ValueError, match="a seed must lie"):
        on_gpu.bernoulli_spikes(torch.zeros(2, 2, device=device), ALPHA, BETA, NoiseAddress((2**32,)))
    with pytest.raises(ValueError, match="reset"):
        on_gpu.lif(torch.zeros(2, 2, device=device), ALPHA, BETA, reset="none")
