"""What each command of `spsn` does with its arguments. Heavy imports wait until a command needs them."""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path

from spsn.errors import DataError, SpsnError
from spsn.files import write_json

log = logging.getLogger(__name__)
Options = argparse.Namespace


def settings(options: Options) -> None:
    """Check a configuration and write it."""
    from spsn.config_files import read_settings
    from spsn.settings import to_mapping

    write_json(options.out, to_mapping(read_settings(options.config)))


def train(options: Options) -> None:
    """Train the runs of a block."""
    from spsn.processes import keep_memory, stop_at_sigterm
    from spsn.settings import load
    from spsn.training import Data, train_block

    keep_memory()
    configured = load(options.settings)
    block = _block(options.settings, configured, options.block, options.seeds)
    data = Data(_store(options.train), _store(options.test))
    _check_step(block.network.time_step, data.train.time_step_ms, options.train)
    _check_step(block.network.time_step, data.test.time_step_ms, options.test)
    train_block(configured, block, data, options.results, stop_at_sigterm)


def _block(path: Path, configured, name: str, seeds: tuple[int, ...]):
    """The block called `name`. Raises `SpsnError` that names the nearest, or all where none is near."""
    from spsn.grid import blocks, comparison_blocks, find_block

    try:
        return find_block(configured, name, seeds)
    except KeyError:
        known = list(dict.fromkeys(b.name for b in blocks(configured) + comparison_blocks(configured)))
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}"
        raise SpsnError(f"{path}: its grid has no block {name}; {hint}") from None


def _store(path: Path):
    from spsn.data.events import EventStore

    return EventStore.load(path)


def _check_step(wanted: float, found_ms: float, path: Path) -> None:
    if abs(found_ms - 1000.0 * wanted) > 1e-9:
        raise DataError(
            f"{path}: is binned in steps of {found_ms:g} ms, but the block needs {1000 * wanted:g} ms"
        )


def robustness(options: Options) -> None:
    """Repeat one sample and the whole test set through the networks that the settings name."""
    from spsn.devices import lease
    from spsn.robustness import study
    from spsn.settings import load

    configured = load(options.settings)
    out = options.out_trials, options.out_test_set
    with lease(configured.execution.device) as device:
        _use_threads(configured.execution, device)
        study(configured, _store(options.test), options.results, *out, device=device)


def _use_threads(execution, device) -> None:
    from spsn import threads
    from spsn.devices import backend_for

    threads.use(backend_for(execution), execution.threads, device)


def _use_all_threads() -> None:
    """As many threads as torch finds cores, for networks whose settings say nothing of it."""
    import torch

    from spsn import threads

    threads.use("fused", torch.get_num_threads())


def evaluate(options: Options) -> None:
    """Print the accuracy of weights on a data file as JSON."""
    from spsn.run_weights import evaluate_file

    found = evaluate_file(options.weights, options.test, options.model, options.trials)
    json.dump(found, sys.stdout, indent=1)
    print()


def published_weights(options: Options) -> None:
    """Bring the authors' published weights, and count how often they are right on a test file."""
    from spsn import published

    if options.out is not None:
        published.obtain(options.weights, options.folder, options.out)
        return
    fetching = options.weights == "fetch"
    folder = options.folder if fetching else Path(options.weights)
    facts = published.fetch_weights(folder) if fetching else published.use_weights(folder)
    log.info("%s: %d files, as they were published", folder, len(facts))
    if options.test is not None:
        print(_golden(folder, options))


