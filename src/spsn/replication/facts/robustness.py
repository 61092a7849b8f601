"""How often a stochastic network changes its mind (Figure 6)."""

import pandas as pd

from spsn.replication import latex
from spsn.replication.facts.common import distinct
from spsn.replication.style import MODELS, model_look, ordered

TRIAL_COLUMNS = ("model", "condition", "sample", "true_label", "trial", "class", "class_name", "predicted")
TEST_SET_COLUMNS = ("model", "true_label", "trials", "distinct_labels", "majority_label", "hits")


def robustness_macros(trials: pd.DataFrame, test_set: pd.DataFrame) -> dict[str, str]:
    """How the label fares when one input is shown again, and over the whole test set."""
    lines = [
        _robustness_line(model, trials[trials.model == model], test_set[test_set.model == model])
        for model in ordered(trials.model, MODELS)
    ]
    head = (
        "model",
        "trained",
        latex.stacked("one input:", "commonest label"),
        latex.stacked("test set:", "samples"),
        "trials",
        latex.stacked("label", r"moved (\%)"),
        latex.stacked("accuracy (\\%),", "mean of trials"),
        latex.stacked("accuracy (\\%),", "majority"),
    )
    return {
        "RobustnessTable": latex.tabular("@{}llrrrrrr@{}", head, lines),
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
