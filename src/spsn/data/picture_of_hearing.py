"""A picture of hearing: one recording as waveform, motion of the basilar membrane and spikes.

A channel's best frequency is the one that moves its place on the membrane most. Needs the extra `ear` and
matplotlib.
"""

import numpy as np

from spsn.data import membrane
from spsn.data.audio import Sound
from spsn.data.inner_ear import DT, SAMPLE_RATE, condition, hear
from spsn.data.pictures import INK, WIDTH, dots, new_figure
from spsn.data.shd import CHANNELS

FLOOR_DB = -50.0  # below the loudest: what the picture of the membrane shows as black
TICKS_HZ = (20_000, 10_000, 5_000, 2_000, 1_000, 500, 200, 100)
STEP_DB = 2.0  # a colour of the map of levels


def hearing(sound: Sound, name: str = "the sound"):
    """A figure of one recording on its way: waveform, basilar membrane, spikes, over one axis of time.

    `name` is the recording's, as `spsn.data.inner_ear.hear` takes it.
    """
    taken = condition(sound.wave, sound.sample_rate, name)
    times, units = hear(sound.wave, sound.sample_rate, seed=0, name=name)
    motion = membrane.motion(taken, SAMPLE_RATE, min(SAMPLE_RATE / 2, sound.sample_rate / 2 * 1.05))
    level = envelope_db(np.concatenate(list(motion)), round(0.001 / DT))
    seconds = len(taken) / SAMPLE_RATE
    figure = new_figure(WIDTH, 5.6)
    grid = figure.add_gridspec(3, 2, height_ratios=[1, 2.6, 2.6], width_ratios=[60, 1])
    axes = [figure.add_subplot(grid[i, 0]) for i in range(3)]
    _draw_wave(axes[0], taken / np.abs(taken).max(), seconds)
    image = _draw_membrane(axes[1], level, seconds)
    _bar(figure, figure.add_subplot(grid[1, 1]), image)
    dots(axes[2], times, units, 0.35)
    axes[2].set(ylabel="channel", xlabel="time (s)", yticks=[0, 100, 200, 300, 400, 500, 600, 699])
    for axis, title in zip(axes, ("sound", "basilar membrane", f"{len(units):,} spikes"), strict=True):
        axis.set_title(title)
        axis.set_xlim(0, seconds)
        axis.tick_params(labelbottom=axis is axes[2])
    figure.align_ylabels(axes)
    return figure


def envelope_db(motion: np.ndarray, window: int) -> np.ndarray:
    """Level (channels, T // window) in dB of the loudest, from root mean squares of `window` steps each.

    `motion` (channels, T) is the membrane's velocity.
    """
    steps = motion.shape[1] // window
    parts = motion[:, : steps * window].reshape(len(motion), steps, window).astype(np.float64)
    power = np.mean(parts**2, axis=2)
    return 10 * np.log10(np.maximum(power / power.max(), 1e-12))


def best_frequencies() -> np.ndarray:
    """The frequency (CHANNELS,) in Hz that moves each channel's place most, descending: 22.5 kHz to 100 Hz.

    Found at every tenth place among frequencies 1 % apart, between them by the logarithm.
    """
    frequencies = np.geomspace(50.0, 24_000.0, 621)
    some = np.unique(np.append(np.arange(0, CHANNELS, 10), CHANNELS - 1))
    moved = np.abs(membrane.velocity(2 * np.pi * frequencies, membrane.COCHLEA.places()[some]))
    best = np.log(frequencies[moved.argmax(axis=1)])
    return np.exp(np.interp(np.arange(CHANNELS), some, best))


def _draw_wave(axis, wave: np.ndarray, seconds: float) -> None:
    axis.plot(np.linspace(0, seconds, len(wave)), wave, color=INK, linewidth=0.4)
    axis.set(ylabel="pressure", yticks=[], ylim=(-1.05, 1.05))
    axis.spines["left"].set_visible(False)


def _draw_membrane(axis, level: np.ndarray, seconds: float):
    from matplotlib import colormaps

    image = axis.imshow(
        level,
        cmap=colormaps["magma"].resampled(round(-FLOOR_DB / STEP_DB)),
        vmin=FLOOR_DB,
        vmax=0,
        aspect="auto",
        extent=(0, seconds, CHANNELS - 0.5, -0.5),
        interpolation="antialiased",
        interpolation_stage="data",
    )
    falling = np.log(best_frequencies())[::-1]
    places = np.interp(np.log(TICKS_HZ), falling, np.arange(CHANNELS)[::-1])
    names = [f"{hz // 1000} kHz" if hz >= 1000 else f"{hz} Hz" for hz in TICKS_HZ]
    axis.set(ylabel="best frequency", yticks=places, yticklabels=names)
    return image


def _bar(figure, axis, image) -> None:
    bar = figure.colorbar(image, cax=axis)
    bar.outline.set_visible(False)
    bar.set_label("velocity (dB of the greatest)")
