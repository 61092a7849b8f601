"""One layer of a stack on a GPU, forward and back, each direction one kernel (`fire.py`, `adjoint.py`).

S runs, B samples, T steps (the stack's longest), Q = ceil(T / 32), N neurons of a hidden layer, W = N filled
up to a power of two >= 16. Time counts a run's own steps: row t of run r is its own step t, 0 <= t < T_r.
Rows beyond T_r are neither read nor written, nor are words that hold no step before T_r; in the others, bits
beyond T_r are 0. Arrays are contiguous. Weights, biases and what comes from above are 0 in columns beyond N;
then all else is.

A program takes some samples of one run from the first step to the last, in tiles of 32 steps. The tile's
pre-activations, or dL/ds, are made for all its steps at once (`products.py`), then every lane goes through
the steps. No sum's order depends on anything but the shapes: two passes give the same bits.
"""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from spsn.kernels.cpu.fire import RELU, Neuron
from spsn.kernels.gpu import launching
from spsn.kernels.gpu.adjoint import DOWN, GIVEN, TOP, backward_kernel
from spsn.kernels.gpu.fire import SLOPE_UNIT, forward_kernel
from spsn.kernels.gpu.products import TILE, halves, piece_type

HELD_WEIGHTS = 128 * 128  # of a layer, as halves in shared memory: 64 KB
FILLING = 4 * 132  # samples from which on programs of two fill an H200: two to a multiprocessor, twice


@dataclass(frozen=True)
class Pass:
    """What all layers of a pass share.

    size: neurons of a hidden layer; lengths int32 (S,); seeds (S,) and moment (2,), step and epoch: integers
    whose low 32 bits count; with purpose they are the noise's address; precision: "float32" or "split".
    """

    neuron: Neuron
    size: int
    lengths: Tensor
    seeds: Tensor
    moment: Tensor
    purpose: int = 0
    precision: str = "float32"


@dataclass(frozen=True)
class Rows:
    """Pre-activations, bias included: x float32 (S, B, T, W)."""

    x: Tensor


@dataclass(frozen=True)
class Product:
    """What the layer below gave, spikes int32 (S, B, Q, V) or outputs float32 (S, B, T, V), and the affine
    map: weight float32 (S, V, W), bias (S, W).
    """

    below: Tensor
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Kept:
    """What a layer leaves. spikes int32 (S, B, Q, W), or of the non-spiking network outputs float32
    (S, B, T, W); slopes float16 (S, B, T, W) in units of SLOPE_UNIT, None where no gradient is wanted; totals
    float32 (S, B, W): sum_t s; averaged float32 (S, B, W): sum_t c[t] s[t], of the last layer alone.
    """

    totals: Tensor
    spikes: Tensor | None = None
    outputs: Tensor | None = None
    slopes: Tensor | None = None
    averaged: Tensor | None = None


@dataclass(frozen=True)
class Top:
    """dL/ds[t] = c[t] averaged: averaged float32 (S, B, W), coefficients float32 (S, T)."""

    averaged: Tensor
    coefficients: Tensor


@dataclass(frozen=True)
class Given:
    """dL/ds itself: g float32 (S, B, T, W)."""

    g: Tensor


@dataclass(frozen=True)
class Down:
    """dL/ds = dx weight: dx float32 (S, B, T, V) of the layer above, whose weight is float32 (S, V, W)."""

    dx: Tensor
    weight: Tensor


def forward(of: Pass, layer: int, source: Rows | Product, kept: Kept, coefficients: Tensor | None) -> None:
    """Simulate a layer (its number is part of the noise's address) and fill `kept`.

    coefficients float32 (S, T), c[t] of the averaged readout: where `kept.averaged` is wanted, else None.
    """
    runs, samples, width = kept.totals.shape
    neuron, unused = of.neuron, kept.totals
    relu, product = neuron.kind == RELU, isinstance(source, Product)
    factor = _factor(source.weight, of.precision, exact=not relu) if product else _no_factor(unused)
    grid = _Grid.of(runs, samples, width, factor)
    with launching.on(unused.device):
        forward_kernel[(grid.programs,)](
            source.below if product else source.x, factor.weight, factor.apart,
            source.bias if product else unused, grid.scratch(unused, product),
            of.lengths, of.seeds, of.moment,
            *(_or(array, unused) for array in (coefficients, kept.spikes, kept.outputs, kept.slopes)),
            kept.totals, _or(kept.averaged, unused),
            samples, _steps(kept, source, coefficients), of.size, neuron.alpha, neuron.beta, 1 - neuron.beta,
            neuron.threshold, int(of.purpose) + 256 * layer,
            KIND=neuron.kind, PRODUCT=product, SPIKES=not relu,
            KEEP=(kept.outputs if relu else kept.slopes) is not None, WEIGH=kept.averaged is not None,
            BELOW=factor.rows, WIDTH=width, SAMPLES=grid.samples, TILE=TILE,
            num_warps=grid.warps, num_stages=1, **factor.blocks,
        )  # fmt: skip


