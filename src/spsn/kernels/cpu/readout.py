"""Leaky integrators that do not fire, on tiles: the readout of a loss over time.

i[t] = alpha i[t-1] + x[t]        u[t] = beta u[t-1] + (1-beta) i[t]
"""

from spsn.compiled import jit
from spsn.kernels.cpu.simd import LANES, fma, load, splat, store


@jit
def integrate_tile(neuron, x, first, steps, states, u, first_out, begin, end):
    """u from x, both (steps, N) flat from their first elements on, in the columns begin ... end-1.

    states (2, N): current and potential. u may be x.
    """
    width = states.shape[1]
    alpha, beta, gain = splat(neuron.alpha), splat(neuron.beta), splat(1 - neuron.beta)
    for column in range(begin, end, LANES):
        current, potential = load(states, column), load(states, width + column)
        for t in range(steps):
            at = t * width + column
            current = fma(alpha, current, load(x, first + at))
            potential = fma(beta, potential, gain * current)
            store(u, first_out + at, potential)
        store(states, column, current)
        store(states, width + column, potential)
