"""The inner ear: a sound becomes the spikes of 700 channels, as in the Heidelberg spiking data sets.

Written from the model's description in Cramer, Stradmann, Schemmel & Zenke (2020), IEEE TNNLS,
doi 10.1109/TNNLS.2020.3044364. Stages, at fs = 48 kHz and from the membrane on at dt = 2 / fs:

Conditioning. Root mean square 0.3 over the whole sound, then 30 ms Hann ramps at both ends.

Membrane. Velocity s of each place: `spsn.data.membrane`.

Hair cell (Meddis 1986, 1988). Free transmitter q, cleft c, reprocessing store w, started at rest; per step,
all fluxes from the old state, every pool kept at 0 or more:
    k  = g (s + A) / (s + A + B), 0 where s + A <= 0               permeability
    q += dt [ y max(M - q, 0) - k q + x w ]     c += dt [ k q - (l + r) c ]     w += dt [ r c - x w ]
    p  = min(h c dt, 1), from the new c                                           chance of one fibre to fire
Constants: `CODE` are the defaults of the converter that made SHD, `PAPER` those given for its article.
SHD's spikes carry the first: networks trained on SHD understand other people's digits better through them.

Nerve fibres. 40 per channel, each firing with chance p, then silent for 1 ms. Fibres are exchangeable and
only their sum goes on, so they are counted: of F fibres that are not refractory n ~ Binomial(F, p) fire,
and come back 24 steps later. The same law as 40 fibres one by one, at a thirtieth of the work.

Bushy cell. Leaky integrate-and-fire; synapse I (tau 0.5 ms, n added per step), membrane v (tau 1 ms, weight
13000 / 40 per second and fibre), threshold 1, refractory for 1 ms. Its spikes are the output.

From the hair cell on, `spsn.data.inner_ear_cells` computes.

Random numbers are counted, not drawn in turn: u(channel, step) is splitmix64 of a key that SHA-256 makes of
seed and name. A recording's spikes depend on its sound, the seed and its name alone.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from spsn.data import membrane
from spsn.data.inner_ear_cells import (  # noqa: F401 - the model's numbers are known by this module's name
    DT,
    FIBRES,
    GOLDEN,
    REFRACTORY,
    SAMPLE_RATE,
    TAU_MEMBRANE,
    TAU_SYNAPSE,
    WEIGHT,
    _binomial,
    _fire,
    _mix,
)
from spsn.errors import DataError

RMS = 0.3
RAMP = 0.030  # s
LONGEST = 5.0  # s; the membrane's table would grow to a gigabyte
SQUARED = 256  # peaks within 2**-SQUARED and 2**SQUARED have squares that are numbers


@dataclass(frozen=True)
class HairCell:
    """Constants of the hair cell in the symbols above; rates in 1/s."""

    g: float
    y: float
    l: float  # noqa: E741 - the model's own symbol
    r: float
    x: float
    A: float = 5.0
    B: float = 300.0
    M: float = 1.0
    h: float = 50_000.0

    def rest(self) -> tuple[float, float, float]:
        """Return the pools (q, c, w) that stay as they are in silence."""
        k = self.g * self.A / (self.A + self.B)
        c = self.M * self.y * k / (self.l * k + self.y * (self.l + self.r))
        return c * (self.l + self.r) / k, c, c * self.r / self.x

    def numbers(self) -> tuple[float, ...]:
        """Return the constants in the order in which the compiled part takes them."""
        return self.g, self.y, self.l, self.r, self.x, self.A, self.B, self.M, self.h


CODE = HairCell(g=2000.0, y=5.05, l=2500.0, r=6580.0, x=66.3)
PAPER = HairCell(g=1000.0, y=11.11, l=1250.0, r=16667.0, x=250.0)
CONSTANTS = {"code": CODE, "paper": PAPER}


def hear(
    audio: np.ndarray, sample_rate: int, *, seed: int, name: str, constants: str | HairCell = "code"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the spikes that `audio` causes: times (E,) float64 seconds and units (E,) uint16 channels.

    `audio` is one sound, (n,) or (n, sides), at `sample_rate` Hz, of any loudness; sides are mixed down.
    Channel 0 hears the highest frequencies (22.5 kHz), 699 the lowest (100 Hz). Spikes are sorted by time,
    within one step by channel. Equal arguments give equal spikes; `name` (the recording's) sets recordings
    apart. Raises DataError for a sound that is empty, silent, not finite or longer than 5 s, and for
    constants that are neither a HairCell nor "code" or "paper". Source: Cramer et al. (2020); see the module.
    """
    sound = condition(audio, sample_rate, name)
    # the source holds nothing above half its sample rate; 5 % more covers the skirt of the resampling filter
    highest = min(SAMPLE_RATE / 2, sample_rate / 2 * 1.05)
    blocks = membrane.motion(sound, SAMPLE_RATE, highest)
    parts = [
        fire(motion, seed=seed, name=name, constants=constants, first=i * membrane.BLOCK)
        for i, motion in enumerate(blocks)
    ]
    steps = np.concatenate([part[0] for part in parts])
    units = np.concatenate([part[1] for part in parts])
    order = np.argsort(steps, kind="stable")
    return steps[order] * DT, units[order]


