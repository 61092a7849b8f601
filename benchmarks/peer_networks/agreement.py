"""The page's section on results: what the libraries' neurons and this package's agree on once set alike.

It says what `tests/peers` asserts. Nothing in it is measured.
"""

from spsn.timing.benchmark import table

HEAD = ("this package", "its judge, and how that is set", "what is compared")
JUDGED = [
    (
        "`bptt`, `exodus`",
        "sinabs LIF, IAF: one spike a step, `norm_input=False`, surrogate of width 1",
        "spikes, the input's gradient, weights and biases of four layers; single precision too",
    ),
    ("`bptt-detached`, `slayer`", "the same, spikes detached before they reset", "the same, but for single"),
    (
        "`bptt`, `exodus`",
        "SpikingJelly LIFNode: soft reset, `decay_input=False`, Sigmoid",
        "spikes, the input's gradient; single precision too",
    ),
    ("`bptt-detached`, `slayer`", "the same with `detach_reset=True`", "the same"),
    (
        "`ottt`",
        "SpikingJelly OTTTLIFNode in OTTTSequential, a loss at every step",
        "spikes, logits, weights of three layers, the first with a trace of its input and without",
    ),
    (
        "`ottt` without traces: SLTT",
        "SpikingJelly SLTTLIFNode: soft reset, `decay_input=False`",
        "spikes, logits, weights and biases of three layers",
    ),
    ("`saf-e`", "as of `ottt`, with a trace of the input", "spikes, logits, weights of three layers"),
    (
        "`ipsu-code`",
        "SpikingJelly MaskedPSN of order T: weights tril(W) - R, biases b - threshold",
        "spikes, gradients of input, weights and biases; single precision too",
    ),
    (
        "the slope that units learn",
        "SpikingJelly ATan's function, differentiated by autograd",
        "the slope's gradient",
    ),
    (
        "`spike-representation`, `saf-f`, no leak",
        "SpikingJelly DSRIFNode, `alpha=1`; times the threshold per layer for `saf-f`",
        "spikes, weights and biases of three layers, to single precision",
    ),
    (
        "`spike-representation`",
        "SpikingJelly DSRLIFNode, `alpha=1`, input divided by 1 - decay",
        "spikes, biases of three layers but for its factor k (below), to single precision",
    ),
]

SECTION = """## What agrees

`make peers` runs `tests/peers` before it measures: the libraries' neurons with this package's constants, on
inputs that bring no potential so near its threshold that rounding decides. Spikes are equal; logits and
gradients differ by less than 1e-12 of their greatest value in double precision, 1e-5 in single.

{judged}

Where the libraries depart from the neurons here, and how one is got from the other:

- Decay: exp(-1 / tau) in sinabs, with tau in steps, as here; 1 - 1 / tau in SpikingJelly.
- Input: sinabs multiplies it by 1 - alpha without `norm_input=False`, SpikingJelly divides it by tau without
  `decay_input=False`. A layer here gets it as it is.
- Spikes: without SingleSpike sinabs fires floor(v / threshold) times in a step. Its spikes are float32
  whatever its input is, and gradients through them no more exact; above they have the potential's type.
- Reset: both leave it in autograd's graph unless told otherwise, so their gradient is that of `bptt` and
  `exodus`, not `slayer`. In OTTTLIFNode and SLTTLIFNode all of the past potential is a constant, the reset
  included, whatever `detach_reset` says.
- Threshold: a neuron at its threshold fires. Only the parallel spiking units here do not, as in their
  authors' program; MaskedPSN does.
- Surrogate: sinabs' exponential has width 1/2 by itself, 1 here. Sigmoid and ATan have the slopes of here.
- OTTT's first layer learns without a trace from a plain input, which is `instantaneous` here; given the input
  and its trace it learns as `traced` does.
- OTTT's biases: db is the sum of delta[t] in SpikingJelly, as in the authors' program. Here a bias is the
  weight of a unit that fires at every step; given such a unit, SpikingJelly's weight to it learns as the bias
  here.
- Spike Representation: by itself DSRLIFNode fires at 0.3 of its threshold, DSRIFNode at half. DSRLIFNode has
  q = dt / tau where 1 - exp(-q) is exact, so errors grow by k = q / (1 - exp(-q)) in each layer, and rates
  above 1 / k count as clipped. It spreads errors evenly over time: its weights learn from the plain mean of
  their input, here from the weighted one.

No library here has PSU, RPSU or `ipsu-sigmoid`: they are without a judge. EXODUS' and SLAYER's own kernels
(sinabs-exodus) are compiled by a CUDA toolkit when they are installed, which an environment for CPUs has not.
"""


def agreement() -> str:
    """The section's text."""
    return SECTION.format(judged=table(HEAD, JUDGED))
