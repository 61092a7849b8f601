"""The engine's life: any number of threads, any stack, any order of batches, and what it refuses."""

import numpy as np
import pytest
import torch
from fused import batch_of, fused_network, gradients, noise_of, picture, store_of
from support import small_run

from spsn import threads
from spsn.data.batches import Batches
from spsn.kernels.cpu.buffers import Shape
from spsn.kernels.cpu.engine import Engine, NoiseAddress
from spsn.network import StackedNetwork

SEEDS = (4, 0, 9)
MODELS = ["lif", "spsn-sb", "spsn-gs", "non-spiking"]


@pytest.fixture(autouse=True)
def one_thread():
    """Each test begins and ends with one thread."""
    before = threads.kernel_threads()
    threads.set_kernel_threads(1)
    yield
    threads.set_kernel_threads(before)


def settings_of(model: str, mode: str = "mean", **changes):
    return small_run(
        model=model, loss_mode=mode, classes=5, hidden_size=20, threshold=0.1, rate_threshold=0.01, **changes
    )


def everything(network: StackedNetwork, batch, step: int = 0) -> list[torch.Tensor]:
    """Logits, rates and gradients of a pass; the first dimension of each counts the runs."""
    output, grads = gradients(network, batch, noise_of(network.seeds, step))
    return [output.logits.detach(), *(rate.detach() for rate in output.rates), *grads]


def same(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("mode", ["mean", "max"])
@pytest.mark.parametrize("model", MODELS)
def test_the_number_of_threads_changes_no_bit(model, mode):
    """19 samples are three groups a run, which fit no number of threads evenly."""
    network, batch = fused_network(settings_of(model, mode), SEEDS), batch_of((67, 5, 130), 19, True)
    alone = everything(network, batch)
    assert all(t.isfinite().all() and t.any() for t in alone)
    for count in (2, 3, 5):
        threads.set_kernel_threads(count)
        for step in (1, 0):  # another pass between, so that nothing is left of the one before
            found = everything(network, batch, step)
        assert same(found, alone)


@pytest.mark.parametrize("mode", ["mean", "last"])
@pytest.mark.parametrize("model", MODELS)
def test_a_run_in_a_stack_of_longer_ones_is_the_run_alone_to_the_bit(model, mode):
    settings = settings_of(model, mode)
    pictures = [picture(steps, seed) for seed, steps in enumerate((20, 9, 130, 64, 66, 3))]
    chosen, store = np.arange(6).reshape(3, 2), store_of(pictures)
    together = everything(fused_network(settings, SEEDS), Batches(store, 2, SEEDS).gather(chosen))
    for run, seed in enumerate(SEEDS):
        batch = Batches(store, 2, (seed,)).gather(chosen[run : run + 1])
        alone = everything(fused_network(settings, (seed,)), batch)
        assert same([t[run : run + 1] for t in together], alone)


def test_a_sample_does_not_know_its_batch():
    """But for the noise, which goes by a sample's place: LIF's logits are each sample's own."""
    network = fused_network(settings_of("lif", "max"), (4,))
    store = store_of([picture(50, seed) for seed in range(9)])
    batches = Batches(store, 9, (4,))
    together = network(batches.gather(np.arange(9)[None])).logits
    for sample in (0, 4, 8):
        alone = network(batches.gather(np.array([[sample]]))).logits
        assert torch.equal(together[:, sample : sample + 1], alone)


@pytest.mark.parametrize("mode", ["mean", "max"])
@pytest.mark.parametrize("model", MODELS)
def test_an_engine_in_use_gives_what_a_fresh_one_gives(model, mode):
    settings = settings_of(model, mode)
    used = fused_network(settings, SEEDS)
    for lengths, samples in [((9, 2, 5), 2), ((130, 70, 1), 9), ((64, 1, 2), 1), ((3, 150, 9), 4)]:
        batch = batch_of(lengths, samples, augmented=True)
        threads.set_kernel_threads(1 + samples % 3)
        assert same(everything(used, batch), everything(fused_network(settings, SEEDS), batch))
        with torch.no_grad():
            used(batch_of((40, 3, 2), 3), noise_of(SEEDS))


def test_new_parameters_are_seen():
    network, batch = fused_network(settings_of("spsn-sb"), SEEDS), batch_of((30, 20, 9), 3)
    everything(network, batch)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.5)
    fresh = fused_network(settings_of("spsn-sb"), SEEDS)
    fresh.load_state_dict(network.state_dict())
    assert same(everything(network, batch), everything(fresh, batch))


