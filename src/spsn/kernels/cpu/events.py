"""The first layer straight from a sample's events: no dense input, no augmented copy of the events.

A sample is drawn on its own canvas with one shift and one zoom (`spsn.data.batches`): row t of the canvas
reads the recording's row f(t), and the recording's channel c fills the columns first[c] ... first[c] +
count[c] - 1. So a row's pre-activation is the bias and the sum of those columns' weight rows, and the weight
gradient adds the row's gradient to each of them; both walk through the events in one fixed order.

The canvas is `own` steps long and ends with the batch: it begins at the run's step `steps_of_run - own`.
"""

from collections import namedtuple

from spsn.compiled import jit
from spsn.data.batches import column_runs, source_index
from spsn.kernels.cpu.simd import LANES, WIDE, load, load_wide, store

# The event store's arrays: time bins and channels of all events, and where a sample's begin.
Events = namedtuple("Events", "time_bin channel offsets length")
# A stack's samples (S, B) with their shifts and zooms, and the number of steps of each run (S,).
Draws = namedtuple("Draws", "samples shifts zooms lengths")


@jit
def _first_event(time_bin, begin, end, row):
    """The first event at or after a row of the recording."""
    while begin < end:
        middle = (begin + end) // 2
        if time_bin[middle] < row:
            begin = middle + 1
        else:
            end = middle
    return begin


@jit
def _add_rows(rows, count, weights, tile, t):
    """tile[t] += the weight rows that begin at the flat indices rows[:count]."""
    width = tile.shape[1]
    wide = width - width % WIDE
    for column in range(0, wide, WIDE):
        total = load_wide(tile, t * width + column)
        for n in range(count):
            total = total + load_wide(weights, rows[n] + column)
        store(tile, t * width + column, total)
    for column in range(wide, width, LANES):
        part = load(tile, t * width + column)
        for n in range(count):
            part = part + load(weights, rows[n] + column)
        store(tile, t * width + column, part)


@jit
def _add_to_rows(rows, count, weights, tile, t):
    """tile[t] is added to each of the rows of `weights` that begin at the flat indices rows[:count]."""
    width = tile.shape[1]
    wide = width - width % WIDE
    for column in range(0, wide, WIDE):
        row = load_wide(tile, t * width + column)
        for n in range(count):
            at = rows[n] + column
            store(weights, at, load_wide(weights, at) + row)
    for column in range(wide, width, LANES):
        part = load(tile, t * width + column)
        for n in range(count):
            at = rows[n] + column
            store(weights, at, load(weights, at) + part)


@jit
def _pass_on(rows, count, weights, tile, t, scatter):
    if scatter:
        _add_to_rows(rows, count, weights, tile, t)
    else:
        _add_rows(rows, count, weights, tile, t)


@jit
def _walk(events, draws, run, item, t0, steps, columns, weights, tile, scatter):
    """Row by row, the events of a tile as the canvas has them: some twice, some not at all."""
    sample, zoom = draws.samples[run, item], draws.zooms[run, item]
    own = int(events.length[sample])
    empty = int(draws.lengths[run]) - own
    at, stop = events.offsets[sample], events.offsets[sample + 1]
    begin = max(0, empty - t0)
    if begin >= steps:
        return
    at = _first_event(events.time_bin, at, stop, source_index(t0 + begin - empty, own, zoom, 0.0))
    first, often, rows, width = columns[0], columns[1], columns[2], tile.shape[1]
    for t in range(begin, steps):
        row = source_index(t0 + t - empty, own, zoom, 0.0)
        while at < stop and events.time_bin[at] < row:
            at += 1
        end, count = at, 0  # a row may be read twice: `at` waits at its beginning
        while end < stop and events.time_bin[end] == row:
            channel = events.channel[end]
            for k in range(often[channel]):
                if count == rows.size:
                    _pass_on(rows, count, weights, tile, t, scatter)
                    count = 0
                rows[count] = (first[channel] + k) * width
                count += 1
            end += 1
        _pass_on(rows, count, weights, tile, t, scatter)


@jit
def prepare_columns(draws, run, item, columns):
    """columns (3, 700) int32: the first column that each channel fills, how many, and room for a row's."""
    column_runs(columns[0], columns[1], columns.shape[1], draws.zooms[run, item], draws.shifts[run, item])


@jit
def add_events(events, draws, run, item, t0, steps, columns, weights, bias, tile):
    """tile (TILE, N) = bias + the weight rows (700, N) of the sample's events in `steps` steps from t0 on."""
    width = tile.shape[1]
    for t in range(steps):
        for column in range(0, width, LANES):
            store(tile, t * width + column, load(bias, column))
    _walk(events, draws, run, item, t0, steps, columns, weights, tile, False)


@jit
def add_event_gradient(events, draws, run, item, t0, steps, columns, gradient, tile):
    """gradient (700, N) += the tile's rows dL/dx at the columns of the sample's events."""
    _walk(events, draws, run, item, t0, steps, columns, gradient, tile, True)
