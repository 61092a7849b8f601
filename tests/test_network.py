"""A stack of networks against one plain network written out; initial state; two readouts and two inputs.

`plain_network` is the judge: one run, dense input, every layer's recurrence in float64.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from support import paper_run
from torch import nn

from spsn.data.batches import Batch, Batches
from spsn.data.events import EventStore
from spsn.data.shd import CHANNELS, SpikeFile
from spsn.grid import RunSettings
from spsn.methods import PAPER_MODELS
from spsn.network import SpikeNoise, StackedNetwork, own_steps
from spsn.neurons.integrator import recurrence
from spsn.neurons.lif import autograd_lif
from spsn.neurons.spsn import bernoulli_spikes, gumbel_spikes
from spsn.noise import Purpose
from spsn.objective import objective, rate_penalty

SEEDS = (3, 0, 8)
PAPER = paper_run()
# Small, with other decays for current and potential, and a threshold that LIF reaches at once.
SMALL = replace(
    PAPER, hidden_layers=2, hidden_size=12, classes=5, tau_syn=0.01, threshold=0.1, rate_threshold=0.01
)


def make_store(
    durations_ms: list[int], spikes_per_ms: int = 30, classes: int = 5, seed: int = 0
) -> EventStore:
    """Words of the given durations with random spikes, several of them in one cell at times."""
    rng = np.random.default_rng(seed)
    counts = [spikes_per_ms * duration for duration in durations_ms]
    rows = zip(counts, durations_ms, strict=True)
    spikes = SpikeFile.from_rows(
        times=[np.sort(rng.random(n) * duration / 1000).astype(np.float16) for n, duration in rows],
        units=[rng.integers(0, CHANNELS, n, dtype=np.uint16) for n in counts],
        labels=np.arange(len(counts)) % classes,
        speakers=np.zeros(len(counts), int),
        class_names=[str(k) for k in range(classes)],
    )
    return EventStore.from_spikes(spikes, 1.0)


@pytest.fixture(scope="module")
def store() -> EventStore:
    return make_store([20, 30, 25, 60, 50, 90, 100, 85])


# Three runs with batches of different lengths; the longest is not the first.
CHOSEN = np.array([[0, 1, 2], [5, 6, 7], [3, 0, 4]])


def stack_batch(store: EventStore, runs=slice(None)) -> Batch:
    return Batches(store, CHOSEN.shape[1], SEEDS).gather(CHOSEN[runs])


def spike_noise(seeds=SEEDS) -> SpikeNoise:
    return SpikeNoise(seeds, Purpose.TRAINING_SPIKES, epoch=2, step=5)


def plain_network(settings: RunSettings, state: dict, inputs: torch.Tensor, noise: SpikeNoise) -> tuple:
    """Logits (B, C) and rates of one network for dense input (B, T, 700)."""
    alpha, beta = (math.exp(-settings.time_step / tau) for tau in (settings.tau_syn, settings.tau_mem))
    fire = {
        "lif": lambda x, r: autograd_lif(x, alpha, beta, settings.threshold, settings.lif_reset)[0],
        "spsn-sb": lambda x, r: bernoulli_spikes(recurrence(x, alpha, beta), r),
        "spsn-gs": lambda x, r: gumbel_spikes(recurrence(x, alpha, beta), r),
        "non-spiking": lambda x, r: x.relu(),
    }[settings.model]
    signal, rates = inputs, []
    for layer in range(settings.hidden_layers):
        x = nn.functional.linear(signal, state[f"{layer}.weight"], state[f"{layer}.bias"])
        signal = fire(x, noise(layer, (1, *x.shape), (x.shape[1],))[0])
        rates.append(signal.mean(dim=(0, 1)))
    last = settings.hidden_layers
    u = nn.functional.linear(signal, state[f"{last}.weight"], state[f"{last}.bias"])
    if settings.model != "non-spiking":
        u = recurrence(u, alpha, beta)
    return {"mean": u.mean(dim=1), "max": u.amax(dim=1), "last": u[:, -1]}[settings.loss_mode], rates


def with_random_biases(network: StackedNetwork) -> StackedNetwork:
    """Biases matter for padding; at the start they are zero. The same for a run alone and in a stack."""
    with torch.no_grad():
        for layer, bias in enumerate(network.biases):
            for run, seed in enumerate(network.seeds):
                bias[run] = 0.02 * torch.sin(torch.arange(bias.shape[1]) + layer + seed)
    return network.double()


def gradients(network: StackedNetwork, batch: Batch, noise: SpikeNoise) -> tuple:
    output = network(batch, noise)
    loss = objective(output.logits, batch.labels, output.rates, network.settings.rate_threshold)
    network.zero_grad()
    loss.sum().backward()
    return output, [parameter.grad for parameter in network.parameters()]


def assert_equal(ours, expected) -> None:
    scale = max(float(expected.detach().abs().max()), 1e-30)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12 * max(scale, 1))


@pytest.mark.parametrize("model", PAPER_MODELS)
@pytest.mark.parametrize("mode", ["mean", "max", "last"])
def test_every_run_of_a_stack_is_the_plain_network(store, model, mode):
    """Values and gradients of all parameters, with runs of different lengths."""
    settings = replace(SMALL, model=model, loss_mode=mode)
    network, batch, noise = (
        with_random_biases(StackedNetwork(settings, SEEDS)),
        stack_batch(store),
        spike_noise(),
    )
    assert len(set(batch.lengths)) == 3
    output, grads = gradients(network, batch, noise)
    grads = dict(zip([name for name, _ in network.named_parameters()], grads, strict=True))
    for run, own in enumerate(batch.lengths):
        state = {k: v.clone().requires_grad_() for k, v in network.run_state(run).items()}
        inputs = batch.dense()[run, :, -own:].double()
        logits, rates = plain_network(settings, state, inputs, spike_noise((SEEDS[run],)))
        assert_equal(output.logits[run], logits)
        for ours, theirs in zip(output.rates, rates, strict=True):
            assert_equal(ours[run], theirs)
        loss = nn.functional.cross_entropy(logits, batch.labels[run])
        (loss + (sum(r.sum() for r in rates) - 0.01 * 24).relu() ** 2).backward()
        for key, tensor in state.items():
            layer, kind = key.split(".")
            assert_equal(grads[f"{'weights' if kind == 'weight' else 'biases'}.{layer}"][run], tensor.grad)


@pytest.mark.parametrize("model", PAPER_MODELS)
def test_a_run_does_not_know_its_stack(store, model):
    settings = replace(SMALL, model=model)
    batch = stack_batch(store)
    together, grads = gradients(with_random_biases(StackedNetwork(settings, SEEDS)), batch, spike_noise())
    assert together.rates[0].min() >= 0 and together.rates[-1].sum() > 0
    for run, seed in enumerate(SEEDS):
        network = with_random_biases(StackedNetwork(settings, (seed,)))
        alone, own_grads = gradients(network, stack_batch(store, slice(run, run + 1)), spike_noise((seed,)))
        assert_equal(together.logits[run], alone.logits[0])
        for stacked, single in zip([*together.rates, *grads], [*alone.rates, *own_grads], strict=True):
            assert_equal(stacked[run], single[0])


@pytest.mark.parametrize("model", ["spsn-sb", "spsn-gs"])
def test_a_run_fires_in_its_own_steps_alone(model):
    """Under noise that fires every neuron at every step the rate over the own steps is 1, and not more."""
    network = StackedNetwork(replace(SMALL, model=model), SEEDS)
    with torch.no_grad():
        for weight in network.weights:
            weight.zero_()
        inputs = torch.zeros(3, 2, 30, CHANNELS)
        output = network(inputs, lambda layer, shape, lengths: torch.full(shape, 1 - 1e-6), (30, 7, 12))
        silent = network(inputs, lambda layer, shape, lengths: torch.full(shape, 1e-6), (30, 7, 12))
    fired, quiet = (output, silent) if model == "spsn-gs" else (silent, output)
    assert all((rate - 1).abs().max() < 1e-6 for rate in fired.rates)
    assert not any(rate.any() for rate in quiet.rates)


@pytest.mark.parametrize("model", PAPER_MODELS)
def test_the_collapsed_readout_is_the_simulated_one(store, model):
    settings = replace(SMALL, model=model)
    results = []
    for collapse in (True, False):
        network = with_random_biases(StackedNetwork(settings, SEEDS, collapse=collapse))
        results.append(gradients(network, stack_batch(store), spike_noise()))
    (collapsed, grads), (simulated, simulated_grads) = results
    assert_equal(collapsed.logits, simulated.logits)
    for ours, theirs in zip(grads, simulated_grads, strict=True):
        assert_equal(ours, theirs)


@pytest.mark.parametrize("model", ["lif", "spsn-sb", "non-spiking"])
def test_events_are_dense_input(store, model):
    network = with_random_biases(StackedNetwork(replace(SMALL, model=model), SEEDS))
    batch = stack_batch(store)
    counts = batch.dense()
    assert counts.max() >= 2  # spikes in one cell add up
    from_events = network(batch, spike_noise()).logits
    from_counts = network(counts.double(), spike_noise(), batch.lengths).logits
    assert_equal(from_events, from_counts)
    grads = [torch.autograd.grad(x.square().sum(), network.weights[0])[0] for x in (from_events, from_counts)]
    assert_equal(*grads)


def test_a_batch_without_a_spike_is_served():
    silent = make_store([1, 1], spikes_per_ms=0)
    network = StackedNetwork(replace(SMALL, model="spsn-gs"), (0,))
    batch = Batches(silent, 2, (0,)).gather(np.array([[0, 1]]))
    output, grads = gradients(network, batch, spike_noise((0,)))
    assert output.logits.shape == (1, 2, 5)
    assert output.logits.isfinite().all() and all(g.isfinite().all() for g in grads)


@pytest.mark.parametrize("model", PAPER_MODELS)
def test_parameter_count_of_the_paper(model):
    network = StackedNetwork(replace(PAPER, model=model), (0,))
    assert sum(parameter.numel() for parameter in network.parameters()) == 125_332


@pytest.mark.parametrize("model", ["lif", "spsn-sb", "spsn-gs"])
def test_initial_state_of_spiking_networks(model):
    network = StackedNetwork(replace(PAPER, model=model), (4,))
    for weight, fan_in in zip(network.weights, (700, 128, 128, 128), strict=True):
        assert_uniform(weight, math.sqrt(3 / fan_in))
    assert not any(bias.any() for bias in network.biases)


def test_initial_state_of_the_non_spiking_network_is_torchs_default():
    network = StackedNetwork(replace(PAPER, model="non-spiking"), (4,))
    for weight, bias in zip(network.weights, network.biases, strict=True):
        default = nn.Linear(weight.shape[2], 1000)
        bound = weight.shape[2] ** -0.5
        assert max(default.weight.abs().max(), default.bias.abs().max()) <= bound
        assert_uniform(weight, bound)
        assert_uniform(bias, bound)
        assert not torch.allclose(bias[0], weight[0].ravel()[: bias.shape[1]])  # draws of their own


def assert_uniform(values: torch.Tensor, bound: float) -> None:
    """Fills (-bound, bound) evenly: range, mean and variance within 5 standard errors."""
    v = values.detach().double().ravel() / bound
    n = v.numel()
    assert v.abs().max() < 1 and v.abs().max() > 1 - 10 / n
    assert abs(v.mean()) < 5 / math.sqrt(3 * n)
    assert abs(v.square().mean() - 1 / 3) < 5 * math.sqrt(4 / 45 / n)


@pytest.mark.parametrize("model", ["lif", "non-spiking"])
def test_the_initial_state_depends_on_the_own_seed_alone(model):
    settings = replace(SMALL, model=model)
    stack = StackedNetwork(settings, SEEDS)
    torch.manual_seed(99)
    for run, seed in enumerate(SEEDS):
        alone = StackedNetwork(settings, (seed,)).run_state(0)
        assert all(torch.equal(tensor, alone[key]) for key, tensor in stack.run_state(run).items())
    assert not torch.equal(stack.weights[1][0], stack.weights[1][1])  # another seed
    assert not torch.equal(stack.weights[1][0, :5], stack.weights[2][0, :5])  # another layer


def test_a_run_state_is_a_copy_that_can_be_put_back():
    network = StackedNetwork(SMALL, SEEDS)
    state = network.run_state(1)
    assert list(state) == [f"{layer}.{kind}" for layer in range(3) for kind in ("weight", "bias")]
    assert state["0.weight"].shape == (12, 700) and state["2.bias"].shape == (5,)
    kept = {key: tensor.clone() for key, tensor in state.items()}
    others = network.run_state(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 1
    assert all(torch.equal(state[key], kept[key]) for key in state)
    network.load_run_state(1, state)
    assert all(torch.equal(network.run_state(1)[key], kept[key]) for key in state)
    assert all(torch.equal(network.run_state(0)[key], others[key] + 1) for key in state)


def test_non_spiking_logits_do_not_depend_on_the_order_of_time():
    network = with_random_biases(StackedNetwork(replace(SMALL, model="non-spiking"), (1,)))
    x = torch.rand(1, 3, 40, CHANNELS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    assert_equal(network(x[:, :, order]).logits, network(x).logits)
    spiking = with_random_biases(StackedNetwork(replace(SMALL, model="lif"), (1,)))
    assert not torch.allclose(spiking(x[:, :, order]).logits, spiking(x).logits)


def test_padding_mixes_the_non_spiking_networks_answer_to_silence_in():
    """logits = (p f(0) + sum_t f(x_t)) / (p + T) for p steps of silence in front."""
    network = with_random_biases(StackedNetwork(replace(SMALL, model="non-spiking"), (1,)))
    x = torch.rand(1, 3, 40, CHANNELS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    silence = torch.zeros(1, 3, 15, CHANNELS, dtype=torch.float64)
    padded = network(torch.cat([silence, x], dim=2)).logits
    assert_equal(padded, (15 * network(silence).logits + 40 * network(x).logits) / 55)


@pytest.mark.parametrize(("model", "theta"), [("spsn-sb", 0.4), ("spsn-gs", 0.1)])
def test_penalty_of_a_network_at_rest(model, theta):
    """With zero weights half of the 384 neurons fire: (192 - 384 theta)^2 = 1474.6 resp. 23593."""
    network = StackedNetwork(replace(PAPER, model=model), (0,))
    with torch.no_grad():
        for weight in network.weights:
            weight.zero_()
    shape = samples, steps = 6, 100
    with torch.no_grad():
        rates = network(torch.zeros(1, *shape, CHANNELS), spike_noise((0,))).rates
    total = sum(float(rate.sum()) for rate in rates)
    deviation = math.sqrt(384 / 4 / (samples * steps))
    assert abs(total - 192) < 4 * deviation
    expected = (192 - 384 * theta) ** 2
    assert expected == pytest.approx({0.4: 1474.6, 0.1: 23593}[theta], rel=1e-4)
    tolerance = 2 * (192 - 384 * theta) * 4 * deviation
    assert rate_penalty(rates, theta).item() == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("model", ["lif", "non-spiking"])
def test_loss_at_the_start_is_that_of_guessing(model):
    words = make_store([200] * 20, spikes_per_ms=100, classes=20)
    network = StackedNetwork(replace(PAPER, model=model), SEEDS)
    batch = Batches(words, 20, SEEDS).gather(np.tile(np.arange(20), (3, 1)))
    output = network(batch)
    assert all(
        (rate.sum(dim=1) > 0).all() for rate in output.rates
    )  # else it would not be guessing, but silent
    loss = objective(output.logits, batch.labels, [], None)
    assert loss.tolist() == pytest.approx([math.log(20)] * 3, abs=0.1)


@pytest.mark.parametrize("layer", [0, 1])
def test_spike_noise_counts_every_runs_own_steps(layer):
    together = spike_noise()(layer, (3, 2, 30, 7), (30, 13, 22))
    assert together.shape == (3, 2, 30, 7)
    for run, own in enumerate((30, 13, 22)):
        alone = spike_noise((SEEDS[run],))(layer, (1, 2, own, 7), (own,))
        assert torch.equal(together[run, :, 30 - own :], alone[0])
        assert (together[run, :, : 30 - own] == 0.5).all()
    assert not torch.equal(together, spike_noise()(layer + 1, (3, 2, 30, 7), (30, 13, 22)))


def test_left_to_itself_a_stochastic_network_draws_anew(store):
    network = StackedNetwork(replace(SMALL, model="spsn-sb"), SEEDS)
    batch = stack_batch(store)
    assert not torch.equal(network(batch).logits, network(batch).logits)
    assert torch.equal(network(batch, spike_noise()).logits, network(batch, spike_noise()).logits)


def test_own_steps():
    like = torch.zeros(3, 1, 4, 1)
    assert own_steps((4, 1, 3), like)[:, 0, :, 0].tolist() == [[1, 1, 1, 1], [0, 0, 0, 1], [0, 1, 1, 1]]
    assert own_steps((4, 4, 4), like) is None
