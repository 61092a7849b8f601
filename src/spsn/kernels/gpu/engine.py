"""A stack's way forward and back on a GPU, layer by layer (`layers.py`).

The host only launches: it needs to know nothing that lies on the device, so it may run ahead of it for a
whole epoch; and what differs from step to step lies on the device (`Inputs`), so that steps of equal shapes
are the same launches with the same arguments, which a CUDA graph can replay. All memory is torch's; what the
way forward leaves for the way back lives as long as the autograd graph that holds it. Parameters stay in
torch's order; every step brings them into the kernels', half a megabyte a run.

    forward    layer 1's affine map from events, its neurons; then every layer's product and neurons in one
    backward   from the top: a layer's product with the gradient above and its neurons in one; its weights'
               gradient; layer 1's from events
"""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from spsn.data.batches import Batch
from spsn.data.events import EventStore
from spsn.kernels.cpu.buffers import Shape
from spsn.kernels.cpu.engine import NoiseAddress, check_runs
from spsn.kernels.gpu import layers
from spsn.kernels.gpu.events import first_gradient, first_rows
from spsn.kernels.gpu.layers import Down, Given, Kept, Pass, Product, Rows, Top
from spsn.kernels.gpu.products import TILE
from spsn.kernels.gpu.store import DeviceStore, Draws
from spsn.kernels.gpu.weight_gradient import weight_gradient

NARROWEST = 16  # columns of a matrix that tensor cores take


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a pass takes beside the parameters, all of it on the device; T = draws.steps.

    draws         the samples, how they are augmented, and each run's own steps
    coefficients  float32 (S, T), c[t] of the averaged readout by a run's own steps
    totals        float32 (S, 1, 1), sum_t c[t]
    seeds         int64 (S,), moment int64 (2,), step and epoch, and purpose: the noise's address
    own           the runs' own steps once more, for the host; needed by a readout over time alone
    """

    store: DeviceStore
    draws: Draws
    coefficients: Tensor
    totals: Tensor
    seeds: Tensor
    moment: Tensor
    purpose: int
    own: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(S, B, T)."""
        return *self.draws.samples.shape, self.draws.steps


@dataclass(frozen=True)
class Passed:
    """What a way forward leaves: of every layer, and what else the way back reads.

    weights: of the layers above the first, (S, out, in), filled up.
    """

    of: Pass
    inputs: Inputs
    kept: list[Kept]
    weights: list[Tensor]


