"""What an augmentation does to rows and columns: the same places as on the CPU, bit for bit."""

import numpy as np
import torch
from fused import store_of

from spsn.compiled import jit
from spsn.data.batches import column_runs, source_index
from spsn.data.events import EventStore
from spsn.data.shd import CHANNELS
from spsn.kernels.gpu.store import DeviceStore, Draws
from spsn.kernels.gpu.tables import column_tables, row_tables

LENGTHS = (1, 2, 3, 7, 31, 32, 33, 64, 100, 137, 200, 251)
TIES = (0.5, 0.75, 1.0, 1.25, 1.5, 0.8, 1.6)  # sources that lie halfway between two places
ENDS = (0.05, 0.3, 0.7, 1.3, 1.9999, 0.9999999999999999, 1.0000000000000002)


@jit
def judge(own, zoom, shift, rows, first_row, times, columns, first, often):
    """Every place's source; the first place of every source, and how many; by the CPU's own functions."""
    for t in range(own):
        rows[t] = source_index(t, own, zoom, 0.0)
        if 0 <= rows[t] < own:
            if times[rows[t]] == 0:
                first_row[rows[t]] = t
            times[rows[t]] += 1
    for k in range(columns.size):
        columns[k] = source_index(k, columns.size, zoom, shift)
    column_runs(first, often, columns.size, zoom, shift)


def judged(own: int, zoom: float, shift: float) -> tuple[np.ndarray, ...]:
    arrays = [np.zeros(own, np.int32) for _ in range(3)] + [np.zeros(CHANNELS, np.int32) for _ in range(3)]
    judge(own, zoom, shift, *arrays)
    return tuple(arrays)


def many(device: torch.device) -> int:
    """Draws of a test: fewer where they are interpreted."""
    return 10_000 if device.type == "cuda" else 400


