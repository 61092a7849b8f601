"""Targets and how they stand."""

import pytest
from support import load_config

from spsn.grid import blocks
from spsn.settings import from_mapping
from spsn.timing.gpu_targets import RUNS, TARGETS, figures, verdicts, whole_paper


def stack(model, runs, seconds, augmented=True, **changes):
    point = {"part": "stack", "status": "measured", "model": model, "backend": "fused", "runs": runs}
    return {**point, "augmented": augmented, "seconds_per_run_epoch": seconds, **changes}


def baseline(model, seconds):
    point = {"part": "baseline", "status": "measured", "model": model, "augmented": True}
    return {**point, "seconds_per_run_epoch": seconds}


def curves(batch, **seconds):
    names = {"paper": ("lif", "paper"), "fused": ("lif", "fused"), "ours": ("spsn-sb", "fused")}
    found = [
        {"model": names[key][0], "implementation": names[key][1], "steps": 10_000, "seconds": value}
        for key, value in seconds.items()
    ]
    return {"part": "lengths", "status": "measured", "batch_size": batch, "curves": found}


def test_the_grid_is_the_paper_s():
    counted: dict = {}
    for block in blocks(from_mapping(load_config("paper"))):
        key = block.model, block.condition.augmented
        counted[key] = counted.get(key, 0) + len(block.seeds)
    assert counted == RUNS and sum(RUNS.values()) == 330


def test_figures_are_those_of_the_best_large_stack():
    found = figures(
        [
            stack("spsn-sb", 1, 0.04),
            stack("spsn-sb", 10, 0.03),
            stack("spsn-sb", 40, 0.02),
            stack("spsn-sb", 80, None, status="out-of-memory"),
            stack("spsn-sb", 10, 0.001, augmented=False),
            stack("spsn-sb", 10, 0.002, backend="torch"),
            baseline("spsn-sb", 2.0),
            curves(1, paper=1.0, fused=0.002, ours=0.001),
            curves(64, paper=9.0, fused=0.002, ours=0.002),
        ]
    )
    assert (found["stack/spsn-sb"], found["single/spsn-sb"]) == (0.02, 0.04)
    assert found["ratio/spsn-sb"] == pytest.approx(100)
    assert (found["lengths/paper"], found["lengths/fused"]) == (4500, 1)
    assert found["stack/lif"] is None and found["paper"] is None


def test_the_whole_paper_needs_every_network():
    best = dict.fromkeys(RUNS, 0.01)
    assert whole_paper(best) == pytest.approx(330 * 200 * 0.01)
    assert whole_paper(best | {("lif", False): None}) is None


def test_verdicts():
    rows = {row["target"]: row for row in verdicts({"stack/lif": 0.05, "ratio/lif": 900.0, "paper": 1200.0})}
    assert len(rows) == len(TARGETS)
    lif = rows["LIF, a run's epoch in a stack"]
    assert (lif["measured"], lif["must_is"], lif["aim_is"]) == (50, "met", "missed")
    assert rows["LIF against the paper's way"]["must_is"] == "missed"
    assert rows["whole paper, 330 runs of 200 epochs"]["measured"] == pytest.approx(20)
    assert rows["whole paper, 330 runs of 200 epochs"]["aim_is"] == "met"
    single = rows["SPSN-SB, an epoch of a single run"]
    assert (single["measured"], single["must_is"], single["aim_is"]) == (None, "not measured", "not measured")
    told = rows["Figure 5, T = 10,000: fused SPSN-SB against fused LIF"]
    assert (told["must_is"], told["aim_is"]) == ("-", "-")
