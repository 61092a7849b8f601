"""The layers that Figure 5 compares: one affine map, then a neuron, in every implementation there is.

A neuron here takes pre-activations (B, T, N) and gives spikes (B, T, N). To add an implementation, add a line
to `LAYERS`. The fused ones take the kernels of the device that their input lies on (`devices.has_fused`),
which are imported at the first call.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from types import ModuleType

import torch
from torch import Tensor

from spsn.neurons import MODELS
from spsn.neurons.integrator import decay
from spsn.noise import Purpose
from spsn.settings import NetworkSettings
from spsn.timing import baselines
from spsn.timing.measure import Function, Lap

Neuron = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class LayerKind:
    """`make(model, network)` gives the neuron; `order` is the power of T with which its time grows."""

    make: Callable[[str, NetworkSettings], Neuron]
    order: int = 1


def decays(network: NetworkSettings) -> tuple[float, float]:
    """alpha and beta."""
    return decay(network.tau_syn, network.time_step), decay(network.tau_mem, network.time_step)


def _package(model: str, network: NetworkSettings) -> Neuron:
    return MODELS[model].make(network)


def _loop_lif(model: str, network: NetworkSettings) -> Neuron:
    return lambda x: baselines.loop_lif(x, *decays(network), network.threshold)


def _unbind_lif(model: str, network: NetworkSettings) -> Neuron:
    return lambda x: baselines.unbind_lif(x, *decays(network), network.threshold)


def _wrapped_sb(model: str, network: NetworkSettings) -> Neuron:
    return lambda x: baselines.bernoulli_fire(baselines.wrapped_fft(x, *decays(network)))


def fused_neurons(device: torch.device) -> ModuleType:
    """The module of fused forms for a device, a CPU or a GPU; all have the same functions."""
    if device.type == "cuda":
        from spsn.kernels.gpu import neurons
    else:
        from spsn.kernels.cpu import neurons
    return neurons


def _fused_lif(model: str, network: NetworkSettings) -> Neuron:
    constants = *decays(network), network.threshold, network.lif_reset
    return lambda x: fused_neurons(x.device).lif(x, *constants)


def _fused_sb(model: str, network: NetworkSettings) -> Neuron:
    from spsn.kernels.cpu.engine import NoiseAddress

    constants, steps = decays(network), count()  # every call draws anew

    def fire(x: Tensor) -> Tensor:
        address = NoiseAddress((0,), Purpose.TIMING, step=next(steps))
        return fused_neurons(x.device).bernoulli_spikes(x, *constants, address)

    return fire


LAYERS: dict[tuple[str, str], LayerKind] = {
    ("lif", "paper"): LayerKind(_loop_lif, order=2),
    ("lif", "unbind"): LayerKind(_unbind_lif),
    ("lif", "torch"): LayerKind(_package),
    ("lif", "fused"): LayerKind(_fused_lif),
    ("spsn-sb", "paper"): LayerKind(_wrapped_sb),
    ("spsn-sb", "torch"): LayerKind(_package),
    ("spsn-sb", "fused"): LayerKind(_fused_sb),
}


def layer_pass(neuron: Neuron, inputs: Tensor, weight: Tensor, bias: Tensor) -> Function:
    """Forward and backward of one layer, a lap between them; the loss is the mean spike.

    inputs (B, T, inputs), weight (N, inputs), bias (N,); the parameters are copied, so that implementations
    share nothing.
    """
    weight, bias = (p.detach().clone().requires_grad_() for p in (weight, bias))

    def forward_and_backward(lap: Lap) -> None:
        weight.grad = bias.grad = None
        loss = neuron(torch.nn.functional.linear(inputs, weight, bias)).mean()
        lap()
        loss.backward()

    return forward_and_backward
