"""A made-up results folder with everything that the report reads: round numbers, none of them measured."""

import json
from itertools import product
from pathlib import Path

import pandas as pd
import yaml
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from spsn.files import write_json, write_text
from spsn.grid import TRAINED, blocks
from spsn.replication import golden_table, report
from spsn.replication.claims import write_claims
from spsn.replication.data_table import read_published, write_table_data
from spsn.replication.tables import write_table1, write_table2
from spsn.settings import Settings, from_mapping, to_mapping

ROOT = Path(__file__).resolve().parents[1]
TEX = ROOT / "paper" / "report.tex"
REPORTED = ROOT / "paper" / "reported.csv"
CLAIMS = ROOT / "paper" / "claims.yaml"
GOLDEN = ROOT / "paper" / "golden.csv"
PUBLISHED = ROOT / "paper" / "shd_published.csv"
ENGLISH = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
GERMAN = ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"]
WORDS = ENGLISH + GERMAN
TEST_TOTAL = 200
ACCURACY = {"lif": 0.62, "spsn-sb": 0.66, "spsn-gs": 0.58, "non-spiking": 0.44}
RATES = {"lif": 12.0, "spsn-sb": 150.0, "spsn-gs": 170.0}
GRID = {
    "experiments": {
        "accuracy": {"seeds": 2, "training": {"epochs": 40, "batch_size": 16}},
        "regularization": {
            "seeds": 2, "thresholds": [0.03, 0.1, 0.4], "training": {"epochs": 30, "batch_size": 8},
        },
        "loss_mode": {"seeds": 2, "training": {"epochs": 20, "batch_size": 16}},
    }
}  # fmt: skip
COMMANDS = ["spsn data --settings results/demo/settings.json", "spsn train accuracy/lif/basic --seeds 0 1"]
VERSIONS = {"spsn": "0.1.0", "python": "3.11.7", "torch": "2.13.0+cpu"}
MACHINE = {
    "system": "Linux", "distribution": "Debian GNU/Linux 12 (bookworm)", "processor": "A & B_C 100 %",
    "cores": 2,
    "memory_bytes": 8 * 2**30, "gpus": [], "cuda": None,
}  # fmt: skip


def plan(name: str = "demo", **changes) -> Settings:
    """The settings of config/<name>.yaml laid over the paper's, with top-level `changes`.

    The demo's grid is `GRID`, so that what tests count does not hang on how large the demo is.
    """
    config = yaml.safe_load((ROOT / "config" / "paper.yaml").read_text())
    above = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()) if name != "paper" else {}
    grid = GRID if name == "demo" else {}
    return from_mapping(_laid_over(_laid_over(config, above), grid) | changes)


def _laid_over(below: dict, above: dict) -> dict:
    both = {
        k: _laid_over(below[k], v)
        for k, v in above.items()
        if isinstance(v, dict) and isinstance(below.get(k), dict)
    }
    return {**below, **above, **both}


def write(folder: Path, settings: Settings) -> Path:
    """Write data, tables, timings, small figures and provenance for `settings`; return `folder`."""
    write_json(folder / "settings.json", to_mapping(settings))
    write_json(folder / "data.json", facts(settings))
    _csv(folder / "tables/runs.csv", runs(settings))
    _csv(folder / "timing/epoch.csv", epochs())
    _csv(folder / "timing/sequence_length.csv", lengths())
    _csv(folder / "robustness/trials.csv", trials())
    _csv(folder / "robustness/test_set.csv", test_set())
    write_table_data(folder, samples(), read_published(PUBLISHED))
    if settings.golden.weights is not None:
        golden(folder, settings)
    write_table1(folder, settings)
    write_table2(folder, REPORTED, settings)
    write_claims(folder, CLAIMS, settings)
    for number in range(1, 7):
        figure(folder / f"figures/figure{number}.pdf", 3.5 if number < 3 else 7.16)
    figure(folder / "figures/figure_data.pdf", 6.69)
    content = {
        "config": to_mapping(settings),
        "machine": MACHINE,
        "versions": VERSIONS,
        "git_commit": "0123abc-dirty",
    }
    write_json(folder / "provenance.json", {**content, "data": facts(settings), "commands": COMMANDS})
    return folder


def typeset(folder: Path, settings: Settings) -> Path:
    """Macros and PDF of a folder that `write` made."""
    report.write_macros(folder, settings, folder / "report/macros.tex")
    report.build_pdf(folder, TEX, folder / "report/report.pdf")
    return folder / "report/report.pdf"


