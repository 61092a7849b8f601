"""How a stacked network that learns by accumulated spikes (`neurons/accumulation.py`) passes a batch.

Online, OTTT and SAF-E, for an objective that looks at every step. The readout is the paper's, leaky
integrators with the impulse response h: o = h * (W s + b). Its own weights and biases learn through the
filter, which is exact, since a linear neuron's traces are; the spikes get what they add to o at once:

    dW = sum_t d[t] s[t]^T      db = sum_t d[t]      d[t] = sum_n h[n] do[t+n]      ds[t] = h[0] W^T do[t]

At the last step, SAF-F and Spike Representation. The network runs forward without a graph and leaves one
weighted rate a neuron, r = sum_t D^(T-1-t) s[t] / Lambda_T, from which the gradient goes back layer by layer;
the logits are W r + b. Memory does not grow with time but for the events and one layer's time course.

Shapes: S runs, B samples, T steps, N neurons, C classes; run r lives in its last T_r steps.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spsn.data.batches import Batch
from spsn.data.shd import CHANNELS
from spsn.neurons.accumulation import (
    accumulated_affine,
    affine,
    backwards,
    final_layer,
    ottt_spikes,
    outer_sum,
    remembered,
    remembered_sum,
    saf_accumulate,
    spikes_of,
    trace,
    traced_affine,
    traced_gradient,
)
from spsn.neurons.integrator import chunks, decay
from spsn.signals import Output, event_sum, own_steps

if TYPE_CHECKING:
    from spsn.network import StackedNetwork


def run(network: "StackedNetwork", inputs: Batch | Tensor, lengths: Sequence[int]) -> Output:
    """Logits, rates and, where the objective asks for them, potentials of a batch or of (S, B, T, 700).

    Raises ValueError for a model of another kind, an objective that the model does not learn from, and a
    first layer without traces in another model than OTTT, whose code has it.
    """
    settings = network.settings
    if settings.first_input == "instantaneous" and settings.model != "ottt":
        raise ValueError(f"an instantaneous first_input is OTTT's alone, not of {settings.model!r}")
    if settings.model in ("ottt", "saf-e"):
        return _online(network, inputs, lengths)
    if settings.model not in ("saf-f", "spike-representation"):
        raise ValueError(f"{settings.model!r} does not learn by accumulated spikes")
    if settings.loss_mode != "final":
        raise ValueError(f"{settings.model} learns from the last step: loss_mode 'final', not otherwise")
    return _final(network, inputs, lengths)


def _online(network: "StackedNetwork", inputs: Batch | Tensor, lengths: Sequence[int]) -> Output:
    rates = []
    for signal in _signals(network, inputs, lengths):
        spikes = _spikes(network, signal)
        rates.append(_mean(spikes, lengths))
    potential = online_readout(
        spikes,
        network.weights[-1],
        network.biases[-1],
        own_steps(lengths, spikes),
        network.integrator.alpha,
        network.integrator.beta,
    )
    logits, potentials = network.read_potential(potential, lengths)
    return Output(logits, rates, potentials)


def _final(network: "StackedNetwork", inputs: Batch | Tensor, lengths: Sequence[int]) -> Output:
    settings, lam = network.settings, _decay(network)
    rates, weighted = [], []
    with torch.no_grad():
        total = network.weights[0].new_tensor([(lam ** np.arange(own)).sum() for own in lengths])
        total = total[:, None, None]
        rate = _summed_input(inputs, lam, total) / total
        for signal in _signals(network, inputs, lengths):
            rates.append(_mean(_spikes(network, signal), lengths))
            last = signal[:, :, -1] if _accumulates(network) else remembered_sum(signal, lam)
            weighted.append(last / total)
    hidden = zip(network.weights[:-1], network.biases[:-1], weighted, strict=True)
    for weight, bias, reached in hidden:
        rate = final_layer(rate, weight, bias, reached, settings.threshold, settings.model)
    return Output(affine(rate, network.weights[-1], network.biases[-1]), rates)


def _accumulates(network: "StackedNetwork") -> bool:
    """Whether accumulations travel between the layers, not spikes."""
    return network.settings.model in ("saf-e", "saf-f")


def _decay(network: "StackedNetwork") -> float:
    return decay(network.settings.tau_mem, network.settings.time_step)


def _spikes(network: "StackedNetwork", signal: Tensor) -> Tensor:
    return spikes_of(signal, _decay(network)) if _accumulates(network) else signal


def _signals(network: "StackedNetwork", inputs: Batch | Tensor, lengths: Sequence[int]) -> Iterator[Tensor]:
    """What every hidden layer in turn passes on, (S, B, T, N): spikes, or accumulations."""
    settings = network.settings
    neuron = _decay(network), settings.threshold, settings.surrogate, settings.backend == "fused"
    fire, connect = (
        (saf_accumulate, accumulated_affine) if _accumulates(network) else (ottt_spikes, traced_affine)
    )
    x = _first(network, inputs, lengths)
    mask = own_steps(lengths, x)
    signal = fire(x, *neuron)
    yield signal
    for weight, bias in zip(network.weights[1:-1], network.biases[1:-1], strict=True):
        signal = fire(connect(signal, weight, bias, neuron[0], mask), *neuron)
        yield signal


def _first(network: "StackedNetwork", inputs: Batch | Tensor, lengths: Sequence[int]) -> Tensor:
    """What drives the first layer: W s + b for OTTT, its trace W a + Lambda_t b for SAF."""
    weight, bias = network.weights[0], network.biases[0]
    if isinstance(inputs, Batch):
        x = event_sum(inputs, weight) + bias[:, None, None, :]
    else:
        x = affine(inputs, weight, bias)
    mask = own_steps(lengths, x)
    x = x if mask is None else x * mask
    if _accumulates(network):
        return trace(x, _decay(network))
    return x if network.settings.first_input == "instantaneous" else traced_gradient(x, _decay(network))


def _mean(spikes: Tensor, lengths: Sequence[int]) -> Tensor:
    """Every neuron's mean over samples and own steps, (S, N)."""
    divisor = spikes.new_tensor([spikes.shape[1] * own for own in lengths]).unsqueeze(1)
    return spikes.sum(dim=(1, 2)) / divisor


