"""The inner ear against its own mathematics, and against recordings that another program heard."""

import hashlib
import math
import os
import tarfile
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

from spsn.data import inner_ear_cells, membrane
from spsn.data.inner_ear import (
    CODE,
    DT,
    FIBRES,
    GOLDEN,
    PAPER,
    REFRACTORY,
    SAMPLE_RATE,
    TAU_MEMBRANE,
    TAU_SYNAPSE,
    WEIGHT,
    HairCell,
    _binomial,
    condition,
    fire,
    hear,
    stream_key,
)
from spsn.errors import DataError

SECOND = round(1 / DT)  # steps


def tone(frequency: float, seconds: float, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * sample_rate)) / sample_rate)


def fibre_rates(motion: np.ndarray, *, seed: int, name: str, constants: HairCell = CODE) -> np.ndarray:
    """How often a fibre of each channel fires, (channels,) in spikes/s: what the bushy cells do not show."""
    events = inner_ear_cells._fire(motion, constants.numbers(), constants.rest(), stream_key(seed, name), 0)[
        2
    ]
    return events / FIBRES / (motion.shape[1] * DT)


def voice(seconds: float) -> np.ndarray:
    """A buzz with the spectrum of a voice, whose loudness rises and falls like syllables do."""
    phases = np.random.default_rng(0).random(40)
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    buzz = sum(np.sin(2 * np.pi * (130 * k * t + phases[k])) / k for k in range(1, 40))
    return buzz * (1 + tone(8, seconds))


# --- membrane --------------------------------------------------------------------------------------


def test_velocity_equals_the_equations_written_with_plain_hankel_functions():
    k = membrane.COCHLEA
    w = 2 * np.pi * np.geomspace(1, 24_000, 60)[None, :]
    c = np.linspace(0, k.length, 40)[:, None]
    R0 = 0.15 * math.sqrt(k.C0 * k.m)

    def pressure(place):
        R = R0 * np.exp(-k.alpha * place / 2)
        xi = k.C0 * np.exp(-k.alpha * place) - k.a - k.m * w**2 - 1j * w * R
        q = np.sqrt(k.a + k.m * w**2)
        D = k.alpha / 2 * np.exp(k.alpha * place / 2)
        D = D * (-2 * np.sqrt(xi) + 1j * (2 * k.a + w * (2 * k.m * w + 1j * R)) / q)
        return xi, q, D, w * np.sqrt(k.rho / (k.h * xi))

    xi0, q, D0, g0 = pressure(0 * c)
    xi, _, D, g = pressure(c)
    G0 = 2 * g0 / k.alpha + 0 * c
    G = G0 - 2j * np.sqrt(2) * w / (k.alpha * np.sqrt(2 * k.h) * q) * np.log(D0 / D)
    z = 2 * w / k.alpha * np.sqrt(2 / (k.h * k.C0))
    Z = np.sqrt(2 * k.C0 / k.h) * (1j * special.j0(z) + special.y0(z)) / (special.j1(z) - 1j * special.y1(z))
    ratio = np.sqrt(G / g) * special.hankel1(0, G) / (np.sqrt(G0 / g0) * special.hankel1(0, G0))
    expected = 2 * w / xi * ratio * Z
    np.testing.assert_allclose(membrane.velocity(w[0], c[:, 0]), expected, rtol=1e-9)


