"""Synthetic spoken digits: the 20 words of SHD, spoken by eSpeak NG and heard by the inner-ear model.

A stand-in that lets everything run where SHD cannot be had, in SHD's file layout. It is synthetic speech,
named as such on every result made from it; it is not SHD. Who says what is planned in
`spsn.data.utterances`, spoken by eSpeak NG, trimmed to what is within 40 dB of its peak, and heard by
`spsn.data.inner_ear`. The spikes of an utterance do not depend on how many others are made, in which order,
or by how many processes.

eSpeak NG (GPL-3.0-or-later) comes with the optional package espeakng-loader and runs in a process of its own
(`spsn.data.espeak`).
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from spsn import provenance, sources
from spsn.data import espeak
from spsn.data.audio import trim
from spsn.data.inner_ear import hear
from spsn.data.pieces import Kept, Row, check_targets, hear_all, key_of, write_together
from spsn.data.spikes import SpikeFile
from spsn.data.utterances import CLASS_NAMES, SPEAKERS, Utterance, plan
from spsn.errors import SpsnError

MADE_BY = "synthetic speech (eSpeak NG) through the inner-ear model"
# what the spikes of an utterance depend on
CODE = (
    "data/audio.py",
    "data/espeak.py",
    "data/inner_ear.py",
    "data/inner_ear_cells.py",
    "data/membrane.py",
    "data/speech.py",
)
VERSIONS = ("espeakng-loader", "numpy", "scipy", "numba")


@dataclass(frozen=True, eq=False)
class Spoken:
    """A waveform (n,) int16 at `espeak.SAMPLE_RATE` and the phonemes that eSpeak NG read into the text."""

    wave: np.ndarray
    phonemes: str


def speak(utterances: Sequence[Utterance]) -> list[Spoken]:
    """Return what eSpeak NG says, one `Spoken` per utterance, each independent of the others.

    Raises SpsnError where espeakng-loader is not installed, lacks a voice, or its library fails.
    """
    library, data = _installed()
    for variant in {u.voice.partition("+")[2] for u in utterances} - {""}:
        if not (data / "voices" / "!v" / variant).is_file():  # else the plain voice would speak in its place
            raise SpsnError(
                f"{data}: eSpeak NG has no voice variant {variant!r}. Install espeakng-loader 0.2.4."
            )
    requests = [
        {"text": u.text, "voice": u.voice, "rate": u.rate, "pitch": u.pitch, "noise": u.noise}
        for u in utterances
    ]
    done = subprocess.run(
        [sys.executable, "-I", "-S", os.path.abspath(espeak.__file__), library, data.name],
        cwd=data.parent,  # see `espeak`: a long path to the data would end the process
        input=json.dumps(requests).encode(),
        capture_output=True,
    )
    if done.returncode != 0:
        complaint = done.stderr.decode(errors="replace").strip() or "it ended without a word"
        raise SpsnError(f"{library}: {complaint}. Reinstall espeakng-loader.")
    return _answers(done.stdout, len(requests))


def _answers(stream: bytes, count: int) -> list[Spoken]:
    spoken, at = [], 0
    for _ in range(count):
        end = stream.index(b"\n", at)
        header = json.loads(stream[at:end])
        wave = np.frombuffer(stream, np.int16, header["samples"], end + 1)
        spoken.append(Spoken(wave, header["phonemes"]))
        at = end + 1 + wave.nbytes
    return spoken


def _installed() -> tuple[str, Path]:
    """Return the paths of eSpeak NG's library and of its data."""
    if importlib.util.find_spec("espeakng_loader") is None:
        raise SpsnError("speaking digits needs the package espeakng-loader. Run: pip install 'spsn[speech]'")
    import espeakng_loader

    return espeakng_loader.get_library_path(), Path(espeakng_loader.get_data_path())


def spikes_of(utterances: Sequence[Utterance], seed: int) -> list[Row]:
    """Return times (E,) float16 seconds and units (E,) uint16 of each utterance: spoken, trimmed, heard."""
    heard = []
    for utterance, spoken in zip(utterances, speak(utterances), strict=True):
        if not spoken.wave.any():
            raise SpsnError(f"eSpeak NG said nothing for {utterance.name}. Reinstall espeakng-loader.")
        times, units = hear(trim(spoken.wave), espeak.SAMPLE_RATE, seed=seed, name=utterance.name)
        heard.append((times.astype(np.float16), units))
    return heard


def make_digits(
    train: int,
    test: int,
    seed: int,
    folder: str | os.PathLike,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, Path]:
    """Write synthetic_digits_train.h5 and synthetic_digits_test.h5 into `folder`; return both paths.

    `train` and `test` are numbers of samples; `workers` processes share the work and do not change the
    result: equal seeds give equal bytes on one machine with one set of versions. `progress(done, total)`
    counts utterances. What was heard is kept in a hidden folder there until both files stand, so that a run
    that was stopped goes on, and one that comes beside it waits; the files appear whole and together. Raises
    SettingsError for too few samples, SpsnError without eSpeak NG or where a file cannot be written. Source
    of the layout: `spsn.data.shd`.
    """
    splits = plan(train, test, seed)
    paths = tuple(Path(folder) / f"synthetic_digits_{split}.h5" for split in ("train", "test"))
    check_targets(paths)
    kept = Kept(paths[0].with_name(f".{paths[0].stem}.hearing"))
    with kept.alone():
        rows = hear_utterances(splits[0] + splits[1], seed, workers, progress, kept)
        made = map(_spike_file, splits, (rows[:train], rows[train:]))
        write_together(dict(zip(paths, made, strict=True)), made_by=MADE_BY)
        kept.remove()
    return paths


def _spike_file(utterances: list[Utterance], rows: list[Row]) -> SpikeFile:
    return SpikeFile.from_rows(
        times=[times for times, _ in rows],
        units=[units for _, units in rows],
        labels=[u.label for u in utterances],
        speakers=[u.speaker for u in utterances],
        class_names=CLASS_NAMES,
        meta={
            "gender": np.array([speaker.gender for speaker in SPEAKERS]),
            "age": np.full(len(SPEAKERS), -1, np.int16),
            "body_height": np.full(len(SPEAKERS), np.nan, np.float32),
        },
    )


def hear_utterances(
    utterances: Sequence[Utterance],
    seed: int,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
    kept: Kept | None = None,
) -> list[Row]:
    """Return what `spikes_of` returns, by `workers` processes, going on from what is `kept`."""
    versions = provenance.versions_of(VERSIONS)
    keys = [key_of(sources.digest(CODE), versions, seed, astuple(u)) for u in utterances]
    return hear_all(
        utterances, keys, partial(spikes_of, seed=seed), workers=workers, kept=kept, progress=progress
    )
