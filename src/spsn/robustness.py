"""Figure 6: how far the neurons' noise moves the answer of a trained network (arXiv 2306.12666, section
VI-C).

Two questions: what the readout says when one sample is shown again and again, and for how many samples of the
whole test set the label changes between passes.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spsn import devices
from spsn.checkpoints import load_weights
from spsn.data.events import EventStore
from spsn.errors import DataError, RecordError, SettingsError
from spsn.evaluation import repeat_sample, repeat_test
from spsn.files import write_rows
from spsn.grid import RunSettings
from spsn.network import StackedNetwork
from spsn.records import read_record
from spsn.settings import Settings
from spsn.weights import with_weights

IDENTITY = ("model", "condition", "seed", "sample", "true_label")
TRIAL_COLUMNS = (*IDENTITY, "trial", "class", "class_name", "mean_potential", "predicted")
TEST_SET_COLUMNS = (*IDENTITY, "trials", "distinct_labels", "majority_label", "hits")


def study(
    settings: Settings,
    store: EventStore,
    results: Path,
    out_trials: Path,
    out_test_set: Path,
    *,
    device: torch.device | str = "cpu",
) -> None:
    """Write the rows of both questions for every model that `experiments.robustness` names."""
    wanted = settings.experiments.robustness
    if wanted.sample >= len(store):
        raise SettingsError(
            f"configuration: experiments.robustness.sample is {wanted.sample}, but the test split has "
            f"{len(store)} samples"
        )
    trials, test_set = [], []
    for model in wanted.models:
        path = results / "runs" / "accuracy" / model / wanted.condition / f"seed{wanted.seed}.json"
        record = read_record(path)
        if record.settings.test_digest != store.digest:
            raise DataError(
                f"{path}: was tested on other spikes than the event store holds; run the workflow again"
            )
        backend = devices.backend_on(settings.execution.backend, device)
        run, weights = replace(record.settings, backend=backend), path.with_suffix(".safetensors")
        network = _trained(run, weights, device)
        trials += _trial_rows(network, store, wanted.sample, wanted.trials)
        test_set += _test_set_rows(network, store, wanted.trials)
    write_rows(trials, out_trials, TRIAL_COLUMNS)
    write_rows(test_set, out_test_set, TEST_SET_COLUMNS)


def _trained(run: RunSettings, weights: Path, device: torch.device | str) -> StackedNetwork:
    """The network of a run with the weights in its file."""
    found = load_weights(weights)
    try:
        return with_weights(run, found, device)
    except RecordError as error:
        raise RecordError(f"{weights}: {error}; train the run again") from error


def _trial_rows(network: StackedNetwork, store: EventStore, sample: int, trials: int) -> list[dict[str, Any]]:
    potentials = repeat_sample(network, store, sample, trials, device=network.device)
    return [
        {
            **_identity(network.settings, store, sample),
            "trial": trial,
            "class": label,
            "class_name": store.classes[label],
            "mean_potential": float(potential),
            "predicted": int(potentials[trial].argmax()),
        }
        for trial in range(trials)
        for label, potential in enumerate(potentials[trial])
    ]


def _test_set_rows(network: StackedNetwork, store: EventStore, trials: int) -> list[dict[str, Any]]:
    labels = repeat_test(network, store, trials, device=network.device)
    return [
        {
            **_identity(network.settings, store, sample),
            "trials": trials,
            "distinct_labels": len(np.unique(labels[:, sample])),
            "majority_label": int(np.bincount(labels[:, sample]).argmax()),
            "hits": int((labels[:, sample] == store.label[sample]).sum()),
        }
        for sample in range(len(store))
    ]


def _identity(settings: RunSettings, store: EventStore, sample: int) -> dict[str, Any]:
    return {
        "model": settings.model,
        "condition": settings.condition,
        "seed": settings.seed,
        "sample": sample,
        "true_label": int(store.label[sample]),
    }
