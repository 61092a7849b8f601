"""What one H200 is to reach, and whether it did. Data of SHD's size and lengths, augmented.

`figures` is a flat mapping of names to numbers, None or absent where nothing was measured:

    stack/<model>       seconds of an epoch of a run, the least of the stacks of 10 runs and more
    single/spsn-sb      the same, a run alone
    paper               seconds of the whole grid
    ratio/<model>       how many times as long an epoch of the paper's way takes
    lengths/paper       Figure 5 at T = 10,000: the paper's LIF loop against fused SPSN-SB
    lengths/fused       the same against fused LIF, whatever it is
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

EPOCHS = 200
# Runs of the paper's grid by model, basic or augmented: 10 seeds of accuracy (Figure 3) in both conditions,
# of 8 thresholds (Figure 4, augmented), of 3 readouts (Figure 2, basic, which has one hidden layer).
RUNS = {
    ("lif", False): 40,
    ("lif", True): 10,
    ("spsn-sb", False): 40,
    ("spsn-sb", True): 90,
    ("spsn-gs", False): 40,
    ("spsn-gs", True): 90,
    ("non-spiking", False): 10,
    ("non-spiking", True): 10,
}
STACKED = 10  # runs, at least, over which the time of a run is shared


@dataclass(frozen=True)
class Target:
    """`must` and `aim` in the unit of its figure; `most`: a figure is to be no more, else no less."""

    figure: str
    name: str
    must: float | None
    aim: float | None
    unit: str = "ms"
    scale: float = 1e3  # shown number = figure x scale
    most: bool = True

    def verdict(self, value: float | None, limit: float | None) -> str:
        """met, missed, not measured, or - where there is no such limit."""
        if limit is None:
            return "-"
        if value is None:
            return "not measured"
        shown = value * self.scale
        return "met" if (shown <= limit if self.most else shown >= limit) else "missed"


def _times(figure: str, name: str, must: float | None) -> Target:
    return Target(figure, name, must, None, "times", 1.0, most=False)


TARGETS = (
    Target("stack/spsn-sb", "SPSN-SB, a run's epoch in a stack", 75, 20),
    Target("stack/spsn-gs", "SPSN-GS, a run's epoch in a stack", 80, 25),
    Target("stack/lif", "LIF, a run's epoch in a stack", 75, 20),
    Target("stack/non-spiking", "non-spiking, a run's epoch in a stack", 40, 15),
    Target("paper", "whole paper, 330 runs of 200 epochs", 75, 22, "min", 1 / 60),
    Target("single/spsn-sb", "SPSN-SB, an epoch of a single run", 100, 50),
    _times("ratio/lif", "LIF against the paper's way", 1000),
    _times("ratio/spsn-sb", "SPSN-SB against the paper's way", 50),
    _times("lengths/paper", "Figure 5, T = 10,000: fused SPSN-SB against the paper's LIF", 4000),
    _times("lengths/fused", "Figure 5, T = 10,000: fused SPSN-SB against fused LIF", None),
)


def figures(points: Iterable[Mapping[str, Any]]) -> dict[str, float | None]:
    """The figures of the answers that were measured; each point says its `part` (`benchmarks.gpu_check`)."""
    points = [point for point in points if point["status"] == "measured"]
    fused = [p for p in points if p["part"] == "stack" and p["backend"] == "fused"]
    best = {key: _least(fused, *key) for key in RUNS}
    found = {f"stack/{model}": best[model, True] for model, augmented in RUNS if augmented}
    single = [p for p in fused if p["runs"] == 1 and p["model"] == "spsn-sb" and p["augmented"]]
    found["single/spsn-sb"] = min((p["seconds_per_run_epoch"] for p in single), default=None)
    found["paper"] = whole_paper(best)
    for p in points:
        if p["part"] == "baseline" and p["augmented"]:
            found[f"ratio/{p['model']}"] = _ratio(p["seconds_per_run_epoch"], best[p["model"], True])
    return found | _length_figures(points)


def _least(fused: list[Mapping[str, Any]], model: str, augmented: bool) -> float | None:
    own = [p for p in fused if (p["model"], p["augmented"]) == (model, augmented) and p["runs"] >= STACKED]
    return min((p["seconds_per_run_epoch"] for p in own), default=None)


def whole_paper(best: Mapping[tuple[str, bool], float | None]) -> float | None:
    """Seconds of the grid's epochs; networks of one layer are counted as those of three: it is too much."""
    if any(best.get(key) is None for key in RUNS):
        return None
    return EPOCHS * sum(runs * best[key] for key, runs in RUNS.items())


def _length_figures(points: list[Mapping[str, Any]]) -> dict[str, float | None]:
    """At T = 10,000, of the largest batch that has it."""
    studies = sorted((p for p in points if p["part"] == "lengths"), key=lambda p: -p["batch_size"])
    for study in studies:
        there = [curve for curve in study["curves"] if curve["steps"] == 10_000]
        at = {(curve["model"], curve["implementation"]): curve["seconds"] for curve in there}
        ours = at.get(("spsn-sb", "fused"))
        if ours:
            return {
                "lengths/paper": _ratio(at.get(("lif", "paper")), ours),
                "lengths/fused": _ratio(at.get(("lif", "fused")), ours),
            }
    return {}


def _ratio(slow: float | None, fast: float | None) -> float | None:
    return slow / fast if slow and fast else None


def verdicts(found: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """Every target with its figure, in the target's unit, and how it stands."""
    rows = []
    for target in TARGETS:
        value = found.get(target.figure)
        rows.append(
            {
                "target": target.name,
                "unit": target.unit,
                "must": target.must,
                "aim": target.aim,
                "measured": None if value is None else value * target.scale,
                "must_is": target.verdict(value, target.must),
                "aim_is": target.verdict(value, target.aim),
            }
        )
    return rows
