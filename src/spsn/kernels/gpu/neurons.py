"""Neurons as torch operations on a GPU: filter and spike in one pass over memory, forward and back.

The functions of `spsn.kernels.neurons` for tensors (..., T, N) on a GPU (or on a CPU where Triton
interprets). No sum depends on the order in which programs run.

SPSN is computed in chunks of time (`streams`); its way back is the integrator's adjoint of slope times
gradient. LIF has one lane a neuron, from the first step to the last (`lif`). Kept for the way back is the
slope ds/du, float16 in units of SLOPE_UNIT (`fire`), which carries LIF's spike in its sign bit; so a gradient
is right to 2^-11 of its terms.

Bytes a neuron and step, with M = min(reach, L) / L of `streams` (0 without chunks, else about 0.4):

    integrate   8 + 4 M each way
    SPSN        forward 10 + 4 M (read x; written spike 4, slope 2); back 10 + 6 M
    LIF         forward 10; back 10 (`in_order`)

A gradient that is the same number everywhere, as that of a mean, is read from the cache: 4 (1 + M) fewer on
the way back. Instructions: SPSN forward about 45, 13 of them noise.
"""

from functools import partial

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from spsn.kernels.cpu.engine import NoiseAddress
from spsn.kernels.cpu.fire import Neuron
from spsn.kernels.gpu.fire import SLOPE_UNIT, fire_step
from spsn.kernels.gpu.in_order import BACKWARD_ROWS, BLOCK, FORWARD_ROWS
from spsn.kernels.gpu.launching import on
from spsn.kernels.gpu.lif import lif_backward, lif_forward
from spsn.kernels.gpu.philox import four_uniforms
from spsn.kernels.gpu.streams import (
    REST,
    Decays,
    block_for,
    chunks_for,
    end_states,
    filtered,
    load_rows,
    place,
    start_states,
)
from spsn.kernels.neurons import FusedNeurons, samples_of
from spsn.noise import key

FIRE_ROWS = 16  # time steps that are read at once; SPSN


def applied(operation: type[torch.autograd.Function], x: Tensor, *constants) -> Tensor:
    """operation.apply(x as (B, T, N), contiguous, *constants), in the shape of x.

    Raises ValueError for what the kernels cannot take.
    """
    interpreted = not isinstance(lif_forward, triton.JITFunction)
    whole = samples_of(x, "GPU", x.device.type == "cuda" or interpreted)
    return operation.apply(whole.contiguous(), *constants).reshape(x.shape)


class _Integrate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, neuron: Neuron) -> Tensor:
        ctx.neuron = neuron
        return filtered(x, Decays(neuron.alpha, neuron.beta, 1 - neuron.beta))

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        return filtered(gradient, _adjoint(ctx.neuron)), None


class _Fire(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, neuron: Neuron, noise: NoiseAddress, layer: int) -> Tensor:
        spikes, slopes = torch.empty_like(x), torch.empty_like(x, dtype=torch.float16)
        _launch_fire(neuron, _words(noise, layer), x, spikes, slopes)
        ctx.save_for_backward(slopes)
        ctx.neuron = neuron
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        (slopes,) = ctx.saved_tensors
        return filtered(gradient, _adjoint(ctx.neuron, SLOPE_UNIT), slopes), None, None, None


class _Lif(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, neuron: Neuron) -> Tensor:
        samples, steps, neurons = x.shape
        spikes, slopes = torch.empty_like(x), torch.empty_like(x, dtype=torch.float16)
        with on(x.device):
            lif_forward[(triton.cdiv(neurons, BLOCK) * samples,)](
                x, spikes, slopes, steps, neurons,
                neuron.alpha, neuron.beta, 1 - neuron.beta, neuron.threshold,
                neuron.kind, FORWARD_ROWS, BLOCK, num_warps=1,
            )  # fmt: skip
        ctx.save_for_backward(slopes)
        ctx.neuron = neuron
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        (slopes,), neuron = ctx.saved_tensors, ctx.neuron
        samples, steps, neurons = slopes.shape
        dx = torch.empty(slopes.shape, device=slopes.device)
        with on(dx.device):
            lif_backward[(triton.cdiv(neurons, BLOCK) * samples,)](
                gradient, slopes, dx, *gradient.stride(), steps, neurons,
                neuron.alpha, neuron.beta, SLOPE_UNIT * (1 - neuron.beta),
                neuron.kind, BACKWARD_ROWS, BLOCK, num_warps=1,
            )  # fmt: skip
        return dx, None


