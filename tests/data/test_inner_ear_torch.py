"""The torch form of the inner ear against the compiled one, which defines it."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.signal import chirp

from spsn.data import inner_ear, inner_ear_steps, inner_ear_torch, membrane, membrane_torch
from spsn.data.inner_ear import CODE, DT, FIBRES, GOLDEN, SAMPLE_RATE
from spsn.data.inner_ear_torch import fire_batch, hear_batch
from spsn.errors import DataError, SpsnError

EAGER = replace(CODE, h=20 * CODE.h)  # fibres so ready to fire that nearly all do, at a chance of 1 at times


def sound(seconds: float, sample_rate: int = SAMPLE_RATE, seed: int = 0) -> np.ndarray:
    """A chirp in noise, from 200 Hz to beyond the highest channel or the sample rate's half."""
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    noise = np.random.default_rng(seed).normal(size=len(t))
    return chirp(t, 200, seconds, 0.45 * sample_rate, method="logarithmic") + 0.2 * noise


def moved(T: int, recordings: int, channels: int, scale: float, seed: int = 0) -> np.ndarray:
    """Motion (T, R, C) of many loudnesses, from channels at rest to those that drive the hair cell hard."""
    rng = np.random.default_rng(seed)
    motion = rng.normal(size=(T, recordings, channels)) * scale * rng.random((recordings, channels)) ** 3
    motion[:, :, 0] = 0
    return motion.astype(np.float32)


def judge(motion: np.ndarray, **how) -> tuple[np.ndarray, np.ndarray]:
    """What the compiled form makes of one recording's motion (T, C), sorted by step, then by channel."""
    steps, units = inner_ear.fire(np.ascontiguousarray(motion.T), **how)
    order = np.argsort(steps, kind="stable")
    return steps[order], units[order]


def assert_same(ours, theirs):
    assert ours[0].dtype == theirs[0].dtype and ours[1].dtype == theirs[1].dtype == np.uint16
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_array_equal(ours[1], theirs[1])


# --- random numbers --------------------------------------------------------------------------------


def mixed(z: int) -> int:
    return int(inner_ear._mix(np.uint64(z % 2**64)))


def test_random_bits_are_those_of_the_compiled_form():
    rng, golden = np.random.default_rng(0), int(GOLDEN)
    keys = [0, 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]
    keys += rng.integers(0, 2**64, 50, np.uint64).tolist()
    signed = torch.from_numpy(np.array(keys, np.uint64).view(np.int64))
    assert inner_ear_steps.mix(signed).numpy().view(np.uint64).tolist() == [mixed(key) for key in keys]

    bases = [[mixed(key + (c + 1) * golden) for c in range(660, 700)] for key in keys]
    ours = inner_ear_steps.stream_bases(signed, 660, 40)
    assert ours.numpy().view(np.uint64).tolist() == bases

    steps = range(119_990, 120_000)
    words = [[mixed(row[7] + (t + 1) * golden) for row in bases] for t in steps]
    u = inner_ear_steps.uniforms(ours[:, 7], 119_990, 10)
    assert u.dtype == torch.float64
    assert u.tolist() == [[(word >> 11) / 2**53 for word in row] for row in words]


def test_binomial_is_that_of_the_compiled_form_everywhere():
    """Chances and uniforms from end to end; cumulative sums and their neighbours among them."""
    p = [
        0.0,
        5e-324,
        1e-300,
        1e-17,
        1e-9,
        1e-3,
        0.01,
        0.03,
        0.1,
        1 / 3,
        0.5,
        0.7,
        0.9,
        0.999,
        1 - 2**-53,
        1.0,
    ]
    u = [0.0, 2**-53, 1e-9, 1e-3, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.9999, 1 - 1e-9, 1 - 2**-52, 1 - 2**-53]
    grid = list(product(range(FIBRES + 1), p, u))
    for F, p in [(40, 0.03), (40, 0.5), (17, 0.2), (1, 0.3)]:
        edges = [1.0 - F * p, *stats.binom.cdf(range(F + 1), F, p)]
        grid += [
            (F, p, edge + k * 2**-54) for edge in edges for k in range(-8, 9) if 0 <= edge + k * 2**-54 < 1
        ]
    F, p, u = (np.array(column) for column in zip(*grid, strict=True))
    expected = [inner_ear._binomial(*case) for case in zip(F, p, u, strict=True)]
    drawn = inner_ear_steps.binomial(torch.from_numpy(F), torch.from_numpy(p), torch.from_numpy(u))
    assert drawn.dtype == torch.int64
    np.testing.assert_array_equal(drawn, expected)
    assert set(expected) == set(range(FIBRES + 1))


