"""The leaky integrate-and-fire neuron with a soft reset, and its gradients: BPTT, EXODUS, SLAYER.

    u[t] = lam (u[t-1] - theta s[t-1]) + x[t]       lam = exp(-dt / tau_mem); 1 does not leak (IAF)
    s[t] = 1[u[t] >= theta]                         at the threshold it fires

from rest: one state, an input of gain 1 that is not decayed, a spike that takes off what it needed. This is
u = K x - R s with K[t,k] = lam^(t-k) for k <= t, R[t,k] = theta lam^(t-k) for k < t. Where a surrogate sg
(`surrogate.py`) stands for ds/du, D = diag(sg) and g = dL/ds, the implicit relation has the derivative
(1 + R D) du = K dx. That matrix is unit lower triangular and can always be inverted:

    EXODUS (arXiv 2205.10242)     dx = K^T (1 + R D)^-T D g      the gradient with the reset in the graph
    SLAYER (arXiv 1810.08646)     dx = K^T D g                   the reset's response left out

For this reset both are recurrences that run backwards, with dx = e:

    EXODUS    e[t] = sg[t] g[t] + lam (1 - theta sg[t]) e[t+1]       contracts iff 0 <= theta sg <= 2
    SLAYER    e[t] = sg[t] g[t] + lam e[t+1]                         adds up to 1 / (1 - lam) of them

Being linear in e they have a parallel form, a scan over pairs (factor, source). `bptt` and `bptt-detached`
differentiate the loop over time itself, with the spike that resets in the graph, or detached from it: the
same two gradients.

SLAYER's authors had other response kernels and a neuron of their own; here it is the gradient that EXODUS was
compared with.

Shapes: x, u, s (..., T, N).
"""

from collections.abc import Callable
from types import ModuleType
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spsn.neurons.integrator import decay as decay_of
from spsn.neurons.surrogate import Surrogate, surrogate_slope

Gradient = Literal["bptt", "bptt-detached", "exodus", "slayer"]
Method = Literal["scan", "loop"]


def soft_reset_lif(
    x: Tensor,
    decay: float,
    threshold: float = 1.0,
    gradient: Gradient = "exodus",
    surrogate: Surrogate = "exponential",
    *,
    method: Method = "scan",
    fused: bool = False,
) -> Tensor:
    """Spikes (..., T, N), 0 or 1, of the pre-activation x (..., T, N).

    method: how the closed forms run backwards, parallel over time or step by step. `fused` takes the kernels
    of where x lives, float32 alone. Raises ValueError for names that are unknown, a threshold that is not
    positive and finite, and where there is no fused form.
    """
    _check(threshold, gradient, surrogate, method)
    if fused:
        return _fused(x, decay, threshold, gradient, surrogate)
    if gradient in ("exodus", "slayer"):
        reset = threshold if gradient == "exodus" else 0.0
        return _ClosedForm.apply(x, decay, threshold, reset, surrogate, method)
    return unrolled(
        x, decay, threshold, lambda distance: _Spike.apply(distance, surrogate, threshold),
        detached=gradient == "bptt-detached",
    )[1]  # fmt: skip


def simulate(x: Tensor, decay: float, threshold: float) -> tuple[Tensor, Tensor]:
    """Potentials before the reset and spikes (0 or 1, of x's type), both (..., T, N); not differentiable."""
    over_time = x.detach().movedim(-2, 0).contiguous()
    potentials, spikes = torch.empty_like(over_time), torch.empty_like(over_time)
    left = torch.zeros_like(over_time[0])
    for now, potential, spike in zip(over_time, potentials, spikes, strict=True):
        torch.add(now, left, alpha=decay, out=potential)
        torch.ge(potential, threshold, out=spike)
        torch.sub(potential, spike, alpha=threshold, out=left)
    return potentials.movedim(0, -2), spikes.movedim(0, -2)


def unrolled(
    x: Tensor,
    decay: float,
    threshold: float,
    fire: Callable[[Tensor], Tensor],
    *,
    reset: float | None = None,
    detached: bool = False,
) -> tuple[Tensor, Tensor]:
    """Potentials and spikes (..., T, N) by the equations as they stand, each step in autograd's graph.

    fire: s of u - theta. reset: what a spike takes off, the threshold where it is not given. detached: the
    spike that resets is a constant.
    """
    amount = threshold if reset is None else reset
    left = torch.zeros_like(x[..., 0, :])
    potentials, spikes = [], []
    for now in x.unbind(-2):
        potential = torch.add(now, left, alpha=decay)
        spike = fire(potential - threshold)
        left = torch.sub(potential, spike.detach() if detached else spike, alpha=amount)
        potentials.append(potential)
        spikes.append(spike)
    return torch.stack(potentials, dim=-2), torch.stack(spikes, dim=-2)