def condition(audio: np.ndarray, sample_rate: int, name: str = "the sound") -> np.ndarray:
    """Return `audio` as the ear takes it: mono (n,) float64 at 48 kHz, RMS 0.3, with 30 ms ramps.

    Raises DataError for a sound that is empty, silent, not finite or longer than 5 s.
    """
    sound = np.asarray(audio, float)
    if sound.ndim == 2:
        sound = sound.mean(axis=1)
    if sound.ndim != 1 or not len(sound):
        raise DataError(
            f"{name}: no sound in an array of shape {np.shape(audio)}. Give (samples,) or (samples, sides)."
        )
    if len(sound) > LONGEST * sample_rate:
        raise DataError(
            f"{name}: {len(sound) / sample_rate:.1f} s long. Cut it into words of at most {LONGEST:g} s."
        )
    if not np.isfinite(sound).all() or not sound.any():
        raise DataError(f"{name}: silent or not finite. Leave this recording out.")
    exponent = int(np.frexp(np.abs(sound).max())[1])
    if abs(exponent) > SQUARED:  # by a power of two, which rounds nothing
        sound = np.ldexp(sound, -exponent)
    if sample_rate != SAMPLE_RATE:
        from scipy.signal import resample_poly  # slow to import, and not needed at 48 kHz

        common = math.gcd(SAMPLE_RATE, sample_rate)
        sound = resample_poly(sound, SAMPLE_RATE // common, sample_rate // common)
    sound = sound * (RMS / np.sqrt(np.mean(sound**2)))
    ramp = min(int(RAMP * SAMPLE_RATE), len(sound) // 2)
    window = np.hanning(2 * ramp)
    sound[:ramp] *= window[:ramp]
    sound[len(sound) - ramp :] *= window[ramp:]
    return sound


def fire(
    motion: np.ndarray, *, seed: int, name: str, constants: str | HairCell = "code", first: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the spikes of channels that move as given: steps (E,) int64 of 2 / fs and units (E,) uint16.

    `motion` (channels, T) is the membrane's velocity; 0 is silence. `first` is the number of its first
    channel. Spikes are sorted by channel, then by time. Raises DataError for constants that are neither a
    HairCell nor "code" or "paper".
    """
    cell = _hair_cell(constants)
    steps, counts, _ = _fire(motion, cell.numbers(), cell.rest(), stream_key(seed, name), first)
    units = np.repeat(np.arange(first, first + len(motion), dtype=np.uint16), counts)
    return np.concatenate([row[:n] for row, n in zip(steps, counts, strict=True)] or [steps.ravel()]), units


def _hair_cell(constants: str | HairCell) -> HairCell:
    if isinstance(constants, HairCell):
        return constants
    if constants not in CONSTANTS:
        raise DataError(f"no hair cell named {constants!r}. Known: {', '.join(CONSTANTS)}.")
    return CONSTANTS[constants]


def stream_key(seed: int, name: str) -> np.uint64:
    """Return the key of the random numbers that belong to `name` under `seed`: 64 bits of SHA-256."""
    return np.uint64(int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "little"))
