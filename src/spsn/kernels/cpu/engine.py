"""A stack's way forward and back by the fused kernels, as one differentiable operation.

`Engine` owns the memory: parameters in the kernels' order, what the way forward leaves for the way back, the
workers' tiles, the gradients of every group of samples. It grows to what the longest batch needs and is used
again by every step, so a second pass forward overwrites what the first one left; to go back through an
overwritten pass raises RuntimeError. One engine serves one Python thread at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from spsn import threads
from spsn.data.batches import Batch
from spsn.kernels.cpu.buffers import Shape, empty, gradients_for, scratch_for, weights_for
from spsn.kernels.cpu.events import Draws, Events
from spsn.kernels.cpu.passes import Errors, Gradients, Kept, Pass, Scratch, backward, forward
from spsn.kernels.cpu.products import GROUP, TILE, weight_sums
from spsn.kernels.cpu.simd import LANES

GROUP_SAMPLES = 8  # samples whose gradients one worker sums in turn


@dataclass(frozen=True)
class NoiseAddress:
    """Where a pass finds its random numbers (`spsn.noise`)."""

    seeds: tuple[int, ...]
    purpose: int = 0
    epoch: int = 0
    step: int = 0


class Engine:
    """The fused form of the hidden layers of a stack, and of a readout over time."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.passes = 0  # ways forward so far: what was kept belongs to the last one
        self._weights = weights_for(shape)
        self._scratch: list[Scratch] = []
        self._gradients: list[Gradients] = []
        self._flat: dict[str, np.ndarray] = {}
        self._last: tuple = ()  # what the way back needs of the last way forward

    def forward(
        self,
        parameters: Sequence[Tensor],
        batch: Batch,
        coefficients: np.ndarray,
        address: NoiseAddress,
        keep: bool,
    ) -> Kept:
        """Simulate the batch.

        parameters: weight (S, out, in) and bias (S, out) of every layer in turn, the readout's only where it
        runs over time; coefficients (S, T): c[t] of the averaged readout by a run's own steps; keep: what
        the way back needs. Raises ValueError for a batch or an address of another number of runs.
        """
        check_runs(self.shape.runs, batch, address)
        self.passes += 1
        self._last = ()  # lets go of what must grow
        self._load(parameters)
        of = Pass(
            self.shape.neuron, np.array(address.seeds, np.uint32), int(address.purpose), address.step,
            address.epoch, keep, self.shape.over_time,
        )  # fmt: skip
        runs, samples, steps = batch.shape
        self._workers()
        kept = self._kept(runs, samples, steps, keep)
        events, draws = batch_events(batch)
        tasks = runs * -(-samples // GROUP_SAMPLES)
        count = runs * samples

        def work(worker: int, task: int) -> None:
            begin, end = task * count // tasks, (task + 1) * count // tasks
            scratch = self._scratch[worker]
            forward(
                of, self._weights, events, draws, kept, coefficients, self.shape.size, scratch, begin, end
            )

        threads.share(tasks, work)
        self._last = of, events, draws, kept, coefficients, len(self._scratch)
        return kept

    def backward(
        self, averaged: np.ndarray, potentials: np.ndarray, constant: np.ndarray
    ) -> list[np.ndarray]:
        """Gradients in the order of the parameters of `forward`, from those of what it gave.

        averaged (S, B, W), potentials (S, B, T, C) filled up to whole vectors or empty, constant (S, L, W):
        dL/ds at every step alike.
        """
        of, events, draws, kept, coefficients, workers = self._last
        errors = Errors(averaged, potentials, constant)
        runs, samples = draws.samples.shape
        groups = -(-samples // GROUP_SAMPLES)
        self._groups(runs * groups)

        def work(worker: int, task: int) -> None:
            run, group = task // groups, task % groups
            begin, end = group * samples // groups, (group + 1) * samples // groups
            backward(
                of, self._weights, events, draws, kept, errors, coefficients, self._gradients[task],
                self._scratch[worker], run, begin, end,
            )  # fmt: skip

        threads.share(runs * groups, work, most=workers)  # what was kept has room for so many
        return self._summed(runs, groups)

    def _load(self, parameters: Sequence[Tensor]) -> None:
        """Bring the parameters into the kernels' order."""
        shape, to = self.shape, self._weights
        arrays = [p.detach().numpy() for p in parameters]
        n = shape.size
        to.first[:, :, :n] = arrays[0].transpose(0, 2, 1)
        for layer in range(shape.layers):
            to.bias[:, layer, :n] = arrays[2 * layer + 1]
            if layer > 0:
                to.back[:, layer - 1, :n, :n] = arrays[2 * layer]
                to.hidden[:, layer - 1, :n, :n] = arrays[2 * layer].transpose(0, 2, 1)
        if shape.over_time:
            to.read_back[:, : shape.classes, :n] = arrays[-2]
            to.read[:, :n, : shape.classes] = arrays[-2].transpose(0, 2, 1)
            to.read_bias[:, : shape.classes] = arrays[-1]
        if shape.spiking:
            for run in range(shape.runs):
                for layer in range(shape.layers - 1):
                    weight_sums(to.hidden[run, layer], to.sums[run, layer])
                if shape.over_time:
                    weight_sums(to.read[run], to.read_sums[run])

    def _buffer(self, name: str, size: int, dtype: type) -> np.ndarray:
        if name not in self._flat or self._flat[name].size < size:
            self._flat.pop(name, None)  # first give back, then take
            self._flat[name] = empty(size, dtype=dtype)
        return self._flat[name]

    def _kept(self, runs: int, samples: int, steps: int, keep: bool) -> Kept:
        shape = self.shape
        count = runs * samples
        held, skipped = shape.held if keep else (0, 0)
        room = count * held * steps * shape.width
        more = (len(self._scratch) * shape.layers * TILE + 4) * shape.width  # a product reads up to 3 rows on
        quarters = count * shape.layers * -(-steps // GROUP) if keep and shape.spiking else 0
        blocks = count * steps * shape.width // LANES if keep and not shape.spiking else 0
        return Kept(
            slopes=self._buffer("slopes", room + more, np.float32),
            patterns=self._buffer("patterns", quarters * shape.width, np.uint8),
            masks=self._buffer("masks", blocks, np.uint16),
            totals=np.empty((runs, samples, shape.layers, shape.width), np.float32),
            averaged=np.empty((runs, samples, shape.width), np.float32),
            potentials=np.zeros(count * steps * shape.read_width, np.float32),
            steps=steps,
            held=held,
            skipped=skipped,
            room=room,
        )

    def _workers(self) -> None:
        while len(self._scratch) < threads.kernel_threads():
            self._scratch.append(scratch_for(self.shape, len(self._scratch)))

    def _groups(self, count: int) -> None:
        while len(self._gradients) < count:
            self._gradients.append(gradients_for(self.shape))

    def _summed(self, runs: int, groups: int) -> list[np.ndarray]:
        shape = self.shape
        n, c = shape.size, shape.classes
        made: list[list[np.ndarray]] = []
        for run in range(runs):
            parts = self._gradients[run * groups : (run + 1) * groups]
            total = [sum(array[1:], array[0]) for array in zip(*parts, strict=True)]
            first, hidden, bias, read, read_bias = total
            of_run = [first[:, :n].T, bias[0, :n]]
            for layer in range(1, shape.layers):
                of_run += [hidden[layer - 1, :n, :n].T, bias[layer, :n]]
            if shape.over_time:
                of_run += [read[:n, :c].T, read_bias[:c]]
            made.append(of_run)
        return [np.stack(column) for column in zip(*made, strict=True)]


def check_runs(runs: int, batch: Batch, address: NoiseAddress) -> None:
    """Raises ValueError for another number of runs: the kernels do not look where a run's numbers end."""
    given = batch.shape[0], len(address.seeds)
    if given != (runs, runs):
        raise ValueError(
            f"a network of {runs} runs needs a batch and seeds of so many, not {given[0]} and {given[1]}"
        )


def batch_events(batch: Batch) -> tuple[Events, Draws]:
    """A batch as the kernels take it."""
    store = batch.store
    events = Events(store.time_bin, store.channel, store.offsets, store.length)
    return events, Draws(batch.samples.numpy(), batch.shifts, batch.zooms, np.array(batch.lengths, np.int64))
