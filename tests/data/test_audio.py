"""Recordings: what is read from good files, and what is said of bad ones."""

import hashlib

import numpy as np
import pytest

from spsn.data.audio import HIGHEST_RATE, LONGEST_FILE, LOWEST_RATE, SHORTEST, read_sound, trim
from spsn.data.inner_ear import hear
from spsn.errors import DataError

soundfile = pytest.importorskip("soundfile")
RATE = 8000
TONE = np.round(20_000 * np.sin(np.arange(800) / 3) * np.hanning(800)).astype(np.int16)


def written(path, wave, rate=RATE, **how):
    soundfile.write(path, wave, rate, **how)
    return path


# --- good files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".WAV"])
def test_whole_numbers_become_fractions_of_their_range(tmp_path, suffix):
    path = written(tmp_path / f"tone{suffix}", TONE)
    sound = read_sound(path, trimmed=False)
    assert sound.sample_rate == RATE and sound.wave.dtype == np.float64
    np.testing.assert_array_equal(sound.wave * 2**15, TONE)
    assert sound.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    np.testing.assert_array_equal(read_sound(path).wave * 2**15, trim(TONE))


@pytest.mark.parametrize(
    ("subtype", "step"), [("PCM_U8", 2**-7), ("PCM_16", 2**-15), ("PCM_24", 2**-23), ("FLOAT", 2**-24)]
)
def test_every_sample_format_holds_the_same_sound(tmp_path, subtype, step):
    wave = TONE / 2**15
    read = read_sound(written(tmp_path / "tone.wav", wave, subtype=subtype), trimmed=False).wave
    np.testing.assert_allclose(read, wave, atol=step)


