"""Networks that learn by accumulated spikes, against one network that goes step by step, run by run."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from support import paper_run
from torch import Tensor, nn

from spsn.accumulating import online_readout, run
from spsn.data.batches import Batch, Batches
from spsn.data.events import EventStore
from spsn.data.shd import CHANNELS, SpikeFile
from spsn.grid import RunSettings
from spsn.network import StackedNetwork
from spsn.neurons.exodus import soft_reset_lif
from spsn.neurons.integrator import recurrence
from spsn.neurons.surrogate import surrogate_slope
from spsn.objective import objective

SEEDS = (3, 0, 8)
ONLINE, FINAL = ("ottt", "saf-e"), ("saf-f", "spike-representation")
# Other decays for current and potential in the readout.
SMALL = paper_run(
    hidden_layers=3, hidden_size=12, classes=5, tau_syn=0.01, threshold=0.8, loss_mode="per-step"
)
# Three runs with batches of different lengths; the longest is not the first.
CHOSEN = np.array([[0, 1, 2], [5, 6, 7], [3, 0, 4]])


def settings_of(model: str, **changes) -> RunSettings:
    if model in FINAL:
        changes = {"loss_mode": "final", "tau_mem": 0.05} | changes
    return replace(SMALL, model=model, **changes)


@pytest.fixture(scope="module")
def store() -> EventStore:
    """Words of different lengths with random spikes, several of them in one cell at times."""
    rng, durations = np.random.default_rng(0), [20, 30, 25, 60, 50, 90, 100, 85]
    counts = [30 * duration for duration in durations]
    rows = zip(counts, durations, strict=True)
    spikes = SpikeFile.from_rows(
        times=[np.sort(rng.random(n) * duration / 1000).astype(np.float16) for n, duration in rows],
        units=[rng.integers(0, CHANNELS, n, dtype=np.uint16) for n in counts],
        labels=np.arange(len(counts)) % 5,
        speakers=np.zeros(len(counts), int),
        class_names=[str(k) for k in range(5)],
    )
    return EventStore.from_spikes(spikes, 1.0)


def batch_of(store: EventStore, runs=slice(None)) -> Batch:
    return Batches(store, CHOSEN.shape[1], SEEDS).gather(CHOSEN[runs])


def make_network(settings: RunSettings, seeds=SEEDS) -> StackedNetwork:
    """With biases, which matter for padding and are zero at the start; the same alone and in a stack."""
    network = StackedNetwork(settings, seeds)
    with torch.no_grad():
        for layer, bias in enumerate(network.biases):
            for index, seed in enumerate(network.seeds):
                bias[index] = 0.03 + 0.02 * torch.sin(torch.arange(bias.shape[1]) + layer + seed)
    return network.double()


def loss_of(output, labels: Tensor, lengths) -> Tensor:
    return objective(output.logits, labels, output.rates, None, output.potentials, lengths).sum()


def passed(network: StackedNetwork, inputs: Batch | Tensor, labels: Tensor, lengths) -> tuple:
    """A pass's output and the gradients of all parameters by their names."""
    output = run(network, inputs, lengths)
    network.zero_grad()
    loss_of(output, labels, lengths).backward()
    return output, {name: p.grad.clone() for name, p in network.named_parameters()}


def assert_equal(ours: Tensor, expected: Tensor, tolerance=1e-12) -> None:
    scale = max(float(expected.detach().abs().max()), 1e-30)
    torch.testing.assert_close(ours / scale, expected / scale, rtol=0, atol=tolerance)


def assert_same(ours: tuple, theirs: tuple, tolerance=1e-12) -> None:
    (output, gradients), (other, expected) = ours, theirs
    assert_equal(output.logits, other.logits, tolerance)
    for a, b in zip(output.rates, other.rates, strict=True):
        assert_equal(a, b, tolerance)
    for name, gradient in expected.items():
        assert gradient.abs().max() > 0, name
        assert_equal(gradients[name], gradient, tolerance)


def only_gradient(x: Tensor) -> Tensor:
    """0 with the gradient of x."""
    return x - x.detach()


class Fire(torch.autograd.Function):
    """1[distance >= 0] with a surrogate's slope."""

    @staticmethod
    def forward(ctx, distance, surrogate, threshold):
        ctx.save_for_backward(distance)
        ctx.constants = surrogate, threshold
        return (distance >= 0).double()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * surrogate_slope(ctx.saved_tensors[0], *ctx.constants), None, None


