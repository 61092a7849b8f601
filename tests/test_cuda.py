"""What a GPU does against the CPU: noise, layers, training, checkpoints, the test pass, the inner ear."""

import copy
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from support import paper_run

from spsn import evaluation, noise, training
from spsn.checkpoints import Checkpoint, CheckpointStore, weights_digest
from spsn.data.batches import Batch, Batches
from spsn.data.events import EventStore
from spsn.data.shd import CHANNELS, SpikeFile
from spsn.devices import make_deterministic
from spsn.memory import release
from spsn.methods import PAPER_MODELS
from spsn.network import SpikeNoise, StackedNetwork, event_sum
from spsn.noise import Purpose
from spsn.objective import objective
from spsn.records import read_record
from spsn.resident import SWITCH
from spsn.stack import Stack, train_epoch, train_step

pytestmark = pytest.mark.gpu
CPU = torch.device("cpu")
SEEDS = (3, 0, 8)
SMALL = paper_run(hidden_layers=2, hidden_size=24, classes=5, tau_syn=0.01, threshold=0.2, batch_size=4)
RUNS = tuple(replace(SMALL, seed=seed) for seed in SEEDS)
BACKENDS = ("torch", "fused")
# Three runs with batches of different lengths; the longest is not the first.
CHOSEN = np.array([[0, 1, 2], [5, 6, 7], [3, 0, 4]])


@pytest.fixture
def device() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch.device("cuda", 0)


@pytest.fixture
def deterministic(device):
    """Sums in one order, as in training; taken back afterwards."""
    mode, filled = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic
    before = filled.fill_uninitialized_memory
    make_deterministic(device)
    yield
    torch.use_deterministic_algorithms(mode)
    filled.fill_uninitialized_memory = before


@pytest.fixture(scope="module")
def store() -> EventStore:
    """Words of 20 to 100 ms with 30 spikes per ms, several of them in one cell at times."""
    rng, durations = np.random.default_rng(0), [20, 30, 25, 60, 50, 90, 100, 85]
    counts = [30 * duration for duration in durations]
    rows = list(zip(counts, durations, strict=True))
    spikes = SpikeFile.from_rows(
        times=[np.sort(rng.random(n) * duration / 1000).astype(np.float16) for n, duration in rows],
        units=[rng.integers(0, CHANNELS, n, dtype=np.uint16) for n in counts],
        labels=np.arange(len(counts)) % 5,
        speakers=np.zeros(len(counts), int),
        class_names=[str(k) for k in range(5)],
    )
    return EventStore.from_spikes(spikes, 1.0)


def batch_of(store: EventStore) -> Batch:
    batch = Batches(store, CHOSEN.shape[1], SEEDS).gather(CHOSEN)
    assert len(set(batch.lengths)) == 3
    return batch


def assert_near(ours: torch.Tensor, judge: torch.Tensor, share: float = 1e-4) -> None:
    """Equal but for float32: within `share` of the greatest value."""
    judge = judge.detach().cpu().double()
    scale = float(judge.abs().max())
    assert scale > 0
    torch.testing.assert_close(ours.detach().cpu().double(), judge, rtol=0, atol=share * scale)


@pytest.mark.parametrize("lengths", [(30, 13, 22), (30, 30, 30)])
def test_noise_has_the_same_bits(device, lengths):
    address = SEEDS, Purpose.TRAINING_SPIKES, 7, 5
    for layer in (0, 2):
        drawn = SpikeNoise(*address, device)(layer, (3, 4, 30, 9), lengths)
        assert drawn.device == device and drawn.dtype == torch.float32
        assert torch.equal(drawn.cpu(), SpikeNoise(*address)(layer, (3, 4, 30, 9), lengths))


def test_noise_of_a_large_address_has_the_same_bits(device):
    """Seeds and steps up to 2^32 - 1: words that only 64 bits hold."""
    address = {"epoch": 2**32 - 1, "step": 2**31, "layer": 5}
    shape = (2, 7, 130)
    drawn = noise.uniforms_torch(2**32 - 1, Purpose.TEST_SPIKES, shape, **address, device=device)
    assert np.array_equal(
        drawn.cpu().numpy(), noise.uniforms(2**32 - 1, Purpose.TEST_SPIKES, shape, **address)
    )


