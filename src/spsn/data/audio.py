"""Recordings: a file of sound becomes a waveform, mixed down, trimmed, and fit to be heard.

WAV and FLAC, of any sample format and rate, read by libsndfile (package soundfile). Samples of whole numbers
become fractions of their type's range, a power of two, so that the ear, which takes any loudness, hears the
same bits from them. The sides of a recording are averaged. What lies before the first and behind the last
sample within 40 dB of the peak is silence, and is trimmed: the ear sets the loudness of the whole, which
silence would raise.

A file that is not what it claims to be is refused, never mended: a network trained on half a word tells
nobody.
"""

import hashlib
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from spsn.data.inner_ear import LONGEST
from spsn.errors import DataError, SpsnError

AUDIBLE = 0.01  # of the peak: -40 dB
FORMATS = {"WAV", "WAVEX", "RF64", "FLAC"}  # libsndfile's names
LONGEST_FILE = 60.0  # s, before trimming: a word with its silences, and not a lecture that fills the memory
LOWEST_RATE = 1000  # Hz; the ear hears nothing of speech in less
HIGHEST_RATE = 768_000  # Hz; no recorder takes more, and a header that claims it would fill the memory
SHORTEST = 0.020  # s, trimmed: less is a click, no word
UNKNOWN_LENGTH = 0x7FFFFF00  # a WAV file written to a pipe claims this many bytes, or more
ANEW = "Copy or record it anew, or leave it out."


@dataclass(frozen=True, eq=False)
class Sound:
    """A waveform (n,) float64, mono, its sample rate (Hz), and the SHA-256 (hex) of its file."""

    wave: np.ndarray
    sample_rate: int
    digest: str


def read_sound(path: str | os.PathLike, *, trimmed: bool = True) -> Sound:
    """Return the sound in a WAV or FLAC file, mixed down, and trimmed if asked for.

    Raises DataError, with the file and the remedy, for a file that cannot be read, is neither WAV nor FLAC,
    is damaged or cut short, holds no samples, silence or numbers that are not finite, claims a
    rate outside `LOWEST_RATE` and `HIGHEST_RATE`, lasts longer than `LONGEST_FILE` or, once trimmed, than the
    ear's `LONGEST` or not as long as `SHORTEST`; SpsnError where soundfile is not installed.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            _check_header(file, path)  # before anything long is read
            file.seek(0)
            content = file.read()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}). Mend its path or rights, or leave it out."
        ) from error
    wave, rate = _decode(content, path)
    if not np.isfinite(wave).all():
        raise DataError(f"{path}: holds numbers that are not finite. {ANEW}")
    if not wave.any():
        raise DataError(f"{path}: silent. {ANEW}")
    wave = trim(wave) if trimmed else wave
    length, how = len(wave) / rate, " without its silence" if trimmed else ""
    if length > LONGEST:
        raise DataError(f"{path}: {length:.1f} s long{how}. Cut it into words of at most {LONGEST:g} s.")
    if length < SHORTEST:
        raise DataError(f"{path}: {length:.3g} s long{how}, under SHORTEST = {SHORTEST:g}. {ANEW}")
    return Sound(wave, rate, hashlib.sha256(content).hexdigest())


def trim(wave: np.ndarray) -> np.ndarray:
    """Return `wave` (n,), of any kind of number, less either end's part that is 40 dB below its peak.

    Raises DataError for silence.
    """
    size = np.abs(np.asarray(wave, float))
    loud = np.nonzero(size > AUDIBLE * size.max(initial=0))[0]
    if not len(loud):
        raise DataError("a sound that is to be trimmed is silent. Leave it out.")
    return wave[loud[0] : loud[-1] + 1]


def _soundfile():
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the package without its library
        raise SpsnError(
            f"reading recordings needs the package soundfile ({error}). Run: pip install 'spsn[ear]'"
        ) from error
    return soundfile


def _reason(error) -> str:
    return error.error_string.strip().removeprefix("Error : ").rstrip(".")


def _opened(stream: BinaryIO, path: Path):
    soundfile = _soundfile()
    try:
        return soundfile.SoundFile(stream)
    except soundfile.LibsndfileError as error:
        raise DataError(f"{path}: not a sound that can be read ({_reason(error)}). {ANEW}") from error


def _check_header(stream: BinaryIO, path: Path) -> None:
    with _opened(stream, path) as file:
        if file.format not in FORMATS:
            raise DataError(f"{path}: is {file.format}. Convert it to WAV or FLAC.")
        if not file.seekable():
            raise DataError(f"{path}: is coded as {file.subtype}, which cannot be sought in. {ANEW}")
        if file.samplerate < LOWEST_RATE:
            raise DataError(
                f"{path}: {file.samplerate} samples a second, under LOWEST_RATE = {LOWEST_RATE}. {ANEW}"
            )
        if file.samplerate > HIGHEST_RATE:
            raise DataError(
                f"{path}: {file.samplerate} samples a second, over HIGHEST_RATE = {HIGHEST_RATE}. {ANEW}"
            )
        if file.frames > LONGEST_FILE * file.samplerate:
            raise DataError(
                f"{path}: {file.frames / file.samplerate:.0f} s long, over LONGEST_FILE = {LONGEST_FILE:g}. "
                f"Cut it into words of at most {LONGEST:g} s."
            )
        cut = re.search(r"^data : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
        if cut and int(cut[2]) < int(cut[1]) < UNKNOWN_LENGTH:
            raise DataError(f"{path}: is cut short: {cut[2]} of {cut[1]} bytes of sound. {ANEW}")
        if file.frames == 0:
            raise DataError(f"{path}: holds no samples. {ANEW}")


def _decode(content: bytes, path: Path) -> tuple[np.ndarray, int]:
    soundfile = _soundfile()
    with _opened(io.BytesIO(content), path) as file:
        try:
            sides = file.read(always_2d=True)
        except soundfile.LibsndfileError as error:
            raise DataError(f"{path}: damaged ({_reason(error)}). {ANEW}") from error
        if len(sides) != file.frames:
            raise DataError(f"{path}: is cut short: {len(sides)} of {file.frames} samples. {ANEW}")
        return (sides[:, 0] if sides.shape[1] == 1 else sides.mean(axis=1)), file.samplerate
