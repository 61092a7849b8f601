"""Epochs that a GPU trains by itself: the bits of those that the host leads, captured and replayed or not."""

import gc
import logging
import weakref
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from fused import picture, store_of
from gpu_tape import Tape
from support import small_run

from spsn import optimizer, resident
from spsn.data.batches import Batches
from spsn.data.events import EventStore
from spsn.fused import Fused
from spsn.kernels.gpu import adamax
from spsn.kernels.gpu.graphs import Graphs, out_of_memory
from spsn.memory import is_out_of_memory
from spsn.resident import SWITCH, Resident, resident_for
from spsn.stack import Stack, train_epoch

pytestmark = pytest.mark.usefixtures("few_channels")
CHANNELS = 8
LENGTHS = (7, 5, 3, 6, 4)  # of five samples: two whole batches and a smaller one


@pytest.fixture(autouse=True)
def one_adamax(monkeypatch):
    """A CPU's kernel rounds otherwise."""
    monkeypatch.setattr(optimizer, "_kernel", lambda device: adamax.update)


@pytest.fixture
def store(few_channels) -> EventStore:
    return store_of([picture(steps, seed, per_step=6.0) for seed, steps in enumerate(LENGTHS)])


def begun(store: EventStore, device: torch.device, seeds=(3,), **changes) -> tuple[Stack, Batches]:
    """A stack on a GPU's kernels, and its batches of two; small, unless something else is asked for."""
    small = {"model": "lif", "threshold": 0.1, "classes": 5, "hidden_layers": 1, "hidden_size": 5}
    settings = small_run(**{"batch_size": 2, "epochs": 4, "backend": "fused"} | small | changes)
    stack = Stack.begin([replace(settings, seed=seed) for seed in seeds], device)
    stack.network._fused = Fused(stack.network, for_gpu=True)
    return stack, Batches(store, 2, stack.network.seeds)


def taped(stack: Stack, batches: Batches) -> Tape:
    """Let the stack's steps be captured on a tape, which is returned. On a GPU kernels do not go through one:
    there `test_cuda` has graphs themselves.
    """
    if stack.device.type == "cuda":
        pytest.skip("on a GPU steps are captured by CUDA")
    tape = Tape(tensor for tensors in stack.optimizer.begun() for tensor in tensors)
    stack.network._fused.resident = Resident(stack, batches, tape)
    return tape


def train(stack: Stack, batches: Batches, epochs: int) -> Stack:
    for _ in range(epochs):
        train_epoch(stack, batches)
    return stack


def state(stack: Stack) -> list[torch.Tensor]:
    """Parameters, what the optimizer keeps of them, and the losses and hits so far."""
    kept = [tensor for p in stack.optimizer.parameters for tensor in (p, *stack.optimizer.state[p].values())]
    histories = [(h.train_loss, h.train_accuracy) for h in stack.histories]
    return [*(tensor.detach().cpu() for tensor in kept), torch.tensor(histories)]


def assert_same_bits(ours: Stack, judge: Stack) -> None:
    assert all(torch.equal(a, b) for a, b in zip(state(ours), state(judge), strict=True))


@pytest.fixture
def led(monkeypatch, store, device) -> Callable[..., Stack]:
    """Makes a stack that the host leads step by step for some epochs."""

    def make(epochs: int, **changes) -> Stack:
        with monkeypatch.context() as patch:
            patch.setenv(SWITCH, "0")
            stack, batches = begun(store, device, **changes)
            train(stack, batches, epochs)
            assert stack.network._fused.resident is None
        return stack

    return make


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "spsn-sb", "seeds": (3, 8), "rate_threshold": 0.01},
        {"model": "spsn-gs", "hidden_layers": 3},
        {"model": "non-spiking", "hidden_layers": 2},
        {},
    ],
)
def test_replayed_steps_have_the_bits_of_led_ones(store, device, led, changes, caplog):
    """The first epoch is called, the others are replayed: two graphs, one of the smaller batch."""
    stack, batches = begun(store, device, **changes)
    tape = taped(stack, batches)
    train(stack, batches, 3)
    assert (tape.recorded, tape.played) == (2, 6)
    assert_same_bits(stack, led(3, **changes))
    assert len(set(stack.histories[0].train_loss)) == 3 and not caplog.records


def test_uncaptured_steps_have_the_bits_of_led_ones(store, device, led):
    stack, batches = begun(store, device)
    stack.network._fused.resident = Resident(stack, batches, Tape())
    stack.network._fused.resident.graphs = Graphs(None)
    assert_same_bits(train(stack, batches, 2), led(2))


def refusing(error: Exception) -> tuple[Tape, list[int]]:
    """A recorder that fails, and where it counts how often it was asked."""
    asked: list[int] = []

    class Refusing(Tape):
        def __call__(self, function):
            asked.append(1)
            raise error

    return Refusing(), asked


