"""The report: numbers from result files into LaTeX macros, and with them report.tex into a PDF.

The text of the report (`paper/report.tex`) holds no result. Every number it prints is a macro that
`write_macros` writes from the files below `results/<name>/`, or stands in a table or figure made from them,
so a number can always be followed to its file, and a file to its command (`provenance.json`).
"""

from collections.abc import Iterable
from pathlib import Path

from spsn import manifest, provenance
from spsn.files import write_json, write_text
from spsn.replication import digests, latex
from spsn.replication.comparable import obstacle
from spsn.replication.data_table import read_table_data
from spsn.replication.facts import accuracy, claims, data, golden, machine, protocol, robustness, timing
from spsn.replication.facts.comparison import comparison_macros
from spsn.replication.making import read_json
from spsn.replication.protocol import differences
from spsn.replication.table_files import read_table
from spsn.replication.typesetting import REPORT, Edition, build_pdf
from spsn.settings import Settings, to_mapping

__all__ = ["build_pdf", "write_macros", "write_provenance"]

CLAIMS, _ = manifest.BY_RESULT["claims"].files
EXECUTION = {"machines": "machine", "versions": "versions", "git_commits": "git_commit"}


def write_provenance(
    results: str | Path,
    settings: Settings,
    out: str | Path,
    commands: Iterable[str],
    edition: Edition = REPORT,
) -> None:
    """Write `provenance.json`: configuration, facts of the data, machine, versions, commit, the commands,
    when the jobs ran, and the SHA-256 of every file that the report rests on (`files`).

    `git_dirty` says whether the sources differ from their commit. `training` lists, each once, the machines,
    versions and commits that the report's run records name, since runs may have been trained elsewhere.
    `code` and `paper` are digests of what stands between records and reader. Raises `RecordError` if
    `data.json` or a record cannot be read.
    """
    results = Path(results)
    commit, times = provenance.git_commit(), digests.job_times(results)
    names = manifest.report_files(settings) + edition.comparison * manifest.comparison_files(settings)
    content = {
        "config": to_mapping(settings),
        "data": read_json(results, manifest.DATA),
        "machine": provenance.machine(),
        "versions": provenance.versions(),
        "tex": provenance.tex_version(),
        "git_commit": commit,
        "git_dirty": None if commit is None else commit.endswith("-dirty"),
        "requirements_lock": digests.lock_digest(),
        "commands": list(commands),
        "training": _trained_with(results, names),
        "time": {**digests.span(times), "jobs": times},
        "code": digests.code_digest(),
        "paper": digests.text_digests(digests.paper_folder()),
        "files": digests.file_digests(results, names),
    }
    write_json(out, content)


def _trained_with(results: Path, names: Iterable[str]) -> dict[str, list]:
    found: dict[str, list] = {kind: [] for kind in EXECUTION}
    for name in sorted(name for name in manifest.records_among(names) if (results / name).is_file()):
        execution = read_json(results, name).get("execution", {})
        for kind, part in EXECUTION.items():
            if execution.get(part) not in (None, *found[kind]):
                found[kind].append(execution[part])
    return found


def write_macros(results: str | Path, settings: Settings, out: str | Path, edition: Edition = REPORT) -> None:
    """Write every number that report.tex prints as LaTeX macros to `out` (`report/macros.tex`).

    Raises `RecordError` naming a file that is missing or damaged and the command that makes it.
    """
    folder = Path(results)
    facts, found = read_json(folder, manifest.DATA), differences(settings)
    classes = int(facts["splits"]["test"]["classes"])
    runs, chance = accuracy.accuracy_macros(read_table(folder, manifest.RUNS, accuracy.COLUMNS), classes)
    epoch, epoch_switches = timing.epoch_macros(read_table(folder, manifest.EPOCH, timing.EPOCH_COLUMNS))
    length, length_switches = timing.length_macros(read_table(folder, manifest.LENGTH, timing.LENGTH_COLUMNS))
    trials = read_table(folder, manifest.TRIALS, robustness.TRIAL_COLUMNS)
    test_set = read_table(folder, manifest.TEST_SET, robustness.TEST_SET_COLUMNS)
    samples = read_table_data(folder)
    authors, golden_switches = golden.golden_macros(folder, settings)
    macros = {
        **authors,
        **data.data_macros(settings, facts, samples),
        **protocol.protocol_macros(settings, found),
        "Obstacle": latex.escape(obstacle(settings) or latex.ABSENT),
        **runs,
        **robustness.robustness_macros(trials, test_set),
        **epoch,
        **length,
        **claims.claims_macros(read_table(folder, CLAIMS, claims.COLUMNS)),
        **machine.machine_macros(read_json(folder, edition.provenance)),
    }
    plan = _plan_switches(settings) | protocol.protocol_switches(settings)
    plan |= {
        "unknowndigest": data.unknown_digest(settings, facts),
        "speakersknown": data.speakers_known(facts),
    }
    plan |= golden_switches | {"reduced": bool(found), "trainedless": protocol.trained_less(found)}
    plan["comparison"] = edition.comparison
    if edition.comparison:
        beyond, beyond_switches = comparison_macros(folder, settings, data.longest_sample(samples))
        macros, plan = macros | beyond, plan | beyond_switches
    head = f"% Written by spsn from the result files of configuration {settings.name}. Do not edit.\n"
    write_text(out, head + latex.definitions(macros, plan | chance | epoch_switches | length_switches))


def _plan_switches(settings: Settings) -> dict[str, bool]:
    """What kind of data, and whether results may be held against the paper's."""
    return data.data_switches(settings) | {"comparable": not obstacle(settings)}
