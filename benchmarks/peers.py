"""A training step of the LIF network 700-128-128-128-20 in this package and in four libraries of spiking
networks.

Every system runs in its own process on the same spikes and the same initial weights (`peer_networks`), in
turn. `points` holds every measurement or why there is none; `seconds` and `peak_bytes` are those of the
first system that could be measured at the longest T, named in `what`. The libraries are in an environment of
their own, which `make peers` makes. `--draw RECORD` measures nothing and writes the page and the picture of a
record.
"""

import json
import sys
import tempfile
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.peer_networks import SYSTEMS
from benchmarks.peer_networks.inputs import Inputs, Shape
from benchmarks.peer_networks.ours import lif_run
from benchmarks.peer_networks.rounds import ROOT, measure
from spsn.errors import SpsnError
from spsn.files import require_file
from spsn.network import StackedNetwork
from spsn.timing.benchmark import begin, finish, parser, positive, run
from spsn.timing.random_store import CLASSES, SPIKES_PER_STEP, even_store

GAIN = 4.0  # so that hidden neurons fire about as often as those of a trained network


def _options() -> Namespace:
    p = parser(__doc__.partition("\n\n")[0].replace("\n", " "))
    p.add_argument("--draw", type=Path, metavar="RECORD", help="write the page and picture of this record")
    p.add_argument("--docs", type=Path, default=ROOT / "docs", help="folder of the page and the picture")
    p.add_argument("--peers-python", type=Path, default=ROOT / ".venv-peers/bin/python")
    p.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    p.add_argument("--time-steps", nargs="+", type=positive, default=[100, 1000])
    p.add_argument("--batch", type=positive, default=64)
    p.add_argument("--spikes-per-step", type=float, default=SPIKES_PER_STEP, help="of a sample")
    p.add_argument("--gain", type=float, default=GAIN, help="of the weights over this package's initial ones")
    p.add_argument("--hidden-layers", type=positive, default=3)
    p.add_argument("--hidden-size", type=positive, default=128)
    p.add_argument("--repeats", type=positive, default=5, help="rounds")
    p.add_argument("--seconds", type=float, default=100.0, help="beyond this a system has fewer rounds")
    p.set_defaults(device="cpu", threads=2)
    options = p.parse_args()
    if options.device != "cpu" and not options.draw:
        p.error("the comparison is one of CPUs; leave out --device")
    return options


def main() -> None:
    options = _options()
    if options.draw:
        from benchmarks.peer_networks.page import write_page  # needs what draws figures

        write_page(_read(options.draw), options.docs)
        return
    torch.set_num_threads(options.threads)
    load = begin()
    points = [point for steps in options.time_steps for point in _points(options, steps)]
    last = [p for p in points if p["steps"] == max(options.time_steps) and p["error"] is None]
    chosen = last[0] if last else {"system": "nothing", "steps": 0, "seconds": None, "peak_bytes": None}
    details = {
        "what": f"training step of the LIF network, {chosen['system']}, T = {chosen['steps']}",
        "dtype": "float32",
        "classes": CLASSES,
        "gain": options.gain,
        "spikes_per_step": options.spikes_per_step,
        "points": points,
    }
    finish(options, torch.device("cpu"), chosen["seconds"], chosen["peak_bytes"], **details, **load)


def _read(path: Path) -> dict[str, Any]:
    """A record of this command. Raises `SpsnError` where the file is none."""
    require_file(path, "Measure one with --output.")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        _ = record["points"], record["gain"]
    except (ValueError, TypeError, KeyError) as error:
        raise SpsnError(f"{path}: no record of this command ({error}). Measure one with --output.") from None
    return record


def _points(options: Namespace, steps: int) -> list[dict[str, Any]]:
    """The measurements of all systems at one T."""
    shape = Shape(options.batch, steps, options.hidden_layers, options.hidden_size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inputs.npz"
        _inputs(options, shape).save(path)
        found = measure(
            options.systems,
            {False: sys.executable, True: options.peers_python},
            path,
            threads=options.threads,
            repeats=options.repeats,
            seconds=options.seconds,
        )
    described = {name: asdict(SYSTEMS[name]) for name in options.systems}
    return [{"system": name, **described[name], **asdict(shape), **found[name]} for name in options.systems]


def _inputs(options: Namespace, shape: Shape) -> Inputs:
    """Even spikes, and this package's initial weights of seed 0 times `--gain`."""
    store = even_store(shape.batch, shape.steps, density=options.spikes_per_step)
    state = StackedNetwork(lif_run(shape, store), [0]).run_state(0)
    louder = {name: options.gain * value.detach() for name, value in state.items()}
    return Inputs(shape, store.time_bin, store.channel, store.offsets, store.label, louder)


if __name__ == "__main__":
    run(main)
