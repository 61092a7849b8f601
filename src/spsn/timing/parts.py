"""Where a training step's time goes: every part of the fused step on one tile after another, on one thread.

A part is called for many tiles in a row by compiled code, on tiles like those of a step: 64 time steps of a
layer of `WIDTH` neurons, spikes at random with the density given, slopes streaming through memory. Its
seconds a step are seconds a tile x tiles of a step, which on n threads take 1/n of that at best.

Beside them stand other forms of the two products with spikes, on all tiles of a layer at once by torch: in
float32, and in bfloat16 with the weights split into two parts (spikes are exact in bfloat16, and the sum of
both parts has 16 bits of the weights' 24), the conversion of the spikes included.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from spsn.compiled import jit
from spsn.kernels.cpu.adjoint import neuron_adjoint
from spsn.kernels.cpu.buffers import kind_of, zeros
from spsn.kernels.cpu.fire import Neuron, count_spikes, fire, keep_patterns
from spsn.kernels.cpu.philox import Address, fill_uniforms
from spsn.kernels.cpu.products import (
    GROUP,
    PATTERNS,
    TABLE,
    TILE,
    add_outer_spikes,
    add_spikes,
    multiply,
    weight_sums,
)
from spsn.kernels.cpu.simd import LANES
from spsn.neurons import MODELS
from spsn.timing.measure import Function, Lap

WIDTH = 128  # neurons
RING = 512  # tiles of slopes, 16 MiB: more than a cache that two cores share keeps for long
DECAY = 0.951229424500714  # 20 steps


@jit
def _uniforms(tiles, uniforms, address):
    for i in range(tiles):
        for column in range(0, WIDTH, LANES):
            fill_uniforms(uniforms, address, 1, column + WIDTH * i, 64, TILE)


@jit
def _fire(tiles, neuron, address, x, states, uniforms, slopes, masks):
    for i in range(tiles):
        at = i % RING * TILE * WIDTH
        fire(neuron, address, 1, 0, 64, TILE, x, states, uniforms, slopes, at, masks, 0, WIDTH)


@jit
def _bookkeeping(tiles, masks, patterns, totals):
    for i in range(tiles):
        count_spikes(masks, TILE, totals)
        keep_patterns(masks, TILE, patterns, i % RING * TILE // GROUP * WIDTH)


@jit
def _forward_product(tiles, masks, sums, bias, x):
    for _ in range(tiles):
        add_spikes(masks, sums, bias, x, TILE)


@jit
def _adjoint(tiles, neuron, tile, states, slopes, constant):
    for i in range(tiles):
        at = i % RING * TILE * WIDTH
        neuron_adjoint(neuron, 64, tile, TILE, states, slopes, at, constant, 0, WIDTH)


@jit
def _weight_gradient(tiles, patterns, tile, sums, gradient):
    for i in range(tiles):
        add_outer_spikes(patterns, i % RING * TILE // GROUP * WIDTH, tile, sums, gradient, TILE)


@jit
def _backward_product(tiles, tile, weights, below):
    for _ in range(tiles):
        multiply(tile, 0, WIDTH, 1, weights, below, TILE, WIDTH, False)


def spiking_parts(model: str, density: float) -> dict[str, tuple[int, Callable[[int], None]]]:
    """By name: how many hidden layers do without a part (the first has no product with spikes), and its call
    for so many tiles.
    """
    rng = np.random.default_rng(0)
    neuron, address = Neuron(kind_of(model), DECAY, DECAY, 1.0), Address(0, 7, 0, 0)
    spikes = rng.random((TILE, WIDTH)) < density
    masks = _masks(spikes)
    x, tile, below, weights = (zeros(n, WIDTH) for n in (TILE, TILE, TILE, WIDTH))
    still, errors = zeros(TILE, WIDTH), zeros(2, WIDTH)
    x[:], tile[:] = rng.normal(size=x.shape) * 0.1, rng.normal(size=x.shape)
    weights[:] = rng.uniform(-0.15, 0.15, weights.shape)
    sums = zeros(WIDTH // LANES, WIDTH // GROUP, PATTERNS, LANES)
    weight_sums(weights, sums)
    slopes, patterns = zeros(RING * TILE * WIDTH), zeros(RING * TILE // GROUP * WIDTH, dtype=np.uint8)
    for t in range(0, RING * TILE, TILE):
        keep_patterns(masks, TILE, patterns, t // GROUP * WIDTH)
    states, uniforms, row = zeros(2, WIDTH), zeros(TILE * LANES), zeros(WIDTH)
    fired, table, gradient = masks.copy(), zeros(TILE // GROUP * TABLE), zeros(WIDTH, WIDTH)
    parts = {
        "random numbers": (0, lambda n: _uniforms(n, uniforms, address)),
        "neurons, random numbers included": (
            0, lambda n: _fire(n, neuron, address, x, states, uniforms, slopes, fired)
        ),
        "counting and keeping spikes": (0, lambda n: _bookkeeping(n, masks, patterns, row)),
        "product with spikes, forward": (1, lambda n: _forward_product(n, masks, sums, row, x)),
        "neurons, backward": (0, lambda n: _adjoint(n, neuron, still, errors, slopes, still[0])),
        "product with spikes, weight gradient": (
            1, lambda n: _weight_gradient(n, patterns, tile, table, gradient)
        ),
        "product with the gradient, backward": (1, lambda n: _backward_product(n, tile, weights, below)),
    }  # fmt: skip
    if not MODELS[model].stochastic:
        del parts["random numbers"]
    return parts


def _masks(spikes: np.ndarray) -> np.ndarray:
    packed = np.packbits(spikes.reshape(TILE, -1, LANES), axis=2, bitorder="little")
    return packed.view(np.uint16).reshape(TILE, -1).copy()


def product_forms(rows: int, density: float) -> Iterator[tuple[str, Function]]:
    """The same products by torch for `rows` time steps of all samples: names and calls."""
    generator = torch.Generator().manual_seed(0)
    spikes = (torch.rand(rows, WIDTH, generator=generator) < density).float()
    gradient, weight = torch.randn(rows, WIDTH, generator=generator), torch.randn(WIDTH, WIDTH)
    out, turned = torch.empty(rows, WIDTH), torch.empty(WIDTH, WIDTH)
    high, low = split(weight)

    def in_halves(lap: Lap) -> None:
        exact = spikes.bfloat16()
        torch.add((exact @ high).float(), (exact @ low).float(), out=out)

    yield "forward, float32", lambda lap: torch.mm(spikes, weight, out=out)
    yield "forward, bfloat16 in two parts", in_halves
    yield "weight gradient, float32", lambda lap: torch.mm(spikes.T, gradient, out=turned)


def split(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A float32 tensor as the sum of two bfloat16 ones, to 16 bits."""
    high = weight.bfloat16()
    return high, (weight - high.float()).bfloat16()