def facts(settings: Settings) -> dict:
    """What data.json says."""
    split = {"classes": 20, "spikes_per_sample": 8123.4, "duration_s": 0.7123, "sha256": "ab" * 32}
    split |= {"spikes": {"total": 1234567}, "samples_per_class": {"min": 10, "max": 30}}
    train = {**split, "file": "train.h5", "samples": 600, "speakers": list(range(10))}
    test = {**split, "file": "test.h5", "samples": TEST_TOTAL, "speakers": list(range(12))}
    named = {"dataset": settings.dataset_name, "is_shd": settings.is_shd, "class_names": WORDS}
    return {
        **named,
        "splits": {"train": train, "test": test},
        "source": {name: {"made by": "hand", "seed": 0} for name in ("a.h5", "b.h5")},
    }


def golden(folder: Path, settings: Settings) -> None:
    """The authors' networks, right as often as their authors say, and their table."""
    authors = golden_table.read_published(GOLDEN)
    passes = [
        own.to_dict() | {"trial": trial, "hits": own.hits + trial, "samples": own.total}
        for _, own in authors.iterrows()
        for trial in ((-1, 0, 1) if own.model in golden_table.RANDOM else (0,))
    ]
    _csv(folder / "golden/passes.csv", pd.DataFrame(passes)[list(golden_table.COLUMNS)])
    facts = {"dataset": settings.dataset_name, "is_shd": settings.is_shd, "samples": 2264, "classes": 20}
    made = {"made": True, "reason": None, "weights": "fetch", "files": []}
    write_json(
        folder / "golden/about.json", facts | made | {"commonest_class": 0.05, "trials": 3, "batch_size": 64}
    )
    golden_table.write_golden_table(folder, GOLDEN)


def samples() -> pd.DataFrame:
    """What `data/samples.csv` says of them; speakers 4 and 5 are in the test file alone."""
    heard = [speaker for speaker in range(12) if speaker not in (4, 5)]
    lines = [("train", heard[i % 10], i) for i in range(600)]
    lines += [("test", i % 12, i) for i in range(TEST_TOTAL)]
    table = pd.DataFrame(lines, columns=["split", "speaker", "sample"])
    table["label"] = table["sample"] % 20
    table["class"] = [WORDS[label] for label in table.label]
    late = table["sample"] == 7
    return table.assign(
        spikes=8000 + 100 * (table.speaker == 4), duration_s=0.7 + 0.5 * late, active_channels=500
    )


def runs(settings: Settings) -> pd.DataFrame:
    """`tables/runs.csv` of the whole grid; SPSN-GS at theta 0.03 stays at chance."""
    lines = []
    for block in blocks(settings):
        c, model = block.condition, block.model
        stuck = (c.rate_threshold, model) == (0.03, "spsn-gs")
        base = 0.05 if stuck else ACCURACY[model] - 0.1 * c.augmented - 0.2 * (c.loss_mode != "mean")
        rate = None if model == "non-spiking" else min(RATES[model], 384 * (c.rate_threshold or 1))
        for seed in block.seeds:
            hits = round(TEST_TOTAL * (base + 0.01 * (seed % 2)))
            lines.append(
                {
                    "experiment": block.experiment, "model": model, "condition": c.name, "seed": seed,
                    "test_accuracy": hits / TEST_TOTAL, "train_accuracy": base + 0.2, "train_loss": 1.0,
                    "test_hits": hits,
                    "test_total": TEST_TOTAL, "test_accuracy_seen": hits / TEST_TOTAL + 0.03,
                    "test_accuracy_unseen": max(0, hits / TEST_TOTAL - 0.15),
                    "spikes_per_ms": rate and rate + seed,
                    "spikes_per_ms_1": rate and (rate + seed) / 3, "rate_threshold": c.rate_threshold,
                    "loss_mode": c.loss_mode, "epochs": block.training.epochs,
                    "batch_size": block.training.batch_size,
                    "time_step": block.network.time_step, "dataset": settings.dataset_name, "classes": 20,
                    "epoch_seconds": 1.25, "test_seconds": 0.5, "peak_bytes": 10**9, "device": "cpu",
                    "backend": "fused",
                    "threads": 1,
                }
            )  # fmt: skip
    assert {line["experiment"] for line in lines} == set(TRAINED)
    return pd.DataFrame(lines)


