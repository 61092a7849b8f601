"""Everything that part II of the report says, from `tables/comparison_runs.csv` and `timing/methods.csv`."""

from pathlib import Path

from spsn.replication import latex
from spsn.replication.compared import read_compared
from spsn.replication.comparison_table import comparison_table
from spsn.replication.comparison_tex import table_notes
from spsn.replication.facts.comparison_accuracy import accuracy_macros
from spsn.replication.facts.comparison_cost import cost_macros
from spsn.replication.facts.comparison_pairs import pair_macros
from spsn.replication.facts.comparison_protocol import protocol_macros, protocol_switches
from spsn.settings import Settings


def comparison_macros(
    folder: Path, settings: Settings, longest: float
) -> tuple[dict[str, str], dict[str, bool]]:
    r"""Macros and switches of paper/comparison.tex; `longest` sample of the data in s.

    Raises `RecordError` where a result is absent or damaged.
    """
    compared = read_compared(folder)
    accuracies, learned = accuracy_macros(compared)
    between, agree = pair_macros(compared.runs)
    cost, cheap = cost_macros(compared.costs)
    macros = {
        **protocol_macros(settings, compared.runs, longest),
        **accuracies,
        **between,
        **cost,
        "ComparisonNotes": "; ".join(table_notes(comparison_table(compared))) or latex.ABSENT,
    }
    return macros, protocol_switches(settings, compared.runs) | learned | agree | cheap
