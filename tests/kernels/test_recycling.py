"""Memory of large results: used again once nobody holds them, never before."""

import gc

import pytest
import torch

from spsn.kernels.cpu import recycling
from spsn.kernels.cpu.recycling import KEPT, LEAST, recycled

LARGE = LEAST // 4  # float32 numbers


@pytest.fixture(autouse=True)
def nothing_spare(monkeypatch):
    """Whatever other tests left behind is no part of these."""
    monkeypatch.setattr(recycling, "_spare", [])


def test_what_is_let_go_is_used_again():
    first = recycled(2, LARGE)
    place = first.data_ptr()
    assert place % 64 == 0 and first.dtype == torch.float32
    del first
    assert recycled(LARGE, 2).data_ptr() == place


@pytest.mark.parametrize("held_by", [lambda t: t[3:5], lambda t: t.numpy(), lambda t: t.numpy()[::7].T])
def test_what_a_view_holds_is_left_alone(held_by):
    first = recycled(8, LARGE)
    first.fill_(7)
    view = held_by(first)
    del first
    gc.collect()
    other = recycled(8, LARGE)
    other.fill_(1)
    assert (view == 7).all()


def test_what_a_graph_holds_is_left_alone():
    weight = torch.ones((), requires_grad=True)
    first = recycled(LARGE)
    first.fill_(7)
    product = weight * first
    del first
    recycled(LARGE).fill_(1)
    product.sum().backward()
    assert weight.grad == 7 * LARGE


def test_another_size_is_new_and_a_few_blocks_are_kept():
    many = [recycled(LARGE + 16 * n) for n in range(KEPT + 3)]
    places = {tensor.data_ptr() for tensor in many}
    assert len(places) == len(many)
    many.clear()
    assert len(recycling._spare) == KEPT
    assert recycled(LARGE + 16 * (KEPT + 5)).data_ptr() not in {b.ctypes.data for b in recycling._spare}


def test_small_results_are_mallocs_business():
    small = recycled(8)
    del small
    assert not recycling._spare
