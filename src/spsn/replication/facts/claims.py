"""How the claims of the paper fared, counted from `tables/claims.csv`."""

import pandas as pd

from spsn.replication import latex

VERDICTS = ("replicated", "not replicated", "undecided", "not comparable")


def claims_macros(claims: pd.DataFrame) -> dict[str, str]:
    """How many claims there are and how many have each verdict."""
    counts = claims.verdict.value_counts()
    macros = {
        f"Claims{latex.letters(verdict)}": latex.integer(counts.get(verdict, 0)) for verdict in VERDICTS
    }
    return macros | {"ClaimsCount": latex.integer(len(claims))}