def _golden(folder: Path, options: Options) -> str:
    import pandas as pd

    from spsn.data.events import EventStore
    from spsn.data.identity import shd_identity
    from spsn.data.shd import check_split, read_split
    from spsn.files import digest
    from spsn.golden import about, evaluate_published
    from spsn.grid import PUBLISHED_STEP
    from spsn.progress import Counter
    from spsn.replication.golden_table import golden_table, read_published, readable

    _use_all_threads()
    authors = read_published(options.published)
    spikes = check_split(read_split(options.test), options.test)
    samples, classes = len(spikes), len(spikes.class_names)
    md5 = digest(options.test, "md5")
    shd = shd_identity("shd_test.h5", samples, classes, spikes.made_by, md5) != "no"
    store = EventStore.from_spikes(spikes, 1000 * PUBLISHED_STEP, options.limit)
    shown = "SHD" if shd else options.test.name
    facts = about(store, shown, is_shd=shd and options.limit is None, trials=options.trials)
    passes = evaluate_published(
        folder, store, shd=shd, trials=options.trials, progress=Counter("published weights")
    )
    table = golden_table(pd.DataFrame(passes), facts, authors)
    return readable(table).to_string(index=False)


def golden(options: Options) -> None:
    """Run the authors' published weights on the test file of a configuration."""
    from spsn.devices import lease
    from spsn.golden import golden_study
    from spsn.progress import Counter
    from spsn.settings import load

    configured, store = load(options.settings), _store(options.test)
    out = options.out_passes, options.out_about
    with lease(configured.execution.device) as device:
        _use_threads(configured.execution, device)
        counter = Counter("published weights")
        golden_study(configured, options.weights, store, *out, device=device, progress=counter)


def illustrate(options: Options) -> None:
    """Simulate the neurons of Figure 1."""
    from spsn.files import write_rows
    from spsn.illustration import COLUMNS, illustrate
    from spsn.settings import load

    write_rows(illustrate(load(options.settings).network), options.out, COLUMNS)


def time_epoch(options: Options) -> None:
    """Measure one epoch of every model."""
    from spsn.timing.study import epoch_study

    _time(options, lambda configured, device: epoch_study(configured, _store(options.train), device))


def time_lengths(options: Options) -> None:
    """Measure one layer against sequence length."""
    from spsn.timing.study import sequence_length_study

    _time(options, sequence_length_study)


def time_methods(options: Options) -> None:
    """Measure a training step of the comparison's methods against sequence length."""
    from spsn.timing.methods import method_study

    _time(options, method_study)


def _time(options: Options, study: Callable[..., Sequence]) -> None:
    """Write the rows that `study(settings, device)` gives."""
    from spsn.devices import lease
    from spsn.processes import keep_memory
    from spsn.settings import load
    from spsn.timing.study import write_rows

    keep_memory()
    configured = load(options.settings)
    with lease(configured.execution.device) as device:
        write_rows(study(configured, device), options.out)


def collect(options: Options) -> None:
    """Gather run records."""
    from spsn.replication.run_table import write_runs

    write_runs(options.records, options.out)


def notebook(options: Options) -> None:
    """Execute a notebook on a results folder, and take out what changes from run to run."""
    from spsn.replication.notebooks import execute

    execute(options.notebook, options.out, options.results)


def provenance(options: Options) -> None:
    """Write provenance.json, of the report or of the one with part II."""
    from spsn.replication.report import write_provenance
    from spsn.replication.typesetting import FULL_REPORT, REPORT
    from spsn.settings import load

    edition = FULL_REPORT if options.with_comparison else REPORT
    write_provenance(options.results, load(options.settings), options.out, options.command, edition)


def report(options: Options) -> None:
    """Write the macros and typeset the report, or the one with part II."""
    from spsn.replication.digests import write_checksums
    from spsn.replication.report import build_pdf, write_macros
    from spsn.replication.typesetting import FULL_REPORT, REPORT
    from spsn.settings import load

    edition = FULL_REPORT if options.with_comparison else REPORT
    macros, provenance = (options.results / name for name in (edition.macros, edition.provenance))
    write_macros(options.results, load(options.settings), macros, edition)
    build_pdf(options.results, options.source, options.out, edition)
    write_checksums(options.out, (macros, provenance))
