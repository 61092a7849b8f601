"""Training: a run is a function of its settings and seed, whatever else happens around it (invariants 1 and
2).
"""

import logging
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from spsn import estimate, sources, training
from spsn.checkpoints import Checkpoint, CheckpointStore, History, load_weights, weights_digest
from spsn.data.batches import Batches, draw_augmentation
from spsn.errors import BusyError, DataError, TrainingError
from spsn.estimate import estimate_epoch
from spsn.evaluation import test as evaluate
from spsn.grid import find_block, run_settings
from spsn.network import StackedNetwork
from spsn.records import read_record
from spsn.settings import Augmentation
from spsn.stack import Stack, train_epoch
from spsn.training import Data, _groups, _resume, train_block

CPU = torch.device("cpu")
BLOCKS = ("accuracy/spsn-sb/augmented", "accuracy/lif/basic", "regularization/spsn-gs/regularized-0.10")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def train(settings, stores, results, name="accuracy/spsn-sb/augmented", seeds=(0, 1)):
    """Train a block and read its records."""
    block = replace(find_block(settings, name, (0,)), seeds=tuple(seeds))  # also more than the grid has
    paths = train_block(settings, block, Data(*stores), results)
    return [read_record(path) for path in paths]


def identity(records):
    """What must not change: settings and result."""
    return [(record.settings, record.result) for record in records]


@pytest.mark.parametrize("name", BLOCKS)
def test_the_same_settings_give_the_same_bits_alone_or_in_any_block(settings, stores, tmp_path, name):
    together = train(settings, stores, tmp_path / "a", name, (0, 1))
    alone = train(settings, stores, tmp_path / "b", name, (1,))
    other = train(settings, stores, tmp_path / "c", name, (1, 5))
    assert identity(together)[1] == identity(alone)[0] == identity(other)[0]
    assert together[0].result.weights_digest != together[1].result.weights_digest


def stacked(runs, store, epochs):
    """Histories and final parameters of runs trained as one stack."""
    stack = Stack.begin(runs, CPU)
    batches = Batches(store, runs[0].batch_size, stack.network.seeds)
    for _ in range(epochs):
        train_epoch(stack, batches)
    return stack


@pytest.mark.parametrize("model", ["lif", "spsn-sb", "spsn-gs", "non-spiking"])
def test_a_stack_of_runs_trains_each_as_if_it_were_alone(run, stores, model):
    """The first epoch agrees to rounding; later a spike may flip on a last bit and part the trajectories."""
    torch.set_num_threads(1)
    runs = [replace(run, model=model, seed=seed) for seed in (3, 0, 7)]
    stack = stacked(runs, stores[0], 1)
    for i, one in enumerate(runs):
        alone = stacked([one], stores[0], 1)
        assert stack.histories[i].train_loss == pytest.approx(alone.histories[0].train_loss, rel=1e-4)
        for name, value in stack.network.run_state(i).items():
            assert torch.allclose(value, alone.network.run_state(0)[name], atol=2e-4), name


@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("model", ["lif", "spsn-sb", "non-spiking"])
def test_going_on_from_a_checkpoint_changes_no_bit(run, stores, tmp_path, model, runs):
    torch.set_num_threads(1)
    settings = [replace(run, model=model, seed=seed) for seed in range(runs)]
    whole = stacked(settings, stores[0], 4)
    store = CheckpointStore(tmp_path)
    first = stacked(settings, stores[0], 2)
    for i, one in enumerate(settings):
        store.save(one, first.checkpoint(i))
    second = Stack.begin(settings, CPU)
    second.restore([store.load(one, 2) for one in settings])
    batches = Batches(stores[0], run.batch_size, second.network.seeds)
    for _ in range(2):
        train_epoch(second, batches)
    for i in range(runs):
        assert weights_digest(second.network.run_state(i)) == weights_digest(whole.network.run_state(i))
        assert second.histories[i].train_loss == whole.histories[i].train_loss


