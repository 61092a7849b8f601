"""Parallel spiking units (arXiv 2402.00449): the leaky integrate-and-fire neuron with its reset estimated, so
that all time steps are computed at once. I is the pre-activation, lam = exp(-dt / tau_mem), and

    (A I)[t] = sum_{j<=t} lam^(t-j+1) I[j]      leaky integration; the newest input is decayed once as well
    (R e)[t] = sum_{j<t}  lam^(t-j)   e[j]      what subtractions e leave: a soft reset, before the decay

    PSU            D = A I                              V = D  - theta R e(D)
    IPSU, code     D = tril(W) I + b                    V = D  - R I
    IPSU, sigmoid  D = tril(W) I + b                    V = D  - R e(D)
    RPSU           D1 = A I, D2 = tril(W) I + b         V = D1 - R e(D2)          s = 1[V > theta], strictly

A and R are the authors' T x T matrices (`form="matrix"`: the definition). Both are first-order recurrences,
A I = lam J(I) and (R e)[t] = lam J(e)[t-1] with J(x)[t] = lam J(x)[t-1] + x[t]. So the default forms need
memory linear in T, and work too (by FFT: T log T). Only tril(W), shared by a layer's neurons, costs T^2.

e(D) stands for the spikes that a sequential neuron would subtract:

    literal   e(D) = sigma(D)               as published; V at rest is -theta/2 lam / (1 - lam)
    centred   e(D) = sigma(D - theta)       ours: 1/2 at the threshold instead of at rest. V at rest is
                                            -theta sigma(-theta) lam / (1 - lam). The slope stays 1.

For theta = 1 and tau_mem = 20 ms these are -9.75 and -5.25 at steps of 1 ms, -2.26 and -1.21 at 4 ms: units
with a long memory hold themselves down. (IPSU and RPSU: the same where b = 0, with 1 for the factor theta.)

The equations are those of the authors' program, which settles what summaries of the paper leave open:
* Its tau is no time constant: the decay is 1 / tau (2 by default), so a larger tau forgets faster.
* Its IPSU subtracts R I, the response to the raw input, not to estimated spikes: a masked parallel spiking
  neuron with weights tril(W) - R. The reading with the sigmoid stands beside it under its own name.
* Outside PSU it leaves theta off R: a reset subtracts 1. For theta = 1 there is no difference.

Gradient: everything as it stands, the estimate included; the spike's, with v = V - theta, is that of
arctan(pi a v / 2) / pi + 1/2, so ds/dv := a / (2 (1 + (pi a v / 2)^2)). The slope a, 2 at first, is learned.

Shapes: I, V, s (..., T, N); slope (..., 1, 1), W (..., T_max, T_max), b (..., T_max, 1). Recordings end
together, so an input of T < T_max steps meets the last T rows and columns. `mask` (..., T, 1) is 1 on a run's
own steps and 0 before them, where I is 0 already: nothing is estimated and nothing fires there.
"""

import math
from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from spsn import noise
from spsn.errors import SpsnError
from spsn.neurons.integrator import Method, integrate
from spsn.neurons.integrator import decay as decay_of
from spsn.noise import Purpose

Kind = Literal["psu", "ipsu-code", "ipsu-sigmoid", "rpsu"]
Reset = Literal["literal", "centred"]
Form = Literal["matrix"] | Method
INITIAL_SLOPE = 2.0


def input_matrix(decay: float, steps: int) -> np.ndarray:
    """A (T, T), float64: lam^(i-j+1) for i >= j, else 0."""
    lag = np.subtract.outer(np.arange(steps), np.arange(steps))
    return np.where(lag >= 0, float(decay) ** np.maximum(lag + 1, 1), 0.0)


def reset_matrix(decay: float, steps: int) -> np.ndarray:
    """R (T, T), float64: lam^(i-j) for i > j, else 0."""
    lag = np.subtract.outer(np.arange(steps), np.arange(steps))
    return np.where(lag > 0, float(decay) ** np.maximum(lag, 1), 0.0)


