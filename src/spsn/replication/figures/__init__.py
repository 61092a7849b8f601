"""Figures 1 to 6 of the paper, one of the data and those of the comparison, drawn from the CSV files below
`results/<name>/` alone.
"""

from spsn.replication.figures.comparison_accuracy import comparison_accuracy
from spsn.replication.figures.comparison_controls import comparison_controls
from spsn.replication.figures.comparison_cost import comparison_cost
from spsn.replication.figures.data import figure_data
from spsn.replication.figures.loss_modes import figure2
from spsn.replication.figures.models import figure3
from spsn.replication.figures.neurons import figure1
from spsn.replication.figures.regularization import figure4
from spsn.replication.figures.robustness import figure6
from spsn.replication.figures.sequence_length import figure5
from spsn.replication.figures.source import Context, Source, open_results

__all__ = [
    "Context",
    "Source",
    "comparison_accuracy",
    "comparison_controls",
    "comparison_cost",
    "figure1",
    "figure2",
    "figure3",
    "figure4",
    "figure5",
    "figure6",
    "figure_data",
    "open_results",
]