def test_a_checkpoint_serves_only_its_own_settings_and_sources(run, stores, tmp_path, monkeypatch):
    store = CheckpointStore(tmp_path)
    store.save(run, Checkpoint({"parameters.0.bias": torch.zeros(2)}, History([1.0], [0.5], [0.1])))
    assert store.epochs(run) == {1} and store.load(run, 1).history.epochs == 1
    assert store.load(replace(run, learning_rate=0.5), 1) is None
    monkeypatch.setattr(sources, "digest", lambda names: "other code")
    assert store.load(run, 1) is None


@pytest.mark.parametrize("damage", [b"", b"not safetensors", None])
def test_a_damaged_checkpoint_is_none(run, tmp_path, damage):
    store = CheckpointStore(tmp_path)
    store.save(run, Checkpoint({"a": torch.zeros(100)}, History([1.0], [0.5], [0.1])))
    path = tmp_path / "checkpoints/accuracy/spsn-sb/basic/seed0.epoch1.safetensors"
    path.write_bytes(path.read_bytes()[:-50] if damage is None else damage)
    assert store.load(run, 1) is None


def test_a_finished_run_is_emitted_again_not_retrained(settings, stores, tmp_path, monkeypatch):
    first = train(settings, stores, tmp_path)
    record = tmp_path / "runs/accuracy/spsn-sb/augmented/seed0.json"
    record.unlink()
    record.with_suffix(".safetensors").unlink()
    monkeypatch.setattr(training, "_train_stack", None)  # to train would be to call None
    assert train(settings, stores, tmp_path) == first
    weights = load_weights(record.with_suffix(".safetensors"))
    assert weights_digest(weights) == first[0].result.weights_digest


def test_other_settings_or_a_damaged_result_train_again(settings, stores, tmp_path):
    first = train(settings, stores, tmp_path, seeds=(0,))
    weights = tmp_path / "checkpoints/accuracy/spsn-sb/augmented/seed0.done.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    again = train(settings, stores, tmp_path, seeds=(0,))
    assert identity(again) == identity(first) and again[0].execution != first[0].execution
    faster = replace(settings, augmentation=replace(settings.augmentation, shift=0.2))
    assert train(faster, stores, tmp_path, seeds=(0,))[0].result.train_loss != first[0].result.train_loss


def test_the_record_says_what_came_out(settings, stores, tmp_path):
    (record,) = train(settings, stores, tmp_path, "accuracy/lif/basic", (1,))
    result, (train_store, test_store) = record.result, stores
    assert record.settings.train_digest == train_store.digest and record.settings.classes == 4
    assert len(result.train_loss) == len(result.train_accuracy) == record.settings.epochs == 4
    assert result.test_hits == int((np.array(result.predictions) == test_store.label).sum())
    assert (
        result.test_total == len(test_store) and result.test_accuracy == result.test_hits / result.test_total
    )
    assert sum(s["hits"] for s in result.speakers.values()) == result.test_hits
    network = StackedNetwork(record.settings, [1])
    network.load_run_state(0, load_weights(tmp_path / "runs/accuracy/lif/basic/seed1.safetensors"))
    passed = evaluate(network, test_store)
    assert passed.predictions[0].tolist() == list(result.predictions)
    assert passed.spikes_per_ms[0].tolist() == list(result.spikes_per_ms)


@pytest.mark.parametrize("model", ["lif", "spsn-sb", "spsn-gs", "non-spiking"])
def test_every_model_learns_what_can_be_learnt(run, stores, model):
    easy = replace(run, model=model, learning_rate=0.02, shift=0.0, scale=0.0, threshold=0.2)
    stack = stacked([easy], stores[0], 15)
    assert stack.histories[0].train_accuracy[-1] > 0.8  # chance 0.25
    assert (evaluate(stack.network, stores[1]).predictions[0] == stores[1].label).mean() > 0.7


def test_the_regulariser_lowers_the_rate(run, stores):
    free = replace(run, learning_rate=0.02)
    held = replace(free, rate_threshold=0.05)
    rates = [
        evaluate(stacked([s], stores[0], 10).network, stores[1]).spikes_per_ms.sum() for s in (free, held)
    ]
    assert rates[1] < 0.7 * rates[0]


