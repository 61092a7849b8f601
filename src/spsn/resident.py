"""Epochs of training on a GPU in which the host says no more than "go on".

Order, draws, labels and rates of a whole epoch are on the device before it begins; every step finds its
share by the number of the step, which is there too (`spsn.kernels.gpu.feed`); and from the second epoch on a
step is one replay of a CUDA graph (`spsn.kernels.gpu.graphs`). The steps are those of
`spsn.stack.train_step`, bit for bit. The environment variable SPSN_CUDA_GRAPHS=0 leaves all this out.

Only a readout that is averaged over time is trained so; one over time asks the host for the runs' lengths.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import torch

from spsn.data.batches import Batch, Batches
from spsn.fused import fused_of
from spsn.methods import TRAITS
from spsn.noise import Purpose
from spsn.objective import objective
from spsn.settings import Augmentation

if TYPE_CHECKING:
    from spsn.kernels.gpu.feed import Place
    from spsn.kernels.gpu.graphs import Recorder
    from spsn.stack import Stack

SWITCH = "SPSN_CUDA_GRAPHS"
log = logging.getLogger(__name__)


def resident_for(stack: "Stack", batches: Batches) -> "Resident | None":
    """What trains a stack's epochs on these batches; None where `train_step` has to.

    It is kept with the network's kernels, and let go of with them.
    """
    settings, network = stack.runs[0], stack.network
    whole = settings.backend == "fused" and TRAITS[settings.model].fused == "network"
    if not whole or not network.averages or os.environ.get(SWITCH) == "0":
        return None
    if stack.device.type == "cpu" and network._fused is None:
        return None  # its kernels will be a CPU's
    fused = fused_of(network)
    if not fused.for_gpu or fused.stepwise:
        return None
    if fused.resident is None or not fused.resident.fits(stack, batches):
        fused.resident = None  # first give back, then take
        try:
            fused.resident = Resident(stack, batches)
        except Exception as error:
            _go_on_stepwise(stack, error, "epochs cannot be trained on the device alone")
    return fused.resident


class Resident:
    """The steps of one stack on one split."""

    def __init__(self, stack: "Stack", batches: Batches, recorder: "Recorder | None" = None) -> None:
        """recorder: what captures; left out, CUDA's on a GPU and none elsewhere."""
        from spsn.kernels.gpu.adamax import Update
        from spsn.kernels.gpu.feed import Feed
        from spsn.kernels.gpu.graphs import CudaRecorder, Graphs

        network, optimizer, fused = stack.network, stack.optimizer, fused_of(stack.network)
        if recorder is None and fused.device.type == "cuda":
            recorder = CudaRecorder(fused.device)
        self.feed = Feed(
            batches.store, batches.batch_size, network.seeds, int(Purpose.TRAINING_SPIKES),
            partial(fused.mean, network), fused.device,
        )  # fmt: skip
        self.graphs = Graphs(recorder)
        self._update = Update(optimizer.begun(), *optimizer.betas, optimizer.eps)
        self._addresses = _addresses(stack)
        self._ahead: tuple[int, list[Batch]] = -1, []  # an epoch that was drawn already, and its number

    def fits(self, stack: "Stack", batches: Batches) -> bool:
        """Whether it was made for these batches, and what it updates lies where it did."""
        same = batches.store is self.feed.store and batches.batch_size == self.feed.batch_size
        return same and _addresses(stack) == self._addresses

    def train(self, stack: "Stack", batches: Batches, augmentation: Augmentation) -> int:
        """Train the stack's next epoch; `feed` has the sums of losses and hits afterwards.

        Returns the number of steps made: fewer than there are where one failed, which a warning says. Raises
        what says that memory does not suffice.
        """
        number, done = stack.epoch, 0
        drawn, epoch = self._ahead
        if drawn != number:
            epoch = list(batches.training(number, augmentation))
        self.graphs.begin_epoch()
        try:
            self.feed.load(epoch, number, stack.optimizer.rates(len(epoch)))
            with _in_any_order():
                for batch in epoch:
                    place = self.feed.place(batch.shape[1])
                    self.graphs(batch.shape[1], partial(self._step, stack, place))
                    done += 1
        except Exception as error:
            _go_on_stepwise(stack, error, f"step {done} of epoch {number} failed on the device alone")
        stack.optimizer.count(done)
        if number + 1 < stack.runs[0].epochs:  # while the device is at work
            self._ahead = number + 1, list(batches.training(number + 1, augmentation))
        return done

    def _step(self, stack: "Stack", place: "Place") -> None:
        """One step of every run, on what `place` will hold. Whatever can fail comes before what changes."""
        self.feed.take(place)
        logits, rates, _ = fused_of(stack.network).on_gpu(stack.network, place.inputs)
        losses = objective(logits, place.labels, rates, stack.runs[0].rate_threshold)
        gradients = torch.autograd.grad(losses.sum(), stack.optimizer.parameters)
        hits = (logits.argmax(dim=2) == place.labels).sum(dim=1)
        self._update(gradients, self.feed.rates, self.feed.moment)
        self.feed.finish(losses.detach(), hits)


def _go_on_stepwise(stack: "Stack", error: Exception, what: str) -> None:
    """Leave the stack's steps to `train_step` from here on; raises what says that memory did not suffice."""
    from spsn.kernels.gpu.graphs import out_of_memory

    if (lack := out_of_memory(error)) is not None:
        raise lack
    fused_of(stack.network).stepwise = True
    log.warning(
        "%s (%s: %s); its steps go on from the host, with the same results", what, type(error).__name__, error
    )


def _addresses(stack: "Stack") -> list[int]:
    return [tensor.data_ptr() for tensors in stack.optimizer.begun() for tensor in tensors]


@contextmanager
def _in_any_order() -> Iterator[None]:
    """Let torch take its faster sums, which here have an order: the gradient of `gather` adds one number to a
    place. Its deterministic form brings the tensor's strides from the host, which waits for the device and
    may not happen in a capture.
    """
    mode, warn_only = (
        torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    )  # fmt: skip
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode, warn_only=warn_only)
