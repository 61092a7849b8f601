"""Order, augmentation and padding, against dense pictures of the samples and torch's own resampling."""

import math

import numpy as np
import pytest
import torch

from spsn.data.batches import Batch, Batches, draw_augmentation, training_order
from spsn.data.events import EventStore
from spsn.data.shd import CHANNELS, SpikeFile
from spsn.settings import Augmentation

PAPER = Augmentation(shift=0.1, scale=0.3)
SEEDS = (0, 7)


@pytest.fixture
def store(spikes) -> EventStore:
    """24 words of up to 60 spikes and 251 steps of 4 ms."""
    return EventStore.from_spikes(spikes, 4.0)


def from_counts(*pictures: np.ndarray) -> EventStore:
    """A store whose samples have these counts (T, 700)."""
    events = [np.repeat(np.argwhere(p), p[p > 0], axis=0).astype(np.uint16) for p in pictures]
    sizes = [len(e) for e in events]
    every = np.concatenate(events)
    return EventStore(
        time_bin=np.ascontiguousarray(every[:, 0]),
        channel=np.ascontiguousarray(every[:, 1]),
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
        label=np.arange(len(pictures)),
        speaker=np.zeros(len(pictures), np.uint16),
        length=np.array([len(p) for p in pictures], np.int32),
        classes=tuple(str(k) for k in range(len(pictures))),
        time_step_ms=1.0,
    )


def picture(steps: int, density: float = 0.05, seed: int = 0) -> np.ndarray:
    """Random counts (steps, 700), some cells above one; the last step is not empty."""
    counts = np.random.default_rng(seed).poisson(density, (steps, CHANNELS))
    counts[-1, 350] += 1
    return counts


def one(store: EventStore, shift: float = 0.0, zoom: float = 1.0, sample: int = 0) -> np.ndarray:
    """Counts (T, 700) of one augmented sample."""
    batch = Batches(store, 1, (0,)).gather(np.array([[sample]]), np.array([[shift]]), np.array([[zoom]]))
    return batch.dense()[0, 0].numpy().astype(int)


def torch_resampled(counts: np.ndarray, shift: float, zoom: float) -> tuple[np.ndarray, np.ndarray]:
    """torch's nearest resampling under out = zoom * in + shift about the centre; where it rounds a tie."""
    steps = len(counts)
    inverse = torch.tensor(
        [[[1 / zoom, 0, -2 * shift / zoom / CHANNELS], [0, 1 / zoom, 0]]], dtype=torch.float64
    )
    grid = torch.nn.functional.affine_grid(inverse, [1, 1, steps, CHANNELS], align_corners=False)
    image = torch.tensor(counts, dtype=torch.float64)[None, None]
    out = torch.nn.functional.grid_sample(
        image, grid, mode="nearest", padding_mode="zeros", align_corners=False
    )
    pixels = ((grid[0] + 1) * torch.tensor([CHANNELS, steps]) - 1) / 2
    tied = ((pixels - pixels.floor() - 0.5).abs() < 1e-6).any(dim=-1)
    return out[0, 0].numpy().astype(int), tied.numpy()


def test_an_order_is_a_permutation_of_its_own():
    orders = [training_order(seed, epoch, 1000) for seed in (0, 1) for epoch in (0, 1)]
    for order in orders:
        assert sorted(order) == list(range(1000))
    assert np.array_equal(orders[0], training_order(0, 0, 1000))
    for i, order in enumerate([*orders, np.arange(1000)]):
        assert all((order == other).mean() < 0.02 for other in orders[:i])


def test_every_sample_comes_first_equally_often():
    first = [training_order(seed, 0, 5)[0] for seed in range(2000)]
    assert (np.abs(np.bincount(first, minlength=5) - 400) < 4 * np.sqrt(2000 * 0.2 * 0.8)).all()


@pytest.mark.parametrize("steps", [60, 61])
def test_augmentation_is_torchs_resampling_cell_for_cell(steps):
    rng = np.random.default_rng(steps)
    store = from_counts(picture(steps))
    compared = 0
    for zoom in [*rng.uniform(0.7, 1.3, 12), 1 / math.pi, math.sqrt(3), math.sqrt(3.9)]:
        shift = float(rng.integers(-70, 71))
        expected, tied = torch_resampled(picture(steps), shift, zoom)
        assert tied.mean() < 0.02
        assert (one(store, shift, zoom) == expected)[~tied].all()
        compared += expected[~tied].sum()
    assert compared > 10_000


