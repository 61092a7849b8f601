"""Runs that train side by side: their networks, their optimizer, one step, one epoch, their checkpoints.

The objective of a stack is the sum of its runs' objectives. The runs share no parameter, so each gets its own
gradient.
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor

from spsn.checkpoints import Checkpoint, History
from spsn.data.batches import Batch, Batches
from spsn.grid import RunSettings
from spsn.network import SpikeNoise, StackedNetwork
from spsn.noise import Purpose
from spsn.objective import objective
from spsn.optimizer import Adamax
from spsn.resident import resident_for
from spsn.settings import Augmentation

log = logging.getLogger(__name__)


@dataclass
class Stack:
    """Runs with equal settings but for the seed, and equally many epochs done.

    `broken` holds the numbers of runs whose loss or parameters were not finite; they go along without meaning
    anything.
    """

    runs: tuple[RunSettings, ...]
    network: StackedNetwork
    optimizer: Adamax | torch.optim.Adamax
    histories: list[History]
    device: torch.device
    broken: set[int] = field(default_factory=set)

    @classmethod
    def begin(cls, runs: Sequence[RunSettings], device: torch.device) -> "Stack":
        """Fresh networks, initialised run by run from their seeds."""
        settings = runs[0]
        network = StackedNetwork(settings, [run.seed for run in runs]).to(device)
        kind = Adamax if settings.backend == "fused" else torch.optim.Adamax
        optimizer = kind(network.parameters(), lr=settings.learning_rate, betas=(0.9, 0.999), eps=1e-8)
        return cls(tuple(runs), network, optimizer, [History() for _ in runs], device)

    @property
    def epoch(self) -> int:
        """The next epoch to train."""
        return self.histories[0].epochs

    @property
    def whole(self) -> list[int]:
        """The numbers of the runs that are not broken."""
        return [run for run in range(len(self.runs)) if run not in self.broken]

    def checkpoint(self, run: int) -> Checkpoint:
        """The state of one run between two epochs."""
        tensors = {f"parameters.{k}": v for k, v in self.network.run_state(run).items()}
        for name, parameter in self.network.named_parameters():
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{name}.{key}"] = value if value.dim() == 0 else value[run]
        return Checkpoint(tensors, self.histories[run])

    def restore(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Go on from the checkpoints of all runs, which have equally many epochs."""
        self.histories = [checkpoint.history for checkpoint in checkpoints]
        for run, checkpoint in enumerate(checkpoints):
            prefix = "parameters."
            state = {k.removeprefix(prefix): v for k, v in checkpoint.tensors.items() if k.startswith(prefix)}
            self.network.load_run_state(run, state)
        for name, parameter in self.network.named_parameters():
            state = {}
            for key in ("step", "exp_avg", "exp_inf"):
                parts = [checkpoint.tensors[f"optimizer.{name}.{key}"] for checkpoint in checkpoints]
                state[key] = parts[0] if parts[0].dim() == 0 else torch.stack(parts).to(self.device)
            self.optimizer.state[parameter] = state


def train_step(stack: Stack, batch: Batch, epoch: int, step: int) -> tuple[Tensor, Tensor]:
    """One step of every run of the stack; returns losses (S,) and hits (S,), detached."""
    settings = stack.runs[0]
    noise = SpikeNoise(stack.network.seeds, Purpose.TRAINING_SPIKES, epoch, step, stack.device)
    output = stack.network(batch, noise)
    losses = objective(
        output.logits, batch.labels, output.rates, settings.rate_threshold, output.potentials, batch.lengths
    )
    stack.optimizer.zero_grad(set_to_none=True)
    losses.sum().backward()
    stack.optimizer.step()
    hits = (output.logits.argmax(dim=2) == batch.labels).sum(dim=1)
    return losses.detach(), hits


def train_epoch(stack: Stack, batches: Batches) -> None:
    """One epoch of every run of the stack; a run without finite loss and parameters joins `stack.broken`.

    Spikes hide what is no number: a neuron whose potential is none does not fire.
    """
    started, epoch = time.perf_counter(), stack.epoch
    losses, hits = _train_steps(stack, batches)
    mean_losses, shares = (losses / len(batches)).tolist(), (hits / len(batches.store)).tolist()
    seconds = (time.perf_counter() - started) / len(stack.runs)
    finite = stack.network.finite_runs()
    for run, history in enumerate(stack.histories):
        if run not in stack.broken and not (math.isfinite(mean_losses[run]) and finite[run]):
            what = "the loss became %s" if finite[run] else "a parameter is no number any more, the loss %s"
            log.error(what + " in epoch %d: %s", mean_losses[run], epoch + 1, stack.runs[run])
            stack.broken.add(run)
        history.train_loss.append(mean_losses[run])
        history.train_accuracy.append(shares[run])
        history.epoch_seconds.append(seconds)


def _train_steps(stack: Stack, batches: Batches) -> tuple[Tensor, Tensor]:
    """Every step of the next epoch; returns sums of losses, float64 (S,), and of hits, int64 (S,)."""
    settings, epoch, done = stack.runs[0], stack.epoch, 0
    augmentation = Augmentation(settings.shift, settings.scale)
    if resident := resident_for(stack, batches):
        done = resident.train(stack, batches, augmentation)
        losses, hits = resident.feed.losses, resident.feed.hits
    else:
        losses = torch.zeros(len(stack.runs), dtype=torch.float64, device=stack.device)
        hits = torch.zeros(len(stack.runs), dtype=torch.int64, device=stack.device)
    if done < len(batches):
        for step, batch in islice(enumerate(batches.training(epoch, augmentation)), done, None):
            loss, hit = train_step(stack, batch.to(stack.device), epoch, step)
            losses += loss
            hits += hit
    return losses, hits