def test_the_first_layer_sums_the_same_spikes(device, store):
    """Values and gradients against float64 sums over dense counts."""
    batch = batch_of(store)
    weight = torch.randn(3, 24, CHANNELS, generator=torch.Generator().manual_seed(0))
    push = torch.randn(*batch.shape, 24, generator=torch.Generator().manual_seed(1))
    ours, judge = weight.clone().to(device).requires_grad_(), weight.double().requires_grad_()
    total = event_sum(batch.to(device), ours)
    (total * push.to(device)).sum().backward()
    dense = torch.einsum("sbtc,snc->sbtn", batch.dense().double(), judge)
    (dense * push).sum().backward()
    assert total.device == device
    assert_near(total, dense, 1e-5)
    assert_near(ours.grad, judge.grad, 1e-5)


def test_dense_counts_are_the_same(device, store):
    batch = batch_of(store)
    assert torch.equal(batch.to(device).dense().cpu(), batch.dense())


def output_and_gradients(settings, store, device):
    """Logits, rates and gradients of the stack's first step on a device.

    With biases nothing is exactly 0, so the greatest potential is one step's alone: its gradient would go to
    whichever of several equal steps rounding chooses.
    """
    network = StackedNetwork(settings, SEEDS)
    with torch.no_grad():
        for bias in network.biases:
            bias += 0.05 * torch.sin(1.0 + torch.arange(bias.shape[1]))
    network, batch = network.to(device), batch_of(store).to(device)
    output = network(batch, SpikeNoise(SEEDS, Purpose.TRAINING_SPIKES, 2, 5, device))
    objective(output.logits, batch.labels, output.rates, settings.rate_threshold).sum().backward()
    return output, [parameter.grad for parameter in network.parameters()]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mode", ["mean", "max", "last"])
@pytest.mark.parametrize("model", PAPER_MODELS)
def test_logits_rates_and_gradients_of_a_stack(device, store, model, mode, backend):
    """Float32 rounding parts them by 1e-6, unless it flips a spike: three of thousands may."""
    settings = replace(SMALL, model=model, loss_mode=mode, rate_threshold=None, backend=backend)
    ours, grads = output_and_gradients(settings, store, device)
    judge, judged = output_and_gradients(settings, store, CPU)
    slots = CHOSEN.shape[1] * torch.tensor(batch_of(store).lengths)[:, None]
    for rate, expected in zip(ours.rates, judge.rates, strict=True):
        counts, expected_counts = rate.detach().cpu() * slots, expected.detach() * slots
        assert float(expected_counts.sum()) > 200
        assert float((counts - expected_counts).abs().sum()) < (0.1 if model == "non-spiking" else 3.5)
    assert_near(ours.logits, judge.logits, 0.02)
    for grad, expected in zip(grads, judged, strict=True):
        assert relative_distance(grad, expected) < 0.05


def relative_distance(ours: torch.Tensor, judge: torch.Tensor) -> float:
    difference = ours.detach().cpu().double() - judge.detach().cpu().double()
    return float(difference.norm() / judge.detach().cpu().double().norm())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("theta", [None, 0.01])
