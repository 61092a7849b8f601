"""One training epoch from end to end, per model and implementation (Figure 3C of the paper).

`points` holds every measurement; `seconds` and `peak_bytes` are those of the last model and implementation,
named in `what`. Trains on an event store (`--events`), or on random spikes of SHD's size.
"""

from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import torch

from spsn.data.events import EventStore
from spsn.grid import RunSettings
from spsn.memory import peak_after, release, reset_peak
from spsn.processes import keep_memory
from spsn.timing.benchmark import chosen, finish_points, measuring, parser, run
from spsn.timing.epoch import epoch_rows
from spsn.timing.networks import TRAINERS
from spsn.timing.random_store import SAMPLES, SPIKES, random_store
from spsn.timing.steps import table_one
from spsn.timing.study import device_name


def main() -> None:
    p = parser(__doc__.partition("\n")[0], TRAINERS)
    p.add_argument("--events", type=Path, help="event store to train on; its time step is used")
    p.add_argument("--samples", type=int, default=SAMPLES, help="random samples")
    p.add_argument("--spikes", type=int, default=SPIKES, help="spikes of a random sample, on average")
    p.add_argument("--time-step-ms", type=float, default=1.0, help="of random spikes")
    p.add_argument("--batches", type=int, help="batches that stand for the epoch; without it, all of them")
    p.add_argument("--repeats", type=int, default=1, help="epochs, or their stand-ins")
    p.add_argument("--batch-size", type=int, default=64)
    p.add_argument("--hidden-layers", type=int, default=3)
    p.add_argument("--hidden-size", type=int, default=128)
    p.add_argument("--tau", type=float, default=0.02, help="both time constants, s")
    p.add_argument("--plain-data", action="store_true", help="no augmentation")
    p.add_argument("--seconds-per-point", type=float, default=3600.0, help="beyond this an epoch is too slow")
    options = p.parse_args()

    with measuring(options) as (device, load):
        store = _store(options)
        points = [_point(options, store, *name, device) for name in chosen(options, TRAINERS, device)]
        details = {
            "what": f"training epoch, {points[-1]['model']} {points[-1]['implementation']}",
            "dtype": "float32",
            "data": str(options.events or "random spikes"),
            "samples": len(store),
        }
        finish_points(options, device, points, load, **details)


def _store(options) -> EventStore:
    if options.events:
        return EventStore.load(options.events)
    return random_store(options.samples, options.spikes, 0, options.time_step_ms)


def _point(
    options, store: EventStore, model: str, implementation: str, device: torch.device
) -> dict[str, Any]:
    release()
    held = reset_peak(device)
    measure = {"count": options.batches, "budget_seconds": options.seconds_per_point}
    named = {"implementations": [implementation], "device_name": device_name(device)}
    settings = _run(options, store, model)
    rows = [epoch_rows([settings], store, device, **measure, **named)[0] for _ in range(options.repeats)]
    seconds = [row.seconds_per_epoch for row in rows if row.seconds_per_epoch is not None]
    return {
        **asdict(rows[0]),
        "seconds": median(seconds) if seconds else None,
        "all_seconds": seconds,
        "peak_bytes": peak_after(held, device),
    }


def _run(options, store: EventStore, model: str) -> RunSettings:
    """The network of Table I on this data."""
    return table_one(
        model,
        store,
        dataset=str(options.events or "random"),
        condition="basic" if options.plain_data else "augmented",
        shift=0.0 if options.plain_data else 0.1,
        scale=0.0 if options.plain_data else 0.3,
        hidden_layers=options.hidden_layers,
        hidden_size=options.hidden_size,
        tau_mem=options.tau,
        tau_syn=options.tau,
        batch_size=options.batch_size,
        threads=options.threads,
    )


if __name__ == "__main__":
    keep_memory()  # as every command of `spsn` that trains or measures
    run(main)
