"""Made-up results folders in the format that the figures read: plausible shapes, no measured number."""

import json
from pathlib import Path

import crafted_comparison
import numpy as np
import pandas as pd
import yaml

from spsn.golden import COLUMNS as GOLDEN_COLUMNS
from spsn.replication.golden_table import read_published as published_networks
from spsn.settings import Settings, from_mapping, to_mapping

CONFIG = Path(__file__).resolve().parents[1] / "config"
ENGLISH = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
GERMAN = ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"]
WORDS = ENGLISH + GERMAN
ACCURACY = {"lif": 0.62, "spsn-sb": 0.66, "spsn-gs": 0.58, "non-spiking": 0.49}
RATES = {"lif": 12.0, "spsn-sb": 150.0, "spsn-gs": 170.0}
LOSS_MODES = {"mean": 0.5, "max": 0.35, "last": 0.2}


def settings(name: str = "demo", **changes) -> Settings:
    """The settings of config/<name>.yaml laid over the paper's, with top-level `changes`."""
    config = yaml.safe_load((CONFIG / "paper.yaml").read_text())
    if name != "paper":
        _lay_over(config, yaml.safe_load((CONFIG / f"{name}.yaml").read_text()))
    _lay_over(config, changes)
    return from_mapping(config)


def _lay_over(below: dict, above: dict) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _lay_over(below[key], value)
        else:
            below[key] = value


def runs(thresholds=(0.03, 0.1, 0.4), seeds: int = 2, chance_model: str | None = None) -> pd.DataFrame:
    """A table like `tables/runs.csv` as far as figures read it; `chance_model` learned nothing augmented."""
    draw = np.random.default_rng(1)
    parts = []

    def add(experiment, model, condition, accuracy, rate, threshold=None, mode="mean"):
        test = accuracy + draw.normal(0, 0.012, seeds)
        part = pd.DataFrame({"seed": range(seeds), "test_accuracy": test, "train_accuracy": test * 0.8 + 0.2})
        part["spikes_per_ms"] = rate * (1 + draw.normal(0, 0.02, seeds)) if rate else np.nan
        part["rate_threshold"] = np.nan if threshold is None else threshold
        parts.append(part.assign(experiment=experiment, model=model, condition=condition, loss_mode=mode))

    for model, accuracy in ACCURACY.items():
        add("accuracy", model, "basic", accuracy, RATES.get(model))
        add(
            "accuracy",
            model,
            "augmented",
            0.05 if model == chance_model else accuracy - 0.1,
            RATES.get(model),
        )
    for model in ("spsn-sb", "spsn-gs"):
        for theta in thresholds:
            rate = min(RATES[model], 384 * theta * 0.9)
            accuracy = ACCURACY[model] - 0.08 - 0.4 * np.exp(-rate / 12)
            add("regularization", model, f"regularized-{theta:.2f}", accuracy, rate, theta)
    for model in RATES:
        for mode, accuracy in LOSS_MODES.items():
            add("loss_mode", model, f"loss-{mode}", accuracy, RATES[model], mode=mode)
    return pd.concat(parts, ignore_index=True)


def complete(table: pd.DataFrame) -> pd.DataFrame:
    """`runs` with every other column of `tables/runs.csv`."""
    table = table.assign(
        train_loss=1.0, test_hits=(240 * table.test_accuracy).round().astype(int), test_total=240,
        classes=20, test_accuracy_seen=table.test_accuracy + 0.02,
        test_accuracy_unseen=table.test_accuracy - 0.1, threads=1,
        epochs=40, batch_size=16, time_step=0.004, dataset="synthetic-digits", epoch_seconds=2.0,
        test_seconds=1.0, peak_bytes=10**9, device="cpu", backend="torch",
    )  # fmt: skip
    return table.assign(test_accuracy=table.test_hits / 240)


def epochs(slow: bool = True) -> pd.DataFrame:
    """A table like `timing/epoch.csv`; with `slow` the paper's LIF was too slow to measure."""
    ways = [("paper", 95.0), ("unbind", 12.0), ("torch", 11.0), ("fused", 1.3)]
    table = pd.DataFrame(
        [("lif", *way) for way in ways]
        + [("spsn-sb", "paper", 6.5), ("spsn-sb", "torch", 3.1), ("spsn-sb", "fused", 0.9)]
        + [("spsn-gs", "paper", 7.2), ("spsn-gs", "torch", 3.4), ("spsn-gs", "fused", 1.0)]
        + [
            ("non-spiking", way, seconds) for way, seconds in (("paper", 5.0), ("torch", 1.4), ("fused", 0.6))
        ],
        columns=["model", "implementation", "seconds_per_epoch"],
    )
    absent = (table.model == "lif") & (table.implementation == "paper") & slow
    table["status"] = np.where(absent, "too-slow", "measured")
    table["seconds_per_epoch"] = table.seconds_per_epoch.mask(absent)
    table["seconds_compute"] = 0.9 * table.seconds_per_epoch
    return table.assign(augmented=True, device="cpu", threads=1, batch_size=16, dtype="float32")