@pytest.mark.parametrize("model", PAPER_MODELS)
def test_one_step_of_training(device, store, model, theta, backend):
    """Adamax's first step moves a parameter by the learning rate, whatever the gradient's size: where a
    gradient is next to nothing its sign is chance, so a share of the parameters may part.
    """
    runs = [replace(run, model=model, rate_threshold=theta, backend=backend) for run in RUNS]
    stacks = [Stack.begin(runs, where) for where in (device, CPU)]
    start = [parameter.detach().cpu().clone() for parameter in stacks[1].network.parameters()]
    steps = [train_step(stack, batch_of(store).to(stack.device), 2, 5) for stack in stacks]
    (losses, hits), (judged, judged_hits) = steps
    assert losses.device == device and losses.shape == (3,)
    assert_near(losses, judged, 0.01)
    assert (hits.cpu() - judged_hits).abs().max() <= 1
    ours, theirs = (list(stack.network.parameters()) for stack in stacks)
    for before, one, other in zip(start, ours, theirs, strict=True):
        moved = (other.detach() - before).abs()
        assert float(moved.max()) == pytest.approx(SMALL.learning_rate, rel=0.01)
        parted = (one.detach().cpu() - other.detach()).abs() > 0.1 * SMALL.learning_rate
        assert parted.float().mean() < 0.02


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("model", PAPER_MODELS)
def test_going_on_from_a_checkpoint_changes_no_bit(device, deterministic, store, tmp_path, model, backend):
    """Three runs of different lengths, a file between the halves."""
    runs = [replace(run, model=model, shift=0.1, scale=0.3, backend=backend) for run in RUNS]

    def train(stack: Stack, epochs: int) -> Stack:
        batches = Batches(store, SMALL.batch_size, SEEDS)
        for _ in range(epochs):
            train_epoch(stack, batches)
        return stack

    whole = train(Stack.begin(runs, device), 4)
    kept, first = CheckpointStore(tmp_path), train(Stack.begin(runs, device), 2)
    for i, run in enumerate(runs):
        kept.save(run, first.checkpoint(i))
    second = Stack.begin(runs, device)
    second.restore([kept.load(run, 2) for run in runs])
    assert second.epoch == 2
    assert all(parameter.device == device for parameter in second.network.parameters())
    train(second, 2)
    for i in range(len(runs)):
        assert weights_digest(second.network.run_state(i)) == weights_digest(whole.network.run_state(i))
        assert second.histories[i].train_loss == whole.histories[i].train_loss
        assert second.histories[i].train_accuracy == whole.histories[i].train_accuracy
    assert weights_digest(whole.network.run_state(0)) != weights_digest(first.network.run_state(0))


# --- steps as CUDA graphs --------------------------------------------------------------------------


@pytest.fixture
def epochs(device, deterministic, store, monkeypatch):
    """Trains three runs of different lengths for some epochs of two whole batches and a smaller one."""
    pytest.importorskip("triton")

    def train(count: int, graphs: bool = True, stack: Stack | None = None, **changes) -> Stack:
        monkeypatch.setenv(SWITCH, "1" if graphs else "0")
        runs = [replace(run, shift=0.1, scale=0.3, backend="fused", **changes) for run in RUNS]
        stack, batches = stack or Stack.begin(runs, device), Batches(store, 3, SEEDS)
        for _ in range(count):
            train_epoch(stack, batches)
        return stack

    return train


def assert_same_bits(ours: Stack, judge: Stack) -> None:
    for run in range(len(judge.runs)):
        own, other = ours.checkpoint(run), judge.checkpoint(run)
        assert own.tensors.keys() == other.tensors.keys()
        assert all(torch.equal(own.tensors[name], other.tensors[name]) for name in own.tensors)
        assert own.history.train_loss == other.history.train_loss
        assert own.history.train_accuracy == other.history.train_accuracy


@pytest.mark.parametrize("theta", [None, 0.01])
@pytest.mark.parametrize("model", PAPER_MODELS)
def test_graphs_change_no_bit(epochs, caplog, model, theta):
    """Four epochs by one graph for each size of a batch, against as many steps that the host leads."""
    ours = epochs(4, model=model, rate_threshold=theta)
    assert len(ours.network._fused.resident.graphs) == 2 and not caplog.records
    judge = epochs(4, graphs=False, model=model, rate_threshold=theta)
    assert judge.network._fused.resident is None
    assert_same_bits(ours, judge)
    assert len(set(ours.histories[0].train_loss)) == 4


def test_going_on_from_a_checkpoint_with_graphs_changes_no_bit(epochs, device):
    """Between replays; in the same stack, whose graphs are of no use then, and in another one."""
    judge, ours = epochs(6, graphs=False), epochs(3)
    kept = [copied(ours.checkpoint(run)) for run in range(len(SEEDS))]
    for stack in (Stack.begin(ours.runs, device), ours):
        stack.restore([copied(checkpoint) for checkpoint in kept])
        assert_same_bits(epochs(3, stack=stack), judge)


