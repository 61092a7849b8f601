"""Batches of spikes: order, augmentation, left padding, for a stack of runs that each have their own.

Augmentation (the authors' `RandomAffine(degrees=0, translate=(0.1, 0), scale=(0.7, 1.3))`, nearest
neighbour): a sample of T steps and W channels is an image on a fixed canvas. With a shift d (whole channels)
and one zoom s about the centre, the output's row t reads the input's row f(t), its column c the column g(c):

    f(t) = round((t + 1/2 - T/2) / s + T/2 - 1/2)        g(c) = round((c + 1/2 - W/2 - d) / s + W/2 - 1/2)

and is empty where these fall outside. Rows and columns are independent, so two index tables per sample do it;
events of one cell add, and stay together.

Padding: a run's batch is padded in front, so that all samples end together, to its own longest sample, T_r
steps. In a stack T is the longest T_r and run r lives in the last T_r steps.
"""

import math
from collections.abc import Iterator

import numba
import numpy as np
import torch
from torch import Tensor

from spsn import noise
from spsn.compiled import jit
from spsn.data.events import EventStore
from spsn.data.shd import CHANNELS
from spsn.noise import Purpose
from spsn.settings import Augmentation


class Batch:
    """Samples of a stack of runs, and how they are augmented: S runs, B samples each, T steps.

    labels    int64 (S, B)
    lengths   tuple of S       T_r: run r lives in the last T_r of the T steps
    samples   int64 (S, B)     the samples' numbers in the data set
    shifts    float64 (S, B)   in channels, and
    zooms     float64 (S, B)   about the centre, of every sample: numpy arrays
    store     the events

    The fused kernels read the events through these alone. The plain form takes its events row by row, which
    are made when first asked for; row (r, b, t) owns a run of `channels`:

    channels  int32 (E,)       channel + 700 * run, a channel once per spike
    offsets   int32 (S, B, T)  where a row's channels begin; a row ends where the next begins
    """

    def __init__(
        self,
        batches: "Batches",
        samples: np.ndarray,
        shifts: np.ndarray,
        zooms: np.ndarray,
        labels: Tensor | None = None,
    ) -> None:
        self.store, self.shifts, self.zooms = batches.store, shifts, zooms
        self.samples = torch.from_numpy(samples)
        self.lengths = tuple(self.store.length[samples].max(axis=1).tolist())
        self.labels = (
            torch.from_numpy(self.store.label[samples].astype(np.int64)) if labels is None else labels
        )
        self._batches = batches
        self._rows: tuple[Tensor, Tensor] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(S, B, T)."""
        return *self.samples.shape, max(self.lengths)

    @property
    def channels(self) -> Tensor:
        """The channels of all rows, one after the other."""
        return self._gathered()[0]

    @property
    def offsets(self) -> Tensor:
        """Where each row's channels begin."""
        return self._gathered()[1]

    def _gathered(self) -> tuple[Tensor, Tensor]:
        device = self.labels.device
        shared = device.type == "cpu"  # the rows lie in a buffer that all batches use
        if self._rows is None or (shared and self._batches.filled_by is not self):
            channels, offsets = self._batches.rows(self)
            self._rows = channels.to(device, non_blocking=True), offsets.to(device, non_blocking=True)
        return self._rows

    def dense(self) -> Tensor:
        """The same spikes as counts, float32 (S, B, T, 700)."""
        runs, size, steps = self.shape
        flat = self.offsets.reshape(-1).long()
        ends = torch.cat([flat[1:], torch.tensor([self.channels.numel()], device=flat.device)])
        rows = torch.repeat_interleave(torch.arange(flat.numel(), device=flat.device), ends - flat)
        counts = torch.zeros(runs * size * steps, CHANNELS, device=flat.device)
        counts.index_put_((rows, self.channels.long() % CHANNELS), counts.new_ones(()), accumulate=True)
        return counts.view(runs, size, steps, CHANNELS)

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch for `device`: labels there, and rows too once they are asked for."""
        if torch.device(device) == self.labels.device:
            return self
        labels = self.labels.to(device, non_blocking=True)
        return Batch(self._batches, self.samples.numpy(), self.shifts, self.zooms, labels)


def draw_augmentation(
    augmentation: Augmentation, seed: int, epoch: int, samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Shifts (whole channels) and zooms of every sample in one epoch, float64 (samples,) each."""
    if augmentation.shift == 0 and augmentation.scale == 0:
        return np.zeros(samples), np.ones(samples)
    words = noise.words(seed, Purpose.AUGMENTATION, 2 * samples, epoch=epoch)
    uniform = 2.0 * noise.to_uniform(words).astype(np.float64).reshape(samples, 2) - 1.0
    return np.rint(uniform[:, 0] * augmentation.shift * CHANNELS), 1.0 + uniform[:, 1] * augmentation.scale


def training_order(seed: int, epoch: int, samples: int) -> np.ndarray:
    """The order in which a run sees its samples in one epoch: a random permutation, int64 (samples,)."""
    return np.argsort(noise.words(seed, Purpose.ORDER, samples, epoch=epoch), kind="stable")


