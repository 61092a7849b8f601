"""The page's section on results: what the libraries' neurons and this package's agree on once set alike.

It says what `tests/peers` asserts. Nothing in it is measured.
"""

from spsn.timing.benchmark import table

HEAD = ("this package", "compared with, and its settings", "what is compared")
JUDGED = [
    (
        "`bptt`, `exodus`",
        "sinabs LIF, IAF: one spike a step, `norm_input=False`, surrogate of width 1",
        "spikes, the input's gradient, weights and biases of four layers; single precision too",
    ),
    (
        "`bptt-detached`, `slayer`",
        "the same, spikes detached before they reset",
        "the same, without single precision",
    ),
    (
        "`bptt`, `exodus`",
        "SpikingJelly LIFNode: soft reset, `decay_input=False`, Sigmoid",
        "spikes, the input's gradient; single precision too",
    ),
    ("`bptt-detached`, `slayer`", "the same with `detach_reset=True`", "the same"),
    (
        "`ottt`",
        "SpikingJelly OTTTLIFNode in OTTTSequential, a loss at every step",
        "spikes, logits, weights of three layers, the first with and without a trace of its input",
    ),
    (
        "`ottt` without traces: SLTT",
        "SpikingJelly SLTTLIFNode: soft reset, `decay_input=False`",
        "spikes, logits, weights and biases of three layers",
    ),
    ("`saf-e`", "as for `ottt`, with a trace of the input", "spikes, logits, weights of three layers"),
    (
        "`ipsu-code`",
        "SpikingJelly MaskedPSN of order T: weights tril(W) - R, biases b - threshold",
        "spikes, gradients of input, weights and biases; single precision too",
    ),
    (
        "the learned slope of a unit",
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
        "spikes, biases of three layers up to its factor k (below), to single precision",
    ),
]

SECTION = """## What agrees

Before it measures, `make peers` runs `tests/peers`, which gives the libraries' neurons this package's
constants. The inputs keep every potential so far from the threshold that rounding cannot decide a spike. Then
spikes are equal, and logits and gradients differ by less than 1e-12 of their greatest value in double
precision, 1e-5 in single.

{judged}

How the libraries' neurons differ from those here, and how to translate between them:

- Decay: exp(-1 / tau) in sinabs, with tau in steps, as here; 1 - 1 / tau in SpikingJelly.
- Input: by default, sinabs multiplies it by 1 - alpha (`norm_input=False` turns this off) and SpikingJelly
  divides it by tau (`decay_input=False`). Here a layer takes its input unchanged.
- Spikes: without SingleSpike, sinabs fires floor(v / threshold) times in a step. Its spikes are always
  float32, so gradients through them have no higher precision; for the comparison they have the potential's
  type.
- Reset: by default, both libraries differentiate it, so their gradient is that of `bptt` and `exodus`, not of
  `slayer`. OTTTLIFNode and SLTTLIFNode treat the whole past potential, reset included, as a constant,
  whatever `detach_reset` says.
- Threshold: a neuron exactly at its threshold fires. The only exceptions are the parallel spiking units here,
  as in their authors' program; MaskedPSN fires.
- Surrogate: sinabs' exponential has width 1/2 by default, 1 here. Sigmoid and ATan have the same slopes as
  here.
- OTTT's first layer: given the plain input, it learns without a trace, which is `instantaneous` here; given
  the input and its trace, it learns as `traced` does.
- OTTT's biases: in SpikingJelly, as in the authors' program, db is the sum of delta[t]. Here a bias is the
  weight of a unit that fires at every step. If SpikingJelly is given such a unit, its weight learns as the
  bias here.
- Spike Representation: by default, DSRLIFNode fires at 0.3 of its threshold and DSRIFNode at half. DSRLIFNode
  uses q = dt / tau in place of the exact 1 - exp(-q), so errors grow by k = q / (1 - exp(-q)) in each layer,
  and rates above 1 / k count as clipped. It spreads errors evenly over time: its weights learn from the plain
  mean of their input, here from the weighted mean.

No library here has PSU, RPSU or `ipsu-sigmoid`, so these are not compared with any. Neither are the
kernels of EXODUS and SLAYER's authors (sinabs-exodus): installing them needs a CUDA toolkit.
"""


def agreement() -> str:
    """The section's text."""
    return SECTION.format(judged=table(HEAD, JUDGED))
