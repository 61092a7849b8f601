"""Who says what: the plan of the synthetic spoken digits.

The 20 words of the Spiking Heidelberg Digits in SHD's order (English zero-nine are labels 0-9, German
null-neun 10-19), said by twelve speakers, of whom 4 and 5 speak in the test file only and fill four fifths
of it, as in SHD. A speaker is a voice variant of eSpeak NG at a pitch of its own; the speed, and a little
of the pitch, vary from utterance to utterance. An utterance is a function of the seed and its name (split,
word, speaker, trial): a longer file holds those of a shorter one, in another order.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spsn.data.inner_ear import stream_key
from spsn.errors import SettingsError

ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
GERMAN = ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
CLASS_NAMES = tuple(word.replace("ü", "ue") for word in ENGLISH + GERMAN)
FULL = {"train": 8156, "test": 2264}  # SHD's own numbers of samples
RATES = (90, 140)  # words per minute: 0.7 to 0.45 s a word, as long as SHD's
PITCH_JITTER = 6  # of a scale of 100
HELD_OUT_SHARE = 0.8  # of the test file, spoken by the speakers of the test file alone


@dataclass(frozen=True)
class Speaker:
    """A voice variant of eSpeak NG ("" is the plain voice), its mean pitch (0-99), its apparent gender."""

    variant: str
    pitch: int
    gender: str


SPEAKERS = (
    Speaker("", 50, "male"),
    Speaker("+f1", 50, "female"),
    Speaker("+m1", 45, "male"),
    Speaker("+f3", 50, "female"),
    Speaker("+adam", 50, "male"),
    Speaker("+f2", 50, "female"),
    Speaker("+m7", 50, "male"),
    Speaker("+f4", 45, "female"),
    Speaker("+Mario", 50, "male"),
    Speaker("+belinda", 50, "female"),
    Speaker("+victor", 45, "male"),
    Speaker("+f5", 55, "female"),
)
HELD_OUT = (4, 5)


@dataclass(frozen=True)
class Utterance:
    """One word to be said: `rate` in words per minute, `pitch` 0-99, `noise` the seed of breathy voices."""

    name: str
    text: str
    voice: str
    rate: int
    pitch: int
    label: int
    speaker: int
    split: str
    noise: int


def plan(train: int, test: int, seed: int) -> tuple[list[Utterance], list[Utterance]]:
    """Return the utterances of the training and of the test file, each in the shuffled order of the file.

    Classes occur equally often in a file, and so do speakers within each of its groups (held out, others),
    as far as the numbers allow. Raises SettingsError for a file with fewer samples than there are classes.
    """
    if min(train, test) < len(CLASS_NAMES):
        raise SettingsError(
            f"synthetic digits: {train} training and {test} test samples are too few for {len(CLASS_NAMES)} "
            f"classes. Ask for at least {len(CLASS_NAMES)} each."
        )
    others = [i for i in range(len(SPEAKERS)) if i not in HELD_OUT]
    unseen = round(HELD_OUT_SHARE * test)
    cells = {
        "train": _cells(train, others),
        "test": _cells(unseen, HELD_OUT) + _cells(test - unseen, others, first_class=unseen),
    }
    return _shuffled("train", cells["train"], seed), _shuffled("test", cells["test"], seed)


def _cells(count: int, speakers: Sequence[int], first_class: int = 0) -> list[tuple[int, int]]:
    """Return `count` pairs (label, speaker): each class once in every 20, speakers in turn."""
    classes = len(CLASS_NAMES)
    return [((first_class + i) % classes, speakers[(i + i // classes) % len(speakers)]) for i in range(count)]


def _shuffled(split: str, cells: list[tuple[int, int]], seed: int) -> list[Utterance]:
    trials: Counter = Counter()
    utterances = []
    for label, speaker in cells:
        trials[label, speaker] += 1
        utterances.append(_utterance(split, label, speaker, trials[label, speaker], seed))
    order = np.random.default_rng(stream_key(seed, f"order of {split}")).permutation(len(utterances))
    return [utterances[i] for i in order]


def _utterance(split: str, label: int, speaker: int, trial: int, seed: int) -> Utterance:
    name = f"{split}_{CLASS_NAMES[label]}_{speaker}_{trial}"
    draw = np.random.default_rng(stream_key(seed, f"voice of {name}"))
    language, text = ("en", ENGLISH[label]) if label < len(ENGLISH) else ("de", GERMAN[label - len(ENGLISH)])
    return Utterance(
        name=name,
        text=text,
        voice=language + SPEAKERS[speaker].variant,
        rate=int(draw.integers(RATES[0], RATES[1] + 1)),
        pitch=SPEAKERS[speaker].pitch + int(draw.integers(-PITCH_JITTER, PITCH_JITTER + 1)),
        label=label,
        speaker=speaker,
        split=split,
        noise=int(draw.integers(2**31)),
    )
