"""Whether a folder of results is what its run records say: `spsn verify results/<name>`.

What cannot be made again without training or data (records, weights, timing, facts of the data) is held
against the digests of `provenance.json` and against itself; tables, claims, macros and figures are made again
from it, in a temporary folder, by the functions that made them. A file made from a faulty one is not
compared: one fault is one line, at its root. Times are read, never taken, so any machine verifies.

Digests show that files belong together, not who wrote them: whoever changes a record, its weights, all that
rests on them and the digests too has made other results, and only training again tells which are true.
"""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from spsn import manifest
from spsn.errors import RecordError, SpsnError
from spsn.replication import digests
from spsn.replication.typesetting import Edition
from spsn.settings import Settings, from_mapping, to_mapping
from spsn.verification.bench import Bench
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
from spsn.verification.records import check_records

MOST_SEEDS = 10_000  # of a setting; names of more files would fill a laptop's memory


def verify(results: str | Path, paper: str | Path) -> Findings:
    """Hold the files below `results` against each other; `paper` is the repository's folder of that name.

    Raises `SpsnError` where there is no such folder; whatever is wrong inside it is found, not raised.
    """
    folder, paper, findings = ResultsFolder(results), Path(paper), Findings()
    if not folder.path.is_dir():
        raise SpsnError(f"{results}: no such folder. Name one that holds results, such as results/demo.")
    for name in digests.TEXT:
        if not (paper / name).is_file():
            raise SpsnError(f"{paper / name}: is missing; name the repository's folder paper/ with --paper")
    about = {edition: read_provenance(folder, edition, findings) for edition in editions(folder)}
    macros = check_reports(folder, about, findings)
    settings = _settings(folder, about, findings)
    if settings is not None:
        _verify(folder, settings, paper, about, findings)
    check_digests(folder, macros, macros, "the digests beside the report", findings)
    return findings


def _settings(folder: ResultsFolder, about: Mapping[Edition, dict], findings: Findings) -> Settings | None:
    """The settings that everything else rests on; None, and nothing else is compared, where they differ."""
    name = "settings.json"
    try:
        settings = from_mapping(folder.json(name))
        if (seeds := _most_seeds(to_mapping(settings)["experiments"])) > MOST_SEEDS:
            raise RecordError(f"names {seeds} seeds, expected {MOST_SEEDS} at most")
    except SpsnError as error:
        findings.add(name, str(error))
    except Exception as error:  # no mapping that a person would write
        findings.add(name, f"is no configuration ({error!r})")
    else:
        for edition, content in about.items():
            check_digests(folder, [name], content.get("files", {}), edition.provenance, findings)
        if not findings.about(name):
            return settings
    findings.left_out.append("all that rests on settings.json")
    return None


def _most_seeds(experiments: Mapping[str, Mapping]) -> int:
    return max(int(experiment.get("seeds", 0)) for experiment in experiments.values())


def _verify(
    folder: ResultsFolder, settings: Settings, paper: Path, about: Mapping[Edition, dict], findings: Findings
) -> None:
    """Everything of a folder whose settings are known."""
    names = expected_files(settings, max(about, key=lambda edition: edition.comparison))
    again = steps(settings, comparison=len(about) > 1)
    made = {manifest.RUNS, manifest.COMPARED, *(name for step in again for name in step.makes)}
    given = [name for name in names if name not in made]
    check_names(folder, settings, names, findings)
    _check_provenance(folder, settings, about, findings, set(given))
    records = [name for name in names if name.startswith("runs/") and name.endswith(".json")]
    sound = check_records(folder, records, _data(folder, findings), findings)
    with tempfile.TemporaryDirectory(prefix="spsn-verify-") as temporary:
        bench = Bench(folder, Place(Path(temporary) / "results", settings, paper), about, findings)
        bench.take((*ALWAYS, *given, *(edition.provenance for edition in about)))
        bench.collect(records, sound)
        for step in again:
            bench.make(step)
        bench.typeset()
    for edition, content in about.items():
        rest = [name for name in expected_files(settings, edition) if name in made]
        check_digests(folder, rest, content.get("files", {}), edition.provenance, findings)


def _data(folder: ResultsFolder, findings: Findings) -> dict:
    """The facts of the data, empty where they cannot be read."""
    try:
        return folder.json("data.json")
    except RecordError as error:
        if not findings.about("data.json"):
            findings.add("data.json", str(error))
        return {}


def _check_provenance(
    folder: ResultsFolder,
    settings: Settings,
    about: Mapping[Edition, dict],
    findings: Findings,
    given: Iterable[str],
) -> None:
    """What each provenance says of the configuration and of the files that are `given`, not made again."""
    for edition, content in about.items():
        by, known, expected = edition.provenance, content.get("files", {}), expected_files(settings, edition)
        if not findings.about(by):
            if content.get("config") != to_mapping(settings):
                findings.add(by, "states another configuration than settings.json")
            if others := sorted(set(known) - set(expected)):
                findings.add(by, f"names {others[0]}, which is no result of these settings")
        check_digests(folder, [name for name in expected if name in given], known, by, findings)
