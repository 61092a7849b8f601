"""What the authors' own networks do in this program, for the report's section on them."""

from pathlib import Path

from spsn.manifest import BY_RESULT
from spsn.replication import latex
from spsn.replication.golden_table import (
    AGREES,
    DIFFERS,
    FAR,
    NOT_COMPARABLE,
    UNDECIDED,
    read_golden,
)
from spsn.replication.run_table import read_csv
from spsn.settings import Settings

TABLE, _ = BY_RESULT["table_golden"].files
COLUMNS = ("model", "condition", "share", "verdict", "reason", "chance", "p_value")
SWITCHES = ("golden", "goldenmade", "goldenjudged", "goldenallagree", "goldenallabove")


def golden_macros(folder: Path, settings: Settings) -> tuple[dict[str, str], dict[str, bool]]:
    r"""Macros and switches of paper/golden.tex; every switch is there whether or not a check was asked for.

    `\ifgolden`: asked for; `\ifgoldenmade`: it could be made; `\ifgoldenjudged`: on the whole of SHD's test
    file; `\ifgoldenallagree`, `\ifgoldenallabove`: all files agree, all are far above chance. Raises
    RecordError where results that should be there are absent or damaged.
    """
    switches = dict.fromkeys(SWITCHES, False)
    if settings.golden.weights is None:
        return {}, switches
    about, _ = read_golden(folder)
    macros = {"GoldenReason": latex.escape(about["reason"] or ""), "GoldenSource": _source(about)}
    switches["golden"] = True
    if not about["made"]:
        return macros, switches
    table = read_csv(folder / TABLE, COLUMNS, how=f"`snakemake {folder / TABLE} --cores all`")
    above = int((table.p_value < FAR).sum())
    verdicts = table.verdict.value_counts()
    macros |= {
        "GoldenCount": latex.integer(len(table)),
        "GoldenTrials": latex.integer(about["trials"]),
        "GoldenSamples": latex.integer(about["samples"]),
        "GoldenAgree": latex.integer(verdicts.get(AGREES, 0)),
        "GoldenDiffer": latex.integer(verdicts.get(DIFFERS, 0)),
        "GoldenUndecided": latex.integer(verdicts.get(UNDECIDED, 0)),
        "GoldenAbove": latex.integer(above),
        "GoldenShareLow": latex.percent(float(table.share.min())),
        "GoldenShareHigh": latex.percent(float(table.share.max())),
        "GoldenChance": latex.percent(float(table.chance.max())),
    }
    switches |= {
        "goldenmade": True,
        "goldenjudged": bool((table.verdict != NOT_COMPARABLE).all()),
        "goldenallagree": bool((table.verdict == AGREES).all()),
        "goldenallabove": above == len(table),
    }
    return macros, switches


def _source(about: dict) -> str:
    fetched = about["weights"] == "fetch"
    return "fetched from the authors' repository" if fetched else "taken from a local folder"