class Batches:
    """Makes the batches of one split for a stack of runs.

    The rows' buffer is reused: the rows of a batch are valid until those of another one are asked for.
    """

    def __init__(self, store: EventStore, batch_size: int, seeds: tuple[int, ...]) -> None:
        self.store = store
        self.batch_size = batch_size
        self.seeds = seeds
        self._channels = np.empty(0, np.int32)
        self._offsets = np.empty(0, np.int32)
        self.filled_by: Batch | None = None  # whose rows the buffer holds

    def __len__(self) -> int:
        """Batches per epoch; the last one may be smaller."""
        return math.ceil(len(self.store) / self.batch_size)

    def training(self, epoch: int, augmentation: Augmentation) -> Iterator[Batch]:
        """The batches of one epoch: every run in its own order, with its own draws."""
        samples = len(self.store)
        orders = np.stack([training_order(seed, epoch, samples) for seed in self.seeds])
        draws = [draw_augmentation(augmentation, seed, epoch, samples) for seed in self.seeds]
        shifts, zooms = np.stack([d[0] for d in draws]), np.stack([d[1] for d in draws])
        for first in range(0, samples, self.batch_size):
            chosen = orders[:, first : first + self.batch_size]
            taken = np.take_along_axis(shifts, chosen, 1), np.take_along_axis(zooms, chosen, 1)
            yield self.gather(chosen, *taken)

    def in_order(self) -> Iterator[Batch]:
        """The batches of a test pass: file order, nothing augmented."""
        for first in range(0, len(self.store), self.batch_size):
            chosen = np.arange(first, min(first + self.batch_size, len(self.store)))
            yield self.gather(np.broadcast_to(chosen, (len(self.seeds), len(chosen))))

    def gather(
        self, samples: np.ndarray, shifts: np.ndarray | None = None, zooms: np.ndarray | None = None
    ) -> Batch:
        """The batch of `samples` (S, B), with shifts in channels and zooms (S, B).

        Raises ValueError for zooms that are not between 0 and 2: the rows' buffer relies on it.
        """
        samples = np.array(samples, dtype=np.int64, order="C")  # a writable copy
        shifts = np.zeros(samples.shape) if shifts is None else np.ascontiguousarray(shifts)
        zooms = np.ones(samples.shape) if zooms is None else np.ascontiguousarray(zooms)
        if not ((zooms > 0) & (zooms < 2)).all():
            raise ValueError("zooms must lie between 0 and 2")
        return Batch(self, samples, shifts, zooms)

    def rows(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """`channels` and `offsets` of a batch of this store, in the reused buffer."""
        store, steps = self.store, batch.shape[2]
        samples, self.filled_by = batch.samples.numpy(), batch
        self._reserve(samples, batch.zooms, steps)
        offsets = self._offsets[: samples.size * steps].reshape(batch.shape)
        arrays = store.time_bin, store.channel, store.offsets, store.length
        drawn = samples, batch.shifts, batch.zooms
        count = _gather(*arrays, *drawn, CHANNELS, self._channels, offsets)
        return torch.from_numpy(self._channels[:count]), torch.from_numpy(offsets)

    def _reserve(self, samples: np.ndarray, zooms: np.ndarray, steps: int) -> None:
        """Room for the most events possible: a zoom s < 2 repeats a row or column ceil(s) times at most."""
        events = self.store.offsets[samples + 1] - self.store.offsets[samples]
        room = int((events * np.ceil(zooms) ** 2).sum())
        if room >= 2**31:
            raise ValueError(
                f"a batch of {room} events is too large; use a smaller batch_size or fewer runs a stack"
            )
        if room > len(self._channels):
            self._channels = np.empty(room + room // 4, np.int32)
        if samples.size * steps > len(self._offsets):
            self._offsets = np.empty(samples.size * steps, np.int32)


@numba.njit(inline="always")
def source_index(index, size, zoom, shift):
    """The input's row or column that an output's row or column reads; outside 0 ... size-1 it is empty."""
    centre = 0.5 * size
    return int(np.rint((index + 0.5 - centre - shift) / zoom + centre - 0.5))


@jit
def column_runs(first, count, channels, zoom, shift):
    """Output columns first[c] ... first[c] + count[c] - 1 read the input's column c."""
    count[:] = 0
    for column in range(channels):
        source = source_index(column, channels, zoom, shift)
        if 0 <= source < channels:
            if count[source] == 0:
                first[source] = column
            count[source] += 1


@jit
def _gather(
    time_bin, channel, sample_offsets, length, samples, shifts, zooms, channels, out_channels, out_offsets
):
    """Fill a batch's rows with events; returns how many there are."""
    runs, size = samples.shape
    steps = out_offsets.shape[2]
    first, count = np.empty(channels, np.int32), np.empty(channels, np.int32)
    written = 0
    for r in range(runs):
        base = r * channels
        for b in range(size):
            sample, zoom = samples[r, b], zooms[r, b]
            own = length[sample]
            column_runs(first, count, channels, zoom, shifts[r, b])
            out_offsets[r, b, : steps - own] = written
            event, end = sample_offsets[sample], sample_offsets[sample + 1]
            for t in range(own):
                out_offsets[r, b, steps - own + t] = written
                row = source_index(t, own, zoom, 0.0)
                while event < end and time_bin[event] < row:
                    event += 1
                e = event  # the same row may be read twice: `event` waits at its beginning
                while e < end and time_bin[e] == row:
                    c = channel[e]
                    for k in range(count[c]):
                        out_channels[written] = base + first[c] + k
                        written += 1
                    e += 1
    return written
