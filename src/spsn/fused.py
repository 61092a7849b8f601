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
    from spsn.network import StackedNetwork


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
        coefficients = self._coefficients(network, batch.lengths, batch.shape[2])
        parameters = [p for pair in zip(network.weights, network.biases, strict=True) for p in pair]
        compute = self._on_gpu if self.for_gpu else self._on_cpu
        (logits, potentials), rates = compute(network, batch, coefficients, address, parameters)
        return logits, list(rates.unbind(1)), potentials

    def _on_cpu(self, network, batch, coefficients, address, parameters) -> tuple[tuple, Tensor]:
        from spsn.kernels.cpu.operation import run_layers

        shape = self.engine.shape
        given = parameters[: 2 * (shape.layers + shape.over_time)]
        averaged, potentials, rates = run_layers(self.engine, batch, coefficients, address, given)
        if shape.over_time:
            return network.read_potential(potentials, batch.lengths), rates
        return (network.read_average(averaged, self._total(coefficients)), None), rates

    def _on_gpu(self, network, batch, coefficients, address, parameters) -> tuple[tuple, Tensor]:
        from spsn.kernels.gpu.operation import run_layers

        shape = self.engine.shape
        given = parameters[: 2 * shape.layers]
        averaged, signal, rates = run_layers(self.engine, batch, coefficients, address, given)
        if shape.over_time:
            return network.read(signal, batch.lengths), rates
        return (network.read_average(averaged, self._total(coefficients)), None), rates

    def _total(self, coefficients: np.ndarray) -> Tensor:
        """sum_t c[t] of each run, (S, 1, 1)."""
        total = coefficients.sum(axis=1, dtype=np.float64).astype(np.float32)
        return torch.from_numpy(total)[:, None, None].to(self.device, non_blocking=True)

    @staticmethod
    def _coefficients(network: "StackedNetwork", lengths: Sequence[int], steps: int) -> np.ndarray:
        """c[t] of the averaged readout by each run's own steps, float32 (S, T)."""
        coefficients = np.zeros((len(lengths), steps), np.float32)
        for run, own in enumerate(lengths):
            coefficients[run, :own] = network.mean_coefficients(own)
        return coefficients


def shape_of(network: "StackedNetwork") -> Shape:
    """What the kernels are told of a network."""
    settings = network.settings
    return Shape(
        settings.model, len(network.seeds), settings.hidden_layers, settings.hidden_size, settings.classes,
        decay(settings.tau_syn, settings.time_step), decay(settings.tau_mem, settings.time_step),
        settings.threshold, settings.lif_reset,
        over_time=not network.averages,
    )  # fmt: skip
