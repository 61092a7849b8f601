"""An epoch's duration: scaling, the division into data and compute, what cannot be measured."""

import pytest
import torch
from support import Clock
from torch import nn

from spsn.data.batches import Batches
from spsn.settings import Augmentation
from spsn.timing.epoch import EpochTimes, measure_epoch
from spsn.timing.measure import MEASURED, OUT_OF_MEMORY, TOO_SLOW
from spsn.timing.networks import Trainer
from spsn.timing.random_store import random_store


class Recorder:
    """A trainer whose halves last `data` and `compute` seconds of its clock; keeps the batches it gets."""

    def __init__(self, data=1.0, compute=3.0, fails=None):
        self.clock, self.data, self.compute, self.fails = Clock(), data, compute, fails
        self.batches, self.numbers = [], []
        self.trainer = Trainer(nn.Identity(), self.prepare, self.step)

    def prepare(self, batch):
        self.clock.now += self.data
        self.batches.append(batch.samples[0].tolist())
        return batch

    def step(self, prepared, number):
        self.clock.now += self.compute
        self.numbers.append(number)
        if self.fails:
            raise self.fails


@pytest.fixture(scope="module")
def store():
    return random_store(samples=22, spikes=30, time_step_ms=20.0)


def measured(recorder, store, **changes):
    options = {"count": 2, "warmup": 3, "budget_seconds": 1e9, "clock": recorder.clock} | changes
    return measure_epoch(recorder.trainer, Batches(store, 4, (0,)), Augmentation(0.1, 0.3), **options)


def test_some_batches_stand_for_the_epoch(store):
    recorder = Recorder()
    times = measured(recorder, store)
    assert times.data == (1.0, 1.0) and times.compute == (3.0, 3.0) and times.status == MEASURED
    whole, compute, data = times.scaled(6)
    assert (whole, compute, data) == (24.0, 18.0, 6.0)
    assert len(recorder.batches) == 3 + 2


def test_a_whole_epoch_is_not_scaled(store):
    recorder = Recorder()
    times = measured(recorder, store, count=None)
    assert len(times.compute) == 6 and times.scaled(6) == (24.0, 18.0, 6.0)
    assert sorted(sum(recorder.batches[3:], [])) == list(range(22))


def test_more_batches_than_there_are_is_a_whole_epoch(store):
    assert len(measured(Recorder(), store, count=1000).data) == 6


def test_uneven_batches_are_averaged():
    times = EpochTimes(MEASURED, (0.5, 1.5, 1.0), (2.0, 4.0, 6.0), (10, 20, 30))
    assert times.scaled(12) == (60.0, 48.0, 12.0)


def test_steps_are_those_of_the_measured_batches(store):
    recorder = Recorder()
    times = measured(recorder, store)
    assert times.steps == tuple(int(store.length[samples].max()) for samples in recorder.batches[3:])
    assert recorder.numbers[3:] == [0, 1]


def test_the_warm_up_is_another_epoch(store):
    recorder = Recorder()
    measured(recorder, store)
    assert recorder.batches[:2] != recorder.batches[3:]


def test_every_trainer_meets_the_same_batches(store):
    first, second = Recorder(), Recorder(5.0, 0.1)
    measured(first, store)
    measured(second, store)
    assert first.batches == second.batches


def test_too_slow_is_told_from_the_warm_up_alone(store):
    recorder = Recorder()
    times = measured(recorder, store, count=5, budget_seconds=19.9)
    assert times.status == TOO_SLOW and times.scaled(6) == (None, None, None)
    assert len(recorder.batches) == 2
    assert measured(Recorder(), store, count=5, budget_seconds=20.0).status == MEASURED


def test_one_batch_beyond_the_budget_is_the_only_one(store):
    recorder = Recorder()
    assert measured(recorder, store, budget_seconds=3.9).status == TOO_SLOW
    assert len(recorder.batches) == 1


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 9 GiB")]
)
def test_exhausted_memory_is_a_result(store, error):
    assert measured(Recorder(fails=error), store).status == OUT_OF_MEMORY


def test_other_errors_are_not_swallowed(store):
    with pytest.raises(RuntimeError, match="broken"):
        measured(Recorder(fails=RuntimeError("broken")), store)


def test_a_real_allocation_that_fails_is_a_result(store):
    recorder = Recorder()
    trainer = Trainer(nn.Identity(), lambda batch: torch.empty(10**15, dtype=torch.uint8), recorder.step)
    options = {"count": 1, "warmup": 1, "budget_seconds": 9.0, "clock": recorder.clock}
    times = measure_epoch(trainer, Batches(store, 4, (0,)), Augmentation(), **options)
    assert times.status == OUT_OF_MEMORY and recorder.numbers == []
