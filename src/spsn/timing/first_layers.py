"""Layer 1 (700 inputs), forward and gradient of its parameters, as subjects to be measured.

The spikes are random (`random_store.even_store`); dL/dx (B, T, N) is normal and the same for all. A pass
returns x, dL/dweight and dL/dbias.

    dense    torch's linear map of the dense input, which is made before
    densify  the making of that input alone, to be added where data come as events
    events   the package's plain form: a sum of weight rows over the events of a row, which are made before
    fused    the package's fused form, which reads the event store
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from spsn.data.batches import Batch, Batches
from spsn.data.shd import CHANNELS
from spsn.errors import SpsnError
from spsn.network import event_sum, initial_parameters
from spsn.settings import Augmentation
from spsn.threads import use
from spsn.timing.measure import Function, Lap
from spsn.timing.random_store import even_store
from spsn.timing.steps import SMALL
from spsn.timing.worker import Subject

FIRST_LAYER = f"{__name__}:first_layer_subject"  # what a contestant names
Make = Callable[[Batch, Tensor, Tensor, Tensor], Function]  # of batch, weight (N, 700), bias (N,) and dL/dx


def _dense(batch: Batch, weight: Tensor, bias: Tensor, gradient: Tensor) -> Function:
    spikes, parameters = batch.dense()[0], (weight.requires_grad_(), bias.requires_grad_())

    def forward_and_backward(lap: Lap) -> tuple[Tensor, ...]:
        x = nn.functional.linear(spikes, *parameters)
        lap()
        return x, *torch.autograd.grad(x, parameters, gradient)

    return forward_and_backward


def _densify(batch: Batch, weight: Tensor, bias: Tensor, gradient: Tensor) -> Function:
    return lambda lap: batch.dense()


def _events(batch: Batch, weight: Tensor, bias: Tensor, gradient: Tensor) -> Function:
    parameters = weight.unsqueeze(0).requires_grad_(), bias.requires_grad_()
    stacked = gradient.unsqueeze(0)

    def forward_and_backward(lap: Lap) -> tuple[Tensor, ...]:
        x = event_sum(batch, parameters[0]) + parameters[1]
        lap()
        return x, *torch.autograd.grad(x, parameters, stacked)

    return forward_and_backward


def _fused(batch: Batch, weight: Tensor, bias: Tensor, gradient: Tensor) -> Function:
    from spsn.kernels.cpu.first_layer import event_affine

    parameters = weight.unsqueeze(0).requires_grad_(), bias.unsqueeze(0).requires_grad_()
    stacked = gradient.unsqueeze(0)

    def forward_and_backward(lap: Lap) -> tuple[Tensor, ...]:
        x = event_affine(batch, *parameters)
        lap()
        return x, *torch.autograd.grad(x, parameters, stacked)

    return forward_and_backward


FIRST_LAYERS: dict[str, tuple[str, Make]] = {  # backend, and what makes its pass
    "dense": ("torch", _dense),
    "densify": ("torch", _densify),
    "events": ("torch", _events),
    "fused": ("fused", _fused),
}


def first_layer_subject(
    form: str,
    *,
    batch: int = 64,
    time_steps: int = 1000,
    neurons: int = 128,
    device: str = "cpu",
    threads: int = 2,
) -> Subject:
    """Forward and backward of one form of layer 1. Raises `SpsnError` for the fused one on a GPU."""
    there, (backend, make) = torch.device(device), FIRST_LAYERS[form]
    if form == "fused" and there.type != "cpu":
        raise SpsnError("the fused first layer is for a CPU; measure the others alone with --forms")
    use(backend, threads, there)
    _pass(make, *SMALL, neurons, there)(lambda: None)
    return Subject(_pass(make, batch, time_steps, neurons, there), there)


def _pass(make: Make, samples: int, steps: int, neurons: int, device: torch.device) -> Function:
    spikes = next(Batches(even_store(samples, steps), samples, (0,)).training(0, Augmentation())).to(device)
    weights, biases = initial_parameters([CHANNELS, neurons], 0, spiking=True)
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(samples, steps, neurons, generator=generator).to(device)
    return make(spikes, weights[0].to(device), biases[0].to(device), gradient)
