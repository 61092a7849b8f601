"""The spikes and initial weights that all systems are given, as one file. Needs numpy and torch alone."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

CHANNELS = 700
TAU, TIME_STEP, THRESHOLD, LEARNING_RATE = 0.02, 0.001, 1.0, 1e-3  # both time constants are TAU; s, s, V


@dataclass(frozen=True)
class Shape:
    """B samples of T steps; the network's hidden layers."""

    batch: int
    steps: int
    hidden_layers: int = 3
    hidden_size: int = 128


@dataclass(frozen=True, eq=False)
class Inputs:
    """The spikes of one batch, E in all, ordered by sample, time and channel, and the network's parameters.

    time_bin (E,) uint16, channel (E,) uint16, offsets (B + 1,) int64, labels (B,) int64; `state` maps
    "0.weight" (out, in), "0.bias" (out,), "1.weight", ... to float32 tensors.
    """

    shape: Shape
    time_bin: np.ndarray
    channel: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    state: dict[str, Tensor]

    def dense(self) -> Tensor:
        """Spike counts, float32 (B, T, 700)."""
        counts = torch.zeros(self.shape.batch, self.shape.steps, CHANNELS)
        sample = np.repeat(np.arange(self.shape.batch), np.diff(self.offsets))
        cells = tuple(torch.from_numpy(a.astype(np.int64)) for a in (sample, self.time_bin, self.channel))
        return counts.index_put_(cells, torch.ones(()), accumulate=True)

    def first(self, steps: int) -> "Inputs":
        """The same without what comes after the first `steps` time steps."""
        steps = min(steps, self.shape.steps)
        kept = self.time_bin < steps
        ends = np.concatenate([[0], np.cumsum(kept)])[self.offsets]
        shape = replace(self.shape, steps=steps)
        return Inputs(shape, self.time_bin[kept], self.channel[kept], ends, self.labels, self.state)

    def save(self, path: Path) -> None:
        """Write all of it as one .npz file."""
        arrays = {f"state/{name}": value.numpy() for name, value in self.state.items()}
        shape = np.array(list(vars(self.shape).values()), np.int64)
        events = {name: getattr(self, name) for name in ("time_bin", "channel", "offsets", "labels")}
        np.savez(path, shape=shape, **events, **arrays)

    @classmethod
    def load(cls, path: Path) -> "Inputs":
        """Read what `save` wrote."""
        with np.load(path) as file:
            found = {name: file[name] for name in file.files}
        shape = Shape(*map(int, found.pop("shape")))
        state = {
            name.removeprefix("state/"): torch.from_numpy(found.pop(name))
            for name in list(found)
            if name.startswith("state/")
        }
        return cls(shape, **found, state=state)
