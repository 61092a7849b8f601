"""Neurons as torch operations on tensors: filter and spike in one pass over memory, forward and back.

The forms of `spsn.neurons` that stand on their own, without a network around them; the same equations, the
same noise bits. Each takes float32 tensors (..., T, N) on a CPU and is differentiable once. Samples, and
where these are few also the neurons of one, are spread over the kernels' threads (`spsn.threads`).
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spsn import threads
from spsn.compiled import jit
from spsn.kernels.cpu.adjoint import neuron_adjoint
from spsn.kernels.cpu.buffers import kind_of
from spsn.kernels.cpu.engine import NoiseAddress
from spsn.kernels.cpu.fire import SPSN_GS, SPSN_SB, Neuron, fire, spread
from spsn.kernels.cpu.philox import Address
from spsn.kernels.cpu.products import TILE
from spsn.kernels.cpu.recycling import recycled
from spsn.kernels.cpu.simd import LANES
from spsn.kernels.cpu.streams import filter_columns

SHARES = 4  # of the samples, for each thread: few calls, and nobody waits long for the last one


def integrate(x: Tensor, alpha: float, beta: float) -> Tensor:
    """Membrane potential of a leaky integrator, u = h * x (`spsn.neurons.integrator`)."""
    return applied(_Integrate, x, Neuron(-1, alpha, beta, 0.0))


def bernoulli_spikes(x: Tensor, alpha: float, beta: float, address: NoiseAddress, layer: int = 0) -> Tensor:
    """SPSN-SB: spikes (0 or 1) of the pre-activation x. The noise is that of the first seed of `address`:
    element b N + n for sample b, counted through all leading dimensions, and neuron n.
    """
    return applied(_Fire, x, Neuron(SPSN_SB, alpha, beta, 0.0), address, layer)


def gumbel_spikes(x: Tensor, alpha: float, beta: float, address: NoiseAddress, layer: int = 0) -> Tensor:
    """SPSN-GS at temperature 1; see `bernoulli_spikes`."""
    return applied(_Fire, x, Neuron(SPSN_GS, alpha, beta, 0.0), address, layer)


def lif(
    x: Tensor,
    alpha: float,
    beta: float,
    threshold: float = 1.0,
    reset: Literal["code", "paper"] = "code",
) -> Tensor:
    """LIF: spikes (0 or 1) of the pre-activation x (`spsn.neurons.lif`)."""
    return applied(_Fire, x, Neuron(kind_of("lif", reset), alpha, beta, threshold), NoiseAddress((0,)), 0)


def applied(operation: type[torch.autograd.Function], x: Tensor, *constants) -> Tensor:
    """operation.apply(x as (B, T, N) with N whole vectors, N as it was, *constants), in the shape of x.

    Raises ValueError for what the kernels cannot take.
    """
    if x.dim() < 2 or x.numel() == 0:
        raise ValueError(
            f"the fused neurons take tensors (..., T, N) that are not empty, not {tuple(x.shape)}"
        )
    if x.dtype != torch.float32 or x.device.type != "cpu":
        raise ValueError(f"the fused neurons take float32 on a CPU, not {x.dtype} on {x.device}")
    steps, neurons = x.shape[-2:]
    whole = x.reshape(-1, steps, neurons)
    missing = -neurons % LANES
    if missing:
        whole = torch.nn.functional.pad(whole, (0, missing))
    out = operation.apply(whole.contiguous(), neurons, *constants)
    return out[..., :neurons].reshape(x.shape)


class _Integrate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, neurons: int, neuron: Neuron) -> Tensor:
        ctx.neuron = neuron
        u = recycled(*x.shape)
        given = neuron.alpha, neuron.beta, 1 - neuron.beta, x.numpy(), u.numpy()
        spread_out(x, lambda *part: filter_columns(*given, *part, False))
        return u

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        neuron, gradient = ctx.neuron, gradient.contiguous()
        dx = recycled(*gradient.shape)
        given = neuron.beta, neuron.alpha, 1 - neuron.beta, gradient.numpy(), dx.numpy()
        spread_out(dx, lambda *part: filter_columns(*given, *part, True))
        return dx, None, None


class _Fire(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, neurons: int, neuron: Neuron, noise: NoiseAddress, layer: int) -> Tensor:
        if not 0 <= noise.seeds[0] < 2**32:
            raise ValueError(f"a seed must lie in 0 ... 2^32 - 1, not {noise.seeds[0]}")
        address = Address(noise.seeds[0], int(noise.purpose), noise.step, noise.epoch)
        spikes, slopes = recycled(*x.shape), recycled(*x.shape)
        arrays = x.numpy(), spikes.numpy(), slopes.numpy()
        spread_out(x, partial(_fire, neuron, address, layer, neurons, *arrays))
        ctx.save_for_backward(slopes)
        ctx.neuron = neuron
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        (slopes,) = ctx.saved_tensors
        dx = recycled(*slopes.shape)
        arrays = gradient.contiguous().numpy(), slopes.numpy(), dx.numpy()
        spread_out(dx, partial(_fire_back, ctx.neuron, *arrays))
        return dx, None, None, None, None


def spread_out(x: Tensor, kernel: Callable[[int, int, int, int], None]) -> None:
    """Call kernel(first, last, begin, end) for all samples (B, T, N) and columns, on all threads."""
    samples, _, width = x.shape
    blocks, workers = width // LANES, threads.kernel_threads()
    shares = min(samples, SHARES * workers)
    parts = min(blocks, -(-workers // shares))

    def work(_: int, task: int) -> None:
        share, part = divmod(task, parts)
        span = share * samples // shares, (share + 1) * samples // shares
        kernel(*span, part * blocks // parts * LANES, (part + 1) * blocks // parts * LANES)

    threads.share(shares * parts, work)


@jit
def _fire(neuron, address, layer, neurons, x, spikes, slopes, first, last, begin, end):
    for sample in range(first, last):
        _fire_sample(neuron, address, layer, neurons, x, spikes, slopes, sample, begin, end)


@jit
def _fire_sample(neuron, address, layer, neurons, x, spikes, slopes, sample, begin, end):
    steps, width = x.shape[1:]
    states = np.zeros((2, width), np.float32)
    uniforms = np.empty(TILE * LANES, np.float32)
    masks = np.zeros((TILE, width // LANES), np.uint16)
    for t0 in range(0, steps, TILE):
        t1 = min(t0 + TILE, steps)
        first = (sample * steps + t0) * width
        fire(
            neuron, address, layer, sample * neurons, t0, t1 - t0, x[sample, t0:t1], states, uniforms,
            slopes, first, masks, begin, end,
        )  # fmt: skip
        spread(masks, t1 - t0, spikes[sample, t0:t1], begin, end)


@jit
def _fire_back(neuron, gradient, slopes, dx, first, last, begin, end):
    for sample in range(first, last):
        _fire_back_sample(neuron, gradient, slopes, dx, sample, begin, end)


@jit
def _fire_back_sample(neuron, gradient, slopes, dx, sample, begin, end):
    steps, width = dx.shape[1:]
    states = np.zeros((2, width), np.float32)
    constant = np.zeros(width, np.float32)
    for t0 in range((steps - 1) // TILE * TILE, -1, -TILE):
        t1 = min(t0 + TILE, steps)
        tile = dx[sample, t0:t1]
        tile[:, begin:end] = gradient[sample, t0:t1, begin:end]
        first = (sample * steps + t0) * width
        neuron_adjoint(neuron, t0, tile, t1 - t0, states, slopes, first, constant, begin, end)
