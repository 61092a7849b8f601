"""Made-up results that say exactly what the paper says: its grid, its means, its spreads, its times."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
import pytest
import yaml

from spsn.grid import RunSettings, blocks, run_settings
from spsn.records import Execution, Result, RunRecord, write_record
from spsn.replication.claim_parts import Claim, read_claims
from spsn.replication.claims import Judged, judge_claims
from spsn.replication.evidence import Evidence
from spsn.settings import Settings, from_mapping

ROOT = Path(__file__).resolve().parents[2]
# model, condition: test accuracy and spread (%), train accuracy (%), spikes/ms
ACCURACY = {
    ("lif", "basic"): (73.99, 1.16, 100.0, 22.0),
    ("lif", "augmented"): (85.09, 1.57, 80.0, 18.84),
    ("spsn-sb", "basic"): (77.08, 1.5, 100.0, 174.0),
    ("spsn-sb", "augmented"): (86.89, 0.71, 81.0, 171.14),
    ("spsn-gs", "basic"): (75.32, 1.93, 100.0, 180.0),
    ("spsn-gs", "augmented"): (86.10, 2.89, 79.0, 181.53),
    ("non-spiking", "basic"): (70.24, 1.41, 100.0, np.nan),
    ("non-spiking", "augmented"): (69.40, 1.09, 60.0, np.nan),
}
# model: threshold: test accuracy (%), spikes/ms
REGULARIZED = {
    "spsn-sb": {0.01: (60, 3.8), 0.03: (72, 11), 0.06: (80, 22), 0.08: (85, 31), 0.1: (87, 38),
                0.2: (89.2, 75), 0.4: (89.23, 120), 0.6: (89.1, 150)},
    "spsn-gs": {0.01: (70, 3.8), 0.03: (80, 11), 0.06: (89.5, 23), 0.08: (89.6, 31), 0.1: (89.73, 37),
                0.2: (89.6, 75), 0.4: (89.5, 130), 0.6: (89.5, 170)},
}  # fmt: skip
LOSS_MODES = {"loss-mean": 60.0, "loss-max": 50.0, "loss-last": 30.0}
EPOCHS = {
    ("lif", "paper"): 286.72, ("spsn-sb", "paper"): 27.58, ("spsn-gs", "paper"): 30.4,
    ("lif", "unbind"): 60.0, ("lif", "torch"): 55.0, ("spsn-sb", "torch"): 25.0,
}  # fmt: skip


def draws(name: str, mean: float, sd: float, n: int) -> np.ndarray:
    """`n` numbers with exactly this mean and standard deviation, always the same for the same name."""
    z = np.random.default_rng(crc32(name.encode())).normal(size=n)
    return mean + sd * (z - z.mean()) / z.std(ddof=1) if n > 1 else np.array([mean])


@dataclass
class Results:
    """A results folder in the making; tests change the tables before they judge."""

    folder: Path
    settings: Settings
    runs: pd.DataFrame
    epoch: pd.DataFrame
    sequence_length: pd.DataFrame
    trials: pd.DataFrame
    test_set: pd.DataFrame

    def put(self, place: str, **columns) -> None:
        """Set columns of the runs of experiment/model/condition: (mean, sd) in per cent, or values."""
        experiment, model, condition = place.split("/")
        runs = self.runs
        chosen = (runs.experiment == experiment) & (runs.model == model) & (runs.condition == condition)
        assert chosen.any(), place
        for name, values in columns.items():
            if isinstance(values, tuple):
                values = draws(place + name, *values, n=int(chosen.sum())) / 100
            runs.loc[chosen, name] = values

    def write(self) -> Path:
        """Write every table; returns the folder."""
        tables = {"tables/runs.csv": self.runs, "timing/epoch.csv": self.epoch}
        tables |= {"timing/sequence_length.csv": self.sequence_length, "robustness/trials.csv": self.trials}
        for name, table in {**tables, "robustness/test_set.csv": self.test_set}.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            table.to_csv(path, index=False)
        return self.folder

    def judge(self, *names: str) -> dict[str, Judged]:
        """The repository's claims (all, or those named), judged on the tables as they are in memory."""
        return self._judge(claim for claim in papers_claims() if not names or claim.id in names)

    def part(self, **part) -> Judged:
        """A claim of one made-up part, judged."""
        entry = {"id": "made-up", "statement": "made up", "section": "none"}
        path = self.folder / "claims.yaml"
        path.write_text(
            yaml.safe_dump({"claims": [entry | {"parts": [{"label": "it", "unit": "%"} | part]}]})
        )
        return self._judge(read_claims(path))["made-up"]

    def evidence(self) -> Evidence:
        """The tables as they are in memory."""
        tables = (self.runs, self.epoch, self.sequence_length, self.trials, self.test_set)
        return Evidence(self.settings, *tables)

    def _judge(self, claims: Iterable[Claim]) -> dict[str, Judged]:
        return {j.claim.id: j for j in judge_claims(claims, self.evidence())}