def test_a_drawn_batch_is_torchs_resampling_padded():
    """The whole way: order, draws, augmentation, padding, for both runs of a stack."""
    pictures = [picture(steps, seed=steps) for steps in (31, 40, 25, 44)]
    store = from_counts(*pictures)
    batches = Batches(store, 2, SEEDS)
    shifts, zooms = zip(*(draw_augmentation(PAPER, seed, 3, 4) for seed in SEEDS), strict=True)
    for batch in batches.training(3, PAPER):
        dense = batch.dense().numpy()
        for r, b in np.ndindex(batch.samples.shape):
            sample = int(batch.samples[r, b])
            expected, tied = torch_resampled(pictures[sample], shifts[r][sample], zooms[r][sample])
            padding = dense.shape[2] - len(expected)
            assert not dense[r, b, :padding].any()
            assert (dense[r, b, padding:] == expected)[~tied].all()


def test_nothing_drawn_changes_nothing(store):
    for sample in range(len(store)):
        assert (one(store, sample=sample) == store.dense(sample)).all()
    shifts, zooms = draw_augmentation(Augmentation(), 0, 0, 50)
    assert (shifts == 0).all() and (zooms == 1).all()


@pytest.mark.parametrize("shift", [1, 70, -70])
def test_a_shift_moves_channels_and_not_time(shift):
    counts = picture(30)
    expected = np.zeros_like(counts)
    kept = slice(max(shift, 0), CHANNELS + min(shift, 0))
    expected[:, kept] = counts[:, max(-shift, 0) : CHANNELS - max(shift, 0)]
    assert (one(from_counts(counts), shift) == expected).all()


@pytest.mark.parametrize("steps", [60, 61])
def test_zoom_keeps_centre_and_canvas(steps):
    """A zoom of 0.7 shrinks a full picture to the middle 70 % of both axes; one of 1.3 leaves it full."""
    store = from_counts(np.ones((steps, CHANNELS), int))
    small = one(store, zoom=0.7)
    assert small.shape == (steps, CHANNELS) and small.max() == 1
    assert (small == small[::-1]).all() and (small == small[:, ::-1]).all()
    assert small.any(axis=1).sum() == pytest.approx(0.7 * steps, abs=1)
    assert small.any(axis=0).sum() == 490
    assert (one(store, zoom=1.3) == 1).all()


def test_zoom_scales_distances_from_the_centre():
    counts = np.zeros((101, CHANNELS), int)
    counts[50 - 20, 350 + 100] = counts[50 + 20, 350 - 100] = 1
    for zoom in (0.8, 1.25):
        found = np.argwhere(one(from_counts(counts), shift=30, zoom=zoom)) + 0.5
        offsets = np.abs(found - [50.5, 350 + 30])
        assert len(found) and np.abs(offsets - zoom * np.array([20, 100])).max() < 1.2


def test_counts_of_a_cell_stay_together():
    counts = np.zeros((9, CHANNELS), int)
    counts[4, 350] = 3
    assert set(np.unique(one(from_counts(counts), zoom=1.9))) == {0, 3}


@pytest.mark.parametrize("zoom", [0.0, -0.5, 2.0])
def test_an_impossible_zoom_is_refused(zoom):
    with pytest.raises(ValueError, match="zoom"):
        one(from_counts(picture(5)), zoom=zoom)


def test_the_law_of_the_draws():
    """Shifts: U(-70, 70) rounded; zooms: U(0.7, 1.3); independent of one another and anew in every epoch."""
    shifts, zooms = draw_augmentation(PAPER, 5, 2, 20_000)
    assert (shifts == np.rint(shifts)).all()
    assert shifts.min() == -70 and shifts.max() == 70
    assert 0.7 < zooms.min() < 0.701 and 1.299 < zooms.max() < 1.3
    for draws, half_width in [(shifts, 70), (zooms - 1, 0.3)]:
        assert abs(draws.mean()) < 5 * half_width / math.sqrt(3 * 20_000)
        assert np.var(draws) == pytest.approx(half_width**2 / 3, rel=0.03)
    assert abs(np.corrcoef(shifts, zooms)[0, 1]) < 5 / math.sqrt(20_000)
    for seed, epoch in [(5, 3), (6, 2)]:
        others = draw_augmentation(PAPER, seed, epoch, 20_000)[1]
        assert abs(np.corrcoef(zooms, others)[0, 1]) < 5 / math.sqrt(20_000)


def test_a_sample_keeps_its_draw_whatever_the_split_size():
    assert np.array_equal(draw_augmentation(PAPER, 0, 1, 100)[0][:30], draw_augmentation(PAPER, 0, 1, 30)[0])