def kept_by(keep: bool, model: str, over_time: bool = False):
    """What a pass of 64 samples of 256 steps leaves."""
    shape = Shape(model, 1, 3, 128, 5, 0.9, 0.9, 1.0, "code", over_time)
    batch = batch_of((256,), 64)
    sizes = [700, 128, 128, 128]
    parameters = [t for n in sizes[:-1] for t in (torch.zeros(1, 128, n), torch.zeros(1, 128))]
    return Engine(shape).forward(parameters, batch, np.zeros((1, 256), np.float32), NoiseAddress((0,)), keep)


@pytest.mark.parametrize("model", MODELS)
def test_a_pass_without_gradients_keeps_nothing(model):
    silent, kept = kept_by(False, model), kept_by(True, model)
    held = 1 if model == "non-spiking" else 3  # its first layer is made again, of its last one masks are kept
    steps = 64 * held * 256 * 128  # samples x layers x steps x neurons
    assert kept.slopes.size >= steps
    assert silent.slopes.size < steps / 50
    assert silent.patterns.size == 0
    assert np.array_equal(silent.totals, kept.totals) and np.array_equal(silent.averaged, kept.averaged)
    assert kept.patterns.nbytes < kept.slopes.nbytes / 15  # the spikes take a sixteenth of the slopes


def test_float64_is_refused():
    network = fused_network(settings_of("lif"), (0,)).double()
    with pytest.raises(ValueError, match="float32"):
        network(batch_of((9,), 2))


@pytest.mark.parametrize("model", ["spsn-sb", "spsn-gs"])
@pytest.mark.parametrize("noise", [None, lambda layer, shape, lengths: torch.rand(shape)])
def test_noise_that_the_kernels_cannot_draw_is_refused(model, noise):
    network = fused_network(settings_of(model), (0,))
    with pytest.raises(ValueError, match="SpikeNoise"):
        network(batch_of((9,), 2), noise)


@pytest.mark.parametrize("model", ["lif", "non-spiking"])
def test_models_without_noise_need_none(model):
    network, batch = fused_network(settings_of(model), (0,)), batch_of((9,), 2)
    assert torch.equal(network(batch).logits, network(batch, noise_of((0,))).logits)


def test_noise_and_batch_must_have_the_networks_runs():
    """Else the kernels would read what lies behind the parameters and the seeds."""
    network = fused_network(settings_of("spsn-sb", "max"), SEEDS[:2])
    with pytest.raises((ValueError, RuntimeError)):
        network(batch_of((9, 5), 2), noise_of((4,)))
    for lengths in ((9,), (9, 5, 3)):
        with pytest.raises((ValueError, RuntimeError)):
            network(batch_of(lengths, 2), noise_of(SEEDS[:2]))


def test_more_threads_for_the_way_back_than_for_the_way_forward():
    network, batch = fused_network(settings_of("spsn-gs"), SEEDS), batch_of((30, 20, 9), 9)
    expected = everything(network, batch)
    output = network(batch, noise_of(SEEDS))
    threads.set_kernel_threads(3)
    output.logits.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    threads.set_kernel_threads(1)
    assert same(everything(network, batch), expected)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_broken_run_shows_and_leaves_the_others_alone(model, poison):
    settings, batch = settings_of(model), batch_of((30, 70, 9), 3)
    whole = everything(fused_network(settings, SEEDS), batch)
    network = fused_network(settings, SEEDS)
    with torch.no_grad():
        network.biases[0][1, 7] = poison
    output, grads = gradients(network, batch, noise_of(SEEDS))
    broken = [output.logits.detach(), *(r.detach() for r in output.rates), *grads]
    for run in (0, 2):
        assert same([t[run] for t in whole], [t[run] for t in broken])
    if poison != poison or model == "non-spiking":
        assert not all(t[1].isfinite().all() for t in broken)
