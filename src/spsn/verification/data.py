"""What a folder of results says of its data: sizes, digests of the spikes, label and speaker of every sample.

Data themselves are not published with results; that what is said of them agrees is all that can be checked.
"""

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spsn.errors import RecordError
from spsn.layout import SPLITS
from spsn.manifest import DATA as FACTS
from spsn.manifest import SAMPLES
from spsn.verification.findings import Findings
from spsn.verification.folder import ResultsFolder


@dataclass(frozen=True)
class Split:
    """How many samples and classes a file has, and the digests of its spikes by time step (s, as text)."""

    samples: int
    classes: int
    spikes: Mapping[str, str]


@dataclass(frozen=True)
class HeardSamples:
    """Label and speaker of every sample of the test file, and the speakers of the training file."""

    labels: Sequence[int]
    speakers: Sequence[str]
    trained: frozenset[str]

    def by_speaker(self, predictions: Sequence[int]) -> dict[str, dict[str, Any]]:
        """What a run record says of each test speaker whose samples got these predictions."""
        found: dict[str, dict[str, Any]] = {}
        for speaker, label, predicted in zip(self.speakers, self.labels, predictions, strict=True):
            new = {"hits": 0, "total": 0, "in_training": speaker in self.trained}
            own = found.setdefault(speaker, new)
            own["hits"] += predicted == label
            own["total"] += 1
        return found


@dataclass(frozen=True)
class KnownData:
    """All that was found of the data: the content of `data.json`, its splits, the test samples.

    What cannot be read, or is not what its provenance names, is empty.
    """

    content: Mapping[str, Any]
    splits: Mapping[str, Split]
    samples: HeardSamples | None


def read_data(folder: ResultsFolder, findings: Findings) -> KnownData:
    """The facts of the data in files of which nothing wrong is known yet; what is wrong is found."""
    content, splits = _facts(folder, findings)
    return KnownData(content, splits, _samples(folder, splits, findings))


def _facts(folder: ResultsFolder, findings: Findings) -> tuple[dict, dict[str, Split]]:
    if findings.about(FACTS):
        return {}, {}
    try:
        content = folder.json(FACTS)
        return content, {split: _split(content["splits"][split]) for split in SPLITS}
    except RecordError as error:
        findings.add(FACTS, str(error))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        findings.add(FACTS, f"does not state samples, classes and digests of both files ({error!r})")
    return {}, {}


def _split(said: Mapping[str, Any]) -> Split:
    digests = {str(step): str(value) for step, value in said["digest"].items()}
    return Split(int(said["samples"]), int(said["classes"]), digests)


def _samples(folder: ResultsFolder, splits: Mapping[str, Split], findings: Findings) -> HeardSamples | None:
    if not splits or findings.about(SAMPLES) or folder.unfit(SAMPLES):
        return None
    try:
        with open(folder.path / SAMPLES, newline="", encoding="utf-8") as file:
            of, in_order = _heard(csv.DictReader(file, strict=True))
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        findings.add(SAMPLES, f"cannot be read as a table of samples ({error!r})")
        return None
    if not in_order:
        findings.add(SAMPLES, "its samples do not stand in the order of their files")
        return None
    for split, said in splits.items():
        if (found := len(of[split][0])) != said.samples:
            findings.add(SAMPLES, f"{found} samples of {split}, expected {said.samples} (data.json)")
            return None
    return HeardSamples(*of["test"], frozenset(of["train"][1]))


def _heard(lines: Iterable[Mapping[str, str]]) -> tuple[dict[str, tuple[list[int], list[str]]], bool]:
    """Labels and speakers of each file's samples, and whether these stand in their order.

    Nothing else is kept: a line as a mapping takes twenty times its bytes. Raises KeyError, TypeError and
    ValueError where the lines are no samples.
    """
    of: dict[str, tuple[list[int], list[str]]] = {split: ([], []) for split in SPLITS}
    in_order = True
    for line in lines:
        if (split := line["split"]) in of:
            labels, speakers = of[split]
            in_order &= int(line["sample"]) == len(labels)
            labels.append(int(line["label"]))
            speakers.append(sys.intern(str(int(line["speaker"]))))
    return of, in_order
