"""Testing trained networks: accuracy, spike rates, and how far the noise moves the answer.

One pass in file order with the training's batch size, left-padded like the training (arXiv 2306.12666 tests
the weights after the last epoch; the neurons' noise stays on). Spike rates are per millisecond: for each
hidden layer the sum over its neurons of their mean over samples and (padded) steps, then the plain mean over
batches, the last and smaller one counting like the others.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from spsn.data.batches import Batches
from spsn.data.events import EventStore
from spsn.network import SpikeNoise, StackedNetwork
from spsn.noise import Purpose


@dataclass(frozen=True)
class TestPass:
    """One pass over a split: predictions (S, samples) and spikes per ms per hidden layer (S, layers)."""

    predictions: np.ndarray
    spikes_per_ms: np.ndarray


@torch.no_grad()
def test(
    network: StackedNetwork, store: EventStore, *, trial: int = 0, device: str | torch.device = "cpu"
) -> TestPass:
    """Run every sample once; `trial` selects the noise (trial 0 is the one that the run record reports)."""
    batches = Batches(store, network.settings.batch_size, network.seeds)
    predictions, rates = [], []
    for step, batch in enumerate(batches.in_order()):
        noise = SpikeNoise(network.seeds, Purpose.TEST_SPIKES, trial, step, device)
        output = network(batch.to(device), noise)
        predictions.append(output.logits.argmax(dim=2).cpu().numpy())
        rates.append(torch.stack([rate.sum(dim=1) for rate in output.rates], dim=1).cpu().double().numpy())
    per_ms = np.mean(rates, axis=0) / (1000.0 * network.settings.time_step)
    return TestPass(np.concatenate(predictions, axis=1), per_ms)


def by_speaker(
    predictions: np.ndarray, test_store: EventStore, train_store: EventStore
) -> dict[str, dict[str, Any]]:
    """Hits and total of every test speaker, and whether the training file has that speaker too."""
    known = set(np.unique(train_store.speaker).tolist())
    hits = predictions == test_store.label
    return {
        str(speaker): {
            "hits": int(hits[test_store.speaker == speaker].sum()),
            "total": int((test_store.speaker == speaker).sum()),
            "in_training": speaker in known,
        }
        for speaker in np.unique(test_store.speaker).tolist()
    }


@torch.no_grad()
def repeat_sample(
    network: StackedNetwork,
    store: EventStore,
    sample: int,
    trials: int,
    *,
    device: str | torch.device = "cpu",
) -> np.ndarray:
    """The readout's mean potentials (trials, C) of one sample shown again and again, with new noise each."""
    batch = Batches(store, 1, network.seeds[:1]).gather(np.array([[sample]])).to(device)
    beyond_the_test = -(-len(store) // network.settings.batch_size)  # a step that no test batch uses
    logits = [
        network(
            batch, SpikeNoise(network.seeds[:1], Purpose.TEST_SPIKES, trial, beyond_the_test, device)
        ).logits[0, 0]
        for trial in range(trials)
    ]
    return torch.stack(logits).cpu().double().numpy()


def repeat_test(
    network: StackedNetwork, store: EventStore, trials: int, *, device: str | torch.device = "cpu"
) -> np.ndarray:
    """Labels (trials, samples) given to a whole split in repeated passes."""
    return np.stack(
        [test(network, store, trial=trial, device=device).predictions[0] for trial in range(trials)]
    )
