"""What passes through a stack of networks: noise and events in, logits and rates out; which steps are whose.

Shapes: S runs, B samples, T steps, N neurons, C classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spsn import noise
from spsn.data.batches import Batch
from spsn.data.shd import CHANNELS
from spsn.noise import Purpose

Noise = Callable[[int, tuple[int, int, int, int], tuple[int, ...]], Tensor]


@dataclass(frozen=True)
class Output:
    """logits (S, B, C); rates: per hidden layer (S, N), a neuron's mean output over samples and own steps;
    potentials (S, B, T, C): the readout's at every step, where the objective looks at every step.
    """

    logits: Tensor
    rates: list[Tensor]
    potentials: Tensor | None = None


@dataclass(frozen=True)
class SpikeNoise:
    """Uniforms for every run's spikes: a function of (seed, purpose, epoch, step, layer, element) alone."""

    seeds: tuple[int, ...]
    purpose: Purpose
    epoch: int
    step: int
    device: torch.device | str = "cpu"

    def __call__(self, layer: int, shape: tuple[int, int, int, int], lengths: tuple[int, ...]) -> Tensor:
        """Uniforms (S, B, T, N) in (0, 1); run r's first own step lies at T - T_r; before it they are 1/2."""
        _, samples, steps, neurons = shape
        address = {"epoch": self.epoch, "step": self.step, "layer": layer}
        drawn = [
            self._uniforms(seed, (samples, own, neurons), address)
            for seed, own in zip(self.seeds, lengths, strict=True)
        ]
        if len(drawn) == 1 and lengths[0] == steps:
            return drawn[0].unsqueeze(0)
        out = torch.full(shape, 0.5, device=self.device)
        for r, own in enumerate(lengths):
            out[r, :, steps - own :] = drawn[r]
        return out

    def _uniforms(self, seed: int, shape: tuple[int, int, int], address: dict[str, int]) -> Tensor:
        if torch.device(self.device).type == "cpu":
            return torch.from_numpy(noise.uniforms(seed, self.purpose, shape, **address))
        return noise.uniforms_torch(seed, self.purpose, shape, **address, device=self.device)


def own_steps(lengths: Sequence[int], like: Tensor) -> Tensor | None:
    """1 in the last T_r of T steps of run r, else 0: (S, 1, T, 1); None where every run fills all steps."""
    steps = like.shape[2]
    if all(own == steps for own in lengths):
        return None
    first = torch.tensor([steps - own for own in lengths], device=like.device)
    mask = torch.arange(steps, device=like.device) >= first[:, None]
    return mask.to(like.dtype)[:, None, :, None]


def event_sum(batch: Batch, weight: Tensor) -> Tensor:
    """Layer 1 from events: the sum of every spike's weight row, (S, B, T, N), for weights (S, N, 700)."""
    runs, samples, steps = batch.shape
    rows = (
        weight.transpose(1, 2).reshape(runs * CHANNELS, -1).contiguous()
    )  # contiguous rows take the fast path
    total = nn.functional.embedding_bag(batch.channels, rows, batch.offsets.reshape(-1), mode="sum")
    return total.view(runs, samples, steps, -1)
