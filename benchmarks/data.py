"""Batches of a whole epoch at the size of SHD: order, augmentation and padding into the reused event buffer.

The spikes are random (8156 samples of about 8000). `seconds` is the median epoch of one run; binning all the
spikes into an event store, saving it and loading it again are timed once.
"""

import tempfile
import time
from argparse import Namespace
from math import inf
from pathlib import Path
from typing import Any

import torch

from spsn.data.batches import Batches
from spsn.data.events import EventStore
from spsn.processes import keep_memory
from spsn.settings import Augmentation
from spsn.timing.benchmark import begin, finish, parser, run
from spsn.timing.measure import Lap, Measurement, measure
from spsn.timing.random_store import LONGEST, SAMPLES, SPIKES, random_spikes

CPU = torch.device("cpu")


def _options() -> Namespace:
    p = parser(__doc__.partition("\n")[0])
    p.add_argument("--samples", type=int, default=SAMPLES)
    p.add_argument("--spikes", type=int, default=SPIKES, help="spikes of a sample, on average")
    p.add_argument("--time-step-ms", type=float, default=1.0)
    p.add_argument("--batch-size", type=int, default=64)
    p.add_argument("--runs", type=int, default=1, help="runs of the stack, each with its own order and draws")
    p.add_argument("--shift", type=float, default=0.1, help="greatest shift, share of the channels")
    p.add_argument("--scale", type=float, default=0.3, help="greatest zoom, share of the size")
    p.add_argument("--repeats", type=int, default=5, help="epochs")
    return p.parse_args()


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    load = begin()
    store, stored = _store(options)
    batches = Batches(store, options.batch_size, tuple(range(options.runs)))
    m, seen = _epochs(batches, options)
    details = stored | {
        "quartiles": m.quartiles,
        "epochs": m.seconds,
        "samples": options.samples,
        "spikes": int(store.offsets[-1]),
        "longest_s": LONGEST,
        "time_step_ms": options.time_step_ms,
        "batch_size": options.batch_size,
        "runs": options.runs,
        "shift": options.shift,
        "scale": options.scale,
        "batches": len(batches),
        "mean_steps": seen["steps"] / len(batches),
        "events_after_augmentation": seen["events"],
    }
    finish(options, CPU, m.median, m.peak_bytes, what="epoch of batches", **details, **load)


def _epochs(batches: Batches, options: Namespace) -> tuple[Measurement, dict[str, int]]:
    """Epochs that are made and dropped; events and steps of the last one."""
    augmentation, seen = Augmentation(options.shift, options.scale), {}

    def epoch(lap: Lap) -> None:
        seen.update(events=0, steps=0)
        for batch in batches.training(0, augmentation):
            seen["events"] += batch.channels.numel()
            seen["steps"] += batch.shape[2]

    return measure(epoch, repeats=options.repeats, warmup=1, device=CPU, budget_seconds=inf), seen


def _store(options: Namespace) -> tuple[EventStore, dict[str, Any]]:
    """The event store, saved and loaded again, and how long binning, saving and loading took."""
    spikes = random_spikes(options.samples, options.spikes)
    marks = [time.perf_counter()]
    store = EventStore.from_spikes(spikes, options.time_step_ms)
    marks.append(time.perf_counter())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.safetensors"
        store.save(path)
        marks.append(time.perf_counter())
        loaded = EventStore.load(path)
        marks.append(time.perf_counter())
    binning, saving, loading = (b - a for a, b in zip(marks[:-1], marks[1:], strict=True))
    sizes = {"binning_seconds": binning, "saving_seconds": saving, "loading_seconds": loading}
    return loaded, sizes | {"store_bytes": loaded.nbytes}


if __name__ == "__main__":
    keep_memory()  # as every command of `spsn` that trains or measures
    run(main)