LAWS = {
    ("lif", "paper"): lambda t: 2e-4 * t + 3e-6 * t**2,
    ("lif", "unbind"): lambda t: 2.2e-4 * t,
    ("lif", "torch"): lambda t: 2.0e-4 * t,
    ("spsn-sb", "paper"): lambda t: 4e-3 + 4e-5 * t,
    ("spsn-sb", "torch"): lambda t: 2e-3 + 1.5e-5 * t,
    ("lif", "fused"): lambda t: 4e-6 * t,
    ("spsn-sb", "fused"): lambda t: 3e-6 * t,
}


def lengths(steps=(100, 200, 500, 1000, 2000), repeats: int = 3, limit: float = 3.0) -> pd.DataFrame:
    """A table like `timing/sequence_length.csv`; what takes longer than `limit` seconds was too slow."""
    draw = np.random.default_rng(2)
    lines = []
    for (model, implementation), law in LAWS.items():
        for t in steps:
            if law(t) > limit:
                lines.append((model, implementation, t, 0, "too-slow", None))
                continue
            seconds = law(t) * np.exp(draw.normal(0, 0.08, repeats))
            lines += [(model, implementation, t, r, "measured", seconds[r]) for r in range(repeats)]
    columns = ["model", "implementation", "steps", "repeat", "status", "seconds"]
    return pd.DataFrame(lines, columns=columns).assign(batch_size=8, inputs=128, neurons=128, device="cpu")


def trials(models=("spsn-sb", "spsn-gs"), count: int = 10, label: int = 15) -> pd.DataFrame:
    """A table like `robustness/trials.csv`: `label` is right, and mostly found."""
    draw = np.random.default_rng(3)
    parts = []
    for model in models:
        centre = draw.normal(0, 0.5, len(WORDS))
        centre[label] = centre.max() + 0.3
        for trial in range(count):
            potential = centre + draw.normal(0, 0.12, len(WORDS))
            part = pd.DataFrame(
                {"class": range(len(WORDS)), "class_name": WORDS, "mean_potential": potential}
            )
            parts.append(
                part.assign(model=model, trial=trial, true_label=label, predicted=potential.argmax())
            )
    return pd.concat(parts, ignore_index=True).assign(condition="augmented", seed=0, sample=0)


def test_set(models=("spsn-sb", "spsn-gs"), samples: int = 240, moved: int = 30) -> pd.DataFrame:
    """A table like `robustness/test_set.csv` in which the label of `moved` samples moved."""
    table = pd.DataFrame([(model, sample) for model in models for sample in range(samples)])
    table.columns = ["model", "sample"]
    table["distinct_labels"] = np.where(table["sample"] < moved, 2, 1)
    return table.assign(condition="augmented", seed=0, true_label=table["sample"] % 20, trials=10, hits=10)


test_set.__test__ = False


