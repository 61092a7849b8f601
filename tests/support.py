"""What several tests use."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import yaml

from spsn.config_files import merged
from spsn.data.shd import SpikeFile, write_split
from spsn.grid import RunSettings

ROOT = Path(__file__).parent.parent
HAS_TEX = shutil.which("latexmk") is not None and shutil.which("pdflatex") is not None
needs_tex = pytest.mark.skipif(not HAS_TEX, reason="needs latexmk and pdflatex")


def lacking(reason: str) -> NoReturn:
    """Skip a test for what this machine does not have; fail it where SPSN_NO_SKIPS says that it has all."""
    if os.environ.get("SPSN_NO_SKIPS"):
        pytest.fail(f"skipped, though SPSN_NO_SKIPS is set: {reason}", pytrace=False)
    pytest.skip(reason)


class Clock:
    """A clock that moves when it is told to."""

    asynchronous = False

    def __init__(self):
        self.now = 0.0

    def mark(self):
        return self.now

    def wait(self):
        pass

    def seconds(self, begin, end):
        return end - begin


def make_words(samples: int, classes: int, seed: int, seconds: float = 0.06) -> SpikeFile:
    """Spikes of `classes` that can be told apart: each class has its own band of channels that sweeps over
    time.
    """
    random = np.random.default_rng(seed)
    times, units, labels = [], [], np.arange(samples) % classes
    for label in labels:
        count = random.integers(60, 120)
        own = np.sort(random.uniform(0, seconds * random.uniform(0.7, 1.0), count))
        band = 700 / classes
        times.append(own.astype(np.float16))
        units.append((label * band + band * random.uniform(0, 1, count)).astype(np.uint16))
    names = tuple(f"class {i}" for i in range(classes))
    return SpikeFile.from_rows(times, units, labels, random.integers(0, 4, samples), names)


def small_run(**changes: object) -> RunSettings:
    """The settings of a small run on four classes."""
    small = RunSettings(
        experiment="accuracy",
        model="spsn-sb",
        condition="basic",
        seed=0,
        dataset="words",
        classes=4,
        train_digest="",
        test_digest="",
        hidden_layers=2,
        hidden_size=12,
        tau_mem=0.02,
        tau_syn=0.01,
        threshold=1.0,
        time_step=0.002,
        lif_reset="code",
        loss_mode="mean",
        rate_threshold=None,
        shift=0.1,
        scale=0.3,
        epochs=3,
        batch_size=8,
        learning_rate=0.001,
        backend="torch",
        threads=1,
    )
    return replace(small, **changes)


def paper_run(**changes: object) -> RunSettings:
    """The settings of the paper's network on 20 classes, not augmented."""
    network = {"hidden_layers": 3, "hidden_size": 128, "tau_syn": 0.02, "time_step": 0.001, "classes": 20}
    return small_run(**{"model": "lif", "batch_size": 64, "shift": 0.0, "scale": 0.0, **network, **changes})


def load_config(*names: str) -> dict:
    """Configurations of the repository laid over one another."""
    return merged([ROOT / "config" / f"{name}.yaml" for name in names])


def make_project(folder: Path, **training: object) -> Path:
    """A copy of the repository's workflow in `folder` with tiny data; returns the configuration to lay over
    the paper's.

    Every experiment is there, with one or two models, two seeds and a network of 12 neurons a layer.
    """
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("workflow", "profiles", "config", "notebooks", "paper", "src"):
        shutil.copytree(ROOT / name, folder / name)
    for split, samples, seed in (("train", 40, 1), ("test", 20, 2)):
        write_split(folder / f"words_{split}.h5", make_words(samples, 4, seed))
    config = {
        "name": "tiny",
        "dataset": {"train": "words_train.h5", "test": "words_test.h5", "name": "words"},
        "golden": {"weights": None},
        "network": {"hidden_layers": 2, "hidden_size": 12, "time_step": 0.002},
        "training": {"epochs": 3, "batch_size": 8, **training},
        "execution": {"threads": 1, "device": "cpu", "checkpoint_every": 1, "seeds_per_block": 2},
        "experiments": {
            "accuracy": {"models": ["lif", "spsn-sb"], "seeds": 2},
            "regularization": {"models": ["spsn-sb"], "thresholds": [0.4], "seeds": 2},
            "loss_mode": {"models": ["lif"], "seeds": 2, "network": {"hidden_layers": 1}},
            "robustness": {"models": ["spsn-sb"], "trials": 3},
            "timing": {
                "epoch": {"models": ["lif", "spsn-sb"], "batches": 1},
                "sequence_length": {
                    "lengths": [10, 20],
                    "repeats": 2,
                    "batch_size": 2,
                    "inputs": 8,
                    "neurons": 8,
                },
            },
        },
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def environment(folder: Path) -> dict[str, str]:
    """The environment of a command in a project: this Python's commands first, the project's own sources."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(folder / "src")}


def run_python(folder: Path, *arguments: str, sources: Path | None = None) -> subprocess.CompletedProcess:
    """Run `python -m ...` in a project folder, on its own sources or on those below `sources`."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment(sources or folder),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
    )


def snakemake(folder: Path, *arguments: str, config: str = "tiny.yaml") -> subprocess.CompletedProcess:
    """Run the workflow in a project folder, by default on its tiny configuration."""
    return run_python(folder, "snakemake", "--cores", "2", *arguments, "--configfile", config)
