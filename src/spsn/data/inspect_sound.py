"""What is in a recording, and whether the inner ear would take it."""

import os
from typing import Any

import numpy as np

from spsn.data.audio import AUDIBLE, LONGEST_FILE, Sound, read_sound, trim
from spsn.data.inner_ear import condition
from spsn.errors import DataError

FULL_SCALE = 1 - 2.0**-14  # of the greatest number: a recording of 16 bits that clips reaches it or nearly so
CLIPPED = 3  # samples at full scale, from which on a recording is said to be clipped


def judge_sound(path: str | os.PathLike, facts: dict[str, Any]) -> Sound | None:
    """Add to `facts` what is in the recording at `path`; return its sound, or None where it cannot be read.

    What is added says `_measured`; levels are shares of full scale. `heard` becomes whether the ear takes it,
    `problems` gets why it does not. Raises SpsnError without soundfile.
    """
    sound = None
    facts["heard"] = True
    try:
        sound = read_sound(path)
        condition(sound.wave, sound.sample_rate, os.fspath(path))
    except DataError as error:
        facts["problems"].append(str(error).removeprefix(f"{path}: "))
        facts["heard"] = False
    facts |= _measured(path)
    if facts.get("clipped", 0) >= CLIPPED:
        facts["notes"].append(f"{facts['clipped']} samples at full scale: recorded too loud?")
    if facts.get("sample_rate", 48_000) < 16_000:
        facts["notes"].append(
            f"nothing above {facts['sample_rate'] / 2000:g} kHz: those channels stay at rest"
        )
    return sound


def _measured(path: str | os.PathLike) -> dict[str, Any]:
    """Rate, length, sides, level, clipping, silence of the first LONGEST_FILE seconds; {} if unreadable."""
    import soundfile  # `read_sound` has said so where it is not installed

    try:
        with soundfile.SoundFile(path) as file:
            rate, frames, encoding = file.samplerate, file.frames, f"{file.format} {file.subtype}"
            sides = file.read(min(frames, int(LONGEST_FILE * rate)), always_2d=True)
    except (soundfile.LibsndfileError, OSError, ValueError, MemoryError):
        return {}  # `problems` says why
    finite = sides[np.isfinite(sides).all(axis=1)]
    peak = float(np.abs(finite).max(initial=0))
    scaled = finite / (peak or 1.0)  # no square of these, and no sum of two sides, is infinite
    return {
        "sample_rate": rate,
        "samples_of_sound": frames,
        "seconds": frames / rate,
        "sides": sides.shape[1],
        "encoding": encoding,
        "rms": peak * float(np.sqrt(np.mean(scaled**2))) if finite.size else None,
        "peak": peak if finite.size else None,
        "clipped": int((np.abs(finite) >= FULL_SCALE).sum()),
        "silence_s": _silence(scaled.mean(axis=1), rate),
    }


def _silence(wave: np.ndarray, rate: int) -> dict[str, float] | None:
    """Seconds before and after the sound in `wave` (n,); None where there is no sound."""
    if not wave.any():
        return None
    inner = trim(wave)
    before = int(np.argmax(np.abs(wave) > AUDIBLE * np.abs(wave).max()))
    return {"before": before / rate, "after": (len(wave) - before - len(inner)) / rate}
