"""Parallel spiking units: their matrices, the neuron they stand for, their limits, gradients and masks."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from spsn.errors import SpsnError
from spsn.neurons.integrator import decay, recurrence
from spsn.neurons.parallel_spiking_unit import (
    ParallelSpikingUnit,
    estimated_spikes,
    fire,
    initial_parameters,
    input_matrix,
    input_response,
    learned_response,
    potential,
    reset_matrix,
    reset_response,
)

CASES = [
    ("psu", "literal"),
    ("psu", "centred"),
    ("ipsu-code", "literal"),
    ("ipsu-sigmoid", "literal"),
    ("ipsu-sigmoid", "centred"),
    ("rpsu", "literal"),
    ("rpsu", "centred"),
]
KINDS = ["psu", "ipsu-code", "ipsu-sigmoid", "rpsu"]
FORMS = ["auto", "recurrence", "fft", "chunks"]
LAM = 0.8
THRESHOLD = 0.7


def drive(*shape, seed=0, mean=0.5, spread=1.5) -> torch.Tensor:
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return mean + spread * noise


def learned(steps, *lead, seed=5) -> dict[str, torch.Tensor]:
    """Parameters of any kind, with entries everywhere: above the diagonal too, and in the bias."""
    return {
        "slope": 2 + drive(*lead, 1, 1, seed=seed, mean=0, spread=0.3),
        "time_weight": drive(*lead, steps, steps, seed=seed + 1, mean=0, spread=(2 / steps) ** 0.5),
        "time_bias": drive(*lead, steps, 1, seed=seed + 2, mean=0.1, spread=0.2),
    }


def leaves(parameters: dict) -> dict[str, torch.Tensor]:
    return {name: value.clone().requires_grad_() for name, value in parameters.items()}


def soft_reset_lif(x: torch.Tensor, lam: float, threshold: float) -> tuple[torch.Tensor, torch.Tensor]:
    """u[t] = lam (u[t-1] - theta s[t-1] + x[t]), s[t] = 1[u[t] > theta], step by step."""
    u, s, potentials, spikes = torch.zeros_like(x[..., 0, :]), 0.0, [], []
    for x_t in x.unbind(-2):
        u = lam * (u - threshold * s + x_t)
        s = (u > threshold).to(u.dtype)
        potentials.append(u)
        spikes.append(s)
    return torch.stack(potentials, dim=-2), torch.stack(spikes, dim=-2)


def step_by_step(kind, x, parameters, lam, threshold, reset) -> torch.Tensor:
    """V of one neuron after another step, from the recurrences alone: D, its estimate, the reset Q."""
    zero = torch.zeros_like(x[..., 0, :])
    integrated, left, estimate, potentials = zero, zero, None, []
    for t in range(x.shape[-2]):
        left = zero if estimate is None else lam * (left + estimate)
        integrated = lam * (integrated + x[..., t, :])
        rows = parameters["time_weight"][..., t, : t + 1, None]
        mixed = (rows * x[..., : t + 1, :]).sum(dim=-2) + parameters["time_bias"][..., t, :]
        guess = integrated if kind == "psu" else mixed
        estimate = (
            x[..., t, :] if kind == "ipsu-code" else torch.sigmoid(guess - threshold * (reset != "literal"))
        )
        amplitude = threshold if kind == "psu" else 1.0
        main = mixed if kind.startswith("ipsu") else integrated
        potentials.append(main - amplitude * left)
    return torch.stack(potentials, dim=-2)


def far_apart(one: torch.Tensor, other: torch.Tensor) -> float:
    one, other = one.detach().double(), other.detach().double()
    return float((one - other).abs().max() / other.abs().max().clamp(min=1e-300))


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that any operation gives, forwards or backwards."""

    numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, list | tuple) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.numel = max(self.numel, tensor.untyped_storage().nbytes() // tensor.element_size())
        return result


def test_the_matrices_are_those_of_the_paper():
    a, r = input_matrix(0.5, 4), reset_matrix(0.5, 4)
    assert a.tolist() == [
        [0.5, 0, 0, 0],
        [0.25, 0.5, 0, 0],
        [0.125, 0.25, 0.5, 0],
        [0.0625, 0.125, 0.25, 0.5],
    ]
    assert r.tolist() == [[0, 0, 0, 0], [0.5, 0, 0, 0], [0.25, 0.5, 0, 0], [0.125, 0.25, 0.5, 0]]
    assert not input_matrix(0.0, 3).any() and not reset_matrix(0.0, 3).any()


@pytest.mark.parametrize(("kind", "reset"), CASES)
def test_potentials_are_those_of_the_recurrences_step_by_step(kind, reset):
    x, parameters = drive(3, 40, 4), learned(40)
    expected = step_by_step(kind, x, parameters, LAM, THRESHOLD, reset)
    for form in ["matrix", *FORMS]:
        v = potential(kind, x, parameters, LAM, THRESHOLD, reset, form=form)
        assert far_apart(v, expected) < 1e-12


@pytest.mark.parametrize("steps", [1, 2, 7, 64, 300])
@pytest.mark.parametrize(("kind", "reset"), CASES)
def test_every_form_equals_the_matrices_in_value_and_gradient(kind, reset, steps):
    weight = drive(2, steps, 3, seed=1)
    results = {}
    for form in ["matrix", *FORMS]:
        x, parameters = drive(2, steps, 3).requires_grad_(), leaves(learned(steps))
        v = potential(kind, x, parameters, LAM, THRESHOLD, reset, form=form)
        s = fire(kind, x, parameters, LAM, THRESHOLD, reset, form=form)
        (s * weight).sum().backward()
        own = ["slope"] if kind == "psu" else list(parameters)
        results[form] = (v, x.grad, *(parameters[name].grad for name in own))
        results[form, "spikes"] = s
    for form in FORMS:
        assert torch.equal(results[form, "spikes"], results["matrix", "spikes"])
        for result, expected in zip(results[form], results["matrix"], strict=True):
            assert far_apart(result, expected) < 1e-12


@pytest.mark.parametrize("lam", [0.0, 0.3, decay(0.02, 0.001), 1.0])
def test_responses_at_every_decay(lam):
    x = drive(2, 90, 3)
    for form in FORMS:
        for response in (input_response, reset_response):
            assert (response(x, lam, form) - response(x, lam, "matrix")).abs().max() < 1e-11


def test_without_a_reset_it_is_a_leaky_integrator_with_a_threshold():
    x, parameters = drive(3, 80, 4), learned(80)
    integrated = LAM * recurrence(x, LAM, 0.0)
    nothing = torch.zeros(80, 1, dtype=x.dtype)  # a mask that leaves nothing to estimate: R e = 0
    for kind in ("psu", "rpsu"):
        v = potential(kind, x, parameters, LAM, THRESHOLD, mask=nothing)
        assert far_apart(v, integrated) < 1e-12
    assert far_apart(potential("psu", x, parameters, LAM, 0.0), integrated) < 1e-12
    spikes = fire("psu", x, parameters, LAM, 0.0)
    assert torch.equal(spikes, (integrated > 0).double()) and 0.2 < spikes.mean() < 0.9


@pytest.mark.parametrize(("lam", "threshold"), [(0.5, 0.3), (0.8, 1.0), (0.95, 2.0)])
def test_true_spikes_in_place_of_the_estimate_make_the_sequential_neuron(lam, threshold):
    x = drive(3, 120, 5)
    u, s = soft_reset_lif(x, lam, threshold)
    v = input_response(x, lam) - threshold * reset_response(s, lam)
    assert far_apart(v, u) < 1e-12
    assert torch.equal((v > threshold).double(), s) and 0.05 < s.mean() < 0.8


def test_repeating_the_estimate_reaches_the_sequential_neuron():
    """R is strictly lower triangular: every repetition settles at least one more step."""
    lam, threshold, steps = 0.5, 1.0, 60
    x = drive(20, steps, 50, mean=1.0, spread=2.0)
    expected = soft_reset_lif(x, lam, threshold)[1]
    d = input_response(x, lam)
    s, repetitions = torch.zeros_like(x), 0
    while not torch.equal(s, expected):
        s = (d - threshold * reset_response(s, lam) > threshold).double()
        repetitions += 1
        assert torch.equal(s[:, :repetitions], expected[:, :repetitions])
        assert repetitions <= steps
    assert 2 < repetitions < 30


@pytest.mark.parametrize("reset", ["literal", "centred"])
def test_it_fires_about_as_often_as_the_sequential_neuron(reset):
    """At the authors' decay and threshold, 1/2 and 0.3; the integrator alone fires far more."""
    lam, threshold = 0.5, 0.3
    x = drive(20, 60, 50, spread=1.0)
    estimated = fire("psu", x, learned(60), lam, threshold, reset)
    sequential = soft_reset_lif(x, lam, threshold)[1]
    without = (input_response(x, lam) > threshold).double()
    assert abs(estimated.mean() - sequential.mean()) < 0.03
    assert without.mean() > sequential.mean() + 0.08
    agreement = {"estimated": (estimated == sequential), "without": (without == sequential)}
    assert agreement["estimated"].double().mean() > 0.94 > agreement["without"].double().mean()


@pytest.mark.parametrize("reset", ["literal", "centred"])
def test_with_the_fixed_matrix_all_readings_meet(reset):
    """tril(W) = A, b = 0 and theta = 1."""
    steps = 70
    a, r = (torch.from_numpy(m(LAM, steps)) for m in (input_matrix, reset_matrix))
    above = torch.ones(steps, steps, dtype=a.dtype).triu(1)
    fixed = {**learned(steps), "time_weight": a + above, "time_bias": torch.zeros(steps, 1, dtype=a.dtype)}
    x = drive(3, steps, 4)
    expected = potential("psu", x, fixed, LAM, 1.0, reset)
    for kind in ("rpsu", "ipsu-sigmoid"):
        assert far_apart(potential(kind, x, fixed, LAM, 1.0, reset), expected) < 1e-12
    other = learned(steps)
    masked = torch.matmul(other["time_weight"].tril() - r, x) + other["time_bias"]
    assert far_apart(potential("ipsu-code", x, other, LAM, 1.0), masked) < 1e-12


def test_the_threshold_scales_the_reset_of_the_plain_unit_alone():
    x, parameters = drive(2, 50, 3), learned(50)
    mixed = learned_response(x, parameters["time_weight"], parameters["time_bias"])
    for kind, amplitude in (("psu", 0.3), ("ipsu-sigmoid", 1.0), ("rpsu", 1.0)):
        d = mixed if kind == "ipsu-sigmoid" else input_response(x, LAM)
        guess = d if kind == "psu" else mixed
        expected = d - amplitude * reset_response(torch.sigmoid(guess), LAM)
        assert far_apart(potential(kind, x, parameters, LAM, 0.3), expected) < 1e-12


@pytest.mark.parametrize("form", ["matrix", *FORMS])
@pytest.mark.parametrize(("kind", "reset"), CASES)
def test_nothing_comes_before_its_cause(kind, reset, form):
    """Exactly so, but for the Fourier form, which leaks its rounding error."""
    x, parameters = drive(2, 100, 3), learned(100)
    later = x.clone()
    later[:, 60:] += 1
    v, changed = (potential(kind, i, parameters, LAM, THRESHOLD, reset, form=form) for i in (x, later))
    assert (v - changed)[:, :60].abs().max() <= (1e-13 if form == "fft" else 0)
    assert (v - changed)[:, 60].abs().max() > 1e-2
    x.requires_grad_()
    v = potential(kind, x, parameters, LAM, THRESHOLD, reset, form=form)
    (gradient,) = torch.autograd.grad(v[:, 59].sum(), x)
    assert gradient[:, 60:].abs().max() <= (1e-13 if form == "fft" else 0)
    assert gradient[:, :60].abs().max() > 1e-2


@pytest.mark.parametrize(("kind", "reset"), CASES)
def test_gradients_are_those_of_a_smooth_spike(kind, reset):
    """With arctan(pi a v / 2) / pi + 1/2 in place of the step, autograd of the matrices gives the same."""
    weight, gradients = drive(3, 45, 4, seed=1), []
    for smooth in (False, True):
        x, parameters = drive(3, 45, 4).requires_grad_(), leaves(learned(45))
        if smooth:
            v = potential(kind, x, parameters, LAM, THRESHOLD, reset, form="matrix") - THRESHOLD
            s = torch.atan(math.pi * parameters["slope"] * v / 2) / math.pi + 0.5
        else:
            s = fire(kind, x, parameters, LAM, THRESHOLD, reset)
        (s * weight).sum().backward()
        own = ["slope"] if kind == "psu" else list(parameters)
        gradients.append([x.grad, *(parameters[name].grad for name in own)])
    for result, expected in zip(*gradients, strict=True):
        assert expected.abs().max() > 1e-3
        assert far_apart(result, expected) < 1e-11


def test_gradient_of_the_slope_by_finite_differences():
    x, parameters = drive(3, 45, 4), leaves(learned(45))
    weight = drive(3, 45, 4, seed=1)
    (fire("psu", x, parameters, LAM, THRESHOLD) * weight).sum().backward()
    v = potential("psu", x, {}, LAM, THRESHOLD) - THRESHOLD

    def smooth(a: float) -> float:
        return float((weight * (torch.atan(math.pi * a * v / 2) / math.pi + 0.5)).sum())

    a, step = parameters["slope"].item(), 1e-5
    expected = (smooth(a + step) - smooth(a - step)) / (2 * step)
    assert parameters["slope"].grad.item() == pytest.approx(expected, rel=1e-7)


def test_the_surrogate_at_given_distances():
    """A single step with W = 1 has V = x; the derivative is a / (2 (1 + (pi a v / 2)^2))."""
    v = torch.tensor([[0.0, 0.5, -0.5, 3.0]], dtype=torch.float64)
    identity = {"time_weight": torch.ones(1, 1).double(), "time_bias": torch.zeros(1, 1).double()}
    for a in (2.0, 5.0):
        x = (v + 1).requires_grad_()
        slope = torch.full((1, 1), a, dtype=torch.float64, requires_grad=True)
        s = fire("ipsu-code", x, {**identity, "slope": slope}, LAM, 1.0)
        s.sum().backward()
        assert s.tolist() == [[0.0, 1.0, 0.0, 1.0]]  # strictly above: silent at the threshold itself
        common = [1 / (2 * (1 + (math.pi * a * d / 2) ** 2)) for d in v[0].tolist()]
        assert x.grad[0].tolist() == pytest.approx([a * c for c in common], rel=1e-14)
        assert slope.grad.item() == pytest.approx(
            sum(c * d for c, d in zip(common, v[0].tolist(), strict=True))
        )


@pytest.mark.parametrize("threshold", [0.4, 1.0])
def test_potential_at_rest(threshold):
    lam, steps = 0.9, 400
    silence = torch.zeros(steps, 2, dtype=torch.float64)
    parameters = {**learned(steps), "time_bias": torch.zeros(steps, 1, dtype=torch.float64)}
    settled = lam / (1 - lam)
    literal, centred = 0.5 * settled, settled / (1 + math.exp(threshold))
    for kind, reset in CASES:
        amplitude = threshold if kind == "psu" else 1.0
        expected = -amplitude * (literal if reset == "literal" else centred) if kind != "ipsu-code" else 0.0
        v = potential(kind, silence, parameters, lam, threshold, reset)
        assert v[-1].tolist() == pytest.approx([expected] * 2, rel=1e-12)
        assert not v[0].any()
        assert not fire(kind, silence, parameters, lam, threshold, reset).any()


@pytest.mark.parametrize(("tau_steps", "literal", "centred"), [(20, -9.75, -5.25), (5, -2.26, -1.21)])
def test_potential_at_rest_of_the_benchmark(tau_steps, literal, centred):
    silence, lam = torch.zeros(600, 1, dtype=torch.float64), math.exp(-1 / tau_steps)
    for reset, expected in (("literal", literal), ("centred", centred)):
        assert potential("psu", silence, {}, lam, 1.0, reset)[-1].item() == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(("kind", "reset"), CASES[2:])
def test_a_shorter_input_meets_the_last_rows_and_columns(kind, reset):
    most, steps = 90, 41
    parameters, x = learned(most), drive(2, steps, 3)
    cropped = {
        "slope": parameters["slope"],
        "time_weight": parameters["time_weight"][-steps:, -steps:],
        "time_bias": parameters["time_bias"][-steps:],
    }
    v = potential(kind, x, parameters, LAM, THRESHOLD, reset)
    assert torch.equal(v, potential(kind, x, cropped, LAM, THRESHOLD, reset))
    first = {
        "time_weight": parameters["time_weight"][:steps, :steps],
        "time_bias": parameters["time_bias"][:steps],
    }
    assert far_apart(potential(kind, x, first, LAM, THRESHOLD, reset), v) > 0.01


@pytest.mark.parametrize("kind", KINDS[1:])
def test_an_input_longer_than_the_weights_is_refused(kind):
    unit = ParallelSpikingUnit(kind, steps=30)
    assert unit(torch.zeros(2, 30, 3)).shape == (2, 30, 3)
    with pytest.raises(SpsnError, match="31 time steps is longer than the 30"):
        unit(torch.zeros(2, 31, 3))


@pytest.mark.parametrize("form", ["auto", "fft"])
@pytest.mark.parametrize(("kind", "reset"), CASES)
def test_a_run_alone_equals_the_run_in_a_longer_stack(kind, reset, form):
    lengths, most, steps, samples, neurons = (33, 70, 58), 80, 70, 2, 3
    parameters = leaves(learned(most, len(lengths), 1))
    x = drive(len(lengths), samples, steps, neurons)
    weight = drive(len(lengths), samples, steps, neurons, seed=1)
    mask = torch.stack([torch.arange(steps) >= steps - own for own in lengths]).double()[:, None, :, None]
    x = (x * mask).requires_grad_()
    together = fire(kind, x, parameters, LAM, THRESHOLD, reset, mask, form)
    v = potential(kind, x, parameters, LAM, THRESHOLD, reset, mask, form)
    (together * weight).sum().backward()
    own_names = ["slope"] if kind == "psu" else list(parameters)
    for r, own in enumerate(lengths):
        alone = {name: value[r, 0].detach().requires_grad_() for name, value in parameters.items()}
        x_alone = x[r, :, steps - own :].detach().requires_grad_()
        s = fire(kind, x_alone, alone, LAM, THRESHOLD, reset, form=form)
        (s * weight[r, :, steps - own :]).sum().backward()
        assert torch.equal(together[r, :, steps - own :], s) and 0.02 < s.mean() < 0.98
        assert not together[r, :, : steps - own].any()
        assert (
            far_apart(v[r, :, steps - own :], potential(kind, x_alone, alone, LAM, THRESHOLD, reset)) < 1e-12
        )
        assert far_apart(x.grad[r, :, steps - own :], x_alone.grad) < 1e-11
        for name in own_names:
            assert far_apart(parameters[name].grad[r, 0], alone[name].grad) < 1e-11


def test_what_is_masked_is_not_estimated():
    """Without the mask sigma(0) would pull every potential down before the run begins."""
    mask = (torch.arange(50) >= 20).double()[:, None]
    x = drive(2, 50, 3) * mask
    with_mask, without = (potential("psu", x, {}, LAM, 1.0, mask=m) for m in (mask, None))
    assert not with_mask[:, :20].any()
    assert ((with_mask - without)[:, 20] > 1).all()
    assert not estimated_spikes(x, 1.0, "literal", mask)[:, :20].any()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("kind", "reset"), CASES)