def neurons(steps: int = 200) -> pd.DataFrame:
    """A table like `illustration/neurons.csv`: leaky integration of a pulsed input, spikes by crude rules."""
    draw = np.random.default_rng(4)
    drive = np.where((np.arange(steps) // 50) % 2 == 1, 0.35, 0.05) + draw.normal(0, 0.02, steps)
    lines = []
    for model in ("lif", "spsn-sb", "spsn-gs"):
        current = potential = 0.0
        for t, x in enumerate(drive):
            current = 0.95 * current + x
            potential = 0.95 * potential + 0.05 * current
            spike = potential > 1 if model == "lif" else draw.random() < 1 / (1 + np.exp(-potential))
            lines.append((model, float(t), x, potential, int(spike)))
            potential *= 1 - (spike if model == "lif" else 0)
    return pd.DataFrame(lines, columns=["model", "time_ms", "input", "membrane_potential", "spike"])


def samples(train: int = 120, test: int = 60, classes: int = len(WORDS)) -> pd.DataFrame:
    """A table like `data/samples.csv`: six speakers, of whom 4 and 5 are in the test file alone."""
    draw, parts = np.random.default_rng(5), []
    for split, count, speakers in (("train", train, 4), ("test", test, 6)):
        part = pd.DataFrame({"split": split, "sample": range(count), "label": np.arange(count) % classes})
        names = [WORDS[label] if label < len(WORDS) else f"word {label}" for label in part.label]
        part["class"], part["speaker"] = names, np.arange(count) // 3 % speakers
        part["spikes"] = draw.integers(3000, 12000, count)
        part["duration_s"] = np.round(draw.uniform(0.3, 1.1, count), 3)
        parts.append(part.assign(active_channels=draw.integers(450, 640, count)))
    return pd.concat(parts, ignore_index=True)


def rasters(classes: int = len(WORDS), spikes: int = 300) -> pd.DataFrame:
    """A table like `data/rasters.csv`: a band of channels that falls with time."""
    draw, parts = np.random.default_rng(6), []
    for label in range(classes):
        times = np.sort(np.round(draw.uniform(0, 0.5 + 0.02 * label, spikes), 3))
        channels = np.clip(300 + 500 * times + draw.normal(0, 40, spikes), 0, 699).astype(int)
        parts.append(pd.DataFrame({"label": label, "time_s": times, "channel": channels}))
    table = pd.concat(parts, ignore_index=True).assign(split="train", speaker=0)
    names = [WORDS[label] if label < len(WORDS) else f"word {label}" for label in table.label]
    return table.assign(**{"sample": table.label, "class": names})


def golden() -> pd.DataFrame:
    """A table like `golden/passes.csv`: networks that were right on a third of 200 samples."""
    about = published_networks(CONFIG.parent / "paper" / "golden.csv")
    parts = [
        own.to_frame().T.assign(trial=trial, samples=200, hits=60 + 2 * trial + place)
        for place, (_, own) in enumerate(about.iterrows())
        for trial in range(1 if own.model in ("lif", "non-spiking") else 3)
    ]
    return pd.concat(parts, ignore_index=True)[list(GOLDEN_COLUMNS)]


def about_golden() -> dict:
    """What `golden/about.json` says of them."""
    facts = {"dataset": "synthetic-digits", "is_shd": False, "samples": 200, "classes": 20}
    made = {"made": True, "reason": None, "weights": "fetch", "files": []}
    return facts | made | {"commonest_class": 0.05, "trials": 3, "batch_size": 64}


def grid(plan: Settings) -> pd.DataFrame:
    """A whole run table: every threshold, and as many seeds as the experiment with most has."""
    e = plan.experiments
    seeds = max(e.accuracy.seeds, e.regularization.seeds, e.loss_mode.seeds)
    return complete(runs(e.regularization.thresholds, seeds))


TABLES = {
    "tables/runs.csv": grid,
    "timing/epoch.csv": lambda plan: epochs(),
    "timing/sequence_length.csv": lambda plan: lengths(),
    "robustness/trials.csv": lambda plan: trials(),
    "robustness/test_set.csv": lambda plan: test_set(),
    "illustration/neurons.csv": lambda plan: neurons(),
    "data/samples.csv": lambda plan: samples(),
    "data/rasters.csv": lambda plan: rasters(),
    "golden/passes.csv": lambda plan: golden(),
    "tables/comparison_runs.csv": crafted_comparison.runs,
    "timing/methods.csv": lambda plan: crafted_comparison.costs(),
}


def write(folder: Path, plan: Settings | None = None) -> Path:
    """Write a whole folder of tables, with the settings and facts that go with them."""
    plan = plan or settings()
    for name, make in TABLES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make(plan).to_csv(path, index=False)
    (folder / "golden" / "about.json").write_text(json.dumps(about_golden()))
    (folder / "settings.json").write_text(json.dumps(to_mapping(plan)))
    split = {"classes": len(WORDS)}
    facts = {"dataset": plan.dataset_name, "is_shd": plan.is_shd, "splits": {"train": split, "test": split}}
    (folder / "data.json").write_text(json.dumps({**facts, "class_names": WORDS}))
    return folder


def find(figure, gid: str):
    """The one artist of the figure with this group id."""
    found = figure.findobj(lambda artist: artist.get_gid() == gid)
    assert len(found) == 1, f"{gid}: {len(found)} artists"
    return found[0]


def gids(figure) -> set[str]:
    """Every group id in the figure."""
    return {artist.get_gid() for artist in figure.findobj() if artist.get_gid()}
