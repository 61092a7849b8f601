"""The fused stack as a torch operation, differentiated by the kernels' own way back."""

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spsn.data.batches import Batch
from spsn.kernels.cpu.engine import Engine, NoiseAddress


def run_layers(
    engine: Engine, batch: Batch, coefficients: np.ndarray, address: NoiseAddress, parameters: list[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """The hidden layers of a stack, and its readout where that runs over time.

    parameters: weight (S, out, in) and bias (S, out) of every layer in turn, the readout's only where
    `engine.shape.over_time`; coefficients float32 (S, T): c[t] of a readout that is averaged.

    Returns sum_t c[t] s[t] of the last hidden layer (S, B, N), the readout's potentials (S, B, T, C) with run
    r in the last T_r steps (empty where it does not run over time), and every hidden neuron's mean output
    over samples and own steps (S, L, N). Where the readout runs over time, the first carries no gradient.
    """
    keep = torch.is_grad_enabled() and any(p.requires_grad for p in parameters)
    return _Layers.apply(engine, batch, coefficients, address, keep, *parameters)


class _Layers(torch.autograd.Function):
    @staticmethod
    def forward(ctx, engine: Engine, batch: Batch, coefficients, address, keep: bool, *parameters: Tensor):
        shape = engine.shape
        kept = engine.forward(parameters, batch, coefficients, address, keep)
        ctx.engine, ctx.batch, ctx.number = engine, batch, engine.passes
        averaged = torch.from_numpy(np.ascontiguousarray(kept.averaged[:, :, : shape.size]))
        divisor = batch.shape[1] * np.array(batch.lengths, np.float64)[:, None, None]
        rates = kept.totals[..., : shape.size].sum(axis=1, dtype=np.float64) / divisor
        return averaged, _potentials(engine, batch, kept), torch.from_numpy(rates.astype(np.float32))

    @staticmethod
    @once_differentiable
    def backward(ctx, averaged: Tensor, potentials: Tensor, rates: Tensor):
        engine, batch, shape = ctx.engine, ctx.batch, ctx.engine.shape
        if engine.passes != ctx.number:
            raise RuntimeError("this pass's potentials were overwritten by a later pass through the network")
        runs, samples, steps = batch.shape
        constant = np.zeros((runs, shape.layers, shape.width), np.float32)
        lengths = np.array(batch.lengths, np.float32)[:, None, None]
        constant[..., : shape.size] = rates.numpy() / (samples * lengths)
        of_averaged = np.zeros((runs, samples, shape.width), np.float32)
        of_averaged[..., : shape.size] = averaged.numpy()
        of_potentials = np.zeros((runs, samples, steps * shape.over_time, shape.read_width), np.float32)
        if shape.over_time:
            for run, own in enumerate(batch.lengths):
                of_potentials[run, :, :own, : shape.classes] = potentials[run, :, steps - own :].numpy()
        gradients = engine.backward(of_averaged, of_potentials, constant)
        return None, None, None, None, None, *map(torch.from_numpy, gradients)


def _potentials(engine: Engine, batch: Batch, kept) -> Tensor:
    """The readout's potentials, (S, B, T, C): 0 before a run's own steps."""
    shape, (runs, samples, steps) = engine.shape, batch.shape
    if not shape.over_time:
        return torch.empty(runs, samples, 0, shape.classes)
    own_time = kept.potentials.reshape(runs, samples, steps, shape.read_width)[..., : shape.classes]
    out = np.zeros((runs, samples, steps, shape.classes), np.float32)
    for run, own in enumerate(batch.lengths):
        out[run, :, steps - own :] = own_time[run, :, :own]
    return torch.from_numpy(out)
