"""How the claims of the paper fared, counted from `tables/claims.csv`."""

import pandas as pd

from spsn.replication import latex

COLUMNS = ("verdict", "holds_here")
VERDICTS = ("replicated", "not replicated", "undecided", "not comparable")
HERE = ("yes", "no", "undecided", "not tested")


def claims_macros(claims: pd.DataFrame) -> dict[str, str]:
    """How many claims there are, how many have each verdict, and how many hold on these data.

    `ClaimsHereNotTested` counts what was not measured, `ClaimsNoSayHere` what was, but belongs elsewhere
    (see `spsn.replication.claims`); with the other `ClaimsHere...` they sum to `ClaimsCount`.
    """
    return {
        "ClaimsCount": latex.integer(len(claims)),
        **{f"Claims{latex.letters(v)}": latex.integer((claims.verdict == v).sum()) for v in VERDICTS},
        **{f"ClaimsHere{latex.letters(v)}": latex.integer((claims.holds_here == v).sum()) for v in HERE},
        "ClaimsNoSayHere": latex.integer((claims.holds_here == "no say here").sum()),
    }
