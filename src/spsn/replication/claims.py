"""How every claim of the paper fares against the results of one configuration.

A claim holds here (`holds_here`) when every judged part does: yes if all say yes, no if one says no, else
undecided; not tested if the configuration lacks what its parts need; no say here if it was measured but every
number of it belongs elsewhere: numbers of SHD on other data, times of a GPU on a CPU, absolute seconds. Where
the paper does not say which network it means, each network is a reading, and the readings must agree: all yes
or all no, else undecided.

The verdict is replicated, not replicated or undecided for yes, no and all else; not comparable where the data
are not the whole of SHD, where a network was not trained as in the paper or timed at other sizes than
those of the full protocol, where times are a CPU's, and for absolute seconds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from spsn.replication.claim_parts import Claim, read_claims
from spsn.replication.comparable import TIMED, TRAINING, obstacle
from spsn.replication.evidence import Evidence, load_evidence
from spsn.replication.rules import Finding, judge_part
from spsn.replication.table_files import write_table
from spsn.replication.text import interval_text, number_text, with_unit
from spsn.settings import Settings

COLUMNS = ("id", "statement", "section", "paper", "ours", "n", "verdict", "holds_here", "reason")
VERDICTS = {"yes": "replicated", "no": "not replicated", "undecided": "undecided", "not tested": "undecided"}


@dataclass(frozen=True)
class Judged:
    """A claim with what came out: its parts' findings, the verdict, whether it holds on these data, why."""

    claim: Claim
    findings: tuple[Finding, ...]
    verdict: str
    holds_here: str
    reason: str

    @property
    def n(self) -> int | None:
        """The fewest independent values behind a judged part; None where nothing was measured."""
        counts = [f.measured.summary.n for f in self.findings if f.part.judged and f.measured]
        return min(counts, default=None)


def assess(results: str | Path, claims_file: str | Path, settings: Settings) -> tuple[Judged, ...]:
    """Judge every claim of `claims_file` on the tables below `results`.

    Raises `ClaimsError` for a claims file that cannot be used, `RecordError` for a table that is missing or
    damaged.
    """
    return judge_claims(read_claims(claims_file), load_evidence(results, settings))


def judge_claims(claims: Iterable[Claim], evidence: Evidence) -> tuple[Judged, ...]:
    """Judge claims on tables that are read already."""
    judged = []
    for claim in claims:
        findings = [judge_part(evidence, part) for part in claim.parts]
        kept = tuple(f for f in findings if not (f.part.optional and f.outcome == "not tested"))
        judged.append(_conclude(claim, kept, evidence.settings))
    return tuple(judged)


def judge(results: str | Path, claims_file: str | Path, settings: Settings) -> pd.DataFrame:
    """The claims table: columns `COLUMNS`, a line a claim, its parts listed. Raises as `assess`."""
    return to_frame(assess(results, claims_file, settings))


def write_claims(results: str | Path, claims_file: str | Path, settings: Settings) -> None:
    """Write `tables/claims.csv` (as `judge`) and `tables/claims.tex` (see `claims_tex`) below `results`."""
    from spsn.replication.claims_tex import to_tex

    judged = assess(results, claims_file, settings)
    write_table(results, "claims", to_frame(judged), to_tex(judged))


def to_frame(judged: Iterable[Judged]) -> pd.DataFrame:
    """A line a claim, its parts separated by semicolons."""
    rows = [
        {
            "id": j.claim.id,
            "statement": j.claim.statement,
            "section": j.claim.section,
            "paper": "; ".join(map(_paper, j.findings)),
            "ours": "; ".join(map(_ours, j.findings)),
            "n": j.n,
            "verdict": j.verdict,
            "holds_here": j.holds_here,
            "reason": j.reason,
        }
        for j in judged
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"n": "Int64"})


