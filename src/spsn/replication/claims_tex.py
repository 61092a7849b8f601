r"""The claims as LaTeX: a summary, one line a claim, then every part with its numbers.

Both are `longtable`s; the document needs the packages array, booktabs and longtable. Widths are shares of
`\linewidth`, so that the same file serves one column of A4 and a wider page.
"""

from collections.abc import Iterable

from spsn.replication import latex
from spsn.replication.claims import Judged, ours
from spsn.replication.rules import Finding
from spsn.replication.text import ABSENT, cell

_SUMMARY = (
    ("claim", 0.17),
    ("what the paper says", 0.4),
    ("section", 0.13),
    ("verdict", 0.13),
    ("holds here", 0.1),
)
_DETAIL = (
    *(("part", 0.22), ("unit", 0.09), ("paper", 0.15), ("accepted", 0.12)),
    *(("here (95 % interval)", 0.21), ("n", 0.03), ("holds here", 0.09)),
)


def to_tex(judged: Iterable[Judged]) -> str:
    """Both tables of the judged claims."""
    judged = tuple(judged)
    summary = [
        latex.row(*map(cell, (j.claim.id, j.claim.statement, j.claim.section, j.verdict, j.holds_here)))
        for j in judged
    ]
    details = [line for j in judged for line in _details(j)]
    return "".join((_longtable(_SUMMARY, _spaced(summary)), "\\bigskip\n", _longtable(_DETAIL, details)))


def _details(judged: Judged) -> list[str]:
    """A heading, the parts, the reason. A page may end between parts, but not after the heading and not
    before the reason.
    """
    head = rf"\textbf{{{cell(judged.claim.id)}}} ({cell(judged.claim.section)}): {cell(judged.verdict)}"
    parts = [_part(finding) for finding in judged.findings]
    if judged.reason:
        parts[-1:] = [f"{line}*" for line in parts[-1:]]
        parts.append(_across(rf"\emph{{{cell(judged.reason)}}}"))
    return [f"{_across(head)}*", *parts, r"\addlinespace[4pt]"]


def _part(finding: Finding) -> str:
    part, measured = finding.part, finding.measured
    n = measured.summary.n if measured else ABSENT
    remark = f"; {measured.remark}" if measured and measured.remark else ""
    cells = (
        part.label,
        part.unit,
        part.paper_text or ABSENT,
        part.accepted_text or ABSENT,
        ours(finding) + remark,
        n,
        finding.outcome,
    )
    return latex.row(*map(cell, cells))


def _across(text: str) -> str:
    return rf"\multicolumn{{{len(_DETAIL)}}}{{@{{}}p{{0.98\linewidth}}@{{}}}}{{{text}}} \\"


def _spaced(lines: list[str]) -> list[str]:
    return [part for line in lines for part in (line, r"\addlinespace[2pt]")][:-1]


def _longtable(columns: tuple[tuple[str, float], ...], lines: Iterable[str]) -> str:
    form = "".join(rf">{{\raggedright\arraybackslash}}p{{{width}\linewidth}}" for _, width in columns)
    parts = (
        r"{\footnotesize\setlength{\tabcolsep}{3pt}\setlength{\LTpre}{2pt}\setlength{\LTpost}{2pt}",
        rf"\begin{{longtable}}{{@{{}}{form}@{{}}}}",
        r"\toprule",
        latex.row(*(rf"\textbf{{{cell(name)}}}" for name, _ in columns)),
        r"\midrule",
        r"\endhead",
        r"\bottomrule",
        r"\endfoot",
        *lines,
        r"\end{longtable}}",
    )
    return "\n".join(parts) + "\n"