def backward(
    of: Pass, source: Top | Given | Down, kept: Kept, constant: Tensor, dx: Tensor, bias: Tensor
) -> None:
    """Fill dx float32 (S, B, T, W), dL/d of a layer's pre-activations, and bias (S, B, W), sum_t dx.

    dL/ds is `source` + constant (S, W) at every step; `kept` is what `forward` left, with slopes or outputs.
    """
    runs, samples, steps, width = dx.shape
    neuron, down = of.neuron, isinstance(source, Down)
    relu = neuron.kind == RELU
    factor = _factor(source.weight, of.precision, exact=False) if down else _no_factor(bias)
    grid = _Grid.of(runs, samples, width, factor)
    with launching.on(dx.device):
        backward_kernel[(grid.programs,)](
            _given(source), factor.weight, factor.apart, grid.scratch(bias, down), of.lengths,
            source.coefficients if isinstance(source, Top) else bias, constant,
            _or(kept.spikes, bias), kept.outputs if relu else kept.slopes, dx, bias,
            samples, steps, neuron.alpha, neuron.beta, (1 - neuron.beta) * (1.0 if relu else SLOPE_UNIT),
            KIND=neuron.kind, SOURCE=SOURCES[type(source)], ABOVE=factor.rows, WIDTH=width,
            SAMPLES=grid.samples, TILE=TILE, num_warps=grid.warps, num_stages=1, **factor.blocks,
        )  # fmt: skip


SOURCES = {Top: TOP, Given: GIVEN, Down: DOWN}


@dataclass(frozen=True)
class _Factor:
    """Weights (S, K, W) as a product takes them: themselves, or their halves, `apart` numbers apart."""

    weight: Tensor
    apart: int
    rows: int
    held: bool
    blocks: dict[str, int | bool]


def _factor(weight: Tensor, precision: str, exact: bool) -> _Factor:
    """exact: what they are multiplied with is exact in float16."""
    rows, width = weight.shape[1:]
    kind = piece_type(precision, weight.device)
    blocks = {"SPLIT": kind != tl.float32, "HELD": False}
    if not blocks["SPLIT"]:  # 64 columns: more would not fit into registers
        return _Factor(weight, 0, rows, False, blocks | {"ROWS": 16, "COLUMNS": min(width, 64)})
    split = halves(weight, torch.float16 if exact or kind == tl.float16 else torch.bfloat16)
    if held := rows * width <= HELD_WEIGHTS:
        blocks |= {"HELD": True, "ROWS": rows, "COLUMNS": width}
    else:
        blocks |= {"ROWS": min(rows, 64), "COLUMNS": min(width, 128)}
    return _Factor(split, weight.numel(), rows, held, blocks)


def _no_factor(unused: Tensor) -> _Factor:
    """Where nothing is multiplied."""
    blocks = {"SPLIT": False, "HELD": False, "ROWS": 16, "COLUMNS": 16}
    return _Factor(unused, 0, 16, False, blocks)


@dataclass(frozen=True)
class _Grid:
    """Programs, the samples of each and its warps."""

    programs: int
    samples: int
    warps: int
    width: int

    @classmethod
    def of(cls, runs: int, samples: int, width: int, factor: _Factor) -> "_Grid":
        """One warp for 32 lanes, eight at most."""
        group = together(runs * samples, factor.held)
        warps = min(max(group * width // 32, 1), 8)
        return cls(runs * triton.cdiv(samples, group), group, warps, width)

    def scratch(self, like: Tensor, wanted: bool) -> Tensor:
        """A tile for every program."""
        size = self.programs * self.samples * TILE * self.width if wanted else 0
        return torch.empty(size, dtype=torch.float32, device=like.device)


def together(samples: int, held: bool) -> int:
    """Samples of a program, a power of two: two share weights in shared memory if there are many."""
    return 2 if held and samples >= FILLING else 1


def _or(array: Tensor | None, unused: Tensor) -> Tensor:
    """What stands for an array that a kernel does not touch."""
    return unused if array is None else array


def _steps(kept: Kept, source: Rows | Product, coefficients: Tensor | None) -> int:
    """T, or a number with the same Q where no array has T rows."""
    if coefficients is not None:
        return coefficients.shape[1]
    for array in (kept.slopes, kept.outputs, source.x if isinstance(source, Rows) else None):
        if array is not None:
            return array.shape[2]
    return kept.spikes.shape[2] * TILE


def _given(source: Top | Given | Down) -> Tensor:
    if isinstance(source, Top):
        return source.averaged
    return source.g if isinstance(source, Given) else source.dx