def ours(finding: Finding) -> str:
    """What was measured and its interval: `84.90 (84.10 to 85.70)`; `not tested` where nothing was."""
    if finding.measured is None:
        return "not tested"
    summary, part = finding.measured.summary, finding.part
    text = number_text(summary.mean, part.unit)
    if part.rule in ("labels", "errors", "seconds") or not (summary.known or part.judged):
        return text
    interval = interval_text(summary.low, summary.high, part.unit) if summary.known else "no interval"
    return f"{text} ({interval})"


def _ours(finding: Finding) -> str:
    part, measured = finding.part, finding.measured
    if measured is None:
        return f"{part.label}: not tested"
    remark = f" [{measured.remark}]" if measured.remark else ""
    return f"{part.label}: {with_unit(ours(finding), part.unit)}, n = {measured.summary.n}{remark}"


def _paper(finding: Finding) -> str:
    part = finding.part
    number = with_unit(part.paper_text, part.unit) if part.paper_text else ""
    words = [number, f"accepted {with_unit(part.accepted_text, part.unit)}" if part.judged else "not judged"]
    return f"{part.label}: {', '.join(filter(None, words))}"


def _conclude(claim: Claim, findings: tuple[Finding, ...], settings: Settings) -> Judged:
    deciding = [f for f in findings if f.part.judged]
    holds_here = _combine_readings(deciding) if deciding else _unjudged(findings)
    against = obstacle(settings, *_rests_on(claim))
    if not deciding or any(f.outcome == "not comparable" for f in deciding) or against:
        verdict = "not comparable"
    else:
        verdict = VERDICTS[holds_here]
    return Judged(claim, findings, verdict, holds_here, _reason(claim, findings, holds_here, against))


def _combine_readings(deciding: list[Finding]) -> str:
    readings = {f.part.reading for f in deciding}
    outcomes = {_combine(f.outcome for f in deciding if f.part.reading == reading) for reading in readings}
    return outcomes.pop() if len(outcomes) == 1 else "undecided"


def _unjudged(findings: tuple[Finding, ...]) -> str:
    """A claim that is only shown, as absolute seconds are."""
    return "no say here" if any(f.measured for f in findings) else "not tested"


def _combine(outcomes: Iterable[str]) -> str:
    """The parts of one reading: one no is a no, a yes takes all; what only SHD or a GPU has stays out."""
    found = set(outcomes) - {"not comparable"} or {"no say here"}
    if "no" in found:
        return "no"
    return found.pop() if len(found) == 1 else "undecided"


def _rests_on(claim: Claim) -> tuple[list[str], list[str]]:
    """The trained experiments and the timings that a claim rests on; the robustness trials use networks of
    `accuracy`.
    """
    paths = [
        str(part.options[key])
        for part in claim.parts
        for key in ("of", "greater", "lesser")
        if key in part.options
    ]
    found = {path.split("/")[0] for path in paths if "/" in path}
    rules = {part.rule for part in claim.parts}
    found |= {"accuracy"} if rules & {"share", "labels", "errors"} else set()
    found |= {"accuracy", "regularization"} if "durations" in rules else set()
    return [name for name in TRAINING if name in found], [name for name in TIMED if name in found]


def _reason(claim: Claim, findings: tuple[Finding, ...], holds_here: str, against: str) -> str:
    """Why, in sentences: what forbids a verdict, which parts speak against, which are open, the note."""
    sentences = [f"Not comparable: {against}."] if against else []
    groups: dict[str, list[str]] = {}
    for f in findings:
        if f.outcome == "no":
            groups.setdefault("Does not hold", []).append(f.part.label)
        elif f.outcome == "not comparable":
            groups.setdefault(f.why[0].upper() + f.why[1:], [])
        elif f.why:
            groups.setdefault(f"{f.outcome.capitalize()} ({f.why})", []).append(f.part.label)
    sentences += [
        f"{what}: {'; '.join(labels)}." if labels else f"{what}." for what, labels in groups.items()
    ]
    if holds_here == "yes":
        sentences.append("Every part lies in its range.")
    return " ".join([*sentences, claim.note]).strip()
