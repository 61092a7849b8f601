"""The leaky integrator: two cascaded first-order filters (arXiv 2306.12666, equations 5 and 7),

    i[t] = alpha i[t-1] + x[t]            synaptic current         alpha = exp(-dt / tau_syn)
    u[t] = beta u[t-1] + (1-beta) i[t]    membrane potential       beta  = exp(-dt / tau_mem)

from rest. It is linear and time invariant, so u = h * x (equations 13-15) with the impulse response

    h[n] = (1-beta) (alpha^(n+1) - beta^(n+1)) / (alpha - beta)      or (1-beta)(n+1) alpha^n if alpha = beta.

Three forms of one thing: `recurrence` (the definition), `fft` (parallel over time) and `chunks` (Toeplitz
products within chunks of time, the two states carried from chunk to chunk; the fastest plain form on a CPU).

The authors' program multiplies the spectra of both kernels and of x at length 2T; the product fills 3T-2
samples, so its tail wraps round onto the start. Here h itself is convolved at a length of at least 2T-1:
nothing wraps.

Shapes: x and u (..., T, N); time constants are the same for all neurons.
"""

import math
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

Method = Literal["auto", "recurrence", "fft", "chunks"]
CHUNK = 32  # 16 to 64 are equally fast within the noise
FFT_MULTIPLE = 256  # few distinct lengths, all without large prime factors, so that plans are fast and reused


def decay(tau: float, time_step: float) -> float:
    """exp(-dt / tau): what remains of a state after one step. Both in seconds; tau = 0 keeps nothing."""
    if tau < 0 or time_step <= 0:
        raise ValueError(f"a time constant must be >= 0 and a time step > 0, not {tau} and {time_step}")
    return math.exp(-time_step / tau) if tau > 0 else 0.0


@lru_cache(maxsize=64)
def impulse_response(alpha: float, beta: float, steps: int) -> np.ndarray:
    """h[0 ... steps-1] in float64. Where alpha and beta are close the quotient cancels; it is summed instead:

    (alpha^(n+1) - beta^(n+1)) / (alpha - beta) = sum_k alpha^k beta^(n-k), a geometric sum of positive terms.
    """
    n = np.arange(steps, dtype=np.float64)
    if alpha == beta:
        response = (1 - beta) * (n + 1) * alpha**n
    elif abs(alpha - beta) > 1e-3:
        response = (1 - beta) * (alpha ** (n + 1) - beta ** (n + 1)) / (alpha - beta)
    else:
        large, small = max(alpha, beta), min(alpha, beta)
        ratio = (
            np.expm1((n + 1) * math.log(small / large)) / math.expm1(math.log(small / large))
            if small > 0
            else 1.0
        )
        response = (1 - beta) * large**n * ratio
    response.setflags(write=False)
    return response


def recurrence(x: Tensor, alpha: float, beta: float) -> Tensor:
    """Equations 5 and 7 step by step: the definition. x, u: (..., T, N)."""
    current = torch.zeros_like(x[..., 0, :])
    potential = torch.zeros_like(current)
    potentials = []
    for x_t in x.unbind(-2):
        current = alpha * current + x_t
        potential = beta * potential + (1 - beta) * current
        potentials.append(potential)
    return torch.stack(potentials, dim=-2)