def copied(checkpoint: Checkpoint) -> Checkpoint:
    tensors = {name: tensor.clone() for name, tensor in checkpoint.tensors.items()}
    return Checkpoint(tensors, copy.deepcopy(checkpoint.history))


def test_graphs_that_were_let_go_of_give_their_memory_back(epochs, device):
    stack = epochs(3)
    graphs = weakref.ref(stack.network._fused.resident)
    held = torch.cuda.memory_reserved(device)
    stack.network.release()
    release()
    assert graphs() is None and torch.cuda.memory_reserved(device) < held
    assert_same_bits(epochs(2, stack=stack), epochs(5, graphs=False))


def test_a_step_that_cannot_be_captured_is_called_with_the_same_bits(epochs, device, caplog, monkeypatch):
    """A true failure: the host asks for a number in the middle of a capture. All else works after it."""
    from spsn.kernels.gpu.feed import Feed

    finish, asked = Feed.finish, []

    def asking(self, losses, hits) -> None:
        if torch.cuda.is_current_stream_capturing():
            asked.append(1)
            losses.tolist()
        finish(self, losses, hits)

    monkeypatch.setattr(Feed, "finish", asking)
    current = torch.cuda.current_stream(device)
    ours = epochs(4)
    assert len(asked) == 1 and torch.cuda.current_stream(device) == current
    assert len([r for r in caplog.records if "could not be captured as a CUDA graph" in r.message]) == 1
    assert not ours.network._fused.stepwise
    assert_same_bits(ours, epochs(4, graphs=False))


def test_a_stack_whose_capture_lacks_memory_is_halved(device, store, settings, tmp_path, monkeypatch):
    pytest.importorskip("triton")
    from spsn.kernels.gpu.graphs import CudaRecorder

    capture, asked = CudaRecorder.__call__, []

    def lacking(self, step):
        asked.append(1)
        if len(asked) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return capture(self, step)

    monkeypatch.setattr(CudaRecorder, "__call__", lacking)
    runs = [replace(run, backend="fused", epochs=3) for run in RUNS]
    kept, stack = CheckpointStore(tmp_path), Stack.begin(runs, device)
    assert training._train_or_halve(stack, settings, training.Data(store, store), kept) == []
    assert {read_record(kept.emit(run)).execution.stack_size for run in runs} == {1, 2}
    assert len(asked) == 3  # and one graph for each half, whose batches are all whole


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_stack_that_the_device_does_not_hold_is_halved(device, store, settings, tmp_path, backend):
    """Of sixteen runs, where memory suffices for eight."""
    runs = [replace(SMALL, seed=seed, hidden_size=128, batch_size=8, backend=backend) for seed in range(16)]

    def reserved(some) -> int:
        release()
        torch.cuda.reset_peak_memory_stats(device)
        train_epoch(Stack.begin(some, device), Batches(store, 8, tuple(run.seed for run in some)))
        return torch.cuda.max_memory_reserved(device)

    total = torch.cuda.get_device_properties(device).total_memory
    limit = (reserved(runs[:8]) + reserved(runs)) / 2
    release()
    torch.cuda.set_per_process_memory_fraction(limit / total, device)
    try:
        kept, stack = CheckpointStore(tmp_path), Stack.begin(runs, device)
        assert training._train_or_halve(stack, settings, training.Data(store, store), kept) == []
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    records = [read_record(kept.emit(run)) for run in runs]
    assert {record.execution.stack_size for record in records} <= {1, 2, 4, 8}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("model", PAPER_MODELS)
def test_a_pass_over_a_split(device, store, model, backend):
    """Eight samples and three runs make 24 answers, of which a flipped spike may turn one or two."""
    network = StackedNetwork(replace(SMALL, model=model, backend=backend), SEEDS)
    judge = evaluation.test(network, store)
    ours = evaluation.test(network.to(device), store, device=device)
    assert ours.predictions.shape == (3, len(store)) and isinstance(ours.predictions, np.ndarray)
    assert (ours.predictions != judge.predictions).sum() <= 2
    np.testing.assert_allclose(ours.spikes_per_ms, judge.spikes_per_ms, rtol=0.01)