def drawn(seed: int, draws: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of samples, shifts and zooms (2, draws / 2), some of them where roundings are ties."""
    rng = np.random.default_rng(seed)
    samples = rng.integers(0, len(LENGTHS), draws)
    shifts, zooms = np.rint(rng.uniform(-70, 70, draws)), rng.uniform(0.7, 1.3, draws)
    zooms[::4] = rng.choice(TIES + ENDS, zooms[::4].size)
    shifts[::7] = rng.choice([0.0, 0.5, 350.0, -699.0, 2000.0, 1e6, -1e6], shifts[::7].size)
    return samples.reshape(2, -1), shifts.reshape(2, -1), zooms.reshape(2, -1)


def draws_of(samples: np.ndarray, shifts: np.ndarray, zooms: np.ndarray, device: torch.device) -> Draws:
    """The run's steps end some steps after its samples': not every sample fills its canvas."""
    lengths = np.take(LENGTHS, samples).max(axis=1) + np.array([0, 5])
    return Draws(
        torch.tensor(samples, dtype=torch.int32, device=device),
        torch.tensor(shifts, device=device),
        torch.tensor(zooms, device=device),
        torch.tensor(lengths, dtype=torch.int32, device=device),
        int(lengths.max()) + 3,
    )


def one_event_a_row() -> EventStore:
    """Row t of a sample has the one event t: where its events begin says which row it is."""
    pictures = [np.zeros((steps, CHANNELS), int) for steps in LENGTHS]
    for counts in pictures:
        counts[np.arange(len(counts)), np.arange(len(counts)) % CHANNELS] = 1
    return store_of(pictures)


def one_event_a_channel() -> EventStore:
    """As many steps, and one event of every channel."""
    pictures = [np.zeros((steps, CHANNELS), int) for steps in LENGTHS]
    for counts in pictures:
        counts[np.arange(CHANNELS) % len(counts), np.arange(CHANNELS)] = 1
    return store_of(pictures)


def ranges(sources: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Beginnings and ends where event n is that of source n, none outside."""
    inside = (sources >= 0) & (sources < size)
    return np.where(inside, sources, 0), np.where(inside, sources + 1, 0)


def test_every_step_reads_the_row_and_every_channel_fills_the_columns_that_it_does_on_the_cpu(device):
    store, (samples, shifts, zooms) = one_event_a_row(), drawn(0, many(device))
    draws = draws_of(samples, shifts, zooms, device)
    tables = row_tables(DeviceStore.of(store, device), draws)
    begins, ends, packed = (a.cpu().numpy() for a in (tables.begins, tables.ends, tables.columns))
    for r, b in np.ndindex(samples.shape):
        own, length = LENGTHS[samples[r, b]], int(draws.lengths[r])
        rows, _, _, _, first, often = judged(own, zooms[r, b], shifts[r, b])
        begin, end = ranges(rows, own)
        empty = np.zeros(length - own, int)
        np.testing.assert_array_equal(begins[r, b, :length], np.concatenate([empty, begin]))
        np.testing.assert_array_equal(ends[r, b, :length], np.concatenate([empty, end]))
        np.testing.assert_array_equal(packed[r, b] & 255, often)
        np.testing.assert_array_equal((packed[r, b] >> 8)[often > 0], first[often > 0])
        assert int(tables.most[r, b]) == often.max()
    assert tables.bases.tolist() == store.offsets[samples].tolist()


def test_every_column_reads_the_channel_and_every_row_is_read_by_the_steps_that_do_on_the_cpu(device):
    store, (samples, shifts, zooms) = one_event_a_channel(), drawn(1, many(device))
    draws = draws_of(samples, shifts, zooms, device)
    on_device = DeviceStore.of(store, device)
    tables = column_tables(on_device, draws)
    begins, ends, packed = (a.cpu().numpy() for a in (tables.begins, tables.ends, tables.rows))
    column_begins = on_device.column_begins.cpu().numpy()
    for r, b in np.ndindex(samples.shape):
        own, length = LENGTHS[samples[r, b]], int(draws.lengths[r])
        _, first, often, columns, _, _ = judged(own, zooms[r, b], shifts[r, b])
        inside = (columns >= 0) & (columns < CHANNELS)
        at = column_begins[samples[r, b]]
        np.testing.assert_array_equal(begins[r, :, b], np.where(inside, at[np.where(inside, columns, 0)], 0))
        np.testing.assert_array_equal(
            ends[r, :, b], np.where(inside, at[np.where(inside, columns, 0) + 1], 0)
        )
        np.testing.assert_array_equal(packed[r, b, :own] & 255, often)
        np.testing.assert_array_equal((packed[r, b, :own] >> 8)[often > 0], (first + length - own)[often > 0])
        assert int(tables.most[r, b]) == often.max()
    assert tables.bases.tolist() == store.offsets[samples].tolist()


def test_more_places_than_a_block(device):
    """Recordings of more than 1024 steps, and a zoom that reads a row twice."""
    counts = np.zeros((2500, CHANNELS), int)
    counts[:, 3] = 1
    draws = Draws(
        torch.tensor([[0]], dtype=torch.int32, device=device),
        torch.zeros(1, 1, dtype=torch.float64, device=device),
        torch.full((1, 1), 1.23456789, dtype=torch.float64, device=device),
        torch.tensor([2600], dtype=torch.int32, device=device),
        2600,
    )
    store = DeviceStore.of(store_of([counts]), device)
    rows, first, often, *_ = judged(2500, 1.23456789, 0.0)
    found = row_tables(store, draws).begins[0, 0].cpu().numpy()
    np.testing.assert_array_equal(found, np.concatenate([np.zeros(100, int), rows]))
    packed = column_tables(store, draws).rows[0, 0, :2500].cpu().numpy()
    np.testing.assert_array_equal(packed & 255, often)
    np.testing.assert_array_equal((packed >> 8)[often > 0], first[often > 0] + 100)


def test_draws_may_be_a_slice_of_an_epochs(device):
    store = DeviceStore.of(one_event_a_row(), device)
    samples, shifts, zooms = drawn(9, 24)
    whole = draws_of(samples, shifts, zooms, device)
    part = Draws(whole.samples[:, 4:9], whole.shifts[:, 4:9], whole.zooms[:, 4:9], whole.lengths, whole.steps)
    of_part, of_whole = row_tables(store, part), row_tables(store, whole)
    assert torch.equal(of_part.columns, of_whole.columns[:, 4:9])
    assert torch.equal(of_part.bases, of_whole.bases[:, 4:9])
    assert torch.equal(column_tables(store, part).begins, column_tables(store, whole).begins[:, :, 4:9])