def test_a_run_whose_loss_is_not_finite_fails_and_the_others_finish(settings, stores, tmp_path, monkeypatch):
    """Seed 1 begins with a NaN; on a GPU it would be in one stack with the others."""
    begin = Stack.begin

    def broken(runs, device):
        stack = begin(runs, device)
        for i, run in enumerate(runs):
            if run.seed == 1:
                with torch.no_grad():
                    stack.network.biases[-1][i] = float("nan")
        return stack

    monkeypatch.setattr(Stack, "begin", broken)
    with pytest.raises(TrainingError, match=r"learning_rate.*seed=1,"):
        train(settings, stores, tmp_path, seeds=(0, 1, 2))
    kept = sorted(path.name for path in tmp_path.glob("checkpoints/**/*.done.json"))
    assert kept == ["seed0.done.json", "seed2.done.json"]


def test_in_a_stack_a_broken_run_leaves_the_others_alone(run, stores):
    torch.set_num_threads(1)
    stack, alone = (Stack.begin([replace(run, seed=s) for s in seeds], CPU) for seeds in ((0, 1), (0,)))
    with torch.no_grad():
        stack.network.biases[-1][1] = float("nan")
    for one in (stack, alone):
        train_epoch(one, Batches(stores[0], 8, one.network.seeds))
    assert stack.broken == {1} and stack.whole == [0]
    assert stack.histories[0].train_loss == pytest.approx(alone.histories[0].train_loss, rel=1e-4)


def test_a_second_trainer_is_told_who_holds_the_run(settings, stores, tmp_path):
    block = find_block(settings, BLOCKS[0], (0, 1))
    digests = {"train_digest": stores[0].digest, "test_digest": stores[1].digest}
    runs = [run_settings(settings, block, seed, classes=4, **digests) for seed in block.seeds]
    with CheckpointStore(tmp_path).lock(runs[1:]):
        with pytest.raises(BusyError, match=str(os.getpid())):
            train(settings, stores, tmp_path)
        assert (
            len(train(settings, stores, tmp_path, seeds=(0,))) == 1
        )  # another run of the same condition is free