def input_response(x: Tensor, decay: float, form: Form = "auto") -> Tensor:
    """A x, (..., T, N). `form` is "matrix" or one of the integrator's."""
    if form == "matrix":
        return torch.matmul(x.new_tensor(input_matrix(decay, x.shape[-2])), x)
    return decay * integrate(x, decay, 0.0, form)


def reset_response(estimate: Tensor, decay: float, form: Form = "auto") -> Tensor:
    """R e, (..., T, N): the first step answers to nothing."""
    if form == "matrix":
        return torch.matmul(estimate.new_tensor(reset_matrix(decay, estimate.shape[-2])), estimate)
    return nn.functional.pad(input_response(estimate, decay, form), (0, 0, 1, -1))


def learned_response(x: Tensor, time_weight: Tensor, time_bias: Tensor) -> Tensor:
    """tril(W) x + b, (..., T, N), with the last T of T_max rows and columns.

    Raises SpsnError where the input is longer than the matrix.
    """
    steps, most = x.shape[-2], time_weight.shape[-1]
    if steps > most:
        raise SpsnError(
            f"an input of {steps} time steps is longer than the {most} that this model's weights over time "
            f"were made for; shorten it, use larger time steps, or train with room for {steps} steps"
        )
    weight = time_weight[..., most - steps :, most - steps :].tril()
    # A matmul would repeat the matrix, and its gradient, for every sample.
    mixed = torch.einsum("...ij,...jn->...in", weight, x)
    return mixed + time_bias[..., most - steps :, :]


def estimated_spikes(
    drive: Tensor, threshold: float, reset: Reset = "literal", mask: Tensor | None = None
) -> Tensor:
    """e(D), (..., T, N): sigma(D), or sigma(D - theta) where centred; 0 outside the mask."""
    estimate = torch.sigmoid(drive if reset == "literal" else drive - threshold)
    return estimate if mask is None else estimate * mask


def potential(
    kind: Kind,
    x: Tensor,
    parameters: Mapping[str, Tensor],
    decay: float,
    threshold: float,
    reset: Reset = "literal",
    mask: Tensor | None = None,
    form: Form = "auto",
) -> Tensor:
    """Membrane potential V (..., T, N) of the pre-activation x (..., T, N); arguments as in `fire`."""
    if kind == "psu":
        drive = input_response(x, decay, form)
        estimate = estimated_spikes(drive, threshold, reset, mask)
        return drive - threshold * reset_response(estimate, decay, form)
    learned = learned_response(x, parameters["time_weight"], parameters["time_bias"])
    if kind == "ipsu-code":
        return learned - reset_response(x, decay, form)
    estimate = estimated_spikes(learned, threshold, reset, mask)
    drive = learned if kind == "ipsu-sigmoid" else input_response(x, decay, form)
    return drive - reset_response(estimate, decay, form)


def fire(
    kind: Kind,
    x: Tensor,
    parameters: Mapping[str, Tensor],
    decay: float,
    threshold: float,
    reset: Reset = "literal",
    mask: Tensor | None = None,
    form: Form = "auto",
) -> Tensor:
    """Spikes (..., T, N) of the pre-activation x (..., T, N).

    `parameters` holds `slope` and, except for psu, `time_weight` and `time_bias`, each broadcastable to x as
    the module's docstring says. Raises ValueError for an unknown kind or reset, SpsnError where x is longer
    than the weights over time.
    """
    _check(kind, reset)
    v = potential(kind, x, parameters, decay, threshold, reset, mask, form) - threshold
    spikes = _Atan.apply(v, parameters["slope"])
    return spikes if mask is None else spikes * mask


