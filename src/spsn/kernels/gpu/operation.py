"""The fused stack on a GPU as a torch operation, differentiated by the kernels' own way back."""

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from spsn.data.batches import Batch
from spsn.kernels.cpu.engine import NoiseAddress
from spsn.kernels.gpu.engine import Engine
from spsn.kernels.gpu.layers import Given, Top


def run_layers(
    engine: Engine, batch: Batch, coefficients: np.ndarray, address: NoiseAddress, parameters: list[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """The hidden layers of a stack; parameters: weight (S, out, in) and bias (S, out) of each in turn.

    Returns sum_t c[t] s[t] of the last one (S, B, N) for coefficients c float32 (S, T) by own steps, its
    outputs s (S, B, T, N) with run r in the last T_r steps where the readout runs over time (else empty), and
    every neuron's mean output over samples and own steps (S, L, N). Of the first two one carries a gradient:
    the outputs where there are any.
    """
    keep = torch.is_grad_enabled() and any(p.requires_grad for p in parameters)
    return _Layers.apply(engine, batch, coefficients, address, keep, *parameters)


class _Layers(torch.autograd.Function):
    @staticmethod
    def forward(ctx, engine: Engine, batch: Batch, coefficients, address, keep: bool, *parameters: Tensor):
        shape, samples, n = engine.shape, batch.shape[1], engine.shape.size
        passed = engine.forward(parameters, batch, coefficients, address, keep)
        ctx.engine, ctx.lengths, ctx.passed = engine, batch.lengths, passed if keep else None
        over_time = engine.signal(passed.kept[-1], batch.lengths) if shape.over_time else torch.empty(0)
        totals = torch.stack([kept.totals for kept in passed.kept], dim=1)  # (S, L, B, W)
        divisor = (samples * passed.of.lengths.double())[:, None, None]
        rates = (totals.sum(dim=2, dtype=torch.float64)[..., :n] / divisor).float()
        return passed.kept[-1].averaged[..., :n].clone(), over_time, rates

    @staticmethod
    @once_differentiable
    def backward(ctx, averaged: Tensor, signal: Tensor, rates: Tensor):
        engine, passed = ctx.engine, ctx.passed
        missing = engine.width - engine.shape.size
        samples = passed.draws.samples.shape[1]
        constant = pad(rates / (samples * passed.of.lengths.float())[:, None, None], (0, missing))
        if engine.shape.over_time:
            top = Given(engine.own_time(signal, ctx.lengths))
        else:
            top = Top(pad(averaged, (0, missing)), passed.coefficients)
        return None, None, None, None, None, *engine.backward(passed, top, constant)