def test_training_goes_on_from_the_last_checkpoint(settings, stores, tmp_path, monkeypatch):
    """Killed after two of four epochs, it trains two more."""
    epochs = []

    def killed(stack, batches):
        if stack.epoch == 2:
            raise KeyboardInterrupt
        train_epoch(stack, batches)

    def counted(stack, batches):
        epochs.append(stack.epoch)
        train_epoch(stack, batches)

    monkeypatch.setattr(training, "train_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        train(settings, stores, tmp_path / "a", seeds=(0,))
    monkeypatch.setattr(training, "train_epoch", counted)
    again = train(settings, stores, tmp_path / "a", seeds=(0,))
    assert epochs == [2, 3]
    assert identity(again) == identity(train(settings, stores, tmp_path / "b", seeds=(0,)))


def test_a_stack_goes_on_from_an_epoch_that_all_its_runs_have(run, stores, tmp_path):
    """As after a kill between the saving of the first run and that of the second."""
    runs = [replace(run, seed=seed, epochs=9) for seed in (0, 1)]
    store, stack = CheckpointStore(tmp_path), Stack.begin(runs, CPU)
    for saved in ((0, 1), (0,)):
        train_epoch(stack, Batches(stores[0], 8, stack.network.seeds))
        for i in saved:
            store.save(runs[i], stack.checkpoint(i))
    assert [store.epochs(one) for one in runs] == [{1, 2}, {1}]
    assert _resume(runs, store, CPU).epoch == 1
    alone = [_resume(group, store, CPU) for group in _groups(runs, CPU)]  # each run is a stack of its own
    assert [stack.epoch for stack in alone] == [2, 1]


def test_an_estimate_over_six_hours_on_a_cpu_stops_with_the_way_to_go_on(
    settings, stores, tmp_path, monkeypatch
):
    monkeypatch.setattr(estimate, "estimate_epoch", lambda *_: 10_000.0)
    with pytest.raises(TrainingError, match="22 h 13 min.*allow_long"):
        train(settings, stores, tmp_path)
    allowed = replace(settings, execution=replace(settings.execution, allow_long=True))
    assert len(train(allowed, stores, tmp_path)) == 2


def test_runs_device_and_estimate_are_told_before_training(settings, stores, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        train(settings, stores, tmp_path)
    assert "2 runs to train, 0 finished before" in caplog.text
    assert "2 runs on cpu by the fused backend with 1 threads, estimated" in caplog.text


def test_splits_that_do_not_belong_together_are_refused(stores):
    train_store, test_store = stores
    for change in ({"classes": ("a", "b", "c", "d")}, {"time_step_ms": 1.0}):
        with pytest.raises(DataError, match=next(iter(change))):
            Data(train_store, replace(test_store, **change))


def test_the_estimate_leaves_no_trace(run, stores):
    stack = Stack.begin([run], CPU)
    before = weights_digest(stack.network.run_state(0))
    assert estimate_epoch(stack, stores[0]) > 0
    assert weights_digest(stack.network.run_state(0)) == before and stack.epoch == 0


def test_augmentation_reaches_the_training(run, stores):
    plain = stacked([replace(run, shift=0.0, scale=0.0)], stores[0], 1).histories[0].train_loss
    assert stacked([run], stores[0], 1).histories[0].train_loss != plain
    assert draw_augmentation(Augmentation(run.shift, run.scale), 0, 0, 5)[0].any()


def test_on_a_cpu_the_runs_of_a_block_follow_one_another(run):
    """So a block of ten holds no more memory than a block of one."""
    runs = [replace(run, seed=seed) for seed in range(10)]
    assert _groups(runs, CPU) == [[run] for run in runs]
    assert _groups(runs, torch.device("cuda", 0)) == [runs]


@pytest.fixture
def one_stack(monkeypatch):
    """All runs of a block in one stack, as on a GPU."""
    monkeypatch.setattr(training, "_groups", lambda runs, device: [list(runs)])


def test_a_stack_that_memory_does_not_hold_is_halved_and_goes_on(
    settings, stores, tmp_path, monkeypatch, one_stack, caplog
):
    """Of five runs so many fail after two epochs, and three of them again: 2, 1 and 2 remain."""
    trained = []

    def limited(stack, batches):
        if stack.epoch == 2 and len(stack.runs) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        trained.append((len(stack.runs), stack.epoch))
        train_epoch(stack, batches)

    expected = train(settings, stores, tmp_path / "a", seeds=range(5))
    monkeypatch.setattr(training, "train_epoch", limited)
    halved = train(settings, stores, tmp_path / "b", seeds=range(5))
    assert trained == [(5, 0), (5, 1), (2, 2), (2, 3), (1, 2), (1, 3), (2, 2), (2, 3)]
    assert [record.execution.stack_size for record in halved] == [2, 2, 1, 2, 2]
    for ours, whole in zip(halved, expected, strict=True):
        assert ours.settings == whole.settings
        losses, judged = ours.result.train_loss, whole.result.train_loss
        assert losses[:2] == judged[:2] and losses == pytest.approx(judged, rel=1e-3)  # else up to rounding
    assert "5 seeds: cpu has too little memory for a stack of so many; halving it" in caplog.text


def test_a_run_that_memory_does_not_hold_alone_is_refused_with_what_to_do(
    settings, stores, tmp_path, monkeypatch, one_stack
):
    def never(stack, batches):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(training, "train_epoch", never)
    with pytest.raises(TrainingError, match=r"even for a single run; make training\.batch_size smaller"):
        train(settings, stores, tmp_path, seeds=range(2))


def test_without_memory_for_an_estimate_training_begins_without_one(
    settings, stores, tmp_path, monkeypatch, one_stack, caplog
):
    def greedy(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(estimate, "estimate_epoch", greedy)
    with caplog.at_level(logging.INFO):
        assert len(train(settings, stores, tmp_path, seeds=range(2))) == 2
    assert "estimated no time yet" in caplog.text
    with pytest.raises(TrainingError, match="single run"):
        train(settings, stores, tmp_path, seeds=(2,))
