"""Whether the plain and the fused backend train equally well: test accuracies over seeds, first-step losses.

Both train the same runs: the same initial weights, order and random bits. The first step's losses agree to
rounding, unless a spike flips on the last bit; afterwards trajectories part, and accuracies can agree in
distribution alone. `difference` is fused less plain, the mean over seeds of the difference of two runs with
the same seed; `standard_error` that of this mean.
"""

from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from spsn import threads
from spsn.data.batches import Batches
from spsn.data.events import EventStore
from spsn.evaluation import test
from spsn.settings import Augmentation
from spsn.stack import Stack, train_epoch, train_step
from spsn.timing.benchmark import begin, finish, parser, positive, run
from spsn.timing.steps import MODELS, table_one

BACKENDS = ("torch", "fused")


def main() -> None:
    p = parser(__doc__.partition("\n")[0])
    p.add_argument("--train", type=Path, required=True, help="event store to train on")
    p.add_argument("--test", type=Path, required=True, help="event store to test on")
    p.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    p.add_argument("--seeds", type=positive, default=10)
    p.add_argument("--first-seed", type=int, default=0)
    p.add_argument("--epochs", type=positive, default=20)
    p.add_argument("--batch-size", type=positive, default=16)
    p.add_argument("--learning-rate", type=float, default=3e-3)
    options = p.parse_args()
    load = begin()
    stores = EventStore.load(options.train), EventStore.load(options.test)
    points = [_point(options, model, *stores) for model in options.models]
    fields = ("first_seed", "seeds", "epochs", "batch_size", "learning_rate")
    protocol = {field: getattr(options, field) for field in fields}
    samples = {"train_samples": len(stores[0]), "test_samples": len(stores[1])}
    details = {"what": "agreement of the backends", **protocol, **samples, "points": points, **load}
    finish(options, torch.device("cpu"), None, None, **details)


def _point(options, model: str, train: EventStore, held: EventStore) -> dict[str, Any]:
    """Both backends over all seeds."""
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    found = {
        backend: [_trained(options, model, backend, seed, train, held) for seed in seeds]
        for backend in BACKENDS
    }
    losses, accuracies = (
        {backend: [run[k] for run in runs] for backend, runs in found.items()} for k in range(2)
    )
    apart = [abs(a - b) for a, b in zip(*losses.values(), strict=True)]
    differences = [b - a for a, b in zip(*accuracies.values(), strict=True)]
    return {
        "model": model,
        "accuracy": {backend: mean(values) for backend, values in accuracies.items()},
        "difference": mean(differences),
        "standard_error": stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else None,
        "largest_first_loss_difference": max(apart),
        "accuracies": accuracies,
        "first_losses": losses,
    }


def _trained(
    options, model: str, backend: str, seed: int, train: EventStore, held: EventStore
) -> tuple[float, float]:
    """The loss of the first step, and the test accuracy after the last epoch."""
    threads.use(backend, options.threads)
    settings = {"batch_size": options.batch_size, "learning_rate": options.learning_rate, "seed": seed}
    settings = table_one(model, train, backend=backend, threads=options.threads, **settings)
    batches = Batches(train, options.batch_size, (seed,))
    first, _ = train_step(
        Stack.begin([settings], torch.device("cpu")), next(batches.training(0, Augmentation(0.0, 0.0))), 0, 0
    )
    stack = Stack.begin([settings], torch.device("cpu"))
    for _ in range(options.epochs):
        train_epoch(stack, batches)
    hits = test(stack.network, held).predictions[0] == held.label
    return float(first[0]), float(hits.mean())


if __name__ == "__main__":
    run(main)
