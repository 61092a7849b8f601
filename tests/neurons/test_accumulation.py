"""OTTT, SAF and Spike Representation: their identities, against forms that go step by step.

`stepwise` is OTTT as it is run online: each step's graph ends where the step begins.
"""

import math

import pytest
import torch
from torch import Tensor, nn

from spsn.neurons.accumulation import (
    accumulated_affine,
    affine,
    final_layer,
    ottt_spikes,
    outer_sum,
    remembered_sum,
    reversed_trace,
    saf_accumulate,
    spikes_of,
    trace,
    traced_affine,
    traced_gradient,
)
from spsn.neurons.accumulation_layers import FinalStepLayer, OTTTLayer, SAFLayer
from spsn.neurons.exodus import simulate, soft_reset_lif
from spsn.neurons.surrogate import surrogate_slope

DECAYS = [0.0, 0.5, 0.95, 1.0]
SURROGATES = ["exponential", "sigmoid", "superspike"]
STEPS, SIZES = 50, (6, 5, 4, 3)


def normal(*shape, seed=0, mean=0.0, scale=1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return mean + scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def spikes(*shape, seed=0, rate=0.3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(*shape, generator=generator, dtype=torch.float64) < rate).double()


def parameters(runs=2, sizes=SIZES, scale=1.0) -> list[tuple[Tensor, Tensor]]:
    """Weights (S, out, in) and biases (S, out) with which a fair share of the neurons fires."""
    return [
        (
            normal(runs, out, fan_in, seed=10 + fan_in, mean=0.1, scale=scale).requires_grad_(),
            normal(runs, out, seed=20 + fan_in, mean=0.1, scale=0.1).requires_grad_(),
        )
        for fan_in, out in zip(sizes[:-1], sizes[1:], strict=True)
    ]


def gradients(loss: Tensor, layers: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    return list(torch.autograd.grad(loss, [p for layer in layers for p in layer]))


def assert_equal(ours, expected, tolerance=1e-12) -> None:
    for a, b in zip(ours, expected, strict=True):
        scale = max(float(b.abs().max()), 1e-30)
        torch.testing.assert_close(a / scale, b / scale, rtol=0, atol=tolerance)


def ottt(s: Tensor, layers, decay, threshold, surrogate="exponential", trace_decay=None) -> list[Tensor]:
    """Every layer's spikes."""
    out = []
    for weight, bias in layers:
        x = traced_affine(s, weight, bias, decay if trace_decay is None else trace_decay)
        s = ottt_spikes(x, decay, threshold, surrogate)
        out.append(s)
    return out


def saf(s: Tensor, layers, decay, threshold, surrogate="exponential") -> list[Tensor]:
    """Every layer's accumulations."""
    a, out = trace(s, decay), []
    for weight, bias in layers:
        a = saf_accumulate(accumulated_affine(a, weight, bias, decay), decay, threshold, surrogate)
        out.append(a)
    return out


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


def only_gradient(x: Tensor) -> Tensor:
    """0 with the gradient of x."""
    return x - x.detach()


def stepwise(s: Tensor, layers, decay, threshold, surrogate, traced=True) -> Tensor:
    """The last layer's spikes (S, B, T, N), step by step; nothing but traces crosses from step to step."""
    states = [None] * len(layers)
    out, one = [], torch.ones((), dtype=s.dtype)
    for signal in s.unbind(2):  # (S, B, in)
        for k, (weight, bias) in enumerate(layers):
            left, seen, age = states[k] or (0.0, torch.zeros_like(signal), 0.0 * one)
            kept = decay if traced else 0.0
            seen, age = kept * seen + signal.detach(), kept * age + 1
            x = (
                affine(signal, weight, bias).detach()
                + only_gradient(torch.einsum("soi,sbi->sbo", weight, seen) + age * bias.unsqueeze(1))
                + only_gradient(torch.einsum("soi,sbi->sbo", weight.detach(), signal))
            )
            potential = decay * left + x
            signal = Fire.apply(potential - threshold, surrogate, threshold)
            states[k] = (potential - threshold * signal).detach(), seen, age
        out.append(signal)
    return torch.stack(out, dim=2)


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("threshold", [1.0, 0.7])
def test_the_vectorised_form_is_the_one_that_goes_step_by_step(decay, surrogate, threshold):
    layers, s = parameters(), spikes(2, 3, STEPS, SIZES[0])
    ours = ottt(s, layers, decay, threshold, surrogate)[-1]
    theirs = stepwise(s, layers, decay, threshold, surrogate)
    assert torch.equal(ours, theirs)
    assert 0.05 < ours.mean() < 0.95
    weight = normal(*ours.shape, seed=1)
    assert_equal(gradients((ours * weight).sum(), layers), gradients((theirs * weight).sum(), layers))


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("surrogate", SURROGATES)
def test_the_last_layers_gradient_is_that_through_time_with_the_reset_detached(decay, surrogate):
    """Its biases' too, since their eligibility is exact; the layers before it have another."""
    layers, s = parameters(), spikes(2, 3, STEPS, SIZES[0])
    out = ottt(s, layers, decay, 0.7, surrogate)[-1]
    weight = normal(*out.shape, seed=1)
    ours = gradients((out * weight).sum(), layers)
    for w, b in layers:
        s = soft_reset_lif(affine(s, w, b), decay, 0.7, "bptt-detached", surrogate)
    exact = gradients((s * weight).sum(), layers)
    assert_equal(ours[-2:], exact[-2:])
    hidden = zip(ours[:-2], exact[:-2], strict=True)
    cosines = [float(nn.functional.cosine_similarity(a.flatten(), b.flatten(), 0)) for a, b in hidden]
    assert (min(cosines) > 1 - 1e-12) == (decay == 0)


@pytest.mark.parametrize("decay", DECAYS)
def test_without_a_trace_it_is_sltt(decay):
    """Autograd of steps whose past is a constant."""
    layers, s = parameters(), spikes(2, 3, STEPS, SIZES[0])
    ours = ottt(s, layers, decay, 1.0, trace_decay=0.0)[-1]
    states, out = [0.0] * len(layers), []
    for signal in s.unbind(2):
        for k, (weight, bias) in enumerate(layers):
            potential = decay * states[k] + affine(signal, weight, bias)
            signal = Fire.apply(potential - 1.0, "exponential", 1.0)
            states[k] = (potential - signal).detach()
        out.append(signal)
    theirs, weight = torch.stack(out, dim=2), normal(*ours.shape, seed=1)
    assert torch.equal(ours, theirs)
    expected = gradients((theirs * weight).sum(), layers)
    assert_equal(gradients((ours * weight).sum(), layers), expected)
    traced = gradients((ottt(s, layers, decay, 1.0)[-1] * weight).sum(), layers)
    assert torch.allclose(traced[0], expected[0]) == (decay == 0)


@pytest.mark.parametrize("mask", [False, True])
def test_two_forms_of_the_traced_gradient(mask):
    """Traces of the input, or the error filtered backwards: what the first layer's events take."""
    (weight, bias), s = parameters()[0], spikes(2, 3, STEPS, SIZES[0])
    own = torch.ones(2, 1, STEPS, 1, dtype=torch.float64)
    own[0, :, :20] = 0
    s, own = (s * own, own) if mask else (s, None)
    first = traced_affine(s, weight, bias, 0.9, own)
    plain = affine(s, weight, bias)
    second = traced_gradient(plain if own is None else plain * own, 0.9)
    assert torch.equal(first, second)
    delta = normal(*first.shape, seed=3)
    ours, theirs = (gradients((x * delta).sum(), [(weight, bias)]) for x in (first, second))
    assert_equal(ours, theirs)
    kept = delta if own is None else delta * own
    assert_equal([ours[0]], [outer_sum(reversed_trace(kept, 0.9), s)])
    ages = [math.fsum(0.9**k for k in range(t + 1)) for t in range(STEPS)]
    late = [0.0] * 20 + ages[: STEPS - 20] if mask else ages
    expected = torch.einsum("st,sbto->so", torch.tensor([late, ages], dtype=torch.float64), delta)
    assert_equal([ours[1]], [expected])


@pytest.mark.parametrize("decay", [0.5, 0.95, 1.0])
@pytest.mark.parametrize("threshold", [1.0, 0.7])
@pytest.mark.parametrize("form", ["closed", "recursive"])
def test_saf_fires_as_the_lif_neuron(decay, threshold, form):
    """Spikes, and potentials u[t] = U[t] - V D a[t-1], with U in closed form or by its recurrence."""
    (weight, bias), s = parameters(scale=0.5)[0], spikes(2, 40, 200, SIZES[0])
    potentials, fired = simulate(affine(s, weight, bias).detach(), decay, threshold)
    drive = accumulated_affine(trace(s, decay), weight, bias, decay)
    if form == "recursive":
        rows, past = [], 0.0
        for step in affine(s, weight, bias).unbind(2):  # W (a[t] - D a[t-1]) + b
            past = decay * past + step
            rows.append(past)
        drive = torch.stack(rows, dim=2)
    a = saf_accumulate(drive, decay, threshold)
    assert torch.equal(spikes_of(a, decay), fired)
    assert 0.05 < fired.mean() < 0.95
    before = nn.functional.pad(a, (0, 0, 1, 0))[:, :, :-1]
    torch.testing.assert_close(drive - threshold * decay * before, potentials, rtol=0, atol=1e-11)


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("threshold", [1.0, 0.7])
def test_saf_with_a_loss_at_every_step_is_ottt(decay, surrogate, threshold):
    layers, s = parameters(), spikes(2, 3, STEPS, SIZES[0])
    with_spikes = ottt(s, layers, decay, threshold, surrogate)
    with_sums = [spikes_of(a, decay) for a in saf(s, layers, decay, threshold, surrogate)]
    for ours, theirs in zip(with_sums, with_spikes, strict=True):
        assert torch.equal(ours, theirs)
    weight = normal(*with_spikes[-1].shape, seed=1)
    grads = [gradients((out[-1] * weight).sum(), layers) for out in (with_sums, with_spikes)]
    assert_equal(*grads)


def test_a_recurrence_with_its_past_detached_is_sltt_not_saf():
    decay, (weight, bias), s = 0.9, parameters()[0], spikes(2, 3, STEPS, SIZES[0])
    rows, past, before, sums = [], 0.0, torch.zeros_like(s[:, :, 0]), trace(s, decay)
    for a in sums.unbind(2):
        past = decay * past + affine(a - decay * before, weight, bias)
        rows.append(past)
        past, before = past.detach(), a
    a = saf_accumulate(torch.stack(rows, dim=2), decay, 1.0)
    error = normal(*a.shape, seed=1)
    trap = gradients((a * error).sum(), [(weight, bias)])
    sltt = ottt(s, [(weight, bias)], decay, 1.0, trace_decay=0.0)[-1]
    assert_equal(trap, gradients((sltt * error).sum(), [(weight, bias)]))
    proper = gradients((saf(s, [(weight, bias)], decay, 1.0)[-1] * error).sum(), [(weight, bias)])
    assert not torch.allclose(trap[0], proper[0], rtol=0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_neuron_at_its_threshold_fires(dtype):
    """Numbers with few binary digits, whose sums are exact: ties are ties in every form."""
    steps, generator = 16, torch.Generator().manual_seed(0)
    x = torch.randint(-2, 4, (1, 40, steps, 5), generator=generator).to(dtype) / 2
    potentials, fired = simulate(x, 0.5, 1.0)
    ties = potentials == 1
    assert ties.sum() > 50 and fired[ties].all()
    assert torch.equal(ottt_spikes(x, 0.5, 1.0), fired)
    assert torch.equal(spikes_of(saf_accumulate(trace(x, 0.5), 0.5, 1.0), 0.5), fired)
    below = torch.nextafter(torch.ones(1, 1, 1, 1, dtype=dtype), torch.zeros((), dtype=dtype))
    assert not ottt_spikes(below, 0.5, 1.0).any() and not saf_accumulate(below, 0.5, 1.0).any()


def test_spikes_come_back_exactly_from_accumulations():
    """0 or 1 in float32 too; what is subtracted has no gradient."""
    for decay in (0.0, 0.951, 0.998, 1.0):
        s = spikes(1, 4, 1000, 8).float()
        a = trace(s, decay).requires_grad_()
        assert torch.equal(spikes_of(a, decay), s)
    weight = torch.randn(*a.shape)
    (spikes_of(a, 1.0) * weight).sum().backward()
    assert torch.equal(a.grad, weight)


@pytest.mark.parametrize("decay", [0.5, 0.95, 1.0])
@pytest.mark.parametrize("threshold", [1.0, 0.7])
def test_the_weighted_rate_is_the_map_and_its_residual(decay, threshold):
    """r = (W r_in + b) / V - u_post / (V Lambda_T), u_post the potential that the last reset leaves."""
    (weight, bias), s = parameters()[0], spikes(2, 3, STEPS, SIZES[0])
    total = math.fsum(decay**k for k in range(STEPS))
    potentials, fired = simulate(affine(s, weight, bias), decay, threshold)
    rate_in, rate = (remembered_sum(signal, decay) / total for signal in (s, fired))
    left = potentials[:, :, -1] - threshold * fired[:, :, -1]
    expected = affine(rate_in, weight, bias) / threshold - left / (threshold * total)
    torch.testing.assert_close(rate, expected, rtol=0, atol=1e-12)
    assert left.abs().max() / (threshold * total) > 1e-3


def final_gradients(layers, s, threshold, method) -> tuple[list[Tensor], list[Tensor]]:
    """Of a chain of layers at its last step, and the rates that its neurons had."""
    decay = 0.95
    total = math.fsum(decay**k for k in range(STEPS))
    rate, rates = remembered_sum(s, decay) / total, []
    for weight, bias in layers:
        s = simulate(affine(s, weight, bias), decay, threshold)[1]
        rate = final_layer(rate, weight, bias, remembered_sum(s, decay) / total, threshold, method)
        rates.append(rate)
    return gradients((rate * normal(*rate.shape, seed=1)).sum(), layers), rates


@pytest.mark.parametrize("threshold", [1.0, 0.6])
def test_the_two_final_step_gradients_differ_by_powers_of_the_threshold(threshold):
    layers, s = parameters(scale=0.4), spikes(2, 3, STEPS, SIZES[0])
    saf_f, rates = final_gradients(layers, s, threshold, "saf-f")
    other, same = final_gradients(layers, s, threshold, "spike-representation")
    assert all(torch.equal(*pair) for pair in zip(rates, same, strict=True))
    powers = [len(layers) - index // 2 for index in range(len(saf_f))]  # layers from here to the output
    assert_equal(saf_f, [threshold**k * g for g, k in zip(other, powers, strict=True)])
    assert all(g.abs().max() > 1e-3 for g in other)


def test_the_final_step_gradient_is_that_of_the_clipped_map_at_the_rates_that_were():
    layers, s = parameters(scale=0.4), spikes(2, 3, STEPS, SIZES[0])
    ours, rates = final_gradients(layers, s, 0.7, "spike-representation")
    rate = remembered_sum(s, 0.95) / math.fsum(0.95**k for k in range(STEPS))
    open_, count = 0, 0
    for (weight, bias), reached in zip(layers, rates, strict=True):
        z = affine(rate, weight, bias) / 0.7
        rate = reached.detach() + only_gradient(z.clamp(0, 1))
        open_, count = open_ + int(((z > 0) & (z < 1)).sum()), count + z.numel()
    assert 0.2 < open_ / count < 0.95
    assert_equal(ours, gradients((rate * normal(*rate.shape, seed=1)).sum(), layers))


def test_an_unknown_final_step_method_is_refused():
    one = torch.ones(1, 1, 1)
    with pytest.raises(ValueError, match="saf-f"):
        final_layer(one, one, one[0], one, 1.0, "saf-e")


def twin_layers(surrogate="sigmoid") -> tuple[OTTTLayer, SAFLayer]:
    torch.manual_seed(0)
    first = OTTTLayer(6, 5, 0.01, 0.001, 0.3, surrogate).double()
    second = SAFLayer(6, 5, 0.01, 0.001, 0.3, surrogate).double()
    second.load_state_dict(first.state_dict())
    return first, second


def test_the_layers_alone_are_a_stack_of_one():
    first, second = twin_layers()
    assert first.decay == math.exp(-0.1)
    assert first.weight.abs().max() <= 0.5**0.5 and not first.bias.any()
    s = spikes(4, STEPS, 6)
    weight = normal(4, STEPS, 5, seed=2)
    fired, sums = first(s), second(trace(s, second.decay))
    assert torch.equal(fired, spikes_of(sums, second.decay)) and fired.shape == (4, STEPS, 5)
    assert 0.05 < fired.mean() < 0.95
    (fired * weight).sum().backward()
    (sums * weight).sum().backward()
    assert_equal([first.weight.grad, first.bias.grad], [second.weight.grad, second.bias.grad])
    stacked = (first.weight.unsqueeze(0), first.bias.unsqueeze(0))
    alone = stepwise(s.unsqueeze(0), [stacked], first.decay, 0.3, "sigmoid")
    expected = torch.autograd.grad((alone[0] * weight).sum(), [first.weight, first.bias])
    assert_equal([first.weight.grad, first.bias.grad], expected)


def test_a_layer_without_traces():
    torch.manual_seed(0)
    layer = OTTTLayer(6, 5, 0.01, threshold=0.3, traced=False).double()
    s = spikes(4, STEPS, 6)
    fired, weight = layer(s), normal(4, STEPS, 5, seed=2)
    (fired * weight).sum().backward()
    stacked = (layer.weight.unsqueeze(0), layer.bias.unsqueeze(0))
    alone = stepwise(s.unsqueeze(0), [stacked], layer.decay, 0.3, "exponential", traced=False)
    assert_equal(
        [layer.weight.grad, layer.bias.grad],
        torch.autograd.grad((alone[0] * weight).sum(), [layer.weight, layer.bias]),
    )


@pytest.mark.parametrize("method", ["saf-f", "spike-representation"])
def test_the_final_step_layer_alone(method):
    torch.manual_seed(0)
    layers = [FinalStepLayer(6, 5, 0.1, threshold=0.6, method=method).double() for _ in range(1)]
    layers.append(FinalStepLayer(5, 4, 0.1, threshold=0.6, method=method).double())
    s = spikes(4, STEPS, 6)
    fired, rate = layers[1](*layers[0](s))
    assert fired.shape == (4, STEPS, 4) and not fired.requires_grad
    total = math.fsum(layers[0].decay ** k for k in range(STEPS))
    torch.testing.assert_close(rate, remembered_sum(fired, layers[0].decay) / total)
    rate.sum().backward()
    assert all(p.grad.abs().max() > 0 for layer in layers for p in layer.parameters())


def two_classes(samples=100, steps=30, inputs=12) -> tuple[Tensor, Tensor]:
    """Which half of the inputs is more active."""
    labels = torch.arange(samples) % 2
    lively = (torch.arange(inputs) * 2 // inputs).eq(labels.unsqueeze(1))
    rate = torch.where(lively, 0.35, 0.15).double()
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(samples, steps, inputs, generator=generator, dtype=torch.float64)
    return (drawn < rate.unsqueeze(1)).double(), labels


def votes(signal: Tensor) -> Tensor:
    """Logits (..., 2): each class has half of the neurons."""
    return 4 * signal.unflatten(-1, (2, -1)).mean(dim=-1)


def per_step(layers, kind, s) -> Tensor:
    """The last layer's spikes."""
    if kind == "ottt":
        return layers[1](layers[0](s))
    return spikes_of(layers[1](layers[0](trace(s, layers[0].decay))), layers[0].decay)


@pytest.mark.parametrize("kind", ["ottt", "saf-e", "saf-f", "spike-representation"])
def test_the_layers_learn_a_small_task(kind):
    """Two layers under votes that do not learn, of words that were not seen in training."""
    torch.manual_seed(1)
    make = {"ottt": OTTTLayer, "saf-e": SAFLayer}.get(kind, FinalStepLayer)
    extra = {"method": kind} if make is FinalStepLayer else {}
    layers = nn.ModuleList(make(12, width, 0.02, **extra) for width in (12, 20)).double()
    optimizer = torch.optim.Adam(layers.parameters(), lr=0.01)
    s, labels = two_classes()
    for _ in range(40):
        if make is FinalStepLayer:
            logits, wanted = votes(layers[1](*layers[0](s))[1]), labels
        else:
            logits = votes(per_step(layers, kind, s))
            wanted = labels.unsqueeze(1).expand(-1, logits.shape[1])
        loss = nn.functional.cross_entropy(logits[:60].flatten(0, -2), wanted[:60].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    scores = logits[60:] if logits.dim() == 2 else logits[60:].mean(dim=1)
    assert (scores.argmax(dim=1) == labels[60:]).double().mean() >= 0.9
