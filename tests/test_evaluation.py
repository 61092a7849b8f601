"""The test pass, repeated trials, speakers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support import paper_run

from spsn import evaluation
from spsn.data.batches import Batches
from spsn.data.events import EventStore
from spsn.data.shd import CHANNELS, SpikeFile
from spsn.network import SpikeNoise, StackedNetwork
from spsn.noise import Purpose

PAPER = paper_run()
SMALL = replace(PAPER, hidden_layers=2, hidden_size=10, threshold=0.2, time_step=0.002, batch_size=4)
SEEDS = (2, 5)


def make_store(samples: int = 10, speakers=(0, 3, 4)) -> EventStore:
    """Words of different lengths, 2 ms a step; the speakers take turns."""
    rng = np.random.default_rng(0)
    counts = rng.integers(500, 3000, samples)
    spikes = SpikeFile.from_rows(
        times=[np.sort(rng.random(n) * n / 20_000).astype(np.float16) for n in counts],
        units=[rng.integers(0, CHANNELS, n, dtype=np.uint16) for n in counts],
        labels=np.arange(samples) % 3,
        speakers=np.resize(speakers, samples),
        class_names=["one", "two", "three"],
    )
    return EventStore.from_spikes(spikes, 2.0)


@pytest.mark.parametrize("model", ["lif", "spsn-sb", "spsn-gs", "non-spiking"])
def test_a_pass_is_file_order_batch_by_batch(model):
    """Ten samples make batches of 4, 4 and 2; in the spike rates each counts as one."""
    store, network = make_store(), StackedNetwork(replace(SMALL, model=model), SEEDS)
    passed = evaluation.test(network, store)
    predictions, rates = [], []
    for step, samples in enumerate([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]):
        batch = Batches(store, 4, SEEDS).gather(np.array([samples, samples]))
        with torch.no_grad():
            output = network(batch, SpikeNoise(SEEDS, Purpose.TEST_SPIKES, 0, step))
        predictions.append(output.logits.argmax(dim=2))
        rates.append(torch.stack([rate.sum(dim=1) for rate in output.rates], dim=1))
    assert np.array_equal(passed.predictions, torch.cat(predictions, dim=1))
    assert passed.spikes_per_ms.shape == (2, 2)
    np.testing.assert_allclose(passed.spikes_per_ms, torch.stack(rates).mean(dim=0) / 2, rtol=1e-6)
    lengths = [b.lengths[0] for b in Batches(store, 4, SEEDS).in_order()]
    assert len(set(lengths)) == 3 and (passed.spikes_per_ms > 0).all()


def test_rates_are_per_millisecond():
    """At rest SPSN fires every other step: ten neurons at 2 ms a step make 2.5 spikes per ms."""
    network = StackedNetwork(replace(SMALL, model="spsn-sb"), (0,))
    with torch.no_grad():
        for weight in network.weights:
            weight.zero_()
    store = make_store()
    passed = evaluation.test(network, store)
    assert passed.spikes_per_ms.ravel().tolist() == pytest.approx([2.5, 2.5], rel=0.06)


def test_trials_of_a_split():
    store, network = make_store(), StackedNetwork(replace(SMALL, model="spsn-sb"), (2,))
    trials = [evaluation.test(network, store, trial=trial) for trial in range(3)]
    repeated = evaluation.repeat_test(network, store, 3)
    assert np.array_equal(repeated, [trial.predictions[0] for trial in trials])
    assert np.array_equal(trials[0].spikes_per_ms, evaluation.test(network, store).spikes_per_ms)
    assert not np.array_equal(trials[0].spikes_per_ms, trials[1].spikes_per_ms)


def test_trials_of_one_sample():
    store, network = make_store(), StackedNetwork(replace(SMALL, model="spsn-gs"), (2,))
    potentials = evaluation.repeat_sample(network, store, 4, 5)
    assert potentials.shape == (5, 20)
    assert np.array_equal(potentials[:3], evaluation.repeat_sample(network, store, 4, 3))
    assert len(np.unique(potentials[:, 0])) == 5
    assert not np.array_equal(potentials, evaluation.repeat_sample(network, store, 7, 5))


def test_trials_do_not_move_a_network_without_noise():
    store, network = make_store(), StackedNetwork(replace(SMALL, model="lif"), (2,))
    assert (np.ptp(evaluation.repeat_sample(network, store, 4, 3), axis=0) == 0).all()
    assert (np.ptp(evaluation.repeat_test(network, store, 3), axis=0) == 0).all()


def test_hits_by_speaker():
    test, train = make_store(speakers=(0, 3, 4)), make_store(speakers=(4, 0))
    predictions = test.label.copy()
    predictions[[0, 1, 9]] += 1  # said by speakers 0, 3 and 0
    assert evaluation.by_speaker(predictions, test, train) == {
        "0": {"hits": 2, "total": 4, "in_training": True},
        "3": {"hits": 2, "total": 3, "in_training": False},
        "4": {"hits": 3, "total": 3, "in_training": True},
    }
