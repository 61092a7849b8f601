"""The commands of `spsn` that bring data in, turn sound into spikes, bin, describe and inspect them."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from spsn.arguments import natural, positive
from spsn.errors import DataError
from spsn.files import clear_unfinished, write_json

Options = argparse.Namespace


def add(of, command: Callable) -> None:
    """Register every command of this module; `command(of, name, run, help, follows=)` makes one."""
    _fetching(of, command)
    _hearing(of, command)
    _binning(of, command)


def _fetching(of, command: Callable) -> None:
    c = command(
        of, "fetch", fetch, "fetch a file of SHD, or take it from a folder, and verify it", follows=True
    )
    c.add_argument("--out", type=Path, required=True, help="where shd_train.h5 or shd_test.h5 is to lie")
    _offline(c)
    c.add_argument("--sources", nargs="+", metavar="URL", help="folders that hold the archives, in order")
    c.add_argument(
        "--archives",
        nargs="+",
        metavar="NAME=MD5",
        help="archives that may lie there, such as shd_test.h5.zip=1503a5...",
    )

    c = command(
        of, "fetch-fsdd", fetch_fsdd, "fetch the Free Spoken Digit Dataset and verify it", follows=True
    )
    c.add_argument("--out", type=Path, required=True, help="folder for the recordings and their table")
    _offline(c)
    c.add_argument("--archive", metavar="URL", help="the release's archive")


def _offline(c) -> None:
    c.add_argument(
        "--data-dir", type=Path, help="a folder that already holds what is wanted; no network is used then"
    )


def _hearing(of, command: Callable) -> None:
    c = command(of, "digits", digits, "make the synthetic spoken digits", follows=True)
    c.add_argument("--train", type=positive, required=True, help="utterances of the training file")
    c.add_argument("--test", type=positive, required=True, help="utterances of the test file")
    c.add_argument("--seed", type=natural, default=0)
    c.add_argument("--out", type=Path, required=True, help="folder")
    c.add_argument("--workers", type=positive, default=os.cpu_count())

    c = command(of, "hear", hear, "turn a folder of recordings into spikes, as SHD was made", follows=True)
    c.add_argument("folder", type=Path, help="where the recordings lie, .wav or .flac")
    c.add_argument(
        "--labels",
        required=True,
        help="a CSV file with the columns file, label, speaker, split, or a pattern of file names such as "
        "'{label}_{speaker}_{take}.wav'",
    )
    c.add_argument("--out", type=Path, nargs=2, required=True, metavar=("TRAIN.h5", "TEST.h5"))
    c.add_argument("--test-speakers", nargs="+", default=[], help="who is heard in the test file alone")
    c.add_argument("--classes", nargs="+", help="the labels in the order of their numbers")
    c.add_argument("--seed", type=natural, default=0)
    c.add_argument("--no-trim", dest="trim", action="store_false", help="keep silence at both ends")
    c.add_argument("--workers", type=positive, default=os.cpu_count())
    c.add_argument(
        "--device",
        choices=("cpu", "cuda", "auto"),
        default="cpu",
        help="auto takes a GPU where there is one; a few spikes then differ in the last bits",
    )
    c.add_argument("--source", type=Path, help="JSON that says where the recordings came from")


def _binning(of, command: Callable) -> None:
    c = command(of, "events", events, "bin a data file into an event store", follows=True)
    c.add_argument("--data", type=Path, required=True, help="HDF5 file in SHD's layout")
    c.add_argument("--time-step", type=float, required=True, help="s")
    c.add_argument("--limit", type=positive, help="use the first n samples only")
    c.add_argument("--out", type=Path, required=True)

    c = command(of, "describe", describe, "write the facts of the data for the report", follows=True)
    c.add_argument("--settings", type=Path, required=True)
    for split in ("train", "test"):
        c.add_argument(f"--{split}", type=Path, nargs="+", required=True, help="event stores")
    c.add_argument(
        "--source", type=Path, nargs="*", default=[], help="what was written beside the data files"
    )
    c.add_argument("--out", type=Path, required=True, help="facts of the files, JSON")
    c.add_argument("--out-samples", type=Path, required=True, help="one row a sample, CSV")
    c.add_argument("--out-rasters", type=Path, required=True, help="the spikes of one sample a class, CSV")

    of = command(of, "data", None, "look at data").add_subparsers(required=True, metavar="command")
    c = command(of, "inspect", inspect, "say what is in a file of spikes or sound, and whether it is sound")
    c.add_argument("file", type=Path, help=".h5 in SHD's layout, its archive, an event store, .wav or .flac")
    c.add_argument("--json", action="store_true", help="print the facts as JSON")
    c.add_argument("--plot", type=Path, help="draw them, PNG or PDF")


def fetch(options: Options) -> None:
    """Fetch or link one file of SHD and write beside it where it came from."""
    from spsn.data import existing
    from spsn.data import fetch as fetching

    folder, name = options.out.parent, options.out.name
    given = {}
    if options.sources:
        given["sources"] = options.sources
    if options.archives:
        given["archives"] = dict(_pair(text) for text in options.archives)
    if options.data_dir is not None:
        given.pop("sources", None)
        source = existing.use_existing(options.data_dir, name, folder, **given)
    else:
        source = fetching.fetch(name, folder, **given)
    _write_source(options.out, source)


def _pair(text: str) -> tuple[str, str]:
    name, sign, md5 = text.partition("=")
    if not sign:
        raise DataError(f"--archives {text}: must be an archive's name, '=', and its md5")
    return name, md5


def fetch_fsdd(options: Options) -> None:
    """Fetch or copy the Free Spoken Digit Dataset and write beside its table where it came from."""
    from spsn.data import fsdd

    given = {"archive": options.archive} if options.archive else {}
    source = fsdd.fetch_fsdd(options.out, data_dir=options.data_dir, **given)
    _write_source(options.out / "labels.csv", source)


def _write_source(path: Path, source: dict) -> None:
    write_json(path.with_name(f"{path.name}.source.json"), source)


def digits(options: Options) -> None:
    """Make the synthetic digits and write beside each file where it came from."""
    from spsn import provenance
    from spsn.data.speech import MADE_BY, make_digits
    from spsn.progress import Counter

    paths = make_digits(
        options.train, options.test, options.seed, options.out, options.workers, Counter("synthetic digits")
    )
    versions = provenance.versions_of(("spsn", "espeakng-loader", "numpy", "scipy", "numba"))
    made = {"made by": MADE_BY, "seed": options.seed, **versions}
    for path in paths:
        _write_source(path, made)


def hear(options: Options) -> None:
    """Turn recordings into spikes and write beside each file where it came from."""
    from spsn.data.describe import read_source
    from spsn.data.hearing import hear_folder
    from spsn.progress import Counter

    origin = read_source(options.source) if options.source else {}
    facts = hear_folder(
        options.folder,
        options.labels,
        options.out,
        test_speakers=options.test_speakers,
        classes=options.classes,
        seed=options.seed,
        trim=options.trim,
        workers=options.workers,
        device=options.device,
        progress=Counter("recordings"),
    )
    for path in options.out:
        _write_source(path, origin | facts)


def events(options: Options) -> None:
    """Bin a data file."""
    from spsn.data.events import EventStore
    from spsn.data.shd import check_split, read_split
    from spsn.dataset_settings import check_time_step

    check_time_step(options.time_step, "--time-step")
    clear_unfinished(options.out)  # it may be large
    spikes = check_split(read_split(options.data), options.data)
    EventStore.from_spikes(spikes, 1000.0 * options.time_step, options.limit).save(options.out)


def describe(options: Options) -> None:
    """Write data.json, and the samples and rasters that the data page shows."""
    from spsn import layout
    from spsn.data import describe
    from spsn.settings import load

    configured = load(options.settings)
    files = {split: Path(layout.data_file(configured, split)) for split in layout.SPLITS}
    stores = {split: getattr(options, split) for split in layout.SPLITS}
    sources = {path.name.removesuffix(".source.json"): path for path in options.source}
    finest = describe.finest(stores)
    describe.write_samples(finest, options.out_samples)
    describe.write_rasters(finest["train"], options.out_rasters)
    write_json(options.out, describe.describe(configured, files, stores, sources))


def inspect(options: Options) -> None:
    """Print what is in a file."""
    from spsn.data import inspect

    found = inspect.examine(options.file)
    if options.json:
        json.dump(found.facts, sys.stdout, indent=1, allow_nan=False)
        print()
    else:
        print(inspect.render(found.facts))
    if options.plot is not None:
        inspect.plot(found, options.plot)
    if not found.facts["sound"]:
        raise DataError(f"{options.file}: must not be used as data as it is; see above")
