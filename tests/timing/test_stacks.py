"""Seconds of a run's epoch: what is scaled, what is whole, and the data."""

import numpy as np
import pytest
import torch

from spsn.data.batches import Batches
from spsn.errors import SpsnError
from spsn.timing.shd_like import shd_like
from spsn.timing.stacks import feed_of, paper_epoch, stack_epoch, stack_runs, whole_epochs

DATA = {"samples": 10, "shorter": 40.0}  # T of about 20
HERE = {"data": DATA, "device": "cpu", "threads": 1, "batch_size": 4}


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_data_are_sound_and_have_shd_s_lengths():
    store = shd_like(300)
    assert store.length.max() <= 1370 and store.length.min() >= 250
    assert store.length.mean() == pytest.approx(750, abs=40) and store.length.std() > 100
    assert np.diff(store.offsets).mean() == pytest.approx(7700, rel=0.05)
    assert store.channel.max() < 700
    for sample in (0, 299):
        own = slice(store.offsets[sample], store.offsets[sample + 1])
        cells = store.time_bin[own].astype(int) * 700 + store.channel[own]
        assert (np.diff(cells) >= 0).all() and store.time_bin[own][-1] == store.length[sample] - 1
    again, other = shd_like.__wrapped__(300), shd_like.__wrapped__(300, seed=1)
    assert store.digest == again.digest != other.digest
    longest = [batch.shape[2] for batch in Batches(store, 64, (0,)).in_order()]
    assert 1000 < longest[0] < 1300  # a batch's T


@pytest.mark.parametrize("backend", ["torch", "fused"])
def test_a_stack_s_epoch_is_scaled_from_its_steps(backend):
    found = stack_epoch("spsn-sb", backend, 2, augmented=True, **HERE, warmup=1, seconds=0.0)
    assert found["how"] == "scaled: 2 steps for an epoch of 3" and found["finite"]
    assert found["seconds_per_run_epoch"] == pytest.approx(found["seconds_per_step"] * 3 / 2)
    assert 10 < found["mean_steps"] < 30
    assert found["peak_bytes"] is None or found["peak_bytes"] > found["grown_bytes"] >= 0
    longer = stack_epoch("lif", backend, 1, augmented=False, **HERE, warmup=2, seconds=600.0)
    assert longer["how"] == "scaled: 3 steps for an epoch of 3"


def test_whole_epochs_are_trained():
    found = whole_epochs("lif", "fused", 2, augmented=True, **HERE)
    assert len(found["all_seconds_per_run_epoch"]) == 2 and found["finite"]
    assert found["seconds_per_run_epoch"] == found["all_seconds_per_run_epoch"][-1] > 0


def test_the_paper_s_way_is_extrapolated_or_too_slow():
    found = paper_epoch("spsn-gs", augmented=True, **HERE, warmup=1, steps=2)
    assert found["how"] == "extrapolated: 2 steps for an epoch of 3" and found["status"] == "measured"
    whole = found["seconds_compute"] + found["seconds_data"]
    assert found["seconds_per_run_epoch"] == pytest.approx(whole)
    slow = paper_epoch("lif", augmented=True, **HERE, warmup=1, steps=2, seconds=0.0)
    assert slow["status"] == "too-slow" and slow["seconds_per_run_epoch"] is None


def test_runs_are_table_i_s_and_differ_in_the_seed_alone():
    store = shd_like(**DATA)
    basic, augmented = (stack_runs("spsn-sb", "fused", 3, store, flag, 1, 4) for flag in (False, True))
    assert [run.seed for run in basic] == [0, 1, 2] and basic[0].hidden_size == 128
    assert (basic[0].shift, basic[0].scale) == (0.0, 0.0)
    assert (augmented[0].shift, augmented[0].scale, augmented[0].condition) == (0.1, 0.3, "augmented")


def test_steps_go_on_into_the_next_epoch():
    store = shd_like(**DATA)
    (run,) = stack_runs("lif", "fused", 1, store, False, 1, 4)
    feed = feed_of(Batches(store, 4, (0,)), run)
    assert [(epoch, step) for epoch, step, _ in (next(feed) for _ in range(4))] == [
        (0, 0),
        (0, 1),
        (0, 2),
        (1, 0),
    ]


def test_a_device_without_fused_forms_is_refused():
    with pytest.raises(SpsnError, match="no fused forms for meta"):
        stack_epoch("lif", "fused", 1, augmented=False, **{**HERE, "device": "meta"})
