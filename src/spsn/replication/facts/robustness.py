"""How often a stochastic network changes its mind (Figure 6)."""

import pandas as pd

from spsn.replication import latex
from spsn.replication.facts.common import distinct
from spsn.replication.style import model_look


def robustness_macros(trials: pd.DataFrame, test_set: pd.DataFrame) -> dict[str, str]:
    """How the label fares when one input is shown again, and over the whole test set."""
    lines = [
        _robustness_line(model, group, test_set[test_set.model == model])
        for model, group in trials.groupby("model")
    ]
    head = (
        "model", "condition", "one input: most frequent label", "test set: samples", "trials each",
        r"label moved (\%)", r"accuracy, mean of trials (\%)", r"accuracy, majority (\%)",
    )  # fmt: skip
    columns = r"@{}ll*{6}{>{\raggedleft\arraybackslash}p{0.115\linewidth}}@{}"
    return {
        "RobustnessTable": latex.tabular(columns, head, lines),
        "RobustnessClass": distinct(trials.class_name[trials["class"] == trials.true_label]),
        "RobustnessSample": distinct(trials["sample"]),
    }


def _robustness_line(model: str, trials: pd.DataFrame, test_set: pd.DataFrame) -> tuple[str, ...]:
    labels = trials.groupby("trial").predicted.first()
    commonest = labels.mode().iloc[0]
    right = "right" if commonest == trials.true_label.iloc[0] else "wrong"
    shown = test_set.trials.sum()
    return (
        latex.escape(model_look(model).label),
        latex.escape(trials.condition.iloc[0]),
        f"{(labels == commonest).sum()} of {len(labels)}, {right}",
        latex.integer(len(test_set)),
        distinct(test_set.trials),
        latex.fixed(100 * float((test_set.distinct_labels > 1).mean()), 1),
        latex.fixed(100 * float(test_set.hits.sum() / shown), 1) if shown else latex.ABSENT,
        latex.fixed(100 * float((test_set.majority_label == test_set.true_label).mean()), 1),
    )