@cache
def papers_claims() -> tuple[Claim, ...]:
    """The claims of the repository."""
    return read_claims(ROOT / "paper" / "claims.yaml")


def paper_config(**changes) -> dict:
    """The configuration of the paper with top-level `changes`."""
    return yaml.safe_load((ROOT / "config" / "paper.yaml").read_text()) | changes


@pytest.fixture(scope="session")
def paper_runs() -> pd.DataFrame:
    """A run table of the whole grid with the paper's numbers."""
    rows = []
    for block in blocks(from_mapping(paper_config())):
        name, n, condition = block.name, len(block.seeds), block.condition
        test, sd, train, rate = ACCURACY.get((block.model, condition.name), (60, 1, 90, 100))
        if block.experiment == "regularization":
            test, rate = REGULARIZED[block.model][condition.rate_threshold]
            sd = {0.4: 0.57, 0.1: 1.57}.get(condition.rate_threshold, 1.0)
        elif block.experiment == "loss_mode":
            test = LOSS_MODES[condition.name]
        part = pd.DataFrame({"seed": block.seeds, "test_accuracy": draws(name, test, sd, n) / 100})
        part["train_accuracy"] = draws(f"{name}/train", train, 0.0 if train == 100 else 0.5, n) / 100
        part["spikes_per_ms"] = draws(f"{name}/rate", rate, 0.02 * rate, n)
        part["epoch_seconds"] = draws(f"{name}/seconds", 1.0, 0.01, n)
        threshold = np.nan if condition.rate_threshold is None else condition.rate_threshold
        rows.append(part.assign(experiment=block.experiment, model=block.model, condition=condition.name,
                                rate_threshold=threshold, loss_mode=condition.loss_mode))  # fmt: skip
    runs = pd.concat(rows, ignore_index=True).assign(
        train_loss=0.1, test_hits=0, test_total=2264, test_accuracy_seen=np.nan, test_accuracy_unseen=np.nan,
        epochs=200, batch_size=64, time_step=0.001, dataset="shd", classes=20, test_seconds=1.0, peak_bytes=1,
        device="cuda:0", backend="torch", threads=2,
    )  # fmt: skip
    return runs


@pytest.fixture(scope="session")
def paper_lengths() -> pd.DataFrame:
    """Figure 5 as the paper draws it: LIF grows, SPSN-SB is constant, 4000 times apart at 10,000 steps."""
    rows = []
    laws = {("lif", "paper"): (20.0, 1.2), ("lif", "unbind"): (4.0, 1.0), ("lif", "torch"): (3.0, 1.0),
            ("spsn-sb", "paper"): (0.005, 0.0), ("spsn-sb", "torch"): (0.004, 0.0)}  # fmt: skip
    for (model, implementation), (last, power) in laws.items():
        for steps in (100, 200, 500, 1000, 2000, 5000, 10000):
            name = f"{model}{implementation}{steps}"
            for repeat, noise in enumerate(draws(name, 0.0, 0.02, 10)):
                seconds = last * (steps / 10000) ** power * np.exp(noise)
                rows.append((model, implementation, steps, repeat, seconds, 0.9 * seconds))
    columns = ["model", "implementation", "steps", "repeat", "seconds", "seconds_unsynchronised"]
    return pd.DataFrame(rows, columns=columns).assign(status="measured", device="cuda:0")


