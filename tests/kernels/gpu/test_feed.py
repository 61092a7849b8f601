"""What a step finds on the device, against the batches that the host draws."""

import numpy as np
import pytest
import torch
from fused import SILENT, fused_network, picture, store_of
from support import small_run

from spsn.data.batches import Batches
from spsn.data.events import EventStore
from spsn.fused import Fused
from spsn.kernels.gpu.feed import Feed
from spsn.network import StackedNetwork
from spsn.noise import Purpose
from spsn.settings import Augmentation

LENGTHS, SEEDS, SIZE = (12, 5, 33, 5, 1070, 9, 2), (4, 2**32 - 1), 3  # and a silent one: 3, 3 and 2 samples
WIDELY = Augmentation(0.3, 0.3)


@pytest.fixture(scope="module")
def store() -> EventStore:
    """A recording longer than a block of the kernel, and one without an event."""
    return store_of([picture(steps, seed) for seed, steps in enumerate(LENGTHS)] + [SILENT])


@pytest.fixture
def batches(store) -> Batches:
    return Batches(store, SIZE, SEEDS)


def feed_of(batches: Batches, device: torch.device, **changes) -> tuple[Feed, Fused, StackedNetwork]:
    network = fused_network(small_run(classes=5, **changes), SEEDS)
    fused = Fused(network)
    how = int(Purpose.TRAINING_SPIKES), lambda own: fused.mean(network, own)
    return Feed(batches.store, SIZE, SEEDS, *how, device), fused, network


@pytest.mark.parametrize("changes", [{}, {"model": "non-spiking"}, {"loss_mode": "final", "tau_syn": 0.003}])
def test_every_step_of_every_epoch_finds_its_batch(batches, device, changes):
    feed, fused, network = feed_of(batches, device, **changes)
    places = {samples: feed.place(samples) for samples in (3, 2)}
    for number in (0, 5):
        epoch = list(batches.training(number, WIDELY))
        feed.load(epoch, number, [0.1, 0.25, 0.5])
        for step, batch in enumerate(epoch):
            assert feed.moment.tolist() == [step, number]
            place = feed.place(batch.shape[1])
            assert place is places[batch.shape[1]] and place.inputs.moment is feed.moment
            feed.take(place)
            drawn, wanted = place.inputs.draws, fused._coefficients(network, batch.lengths, batch.shape[2])
            assert torch.equal(drawn.samples.cpu().long(), batch.samples)
            assert torch.equal(place.labels.cpu(), batch.labels)
            np.testing.assert_array_equal(drawn.shifts.cpu(), batch.shifts)
            np.testing.assert_array_equal(drawn.zooms.cpu(), batch.zooms)
            assert drawn.lengths.tolist() == list(batch.lengths)
            np.testing.assert_array_equal(place.inputs.totals.flatten().cpu(), wanted[1])
            for run, own in enumerate(batch.lengths):
                assert own == 0 or wanted[0][run, :own].any()
                np.testing.assert_array_equal(
                    place.inputs.coefficients[run, :own].cpu(), wanted[0][run, :own]
                )
            feed.finish(torch.tensor([0.5, 2.0], device=device), torch.tensor([1, 3], device=device))
        assert feed.losses.tolist() == [1.5, 6.0] and feed.hits.tolist() == [3, 9]
    assert len({batch.lengths for batch in epoch}) > 1 and np.unique(epoch[0].zooms).size == 6


def test_its_room_is_for_the_longest_sample_in_whole_tiles(batches, device):
    feed = feed_of(batches, device)[0]
    assert feed.steps == 1088 and feed.place(3).inputs.shape == (2, 3, 1088)
    assert feed.seeds.tolist() == list(SEEDS) and feed.rates.shape == (3,)


def test_rates_are_those_given(batches, device):
    feed = feed_of(batches, device)[0]
    feed.load(list(batches.training(0, WIDELY)), 0, [0.1, 0.2, 0.3])
    assert torch.equal(feed.rates.cpu(), torch.tensor([0.1, 0.2, 0.3]))
