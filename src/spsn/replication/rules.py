"""Rules that judge a part of a claim: each ends in an interval and a range, and one decision serves all.

    yes          the whole 95 % interval lies in the range
    no           the whole interval lies outside
    undecided    the interval reaches across an end of the range, or there is no interval

    rule         measures (see `measures`)                     range in which the claim holds
    value        mean over seeds                               the paper's mean within `spreads` of its
                                                               spreads, or within `relative` of itself
    bound        the same                                      `at_least`, `at_most`
    ordering     `greater` minus `lesser`, seed by seed        above 0
    difference   the same                                      as value or bound
    ratio        `greater` over `lesser`                       the paper's within `factor`, or as bound
    flat         slope of accuracy on log2 of the spike rate   as bound
    growth       slope of log seconds on log time steps        as bound
    durations    epoch with the regulariser over one without   as bound
    share        share of inputs whose label never moved       as bound
    labels       how many labels one input got (a count)       as bound
    errors       how many trials gave it a wrong label         as bound
    seconds      a duration                                    none: seconds are shown, never judged

What is judged is a mean over seeds with its interval, never a single run. The paper's spread is the standard
deviation of its runs; a mean of ten has a 95 % interval of 0.72 of it to either side (t of 9, by the root of
10). Two spreads around the paper's mean therefore leave room for our interval and for a true difference of
about one spread: a wide spread there makes a wide range, which the tables print. An ordering, difference or
ratio of networks needs two that were trained alike. Rules on times judge ratios alone, and only those of a
CUDA device.

A number of SHD on other data and a time of a CPU have no say: their outcome is "not comparable".
"""

from dataclasses import dataclass

from spsn.replication.claim_parts import Part
from spsn.replication.evidence import Evidence, NotTested
from spsn.replication.measures import MEASURES, Measured
from spsn.replication.statistics import Summary

_OF_SHD = "numbers on SHD cannot be judged on these data"


@dataclass(frozen=True)
class Finding:
    """A part judged: outcome is yes, no, undecided, not tested, not comparable or shown (not judged)."""

    part: Part
    outcome: str
    measured: Measured | None = None
    why: str = ""


def judge_part(evidence: Evidence, part: Part) -> Finding:
    """Measure a part and decide it."""
    try:
        measured = MEASURES[part.rule](evidence, part)
    except NotTested as reason:
        if part.judged and part.shd_only and not evidence.settings.is_shd:
            return Finding(part, "not comparable", why=_OF_SHD)
        return Finding(part, "not tested", why=str(reason))
    if not part.judged:
        return Finding(part, "shown", measured)
    if part.shd_only and not evidence.settings.is_shd:
        return Finding(part, "not comparable", measured, _OF_SHD)
    if not measured.gpu:
        return Finding(part, "not comparable", measured, "timed on a CPU, while the claim is about a GPU")
    outcome = decide(measured.summary, part)
    if outcome == "yes" and measured.short:
        return Finding(part, "undecided", measured, measured.short)
    return Finding(part, outcome, measured, _why(outcome, measured.summary))


def decide(summary: Summary, part: Part) -> str:
    """Hold an interval against a range: yes, no or undecided."""
    if not summary.known:
        return "undecided"
    low, high = part.accepted
    above = summary.low > low if part.rule == "ordering" else summary.low >= low
    if above and summary.high <= high:
        return "yes"
    return "no" if summary.high < low or summary.low > high else "undecided"


def _why(outcome: str, summary: Summary) -> str:
    if outcome != "undecided":
        return ""
    if summary.known:
        return f"the interval over {summary.n} values allows both yes and no"
    if summary.n < 2:
        return "a single value has no interval"
    return f"no interval from {summary.n} equal values"
