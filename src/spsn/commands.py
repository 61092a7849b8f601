"""What each command of `spsn` does with its arguments. Heavy imports wait until a command needs them."""

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spsn.errors import DataError, SettingsError, SpsnError
from spsn.files import write_json

log = logging.getLogger(__name__)
Options = argparse.Namespace


def settings(options: Options) -> None:
    """Check a configuration and write it."""
    from spsn.settings import from_mapping, to_mapping

    config = options.json if options.json is not None else merged(options.config)
    write_json(options.out, to_mapping(from_mapping(config)))


def merged(paths: list[Path]) -> dict[str, Any]:
    """YAML configurations laid over one another. Raises `SettingsError`."""
    import yaml

    merged: dict[str, Any] = {}
    for path in paths:
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise SettingsError(f"{path}: cannot be read as YAML ({error})") from error
        if not isinstance(content, dict):
            raise SettingsError(f"{path}: a configuration is a mapping of keys")
        merged = _laid_over(merged, content)
    return merged


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings merge key by key, anything else replaces what it lies over."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _laid_over(old, value) if both else value
    return merged


def fetch(options: Options) -> None:
    """Fetch or link one file of SHD and write beside it where it came from."""
    from spsn.data import fetch as fetching

    folder, name = options.out.parent, options.out.name
    if options.data_dir is not None:
        source = fetching.use_existing(options.data_dir, name, folder)
    else:
        source = fetching.fetch(name, folder)
    write_json(options.out.with_name(f"{name}.source.json"), source)


def digits(options: Options) -> None:
    """Make the synthetic digits and write beside each file where it came from."""
    from spsn import provenance
    from spsn.data.speech import make_digits
    from spsn.progress import Counter

    paths = make_digits(
        options.train, options.test, options.seed, options.out, options.workers, Counter("synthetic digits")
    )
    wanted = ("spsn", "espeakng-loader", "numpy", "scipy", "numba")
    versions = {name: v for name, v in provenance.versions().items() if name in wanted}
    made = {
        "made by": "synthetic speech (eSpeak NG) through the inner-ear model",
        "seed": options.seed,
        **versions,
    }
    for path in paths:
        write_json(path.with_name(f"{path.name}.source.json"), made)


def events(options: Options) -> None:
    """Bin a data file."""
    from spsn.data.events import EventStore
    from spsn.data.shd import check_split, read_split

    spikes = check_split(read_split(options.data), options.data)
    EventStore.from_spikes(spikes, 1000.0 * options.time_step, options.limit).save(options.out)


def describe_data(options: Options) -> None:
    """Write data.json."""
    from spsn import layout
    from spsn.data.describe import describe
    from spsn.settings import load

    configured = load(options.settings)
    files = {split: Path(layout.data_file(configured, split)) for split in layout.SPLITS}
    stores = {split: getattr(options, split) for split in layout.SPLITS}
    sources = {path.name.removesuffix(".source.json"): path for path in options.source}
    write_json(options.out, describe(configured, files, stores, sources))


def train(options: Options) -> None:
    """Train the runs of a block."""
    from spsn.grid import find_block
    from spsn.processes import keep_memory
    from spsn.settings import load
    from spsn.training import Data, train_block

    keep_memory()
    configured = load(options.settings)
    try:
        block = find_block(configured, options.block, options.seeds)
    except KeyError:
        raise SpsnError(f"{options.settings}: its grid has no block {options.block}") from None
    data = Data(_store(options.train), _store(options.test))
    _check_step(block.network.time_step, data.train.time_step_ms, options.train)
    _check_step(block.network.time_step, data.test.time_step_ms, options.test)
    train_block(configured, block, data, options.results)


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
        study(configured, _store(options.test), options.results, *out, device=device)


def evaluate(options: Options) -> None:
    """Print the accuracy of weights on a data file as JSON."""
    from spsn.checkpoints import load_weights
    from spsn.evaluation import load_published
    from spsn.robustness import evaluate_weights

    published = options.weights.suffix == ".pt"
    weights = load_published(options.weights) if published else load_weights(options.weights)
    found = evaluate_weights(weights, options.model, _store(options.test), options.trials)
    json.dump(found, sys.stdout, indent=1)
    print()


def illustrate(options: Options) -> None:
    """Simulate the neurons of Figure 1."""
    from spsn.files import write_rows
    from spsn.illustration import COLUMNS, illustrate
    from spsn.settings import load

    write_rows(illustrate(load(options.settings).network), options.out, COLUMNS)


def time_epoch(options: Options) -> None:
    """Measure one epoch of every model."""
    from spsn.devices import lease
    from spsn.processes import keep_memory
    from spsn.settings import load
    from spsn.timing.study import epoch_study, write_rows

    keep_memory()
    configured = load(options.settings)
    with lease(configured.execution.device) as device:
        write_rows(epoch_study(configured, _store(options.train), device), options.out)


def time_lengths(options: Options) -> None:
    """Measure one layer against sequence length."""
    from spsn.devices import lease
    from spsn.processes import keep_memory
    from spsn.settings import load
    from spsn.timing.study import sequence_length_study, write_rows

    keep_memory()
    configured = load(options.settings)
    with lease(configured.execution.device) as device:
        write_rows(sequence_length_study(configured, device), options.out)


def collect(options: Options) -> None:
    """Gather run records."""
    from spsn.replication.run_table import write_runs

    listed = options.list.read_text(encoding="utf-8").split("\n") if options.list else []
    write_runs([*options.records, *(Path(line) for line in listed if line)], options.out)


def normalise(options: Options) -> None:
    """Make an executed notebook depend on its contents alone."""
    from spsn.replication.notebooks import normalise

    normalise(options.notebook)


def provenance(options: Options) -> None:
    """Write provenance.json."""
    from spsn.replication.report import write_provenance
    from spsn.settings import load

    write_provenance(options.results, load(options.settings), options.out, options.command)


def report(options: Options) -> None:
    """Write the macros and typeset the report."""
    from spsn.replication.report import build_pdf, write_macros
    from spsn.settings import load

    write_macros(options.results, load(options.settings), options.results / "report" / "macros.tex")
    build_pdf(options.results, options.source, options.out)