def _summed_input(inputs: Batch | Tensor, decay: float, like: Tensor) -> Tensor:
    """sum_t decay^(T-1-t) s[t] of the input, (S, B, 700); of events without their dense form."""
    if not isinstance(inputs, Batch):
        return remembered_sum(inputs, decay)
    runs, samples, steps = inputs.shape
    channels, first = inputs.channels, inputs.offsets.reshape(-1).long()
    counts = torch.diff(first, append=first.new_tensor([channels.numel()]))
    rows = torch.repeat_interleave(counts, output_size=channels.numel())  # each event's run, sample and step
    cells = rows.div(steps, rounding_mode="floor") * CHANNELS + channels % CHANNELS
    total = like.new_zeros(runs * samples * CHANNELS)
    total.index_add_(0, cells, remembered(like, steps, decay)[rows % steps])
    return total.view(runs, samples, CHANNELS)


def online_readout(
    s: Tensor, weight: Tensor, bias: Tensor, mask: Tensor | None, alpha: float, beta: float
) -> Tensor:
    """Potentials (S, B, T, C) of leaky integrators on the spikes (S, B, T, N), with the gradients above.

    alpha, beta: the decays of current and potential.
    """
    return _OnlineReadout.apply(s, weight, bias, mask, alpha, beta)


class _OnlineReadout(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, s: Tensor, weight: Tensor, bias: Tensor, mask: Tensor | None, alpha: float, beta: float
    ) -> Tensor:
        ctx.save_for_backward(s, weight, mask)
        ctx.decays = alpha, beta
        x = affine(s, weight, bias)
        return chunks(x if mask is None else x * mask, alpha, beta)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        s, weight, mask = ctx.saved_tensors
        _, beta = ctx.decays
        filtered = chunks(gradient.flip(2), *ctx.decays).flip(2)
        if mask is not None:
            filtered, gradient = filtered * mask, gradient * mask
        at_once = (1 - beta) * backwards(gradient, weight)
        return at_once, outer_sum(filtered, s), filtered.sum(dim=(1, 2)), None, None, None
