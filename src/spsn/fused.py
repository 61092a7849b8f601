"""A stack's way from events to logits by the fused kernels: those of a CPU or those of a GPU.

The kernels do the hidden layers. A readout that is only averaged becomes a weighted sum over time of the last
of them. One that is needed at every step is the CPU's kernels' business too; on a GPU it is the plain form's.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from spsn.data.batches import Batch
from spsn.kernels.cpu.buffers import Shape
from spsn.kernels.cpu.engine import NoiseAddress
from spsn.neurons.integrator import decay

if TYPE_CHECKING:
    from spsn.kernels.gpu.engine import Inputs
    from spsn.network import StackedNetwork
    from spsn.resident import Resident

KEPT_MEANS = 1024  # lengths whose coefficients are kept


class Fused:
    """The kernels of one network, with the memory that they keep from batch to batch."""

    def __init__(self, network: "StackedNetwork", for_gpu: bool | None = None) -> None:
        """for_gpu: whether to take a GPU's kernels, which Triton can interpret on a CPU; left out, where the
        network lies on one. Raises ValueError for another type than float32 and for a device without kernels.
        """
        device, dtype = network.device, network.weights[0].dtype
        if device.type not in ("cpu", "cuda") or dtype != torch.float32:
            raise ValueError(
                f"the fused kernels compute in float32 on a CPU or a CUDA device, not in {dtype} on {device}"
            )
        self.device = device
        self.for_gpu = device.type == "cuda" if for_gpu is None else for_gpu
        self._means: dict[int, tuple[np.ndarray, np.float32]] = {}
        self.resident: Resident | None = None  # made by the first epoch that is trained on a GPU
        self.stepwise = False  # whether that failed
        shape = shape_of(network)
        if self.for_gpu:
            from spsn.kernels.gpu.engine import Engine

            self.engine = Engine(shape, device)
        else:
            from spsn.kernels.cpu.engine import Engine

            self.engine = Engine(shape)

    def __call__(
        self, network: "StackedNetwork", batch: Batch, address: NoiseAddress
    ) -> tuple[Tensor, list[Tensor], Tensor | None]:
        """Logits (S, B, C), every hidden layer's rates (S, N), and the readout's potential (S, B, T, C) where
        the objective looks at every step.
        """
        coefficients, totals = self._coefficients(network, batch.lengths, batch.shape[2])
        if self.for_gpu:
            return self.on_gpu(network, self.engine.inputs(batch, coefficients, totals, address))
        return self._on_cpu(network, batch, coefficients, totals, address)

    def _on_cpu(
        self, network, batch, coefficients, totals, address
    ) -> tuple[Tensor, list[Tensor], Tensor | None]:
        from spsn.kernels.cpu.operation import run_layers

        shape = self.engine.shape
        given = _parameters(network)[: 2 * (shape.layers + shape.over_time)]
        averaged, potentials, rates = run_layers(self.engine, batch, coefficients, address, given)
        if shape.over_time:
            logits, read = network.read_potential(potentials, batch.lengths)
        else:
            logits, read = network.read_average(averaged, torch.from_numpy(totals)[:, None, None]), None
        return logits, list(rates.unbind(1)), read

    def on_gpu(
        self, network: "StackedNetwork", inputs: "Inputs"
    ) -> tuple[Tensor, list[Tensor], Tensor | None]:
        """The same as a call, from what a GPU's engine takes; nothing of it passes the host."""
        from spsn.kernels.gpu.operation import run_layers

        shape = self.engine.shape
        averaged, signal, rates = run_layers(self.engine, inputs, _parameters(network)[: 2 * shape.layers])
        if shape.over_time:
            logits, read = network.read(signal, inputs.own)
        else:
            logits, read = network.read_average(averaged, inputs.totals), None
        return logits, list(rates.unbind(1)), read

    def mean(self, network: "StackedNetwork", own: int) -> tuple[np.ndarray, np.float32]:
        """c[t] of the readout that is averaged over `own` steps, float32 (own,), and their sum."""
        if own not in self._means:
            if len(self._means) >= KEPT_MEANS:
                self._means.clear()
            c = network.mean_coefficients(own).astype(np.float32)
            self._means[own] = c, np.float32(c.sum(dtype=np.float64))
        return self._means[own]

    def _coefficients(
        self, network: "StackedNetwork", lengths: Sequence[int], steps: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """c[t] by each run's own steps (S, T), and their sums (S,); float32."""
        coefficients, totals = np.zeros((len(lengths), steps), np.float32), np.empty(len(lengths), np.float32)
        for run, own in enumerate(lengths):
            coefficients[run, :own], totals[run] = self.mean(network, own)
        return coefficients, totals


def fused_of(network: "StackedNetwork") -> Fused:
    """The network's kernels, made where it has none on its device."""
    if network._fused is None or network._fused.device != network.device:
        network._fused = Fused(network)
    return network._fused


def _parameters(network: "StackedNetwork") -> list[Tensor]:
    return [p for pair in zip(network.weights, network.biases, strict=True) for p in pair]


def shape_of(network: "StackedNetwork") -> Shape:
    """What the kernels are told of a network."""
    settings = network.settings
    return Shape(
        settings.model, len(network.seeds), settings.hidden_layers, settings.hidden_size, settings.classes,
        decay(settings.tau_syn, settings.time_step), decay(settings.tau_mem, settings.time_step),
        settings.threshold, settings.lif_reset,
        over_time=not network.averages,
    )  # fmt: skip