def fft(x: Tensor, alpha: float, beta: float) -> Tensor:
    """u = h * x in the Fourier domain, without wrap-around. x, u: (..., T, N)."""
    steps = x.shape[-2]
    length = -(-2 * steps // FFT_MULTIPLE) * FFT_MULTIPLE
    kernel = torch.tensor(impulse_response(alpha, beta, steps), dtype=x.dtype, device=x.device)
    spectrum = torch.fft.rfft(x.transpose(-1, -2), n=length) * torch.fft.rfft(kernel, n=length)
    return torch.fft.irfft(spectrum, n=length)[..., :steps].transpose(-1, -2)


def chunks(x: Tensor, alpha: float, beta: float) -> Tensor:
    """u = h * x by Toeplitz products in chunks of time. x, u: (..., T, N); differentiable."""
    return _Chunks.apply(x, alpha, beta)


def integrate(x: Tensor, alpha: float, beta: float, method: Method = "auto") -> Tensor:
    """Membrane potential u (..., T, N) of the pre-activation x (..., T, N), from rest.

    `auto` takes the form that is fastest where x lives: `chunks` on a CPU, `fft` elsewhere.
    """
    if method == "auto":
        method = "chunks" if x.device.type == "cpu" else "fft"
    return {"recurrence": recurrence, "fft": fft, "chunks": chunks}[method](x, alpha, beta)


def mean_coefficients(alpha: float, beta: float, steps: int) -> np.ndarray:
    """c with mean_t u[t] = sum_t c[t] x[t], float64 (steps,): c[t] = (1/T) sum_{n < T-t} h[n].

    The mean over time of a linear filter's output is a weighted sum of its input, so a readout integrator
    whose potential is only averaged need not be simulated.
    """
    return np.cumsum(impulse_response(alpha, beta, steps))[::-1] / steps


@lru_cache(maxsize=16)
def _chunk_matrices(
    alpha: float, beta: float, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, ...]:
    """Matrices of one chunk of L steps.

    local (L+2, L): potentials of the chunk from rest, then its final current and potential
    carry (L, 2): what the states (i, u) before the chunk add to its potentials
    step  (2, 2): what they add to the states after it
    """
    h = impulse_response(alpha, beta, CHUNK + 1)
    lag = np.subtract.outer(np.arange(CHUNK), np.arange(CHUNK))
    toeplitz = np.where(lag >= 0, h[np.maximum(lag, 0)], 0.0)
    final_current = alpha ** (CHUNK - 1 - np.arange(CHUNK, dtype=np.float64))
    local = np.vstack([toeplitz, final_current, toeplitz[-1]])
    n = np.arange(1, CHUNK + 1)
    carry = np.stack([alpha * h[:CHUNK], beta ** n.astype(np.float64)], axis=1)
    step = np.array([[alpha**CHUNK, 0.0], [carry[-1, 0], carry[-1, 1]]])
    return tuple(torch.tensor(m, dtype=dtype, device=device) for m in (local, carry, step))


def _filter_chunks(x: Tensor, alpha: float, beta: float) -> Tensor:
    local, carry, step = _chunk_matrices(alpha, beta, x.dtype, x.device)
    *lead, steps, neurons = x.shape
    missing = -steps % CHUNK  # zeros in front leave the state at rest
    x = nn.functional.pad(x, (0, 0, missing, 0)) if missing else x
    count = x.shape[-2] // CHUNK
    blocks = torch.matmul(local, x.reshape(*lead, count, CHUNK, neurons))  # (..., K, L+2, N)
    u = blocks[..., :CHUNK, :]
    if count > 1:
        states = [torch.zeros_like(blocks[..., 0, CHUNK:, :])]  # (..., 2, N) before each chunk
        for k in range(count - 1):
            states.append(torch.matmul(step, states[-1]) + blocks[..., k, CHUNK:, :])
        u = u + torch.matmul(carry, torch.stack(states, dim=-3))
    return u.reshape(*lead, count * CHUNK, neurons)[..., missing:, :]


class _Chunks(torch.autograd.Function):
    """The adjoint of a causal filter is the same filter run backwards in time."""

    @staticmethod
    def forward(ctx, x: Tensor, alpha: float, beta: float) -> Tensor:
        ctx.decays = alpha, beta
        return _filter_chunks(x, alpha, beta)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return _filter_chunks(gradient.flip(-2), *ctx.decays).flip(-2), None, None


class LeakyIntegrator(nn.Module):
    """A layer of leaky integrators that do not fire (the readout of the paper's networks).

    Arguments: time constants and step in seconds. Input: pre-activation (..., T, N); output: potential, the
    same shape.
    """

    def __init__(
        self, tau_mem: float = 0.02, tau_syn: float = 0.02, time_step: float = 0.001, method: Method = "auto"
    ) -> None:
        super().__init__()
        self.alpha = decay(tau_syn, time_step)
        self.beta = decay(tau_mem, time_step)
        self.method: Method = method

    def forward(self, x: Tensor) -> Tensor:
        """Membrane potential (..., T, N) of the pre-activation x (..., T, N)."""
        return integrate(x, self.alpha, self.beta, self.method)