@pytest.fixture
def results(tmp_path: Path, paper_runs: pd.DataFrame, paper_lengths: pd.DataFrame) -> Results:
    """Results on SHD that agree with the paper in every number, ten seeds, on a CUDA device."""
    epoch = pd.DataFrame([(*key, seconds) for key, seconds in EPOCHS.items()])
    epoch.columns = ["model", "implementation", "seconds_per_epoch"]
    epoch = epoch.assign(status="measured", seconds_compute=0.8 * epoch.seconds_per_epoch, device="cuda:0")
    models, words = ("spsn-sb", "spsn-gs"), range(20)
    trials = pd.DataFrame([(m, t, c, 0.1 * c, 19) for m in models for t in range(10) for c in words])
    trials.columns = ["model", "trial", "class", "mean_potential", "predicted"]
    trials = trials.assign(sample=0, true_label=19)
    test_set = pd.DataFrame([(m, s, 10, 2 if s < 3 else 1) for m in models for s in range(300)])
    test_set.columns = ["model", "sample", "trials", "distinct_labels"]
    tables = (paper_runs.copy(), epoch, paper_lengths.copy(), trials, test_set)
    return Results(tmp_path, from_mapping(paper_config()), *tables)


@pytest.fixture
def small_plan() -> Settings:
    """Two seeds of a small grid on other data than SHD: 28 runs."""
    config = paper_config(name="small", dataset={"train": "a.h5", "test": "b.h5", "name": "digits & more_1"})
    for name, changes in {
        "accuracy": {"seeds": 2}, "loss_mode": {"seeds": 2, "models": ["spsn-gs"]},
        "regularization": {"seeds": 2, "models": ["spsn-sb"], "thresholds": [0.03, 0.4]},
    }.items():  # fmt: skip
        config["experiments"][name] |= changes
    return from_mapping(config)


@pytest.fixture
def records(tmp_path: Path, small_plan: Settings) -> list[Path]:
    """The run records of `small_plan`, written."""
    paths = []
    for block in blocks(small_plan):
        for seed in block.seeds:
            run = run_settings(
                small_plan, block, seed, classes=10, train_digest="t", test_digest="e", backend="torch"
            )
            paths.append(tmp_path / "runs" / block.name / f"seed{seed}.json")
            write_record(paths[-1], made_record(run))
    return paths


def made_record(run: RunSettings, **execution) -> RunRecord:
    """A record with numbers that depend on the run's name alone."""
    random = np.random.default_rng(crc32(f"{run.experiment}{run.model}{run.condition}{run.seed}".encode()))
    hits = random.integers(40, 90, 2)
    rates = () if run.model == "non-spiking" else tuple(random.uniform(1, 9, run.hidden_layers))
    result = Result(
        train_loss=(1.0, 0.5),
        train_accuracy=(0.5, float(random.uniform(0.6, 0.9))),
        test_hits=int(hits.sum()),
        test_total=200,
        test_accuracy=float(hits.sum() / 200),
        spikes_per_ms=rates,
        predictions=(1, 2),
        speakers={
            "0": {"hits": int(hits[0]), "total": 100, "in_training": True},
            "4": {"hits": int(hits[1]), "total": 100, "in_training": False},
        },
        weights_digest="w",
    )
    how = Execution((3.0, 1.0, 1.2), 0.5, 1000, 2, "cpu", {}, {}, None)
    return RunRecord(run, result, replace(how, **execution))
