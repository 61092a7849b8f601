"""The golden check: the networks that the authors trained, run by this program on a test file.

On SHD's own test file the number of right answers is known, since the authors published it: networks without
noise must repeat it, networks that fire at random must not be told from it by repeated passes
(`spsn.replication.golden_table` judges). This holds the whole way from the spike file to the answer against
theirs: binning, padding, the filters, the reset, the readout.

On other data nobody knows the right number. But where the words are SHD's (zero to nine, and null to neun),
networks trained on SHD can only be right far more often than by chance if those spikes mean to them what
SHD's do: a check of the inner ear.

The weights belong to steps of 1 ms, and a sample is padded to the longest of its batch of 64, as theirs were.
"""

import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spsn.data.events import EventStore
from spsn.errors import DataError, SettingsError
from spsn.evaluation import test
from spsn.files import write_json, write_rows
from spsn.grid import PUBLISHED_STEP
from spsn.network import StackedNetwork
from spsn.neurons import MODELS
from spsn.published import FILES, PublishedFile, load_published, read_manifest, use_weights
from spsn.settings import Settings
from spsn.weights import BATCH, network_of

WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("null", "eins", "zwei", "drei", "vier", "fuenf", "sechs", "sieben", "acht", "neun"),
)
COLUMNS = ("file", "model", "condition", "trial", "hits", "samples", "spikes_per_ms_1", "spikes_per_ms_2",
           "spikes_per_ms_3")  # fmt: skip


def golden_study(
    settings: Settings,
    manifest: str | Path,
    store: EventStore,
    out_passes: str | Path,
    out_about: str | Path,
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write every pass (CSV, `COLUMNS`) and what it was made from (JSON), for the weights of `manifest`.

    `manifest` is what `spsn.published.obtain` wrote; `store` the test file in steps of 1 ms. Where the check
    cannot be made, for want of the weights or since the words are others than SHD's, the CSV has no rows, and
    the JSON's `made` is false and its `reason` says why. Raises as `evaluate_published` otherwise.
    """
    weights = read_manifest(manifest)
    reason = None if weights["available"] else f"the weights could not be had: {weights['reason']}"
    reason = reason or other_words(store, settings.is_part_of_shd)
    rows = []
    if reason is None:
        trials = settings.golden.trials
        how = {"backend": settings.execution.backend, "device": device}
        options = {"trials": trials, "progress": progress, **how}
        rows = evaluate_published(weights["folder"], store, shd=settings.is_part_of_shd, **options)
    write_rows(rows, out_passes, COLUMNS)
    made = {
        "made": reason is None,
        "reason": reason,
        "weights": weights["weights"],
        "files": weights["files"],
    }
    whole = settings.is_part_of_shd and settings.limit.test is None
    facts = about(store, settings.dataset_name, is_shd=whole, trials=settings.golden.trials)
    write_json(out_about, made | facts)


def about(store: EventStore, dataset: str, *, is_shd: bool, trials: int) -> dict[str, Any]:
    """What the judge of the passes must know: the data's name, whether they are the whole of SHD's test file,
    samples, classes, share of the commonest class, passes, batch.
    """
    return {
        "dataset": dataset,
        "is_shd": is_shd,
        "samples": len(store),
        "classes": len(store.classes),
        "commonest_class": float(np.bincount(store.label).max() / len(store)),
        "trials": trials,
        "batch_size": BATCH,
    }


def evaluate_published(
    folder: str | Path,
    store: EventStore,
    *,
    shd: bool = False,
    trials: int = 10,
    batch_size: int = BATCH,
    backend: str = "auto",
    device: torch.device | str = "cpu",
    files: Sequence[PublishedFile] = FILES,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Pass the samples of `store` through each published network: rows of `COLUMNS`, one a pass.

    Networks without noise pass once, the others `trials` times with new noise. `folder` holds the files as
    the authors' `outputs/` does; `shd`: the samples are SHD's. Rates are spikes per ms of each hidden layer,
    None for the non-spiking network. `backend` as `execution.backend`. `progress(done, total)` counts passes.
    Raises DataError for files that are not the published ones and for words that are not SHD's,
    SettingsError for steps other than 1 ms.
    """
    if abs(store.time_step_ms - 1000 * PUBLISHED_STEP) > 1e-9:
        raise SettingsError(
            f"the authors' networks need steps of {1000 * PUBLISHED_STEP:g} ms, these events are in steps of "
            f"{store.time_step_ms:g} ms; bin the file with `spsn events --time-step {PUBLISHED_STEP:g}`"
        )
    labels = shd_labels(store, shd)
    use_weights(folder, files=files)
    plan = [(file, trials if MODELS[file.model].stochastic else 1) for file in files]
    rows: list[dict[str, Any]] = []
    for file, passes in plan:
        weights = load_published(Path(folder).expanduser() / file.path)
        network = network_of(weights, file.model, store, batch_size, backend=backend, device=device)
        for trial in range(passes):
            rows.append(_pass(file, network, store, labels, trial))
            if progress is not None:
                progress(len(rows), sum(passes for _, passes in plan))
    return rows


def _pass(
    file: PublishedFile, network: StackedNetwork, store: EventStore, labels: np.ndarray, trial: int
) -> dict[str, Any]:
    passed = test(network, store, trial=trial, device=network.device)
    rates = (
        passed.spikes_per_ms[0].tolist() if network.kind.spiking else [None] * network.settings.hidden_layers
    )
    return {
        "file": file.path,
        "model": file.model,
        "condition": file.condition,
        "trial": trial,
        "hits": int((passed.predictions[0] == labels).sum()),
        "samples": len(store),
        **{f"spikes_per_ms_{layer}": rate for layer, rate in enumerate(rates, 1)},
    }


def shd_labels(store: EventStore, shd: bool = False) -> np.ndarray:
    """SHD's label of every sample (n,), by the name of its class; with `shd` the labels are SHD's already.

    Raises DataError where a class is none of SHD's words.
    """
    if reason := other_words(store, shd):
        raise DataError(f"the authors' networks cannot be tried on these data: {reason}")
    if shd:
        return store.label
    return np.array([WORDS.index(_plain(name)) for name in store.classes])[store.label]


def other_words(store: EventStore, shd: bool = False) -> str | None:
    """Why an answer of a network trained on SHD means nothing here, or None where it does."""
    others = [] if shd else [name for name in store.classes if _plain(name) not in WORDS]
    if not others:
        return None
    shown = ", ".join(map(repr, others[:3])) + (", ..." if len(others) > 3 else "")
    return f"classes that are none of SHD's words (zero to nine, null to neun): {shown}"


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip().lower()).replace("ü", "ue")
