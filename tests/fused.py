"""What the tests of the fused kernels share: crafted events, pairs of networks, and the margins of a pass.

A float32 potential that lies within rounding of a decision (a spike, the kink of a ReLU, the greatest value
over time) may decide otherwise than the float64 one, and everything after it parts. `decided` therefore picks
parameters and noise whose every decision in the plain form is clear, so that none may differ.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from spsn.data.batches import Batch, Batches
from spsn.data.events import EventStore
from spsn.data.shd import CHANNELS
from spsn.grid import RunSettings
from spsn.network import Output, SpikeNoise, StackedNetwork
from spsn.neurons.integrator import recurrence
from spsn.neurons.lif import autograd_lif
from spsn.noise import Purpose
from spsn.objective import objective

CLEAR = 2e-6  # of the greatest potential: well above what rounding in float32 moves


def store_of(pictures: Sequence[np.ndarray]) -> EventStore:
    """Samples with these counts (T, 700), several events in a cell where a count is above 1; the last row of
    a picture is not empty, unless there is but one.
    """
    events = [np.repeat(np.argwhere(p), p[p > 0], axis=0).astype(np.uint16) for p in pictures]
    every = np.concatenate(events)
    return EventStore(
        time_bin=np.ascontiguousarray(every[:, 0]),
        channel=np.ascontiguousarray(every[:, 1]),
        offsets=np.concatenate([[0], np.cumsum([len(e) for e in events])]),
        label=np.arange(len(pictures)) % 5,
        speaker=np.zeros(len(pictures), np.uint16),
        length=np.array([len(p) for p in pictures], np.int32),
        classes=tuple("abcde"),
        time_step_ms=1.0,
    )


def picture(steps: int, seed: int, per_step: float = 50.0) -> np.ndarray:
    """Random counts (steps, 700), some cells above 1; the last step is not empty."""
    counts = np.random.default_rng(seed).poisson(per_step / CHANNELS, (steps, CHANNELS))
    counts[-1, CHANNELS // 2] += 2
    return counts


SILENT = np.zeros((1, CHANNELS), int)  # a sample without an event


def batch_of(lengths: Sequence[int], samples: int, augmented: bool = False, seed: int = 0) -> Batch:
    """A batch of one run for each of `lengths`: its first sample is that long, the others are shorter; where
    there are three or more, one is without an event.
    """
    rng = np.random.default_rng(seed)
    own = [[steps, *rng.integers(1, steps + 1, samples - 1)] for steps in lengths]
    pictures = [picture(int(steps), seed + k) for k, steps in enumerate(np.ravel(own))]
    if samples > 2:
        pictures[samples - 1] = SILENT
    numbers = np.arange(len(pictures)).reshape(len(lengths), samples)
    drawn = (
        np.rint(rng.uniform(-CHANNELS / 10, CHANNELS / 10, numbers.shape)),
        rng.uniform(0.7, 1.3, numbers.shape),
    )
    batches = Batches(store_of(pictures), samples, tuple(range(len(lengths))))
    return batches.gather(numbers, *drawn) if augmented else batches.gather(numbers)


def noise_of(seeds: Sequence[int], step: int = 0) -> SpikeNoise:
    return SpikeNoise(tuple(seeds), Purpose.TRAINING_SPIKES, epoch=3, step=step)


def fused_network(settings: RunSettings, seeds: Sequence[int], attempt: int = 0) -> StackedNetwork:
    """A network on the fused backend whose biases are not 0 and whose logits do not saturate. The parameters
    of a run depend on its own seed and `attempt` alone.
    """
    network = StackedNetwork(replace(settings, backend="fused"), seeds)
    with torch.no_grad():
        network.weights[-1].mul_(0.1)
        for layer, bias in enumerate(network.biases):
            for run, seed in enumerate(network.seeds):
                generator = torch.Generator().manual_seed(1000 * attempt + 10 * seed + layer)
                bias[run] = torch.empty(bias.shape[1]).uniform_(-0.02, 0.06, generator=generator)
    return network


def plain_network(fused: StackedNetwork) -> StackedNetwork:
    """The plain form with the same parameters, in float64."""
    plain = StackedNetwork(replace(fused.settings, backend="torch"), fused.seeds)
    plain.load_state_dict(fused.state_dict())
    return plain.double()


def gradients(network: StackedNetwork, batch: Batch, noise: SpikeNoise) -> tuple[Output, list[Tensor]]:
    """What a pass gives, and the gradients of the objective with respect to all parameters."""
    output = network(batch, noise)
    loss = objective(output.logits, batch.labels, output.rates, network.settings.rate_threshold)
    return output, list(torch.autograd.grad(loss.sum(), list(network.parameters())))


def decided(
    settings: RunSettings, seeds: Sequence[int], batch: Batch
) -> tuple[StackedNetwork, StackedNetwork, SpikeNoise]:
    """A fused network, its plain form and noise with which every decision is a clear one."""
    for attempt in range(200):
        fused, noise = fused_network(settings, seeds, attempt), noise_of(seeds, attempt)
        plain = plain_network(fused)
        if _margin(plain, batch, noise) > CLEAR:
            return fused, plain, noise
    raise AssertionError("no clear decisions found: take fewer neurons or steps")


@torch.no_grad()
def _margin(plain: StackedNetwork, batch: Batch, noise: SpikeNoise) -> float:
    """The smallest distance of a potential from its decision, relative to the greatest potential."""
    with _seen(plain) as layers:
        plain(batch, noise)
    margins = []
    for x, uniforms, _ in layers:
        for run, own in enumerate(batch.lengths):
            r = None if uniforms is None else uniforms[run, :, -own:].double()
            margins.append(_neurons_margin(plain, x[run, :, -own:], r))
    if plain.settings.loss_mode == "max":
        for run, own in enumerate(batch.lengths):
            margins.append(_maximum_margin(plain, run, layers[-1][2][run, :, -own:]))
    return min(margins)


@contextmanager
def _seen(plain: StackedNetwork) -> Iterator[list[tuple[Tensor, Tensor | None, Tensor]]]:
    """Pre-activation, uniforms and output of every hidden layer of a pass."""
    layers: list = []

    def keep(module, arguments, output) -> None:
        layers.append((arguments[0], arguments[1] if len(arguments) > 1 else None, output))

    hook = plain.neuron.register_forward_hook(keep)
    yield layers
    hook.remove()


def _neurons_margin(plain: StackedNetwork, x: Tensor, uniforms: Tensor | None) -> float:
    model = plain.settings.model
    if model == "non-spiking":
        return float(x.abs().min() / x.abs().max())
    alpha, beta = plain.integrator.alpha, plain.integrator.beta
    if model == "lif":
        u = autograd_lif(x, alpha, beta, plain.settings.threshold, plain.settings.lif_reset)[1]
        distance, scale = u - plain.settings.threshold, plain.settings.threshold
    else:
        u = recurrence(x, alpha, beta)
        distance = u - torch.logit(uniforms) if model == "spsn-sb" else 2 * u + torch.logit(uniforms)
        scale = 1.0  # of the sigmoid
    return float(distance.abs().min() / u.abs().max().clamp(min=scale))


def _maximum_margin(plain: StackedNetwork, run: int, signal: Tensor) -> float:
    """The distance of the readout's greatest potential over time from the second greatest."""
    u = signal @ plain.weights[-1][run].T + plain.biases[-1][run]
    if plain.integrator is not None:
        u = recurrence(u, plain.integrator.alpha, plain.integrator.beta)
    distance = (u.amax(dim=1, keepdim=True) - u) / u.abs().max()
    if plain.settings.model == "non-spiking":
        equal = distance < 1e-12  # steps without an event: which of them is taken makes no difference
    else:
        equal = torch.zeros_like(distance, dtype=torch.bool).scatter_(1, u.argmax(dim=1, keepdim=True), True)
    return float(distance.masked_fill(equal, 1.0).min())


def spike_totals(output: Output, batch: Batch) -> list[Tensor]:
    """Spikes of every neuron over samples and own steps, per hidden layer (S, N), as whole numbers."""
    counts = torch.tensor([batch.shape[1] * own for own in batch.lengths], dtype=torch.float64)[:, None]
    return [(rate.double() * counts).round() for rate in output.rates]


def assert_close(ours: Tensor, judge: Tensor, tolerance: float) -> None:
    """Every run's greatest difference is below `tolerance` of the run's greatest value."""
    assert ours.shape == judge.shape
    scale = judge.detach().abs().flatten(1).amax(dim=1)
    error = (ours.detach().double() - judge.detach()).abs().flatten(1).amax(dim=1)
    assert (error <= tolerance * scale + 1e-30).all(), (error / scale).tolist()