def test_where_a_capture_fails_steps_are_called_and_a_warning_says_why_once(store, device, led, caplog):
    stack, batches = begun(store, device)
    recorder, asked = refusing(RuntimeError("operation not permitted"))
    stack.network._fused.resident = Resident(stack, batches, recorder)
    with caplog.at_level(logging.WARNING):
        train(stack, batches, 3)
    assert len(asked) == 1 and len(stack.network._fused.resident.graphs) == 0
    assert [r.message for r in caplog.records if "could not be captured" in r.message] == [
        "a training step could not be captured as a CUDA graph (RuntimeError: operation not permitted); its "
        "kernels are launched one by one, with the same results"
    ]
    assert_same_bits(stack, led(3))


@pytest.mark.parametrize("hidden", [False, True])
def test_a_capture_without_memory_is_told_as_such(store, device, hidden):
    """To be answered by halving the stack (`spsn.training`). `hidden`: behind what the end of it raises."""
    stack, batches = begun(store, device)
    error = lack = torch.OutOfMemoryError("CUDA out of memory")
    if hidden:
        error = RuntimeError("capture was invalidated")
        error.__context__ = lack
    recorder, _ = refusing(error)
    stack.network._fused.resident = Resident(stack, batches, recorder)
    train(stack, batches, 1)
    with pytest.raises(torch.OutOfMemoryError) as raised:
        train_epoch(stack, batches)
    assert raised.value is lack and is_out_of_memory(lack) and stack.epoch == 1


@pytest.mark.parametrize("cause", ["__cause__", "__context__"])
def test_lack_of_memory_is_found_behind_the_error_that_ends_a_capture(cause):
    lack, end = torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("capture was invalidated")
    setattr(end, cause, lack)
    assert out_of_memory(end) is lack and out_of_memory(lack) is lack
    assert out_of_memory(RuntimeError("capture was invalidated")) is None
    end.__context__ = end
    assert out_of_memory(end) is (lack if cause == "__cause__" else None)


@pytest.mark.parametrize("failing", [0, 2])
def test_where_a_step_fails_the_host_leads_the_rest(store, device, led, caplog, monkeypatch, failing):
    stack, batches = begun(store, device)
    stepped, whole = [], Resident._step

    def step(self, *given) -> None:
        if len(stepped) == failing:
            raise RuntimeError("no such kernel")
        stepped.append(1)
        whole(self, *given)

    monkeypatch.setattr(Resident, "_step", step)
    train(stack, batches, 2)
    what = f"step {failing} of epoch 0 failed on the device alone (RuntimeError: no such kernel)"
    assert what in caplog.text
    assert len(caplog.records) == 1 and len(stepped) == failing
    assert_same_bits(stack, led(2))


def test_where_the_device_cannot_keep_an_epoch_the_host_leads(store, device, caplog, monkeypatch):
    stack, batches = begun(store, device)
    monkeypatch.setattr(resident, "_addresses", lambda stack: 1 / 0)
    assert resident_for(stack, batches) is None and resident_for(stack, batches) is None
    assert len(caplog.records) == 1 and "cannot be trained on the device alone" in caplog.text


def test_what_was_let_go_of_is_made_anew_and_changes_no_bit(store, device, led):
    """And a stack that goes on from checkpoints has other memory: its graphs are of no use."""
    stack, batches = begun(store, device)
    taped(stack, batches)
    train(stack, batches, 2)
    gone = weakref.ref(stack.network._fused.resident)
    assert len(gone().graphs) == 2
    stack.network.release()
    gc.collect()
    assert gone() is None
    stack.network._fused = Fused(stack.network, for_gpu=True)
    train(stack, batches, 1)
    kept = stack.network._fused.resident
    stack.restore([stack.checkpoint(0)])
    assert not kept.fits(stack, batches)
    train(stack, batches, 1)
    assert stack.network._fused.resident is not kept
    assert_same_bits(stack, led(4))


def test_who_is_led_by_the_host(store, device, monkeypatch):
    """A readout over time, another backend, a CPU's kernels, and whoever asks for it."""
    for changes in ({"loss_mode": "max"}, {"backend": "torch"}):
        assert resident_for(*begun(store, device, **changes)) is None
    on_cpu, batches = begun(store, torch.device("cpu"))
    on_cpu.network.release()
    assert resident_for(on_cpu, batches) is None and on_cpu.network._fused is None
    stack, batches = begun(store, device)
    made = resident_for(stack, batches)
    assert made is not None and resident_for(stack, batches) is made
    assert resident_for(stack, Batches(store, 3, stack.network.seeds)) is not made
    monkeypatch.setenv(SWITCH, "0")
    assert resident_for(stack, batches) is None


def test_a_tape_refuses_what_a_graph_cannot_hold():
    numbers = torch.ones(3)
    for function in (lambda: torch.tensor(1.0), lambda: numbers.tolist(), lambda: bool(numbers[0])):
        with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
            Tape()(function)


def test_a_tape_computes_nothing_until_it_is_played():
    numbers, factor = torch.ones(3), [2.0]

    def double() -> None:
        numbers.add_((numbers * factor[0]).view(3) - numbers)

    played = Tape()(double)
    assert numbers.tolist() == [1.0] * 3
    factor[0] = 7.0  # a replay knows nothing of the host
    numbers[0] = 5.0
    played()
    played()
    assert np.array_equal(numbers, [20.0, 4.0, 4.0])
