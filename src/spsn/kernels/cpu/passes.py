"""The way forward and the way back of one sample through the whole network, tile by tile.

A tile of `TILE` time steps passes through all layers before the next one begins, so that pre-activations,
spikes and gradients live in cache; what reaches memory is one slope a neuron and step, and the spikes' bits.
Backwards the tiles come in reverse order, and within a tile the layers.

Samples are independent but for the parameters' gradients. Those are summed sample by sample within a group of
samples, group by group afterwards: an order that no number of threads changes.

Numbers: S runs, B samples, L hidden layers, T steps (the stack's longest), W neurons and C classes filled up
to a multiple of 16. Time counts a run's own steps.
"""

from collections import namedtuple

from spsn.compiled import jit
from spsn.kernels.cpu.adjoint import integrator_adjoint, masked_adjoint, neuron_adjoint
from spsn.kernels.cpu.events import add_event_gradient, add_events, prepare_columns
from spsn.kernels.cpu.fire import (
    RELU,
    count_outputs,
    count_spikes,
    fire,
    keep_patterns,
    keep_signs,
    rectify,
    weigh_outputs,
    weigh_spikes,
)
from spsn.kernels.cpu.philox import Address
from spsn.kernels.cpu.products import GROUP, TILE, add_outer_spikes, add_spikes, multiply
from spsn.kernels.cpu.readout import integrate_tile
from spsn.kernels.cpu.simd import LANES, load, splat, store
from spsn.kernels.cpu.tiles import add_over_time, add_to_rows, clear, copy

# One pass of a stack: the neuron, (S,) seeds and the rest of the noise's address, whether the gradient will
# be wanted, whether the readout runs over time (else its mean alone is wanted, from the `averaged` spikes).
Pass = namedtuple("Pass", "neuron seeds purpose step epoch keep over_time")
# Parameters. first (S, 700, W); hidden (S, L-1, in, out), its `sums`, and back (S, L-1, out, in); bias
# (S, L, W); read, read_sums, read_back, read_bias: the same of the readout. What is not needed is empty.
Weights = namedtuple("Weights", "first hidden sums back bias read read_sums read_back read_bias")
# What the way forward leaves. Flat: slopes (S, B, held, T, W) of `held` layers, the first `skipped` left out,
# and from `room` on a tile for every worker and layer; patterns (S, B, L, T / 4, W) uint8; masks
# (S, B, T, W / 16) uint16. Then totals (S, B, L, W): sum_t s; averaged (S, B, W): sum_t c[t] s[t] of the last
# layer; potentials (S, B, T, C). The non-spiking network has outputs in place of slopes. Its first layer is
# made again on the way back, and of its last one the masks of what is above 0 suffice.
Kept = namedtuple("Kept", "slopes patterns masks totals averaged potentials steps held skipped room")
# dL/d of what the way forward gave: averaged (S, B, W), potentials (S, B, T, C), constant (S, L, W) a step.
Errors = namedtuple("Errors", "averaged potentials constant")
# Gradients of the parameters of one group of samples: first (700, W), hidden (L-1, in, out), bias (L, W),
# read (in, C), read_bias (C,).
Gradients = namedtuple("Gradients", "first hidden bias read read_bias")
# A worker's own: two tiles, the readout's tile, masks (L, TILE, W / 16), states (L, 2, W) and the readout's
# (2, C), room for a tile's uniforms and for tables of sums, the columns of a sample's channels, its number.
Scratch = namedtuple("Scratch", "tile other read masks states read_states uniforms sums columns slot")


@jit
def _layer_at(kept, scratch, number, layer, layers, t0, width):
    """Where a layer's slopes of a tile begin; those that are not held take one place of the worker's."""
    held = layer - kept.skipped
    if 0 <= held < kept.held:
        return ((number * kept.held + held) * kept.steps + t0) * width
    return kept.room + (scratch.slot * layers + layer) * TILE * width


