"""Neurons as torch operations on a CPU: filter and spike in one pass over memory, forward and back.

The functions of `spsn.kernels.neurons` for tensors (..., T, N) on a CPU. Samples, and where these are few
also the neurons of one, are spread over the kernels' threads (`spsn.threads`).
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spsn import threads
from spsn.compiled import jit
from spsn.kernels.cpu.adjoint import neuron_adjoint
from spsn.kernels.cpu.engine import NoiseAddress
from spsn.kernels.cpu.fire import Neuron, fire, spread
from spsn.kernels.cpu.philox import Address
from spsn.kernels.cpu.products import TILE
from spsn.kernels.cpu.recycling import recycled
from spsn.kernels.cpu.simd import LANES
from spsn.kernels.cpu.streams import filter_columns
from spsn.kernels.neurons import FusedNeurons, samples_of
from spsn.noise import checked_seed

SILENT = NoiseAddress((0,))  # of neurons that draw nothing
SHARES = 4  # of the samples, for each thread: few calls, and nobody waits long for the last one


def applied(operation: type[torch.autograd.Function], x: Tensor, *constants) -> Tensor:
    """operation.apply(x as (B, T, N) with N whole vectors, N as it was, *constants), in the shape of x.

    Raises ValueError for what the kernels cannot take.
    """
    whole, neurons = samples_of(x, "CPU", x.device.type == "cpu"), x.shape[-1]
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
        address = Address(checked_seed(noise.seeds[0]), int(noise.purpose), noise.step, noise.epoch)
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


def _fired(x: Tensor, neuron: Neuron, noise: NoiseAddress = SILENT, layer: int = 0) -> Tensor:
    return applied(_Fire, x, neuron, noise, layer)


_forms = FusedNeurons(partial(applied, _Integrate), _fired, _fired)
integrate, lif = _forms.integrate, _forms.lif
bernoulli_spikes, gumbel_spikes = _forms.bernoulli_spikes, _forms.gumbel_spikes


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