class _Atan(torch.autograd.Function):
    """s = 1[v > 0] with the derivatives of arctan(pi a v / 2) / pi + 1/2, in v and in a."""

    @staticmethod
    def forward(ctx, v: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(v, slope)
        return (v > 0).to(v.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        v, slope = ctx.saved_tensors
        common = gradient / (2 * (1 + (math.pi / 2 * slope * v).square()))
        return slope * common, (v * common).sum_to_size(slope.shape)


def initial_parameters(kind: Kind, steps: int | None, seed: int, layer: int) -> dict[str, Tensor]:
    """What a layer learns, float32, a function of (steps, seed, layer) alone.

    slope        (1, 1): 2
    time_weight  (T, T): normal with standard deviation sqrt(2 / T), as in the authors' program; 0 above the
                 diagonal, which no unit reads
    time_bias    (T, 1): 0

    The last two except for psu, which needs no `steps`. Raises ValueError for an unknown kind and for `steps`
    that are missing or less than 1.
    """
    _check(kind, "literal")
    parameters = {"slope": torch.full((1, 1), INITIAL_SLOPE)}
    if kind == "psu":
        return parameters
    if steps is None or steps < 1:
        raise ValueError(
            f"{kind} learns weights over time: give the number of steps, at least 1, not {steps}"
        )
    normals = torch.from_numpy(_normals(seed, layer, steps * steps)).view(steps, steps)
    parameters["time_weight"] = (normals * (2 / steps) ** 0.5).float().tril()
    parameters["time_bias"] = torch.zeros(steps, 1)
    return parameters


def _normals(seed: int, layer: int, count: int) -> np.ndarray:
    """Standard normal draws, float64 (count,), two of every two words (Box and Muller 1958)."""
    words = noise.words(seed, Purpose.TIME_WEIGHTS, 2 * -(-count // 2), layer=layer)
    uniforms = noise.to_uniform(words).astype(np.float64).reshape(-1, 2)
    radius, angle = np.sqrt(-2 * np.log(uniforms[:, 0])), 2 * np.pi * uniforms[:, 1]
    return (radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)).reshape(-1)[:count]


def _check(kind: str, reset: str) -> None:
    if kind not in get_args(Kind):
        raise ValueError(f"a parallel spiking unit is one of {', '.join(get_args(Kind))}, not {kind!r}")
    if reset not in get_args(Reset):
        raise ValueError(f"reset must be 'literal' or 'centred', not {reset!r}")
    if kind == "ipsu-code" and reset != "literal":
        raise ValueError("ipsu-code estimates no spikes: its reset can only be 'literal'")


class ParallelSpikingUnit(nn.Module):
    """A layer of parallel spiking units that holds what it learns.

    Arguments: the kind; time constant and step in seconds; threshold in volt; `reset` "literal" or "centred";
    `steps`, the greatest number of time steps, which every kind but psu needs. `seed` and `layer` address the
    initial weights. Raises ValueError for values that make no neuron.
    """

    def __init__(
        self,
        kind: Kind,
        tau_mem: float = 0.02,
        time_step: float = 0.001,
        threshold: float = 1.0,
        reset: Reset = "literal",
        steps: int | None = None,
        *,
        seed: int = 0,
        layer: int = 0,
    ) -> None:
        super().__init__()
        _check(kind, reset)
        if tau_mem <= 0 or threshold <= 0:
            raise ValueError(f"time constant and threshold must be > 0, not {tau_mem} and {threshold}")
        self.kind: Kind = kind
        self.decay = decay_of(tau_mem, time_step)
        self.threshold = threshold
        self.reset: Reset = reset
        for name, value in initial_parameters(kind, steps, seed, layer).items():
            self.register_parameter(name, nn.Parameter(value))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Spikes (..., T, N) of the pre-activation x (..., T, N); `mask` (..., T, 1) as in `fire`."""
        parameters = dict(self.named_parameters())
        return fire(self.kind, x, parameters, self.decay, self.threshold, self.reset, mask)