def test_single_precision(kind, reset, form):
    lam, x, parameters = decay(0.02, 0.001), drive(3, 300, 5), learned(300)
    single = {name: value.float() for name, value in parameters.items()}
    expected = potential(kind, x, parameters, lam, 1.0, reset, form="matrix")
    v = potential(kind, x.float(), single, lam, 1.0, reset, form=form)
    assert v.dtype == torch.float32
    assert far_apart(v, expected) < 5e-6
    clear = (expected - 1).abs() > 1e-5 * expected.abs().max()
    s = fire(kind, x.float(), single, lam, 1.0, reset, form=form)
    assert torch.equal(s[clear].bool(), (expected > 1)[clear]) and clear.double().mean() > 0.99


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_learned_matrix_has_time_steps_squared(kind):
    """No T x T buffer for A or R, and none per sample for W, forwards or backwards."""
    runs, samples, steps, neurons = 2, 6, 512, 2
    initial = [initial_parameters(kind, steps, seed, 0) for seed in range(runs)]
    parameters = leaves({name: torch.stack([p[name] for p in initial])[:, None] for name in initial[0]})
    x = drive(runs, samples, steps, neurons).float().requires_grad_()
    with Largest() as largest:
        fire(kind, x, parameters, LAM, 1.0).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in (x, *parameters.values()))
    if kind == "psu":
        assert x.numel() <= largest.numel < 2 * x.numel()
    else:
        assert largest.numel == runs * steps**2


