"""What the kernels of LIF with a soft reset are held against: the plain forms in float64."""

from types import ModuleType

import torch
from torch import Tensor

from spsn.neurons.accumulation import ottt_spikes, saf_accumulate
from spsn.neurons.exodus import simulate, soft_reset_lif

WAYS = ["exodus", "slayer", "instant", "accumulate"]
SURROGATES = ["exponential", "sigmoid", "superspike"]


def fused(forms: ModuleType, way: str, x: Tensor, decay: float, threshold: float, surrogate: str) -> Tensor:
    """Spikes, or accumulations, by the kernels in `forms`."""
    if way == "accumulate":
        return forms.accumulate(x, decay, threshold, surrogate)
    return forms.soft_reset_lif(x, decay, threshold, way, surrogate)


def plain(way: str, x: Tensor, decay: float, threshold: float, surrogate: str) -> Tensor:
    """The same by the plain forms."""
    if way == "accumulate":
        return saf_accumulate(x, decay, threshold, surrogate)
    if way == "instant":
        return ottt_spikes(x, decay, threshold, surrogate)
    return soft_reset_lif(x, decay, threshold, way, surrogate)


def noisy(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """An input that makes the neurons fire now and then."""
    return 0.2 + 0.8 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def clear(way: str, shape: tuple[int, ...], decay: float, threshold: float, margin: float) -> Tensor:
    """A noisy input, or drive, with which no potential comes closer to the threshold than `margin` of the
    greatest number that it is the difference of.
    """
    for seed in range(300):
        given = noisy(shape, seed)
        x = given.double()
        if way == "accumulate":  # U of that input, as float32 has it, and u = U - theta lam a[t-1]
            given = _filtered(x, decay).float()
            u = given.double() - threshold * _before(
                plain(way, given.double(), decay, threshold, "sigmoid"), decay
            )
        else:
            u = simulate(x, decay, threshold)[0]
        if (u - threshold).abs().min() > margin * given.abs().max().clamp(min=u.abs().max()):
            return given
    raise AssertionError("no clear drive found")


def _filtered(x: Tensor, decay: float) -> Tensor:
    return simulate(x, decay, 1e300)[0]  # nobody fires


def _before(a: Tensor, decay: float) -> Tensor:
    """decay a[t-1]."""
    return decay * torch.nn.functional.pad(a, (0, 0, 1, 0))[..., :-1, :]


def assert_agrees(
    forms: ModuleType,
    way: str,
    x: Tensor,
    constants: tuple[float, float, str],
    share: float,
    device: torch.device | str = "cpu",
) -> None:
    """Spikes are those of the plain form, gradients and accumulations within `share` of the greatest."""
    weigh = torch.randn(x.shape, generator=torch.Generator().manual_seed(99))
    ours, theirs = x.clone().to(device).requires_grad_(), x.double().requires_grad_()
    out, expected = fused(forms, way, ours, *constants), plain(way, theirs, *constants)
    (out * weigh.to(device)).sum().backward()
    (expected * weigh).sum().backward()
    if way == "accumulate":
        torch.testing.assert_close(out.cpu().double(), expected.detach(), rtol=1e-5, atol=1e-6)
    else:
        assert torch.equal(out.cpu().double(), expected)
    assert theirs.grad.any()
    difference = (ours.grad.cpu().double() - theirs.grad).abs().max()
    assert difference <= share * theirs.grad.abs().max()
