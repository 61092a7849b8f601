"""Forward and backward of one layer against the number of time steps T (Figure 5 of the paper).

`points` holds every measurement; `seconds` and `peak_bytes` are those of the last model and implementation at
the longest T that was measured, named in `what`. `--csv` writes the repeats as `timing/sequence_length.csv`
has them.
"""

from pathlib import Path
from typing import Any

import torch

from spsn.devices import lease
from spsn.processes import keep_memory
from spsn.settings import NetworkSettings, SequenceLengthTiming
from spsn.timing.benchmark import begin, chosen, finish, parser, run
from spsn.timing.layers import LAYERS
from spsn.timing.measure import Measurement
from spsn.timing.sequence_length import DENSITY, length_rows, measure_lengths
from spsn.timing.study import device_name, write_rows


def main() -> None:
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
    options = p.parse_args()
    torch.set_num_threads(options.threads)
    load = begin()

    sizes = options.batch_size, options.inputs, options.neurons
    timing = SequenceLengthTiming(tuple(options.lengths), options.repeats, *sizes, options.seconds_per_point)
    network = NetworkSettings(1, options.neurons, options.tau, options.tau, 1.0, options.time_step)
    with lease(options.device) as device:
        found = measure_lengths(timing, network, device, names=chosen(options, LAYERS, device))
        points = [_point(t, *name, m) for t, of in sorted(found.items()) for name, m in of.items()]
        if options.csv:
            write_rows(length_rows(found, timing, device_name(device)), options.csv)
        name = list(found[timing.lengths[0]])[-1]
        last = max((t for t, of in found.items() if of[name].median is not None), default=None)
        m = Measurement("") if last is None else found[last][name]
        what = f"forward and backward of one layer, {' '.join(name)}, T = {last}"
        shape = {"batch_size": sizes[0], "inputs": sizes[1], "neurons": sizes[2], "density": DENSITY}
        details = {"dtype": "float32", "repeats": options.repeats, **shape, "points": points, **load}
        finish(options, device, m.median, m.peak_bytes, what=what, quartiles=m.quartiles, **details)


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