@pytest.mark.parametrize("kept", [4096 // 2 + 1, 4096 // 4 + 7, 4096 // 4, 300])
def test_fold_is_the_real_part_of_the_half_spectrum(kept):
    n_fft, rng = 4096, np.random.default_rng(kept)
    spectrum = rng.normal(size=(3, kept)) + 1j * rng.normal(size=(3, kept))
    whole = np.zeros((3, n_fft // 2), complex)
    whole[:, : min(kept, n_fft // 2)] = spectrum[:, : n_fft // 2]
    if kept > n_fft // 2:
        whole[:, 0] += spectrum[:, n_fft // 2]  # the highest bin aliases to the lowest
    folded = np.fft.irfft(membrane.fold(spectrum, n_fft), n_fft // 2)
    np.testing.assert_allclose(folded, np.fft.ifft(whole).real, atol=1e-14)


def test_channels_run_from_high_to_low_best_frequencies():
    frequencies = np.geomspace(60, 24_000, 3000)
    places = membrane.COCHLEA.places()[[0, 100, 200, 300, 400, 500, 600, 699]]
    best = frequencies[np.abs(membrane.velocity(2 * np.pi * frequencies, places)).argmax(axis=1)]
    np.testing.assert_allclose(best, [22_500, 9500, 4500, 2100, 1000, 472, 220, 100], rtol=0.015)


def test_motion_equals_the_whole_model_in_double_precision():
    sound = voice(0.2)
    n_fft = membrane.transform_length(len(sound))
    response = membrane.velocity(
        2 * np.pi * membrane.frequencies(n_fft, SAMPLE_RATE), membrane.COCHLEA.places()[::50]
    )
    expected = np.fft.irfft(membrane.fold(response * np.fft.rfft(sound, n_fft), n_fft), n_fft // 2)
    moved = np.concatenate([block[:1] for block in membrane.motion(sound, SAMPLE_RATE)])
    assert moved.shape == (14, len(sound) // 2 + 1)
    error = np.abs(moved - expected[:, : moved.shape[1]]).max(axis=1)
    assert (error < 1e-4 * moved.std(axis=1)).all()


# --- hair cell, fibres, bushy cell -----------------------------------------------------------------


@pytest.mark.parametrize(("cell", "rate"), [(CODE, 60.9), (PAPER, 39.8)])
def test_fibres_at_rest_fire_as_a_renewal_process(cell, rate):
    q, c, w = cell.rest()
    k = cell.g * cell.A / (cell.A + cell.B)
    fluxes = [
        cell.y * (cell.M - q) - k * q + cell.x * w,
        k * q - (cell.l + cell.r) * c,
        cell.r * c - cell.x * w,
    ]
    np.testing.assert_allclose(fluxes, 0, atol=1e-9)
    rates = fibre_rates(np.zeros((150, SECOND), np.float32), seed=1, name="silence", constants=cell)
    # 23 silent steps after each spike, then a chance of h c dt in every step
    assert rates.mean() == pytest.approx(1 / ((REFRACTORY - 1) * DT + 1 / (cell.h * c)), rel=0.006)
    assert rates.mean() == pytest.approx(rate, rel=0.008)


@pytest.mark.parametrize(("constants", "low", "high"), [("code", 480, 640), ("paper", 1, 10)])
def test_silence_is_nearly_silent(constants, low, high):
    silence = np.zeros((700, 2 * SECOND), np.float32)
    steps, _ = fire(silence, seed=0, name="silence", constants=constants)
    assert low < len(steps) / 2 < high


def test_binomial_inverts_the_distribution():
    rng = np.random.default_rng(5)
    F, u = rng.integers(0, FIBRES + 1, 3000), rng.random(3000)
    p = np.where(rng.random(3000) < 0.5, rng.random(3000), 0.05 * rng.random(3000))
    drawn = np.array([_binomial(*case) for case in zip(F, p, u, strict=True)])
    np.testing.assert_array_equal(drawn, stats.binom.ppf(u, F, p))
    assert drawn.max() > 20 and (drawn == 0).any()
    assert _binomial(7, 1.0, 0.5) == 7 and _binomial(7, 0.0, 0.999) == 0 and _binomial(0, 0.5, 0.999) == 0


def plain_ear(motion: np.ndarray, cell: HairCell, key: int, first: int) -> tuple[list, list[int]]:
    """The equations one number after another, in Python's own arithmetic: spikes (channel, step), events."""
    spikes, events = [], []
    for channel, row in enumerate(motion.tolist(), start=first):
        base, events_here, fired = mix(key + (channel + 1) * int(GOLDEN)), 0, [0] * REFRACTORY
        (q, c, w), F, v, current, free = cell.rest(), FIBRES, 0.0, 0.0, 0
        for t, s in enumerate(row):
            q, c, w = plain_step(s, cell, q, c, w)
            F += fired[t % REFRACTORY]
            u = (mix(base + (t + 1) * int(GOLDEN)) >> 11) / 2**53
            n = fired[t % REFRACTORY] = plain_binomial(F, min(cell.h * DT * c, 1.0), u)
            F, events_here = F - n, events_here + n
            if t >= free and v >= 1:
                spikes.append((channel, t - 1))
                v, free = 0.0, t + REFRACTORY
            current = current * math.exp(-DT / TAU_SYNAPSE) + n
            if t >= free:
                v = min(v * math.exp(-DT / TAU_MEMBRANE) + current * WEIGHT * DT, 1.0)
        events.append(events_here)
    return spikes, events


def plain_step(s: float, cell: HairCell, q: float, c: float, w: float) -> tuple[float, float, float]:
    drive = s + cell.A
    flow = cell.g * DT * drive / (drive + cell.B) * q if drive > 0 else 0.0
    lost, back = cell.r * DT * c, cell.x * DT * w
    q = max(q + cell.y * DT * max(cell.M - q, 0.0) - flow + back, 0.0)
    return q, max(c + flow - cell.l * DT * c - lost, 0.0), max(w + lost - back, 0.0)


def plain_binomial(F: int, p: float, u: float) -> int:
    if u <= 1 - F * p or p == 0:
        return 0
    if p == 1:
        return F
    n, chance, square = 0, 1.0, 1.0 - p
    for bit in range(FIBRES.bit_length()):  # (1 - p)^F by squaring: `pow` rounds otherwise
        chance *= square if F >> bit & 1 else 1.0
        square *= square
    below = chance
    while u > below and n < F:
        chance *= (F - n) / (n + 1) * p / (1 - p)
        below, n = below + chance, n + 1
    return n


def mix(z: int) -> int:
    z %= 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


EAGER = replace(CODE, h=20 * CODE.h)  # fibres so ready to fire that the bushy cell is always driven
LANES, SPAN = inner_ear_cells.LANES, inner_ear_cells.SPAN


@pytest.mark.parametrize("cell", [CODE, PAPER, EAGER], ids=["code", "paper", "eager"])
@pytest.mark.parametrize(
    ("channels", "T"),
    [
        (1, 1),
        (3, SPAN + 1),
        (7, REFRACTORY - 1),
        (8, REFRACTORY),
        (13, 2 * SPAN + REFRACTORY + 5),
        (LANES - 1, REFRACTORY + 1),
        (LANES, 3 * REFRACTORY),
        (2 * LANES + 9, 131),
    ],
)
def test_lanes_side_by_side_give_what_one_channel_after_another_gives(channels, T, cell):
    """Bit for bit, at any number of channels and steps, from silence to velocities far beyond any sound's."""
    rng = np.random.default_rng(channels)
    motion = np.empty((channels, T + 3), np.float32)
    motion[:] = rng.normal(size=motion.shape) * 10.0 ** rng.uniform(-2, 5, (channels, 1))
    motion[::5] = 0
    motion[1::5, T // 2 :] = 1e6
    motion[2::5, T // 2 :] = -1e6
    for part in (motion[:, :T], np.ascontiguousarray(motion[:, 3:])):
        spikes, events = plain_ear(part, cell, int(stream_key(7, "plain")), first=640)
        steps, units = fire(part, seed=7, name="plain", constants=cell, first=640)
        assert list(zip(units.tolist(), steps.tolist(), strict=True)) == spikes
        rates = fibre_rates(part, seed=7, name="plain", constants=cell)
        _, unshifted = plain_ear(part, cell, int(stream_key(7, "plain")), first=0)
        np.testing.assert_array_equal(rates, np.array(unshifted) / FIBRES / (T * DT))


@pytest.mark.parametrize("cell", [CODE, PAPER, EAGER], ids=["code", "paper", "eager"])
def test_chances_to_fire_are_those_of_the_equations_to_the_last_bit(cell):
    """An operation that is contracted with another, or takes another's turn, shows here and nowhere else."""
    s = 10.0 ** np.random.default_rng(2).uniform(-2, 5, (REFRACTORY, LANES)).astype(np.float32)
    s[:, ::2] *= -1.0
    s[::2] *= -1.0
    pools, p = np.repeat(np.array(cell.rest())[:, None], LANES, axis=1), np.empty((REFRACTORY, LANES))
    inner_ear_cells._hair_cells(s, cell.numbers(), pools, p)
    for j in range(LANES):
        state = cell.rest()
        for t in range(REFRACTORY):
            state = plain_step(float(s[t, j]), cell, *state)
            assert p[t, j] == min(cell.h * DT * state[1], 1.0)
        assert tuple(pools[:, j]) == state


def test_no_channels_and_no_steps_give_no_spikes():
    for shape in ((0, 100), (5, 0)):
        steps, units = fire(np.zeros(shape, np.float32), seed=0, name="none")
        assert steps.shape == units.shape == (0,)


def explicit_ear(motion: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Every fibre by itself, every channel at once; return the numbers of spikes and of fibre events."""
    channels, T = motion.shape
    q, c, w = (np.full(channels, start) for start in CODE.rest())
    fibre_free = np.zeros((channels, FIBRES), int)
    v, current, free = np.zeros(channels), np.zeros(channels), np.zeros(channels, int)
    spikes = events = 0
    for t in range(T):
        drive = np.maximum(motion[:, t] + CODE.A, 0)
        kq = CODE.g * drive / (drive + CODE.B) * q * DT
        q, c, w = (
            q + DT * (CODE.y * (CODE.M - q) + CODE.x * w) - kq,
            c + kq - DT * (CODE.l + CODE.r) * c,
            w + DT * (CODE.r * c - CODE.x * w),
        )
        fires = (rng.random((channels, FIBRES)) < (CODE.h * c * DT)[:, None]) & (t >= fibre_free)
        fibre_free[fires] = t + REFRACTORY
        awake = t >= free
        emits = awake & (v >= 1)
        v = np.where(emits, 0, np.where(awake, v * np.exp(-DT / TAU_MEMBRANE), v))
        free[emits] = t + REFRACTORY
        current = current * np.exp(-DT / TAU_SYNAPSE) + fires.sum(axis=1)
        v = np.where(t >= free, np.minimum(v + current * WEIGHT * DT, 1), v)
        spikes, events = spikes + emits.sum(), events + fires.sum()
    return spikes, events


def test_counted_fibres_follow_the_law_of_explicit_ones():
    sound = condition(voice(0.15), SAMPLE_RATE)
    motion = np.concatenate([block[::10] for block in membrane.motion(sound, SAMPLE_RATE)])
    rng = np.random.default_rng(3)
    explicit = np.array([explicit_ear(motion, rng) for _ in range(4)], float)
    seconds = motion.shape[1] * DT
    counted = np.array(
        [
            (
                len(fire(motion, seed=seed, name="voice")[0]),
                fibre_rates(motion, seed=seed, name="voice").sum() * FIBRES * seconds,
            )
            for seed in range(40)
        ]
    )
    assert explicit[:, 0].min() > 150  # spikes enough for a law to show
    error = counted.std(axis=0, ddof=1) * math.sqrt(1 / 4 + 1 / 40)
    assert (np.abs(counted.mean(axis=0) - explicit.mean(axis=0)) < 4 * error).all()
    assert error[1] < 0.005 * counted[:, 1].mean()


def test_no_channel_fires_twice_within_a_millisecond():
    steps, units = fire(np.full((20, SECOND // 10), 500, np.float32), seed=0, name="loud", constants=EAGER)
    gaps = np.diff(steps)[np.diff(units.astype(int)) == 0]
    assert REFRACTORY <= gaps.min() <= REFRACTORY + 4


def test_a_channel_does_not_depend_on_which_others_are_heard():
    motion = 50 * np.random.default_rng(2).random((60, 4000), np.float32)
    steps, units = fire(motion, seed=4, name="block")
    part_steps, part_units = fire(motion[25:], seed=4, name="block", first=25)
    np.testing.assert_array_equal(steps[units >= 25], part_steps)
    np.testing.assert_array_equal(units[units >= 25], part_units)


# --- the whole ear ---------------------------------------------------------------------------------


def test_spikes_depend_on_sound_seed_and_name_alone():
    sound = voice(0.15)
    times, units = hear(sound, SAMPLE_RATE, seed=0, name="a")
    again = hear(sound, SAMPLE_RATE, seed=0, name="a")
    np.testing.assert_array_equal(times, again[0])
    np.testing.assert_array_equal(units, again[1])
    for other in (dict(seed=1, name="a"), dict(seed=0, name="b")):
        assert not np.array_equal(hear(sound, SAMPLE_RATE, **other)[0], times)
    louder = hear(
        8 * sound, SAMPLE_RATE, seed=0, name="a"
    )  # a power of two changes no digit of the scaled sound
    np.testing.assert_array_equal(times, louder[0])
    two_sides = hear(np.stack([2 * sound, 0 * sound], axis=1), SAMPLE_RATE, seed=0, name="a")
    np.testing.assert_array_equal(times, two_sides[0])
    paper = hear(sound, SAMPLE_RATE, seed=0, name="a", constants="paper")
    assert not np.array_equal(paper[0], times)


def test_spikes_are_sorted_by_time_then_channel():
    times, units = hear(voice(0.15), SAMPLE_RATE, seed=0, name="sorted")
    assert times.dtype == np.float64 and units.dtype == np.uint16
    assert times[0] >= 0 and times[-1] <= 0.15 and units.max() < membrane.CHANNELS
    later = np.diff(times) > 0
    assert (np.diff(times) >= 0).all() and (~later).any()
    assert (np.diff(units.astype(int))[~later] > 0).all()


@pytest.mark.parametrize("sample_rate", [8000, 22_050, 48_000, 96_000])
def test_a_tone_is_heard_at_its_place_at_every_sample_rate(sample_rate):
    times, units = hear(tone(1000, 0.12, sample_rate), sample_rate, seed=0, name="tone")
    # channel 400 is best at 1 kHz; those somewhat towards the base follow it, those beyond do not
    counts = np.bincount(units, minlength=700)
    assert counts[370:410].mean() > 5
    assert counts[450:].mean() < 0.3 and counts[:250].mean() < 0.3


def test_conditioning_fixes_loudness_and_ends():
    sound = condition(3 + voice(0.3), SAMPLE_RATE)
    ramp = 1440
    assert sound[0] == 0 and sound[-1] == 0
    original = 3 + voice(0.3)
    inner = slice(ramp, -ramp)
    np.testing.assert_allclose(sound[inner], (original * 0.3 / np.sqrt(np.mean(original**2)))[inner])
    np.testing.assert_allclose(
        condition(np.ones(4000), SAMPLE_RATE)[:ramp],
        0.3 * np.sin(np.pi * np.arange(ramp) / (2 * ramp - 1)) ** 2,
    )
    assert len(condition(np.ones(101), SAMPLE_RATE)) == 101  # shorter than two ramps
    assert condition(np.ones(101), SAMPLE_RATE)[50] == 0.3


@pytest.mark.parametrize("exponent", [-1000, -520, -300, -200, 0, 200, 300, 520, 1000])
@pytest.mark.parametrize("sample_rate", [8000, SAMPLE_RATE])
def test_conditioning_takes_any_loudness(exponent, sample_rate):
    sound = np.round(
        2**15 * tone(440, 0.1, sample_rate)
    )  # whole numbers, so that no power of two rounds them
    plain = condition(sound, sample_rate)
    np.testing.assert_array_equal(condition(np.ldexp(sound, exponent), sample_rate), plain)


@pytest.mark.parametrize("size", [5e-324, 1e-320, 1e-200, 1e200, 1e300, 1.7e308])
def test_conditioning_of_extremes_is_finite_and_as_loud_as_any(size):
    square = size * np.sign(tone(440, 0.2) + 0.5)
    np.testing.assert_allclose(condition(square, SAMPLE_RATE)[1440:-1440], 0.3 * np.sign(square)[1440:-1440])


@pytest.mark.parametrize(
    ("sound", "complaint"),
    [
        (np.zeros(1000), "silent"),
        (np.zeros(0), "no sound"),
        (np.ones((2, 2, 2)), "no sound"),
        (np.array([1.0, np.nan]), "not finite"),
        (np.ones(6 * SAMPLE_RATE), "6.0 s long"),
    ],
)
def test_sounds_that_cannot_be_heard_are_refused(sound, complaint):
    with pytest.raises(DataError, match=f"seven: .*{complaint}"):
        hear(sound, SAMPLE_RATE, seed=0, name="seven")


def test_unknown_constants_are_refused():
    with pytest.raises(DataError, match="'meddis'.*code, paper"):
        fire(np.zeros((1, 10), np.float32), seed=0, name="x", constants="meddis")


# --- other people's recordings, heard by another program -------------------------------------------

RECORDINGS = "free-spoken-digit-dataset-1.0.10.tar.gz"


@pytest.mark.skipif("SPSN_FSDD" not in os.environ, reason="SPSN_FSDD names no folder with the FSDD spikes")
def test_real_digits_give_the_spikes_that_were_published():
    import h5py

    folder, rows = Path(os.environ["SPSN_FSDD"]), (0, 1, 2, 3, 4, 5)
    with tarfile.open(folder / RECORDINGS) as archive:
        members = {Path(m.name).stem: m for m in archive if m.name.endswith(".wav")}

        def in_test(name: str) -> bool:
            return "_theo_" in name or int(name.rsplit("_", 1)[1]) < 5

        names = sorted(filter(in_test, members), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
        sounds = {name: read_wave(archive.extractfile(members[name])) for name in (names[i] for i in rows)}
    with h5py.File(folder / "fsdd_test.h5") as file:
        assert len(names) == len(file["labels"])
        for row, (name, (sound, sample_rate)) in zip(rows, sounds.items(), strict=True):
            times, units = hear(sound, sample_rate, seed=0, name=name)
            theirs = set(
                zip(file["spikes/times"][row].tolist(), file["spikes/units"][row].tolist(), strict=True)
            )
            ours = set(zip(times.astype(np.float16).tolist(), units.tolist(), strict=True))
            assert len(times) == pytest.approx(len(file["spikes/times"][row]), rel=0.01)
            # the same random numbers: the resampling filters differ at the edge of the source's band
            assert len(ours & theirs) > 0.95 * len(theirs)


def read_wave(stream) -> tuple[np.ndarray, int]:
    with wave.open(stream) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2"), file.getframerate()