def test_trials_of_one_sample(device, store):
    network = StackedNetwork(replace(SMALL, model="spsn-gs"), SEEDS[:1])
    judge = evaluation.repeat_sample(network, store, 6, 4)
    ours = evaluation.repeat_sample(network.to(device), store, 6, 4, device=device)
    assert len(np.unique(judge[:, 0])) == 4
    assert np.abs(ours - judge).max() < 0.05 * np.abs(judge).max()


def test_a_run_state_and_back(device):
    network = StackedNetwork(SMALL, SEEDS).to(device)
    state = network.run_state(1)
    assert all(tensor.device == CPU for tensor in state.values())
    other = StackedNetwork(SMALL, (99, 98)).to(device)
    other.load_run_state(0, state)
    assert weights_digest(other.run_state(0)) == weights_digest(state)


# --- the inner ear ---------------------------------------------------------------------------------


@pytest.fixture
def ear():
    """The inner ear's modules, which need scipy: compiled form, torch form."""
    pytest.importorskip("scipy")
    from spsn.data import inner_ear, inner_ear_torch

    return inner_ear, inner_ear_torch


@pytest.mark.parametrize("form", ["torch", "triton"])
@pytest.mark.parametrize("eagerness", [1, 40])
def test_the_inner_ear_fires_bit_for_bit_alike(device, ear, form, eagerness):
    """Recordings of different lengths, lanes that fill no last program; fibres up to a chance of 1."""
    if form == "triton":
        pytest.importorskip("triton")
    compiled, batched = ear
    rng, lengths = np.random.default_rng(4), (2500, 2499, 900)
    motion = (1500 * rng.normal(size=(2500, 3, 75)) * rng.random((3, 75)) ** 3).astype(np.float32)
    cell = replace(compiled.CODE, h=eagerness * compiled.CODE.h)
    how = {"seed": 3, "constants": cell, "first": 625}
    there = torch.from_numpy(motion).to(device)
    ours = batched.fire_batch(there, "abc", lengths=lengths, form=form, **how)
    for r, name in enumerate("abc"):
        steps, units = compiled.fire(np.ascontiguousarray(motion[: lengths[r], r].T), name=name, **how)
        order = np.argsort(steps, kind="stable")
        assert len(steps) > 100
        np.testing.assert_array_equal(ours[r][0], steps[order])
        np.testing.assert_array_equal(ours[r][1], units[order])


def test_the_inner_ear_hears_alike(device, ear):
    """The membrane's transforms round otherwise, which seldom moves a spike; the batch changes none."""
    compiled, batched = ear
    rng, rates, names = np.random.default_rng(6), (48_000, 8000, 8000), ("a", "b", "c")
    sounds = [rng.normal(size=n) for n in (4800, 1600, 1200)]
    ours = batched.hear_batch(sounds, rates, names, seed=1, device=device)
    for sound, rate, name, (times, units) in zip(sounds, rates, names, ours, strict=True):
        judge = compiled.hear(sound, rate, seed=1, name=name)
        theirs = set(zip(judge[0].tolist(), judge[1].tolist(), strict=True))
        same = theirs & set(zip(times.tolist(), units.tolist(), strict=True))
        assert len(theirs) > 150 and len(same) >= 0.99 * max(len(theirs), len(times))
    (alone,) = batched.hear_batch(sounds[2:], rates[2:], names[2:], seed=1, device=device)
    np.testing.assert_array_equal(alone[0], ours[2][0])
    np.testing.assert_array_equal(alone[1], ours[2][1])


def test_the_inner_ear_uses_its_kernel(device, ear, caplog):
    """Where Triton fails the plain form stands in, with a warning: not on a machine that has both."""
    pytest.importorskip("triton")
    ear[1].fire_batch(torch.zeros((30, 1, 40), device=device), ["a"], seed=0)
    assert not caplog.records