def test_binomial_inverts_random_draws_alike():
    rng = np.random.default_rng(5)
    F, u = rng.integers(0, FIBRES + 1, 20_000), rng.random(20_000)
    p = rng.random(20_000) ** rng.integers(1, 8, 20_000)
    expected = [inner_ear._binomial(*case) for case in zip(F, p, u, strict=True)]
    drawn = inner_ear_steps.binomial(torch.from_numpy(F), torch.from_numpy(p), torch.from_numpy(u))
    np.testing.assert_array_equal(drawn, expected)


# --- membrane --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [4096 // 2 + 1, 4096 // 4 + 7, 4096 // 4 + 1, 4096 // 4, 300])
def test_fold_is_that_of_numpy_with_real_ends(kept):
    rng = np.random.default_rng(kept)
    spectrum = rng.normal(size=(3, kept)) + 1j * rng.normal(size=(3, kept))
    expected = membrane.fold(spectrum, 4096)
    expected[:, [0, -1]] = expected[:, [0, -1]].real
    np.testing.assert_array_equal(membrane_torch.fold(torch.from_numpy(spectrum), 4096), expected)


@pytest.mark.parametrize("samples", [2400, 2401])
def test_the_membrane_moves_as_in_numpy(samples):
    heard = inner_ear.condition(sound(0.06)[:samples], SAMPLE_RATE)
    ours = torch.empty((samples // 2 + 1, membrane.CHANNELS))
    membrane_torch.move(heard, SAMPLE_RATE, ours)
    theirs = np.concatenate(list(membrane.motion(heard, SAMPLE_RATE, SAMPLE_RATE / 2))).T
    assert theirs.dtype == np.float32
    error = np.abs(ours.numpy() - theirs).max(axis=0)
    assert (error < 1e-5 * np.abs(theirs).max(axis=0)).all()


# --- hair cell, fibres, bushy cell -----------------------------------------------------------------


@pytest.mark.parametrize("constants", ["code", "paper", EAGER], ids=["code", "paper", "eager"])
def test_equal_motion_gives_equal_spikes_bit_for_bit(constants):
    """Recordings of different lengths, the last channels, loud enough for every branch."""
    motion, lengths = moved(1200, 3, 40, 2000), (1200, 1201 - 25, 63)
    names = ["a", "b", "c"]
    how = {"seed": 3, "constants": constants, "first": 660}
    ours = fire_batch(torch.from_numpy(motion), names, lengths=lengths, **how)
    for r, (name, length) in enumerate(zip(names, lengths, strict=True)):
        assert_same(ours[r], judge(motion[:length, r], name=name, **how))
    assert len(ours[0][0]) > 150 and ours[0][1].max() > 690


def test_a_real_motion_gives_equal_spikes_bit_for_bit():
    heard = inner_ear.condition(sound(0.1), SAMPLE_RATE)
    blocks = [block[::10] for block in membrane.motion(heard, SAMPLE_RATE, SAMPLE_RATE / 2)]
    motion = np.concatenate(blocks).T
    (ours,) = fire_batch(torch.from_numpy(motion[:, None]), ["word"], seed=1)
    assert_same(ours, judge(motion, seed=1, name="word"))
    assert len(ours[0]) > 50


def test_silence_is_as_silent():
    silence = torch.zeros((2400, 2, 200))
    for name, ours in zip("ab", fire_batch(silence, "ab", seed=0), strict=True):
        assert_same(ours, judge(np.zeros((2400, 200), np.float32), seed=0, name=name))
        assert 0 < len(ours[0]) < 60
    for nothing in (torch.zeros((0, 2, 5)), torch.zeros((10, 2, 0))):
        assert [len(steps) for steps, _ in fire_batch(nothing, "ab", seed=0)] == [0, 0]
    assert fire_batch(torch.zeros((10, 0, 5)), [], seed=0) == []


def test_what_does_not_fit_together_is_refused():
    motion = torch.zeros((10, 2, 5))
    with pytest.raises(DataError, match="'meddis'.*code, paper"):
        fire_batch(motion, "ab", seed=0, constants="meddis")
    with pytest.raises(ValueError, match="no form 'fast'"):
        fire_batch(motion, "ab", seed=0, form="fast")
    with pytest.raises(ValueError, match="2 recordings, 3 names"):
        fire_batch(motion, "abc", seed=0)
    with pytest.raises(ValueError, match="and 1 lengths"):
        fire_batch(motion, "ab", seed=0, lengths=[10])


# --- the whole ear ---------------------------------------------------------------------------------

RATES = (48_000, 8000, 48_000, 22_050, 8000)
SECONDS = (0.05, 0.08, 0.1, 0.06, 0.05)
SOUNDS = [sound(length, rate, i) for i, (length, rate) in enumerate(zip(SECONDS, RATES, strict=True))]
SOUNDS[2] = np.stack([SOUNDS[2], 0.5 * SOUNDS[2]], axis=1)
NAMES = [f"word {i}" for i in range(5)]


@pytest.fixture(scope="module")
def batch():
    return hear_batch(SOUNDS, RATES, NAMES, seed=2, device="cpu")


def shared(ours, theirs) -> float:
    """The share of the spikes of either that both have."""
    a, b = (set(zip(times.tolist(), units.tolist(), strict=True)) for times, units in (ours, theirs))
    return len(a & b) / max(len(a), len(b))


def test_a_batch_is_heard_as_each_recording_is(batch):
    """The membrane's transforms differ in their rounding, which seldom moves a spike."""
    same = []
    for ours, args in zip(batch, zip(SOUNDS, RATES, NAMES, strict=True), strict=True):
        theirs = inner_ear.hear(*args[:2], seed=2, name=args[2])
        assert ours[0].dtype == np.float64 and ours[1].dtype == np.uint16
        assert len(theirs[0]) > 300
        same.append(shared(ours, theirs))
    assert min(same) >= 0.995
    assert same.count(1.0) >= 3


def test_spikes_are_sorted_by_time_then_channel(batch):
    for length, (times, units) in zip(SECONDS, batch, strict=True):
        assert times[0] >= 0 and times[-1] <= length + DT
        later = np.diff(times) > 0
        assert (np.diff(times) >= 0).all() and (~later).any()
        assert (np.diff(units.astype(int))[~later] > 0).all()


def test_a_recording_does_not_depend_on_those_beside_it(batch, monkeypatch):
    (alone,) = hear_batch(SOUNDS[:1], RATES[:1], NAMES[:1], seed=2, device="cpu")
    assert_same(alone, batch[0])
    # so little room that parts hold one or two
    monkeypatch.setitem(inner_ear_torch.HELD, "cpu", 4 * membrane.CHANNELS * 3000)
    backwards = hear_batch(SOUNDS[:2][::-1], RATES[:2][::-1], NAMES[:2][::-1], seed=2, device="cpu")
    assert_same(backwards[1], batch[0])
    assert_same(backwards[0], batch[1])


def test_parts_hold_every_recording_once_and_fit():
    ready = [
        (np.empty(n), rate) for n, rate in zip(range(20_000, 60_000, 1700), [48_000, 8000] * 12, strict=True)
    ]
    held = 4 * membrane.CHANNELS * 60_000
    parts = list(inner_ear_torch._parts(ready, held))
    assert sorted(i for part in parts for i in part) == list(range(len(ready)))
    steps = [[len(ready[i][0]) // 2 + 1 for i in part] for part in parts]
    assert all(4 * membrane.CHANNELS * max(n) * len(n) <= held for n in steps) and max(map(len, steps)) > 1
    assert [len(part) for part in inner_ear_torch._parts(ready, 0)] == [1] * len(ready)


def test_seed_and_constants_count(batch):
    args = SOUNDS[:1], RATES[:1], NAMES[:1]
    (paper,) = hear_batch(*args, seed=2, constants="paper", device="cpu")
    theirs = inner_ear.hear(SOUNDS[0], RATES[0], seed=2, name=NAMES[0], constants="paper")
    assert shared(paper, theirs) >= 0.995
    (other,) = hear_batch(*args, seed=3, device="cpu")
    assert shared(paper, batch[0]) < 0.9 and shared(other, batch[0]) < 0.9


@pytest.mark.parametrize(
    ("heard", "complaint"),
    [
        (np.zeros(1000), "silent"),
        (np.zeros(0), "no sound"),
        (np.ones((2, 2, 2)), "no sound"),
        (np.array([1.0, np.nan]), "not finite"),
        (np.ones(6 * SAMPLE_RATE), "6.0 s long"),
    ],
)
def test_sounds_that_cannot_be_heard_are_refused_by_name(heard, complaint):
    with pytest.raises(DataError, match=f"seven: .*{complaint}"):
        hear_batch([SOUNDS[0], heard], [SAMPLE_RATE] * 2, ["six", "seven"], seed=0, device="cpu")


def test_wrong_arguments_are_refused():
    with pytest.raises(DataError, match="'meddis'.*code, paper"):
        hear_batch(SOUNDS, RATES, NAMES, seed=0, constants="meddis", device="cpu")
    with pytest.raises(ValueError, match="shorter"):
        hear_batch(SOUNDS, RATES, NAMES[:3], seed=0, device="cpu")
    with pytest.raises(SpsnError, match="'meta'"):
        hear_batch(SOUNDS, RATES, NAMES, seed=0, device="meta")
    assert hear_batch([], [], [], seed=0, device="cpu") == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_gpu_is_told():
    with pytest.raises(SpsnError, match="no CUDA device"):
        hear_batch(SOUNDS, RATES, NAMES, seed=0)
