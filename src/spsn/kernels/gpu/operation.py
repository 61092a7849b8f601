"""The fused stack on a GPU as a torch operation, differentiated by the kernels' own way back."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from spsn.kernels.gpu.engine import Engine, Inputs
from spsn.kernels.gpu.layers import Given, Top


def run_layers(engine: Engine, inputs: Inputs, parameters: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """The hidden layers of a stack; parameters: weight (S, out, in) and bias (S, out) of each in turn.

    Returns sum_t c[t] s[t] of the last one (S, B, N), c being the coefficients of `inputs`, its outputs s
    (S, B, T, N) with run r in the last T_r steps where the readout runs over time (else empty), and every
    neuron's mean output over samples and own steps (S, L, N). Of the first two one carries a gradient: the
    outputs where there are any.
    """
    keep = torch.is_grad_enabled() and any(p.requires_grad for p in parameters)
    return _Layers.apply(engine, inputs, keep, *parameters)


class _Layers(torch.autograd.Function):
    @staticmethod
    def forward(ctx, engine: Engine, inputs: Inputs, keep: bool, *parameters: Tensor):
        shape, samples, n = engine.shape, inputs.shape[1], engine.shape.size
        passed = engine.forward(parameters, inputs, keep)
        ctx.engine, ctx.passed = engine, passed if keep else None
        averaged = passed.kept[-1].averaged[..., :n].clone()
        over_time = engine.signal(passed.kept[-1], inputs.own) if shape.over_time else averaged.new_empty(0)
        totals = torch.stack([kept.totals for kept in passed.kept], dim=1)  # (S, L, B, W)
        divisor = (samples * passed.of.lengths.double())[:, None, None]
        rates = (totals.sum(dim=2, dtype=torch.float64)[..., :n] / divisor).float()
        return averaged, over_time, rates

    @staticmethod
    @once_differentiable
    def backward(ctx, averaged: Tensor, signal: Tensor, rates: Tensor):
        engine, passed = ctx.engine, ctx.passed
        missing = engine.width - engine.shape.size
        inputs, samples = passed.inputs, passed.inputs.shape[1]
        constant = pad(rates / (samples * passed.of.lengths.float())[:, None, None], (0, missing))
        if engine.shape.over_time:
            top = Given(engine.own_time(signal, inputs.own))
        else:
            top = Top(pad(averaged, (0, missing)), inputs.coefficients)
        return None, None, None, *engine.backward(passed, top, constant)
