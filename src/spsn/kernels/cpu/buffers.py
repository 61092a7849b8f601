"""The memory of the fused engine: what a network needs of it, and arrays that begin at whole cache lines."""

import math
from dataclasses import dataclass

import numpy as np

from spsn.data.shd import CHANNELS
from spsn.kernels.cpu.fire import LIF_CODE, LIF_PAPER, RELU, SPSN_GS, SPSN_SB, Neuron
from spsn.kernels.cpu.passes import Gradients, Scratch, Weights
from spsn.kernels.cpu.products import GROUP, PATTERNS, TABLE, TILE
from spsn.kernels.cpu.simd import LANES

CACHE_LINE = 64  # bytes

KINDS = {
    ("spsn-sb", "code"): SPSN_SB,
    ("spsn-gs", "code"): SPSN_GS,
    ("non-spiking", "code"): RELU,
    ("lif", "code"): LIF_CODE,
    ("lif", "paper"): LIF_PAPER,
}


def kind_of(model: str, reset: str = "code") -> int:
    """The kernels' number of a model; the reset tells LIF's two apart. Raises ValueError for another one."""
    try:
        return KINDS[model, reset if model == "lif" else "code"]
    except KeyError:
        raise ValueError(f"there are no fused kernels for the model {model!r} with reset {reset!r}") from None


@dataclass(frozen=True)
class Shape:
    """What an engine is made for; `over_time`: the readout's potentials are wanted, not only their mean."""

    model: str
    runs: int
    layers: int
    size: int
    classes: int
    alpha: float
    beta: float
    threshold: float
    reset: str
    over_time: bool

    @property
    def width(self) -> int:
        """Neurons of a hidden layer, filled up to whole vectors."""
        return whole(self.size)

    @property
    def read_width(self) -> int:
        """Classes, filled up to whole vectors; 0 where the readout is collapsed."""
        return whole(self.classes) if self.over_time else 0

    @property
    def spiking(self) -> bool:
        """Whether hidden layers give spikes."""
        return self.model != "non-spiking"

    @property
    def held(self) -> tuple[int, int]:
        """Of how many layers the way back needs what neurons left at every step, and how many come before."""
        if self.spiking:
            return self.layers, 0
        return max(self.layers - (1 if self.over_time else 2), 0), 1

    @property
    def neuron(self) -> Neuron:
        """The kernels' constants."""
        return Neuron(kind_of(self.model, self.reset), self.alpha, self.beta, self.threshold)


def whole(count: int) -> int:
    """`count` filled up to whole vectors."""
    return -(-count // LANES) * LANES


def empty(*shape: int, dtype: type = np.float32) -> np.ndarray:
    """An array that is not set, beginning at a whole cache line.

    numpy, other than torch, asks the system for large pages.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.empty(size + CACHE_LINE, np.uint8)
    begin = -room.ctypes.data % CACHE_LINE
    return room[begin : begin + size].view(dtype).reshape(shape)


def zeros(*shape: int, dtype: type = np.float32) -> np.ndarray:
    """The same, filled with 0."""
    made = empty(*shape, dtype=dtype)
    made.fill(0)
    return made


def weights_for(shape: Shape) -> Weights:
    """Room for the parameters."""
    runs, width, read = shape.runs, shape.width, shape.read_width
    between = shape.layers - 1
    tables = (width // GROUP, PATTERNS, LANES)
    return Weights(
        first=zeros(runs, CHANNELS, width),
        hidden=zeros(runs, between, width, width),
        sums=zeros(runs, between * shape.spiking, width // LANES, *tables),
        back=zeros(runs, between, width, width),
        bias=zeros(runs, shape.layers, width),
        read=zeros(runs, width, read),
        read_sums=zeros(runs, read // LANES * shape.spiking, *tables),
        read_back=zeros(runs, read, width),
        read_bias=zeros(runs, read),
    )


def scratch_for(shape: Shape, slot: int) -> Scratch:
    """A worker's own room; slot: its number."""
    width = shape.width
    return Scratch(
        tile=zeros(TILE, width),
        other=zeros(TILE, width),
        read=zeros(TILE, shape.read_width),
        masks=zeros(shape.layers, TILE, width // LANES, dtype=np.uint16),
        states=zeros(shape.layers, 2, width),
        read_states=zeros(2, shape.read_width),
        uniforms=zeros(TILE * LANES),
        sums=zeros(TILE // GROUP * TABLE),
        columns=zeros(3, CHANNELS, dtype=np.int32),
        slot=slot,
    )


def gradients_for(shape: Shape) -> Gradients:
    """Room for the gradients of one group of samples."""
    return Gradients(
        first=zeros(CHANNELS, shape.width),
        hidden=zeros(shape.layers - 1, shape.width, shape.width),
        bias=zeros(shape.layers, shape.width),
        read=zeros(shape.width, shape.read_width),
        read_bias=zeros(shape.read_width),
    )
