"""The way back through a layer's neurons, on a tile: from dL/ds to dL/dx, backwards in time.

With the slopes that `fire.py` kept, e = dL/du, and g = dL/ds:

    SPSN      e[t] = slope[t] g[t] + beta e[t+1]
    LIF       e[t] = slope[t] g[t] + beta (1 - s[t]) e[t+1]          the reset passes no gradient on
    all       dx[t] = (1-beta) e[t] + alpha dx[t+1]           LIF, equation 6: (1 - s[t-1]) (1-beta) e[t]

In place: the tile holds g before and dx after. The states e and dx are carried from tile to earlier tile.
"""

from spsn.compiled import jit
from spsn.kernels.cpu.fire import LIF_CODE, LIF_PAPER, RELU
from spsn.kernels.cpu.lanes import above, magnitude, select, signs
from spsn.kernels.cpu.simd import LANES, fma, load, splat, store


@jit
def integrator_adjoint(neuron, tile, steps, states, begin, end):
    """Through the integrator alone: dL/du (TILE, N) becomes dL/dx in the columns begin ... end-1.

    states (2, N): e and dx.
    """
    width = tile.shape[1]
    alpha, beta, gain = splat(neuron.alpha), splat(neuron.beta), splat(1 - neuron.beta)
    for column in range(begin, end, LANES):
        error, drive = load(states, column), load(states, width + column)
        for t in range(steps - 1, -1, -1):
            at = t * width + column
            error = fma(beta, error, load(tile, at))
            drive = fma(alpha, drive, gain * error)
            store(tile, at, drive)
        store(states, column, error)
        store(states, width + column, drive)


@jit
def _spsn_adjoint(neuron, tile, steps, states, slopes, first, constant, begin, end):
    width = tile.shape[1]
    alpha, beta, gain = splat(neuron.alpha), splat(neuron.beta), splat(1 - neuron.beta)
    for column in range(begin, end, LANES):
        error, drive = load(states, column), load(states, width + column)
        own = load(constant, column)
        for t in range(steps - 1, -1, -1):
            at = t * width + column
            error = fma(beta, error, load(slopes, first + at) * (load(tile, at) + own))
            drive = fma(alpha, drive, gain * error)
            store(tile, at, drive)
        store(states, column, error)
        store(states, width + column, drive)


@jit
def _lif_adjoint(neuron, t0, tile, steps, states, slopes, first, constant, begin, end):
    width = tile.shape[1]
    alpha, beta, gain = splat(neuron.alpha), splat(neuron.beta), splat(1 - neuron.beta)
    zero = splat(0.0)
    for column in range(begin, end, LANES):
        error, drive = load(states, column), load(states, width + column)
        own = load(constant, column)
        for t in range(steps - 1, -1, -1):
            at = t * width + column
            slope = load(slopes, first + at)
            kept = select(signs(slope), zero, beta)  # what a step's error takes from the next one
            error = fma(kept, error, magnitude(slope) * (load(tile, at) + own))
            passed = gain * error
            if neuron.kind == LIF_PAPER and t0 + t > 0:
                passed = select(signs(load(slopes, first + at - width)), zero, passed)
            drive = fma(alpha, drive, passed)
            store(tile, at, drive)
        store(states, column, error)
        store(states, width + column, drive)


@jit
def _relu_adjoint(tile, steps, outputs, first, constant):
    width = tile.shape[1]
    zero = splat(0.0)
    for column in range(0, width, LANES):
        own = load(constant, column)
        for t in range(steps):
            at = t * width + column
            lives = above(load(outputs, first + at), zero)
            store(tile, at, select(lives, load(tile, at) + own, zero))


@jit
def masked_adjoint(tile, steps, masks, first, constant):
    """`neuron_adjoint` of the non-spiking unit by masks of what was above 0, flat from `first` on."""
    width = tile.shape[1]
    for column in range(0, width, LANES):
        own = load(constant, column)
        for t in range(steps):
            at = t * width + column
            lives = masks[first + at // LANES]
            store(tile, at, select(lives, load(tile, at) + own, splat(0.0)))


@jit
def neuron_adjoint(neuron, t0, tile, steps, states, slopes, first, constant, begin, end):
    """dL/ds, less `constant` (N,) that is the same at every step, becomes dL/dx; t0: the tile's first step.

    begin, end: the columns to do, whole vectors (the non-spiking unit does all).
    """
    if neuron.kind == RELU:
        _relu_adjoint(tile, steps, slopes, first, constant)
    elif neuron.kind == LIF_CODE or neuron.kind == LIF_PAPER:
        _lif_adjoint(neuron, t0, tile, steps, states, slopes, first, constant, begin, end)
    else:
        _spsn_adjoint(neuron, tile, steps, states, slopes, first, constant, begin, end)
