"""Every reader of what strangers write, as a function of bytes: for corpus, hypothesis and `make fuzz`.

Each is called with bytes and a folder of its own. It ends in data or in an `SpsnError`; whatever else it
raises is a fault of the program.
"""

import csv
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

from spsn.checkpoints import _read_tensors, load_weights
from spsn.config_files import merged
from spsn.data.audio import read_sound
from spsn.data.events import EventStore
from spsn.data.fsdd import _unpacked
from spsn.data.labels import read_labels
from spsn.data.shd import check_split, read_split
from spsn.data.unpack import unpack
from spsn.errors import RecordError, SpsnError
from spsn.published import load_published
from spsn.records import Execution, read_record
from spsn.replication.digests import read_checksums
from spsn.replication.notebooks import normalise
from spsn.replication.run_table import collect_runs
from spsn.replication.typesetting import REPORT
from spsn.settings import Settings, from_mapping, load, to_mapping
from spsn.verification.compare import differences
from spsn.verification.data import FACTS, SAMPLES, read_data
from spsn.verification.files import read_provenance
from spsn.verification.findings import Findings
from spsn.verification.folder import ResultsFolder
from spsn.verification.stated import misstated

CORPUS = Path(__file__).parent / "corpus"
Reader = Callable[[bytes, Path], object]


def _written(content: bytes, folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def config(content: bytes, folder: Path) -> None:
    """A YAML configuration; what is taken can be written as JSON and read again."""
    settings = from_mapping(merged([_written(content, folder, "config.yaml")]))
    json.dumps(to_mapping(settings), allow_nan=False)


def settings(content: bytes, folder: Path) -> None:
    """The JSON that `spsn settings` writes."""
    json.dumps(to_mapping(load(_written(content, folder, "settings.json"))), allow_nan=False)


def table(content: bytes, folder: Path) -> None:
    """A table of recordings, which lie in the folder."""
    path = _written(content, folder, "labels.csv")
    for name in ("a.wav", "b.wav"):
        (folder / name).touch()
    read_labels(folder, path)


def recording(content: bytes, folder: Path) -> None:
    """A file of sound."""
    read_sound(_written(content, folder, "sound.wav"))


def hdf5(content: bytes, folder: Path) -> None:
    """A file in SHD's layout, up to the events that networks get."""
    path = _written(content, folder, "words.h5")
    EventStore.from_spikes(check_split(read_split(path), path), 1.0)


def store(content: bytes, folder: Path) -> None:
    """An event store."""
    found = EventStore.load(_written(content, folder, "store.safetensors"))
    _ = found.dense(0) if len(found) else None


def checkpoint(content: bytes, folder: Path) -> None:
    """Weights, and what a checkpoint says about them."""
    path = _written(content, folder, "weights.safetensors")
    _read_tensors(path)
    load_weights(path)


def record(content: bytes, folder: Path) -> None:
    """A run record, up to its line in the table of runs."""
    path = _written(content, folder, "seed0.json")
    read_record(path)
    collect_runs([path])


def published(content: bytes, folder: Path) -> None:
    """PyTorch's weights."""
    load_published(_written(content, folder, "model.pt"), sizes=None)


def archive(content: bytes, folder: Path) -> None:
    """A .zip or .gz of a data file."""
    path = _written(content, folder, "packed")
    try:
        unpack(path, "shd_test.h5", folder / "shd_test.h5")
    finally:
        assert {p.name for p in folder.iterdir()} <= {"packed", "shd_test.h5"}


def tarball(content: bytes, folder: Path) -> None:
    """A .tar.gz of recordings."""
    names = [name for name, _ in _unpacked(_written(content, folder, "packed.tar.gz"))]
    assert not any("/" in name for name in names)


def notebook(content: bytes, folder: Path) -> None:
    """An executed notebook."""
    normalise(_written(content, folder, "a.ipynb"))


@cache
def _made() -> tuple[Settings, Execution]:
    """What a sound provenance has to state."""
    return load(CORPUS / "settings" / "sound"), read_record(CORPUS / "record" / "sound").execution


def _agreed(findings: Findings) -> None:
    if findings.lines:
        raise RecordError("; ".join(findings.lines))


def provenance(content: bytes, folder: Path) -> None:
    """The provenance of a results folder, held against its settings, data and records."""
    name = _written(content, folder, REPORT.provenance).name
    findings, (own, execution) = Findings(), _made()
    about = read_provenance(ResultsFolder(folder), REPORT, findings)
    findings.add(name, *misstated(about, own, {"dataset": "words"}, {"settings.json"}, [execution]))
    _agreed(findings)


def facts(content: bytes, folder: Path) -> None:
    """What a results folder says of its data; its table of samples is the sound one of this corpus."""
    _of_data(content, (CORPUS / "samples" / "sound").read_bytes(), folder)


def samples(content: bytes, folder: Path) -> None:
    """A results folder's table of samples, up to the hits of a run; its facts are this corpus's."""
    _of_data((CORPUS / "facts" / "sound").read_bytes(), content, folder)


def _of_data(facts: bytes, samples: bytes, folder: Path) -> None:
    (folder / SAMPLES).parent.mkdir(exist_ok=True)
    _written(facts, folder, FACTS)
    _written(samples, folder, SAMPLES)
    results, findings = ResultsFolder(folder), Findings()
    if reason := results.unfit(SAMPLES) or results.overlong(SAMPLES):
        findings.add(SAMPLES, reason)
    known = read_data(results, findings)
    if known.samples is not None:
        known.samples.by_speaker([0] * len(known.samples.labels))
    _agreed(findings)


def compared(content: bytes, folder: Path) -> None:
    """A table of a results folder, as CSV and as text, held against the one that its records give."""
    findings, right = Findings(), (CORPUS / "compared" / "sound").read_bytes()
    for name in ("runs.csv", "runs.tex"):
        found, expected = _written(content, folder, name), _written(right, folder, f"expected.{name}")
        try:
            findings.add(name, *differences(name, found, expected))
        except (OSError, ValueError, csv.Error) as error:  # as its documentation says
            findings.add(name, f"cannot be read ({error})")
    _agreed(findings)


def sums(content: bytes, folder: Path) -> None:
    """The digests beside a report."""
    path = _written(content, folder, "report.pdf.sha256")
    try:
        read_checksums(path)
    except (OSError, ValueError) as error:  # as its documentation says
        raise RecordError(f"{path}: {error}") from error


READERS: dict[str, Reader] = {
    reader.__name__: reader
    for reader in (
        *(config, settings, table, recording, hdf5, store),
        *(checkpoint, record, published, archive, tarball, notebook),
        *(provenance, facts, samples, compared, sums),
    )
}


def outcome(reader: Reader, content: bytes, folder: Path) -> str:
    """`taken`, or the refusal's words."""
    try:
        reader(content, folder)
    except SpsnError as error:
        return str(error)
    return "taken"