class Engine:
    """The fused form of the hidden layers of a stack, on one device."""

    def __init__(self, shape: Shape, device: torch.device, precision: str | None = None) -> None:
        """precision: of the products (`products.py`); left out, "split" on a GPU and "float32" elsewhere."""
        self.shape, self.device = shape, device
        self.precision = precision or ("split" if device.type == "cuda" else "float32")
        self.width = max(NARROWEST, 1 << (shape.size - 1).bit_length())

    def inputs(
        self, batch: Batch, coefficients: np.ndarray, totals: np.ndarray, address: NoiseAddress
    ) -> Inputs:
        """Bring a batch to the device, with c[t] (S, T) and their sums (S,), float32.

        Raises ValueError for a batch or an address of another number of runs.
        """
        check_runs(self.shape.runs, batch, address)
        drawn = self._sent(np.array([address.step, address.epoch, *address.seeds], np.int64))
        return Inputs(
            stored_on(batch.store, self.device), Draws.of(batch, self.device), self._sent(coefficients),
            self._sent(totals)[:, None, None], drawn[2:], drawn[:2], int(address.purpose), batch.lengths,
        )  # fmt: skip

    def forward(self, parameters: Sequence[Tensor], inputs: Inputs, keep: bool) -> Passed:
        """Simulate a batch.

        parameters: weight (S, out, in) and bias (S, out) of every hidden layer in turn; keep: what the way
        back needs.
        """
        missing = self.width - self.shape.size
        weights = [
            pad(p, (0, missing if layer else 0, 0, missing)) for layer, p in enumerate(parameters[::2])
        ]
        biases = [pad(p, (0, missing)) for p in parameters[1::2]]
        of = Pass(
            self.shape.neuron, self.shape.size, inputs.draws.lengths, inputs.seeds, inputs.moment,
            inputs.purpose, self.precision,
        )  # fmt: skip
        passed = Passed(of, inputs, [], weights[1:])
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            self._layer(passed, layer, weight.transpose(1, 2).contiguous(), bias, keep)
        return passed

    def _layer(self, passed: Passed, layer: int, weight: Tensor, bias: Tensor, keep: bool) -> None:
        """One layer of the way forward; weight (S, in, out)."""
        last, inputs = layer == self.shape.layers - 1, passed.inputs
        kept = self._kept(inputs.shape, keep, last)
        if layer == 0:
            x = self._empty(*inputs.shape)
            first_rows(inputs.store, inputs.draws, weight, bias, x)
            source = Rows(x)
        else:
            below = passed.kept[-1]
            source = Product(below.spikes if self.shape.spiking else below.outputs, weight, bias)
        layers.forward(passed.of, layer, source, kept, inputs.coefficients if last else None)
        passed.kept.append(kept)

    def backward(self, passed: Passed, top: Top | Given, constant: Tensor) -> list[Tensor]:
        """Gradients in the order of the parameters of `forward`.

        top: dL/ds of the last layer; constant (S, L, W): dL/ds of every layer at every step alike.
        """
        (runs, samples, steps), inputs = passed.inputs.shape, passed.inputs
        of, n, source, made = passed.of, self.shape.size, top, []
        for layer in reversed(range(self.shape.layers)):
            dx, bias = self._empty(runs, samples, steps), self._empty(runs, samples)
            layers.backward(of, source, passed.kept[layer], constant[:, layer].contiguous(), dx, bias)
            made.append(bias.sum(dim=1)[:, :n])
            if layer == 0:
                made.append(first_gradient(inputs.store, inputs.draws, dx)[:, :, :n].transpose(1, 2))
            else:
                below = passed.kept[layer - 1]
                signal = below.spikes if self.shape.spiking else below.outputs
                dw = weight_gradient(signal, dx, of.lengths, of.precision)
                made.append(dw[:, :n, :n].transpose(1, 2))
                source = Down(dx, passed.weights[layer - 1])
        return made[::-1]

    def signal(self, kept: Kept, lengths: Sequence[int]) -> Tensor:
        """The outputs of a layer, float32 (S, B, T, N): run r in the last T_r steps, 0 before them."""
        steps, n = max(lengths), self.shape.size
        if self.shape.spiking:
            bits = torch.arange(TILE, device=self.device)[:, None]
            dense = (kept.spikes[:, :, :, None] >> bits & 1).flatten(2, 3)
        else:
            dense = kept.outputs
        own_time = dense[:, :, :steps, :n].float()
        if min(lengths) == steps:
            return own_time.contiguous()
        out = torch.zeros_like(own_time)
        for run, own in enumerate(lengths):
            out[run, :, steps - own :] = own_time[run, :, :own]
        return out

    def own_time(self, signal: Tensor, lengths: Sequence[int]) -> Tensor:
        """The other way round: (S, B, T, N) with run r in the last steps as (S, B, T, W) by own steps."""
        out = torch.zeros(*signal.shape[:3], self.width, device=self.device)
        for run, own in enumerate(lengths):
            out[run, :, :own, : self.shape.size] = signal[run, :, signal.shape[2] - own :]
        return out

    def _kept(self, shape: tuple[int, int, int], keep: bool, last: bool) -> Kept:
        runs, samples, steps = shape
        of_sample = runs, samples
        averaged = self._empty(*of_sample) if last else None
        if not self.shape.spiking:
            return Kept(self._empty(*of_sample), outputs=self._empty(*shape), averaged=averaged)
        return Kept(
            self._empty(*of_sample),
            spikes=self._empty(runs, samples, -(-steps // TILE), dtype=torch.int32),
            slopes=self._empty(*shape, dtype=torch.float16) if keep else None,
            averaged=averaged,
        )

    def _empty(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(*shape, self.width, dtype=dtype, device=self.device)

    def _sent(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)


_stored: dict[tuple[int, str], DeviceStore] = {}


def stored_on(store: EventStore, device: torch.device) -> DeviceStore:
    """A store's events on a device: brought there once, and kept as long as the store lives."""
    key = id(store), str(device)
    if key not in _stored:
        _stored[key] = DeviceStore.of(store, device)
        weakref.finalize(store, _stored.pop, key, None)
    return _stored[key]
