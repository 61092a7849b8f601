"""Forward and backward of one layer against the number of time steps T (Figure 5 of the paper).

`points` holds every measurement; `seconds` and `peak_bytes` are those of the last model and implementation at
the longest T that was measured, named in `what`. `--csv` writes the repeats as `timing/sequence_length.csv`
has them.
"""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from spsn.processes import keep_memory
from spsn.settings import NetworkSettings, SequenceLengthTiming
from spsn.timing.benchmark import chosen, finish, measuring, parser, run
from spsn.timing.layers import LAYERS
from spsn.timing.measure import Measurement
from spsn.timing.sequence_length import DENSITY, Name, length_rows, measure_lengths
from spsn.timing.study import device_name, write_rows

CURVE = ("model", "implementation", "steps", "status", "seconds", "quartiles", "peak_bytes", "grown_bytes")


def _options() -> Namespace:
    p = parser(__doc__.partition("\n")[0], LAYERS)
    p.add_argument("--lengths", type=int, nargs="+", default=[100, 200, 500, 1000, 2000], help="time steps")
    p.add_argument("--repeats", type=int, default=5)
    p.add_argument("--batch-size", type=int, default=64)
    p.add_argument("--inputs", type=int, default=128)
    p.add_argument("--neurons", type=int, default=128)
    p.add_argument("--tau", type=float, default=0.02, help="both time constants, s")
    p.add_argument("--time-step", type=float, default=0.001, help="s")
    p.add_argument("--seconds-per-point", type=float, default=60.0, help="beyond this a point is too slow")
    p.add_argument("--csv", type=Path, help="write the table of all repeats to this file")
    return p.parse_args()


def main() -> None:
    options = _options()
    sizes = options.batch_size, options.inputs, options.neurons
    timing = SequenceLengthTiming(tuple(options.lengths), options.repeats, *sizes, options.seconds_per_point)
    network = _network(options.neurons, options.tau, options.time_step)
    with measuring(options) as (device, load):
        found = measure_lengths(timing, network, device, names=chosen(options, LAYERS, device))
        if options.csv:
            write_rows(length_rows(found, timing, device_name(device)), options.csv)
        name = list(found[timing.lengths[0]])[-1]
        last = max((t for t, of in found.items() if of[name].median is not None), default=None)
        m = Measurement("") if last is None else found[last][name]
        what = f"forward and backward of one layer, {' '.join(name)}, T = {last}"
        shape = {"batch_size": sizes[0], "inputs": sizes[1], "neurons": sizes[2], "density": DENSITY}
        details = {"dtype": "float32", "repeats": options.repeats, **shape, "points": _points(found), **load}
        finish(options, device, m.median, m.peak_bytes, what=what, quartiles=m.quartiles, **details)


def length_study(
    *,
    device: str,
    threads: int,
    batch_size: int,
    inputs: int,
    neurons: int,
    lengths: list[int],
    repeats: int,
    seconds_per_point: float,
    fused: bool = True,
) -> dict[str, Any]:
    """Figure 5's curves for `gpu_check`: `CURVE` of every measurement; `fused` False leaves these out."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)  # the paper's way does not ask for it, and gets none here
    timing = SequenceLengthTiming(tuple(lengths), repeats, batch_size, inputs, neurons, seconds_per_point)
    names = [name for name in LAYERS if fused or name[1] != "fused"]
    found = measure_lengths(timing, _network(neurons, 0.02, 0.001), torch.device(device), names=names)
    curves = [{key: point[key] for key in CURVE} for point in _points(found)]
    return {"curves": curves, "repeats": repeats, "density": DENSITY}


def _network(neurons: int, tau: float, time_step: float) -> NetworkSettings:
    """One layer, both of its time constants `tau`; seconds."""
    return NetworkSettings(1, neurons, tau, tau, 1.0, time_step)


def _points(found: Mapping[int, Mapping[Name, Measurement]]) -> list[dict[str, Any]]:
    """The measurements of `measure_lengths`, the shortest T first."""
    return [_point(steps, *name, m) for steps, of in sorted(found.items()) for name, m in of.items()]


def _point(steps: int, model: str, implementation: str, m: Measurement) -> dict[str, Any]:
    return {
        "model": model,
        "implementation": implementation,
        "steps": steps,
        "status": m.status,
        "seconds": m.median,
        "quartiles": m.quartiles,
        "all_seconds": m.seconds,
        "all_forward_seconds": [call.parts[0] for call in m.calls],
        "all_unsynchronised": [call.unsynchronised for call in m.calls],
        "peak_bytes": m.peak_bytes,
        "grown_bytes": m.grown_bytes,
    }


if __name__ == "__main__":
    keep_memory()  # as every command of `spsn` that trains or measures
    run(main)
