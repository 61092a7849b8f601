"""The leaky integrate-and-fire neuron (arXiv 2306.12666, equations 3, 5, 6) as the authors' program runs it:

    i[t] = alpha i[t-1] + x[t]
    u[t] = beta v[t-1] + (1-beta) i[t]
    s[t] = 1[u[t] > u_th]                       strictly above
    v[t] = u[t] (1 - s[t])                      the potential left after the reset; the current is not reset

`reset="paper"` is equation 6 to the letter: u[t] = (beta u[t-1] + (1-beta) i[t]) (1 - s[t-1]), where the
input that arrives one step after a spike is lost too.

Gradient: SuperSpike (Zenke and Ganguli 2018), ds/du := sg(u) = 1 / (100 |u - u_th| + 1)^2, with no gradient
through the reset. Back-propagation through time then has a closed form, two recurrences that run backwards:

    e[t] = sg[t] g[t] + beta (1 - s[t]) e[t+1]          e = dL/du,  g = dL/ds
    dx[t] = d[t] + alpha dx[t+1]                        d[t] = (1-beta) e[t]     (paper: times 1 - s[t-1])

`autograd_lif` differentiates the equations as they stand; `lif` uses the closed form, which keeps no graph.

Shapes: x, u, s (..., T, N); time constants are shared.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from spsn.neurons.integrator import chunks, decay

Reset = Literal["code", "paper"]
SURROGATE_SLOPE = 100.0


def surrogate(distance: Tensor) -> Tensor:
    """SuperSpike: 1 / (100 |u - u_th| + 1)^2 of the distance u - u_th."""
    return (SURROGATE_SLOPE * distance.abs() + 1).pow(-2)


class _Threshold(torch.autograd.Function):
    """s = 1[distance > 0] with the surrogate's gradient."""

    @staticmethod
    def forward(ctx, distance: Tensor) -> Tensor:
        ctx.save_for_backward(distance)
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        (distance,) = ctx.saved_tensors
        return gradient * surrogate(distance)


def autograd_lif(
    x: Tensor, alpha: float, beta: float, threshold: float = 1.0, reset: Reset = "code"
) -> tuple[Tensor, Tensor]:
    """Spikes and membrane potentials (before the reset), each (..., T, N): the equations, step by step."""
    current = torch.zeros_like(x[..., 0, :])
    left = torch.zeros_like(current)
    silent = torch.ones_like(current)  # 1 - s[t-1], without gradient
    spikes, potentials = [], []
    for x_t in x.unbind(-2):
        current = alpha * current + x_t
        if reset == "code":
            potential = beta * left * silent + (1 - beta) * current
        else:
            potential = (beta * left + (1 - beta) * current) * silent
        spike = _Threshold.apply(potential - threshold)
        left, silent = potential, 1 - spike.detach()
        spikes.append(spike)
        potentials.append(potential)
    return torch.stack(spikes, dim=-2), torch.stack(potentials, dim=-2)


def lif(x: Tensor, alpha: float, beta: float, threshold: float = 1.0, reset: Reset = "code") -> Tensor:
    """Spikes (..., T, N) of the pre-activation x (..., T, N), differentiated in closed form."""
    return _ClosedForm.apply(x, alpha, beta, threshold, reset)


class _ClosedForm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, alpha: float, beta: float, threshold: float, reset: Reset) -> Tensor:
        drive = (1 - beta) * _current(x, alpha)
        potentials, fired = _simulate(drive, beta, threshold, reset)
        ctx.save_for_backward(potentials, fired)
        ctx.constants = alpha, beta, threshold, reset
        return fired.to(x.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        potentials, fired = ctx.saved_tensors
        alpha, beta, threshold, reset = ctx.constants
        error = _backward_potential(gradient * surrogate(potentials - threshold), fired, beta)
        drive = (1 - beta) * error
        if reset == "paper":
            drive[..., 1:, :].masked_fill_(fired[..., :-1, :], 0)
        return _current(drive.flip(-2), alpha).flip(-2), None, None, None, None


def _current(x: Tensor, alpha: float) -> Tensor:
    """i[t] = alpha i[t-1] + x[t]: the integrator with beta = 0."""
    return chunks(x, alpha, 0.0)


def _simulate(drive: Tensor, beta: float, threshold: float, reset: Reset) -> tuple[Tensor, Tensor]:
    """Potentials before the reset and spikes (bool), both (..., T, N), of the drive (1-beta) i."""
    over_time = drive.movedim(-2, 0).contiguous()
    potentials = torch.empty_like(over_time)
    fired = torch.empty_like(over_time, dtype=torch.bool)
    left = torch.zeros_like(over_time[0])
    for t in range(over_time.shape[0]):
        torch.add(over_time[t], left, alpha=beta, out=potentials[t])
        if reset == "paper" and t > 0:
            potentials[t].masked_fill_(fired[t - 1], 0)
        torch.gt(potentials[t], threshold, out=fired[t])
        left = potentials[t].masked_fill(fired[t], 0) if reset == "code" else potentials[t]
    return potentials.movedim(0, -2), fired.movedim(0, -2)


def _backward_potential(source: Tensor, fired: Tensor, beta: float) -> Tensor:
    """e[t] = source[t] + beta (1 - s[t]) e[t+1], (..., T, N)."""
    over_time = source.movedim(-2, 0).contiguous()
    kept = torch.full_like(over_time, beta).masked_fill_(fired.movedim(-2, 0), 0)
    for t in range(over_time.shape[0] - 2, -1, -1):
        over_time[t].addcmul_(kept[t], over_time[t + 1])
    return over_time.movedim(0, -2)


class LIF(nn.Module):
    """A layer of leaky integrate-and-fire neurons.

    Arguments: time constants and step in seconds, threshold in volt, `reset` "code" or "paper" (equation 6).
    """

    def __init__(
        self,
        tau_mem: float = 0.02,
        tau_syn: float = 0.02,
        time_step: float = 0.001,
        threshold: float = 1.0,
        reset: Reset = "code",
    ) -> None:
        super().__init__()
        if reset not in ("code", "paper"):
            raise ValueError(f"reset must be 'code' or 'paper', not {reset!r}")
        self.alpha = decay(tau_syn, time_step)
        self.beta = decay(tau_mem, time_step)
        self.threshold = threshold
        self.reset: Reset = reset

    def forward(self, x: Tensor) -> Tensor:
        """Spikes (..., T, N) of the pre-activation x (..., T, N)."""
        return lif(x, self.alpha, self.beta, self.threshold, self.reset)