def plain_network(settings: RunSettings, state: dict, inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Potentials (B, T, C) and rates of one network for (B, T, 700); only traces cross from step to step.

    A weight learns from its input's trace, a bias from that of a unit that always fires; the readout's from
    traces through both of its filters.
    """
    lam, threshold = math.exp(-settings.time_step / settings.tau_mem), settings.threshold
    signals = [[] for _ in range(settings.hidden_layers)]
    states = [(0.0, 0.0, 0.0)] * settings.hidden_layers
    for signal in inputs.unbind(1):
        for layer, spikes in enumerate(signals):
            weight, bias = state[f"{layer}.weight"], state[f"{layer}.bias"]
            left, seen, age = states[layer]
            kept = 0.0 if layer == 0 and settings.first_input == "instantaneous" else lam
            seen, age = kept * seen + signal.detach(), kept * age + 1
            x = nn.functional.linear(signal.detach(), weight, bias).detach()
            x = x + only_gradient(nn.functional.linear(seen, weight) + age * bias)
            x = x + only_gradient(nn.functional.linear(signal, weight.detach()))
            potential = lam * left + x
            signal = Fire.apply(potential - threshold, settings.surrogate, threshold)
            states[layer] = (potential - threshold * signal).detach(), seen, age
            spikes.append(signal)
    signals = [torch.stack(spikes, dim=1) for spikes in signals]
    alpha, beta = (math.exp(-settings.time_step / tau) for tau in (settings.tau_syn, settings.tau_mem))
    weight, bias = (state[f"{settings.hidden_layers}.{kind}"] for kind in ("weight", "bias"))
    last = signals[-1]
    seen, age = (recurrence(of, alpha, beta) for of in (last.detach(), torch.ones_like(last[..., :1])))
    potential = nn.functional.linear(seen, weight) + age * bias
    at_once = (1 - beta) * only_gradient(nn.functional.linear(last, weight.detach()))
    return potential + at_once, [spikes.mean(dim=(0, 1)) for spikes in signals]


@pytest.mark.parametrize("surrogate", ["exponential", "sigmoid"])
@pytest.mark.parametrize("mode", ["per-step", "mean"])
@pytest.mark.parametrize(
    ("model", "first"), [("ottt", "traced"), ("ottt", "instantaneous"), ("saf-e", "traced")]
)
def test_every_run_of_a_stack_is_the_plain_network(store, model, first, mode, surrogate):
    """Values and gradients of all parameters, with runs of different lengths."""
    settings = settings_of(model, loss_mode=mode, first_input=first, surrogate=surrogate)
    network, batch = make_network(settings), batch_of(store)
    assert len(set(batch.lengths)) == 3
    output, gradients = passed(network, batch, batch.labels, batch.lengths)
    assert (output.potentials is None) == (mode == "mean")
    assert all(0.02 < rate.mean() < 0.9 for rate in output.rates)
    for index, own in enumerate(batch.lengths):
        state = {k: v.clone().requires_grad_() for k, v in network.run_state(index).items()}
        potential, rates = plain_network(settings, state, batch.dense()[index, :, -own:].double())
        assert_equal(output.logits[index], potential.mean(dim=1))
        for ours, theirs in zip(output.rates, rates, strict=True):
            assert_equal(ours[index], theirs)
        logits = potential.mean(dim=1, keepdim=True) if mode == "mean" else potential
        labels = batch.labels[index].unsqueeze(1).expand(logits.shape[:2])
        nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten()).backward()
        if mode == "per-step":
            assert_equal(output.potentials[index, :, -own:], potential)
        for key, tensor in state.items():
            layer, kind = key.split(".")
            name = f"{'weights' if kind == 'weight' else 'biases'}.{layer}"
            assert_equal(gradients[name][index], tensor.grad)


def test_saf_at_every_step_is_ottt(store):
    """Theorem: the same spikes and the same gradients, biases' too."""
    batch = batch_of(store)
    ours, theirs = (
        passed(make_network(settings_of(model)), batch, batch.labels, batch.lengths) for model in ONLINE
    )
    assert all(torch.equal(*pair) for pair in zip(ours[0].rates, theirs[0].rates, strict=True))
    assert_same(ours, theirs)


def test_the_last_layers_learn_as_through_time(store):
    """The readout's gradient is exact, and no other."""
    settings = settings_of("ottt")
    network, batch = make_network(settings, SEEDS[1:2]), batch_of(store, slice(1, 2))
    gradients = passed(network, batch, batch.labels, batch.lengths)[1]
    lam = math.exp(-settings.time_step / settings.tau_mem)
    parameters = [p.detach().clone().requires_grad_() for p in network.parameters()]
    weights, biases = parameters[: len(parameters) // 2], parameters[len(parameters) // 2 :]
    signal = batch.dense()[0].double()
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        x = nn.functional.linear(signal, weight[0], bias[0])
        signal = soft_reset_lif(x, lam, settings.threshold, "bptt-detached", settings.surrogate)
    x = nn.functional.linear(signal, weights[-1][0], biases[-1][0])
    potential = network.integrator(x)
    labels = batch.labels[0].unsqueeze(1).expand(potential.shape[:2])
    nn.functional.cross_entropy(potential.flatten(0, 1), labels.flatten()).backward()
    exact = dict(zip([name for name, _ in network.named_parameters()], parameters, strict=True))
    same = {name for name, p in exact.items() if torch.allclose(gradients[name], p.grad, rtol=1e-9, atol=0)}
    assert same == {"weights.3", "biases.3"}
    cosine = nn.functional.cosine_similarity(gradients["weights.2"].flatten(), weights[2].grad.flatten(), 0)
    assert 0.2 < cosine < 1 - 1e-6  # the spikes' error comes from the step's own potential alone


@pytest.mark.parametrize("first_own", [40, 25])
def test_the_readouts_gradients_are_those_it_states(first_own):
    generator = torch.Generator().manual_seed(0)
    s, error = (torch.randn(2, 3, 40, n, generator=generator, dtype=torch.float64) for n in (6, 4))
    weight, bias = torch.randn(2, 4, 6, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    mask = torch.ones(2, 1, 40, 1, dtype=torch.float64)
    mask[0, :, : 40 - first_own] = 0
    s = s * mask
    leaves = [p.clone().requires_grad_() for p in (s, weight, bias)]
    out = online_readout(*leaves, None if first_own == 40 else mask, 0.9, 0.8)
    ours = torch.autograd.grad((out * error).sum(), leaves)
    plain = [p.clone().requires_grad_() for p in (s, weight, bias)]
    x = torch.einsum("soi,sbti->sbto", plain[1], plain[0]) + plain[2][:, None, None]
    potential = recurrence(x * mask, 0.9, 0.8)
    exact = torch.autograd.grad((potential * error).sum(), plain)
    assert_equal(out, potential)
    assert_equal(ours[1], exact[1])
    assert_equal(ours[2], exact[2])
    assert_equal(ours[0], (1 - 0.8) * torch.einsum("soi,sbto->sbti", weight, error * mask))


@pytest.mark.parametrize("threshold", [1.0, 0.6])
def test_the_final_step_methods_differ_by_powers_of_the_threshold(store, threshold):
    """Equal at 1; else V^k, k the number of spiking layers from a weight to the output."""
    batch = batch_of(store)
    ours, theirs = (
        passed(make_network(settings_of(model, threshold=threshold)), batch, batch.labels, batch.lengths)
        for model in FINAL
    )
    layers = SMALL.hidden_layers
    scaled = {name: g * threshold ** (layers - int(name.split(".")[1])) for name, g in theirs[1].items()}
    assert_same(ours, (theirs[0], scaled))


@pytest.mark.parametrize("threshold", [1.0, 0.6])
def test_every_run_at_the_last_step_is_the_plain_network(store, threshold):
    """A chain of clipped maps at the weighted rates that the neurons had, of dense input."""
    settings = settings_of("spike-representation", threshold=threshold)
    network, batch = make_network(settings), batch_of(store)
    output, gradients = passed(network, batch, batch.labels, batch.lengths)
    lam = math.exp(-settings.time_step / settings.tau_mem)
    assert output.potentials is None
    for index, own in enumerate(batch.lengths):
        state = {k: v.clone().requires_grad_() for k, v in network.run_state(index).items()}
        signal = batch.dense()[index, :, -own:].double()
        weights = torch.tensor([lam ** (own - 1 - t) for t in range(own)], dtype=torch.float64)
        weights /= weights.sum()
        rate, open_ = torch.einsum("t,btn->bn", weights, signal), []
        for layer in range(settings.hidden_layers):
            constants = [state[f"{layer}.{kind}"] for kind in ("weight", "bias")]
            x = nn.functional.linear(signal, *constants).detach()
            signal = soft_reset_lif(x, lam, threshold)
            clipped = (nn.functional.linear(rate, *constants) / threshold).clamp(0, 1)
            open_.append(float(((clipped > 0) & (clipped < 1)).double().mean()))
            rate = torch.einsum("t,btn->bn", weights, signal) + only_gradient(clipped)
            assert_equal(output.rates[layer][index], signal.mean(dim=(0, 1)))
        assert 0.1 < min(open_) < 0.9
        logits = nn.functional.linear(rate, *(state[f"3.{kind}"] for kind in ("weight", "bias")))
        assert_equal(output.logits[index], logits)
        nn.functional.cross_entropy(logits, batch.labels[index]).backward()
        for key, tensor in state.items():
            layer, kind = key.split(".")
            name = f"{'weights' if kind == 'weight' else 'biases'}.{layer}"
            assert_equal(gradients[name][index], tensor.grad)


@pytest.mark.parametrize("model", ONLINE + FINAL)
def test_events_are_their_dense_form(store, model):
    network, batch = make_network(settings_of(model)), batch_of(store)
    events = passed(network, batch, batch.labels, batch.lengths)
    assert_same(passed(network, batch.dense().double(), batch.labels, batch.lengths), events)


@pytest.mark.parametrize("model", ONLINE + FINAL)
def test_a_run_alone_is_the_same_run_in_a_stack_of_longer_ones(store, model):
    settings, batch = settings_of(model), batch_of(store)
    output, gradients = passed(make_network(settings), batch, batch.labels, batch.lengths)
    for index, seed in enumerate(SEEDS):
        part = batch_of(store, slice(index, index + 1))
        alone = make_network(settings, (seed,))
        own, own_gradients = passed(alone, part, part.labels, part.lengths)
        assert_equal(output.logits[index], own.logits[0])
        for name, gradient in own_gradients.items():
            assert_equal(gradients[name][index], gradient[0])


@pytest.mark.parametrize("model", ONLINE + FINAL)
def test_the_network_takes_this_way(store, model):
    network, batch = make_network(settings_of(model)), batch_of(store)
    assert torch.equal(network(batch).logits, run(network, batch, batch.lengths).logits)


def kept_numbers(network: StackedNetwork, inputs: Tensor) -> int:
    """How many numbers the graph of a pass holds."""
    held = {}

    def pack(tensor):
        held[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = run(network, inputs, (inputs.shape[2],) * len(inputs))
    assert output.logits.requires_grad
    return sum(held.values())


@pytest.mark.parametrize("model", ONLINE + FINAL)
def test_at_the_last_step_the_graph_does_not_grow_with_time(store, model):
    network = make_network(settings_of(model))
    inputs = batch_of(store).dense().double()
    short, long = (kept_numbers(network, part) for part in (inputs[:, :, :50], inputs))
    assert (short == long) == (model in FINAL)


@pytest.mark.parametrize("model", ONLINE + FINAL)
def test_fused_neurons_are_the_plain_ones(store, model):
    """In float32, on a CPU: hardly a spike differs."""
    batch, passes = batch_of(store), []
    for backend in ("torch", "fused"):
        network = make_network(settings_of(model, backend=backend)).float()
        passes.append(passed(network, batch, batch.labels, batch.lengths))
    (plain, gradients), (fused, others) = passes
    for a, b in zip(plain.rates, fused.rates, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=2e-3)
    for name, gradient in gradients.items():
        assert_equal(others[name], gradient, 0.02)


def words(samples=48) -> Tensor:
    """Input (1, B, 40, 700) and labels (1, B): each class has its own band of channels."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(samples) % 5
    own = (torch.arange(CHANNELS) // 140 == labels.unsqueeze(1)).unsqueeze(1)
    drawn = torch.rand(samples, 40, CHANNELS, generator=generator)
    return (drawn < torch.where(own, 0.3, 0.1)).float().unsqueeze(0), labels.unsqueeze(0)


@pytest.mark.parametrize("model", ONLINE + FINAL)
def test_a_network_learns(model):
    """Words that were not seen, after few steps of Adamax."""
    network = StackedNetwork(settings_of(model, threshold=1.0), (0,))
    optimizer = torch.optim.Adamax(network.parameters(), lr=0.01)
    inputs, labels = words()
    lengths = (inputs.shape[2],)
    for _ in range(40):
        loss = loss_of(run(network, inputs[:, :32], lengths), labels[:, :32], lengths)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        guesses = run(network, inputs[:, 32:], lengths).logits.argmax(dim=2)
    assert (guesses == labels[:, 32:]).float().mean() >= 0.75  # chance is 0.2


def test_what_cannot_be_learned_this_way_is_refused(store):
    batch = batch_of(store)
    for settings, words_ in (
        (settings_of("saf-f", loss_mode="mean"), "final"),
        (settings_of("saf-e", first_input="instantaneous"), "OTTT"),
        (replace(SMALL, model="lif"), "lif"),
    ):
        with pytest.raises(ValueError, match=words_):
            run(make_network(settings), batch, batch.lengths)
