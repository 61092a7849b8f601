"""The events of a split on a device, in the two orders in which the first layer reads them.

The way forward reads a sample row by row: the channels of the events in time order, and where every time
step's events begin. The way back reads it channel by channel: the time bins of the events in channel order
(those of one channel stay in time order), and where every channel's events begin. Both are made once, by a
counting sort, and stay on the device.

An event takes 2 bytes in either order. torch has little use for uint16, so the bits lie in int16: a channel
is below 700 and the same number in both, a time bin is read with `& 0xFFFF`. A beginning is an int32 counted
from the sample's first event, whose own place is an int64. 8156 samples of 7,700 events and 1000 steps take
4 bytes an event and 6.8 kB a sample: 307 MB.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from spsn.compiled import jit
from spsn.data.batches import Batch
from spsn.data.events import EventStore
from spsn.data.shd import CHANNELS


@dataclass(frozen=True, eq=False)
class DeviceStore:
    """n samples, E events, R time steps of all samples together; every tensor lies on one device.

    lengths        int32 (n,)        time steps of a sample
    offsets        int64 (n + 1,)    where a sample's events begin
    channels       int16 (E,)        in time order
    row_offsets    int64 (n,)        where a sample's time steps begin in
    row_begins     int32 (R + n,)    the first event of each of its steps, and after the last one their number
    bins           int16 (E,)        bits of uint16, in channel order
    column_begins  int32 (n, 701)    the first event of each channel, and after the last one their number
    """

    lengths: Tensor
    offsets: Tensor
    channels: Tensor
    row_offsets: Tensor
    row_begins: Tensor
    bins: Tensor
    column_begins: Tensor

    @classmethod
    def of(cls, store: EventStore, device: torch.device | str) -> "DeviceStore":
        """Sort a store's events by channel as well, and bring both orders to `device`."""
        samples = len(store)
        row_offsets = np.zeros(samples, np.int64)
        np.cumsum(store.length[:-1] + np.int64(1), out=row_offsets[1:])
        row_begins = np.empty(int(store.length.sum(dtype=np.int64)) + samples, np.int32)
        bins = np.empty(len(store.time_bin), np.uint16)
        column_begins = np.empty((samples, CHANNELS + 1), np.int32)
        _row_begins(store.time_bin, store.offsets, store.length, row_offsets, row_begins)
        _by_channel(store.time_bin, store.channel, store.offsets, bins, column_begins)
        return cls(
            lengths=_sent(store.length, device),
            offsets=_sent(store.offsets, device),
            channels=_sent(store.channel.view(np.int16), device),
            row_offsets=_sent(row_offsets, device),
            row_begins=_sent(row_begins, device),
            bins=_sent(bins.view(np.int16), device),
            column_begins=_sent(column_begins, device),
        )

    @property
    def bytes(self) -> int:
        """Bytes that the tensors take on the device."""
        return sum(getattr(self, field.name).nbytes for field in fields(self))


@dataclass(frozen=True, eq=False)
class Draws:
    """What a stack's batch takes from a store: S runs, B samples each.

    samples int32 (S, B), their shifts in channels and zooms float64 (S, B); lengths int32 (S,): the steps T_r
    of each run; all on the store's device. steps: the longest of the lengths, T. A run's row of the first
    three may lie apart from the next one's (a slice of a whole epoch's), but its numbers beside each other.
    """

    samples: Tensor
    shifts: Tensor
    zooms: Tensor
    lengths: Tensor
    steps: int

    @classmethod
    def of(cls, batch: Batch, device: torch.device | str) -> "Draws":
        """The draws of a batch, on `device`."""
        return cls(
            samples=batch.samples.to(device, torch.int32),
            shifts=_sent(batch.shifts, device),
            zooms=_sent(batch.zooms, device),
            lengths=torch.tensor(batch.lengths, dtype=torch.int32, device=device),
            steps=max(batch.lengths),
        )


def _sent(array: np.ndarray, device: torch.device | str) -> Tensor:
    return torch.from_numpy(np.require(array, requirements="CW")).to(device)


@jit
def _row_begins(time_bin, offsets, length, row_offsets, begins):
    """begins[row_offsets[n] + t]: how many of sample n's events lie before its step t, t <= T_n."""
    for sample in range(len(length)):
        first, end, base = offsets[sample], offsets[sample + 1], row_offsets[sample]
        event = first
        for row in range(length[sample] + 1):
            while event < end and time_bin[event] < row:
                event += 1
            begins[base + row] = event - first


@jit
def _by_channel(time_bin, channel, offsets, bins, begins):
    """bins: every sample's time bins by channel, those of a channel in their order; begins (n, 701)."""
    samples, ends = begins.shape
    place = np.empty(ends, np.int64)
    for sample in range(samples):
        first, end = offsets[sample], offsets[sample + 1]
        place[:] = 0
        for event in range(first, end):
            place[channel[event] + 1] += 1
        for c in range(1, ends):
            place[c] += place[c - 1]
        for c in range(ends):
            begins[sample, c] = place[c]
        for event in range(first, end):
            c = channel[event]
            bins[first + place[c]] = time_bin[event]
            place[c] += 1