def epochs() -> pd.DataFrame:
    """`timing/epoch.csv`: LIF as the paper runs it 96 s, without its slices 12 s; SPSN-SB 6 s."""
    seconds = {
        ("lif", "paper"): 96.0, ("lif", "unbind"): 12.0, ("lif", "torch"): 10.0, ("spsn-sb", "paper"): 6.0,
        ("spsn-sb", "torch"): 3.0, ("spsn-gs", "torch"): 4.0, ("non-spiking", "torch"): None,
        ("lif", "fused"): 3.0, ("spsn-sb", "fused"): 2.5,
    }  # fmt: skip
    return pd.DataFrame(
        [
            {
                "model": model, "implementation": way, "status": "measured" if s else "too-slow",
                "seconds_per_epoch": s, "seconds_compute": s and s - 2, "seconds_data": s and 2.0,
                "batches_measured": 4 if s else 0, "batches_per_epoch": 38, "batch_size": 16,
                "mean_steps": 190.4,
                "augmented": True, "device": "cpu", "threads": 1, "dtype": "float32",
            }
            for (model, way), s in seconds.items()
        ]
    )  # fmt: skip


def lengths(device: str = "cpu") -> pd.DataFrame:
    """`timing/sequence_length.csv`: the paper's LIF quadratic and too slow at the longest; SPSN linear."""
    laws = {
        ("lif", "paper"): lambda t: 1e-5 * t**2, ("lif", "unbind"): lambda t: 2e-3 * t,
        ("spsn-sb", "paper"): lambda t: 1e-4 * t, ("spsn-sb", "torch"): lambda t: 5e-5 * t,
        ("lif", "fused"): lambda t: 3e-6 * t, ("spsn-sb", "fused"): lambda t: 2e-6 * t,
    }  # fmt: skip
    lines = []
    for ((model, way), law), t, repeat in product(laws.items(), (100, 1000, 2000), range(3)):
        slow = law(t) > 20
        seconds = None if slow else law(t) * (0.9, 1.0, 1.1)[repeat]
        lines.append(
            {
                "model": model, "implementation": way, "steps": t, "repeat": repeat,
                "status": "too-slow" if slow else "measured", "seconds": seconds, "forward_seconds": seconds,
                "backward_seconds": seconds, "seconds_unsynchronised": seconds, "peak_bytes": 10**8,
                "batch_size": 8,
                "inputs": 128, "neurons": 128, "device": device, "threads": 1, "dtype": "float32",
            }
        )  # fmt: skip
    return pd.DataFrame(lines)


def trials(count: int = 10, label: int = 15) -> pd.DataFrame:
    """`robustness/trials.csv`: nine trials of ten find the right label."""
    return pd.DataFrame(
        [
            {
                "model": model, "condition": "augmented", "seed": 0, "sample": 0, "true_label": label,
                "trial": trial,
                "class": c, "class_name": WORDS[c], "mean_potential": float(c == label) + 0.01 * trial,
                "predicted": label if trial else 3,
            }
            for model, trial, c in product(("spsn-sb", "spsn-gs"), range(count), range(len(WORDS)))
        ]
    )  # fmt: skip


def test_set(moved: int = 26) -> pd.DataFrame:
    """`robustness/test_set.csv`: the label of `moved` of 200 samples moved."""
    return pd.DataFrame(
        [
            {
                "model": model, "condition": "augmented", "seed": 0, "sample": sample,
                "true_label": sample % 20,
                "trials": 10, "distinct_labels": 2 if sample < moved else 1, "majority_label": sample % 20,
                "hits": 9,
            }
            for model, sample in product(("spsn-sb", "spsn-gs"), range(TEST_TOTAL))
        ]
    )  # fmt: skip


test_set.__test__ = False


def figure(path: Path, width: float) -> None:
    """A small drawing, `width` inches wide, the same bytes every time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing = Figure(figsize=(width, 2))
    drawing.subplots().plot([0, 1])
    FigureCanvasPdf(drawing).print_pdf(path, metadata={"CreationDate": None})


def edit(path: Path, old: str, new: str) -> None:
    """Replace text in a file that must hold it."""
    text = path.read_text()
    assert old in text
    write_text(path, text.replace(old, new))


def change_json(path: Path, **changes) -> None:
    """Replace top-level entries of a JSON file."""
    write_json(path, json.loads(path.read_text()) | changes)


def _csv(path: Path, table: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)
