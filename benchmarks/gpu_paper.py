"""As much of a grid of runs as can be trained in a limited time, block by block, and gone on with elsewhere.

    python -m benchmarks.gpu_paper --train TRAIN.h5 --test TEST.h5 --minutes 9 --out DIR
    python -m benchmarks.gpu_paper --digits 8156 2264 --minutes 9 --out DIR --resume bundle-1.tar.gz

Trains the blocks of a configuration (the paper's, by default) on any two files in SHD's layout, or on the
synthetic digits, which it makes with all processor cores (eSpeak NG comes with the package espeakng-loader);
first what the report needs most (`paper_blocks.ordered`). A block is not begun where it is not expected to
end within the minutes; one that takes longer than expected is stopped, and goes on from its last checkpoint,
at most `execution.checkpoint_every` epochs back. Whatever is done then comes as one compressed bundle
(`bundles.py`), with the state of a run that was stopped, and DIR/index.json says which runs are done and
which are left. A later call, here or elsewhere, takes all earlier bundles as `--resume` and goes on.
`--minutes 0` only unpacks them: the records then lie in WORK/results/<name>/runs.

Only records that were made by the same sources, data and settings count as done. Weights stay behind unless
`--weights` is given (0.5 MB a run); without them the report's robustness experiment cannot be made.
"""

import argparse
import logging
import os
import time
from pathlib import Path
from typing import Any

from benchmarks import bundles, paper_data
from benchmarks.paper_blocks import Files
from benchmarks.paper_state import State, carry_out
from spsn import sources
from spsn.config_files import merged
from spsn.errors import RecordError, SpsnError
from spsn.files import parse_object, write_json
from spsn.settings import Settings, from_mapping, to_mapping
from spsn.timing.benchmark import command, digits, positive, run, table

ROOT = Path(__file__).resolve().parents[1]
RESERVE = 12.0  # seconds of the minutes for ending what runs, and for packing
log = logging.getLogger("benchmarks.gpu_paper")


def main() -> None:
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    until = time.monotonic() + 60 * options.minutes - RESERVE
    work = options.work or options.out / "work"
    settings, files = _configured(options, work)
    written, results = work / "settings.json", work / "results" / settings.name
    write_json(written, to_mapping(settings))
    _check_sources(results)
    packed = _packed(options.out / "index.json") | _resumed(options, results)
    state = State(settings, files, results, written)
    said = carry_out(state, until, options.blocks)
    _report(options, state, packed, said)


def _options() -> argparse.Namespace:
    made = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    made.add_argument("--train", type=Path, help="HDF5 file in SHD's layout")
    made.add_argument("--test", type=Path, help="the same of the test split")
    made.add_argument("--digits", type=positive, nargs=2, metavar=("TRAIN", "TEST"), help="synthetic ones")
    made.add_argument("--workers", type=positive, default=os.cpu_count(), help="processes that make digits")
    made.add_argument("--minutes", type=float, required=True, help="in which it ends")
    made.add_argument("--out", type=Path, required=True, help="folder of the bundle and of index.json")
    made.add_argument("--work", type=Path, help="folder of data, checkpoints, results (without it: OUT/work)")
    made.add_argument("--config", type=Path, nargs="+", default=[ROOT / "config/paper.yaml"])
    made.add_argument("--device", choices=("auto", "cpu", "cuda"), help="instead of the configuration's")
    made.add_argument("--resume", type=Path, nargs="+", default=[], help="bundles of earlier calls")
    made.add_argument("--other-sources", action="store_true", help="resume what other sources have made")
    made.add_argument("--blocks", type=positive, help="begin so many blocks at most")
    made.add_argument("--weights", action="store_true", help="pack the weights too")
    made.add_argument("--most-mib", type=float, default=16.0, help="a bundle beyond it is parted")
    options = made.parse_args()
    if (options.train is None) != (options.test is None) or (options.train is None) == (not options.digits):
        made.error("give --train and --test, or --digits")
    return options


def _configured(options: argparse.Namespace, work: Path) -> tuple[Settings, Files]:
    """The settings with the data that were asked for, and the files, made where they are to be."""
    config, pair = merged(options.config), (options.train, options.test)
    if options.device:
        config["execution"] = {**config.get("execution", {}), "device": options.device}
    if options.digits:
        config, pair = paper_data.digits(config, options.digits, work / "data", options.workers)
    else:
        config = paper_data.given(config, *pair)
    return from_mapping(config), Files(*pair, work / "events")


def _check_sources(results: Path) -> None:
    """Raise `SpsnError` in a folder whose results other sources have made."""
    path, ours = results / "sources.sha256", sources.digest(sources.TRAINING)
    if path.exists() and path.read_text(encoding="utf-8").strip() != ours:
        raise SpsnError(f"{results}: was made by other sources of the training; name another --work")
    results.mkdir(parents=True, exist_ok=True)
    path.write_text(ours + "\n", encoding="utf-8")


def _packed(index: Path) -> dict[str, dict[str, Any]]:
    """What an earlier call into the same folder has packed: its index's entries by the runs' names."""
    try:
        entries = parse_object(index.read_text(encoding="utf-8"))["runs"]
        return {entry["run"]: entry for entry in entries}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{index}: cannot be read ({error}); delete it, or name another --out") from error


def _resumed(options: argparse.Namespace, results: Path) -> dict[str, dict[str, Any]]:
    """Unpack the bundles; what their indices say of each run, by its name."""
    found: dict[str, dict[str, Any]] = {}
    for path in options.resume:
        index = bundles.unpack(path, results)
        if index["sources"] != sources.digest(sources.TRAINING) and not options.other_sources:
            raise RecordError(
                f"{path}: was made by other sources of the training; take those, leave the bundle out, or "
                "give --other-sources"
            )
        found |= {entry["run"]: {**entry, "bundle": path.name} for entry in index["runs"]}
    return found


def _report(
    options: argparse.Namespace, state: State, packed: dict[str, dict[str, Any]], said: dict[str, str]
) -> None:
    """Pack what no bundle has yet, write the index, say what was done and what is left."""
    options.out.mkdir(parents=True, exist_ok=True)
    finished = state.entries()
    new = [
        entry for run, entry in finished.items() if packed.get(run, {}).get("settings") != entry["settings"]
    ]
    about = {"sources": sources.digest(sources.TRAINING), "name": state.settings.name, "command": command()}
    number = bundles.next_number(options.out, options.resume)
    names = state.names(new, options.weights)
    most = int(options.most_mib * (1 << 20))
    made = bundles.pack(state.results, names, options.out, number, {**about, "runs": new}, most)
    lies = {run: entry["bundle"] for run, entry in packed.items()}
    lies |= {
        name[5:-5]: path.name for path, files in made.items() for name in files if name.endswith(".json")
    }
    runs = [{**entry, "bundle": lies[run]} for run, entry in finished.items()]
    left = state.left(finished)
    index = {**about, "bundles": [path.name for path in made], "runs": runs, "left": left, "blocks": said}
    write_json(options.out / "index.json", index)
    rows = [(block.job, *state.counts(block, finished), said.get(block.job)) for block in state.blocks]
    print(table(("block", "runs done", "of", "in this call"), rows))
    print(f"\n{len(finished)} runs done, {len(left)} left.")
    for path in made:
        print(f"{path}: {digits(path.stat().st_size / (1 << 20))} MiB")


if __name__ == "__main__":
    run(main)
