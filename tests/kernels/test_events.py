"""The first layer from events, at the ends of the augmentation: against a dense picture of the batch."""

import numpy as np
import pytest
import torch
from fused import SILENT, assert_close, decided, gradients, noise_of, picture, store_of
from support import small_run

from spsn.data.batches import Batch, Batches
from spsn.data.shd import CHANNELS

SETTINGS = small_run(model="non-spiking", hidden_layers=1, hidden_size=70, classes=5, loss_mode="mean")


def one_sample(counts: np.ndarray, shift: float, zoom: float) -> Batch:
    batches = Batches(store_of([counts, picture(70, 9)]), 1, (0,))
    return batches.gather(np.array([[0]]), np.array([[shift]]), np.array([[zoom]]))


def assert_first_layer(batch: Batch) -> None:
    """Values and gradients of the fused form are those of the plain one on dense input, in float64."""
    fused, plain, _ = decided(SETTINGS, (0,), batch)
    output, grads = gradients(fused, batch, noise_of((0,)))
    judge = plain(batch.dense().double(), None, batch.lengths)
    loss = torch.nn.functional.cross_entropy(judge.logits[0], batch.labels[0])
    expected = torch.autograd.grad(loss, list(plain.parameters()))
    assert_close(output.logits, judge.logits, 1e-5)
    assert_close(output.rates[0], judge.rates[0], 1e-5)
    for ours, theirs in zip(grads, expected, strict=True):
        assert_close(ours, theirs, 1e-5)


@pytest.mark.parametrize("zoom", [0.05, 0.3, 0.7, 1.0, 1.3, 1.5, 1.9999])
@pytest.mark.parametrize("shift", [-350.0, 0.0, 71.0])
def test_every_zoom_and_shift(zoom, shift):
    """A zoom above 1 doubles rows and columns, one below 1 drops some; 150 steps end within a third tile."""
    batch = one_sample(picture(150, 1), shift, zoom)
    assert (zoom > 1) == (batch.dense().sum(dim=3).count_nonzero() > 0 and _repeats(batch))
    assert_first_layer(batch)


def _repeats(batch: Batch) -> bool:
    """Whether two neighbouring rows show the same row of the recording, event by event."""
    rows = batch.dense()[0, 0]
    filled = rows[:-1].any(dim=1)
    return bool((rows[:-1] == rows[1:]).all(dim=1)[filled].any())


@pytest.mark.parametrize("shift", [-2000.0, -700.0, 700.0, 1e6])
def test_a_picture_shifted_off_the_canvas_is_silence(shift):
    batch = one_sample(picture(70, 1), shift, 1.0)
    assert not batch.dense().any()
    assert_first_layer(batch)


def test_the_last_column_that_stays():
    """A shift of 699 leaves the first channel alone, on the last column."""
    counts = np.zeros((66, CHANNELS), int)
    counts[:, 0], counts[:, 1], counts[-1, 350] = 2, 1, 1
    batch = one_sample(counts, 699.0, 1.0)
    assert batch.dense().sum(dim=(0, 1, 2)).nonzero().flatten().tolist() == [699]
    assert_first_layer(batch)


@pytest.mark.parametrize("zoom", [1.0, 1.9])
def test_many_events_in_one_cell(zoom):
    counts = np.zeros((65, CHANNELS), int)
    counts[0, 349], counts[31, 349], counts[32, 350], counts[64, 351] = 200, 1, 300, 77
    batch = one_sample(counts, 0.0, zoom)
    assert batch.dense().max() == 300
    assert_first_layer(batch)


def test_samples_without_events_among_others():
    """One alone, one between, and a recording with rows of silence around a tile's ends."""
    gaps = picture(200, 3)
    gaps[60:70] = gaps[120:199] = 0
    for chosen in ([SILENT], [SILENT, SILENT], [gaps], [SILENT, gaps, SILENT]):
        numbers = np.arange(len(chosen))[None]
        assert_first_layer(Batches(store_of([*chosen, gaps]), len(chosen), (0,)).gather(numbers))


def test_every_event_counts_once():
    """With weights of 1 the first layer's sum over time is the number of events; its gradient counts them by
    channel.
    """
    store = store_of([picture(100, 5), picture(33, 6)])
    batch = Batches(store, 2, (0,)).gather(np.array([[0, 1]]))
    fused = decided(SETTINGS, (0,), batch)[0]
    with torch.no_grad():
        fused.weights[0].fill_(1.0)
        fused.biases[0].zero_()
    rate = fused(batch, noise_of((0,))).rates[0]
    assert float(rate[0, 0].detach()) * 200 == pytest.approx(int(store.offsets[-1]), rel=1e-6)
    rate[0, 0].backward()
    counts = np.bincount(store.channel, minlength=CHANNELS) / 200
    np.testing.assert_allclose(fused.weights[0].grad[0, 0].numpy(), counts, rtol=1e-5)
    assert not fused.weights[0].grad[0, 1:].any()