def errors(source: Tensor, slopes: Tensor, decay: float, reset: float, method: Method = "scan") -> Tensor:
    """e[t] = source[t] + decay (1 - reset slopes[t]) e[t+1], (..., T, N); reset = 0 is SLAYER's.

    The scan multiplies factors: where `reset * slopes` exceeds 2, their products may overflow where the
    loop's errors do not.
    """
    over_time = source.movedim(-2, 0)
    if reset == 0:
        factors = source.new_full((len(over_time),) + (1,) * (source.dim() - 1), decay)
    else:
        factors = torch.rsub(slopes, decay, alpha=decay * reset).movedim(-2, 0)
    run = _scan if method == "scan" else _loop
    return run(factors, over_time).movedim(0, -2)


def _loop(factors: Tensor, source: Tensor) -> Tensor:
    """e[t] = source[t] + factors[t] e[t+1] step by step; (T, ...), factors may be broadcast."""
    out = torch.empty_like(source)
    out[-1] = source[-1]
    for t in range(len(source) - 2, -1, -1):
        torch.addcmul(source[t], factors[t], out[t + 1], out=out[t])
    return out


def _scan(factors: Tensor, source: Tensor) -> Tensor:
    """The same in 2 log2 T parallel steps and 3 T products.

    Two steps are one of the same kind, e[t] = (source[t] + factors[t] source[t+1]) + factors[t] factors[t+1]
    e[t+2], so the even steps are a recurrence of half the length, and the odd ones follow from them.
    """
    if len(source) == 1:
        return source
    pairs = len(source) // 2
    even, odd = factors[::2].clone(), factors[1::2]
    halved = source[::2].clone()
    halved[:pairs].addcmul_(even[:pairs], source[1::2])
    even[:pairs].mul_(odd)
    out = torch.empty_like(source)
    out[::2] = halved = _scan(even, halved)
    out[1::2] = source[1::2]
    after = len(halved) - 1
    out[1::2][:after].addcmul_(odd[:after], halved[1:])
    return out


class _Spike(torch.autograd.Function):
    """s = 1[distance >= 0] with a surrogate's gradient."""

    @staticmethod
    def forward(ctx, distance: Tensor, surrogate: Surrogate, threshold: float) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.constants = surrogate, threshold
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        (distance,) = ctx.saved_tensors
        return gradient * surrogate_slope(distance, *ctx.constants), None, None


class _ClosedForm(torch.autograd.Function):
    """Only the potentials are kept."""

    @staticmethod
    def forward(
        ctx, x: Tensor, decay: float, threshold: float, reset: float, surrogate: Surrogate, method: Method
    ) -> Tensor:
        potentials, spikes = simulate(x, decay, threshold)
        ctx.save_for_backward(potentials)
        ctx.constants = decay, threshold, reset, surrogate, method
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        decay, threshold, reset, surrogate, method = ctx.constants
        (potentials,) = ctx.saved_tensors
        slopes = surrogate_slope(potentials - threshold, surrogate, threshold)
        dx = errors(slopes * gradient, slopes, decay, reset, method)
        return dx, None, None, None, None, None


def _fused(x: Tensor, decay: float, threshold: float, gradient: Gradient, surrogate: Surrogate) -> Tensor:
    if gradient not in ("exodus", "slayer"):
        raise ValueError(f"there is no fused form of the gradient {gradient!r}: take 'exodus' or 'slayer'")
    return fused_forms(x).soft_reset_lif(x, decay, threshold, gradient, surrogate)


def fused_forms(x: Tensor) -> ModuleType:
    """The module of the neuron's fused forms where x lives, on a GPU or on a CPU."""
    if x.device.type == "cuda":
        from spsn.kernels.gpu import soft_reset
    else:
        from spsn.kernels.cpu import soft_reset
    return soft_reset


def _check(threshold: float, gradient: str, surrogate: str, method: str) -> None:
    if not 0 < threshold < float("inf"):
        raise ValueError(f"a threshold must be positive and finite, not {threshold}")
    for what, name, names in (
        ("gradient", gradient, get_args(Gradient)),
        ("surrogate", surrogate, get_args(Surrogate)),
        ("method", method, get_args(Method)),
    ):
        if name not in names:
            raise ValueError(f"the {what} must be one of {', '.join(names)}, not {name!r}")


class SoftResetLIF(nn.Module):
    """A layer of leaky integrate-and-fire neurons with a soft reset.

    Arguments: time constant (inf: no leak) and step in seconds, threshold in units of the input; see
    `soft_reset_lif`.
    """

    def __init__(
        self,
        tau_mem: float = 0.02,
        time_step: float = 0.001,
        threshold: float = 1.0,
        gradient: Gradient = "exodus",
        surrogate: Surrogate = "exponential",
        fused: bool = False,
    ) -> None:
        super().__init__()
        _check(threshold, gradient, surrogate, "scan")
        self.decay = decay_of(tau_mem, time_step)
        self.threshold = threshold
        self.gradient: Gradient = gradient
        self.surrogate: Surrogate = surrogate
        self.fused = fused

    def forward(self, x: Tensor) -> Tensor:
        """Spikes (..., T, N) of the pre-activation x (..., T, N)."""
        return soft_reset_lif(x, self.decay, self.threshold, self.gradient, self.surrogate, fused=self.fused)
