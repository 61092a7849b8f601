"""A layer's neurons on a tile of pre-activations: integrate, fire, and keep what the gradient needs.

One pass over time for each block of sixteen neurons; the states i and u (`spsn.neurons.integrator`) stay in
registers within a tile and are carried from tile to tile. Kept for the gradient, at every step, is the slope
ds/du alone, so that the way back needs neither potentials nor noise nor exponentials:

    SPSN-SB   rho = sigma(u)                         s = 1[r < rho]      slope rho^2 (1 - rho)
    SPSN-GS   y = r / (r + (1-r) e^(-2u))            s = 1[y > 1/2]      slope 2 y (1 - y)
    LIF       reset as in `spsn.neurons.lif`         s = 1[u > u_th]     slope 1 / (100 |u - u_th| + 1)^2

The equations are those of `spsn.neurons.spsn` and `spsn.neurons.lif`; y is sigma(2u + log r - log(1-r)) with
the logarithms taken out. LIF's slope carries the spike in its sign bit: its way back needs that too.

Spikes leave as masks, (TILE, N / 16) uint16. Shapes: x (TILE, N); slopes (steps, N) flat from `first` on.
"""

from collections import namedtuple

import numpy as np

from spsn.compiled import jit
from spsn.kernels.cpu.lanes import above, exp, magnitude, select, store_patterns
from spsn.kernels.cpu.philox import fill_uniforms
from spsn.kernels.cpu.simd import LANES, fma, load, splat, store, store_past_cache
from spsn.neurons.lif import SURROGATE_SLOPE

SPSN_SB, SPSN_GS, LIF_CODE, LIF_PAPER, RELU = 0, 1, 2, 3, 4

# What all neurons of a network share: the kind (above), the decays alpha and beta, LIF's threshold.
Neuron = namedtuple("Neuron", "kind alpha beta threshold")


