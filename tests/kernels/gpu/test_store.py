"""The events on a device, in both orders, against the store that they come from."""

import numpy as np
import pytest
import torch
from fused import SILENT, batch_of, picture, store_of

from spsn.data.events import EventStore
from spsn.data.shd import CHANNELS
from spsn.kernels.gpu.store import DeviceStore, Draws


def late_events() -> np.ndarray:
    """A recording as long as time bins go, with events past what int16 counts to."""
    counts = np.zeros((2**16, CHANNELS), int)
    counts[[0, 32767, 32768, 65535], [699, 5, 5, 0]] = 1, 2, 1, 3
    return counts


@pytest.fixture(scope="module")
def store() -> EventStore:
    return store_of([picture(40, 1), SILENT, late_events(), picture(1, 2), SILENT])


@pytest.fixture(scope="module")
def sent(store, device) -> dict[str, np.ndarray]:
    on_device = DeviceStore.of(store, device)
    return {name: tensor.cpu().numpy() for name, tensor in vars(on_device).items()}


def test_a_rows_events_are_those_of_its_time_bin(store, sent):
    for sample in range(len(store)):
        own = slice(store.offsets[sample], store.offsets[sample + 1])
        begins = sent["row_begins"][sent["row_offsets"][sample] :][: sent["lengths"][sample] + 1]
        assert begins[0] == 0 and begins[-1] == own.stop - own.start
        np.testing.assert_array_equal(
            np.repeat(np.arange(len(begins) - 1), np.diff(begins)), store.time_bin[own]
        )
        np.testing.assert_array_equal(sent["channels"][own], store.channel[own])
    assert sent["row_begins"].size == (store.length + 1).sum()


def test_a_columns_events_are_those_of_its_channel_in_time_order(store, sent):
    for sample in range(len(store)):
        own = slice(store.offsets[sample], store.offsets[sample + 1])
        order = np.argsort(store.channel[own], kind="stable")
        begins = sent["column_begins"][sample]
        assert begins[0] == 0 and begins[-1] == own.stop - own.start
        np.testing.assert_array_equal(
            np.repeat(np.arange(CHANNELS), np.diff(begins)), store.channel[own][order]
        )
        np.testing.assert_array_equal(sent["bins"].view(np.uint16)[own], store.time_bin[own][order])


def test_its_bytes_are_those_of_two_orders(store, device):
    events, samples, steps = len(store.time_bin), len(store), int(store.length.sum())
    beginnings = 4 * (steps + samples) + 4 * 701 * samples
    assert DeviceStore.of(store, device).bytes == 4 * events + beginnings + 12 * samples + 8 * (samples + 1)


def test_a_store_that_must_not_be_written_to_is_taken_as_well(store, device):
    arrays = {name: getattr(store, name).copy() for name in ("time_bin", "channel", "offsets", "length")}
    for array in arrays.values():
        array.flags.writeable = False
    locked = EventStore(**{**vars(store), **arrays})
    assert torch.equal(DeviceStore.of(locked, device).bins, DeviceStore.of(store, device).bins)


def test_the_draws_of_a_batch(device):
    batch = batch_of((20, 9), 3, augmented=True)
    draws = Draws.of(batch, device)
    assert draws.samples.dtype == draws.lengths.dtype == torch.int32
    assert draws.samples.tolist() == batch.samples.tolist()
    assert draws.shifts.tolist() == batch.shifts.tolist() and draws.zooms.tolist() == batch.zooms.tolist()
    assert draws.lengths.tolist() == [20, 9] and draws.steps == 20
