"""The stack by a GPU's kernels against the plain form in float64, on shapes around a tile of 32 steps."""

from dataclasses import replace

import pytest
import torch
from fused import assert_close, batch_of, decided, fused_network, gradients, noise_of, spike_totals
from support import small_run
from torch.nn.functional import pad

from spsn.data.batches import Batch
from spsn.fused import Fused
from spsn.kernels.cpu.engine import NoiseAddress
from spsn.kernels.gpu.engine import Inputs, stored_on
from spsn.network import StackedNetwork
from spsn.noise import Purpose
from spsn.objective import objective
from spsn.optimizer import Adamax

TOLERANCE = 1.5e-3  # of gradients: slopes are kept in float16
few = pytest.mark.usefixtures("few_channels")
# The model, steps of each run, samples, neurons of a hidden layer, hidden layers, loss mode. The first has
# all channels.
CASES = [
    ({"model": "lif"}, (33,), 2, 20, 2, "max"),
    ({"model": "lif", "lif_reset": "paper"}, (34,), 1, 5, 3, "mean"),
    ({"model": "spsn-sb"}, (33, 2), 2, 20, 2, "mean"),
    ({"model": "spsn-gs"}, (32,), 3, 16, 1, "last"),
    ({"model": "non-spiking"}, (7,), 2, 20, 3, "mean"),
]


def on_gpu(network: StackedNetwork, batch: Batch, device: torch.device) -> tuple[StackedNetwork, Batch]:
    """The network with a GPU's kernels, on it where there is one, and its batch."""
    network = network.to(device)
    network._fused = Fused(network, for_gpu=True)
    return network, batch.to(device)


@pytest.mark.parametrize(("model", "lengths", "samples", "size", "layers", "mode"), CASES)
def test_the_stack_is_the_plain_one(request, device, model, lengths, samples, size, layers, mode):
    if mode != "max":
        request.getfixturevalue("few_channels")
    settings = small_run(
        **model, hidden_size=size, hidden_layers=layers, classes=5, time_step=0.001, threshold=0.1,
        loss_mode=mode, rate_threshold=0.01,
    )  # fmt: skip
    batch, seeds = batch_of(lengths, samples, augmented=len(lengths) > 1), (4, 0)[: len(lengths)]
    fused, plain, noise = decided(settings, seeds, batch)
    judge, expected = gradients(plain, batch, noise)
    network, moved = on_gpu(fused, batch, device)
    output, grads = gradients(network, moved, replace(noise, device=device))
    if settings.model != "non-spiking":
        for ours, theirs in zip(*(spike_totals(o, batch) for o in (output, judge)), strict=True):
            assert torch.equal(ours.cpu(), theirs)  # else a decision was not clear
    assert_close(output.logits.cpu(), judge.logits, 1e-5)
    for ours, theirs in zip(output.rates, judge.rates, strict=True):
        assert_close(ours.cpu(), theirs, 1e-5)
    for ours, theirs in zip(grads, expected, strict=True):
        assert_close(ours.cpu(), theirs, TOLERANCE)
    assert (expected[0] != 0).any()


def passed(device: torch.device, lengths=(9, 4), seeds=(4, 0), runs=slice(None), **changes):
    """Logits and gradients of a pass of small runs, or of some of them alone."""
    whole = batch_of(lengths, 2, augmented=True)
    batch = whole._batches.gather(
        whole.samples.numpy()[runs], whole.shifts[runs].copy(), whole.zooms[runs].copy()
    )
    settings = small_run(classes=5, hidden_size=20, hidden_layers=2, **changes)
    network, moved = on_gpu(fused_network(settings, seeds[runs]), batch, device)
    output = network(moved, replace(noise_of(seeds[runs]), device=device))
    loss = objective(output.logits, moved.labels, output.rates, None).sum()
    return output.logits.detach(), torch.autograd.grad(loss, list(network.parameters()))


@few
def test_two_passes_give_the_same_bits(device):
    (logits, grads), (again, grads_again) = (passed(device, runs=slice(1)) for _ in range(2))
    assert torch.equal(logits, again)
    assert all(torch.equal(a, b) for a, b in zip(grads, grads_again, strict=True))


@few
@pytest.mark.parametrize("model", ["spsn-sb", "non-spiking"])
def test_room_for_more_steps_changes_no_bit(device, model):
    """Runs live in their own steps, however many rows there are."""
    batch = batch_of((34, 9), 1, augmented=True)
    settings = small_run(model=model, classes=5, hidden_size=20, hidden_layers=2, rate_threshold=0.01)
    network, moved = on_gpu(fused_network(settings, (4, 0)), batch, device)
    fused = network._fused
    made = fused._coefficients(network, batch.lengths, 34)
    inputs = fused.engine.inputs(moved, *made, NoiseAddress((4, 0), Purpose.TRAINING_SPIKES, 3, 2))
    wider = replace(
        inputs,
        draws=replace(inputs.draws, steps=96),
        coefficients=pad(inputs.coefficients, (0, 62), value=7.0),
    )

    def results(of: Inputs) -> list[torch.Tensor]:
        logits, rates, _ = fused.on_gpu(network, of)
        loss = objective(logits, moved.labels, rates, settings.rate_threshold).sum()
        return [logits, *rates, *torch.autograd.grad(loss, list(network.parameters()))]

    assert all(torch.equal(a, b) for a, b in zip(results(inputs), results(wider), strict=True))


@few
def test_hidden_layers_of_a_run_do_not_know_its_stack(device):
    """Their weights' gradients differ by the readout's rounding alone, which is torch's."""
    _, together = passed(device, model="lif")
    _, alone = passed(device, runs=slice(1, 2), model="lif")
    for ours, own in zip(together, alone, strict=True):
        assert_close(ours[1:].cpu(), own.cpu().double(), 1e-5)


@few
def test_a_step_lowers_the_loss(device):
    """Forward, backward and Adamax, all by kernels; the passes without gradients before and after it agree
    with the one that had them.
    """
    batch, noise = batch_of((20,), 2), replace(noise_of((4,)), device=device)
    settings = small_run(model="lif", classes=5, hidden_size=20, threshold=0.1)
    network, moved = on_gpu(fused_network(settings, (4,)), batch, device)
    optimizer = Adamax(network.parameters(), lr=0.003)

    def losses() -> torch.Tensor:
        output = network(moved, noise)
        return objective(output.logits, moved.labels, output.rates, None)

    with torch.no_grad():
        before = losses()
    loss = losses()
    assert torch.equal(loss, before) and not before.requires_grad
    loss.sum().backward()
    optimizer.step()
    with torch.no_grad():
        assert (losses() < before).all()


def test_a_stack_of_another_size_is_refused(device):
    network, batch = on_gpu(fused_network(small_run(classes=5), (4, 0)), batch_of((7,), 2), device)
    with pytest.raises(ValueError, match="2 runs needs a batch and seeds of so many, not 1 and 2"):
        network(batch, noise_of((4, 0)))


def test_a_store_is_brought_to_a_device_once(device):
    store = batch_of((7,), 2).store
    assert stored_on(store, device) is stored_on(store, device)
    assert stored_on(batch_of((7,), 2).store, device) is not stored_on(store, device)