@jit
def fire_sb(neuron, x, steps, states, uniforms, column, slopes, first, masks):
    """SPSN-SB, sixteen neurons from `column` on; states (2, N): current and potential."""
    width = x.shape[1]
    alpha, beta, gain = splat(neuron.alpha), splat(neuron.beta), splat(1 - neuron.beta)
    one = splat(1.0)
    current, potential = load(states, column), load(states, width + column)
    for t in range(steps):
        current = fma(alpha, current, load(x, t * width + column))
        potential = fma(beta, potential, gain * current)
        e = exp(splat(0.0) - potential)
        rho = one / (one + e)
        masks[t, column // LANES] = above(rho, load(uniforms, t * LANES))
        store_past_cache(slopes, first + t * width + column, rho * rho * (rho * e))
    store(states, column, current)
    store(states, width + column, potential)


@jit
def fire_gs(neuron, x, steps, states, uniforms, column, slopes, first, masks):
    """SPSN-GS at temperature 1; see `fire_sb`."""
    width = x.shape[1]
    alpha, beta, gain = splat(neuron.alpha), splat(neuron.beta), splat(1 - neuron.beta)
    one, two = splat(1.0), splat(2.0)
    current, potential = load(states, column), load(states, width + column)
    for t in range(steps):
        current = fma(alpha, current, load(x, t * width + column))
        potential = fma(beta, potential, gain * current)
        r = load(uniforms, t * LANES)
        silent = (one - r) * exp(splat(-2.0) * potential)
        scale = one / (r + silent)
        masks[t, column // LANES] = above(r, silent)
        store_past_cache(slopes, first + t * width + column, two * (r * scale) * (silent * scale))
    store(states, column, current)
    store(states, width + column, potential)


@jit
def fire_lif(neuron, x, steps, states, column, slopes, first, masks):
    """LIF with the authors' reset; states (2, N): current and what the reset left of the potential."""
    width = x.shape[1]
    alpha, beta, gain = splat(neuron.alpha), splat(neuron.beta), splat(1 - neuron.beta)
    threshold, steep = splat(neuron.threshold), splat(SURROGATE_SLOPE)
    one, zero, minus = splat(1.0), splat(0.0), splat(-0.0)  # -0 - 0 keeps the sign
    current, left = load(states, column), load(states, width + column)
    for t in range(steps):
        current = fma(alpha, current, load(x, t * width + column))
        potential = fma(beta, left, gain * current)
        fired = above(potential, threshold)
        masks[t, column // LANES] = fired
        left = select(fired, zero, potential)
        distance = fma(steep, magnitude(potential - threshold), one)
        slope = one / (distance * distance)
        store_past_cache(slopes, first + t * width + column, select(fired, minus - slope, slope))
    store(states, column, current)
    store(states, width + column, left)


@jit
def fire_lif_paper(neuron, x, steps, states, before, column, slopes, first, masks):
    """LIF with equation 6 to the letter; `before`: the mask of the spikes of the step before the tile."""
    width = x.shape[1]
    alpha, beta, gain = splat(neuron.alpha), splat(neuron.beta), splat(1 - neuron.beta)
    threshold, steep = splat(neuron.threshold), splat(SURROGATE_SLOPE)
    one, zero, minus = splat(1.0), splat(0.0), splat(-0.0)
    current, potential = load(states, column), load(states, width + column)
    fired = before
    for t in range(steps):
        current = fma(alpha, current, load(x, t * width + column))
        potential = select(fired, zero, fma(beta, potential, gain * current))
        fired = above(potential, threshold)
        masks[t, column // LANES] = fired
        distance = fma(steep, magnitude(potential - threshold), one)
        slope = one / (distance * distance)
        store_past_cache(slopes, first + t * width + column, select(fired, minus - slope, slope))
    store(states, column, current)
    store(states, width + column, potential)


@jit
def rectify(x, steps, outputs, first):
    """The non-spiking unit: outputs (steps, N) flat from `first` on, max(x, 0)."""
    width = x.shape[1]
    zero = splat(0.0)
    for at in range(0, steps * width, LANES):
        value = load(x, at)
        store(outputs, first + at, select(above(zero, value), zero, value))


@jit
def fire(neuron, address, layer, element, t0, steps, x, states, uniforms, slopes, first, masks, begin, end):
    """The neurons begin ... end-1 of a layer on one tile of `steps` steps from the run's own step t0 on.

    element: the number of the sample's first neuron in the noise's address. The masks' last row holds the
    last step of the tile before and is overwritten by the one of this.
    """
    for column in range(begin, end, LANES):
        block = column // LANES
        if neuron.kind == SPSN_SB or neuron.kind == SPSN_GS:
            fill_uniforms(uniforms, address, layer, element + column, t0, steps)
        if neuron.kind == SPSN_SB:
            fire_sb(neuron, x, steps, states, uniforms, column, slopes, first, masks)
        elif neuron.kind == SPSN_GS:
            fire_gs(neuron, x, steps, states, uniforms, column, slopes, first, masks)
        elif neuron.kind == LIF_CODE:
            fire_lif(neuron, x, steps, states, column, slopes, first, masks)
        else:
            before = masks[masks.shape[0] - 1, block] if t0 > 0 else np.uint16(0)
            fire_lif_paper(neuron, x, steps, states, before, column, slopes, first, masks)
        for t in range(steps, (steps + 3) // 4 * 4):
            masks[t, block] = 0


@jit
def keep_patterns(masks, steps, patterns, first):
    """Masks as patterns of four steps (`products.add_outer_spikes`), flat from `first` on."""
    width = masks.shape[1] * LANES
    for t in range(0, steps, 4):
        for block in range(masks.shape[1]):
            at = first + t // 4 * width + block * LANES
            store_patterns(
                patterns, at, masks[t, block], masks[t + 1, block], masks[t + 2, block], masks[t + 3, block]
            )


@jit
def keep_signs(outputs, first, steps, masks, at, width):
    """Masks of the outputs above 0, flat from `at` on; outputs (steps, N = width) flat from `first` on."""
    for block in range(steps * width // LANES):
        masks[at + block] = above(load(outputs, first + block * LANES), splat(0.0))


@jit
def count_spikes(masks, steps, totals):
    """totals (N,) += sum_t s[t]."""
    zero, one = splat(0.0), splat(1.0)
    for block in range(masks.shape[1]):
        total = load(totals, block * LANES)
        for t in range(steps):
            total = total + select(masks[t, block], one, zero)
        store(totals, block * LANES, total)


@jit
def weigh_spikes(masks, steps, weights, weighted):
    """weighted (N,) += sum_t weights[t] s[t]."""
    zero = splat(0.0)
    for block in range(masks.shape[1]):
        total = load(weighted, block * LANES)
        for t in range(steps):
            total = total + select(masks[t, block], splat(weights[t]), zero)
        store(weighted, block * LANES, total)


@jit
def weigh_outputs(outputs, first, steps, weights, weighted):
    """weighted (N,) += sum_t weights[t] y[t] for outputs (steps, N) flat from `first` on."""
    width = weighted.shape[0]
    for column in range(0, width, LANES):
        total = load(weighted, column)
        for t in range(steps):
            total = fma(splat(weights[t]), load(outputs, first + t * width + column), total)
        store(weighted, column, total)


@jit
def count_outputs(outputs, first, steps, totals):
    """totals (N,) += sum_t y[t]."""
    width = totals.shape[0]
    for column in range(0, width, LANES):
        total = load(totals, column)
        for t in range(steps):
            total = total + load(outputs, first + t * width + column)
        store(totals, column, total)


@jit
def spread(masks, steps, spikes, begin, end):
    """Masks as numbers, 0 or 1, in the columns begin ... end-1 of spikes (steps, N)."""
    width = spikes.shape[1]
    zero, one = splat(0.0), splat(1.0)
    for t in range(steps):
        for column in range(begin, end, LANES):
            store(spikes, t * width + column, select(masks[t, column // LANES], one, zero))