_forms = FusedNeurons(partial(applied, _Integrate), partial(applied, _Fire), partial(applied, _Lif))
integrate, lif = _forms.integrate, _forms.lif
bernoulli_spikes, gumbel_spikes = _forms.bernoulli_spikes, _forms.gumbel_spikes


def _adjoint(neuron: Neuron, unit: float = 1.0) -> Decays:
    """The integrator's; `unit` is that of what it is given."""
    return Decays(neuron.beta, neuron.alpha, unit * (1 - neuron.beta), reverse=True)


def _words(noise: NoiseAddress, layer: int) -> tuple[int, int, int, int]:
    """Seed, key, step and epoch of the noise as the bits of int32. Raises ValueError for a seed beyond 32."""
    words = *key(noise.seeds[0], noise.purpose, layer), noise.step, noise.epoch
    return tuple((word + 2**31) % 2**32 - 2**31 for word in words)


def _launch_fire(neuron: Neuron, words: tuple[int, ...], x: Tensor, spikes: Tensor, slopes: Tensor) -> None:
    samples, steps, neurons = x.shape
    decays = Decays(neuron.alpha, neuron.beta, 1 - neuron.beta)
    chunks = chunks_for(decays, samples, steps, neurons)
    ends, block = end_states(x, decays, chunks), block_for(neurons)
    with on(x.device):
        _fire[(triton.cdiv(neurons, block) * samples * chunks.count,)](
            x, x if ends is None else ends, spikes, slopes, steps, neurons, chunks.count, chunks.length,
            decays.a, decays.b, decays.gain, *words, neuron.kind, ends is not None, FIRE_ROWS, block,
            num_warps=block // 32,
        )  # fmt: skip


@triton.jit
def _fire_tile(
    x, spikes, slopes, N: tl.constexpr, real, left, t0, element, current, potential, alpha, beta, gain,
    seed, key, step, epoch, KIND: tl.constexpr, WHOLE: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """ROWS steps from step t0 on, a multiple of 4; the two states after them."""
    values = load_rows(x, N, real, left, WHOLE, ROWS)
    for q in tl.static_range(ROWS // 4):
        uniforms = four_uniforms(element, t0 + 4 * q, step, epoch, seed, key)
        for j in tl.static_range(4):
            current, potential, fired, slope = fire_step(
                values[4 * q + j], uniforms[j], current, potential, real, alpha, beta, gain, 0.0, KIND
            )
            stored = real if WHOLE else real & (4 * q + j < left)
            tl.store(spikes + (4 * q + j) * N, tl.where(fired, 1.0, 0.0), mask=stored)
            tl.store(slopes + (4 * q + j) * N, slope.to(tl.float16), mask=stored)
    return current, potential


@triton.jit(do_not_specialize=["T", "chunks", "length", "seed", "key", "step", "epoch"])
def _fire(
    x, ends, spikes, slopes, T, N: tl.constexpr, chunks, length, alpha, beta, gain, seed, key, step, epoch,
    KIND: tl.constexpr, CARRIED: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n, chunk, sample = place(N, chunks, BLOCK)
    real = n < N
    element = (sample * N + n).to(tl.uint32)
    begin = chunk * length
    steps = tl.minimum(T - begin, length)
    at = (sample * T + begin) * N + n
    x += at
    spikes += at
    slopes += at
    current, potential = start_states(ends, sample, chunk, chunks, n, N, real, CARRIED)
    for tile in range(0, steps // ROWS):
        current, potential = _fire_tile(
            x, spikes, slopes, N, real, ROWS, begin + tile * ROWS, element, current, potential,
            alpha, beta, gain, seed, key, step, epoch, KIND, True, ROWS,
        )  # fmt: skip
        x += ROWS * N
        spikes += ROWS * N
        slopes += ROWS * N
    for t in range(steps // ROWS * ROWS, steps, REST):
        current, potential = _fire_tile(
            x, spikes, slopes, N, real, steps - t, begin + t, element, current, potential,
            alpha, beta, gain, seed, key, step, epoch, KIND, False, REST,
        )  # fmt: skip
        x += REST * N
        spikes += REST * N
        slopes += REST * N
