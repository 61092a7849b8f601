"""An epoch's batches on the device: where a step finds its samples, its rate and its noise by itself.

Before an epoch the host brings every run's order, labels and draws, the runs' own steps T_r in every step and
the optimizer's rates. What a step's kernels read lies in tensors that stay where they are (`Place`); `take`
fills them for the step whose number is on the device too, and `finish` counts it on:

    samples, labels, shifts, zooms (S, B)   the columns from k * batch_size on of (S, n)
    lengths (S,)                            row k of (K, S)
    coefficients (S, T), totals             c[t] and sum_t c[t] of T_r, from a table of every length

so that all steps of B samples are the same launches with the same arguments. T is the data's longest sample,
filled up to whole tiles: kernels go as far as T_r, so a longer T moves rows apart and changes no bit; and as
some batch of every epoch has the longest sample, it takes no more memory than that batch.

S runs, n samples, K steps of up to B samples, C different lengths. Bytes: 28 a run and sample, 4 a length and
time step of it; a step moves 28 a run and sample and 8 a run and time step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from spsn.data.batches import Batch
from spsn.data.events import EventStore
from spsn.kernels.gpu.engine import Inputs, stored_on
from spsn.kernels.gpu.launching import on
from spsn.kernels.gpu.products import TILE
from spsn.kernels.gpu.store import Draws

BLOCK = 1024
DRAWN = {"samples": torch.int32, "labels": torch.int64, "shifts": torch.float64, "zooms": torch.float64}
Mean = Callable[[int], tuple[np.ndarray, np.float32]]


@dataclass(frozen=True, eq=False)
class Place:
    """Where steps of B samples find what they take; labels int64 (S, B)."""

    inputs: Inputs
    labels: Tensor


class Feed:
    """The epochs of one split for a stack of runs.

    moment int64 (2,): the number of the step, and of the epoch; rates float32 (K,); losses float64 (S,) and
    hits int64 (S,): sums over the steps since `load`.
    """

    def __init__(
        self,
        store: EventStore,
        batch_size: int,
        seeds: Sequence[int],
        purpose: int,
        mean: Mean,
        device: torch.device,
    ) -> None:
        """mean: c[t] float32 (T_r,) of the averaged readout over T_r steps, and their sum."""
        self.store, self.batch_size, self.purpose, self.device = store, batch_size, purpose, device
        runs, samples, longest = len(seeds), len(store), int(store.length.max())
        self.count, self.steps = -(-samples // batch_size), -(-longest // TILE) * TILE
        self.seeds = torch.tensor(seeds, dtype=torch.int64).to(device)
        self.moment = self._zeros(2, dtype=torch.int64)
        self.rates = self._zeros(self.count)
        self.losses, self.hits = self._zeros(runs, dtype=torch.float64), self._zeros(runs, dtype=torch.int64)
        self._drawn = {name: self._zeros(runs, samples, dtype=kind) for name, kind in DRAWN.items()}
        self._lengths = self._zeros(self.count, runs, dtype=torch.int32)
        self._coefficients, self._begins, self._totals = (
            torch.from_numpy(array).to(device) for array in _every_mean(store, mean)
        )
        self._places: dict[int, Place] = {}

    def load(self, epoch: Sequence[Batch], number: int, rates: Sequence[float]) -> None:
        """Bring an epoch: its batches, its number and the rates of its steps."""
        self.losses.zero_()
        self.hits.zero_()
        parts = {
            "samples": [batch.samples.numpy() for batch in epoch],
            "labels": [batch.labels.numpy() for batch in epoch],
            "shifts": [batch.shifts for batch in epoch],
            "zooms": [batch.zooms for batch in epoch],
        }
        for name, each in parts.items():
            self._drawn[name].copy_(torch.from_numpy(np.concatenate(each, axis=1)))
        self._lengths.copy_(torch.tensor([batch.lengths for batch in epoch]))
        self.rates.copy_(torch.tensor(rates))  # as float32
        self.moment.copy_(torch.tensor([0, number]))

    def place(self, samples: int) -> Place:
        """The place of steps of so many samples: the same at every call."""
        if samples not in self._places:
            runs = len(self.seeds)
            drawn = {name: self._zeros(runs, samples, dtype=kind) for name, kind in DRAWN.items()}
            labels, lengths = drawn.pop("labels"), self._zeros(runs, dtype=torch.int32)
            inputs = Inputs(
                stored_on(self.store, self.device), Draws(**drawn, lengths=lengths, steps=self.steps),
                self._zeros(runs, self.steps), self._zeros(runs, 1, 1), self.seeds, self.moment, self.purpose,
            )  # fmt: skip
            self._places[samples] = Place(inputs, labels)
        return self._places[samples]

    def take(self, place: Place) -> None:
        """Fill a place for the step whose number is moment[0]."""
        to, drawn = place.inputs, place.inputs.draws
        runs, samples = drawn.samples.shape
        with on(self.device):
            _take[(runs,)](
                self.moment, *self._drawn.values(), self._lengths, self._begins, self._totals,
                self._coefficients,
                drawn.samples, place.labels, drawn.shifts, drawn.zooms, drawn.lengths, to.totals,
                to.coefficients,
                len(self.store), self.batch_size, samples, self.steps, BLOCK,
            )  # fmt: skip

    def finish(self, losses: Tensor, hits: Tensor) -> None:
        """Add a step's losses (S,) and hits (S,), and go on to the next one."""
        self.losses.add_(losses)
        self.hits.add_(hits)
        self.moment[:1].add_(1)

    def _zeros(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.zeros(shape, dtype=dtype, device=self.device)


def _every_mean(store: EventStore, mean: Mean) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """c[t] of every length of a sample, one after the other, float32; by length where each begins, int64, and
    the sum, float32.
    """
    lengths = np.unique(store.length)
    begins, totals = np.zeros(lengths[-1] + 1, np.int64), np.zeros(lengths[-1] + 1, np.float32)
    begins[lengths] = np.cumsum(lengths, dtype=np.int64) - lengths
    coefficients = np.empty(int(lengths.sum(dtype=np.int64)), np.float32)
    for own in lengths.tolist():
        coefficients[begins[own] : begins[own] + own], totals[own] = mean(own)
    return coefficients, begins, totals


@triton.jit(do_not_specialize=["columns", "batch_size", "batch", "T"])
def _take(
    moment, samples, labels, shifts, zooms, lengths, begins, totals, means,
    own_samples, own_labels, own_shifts, own_zooms, own_lengths, own_totals, coefficients,
    columns, batch_size, batch, T,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Program: a run."""
    run, step = tl.program_id(0).to(tl.int64), tl.load(moment)
    lane = tl.arange(0, BLOCK)
    for b0 in range(0, batch, BLOCK):
        b = b0 + lane
        source, own, there = run * columns + step * batch_size + b, run * batch + b, b < batch
        tl.store(own_samples + own, tl.load(samples + source, mask=there, other=0), mask=there)
        tl.store(own_labels + own, tl.load(labels + source, mask=there, other=0), mask=there)
        tl.store(own_shifts + own, tl.load(shifts + source, mask=there, other=0.0), mask=there)
        tl.store(own_zooms + own, tl.load(zooms + source, mask=there, other=0.0), mask=there)
    length = tl.load(lengths + step * tl.num_programs(0) + run)
    tl.store(own_lengths + run, length)
    tl.store(own_totals + run, tl.load(totals + length))
    mean = means + tl.load(begins + length)
    for t0 in range(0, length, BLOCK):
        t = t0 + lane
        tl.store(coefficients + run * T + t, tl.load(mean + t, mask=t < length, other=0.0), mask=t < length)