@jit
def _pattern_at(kept, item, layer, layers, t0, width):
    return ((item * layers + layer) * ((kept.steps + GROUP - 1) // GROUP) + t0 // GROUP) * width


@jit
def _begin_sample(scratch):
    """All neurons at rest."""
    clear(scratch.states, 0, scratch.states.size)
    clear(scratch.read_states, 0, scratch.read_states.size)


@jit
def _round_up(steps):
    return (steps + 3) // 4 * 4


@jit
def _pre_activation(of, weights, events, draws, kept, scratch, run, item, layer, t0, steps):
    """scratch.tile: what a hidden layer's affine map gives for a tile."""
    samples, (layers, width) = draws.samples.shape[1], weights.bias.shape[1:]
    tile, bias = scratch.tile, weights.bias[run, layer]
    if layer == 0:
        columns = scratch.columns
        add_events(events, draws, run, item, t0, steps, columns, weights.first[run], bias, tile)
    elif of.neuron.kind == RELU:
        below = _layer_at(kept, scratch, run * samples + item, layer - 1, layers, t0, width)
        multiply(kept.slopes, below, width, 1, weights.hidden[run, layer - 1], tile, steps, width, False)
        add_to_rows(tile, steps, bias)
    else:
        add_spikes(scratch.masks[layer - 1], weights.sums[run, layer - 1], bias, tile, steps)


@jit
def _forward_layer(of, weights, kept, coefficients, scratch, run, item, samples, size, layer, t0, steps):
    """The neurons of one layer on scratch.tile; `size`: neurons that the layer really has."""
    layers, width = weights.bias.shape[1:]
    number = run * samples + item
    first = _layer_at(kept, scratch, number, layer, layers, t0, width)
    totals, averaged, weighting = (
        kept.totals[run, item, layer],
        kept.averaged[run, item],
        coefficients[run, t0:],
    )
    if of.neuron.kind == RELU:
        rectify(scratch.tile, steps, kept.slopes, first)
        count_outputs(kept.slopes, first, steps, totals)
        if layer == layers - 1:
            weigh_outputs(kept.slopes, first, steps, weighting, averaged)
            if of.keep and not of.over_time:
                at = (number * kept.steps + t0) * (width // LANES)
                keep_signs(kept.slopes, first, steps, kept.masks, at, width)
        return
    masks = scratch.masks[layer]
    address = Address(of.seeds[run], of.purpose, of.step, of.epoch)
    states, uniforms = scratch.states[layer], scratch.uniforms
    fire(
        of.neuron, address, layer, item * size, t0, steps, scratch.tile, states, uniforms, kept.slopes, first,
        masks, 0, width,
    )  # fmt: skip
    count_spikes(masks, steps, totals)
    if layer == layers - 1:
        weigh_spikes(masks, steps, weighting, averaged)
    if of.keep:
        keep_patterns(masks, steps, kept.patterns, _pattern_at(kept, number, layer, layers, t0, width))


@jit
def _read_tile(of, weights, kept, scratch, run, item, samples, t0, steps):
    """The readout's potentials of a tile, into kept.potentials."""
    layers, width = weights.bias.shape[1:]
    tile, bias = scratch.read, weights.read_bias[run]
    classes = bias.shape[0]
    if of.neuron.kind == RELU:
        below = _layer_at(kept, scratch, run * samples + item, layers - 1, layers, t0, width)
        multiply(kept.slopes, below, width, 1, weights.read[run], tile, steps, width, False)
        add_to_rows(tile, steps, bias)
    else:
        add_spikes(scratch.masks[layers - 1], weights.read_sums[run], bias, tile, steps)
    out = ((run * samples + item) * kept.steps + t0) * classes
    if of.neuron.kind == RELU:
        for at in range(0, steps * classes, LANES):
            store(kept.potentials, out + at, load(tile, at))
    else:
        integrate_tile(of.neuron, tile, 0, steps, scratch.read_states, kept.potentials, out, 0, classes)


@jit
def forward(of, weights, events, draws, kept, coefficients, size, scratch, begin, end):
    """The way forward of the samples begin ... end-1, counted through all runs of the stack.

    coefficients (S, T): c[t] of the averaged readout; size: neurons of a hidden layer.
    """
    samples, (layers, width) = draws.samples.shape[1], weights.bias.shape[1:]
    for number in range(begin, end):
        run, item = number // samples, number % samples
        _begin_sample(scratch)
        clear(kept.totals, number * layers * width, (number + 1) * layers * width)
        clear(kept.averaged, number * width, (number + 1) * width)
        prepare_columns(draws, run, item, scratch.columns)
        length = draws.lengths[run]
        for t0 in range(0, length, TILE):
            steps = min(TILE, length - t0)
            for layer in range(layers):
                _pre_activation(of, weights, events, draws, kept, scratch, run, item, layer, t0, steps)
                _forward_layer(
                    of, weights, kept, coefficients, scratch, run, item, samples, size, layer, t0, steps
                )
            if of.over_time:
                _read_tile(of, weights, kept, scratch, run, item, samples, t0, steps)


@jit
def _first_again(of, weights, events, draws, kept, scratch, run, item, t0, steps):
    """The first layer's outputs of a tile of the non-spiking network, for the way back."""
    samples, (layers, width) = draws.samples.shape[1], weights.bias.shape[1:]
    _pre_activation(of, weights, events, draws, kept, scratch, run, item, 0, t0, steps)
    first = _layer_at(kept, scratch, run * samples + item, 0, layers, t0, width)
    rectify(scratch.tile, steps, kept.slopes, first)


@jit
def _top_error(of, weights, kept, errors, coefficients, gradients, scratch, run, item, samples, t0, steps):
    """scratch.tile: dL/ds of the last hidden layer; a readout over time adds to its own gradients."""
    layers, width = weights.bias.shape[1:]
    if not of.over_time:
        for t in range(steps):
            c = splat(coefficients[run, t0 + t])
            for column in range(0, width, LANES):
                store(scratch.tile, t * width + column, c * load(errors.averaged[run, item], column))
        return
    tile = scratch.read
    classes = tile.shape[1]
    number = run * samples + item
    copy(errors.potentials, (number * kept.steps + t0) * classes, tile, steps)
    if of.neuron.kind == RELU:
        at = _layer_at(kept, scratch, number, layers - 1, layers, t0, width)
        multiply(kept.slopes, at, 1, width, tile, gradients.read, width, steps, True)
    else:
        integrator_adjoint(of.neuron, tile, steps, scratch.read_states, 0, classes)
        clear(tile, steps * classes, _round_up(steps) * classes)
        at = _pattern_at(kept, number, layers - 1, layers, t0, width)
        add_outer_spikes(kept.patterns, at, tile, scratch.sums, gradients.read, steps)
    add_over_time(tile, steps, gradients.read_bias)
    multiply(tile, 0, classes, 1, weights.read_back[run], scratch.tile, steps, classes, False)


@jit
def _backward_layer(of, weights, kept, gradients, scratch, tile, below, run, number, layer, t0, steps):
    """From dL/dx of a hidden layer in `tile` to dL/ds of the one below; adds to its weights' gradient."""
    layers, width = weights.bias.shape[1:]
    gradient = gradients.hidden[layer - 1]
    if of.neuron.kind == RELU:
        at = _layer_at(kept, scratch, number, layer - 1, layers, t0, width)
        multiply(kept.slopes, at, 1, width, tile, gradient, width, steps, True)
    else:
        at = _pattern_at(kept, number, layer - 1, layers, t0, width)
        add_outer_spikes(kept.patterns, at, tile, scratch.sums, gradient, steps)
    multiply(tile, 0, width, 1, weights.back[run, layer - 1], below, steps, width, False)


@jit
def backward(of, weights, events, draws, kept, errors, coefficients, gradients, scratch, run, begin, end):
    """The way back of the samples begin ... end-1 of one run; `gradients` holds theirs alone afterwards."""
    samples, (layers, width) = draws.samples.shape[1], weights.bias.shape[1:]
    clear(gradients.first, 0, gradients.first.size)
    clear(gradients.hidden, 0, gradients.hidden.size)
    clear(gradients.bias, 0, gradients.bias.size)
    clear(gradients.read, 0, gradients.read.size)
    clear(gradients.read_bias, 0, gradients.read_bias.size)
    for item in range(begin, end):
        _begin_sample(scratch)
        prepare_columns(draws, run, item, scratch.columns)
        number, length = run * samples + item, draws.lengths[run]
        for t0 in range((length - 1) // TILE * TILE, -1, -TILE):
            steps = min(TILE, length - t0)
            if of.neuron.kind == RELU:
                _first_again(of, weights, events, draws, kept, scratch, run, item, t0, steps)
            _top_error(
                of, weights, kept, errors, coefficients, gradients, scratch, run, item, samples, t0, steps
            )
            tile, below = scratch.tile, scratch.other
            for layer in range(layers - 1, -1, -1):
                first = _layer_at(kept, scratch, number, layer, layers, t0, width)
                states, constant = scratch.states[layer], errors.constant[run, layer]
                if of.neuron.kind == RELU and layer == layers - 1 and not of.over_time:
                    at = (number * kept.steps + t0) * (width // LANES)
                    masked_adjoint(tile, steps, kept.masks, at, constant)
                else:
                    neuron_adjoint(of.neuron, t0, tile, steps, states, kept.slopes, first, constant, 0, width)
                clear(tile, steps * width, _round_up(steps) * width)
                add_over_time(tile, steps, gradients.bias[layer])
                if layer > 0:
                    _backward_layer(
                        of, weights, kept, gradients, scratch, tile, below, run, number, layer, t0, steps
                    )
                    tile, below = below, tile
                else:
                    columns = scratch.columns
                    add_event_gradient(events, draws, run, item, t0, steps, columns, gradients.first, tile)
