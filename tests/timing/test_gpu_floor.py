"""Kernels of a step and their floor: the arithmetic, and the profiler on a CPU's operators."""

from pathlib import Path

import numpy as np
import pytest
import torch

import spsn
from spsn.data.batches import Batches
from spsn.stack import Stack
from spsn.timing.gpu_floor import StepSize, ceilings, kernel_rows, profiled, step_kernels, work
from spsn.timing.shd_like import shd_like
from spsn.timing.stacks import stack_runs

DATA = {"samples": 10, "shorter": 40.0}
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def sizes(model):
    store = shd_like(**DATA)
    stack = Stack.begin(stack_runs(model, "fused", 2, store, False, 1, 4), CPU)
    batch = Batches(store, 4, (0, 1)).gather([[0, 1, 2, 3], [4, 5, 6, 7]])
    return store, batch, StepSize.of(stack, batch)


def test_the_size_of_a_step():
    store, batch, size = sizes("spsn-sb")
    assert size.elements == 4 * 128 * (store.length[:4].max() + store.length[4:8].max())
    assert size.events == store.offsets[8] and (size.layers, size.width) == (3, 128)
    assert size.parameters == 2 * (700 * 128 + 128 + 2 * (128 * 128 + 128) + 128 * 20 + 20)
    assert (size.signal, size.slope) == (1 / 8, 2)
    assert sizes("non-spiking")[2].signal == 4


def test_bytes_and_operations_of_the_kernels():
    _, _, size = sizes("spsn-sb")
    found, e = work(size), size.elements
    assert found["_rows"] == (4 * e + 2 * size.events, 0)
    assert found["forward_kernel"][0] == pytest.approx(e * (4 + 2.125) + 2 * e * (0.125 + 2.125))
    assert found["forward_kernel"][1] == 2 * 2 * (2 * e * 128)  # two layers, two halves of the weights
    assert found["backward_kernel"][1] == 2 * 3 * (2 * e * 128)
    assert found["_update"] == (28 * size.parameters, 0)


def test_kernels_that_have_a_floor_are_there():
    sources = (Path(spsn.__file__).parent / "kernels/gpu").glob("*.py")
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    for name in work(sizes("lif")[2]):
        assert f"\ndef {name}(" in text, f"no kernel is called {name} any more"


def test_launches_become_rows_with_rates_and_fractions():
    launches = [("forward_kernel", 3e-3), ("other", 9e-3), ("forward_kernel", 5e-3), ("_rows", 1e-3)]
    works = {"forward_kernel": (8e6, 16e6), "_rows": (1e6, 0.0), "absent": (1.0, 1.0)}
    limits = {"bytes_per_second": 2e9, "operations_per_second": 1e10}
    rows = {row["kernel"]: row for row in kernel_rows(launches, works, limits, steps=2)}
    assert list(rows) == ["other", "forward_kernel", "_rows"]
    assert rows["other"] == {"kernel": "other", "seconds": 4.5e-3, "launches": 0.5}
    forward = rows["forward_kernel"]
    assert (forward["seconds"], forward["launches"]) == (pytest.approx(4e-3), 1)
    assert forward["bytes_per_second"] == pytest.approx(1e9)
    assert forward["operations_per_second"] == pytest.approx(2e9)
    assert forward["floor_seconds"] == pytest.approx(2e-3) and forward["fraction_of_floor"] == pytest.approx(
        0.5
    )
    assert "fraction_of_floor" not in kernel_rows(launches, works, {}, 2)[0]


def test_operators_stand_in_for_kernels_on_a_cpu():
    a = torch.ones(20, 20)
    names = [name for name, seconds in profiled(lambda: a @ a, CPU) if seconds >= 0]
    assert names.count("aten::mm") == 1
    shared = {"augmented": True, "data": DATA, "device": "cpu", "threads": 1, "batch_size": 4}
    limits = {"bytes_per_second": 1e9, "operations_per_second": 1e9}
    found = step_kernels("lif", "torch", 1, **shared, limits=limits, warmup=1, steps=2)
    seconds = [row["seconds"] for row in found["kernels"]]
    assert seconds == sorted(seconds, reverse=True) and found["seconds"] == pytest.approx(sum(seconds))
    assert np.isclose(
        next(r["launches"] for r in found["kernels"] if r["kernel"] == "aten::embedding_bag"), 1
    )
    fused = step_kernels("spsn-sb", "fused", 2, **shared, limits=limits, warmup=1, steps=1)
    assert fused["kernels"] and fused["steps_profiled"] == 1


def test_ceilings_are_measured():
    found = ceilings("cpu", copied=1 << 20, width=64)
    assert found["bytes_per_second"] > 1e7 and found["operations_per_second"] > 1e6