def test_samples_are_padded_in_front_to_the_runs_longest(store):
    chosen = np.array([[3, 8, 5], [1, 12, 20]])
    batch = Batches(store, 3, SEEDS).gather(chosen)
    dense = batch.dense().numpy()
    assert batch.lengths == tuple(int(store.length[row].max()) for row in chosen)
    assert batch.shape == (2, 3, max(batch.lengths))
    for r, b in np.ndindex(chosen.shape):
        expected = store.dense(chosen[r, b])
        padding = dense.shape[2] - len(expected)
        assert not dense[r, b, :padding].any()
        assert (dense[r, b, padding:] == expected).all()
    assert batch.labels.tolist() == store.label[chosen].tolist()
    assert batch.samples.tolist() == chosen.tolist()


def own_events(batch: Batch, run: int) -> tuple[np.ndarray, np.ndarray]:
    """A run's channels below 700, and its own rows' offsets counted from its first event."""
    offsets = batch.offsets.numpy()
    ends = [*(int(offsets[r, 0, 0]) for r in range(1, len(offsets))), batch.channels.numel()]
    begin = int(offsets[run, 0, 0])
    channels = batch.channels.numpy()[begin : ends[run]] - CHANNELS * run
    return channels.copy(), offsets[run, :, batch.shape[2] - batch.lengths[run] :] - begin


def test_a_run_of_a_stack_has_the_batches_it_has_alone(store):
    seeds = (4, 9, 2)
    alone = [Batches(store, 5, (seed,)).training(6, PAPER) for seed in seeds]
    lengths = set()
    for batch in Batches(store, 5, seeds).training(6, PAPER):
        lengths.add(batch.lengths)
        for run in range(3):
            own = next(alone[run])
            assert own.lengths == batch.lengths[run : run + 1]
            assert torch.equal(own.samples[0], batch.samples[run])
            assert torch.equal(own.labels[0], batch.labels[run])
            for stacked, single in zip(own_events(batch, run), own_events(own, 0), strict=True):
                assert (stacked == single).all()
            assert ((own.channels >= 0) & (own.channels < CHANNELS)).all()
    assert any(len(set(row)) == 3 for row in lengths)
    assert all(next(iterator, None) is None for iterator in alone)


def test_an_epoch_shows_every_sample_once(store):
    batches = Batches(store, 10, SEEDS)
    seen = [batch.samples.clone() for batch in batches.training(0, PAPER)]
    assert [s.shape for s in seen] == [(2, 10), (2, 10), (2, 4)]
    assert len(batches) == 3
    for run, seed in enumerate(SEEDS):
        order = torch.cat([s[run] for s in seen]).numpy()
        assert (order == training_order(seed, 0, 24)).all()


def test_a_test_pass_is_in_file_order_without_augmentation(store):
    seen = []
    for batch in Batches(store, 10, SEEDS).in_order():
        assert torch.equal(batch.samples[0], batch.samples[1])
        seen += batch.samples[0].tolist()
        for b, sample in enumerate(batch.samples[0].tolist()):
            assert (batch.dense()[:, b, -store.length[sample] :].numpy() == store.dense(sample)).all()
    assert seen == list(range(24))


def test_the_buffers_are_reused(store):
    batches = Batches(store, 6, SEEDS)
    batches.gather(np.tile(np.arange(24), (2, 1)))  # the largest batch makes room for all
    places = [(b.channels.data_ptr(), b.offsets.data_ptr()) for b in batches.training(0, Augmentation())]
    assert len(places) == 4 and len(set(places)) == 1


def test_a_smaller_batch_carries_nothing_over(store):
    batches = Batches(store, 6, (0,))
    batches.gather(np.arange(24)[None])
    again = batches.gather(np.array([[7]]))
    assert (again.dense()[0, 0].numpy() == store.dense(7)).all()
    assert again.channels.numel() == store.offsets[8] - store.offsets[7]


def test_samples_without_a_spike():
    silent = SpikeFile.from_rows([[], [0.002], []], [[], [699], []], [0, 1, 0], [0, 0, 0], ["a", "b"])
    store = EventStore.from_spikes(silent, 1.0)
    batch = Batches(store, 3, (0,)).gather(np.array([[0, 1, 2]]))
    assert batch.lengths == (int(store.length[1]),)
    assert batch.channels.tolist() == [699]
    assert batch.dense().sum() == 1 and batch.dense()[0, 1, -1, 699] == 1
    nothing = Batches(store, 2, (0,)).gather(np.array([[0, 2]]))
    assert nothing.shape == (1, 2, 1) and nothing.channels.numel() == 0 and not nothing.dense().any()


def test_a_moved_batch_is_the_same_batch(store):
    batch = next(Batches(store, 5, SEEDS).training(0, PAPER))
    moved = batch.to("cpu")
    assert moved.lengths == batch.lengths and torch.equal(moved.dense(), batch.dense())
    assert torch.equal(moved.labels, batch.labels) and torch.equal(moved.samples, batch.samples)
