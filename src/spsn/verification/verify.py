"""Whether a folder of results is what its run records say: `spsn verify results/<name>`.

What cannot be made again without training or data (records, weights, timing, facts of the data, notebooks)
is held against the digests of `provenance.json`; a record also against the settings, the data that are stated
and itself, its hits against its predictions. Tables, claims, macros and figures are made again from it, in a
temporary folder, by the functions that made them. A file made from a faulty one is not compared: one fault is
one line, at its root. Times are read, never taken, so any machine verifies.

Digests show that files belong together, not who wrote them: whoever changes a record, its weights, all that
rests on them and the digests too has made other results, and only training again tells which are true.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from spsn import manifest
from spsn.errors import RecordError, SpsnError
from spsn.grid import TRAINED
from spsn.records import Execution
from spsn.replication import digests
from spsn.replication.typesetting import Edition
from spsn.settings import Settings, from_mapping
from spsn.verification.bench import Bench, other_package
from spsn.verification.data import KnownData, read_data
from spsn.verification.files import (
    check_digests,
    check_names,
    check_reports,
    editions,
    expected_files,
    read_provenance,
)
from spsn.verification.findings import Findings
from spsn.verification.folder import ResultsFolder
from spsn.verification.recompute import ALWAYS, Place, steps
from spsn.verification.records import check_records, planned
from spsn.verification.remedies import check_holds_results, remedies
from spsn.verification.stated import misstated

MOST_RUNS = 100_000  # of all settings together; names of more files would fill a laptop's memory


def verify(results: str | Path, paper: str | Path) -> Findings:
    """Hold the files below `results` against each other; `paper` is the repository's folder of that name.

    Raises `SpsnError` where there is no such folder, or nothing in it is a result; whatever is wrong inside
    is found, not raised.
    """
    folder, paper, findings = ResultsFolder(results), Path(paper), Findings()
    for name in digests.TEXT:
        if not (paper / name).is_file():
            raise SpsnError(f"{paper / name}: is missing; name the repository's folder paper/ with --paper")
    check_holds_results(folder)
    about = {edition: read_provenance(folder, edition, findings) for edition in editions(folder)}
    macros = check_reports(folder, about, findings)
    settings = _settings(folder, about, findings)
    if settings is not None:
        _verify(folder, settings, paper, about, findings)
    else:
        reasons = (other_package(content, paper) for content in about.values() if content)
        made = next(filter(None, reasons), "")
        findings.left_out.append("all that rests on settings.json" + (f" ({made})" if made else ""))
    check_digests(folder, macros, macros, "the digests beside the report", findings)
    findings.remedies += remedies(folder, about, findings)
    return findings


def _settings(folder: ResultsFolder, about: Mapping[Edition, dict], findings: Findings) -> Settings | None:
    """The settings that everything else rests on; None, and nothing else is compared, where they differ."""
    name = manifest.SETTINGS
    try:
        settings = from_mapping(folder.json(name))
        if (runs := _how_many_runs(settings)) > MOST_RUNS:
            raise RecordError(f"asks for {runs} runs, expected {MOST_RUNS} at most")
    except SpsnError as error:
        findings.add(name, str(error))
    except Exception as error:  # no mapping that a person would write
        findings.add(name, f"is no configuration ({error!r})")
    else:
        for edition, content in about.items():
            check_digests(folder, [name], content.get("files", {}), edition.provenance, findings)
        if not findings.about(name):
            return settings
    return None


def _how_many_runs(settings: Settings) -> int:
    """Of all experiments, counted without making the grid of them."""
    e = settings.experiments
    columns = (len(e.accuracy.conditions), len(e.regularization.thresholds), len(e.loss_mode.modes))
    trained = [getattr(e, name) for name in TRAINED]
    runs = sum(n * len(own.models) * own.seeds for n, own in zip(columns, trained, strict=True))
    return runs + e.comparison.seeds * sum(len(table.methods) for table in e.comparison.tables)


def _verify(
    folder: ResultsFolder, settings: Settings, paper: Path, about: Mapping[Edition, dict], findings: Findings
) -> None:
    """Everything of a folder whose settings are known."""
    names = expected_files(settings, max(about, key=lambda edition: edition.comparison))
    comparison = len(about) > 1
    again = steps(settings, comparison=comparison)
    made = {manifest.RUNS, manifest.COMPARED, *(name for step in again for name in step.makes)}
    given = [name for name in names if name not in made]
    check_names(folder, settings, names, findings)
    for edition, content in about.items():
        own = [name for name in expected_files(settings, edition) if name not in made]
        check_digests(folder, own, content.get("files", {}), edition.provenance, findings)
    data, runs = read_data(folder, findings), planned(settings, comparison=comparison)
    sound = check_records(folder, runs, data, findings)
    _check_statements(settings, about, data, sound, findings)
    with tempfile.TemporaryDirectory(prefix="spsn-verify-") as temporary:
        bench = Bench(folder, Place(Path(temporary) / settings.name, settings, paper), about, findings)
        bench.take((*ALWAYS, *given, *(edition.provenance for edition in about)))
        bench.collect(runs, sound)
        for step in again:
            bench.make(step)
        bench.typeset()
    for edition, content in about.items():
        rest = [name for name in expected_files(settings, edition) if name in made]
        check_digests(folder, rest, content.get("files", {}), edition.provenance, findings)


def _check_statements(
    settings: Settings,
    about: Mapping[Edition, dict],
    data: KnownData,
    sound: Mapping[str, Execution],
    findings: Findings,
) -> None:
    """What each provenance states beside digests, where nothing else is wrong with it."""
    for edition, content in about.items():
        if findings.about(edition.provenance):
            continue
        expected = set(expected_files(settings, edition))
        trained = [execution for name, execution in sound.items() if name in expected]
        findings.add(edition.provenance, *misstated(content, settings, data.content, expected, trained))