@pytest.mark.parametrize(("kind", "reset"), CASES)
def test_the_layer_learns(kind, reset):
    """Two inputs that differ in when they come, told apart by spikes in a later window."""
    torch.manual_seed(0)
    inputs = torch.zeros(2, 20, 6)
    inputs[0, 2:6, :3], inputs[1, 8:12, 3:] = 2.0, 2.0
    affine, readout = nn.Linear(6, 16), nn.Linear(16, 2)
    unit = ParallelSpikingUnit(kind, 0.02, 0.01, 0.3, reset, steps=24, seed=3)
    before = {name: value.detach().clone() for name, value in unit.named_parameters()}
    assert set(before) == ({"slope"} if kind == "psu" else {"slope", "time_weight", "time_bias"})
    learning = [*affine.parameters(), *unit.parameters(), *readout.parameters()]
    optimiser, losses = torch.optim.Adamax(learning, lr=0.02), []
    for _ in range(80):
        loss = nn.functional.cross_entropy(readout(unit(affine(inputs)).mean(dim=1)), torch.tensor([0, 1]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    for name, value in unit.named_parameters():
        assert value.isfinite().all() and not torch.equal(value, before[name])


@pytest.mark.parametrize("kind", KINDS)
def test_the_layer_is_the_function_with_its_own_parameters(kind):
    unit = ParallelSpikingUnit(kind, tau_mem=0.02, time_step=0.004, threshold=0.5, steps=45, seed=7, layer=2)
    assert unit.decay == math.exp(-0.2)
    initial = initial_parameters(kind, 45, 7, 2)
    x = drive(2, 45, 3).float()
    mask = (torch.arange(45) >= 9).float()[:, None]
    assert unit.state_dict().keys() == initial.keys()
    assert torch.equal(unit(x), fire(kind, x, initial, math.exp(-0.2), 0.5))
    assert torch.equal(unit(x * mask, mask), fire(kind, x * mask, initial, math.exp(-0.2), 0.5, mask=mask))


def test_initial_parameters():
    parameters = initial_parameters("rpsu", 301, 3, 1)
    assert {name: tuple(p.shape) for name, p in parameters.items()} == {
        "slope": (1, 1),
        "time_weight": (301, 301),
        "time_bias": (301, 1),
    }
    assert all(p.dtype == torch.float32 for p in parameters.values())
    assert parameters["slope"].item() == 2.0 and not parameters["time_bias"].any()
    weight = parameters["time_weight"].double()
    assert not weight.triu(1).any()
    drawn = weight[torch.ones(301, 301).tril().bool()].numpy() / (2 / 301) ** 0.5
    error = len(drawn) ** -0.5
    assert abs(drawn.mean()) < 4 * error
    assert abs(drawn.var() - 1) < 4 * error * 2**0.5
    assert abs((drawn**4).mean() - 3) < 4 * error * 96**0.5
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 4 * error
    assert initial_parameters("psu", None, 3, 1).keys() == {"slope"}


def test_initial_parameters_depend_on_seed_and_layer_alone():
    def weight(kind="rpsu", seed=3, layer=1):
        return initial_parameters(kind, 40, seed, layer)["time_weight"]

    assert torch.equal(weight(), weight("ipsu-code"))
    torch.manual_seed(99)
    assert torch.equal(weight(), weight())
    drawn = torch.stack(
        [weight(seed=s, layer=i)[torch.ones(40, 40).tril().bool()] for s in (3, 4) for i in (0, 1)]
    )
    correlation = torch.corrcoef(drawn) - torch.eye(4)
    assert correlation.abs().max() < 5 * drawn.shape[1] ** -0.5


@pytest.mark.parametrize(("kind", "reset"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_inputs_stay_finite(kind, reset, dtype):
    x = torch.tensor([-1e4, -100.0, -50.0, 0.0, 50.0, 100.0, 1e4], dtype=dtype).repeat(60, 1).requires_grad_()
    parameters = leaves({name: value.to(dtype) for name, value in learned(60).items()})
    s = fire(kind, x, parameters, LAM, 1.0, reset)
    s.sum().backward()
    assert s.dtype == dtype and set(s.unique().tolist()) == {0.0, 1.0}
    assert x.grad.isfinite().all() and parameters["slope"].grad.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_leading_dimensions_and_strides_do_not_matter(kind):
    x, parameters = drive(2, 3, 45, 4), learned(45)
    v = potential(kind, x, parameters, LAM, 1.0)
    assert v.shape == x.shape
    assert far_apart(potential(kind, x[1, 2], parameters, LAM, 1.0), v[1, 2]) < 1e-12
    time_last = x.transpose(-1, -2).contiguous().transpose(-1, -2)
    assert far_apart(potential(kind, time_last, parameters, LAM, 1.0), v) < 1e-12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "ppsu"}, "one of psu"),
        ({"kind": "psu", "reset": "soft"}, "reset"),
        ({"kind": "ipsu-code", "reset": "centred", "steps": 5}, "estimates no spikes"),
        ({"kind": "rpsu"}, "number of steps"),
        ({"kind": "rpsu", "steps": 0}, "number of steps"),
        ({"kind": "psu", "tau_mem": 0.0}, "time constant"),
        ({"kind": "psu", "threshold": 0.0}, "threshold"),
        ({"kind": "psu", "time_step": 0.0}, "time step"),
        ({"kind": "rpsu", "steps": 3, "seed": -1}, "seed"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ParallelSpikingUnit(**arguments)


def test_a_bad_kind_or_reset_is_refused_by_the_function():
    x, parameters = drive(2, 5, 3), learned(5)
    for kind, reset in (("lif", "literal"), ("psu", "paper"), ("ipsu-code", "centred")):
        with pytest.raises(ValueError):
            fire(kind, x, parameters, LAM, 1.0, reset)