@pytest.mark.parametrize("rate", [LOWEST_RATE, 8000, 16_000, 44_100, 48_000, 192_000, HIGHEST_RATE])
def test_every_rate_is_read(tmp_path, rate):
    sound = read_sound(written(tmp_path / "tone.wav", np.tile(TONE, 1 + rate // RATE // 2), rate))
    assert sound.sample_rate == rate


def test_sides_are_averaged(tmp_path):
    left, right = TONE / 2**15, TONE[::-1] / 2**16
    both = read_sound(
        written(tmp_path / "both.wav", np.stack([left, right], 1), subtype="DOUBLE"), trimmed=False
    )
    np.testing.assert_array_equal(both.wave, (left + right) / 2)
    one = read_sound(written(tmp_path / "one.wav", np.stack([TONE, 0 * TONE], 1)), trimmed=False)
    np.testing.assert_array_equal(one.wave * 2**16, TONE)


def test_a_file_is_heard_as_its_samples_are(tmp_path):
    from_file = read_sound(written(tmp_path / "tone.flac", TONE))
    for a, b in zip(
        hear(from_file.wave, RATE, seed=0, name="tone"),
        hear(trim(TONE), RATE, seed=0, name="tone"),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_trimming_keeps_what_is_within_40_db_of_the_peak():
    wave = np.array([0, 3, -100, 20_000, -32_768, 5, 400, 300, 0], np.int16)
    kept = [20_000, -32_768, 5, 400]
    assert trim(wave).tolist() == kept
    np.testing.assert_array_equal(trim(wave / 2**15) * 2**15, kept)
    assert trim(np.array([0.0, 1.0, 0.0])).tolist() == [1.0]
    with pytest.raises(DataError, match="silent"):
        trim(np.zeros(3))


def test_silence_is_trimmed_before_the_length_is_judged(tmp_path):
    quiet = np.zeros(6 * RATE, np.int16)
    path = written(tmp_path / "late.wav", np.concatenate([quiet, TONE]))
    assert len(read_sound(path).wave) < len(TONE)
    with pytest.raises(DataError, match=r"late\.wav: 6\.1 s long\. Cut it into words of at most 5 s"):
        read_sound(path, trimmed=False)


def test_a_wav_file_from_a_pipe_need_not_know_its_length(tmp_path):
    path = written(tmp_path / "tone.wav", TONE)
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = content[4:8] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    np.testing.assert_array_equal(read_sound(path, trimmed=False).wave * 2**15, TONE)


# --- bad files -------------------------------------------------------------------------------------


def complaint(path):
    with pytest.raises(DataError) as caught:
        read_sound(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and message.endswith(".") and "BytesIO" not in message
    return message


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize("content", [b"", b"<html>no such page</html>", b"RIFF", bytes(range(256)) * 9])
def test_what_is_no_sound_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"odd{suffix}"
    path.write_bytes(content)
    assert "not a sound that can be read" in complaint(path)


@pytest.mark.parametrize(("suffix", "share"), [(".wav", 0.99), (".wav", 0.5), (".wav", 0.03), (".flac", 0.5)])
def test_a_file_cut_short_is_refused(tmp_path, suffix, share):
    noise = np.random.default_rng(0).integers(-9000, 9000, 20_000).astype(np.int16)
    path = written(tmp_path / f"cut{suffix}", noise)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert any(reason in complaint(path) for reason in ("cut short", "damaged"))


def test_a_damaged_flac_file_is_refused(tmp_path):
    path = written(
        tmp_path / "bad.flac", np.random.default_rng(0).integers(-9000, 9000, 20_000).astype(np.int16)
    )
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)
    path.write_bytes(content)
    assert "damaged" in complaint(path) or "cut short" in complaint(path)


def test_files_without_anything_to_hear_are_refused(tmp_path):
    assert "holds no samples" in complaint(written(tmp_path / "empty.wav", TONE[:0]))
    assert "silent" in complaint(written(tmp_path / "silent.wav", 0 * TONE))
    assert "silent" in complaint(written(tmp_path / "against.wav", np.stack([TONE, -TONE], 1)))
    broken = np.where(np.arange(800) == 400, np.nan, TONE / 2**15)
    assert "not finite" in complaint(written(tmp_path / "nan.wav", broken, subtype="FLOAT"))


def test_too_long_files_are_refused_by_their_header(tmp_path):
    path = written(
        tmp_path / "long.wav", np.ones(int((LONGEST_FILE + 1) * LOWEST_RATE), np.int16), LOWEST_RATE
    )
    assert "61 s long, over LONGEST_FILE = 60. Cut it into words of at most 5 s" in complaint(path)


def test_other_formats_and_rates_are_refused(tmp_path):
    assert "is OGG. Convert it to WAV or FLAC" in complaint(written(tmp_path / "tone.ogg", TONE))
    assert "500 samples a second, under LOWEST_RATE" in complaint(written(tmp_path / "slow.wav", TONE, 500))
    path = written(tmp_path / "fast.wav", TONE, 2**31 - 1)
    assert "2147483647 samples a second, over HIGHEST_RATE = 768000" in complaint(path)


def test_clicks_are_refused(tmp_path):
    least = round(SHORTEST * RATE)
    tone = 20_000 + TONE[:least] // 2
    assert len(read_sound(written(tmp_path / "short.wav", tone)).wave) == least
    assert "0.0199 s long without its silence, under SHORTEST" in complaint(
        written(tmp_path / "shorter.wav", tone[1:])
    )
    late = np.concatenate([np.zeros(RATE, np.int16), TONE[400:401]])
    assert "0.000125 s long without its silence" in complaint(written(tmp_path / "click.wav", late))
    with pytest.raises(DataError, match=r"one\.wav: 0\.000125 s long, under SHORTEST"):
        read_sound(written(tmp_path / "one.wav", TONE[400:401]), trimmed=False)


@pytest.mark.parametrize("exponent", [-1060, -700, 700, 1022])
def test_no_loudness_is_too_small_or_too_large(tmp_path, exponent):
    wave = np.sign(trim(TONE)).astype(float)  # fits into the least numbers that there are
    plain = hear(wave, RATE, seed=0, name="tone")
    path = written(tmp_path / "tone.wav", np.ldexp(wave, exponent), subtype="DOUBLE")
    sound = read_sound(path)
    assert np.log2(np.abs(sound.wave).max()) == exponent and len(plain[0]) > 100
    for ours, theirs in zip(hear(sound.wave, RATE, seed=0, name="tone"), plain, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_files_that_cannot_be_opened_are_refused(tmp_path):
    assert "cannot be read (No such file" in complaint(tmp_path / "absent.wav")
    assert "cannot be read (Is a directory)" in complaint(tmp_path)
