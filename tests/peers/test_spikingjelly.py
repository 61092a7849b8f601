"""SpikingJelly as the judge of a parallel spiking unit and of LIF with a soft reset; `make peers` runs this
where SpikingJelly is.

MaskedPSN of order k = T, its mask complete (lambda = 1), on T time steps:

    s = 1[(tril(M) x)[t] + c[t] >= 0]     IPSU as its authors' code has it:  M = tril(W) - R, c = b - theta

LIFNode without a decayed input and with a soft reset (v_reset=None) is the neuron of `spsn.neurons.exodus`:

    v[t] = (1 - 1 / tau) (v[t-1] - theta s[t-1]) + x[t]     s[t] = 1[v[t] >= theta]     lam = 1 - 1 / tau

Surrogates: Sigmoid(4) and ATan(2), their defaults.
"""

import math

import pytest
import torch
from peers_judge import WHY, share
from soft_reset_judge import clear, noisy
from torch import Tensor

from spsn.neurons.exodus import soft_reset_lif
from spsn.neurons.parallel_spiking_unit import fire, potential

neuron = pytest.importorskip("spikingjelly.activation_based.neuron", reason=WHY)
surrogate = pytest.importorskip("spikingjelly.activation_based.surrogate", reason=WHY)

DECAYS = [0.5, math.exp(-0.2), math.exp(-0.05)]
THRESHOLDS = [0.7, 1.0]
MOST = 24  # time steps of the weights over time
MARGIN = 1e-5  # of any potential from its threshold: no rounding turns a spike


def over_time() -> dict[str, Tensor]:
    """Weights and biases over time that make units fire now and then."""
    weight = noisy((MOST, MOST), 5).double() * (2 / MOST) ** 0.5
    return {"time_weight": weight, "time_bias": 0.3 * noisy((MOST, 1), 6).double()}


def masked_psn(steps: int, decay: float, threshold: float, slope: float, dtype: torch.dtype):
    """The last `steps` of those weights, less the reset, as a MaskedPSN: (T, ...) to (T, ...)."""
    lag = torch.arange(MOST)[:, None] - torch.arange(MOST)
    reset = torch.where(lag > 0, decay ** lag.double(), 0.0)
    learned = over_time()
    atan = surrogate.ATan(alpha=slope)
    made = neuron.MaskedPSN(steps, steps, lambda_init=1.0, surrogate_function=atan, step_mode="m").to(dtype)
    with torch.no_grad():
        made.weight.copy_((learned["time_weight"].tril() - reset)[-steps:, -steps:])
        made.bias.copy_(learned["time_bias"][-steps:] - threshold)
    return made


def clear_for_units(steps: int, decay: float, threshold: float) -> Tensor:
    """An input (3, T, 30) with which no unit's potential comes near its threshold."""
    for seed in range(100):
        x = noisy((3, steps, 30), seed)
        v = potential("ipsu-code", x.double(), over_time(), decay, threshold)
        if (v - threshold).abs().min() > 10 * MARGIN:
            return x
    raise AssertionError("no clear input found")


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize(("steps", "slope"), [(MOST, 2.0), (17, 3.0)])
@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("decay", DECAYS)
def test_ipsu_code_is_a_masked_parallel_spiking_neuron(decay, threshold, steps, slope, dtype, near):
    """Spikes and the gradients of input, weights, biases; fewer steps meet the last rows and columns."""
    x = clear_for_units(steps, decay, threshold).to(dtype).requires_grad_()
    learned = {name: value.to(dtype).requires_grad_() for name, value in over_time().items()}
    constant = {"slope": torch.full((1, 1), slope, dtype=dtype)}
    s = fire("ipsu-code", x, learned | constant, decay, threshold)

    judge, given = masked_psn(steps, decay, threshold, slope, dtype), x.detach().clone().requires_grad_()
    theirs = judge(given.transpose(0, 1)).transpose(0, 1)
    assert 0.05 < s.mean() < 0.95 and torch.equal(s, theirs)

    weigh = noisy(x.shape, 99).to(dtype)
    (s * weigh).sum().backward()
    (theirs * weigh).sum().backward()
    assert share(x.grad, given.grad) < near
    of_weight, of_bias = learned["time_weight"].grad, learned["time_bias"].grad
    assert share(of_weight[-steps:, -steps:], judge.weight.grad) < near
    assert share(of_bias[-steps:], judge.bias.grad) < near
    assert not of_weight.triu(1).any() and not of_weight[:-steps].any() and not of_bias[:-steps].any()


@pytest.mark.parametrize("slope", [1.0, 2.0, 3.0])
def test_the_slope_s_gradient_is_that_of_its_arctangent(slope):
    """ATan's slope is not learned there; with spiking=False it is a function that autograd differentiates."""
    v, weigh = noisy((2, 9, 5), 8).double(), noisy((2, 9, 5), 99).double()
    theirs = torch.tensor(slope, dtype=torch.float64, requires_grad=True)
    (surrogate.ATan.primitive_function(v, theirs) * weigh).sum().backward()
    learned = {"time_weight": torch.eye(9).double(), "time_bias": torch.zeros(9, 1).double()}
    learned["slope"] = torch.full((1, 1), slope, dtype=torch.float64, requires_grad=True)
    (fire("ipsu-code", v + 1, learned, 0.0, 1.0) * weigh).sum().backward()
    assert learned["slope"].grad.item() == pytest.approx(theirs.grad.item(), rel=1e-12)


def test_at_the_threshold_the_masked_neuron_fires_and_the_unit_does_not():
    judge = neuron.MaskedPSN(1, 1, lambda_init=1.0, step_mode="m")
    with torch.no_grad():
        judge.weight.fill_(1.0)
        judge.bias.fill_(-1.0)
    learned = {"slope": torch.full((1, 1), 2.0), "time_weight": torch.ones(1, 1)}
    learned["time_bias"] = torch.zeros(1, 1)
    for value, theirs, own in ((1.0, 1.0, 0.0), (1.001, 1.0, 1.0), (0.999, 0.0, 0.0)):
        x = torch.full((1, 1), value)
        assert judge(x).item() == theirs and fire("ipsu-code", x, learned, 0.5, 1.0).item() == own


def tau_of(decay: float) -> float:
    """SpikingJelly's: the decay is 1 - 1 / tau."""
    return 1 / (1 - decay)


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize(
    ("detach_reset", "gradients"), [(False, ["bptt", "exodus"]), (True, ["bptt-detached", "slayer"])]
)
def test_its_lif_is_exodus_and_detached_slayer(detach_reset, gradients, decay, threshold, dtype, near):
    constants = {"v_threshold": threshold, "v_reset": None, "decay_input": False}
    judge = neuron.LIFNode(tau_of(decay), detach_reset=detach_reset, step_mode="m", **constants)
    given = clear("exodus", (3, 60, 20), decay, threshold, MARGIN).to(dtype)
    theirs = given.clone().requires_grad_()
    expected = judge(theirs.transpose(0, 1)).transpose(0, 1)
    weigh = noisy(given.shape, 99).to(dtype)
    (expected * weigh).sum().backward()
    for gradient in gradients:
        x = given.clone().requires_grad_()
        s = soft_reset_lif(x, decay, threshold, gradient, "sigmoid")
        assert 0.05 < s.mean() < 0.95 and torch.equal(s, expected)
        (s * weigh).sum().backward()
        assert share(x.grad, theirs.grad) < near
