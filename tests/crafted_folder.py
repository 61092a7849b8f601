"""A whole results folder, made up: records and weights, and from them everything that the workflow makes."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import crafted_comparison
import crafted_results as crafted
import pandas as pd
import plausible
import torch
from safetensors.torch import save_file

from spsn import layout, provenance
from spsn.checkpoints import weights_digest
from spsn.files import digest, write_json, write_text
from spsn.grid import RunSettings, blocks, comparison_blocks, run_settings
from spsn.manifest import comparison_files, report_files
from spsn.records import Execution, Result, RunRecord, write_record
from spsn.replication.claims import write_claims
from spsn.replication.digests import write_checksums
from spsn.replication.report import build_pdf, write_macros, write_provenance
from spsn.replication.run_table import write_runs
from spsn.replication.tables import write_table2
from spsn.replication.typesetting import FULL_REPORT, REPORT, Edition
from spsn.settings import Settings
from spsn.verification.files import PDFS
from spsn.verification.recompute import Place, steps

PAPER = crafted.ROOT / "paper"
SPIKES = {"train": "t" * 64, "test": "e" * 64}


def write(folder: Path, settings: Settings, *, typeset: bool, comparison: bool = False) -> Path:
    """Write the folder; without `typeset`, pictures and report are made up, and said to be another TeX's."""
    crafted.write(folder, settings)
    _facts(folder, settings)
    _records(folder, settings, layout.all_records(settings), crafted.runs(settings), blocks)
    write_runs(_below(folder, settings, layout.all_records(settings)), folder / "tables/runs.csv")
    write_table2(folder, crafted.REPORTED, settings)
    write_claims(folder, crafted.CLAIMS, settings)
    if comparison:
        of_part_two = layout.comparison_records(settings)
        crafted_comparison.write(folder, settings)
        runs = crafted_comparison.runs(settings)
        _records(folder, settings, of_part_two, runs, comparison_blocks)
        write_runs(_below(folder, settings, of_part_two), folder / "tables/comparison_runs.csv")
        crafted_comparison.complete(folder, settings)
    place = Place(folder, settings, PAPER)
    for step in steps(settings, comparison=comparison):
        if step.drawing and typeset:
            step.make(place)
    for name in report_files(settings) + comparison * comparison_files(settings):
        if not (folder / name).exists():
            write_text(folder / name, "{}\n")
    for edition in (REPORT, *([FULL_REPORT] if comparison else [])):
        finish(folder, settings, edition, typeset=typeset)
    return folder


def finish(folder: Path, settings: Settings, edition: Edition = REPORT, *, typeset: bool) -> None:
    """Provenance, macros and report of the files as they are."""
    pdf = folder / PDFS[edition]
    write_provenance(folder, settings, folder / edition.provenance, crafted.COMMANDS, edition)
    if not typeset:
        versions = provenance.versions() | {"matplotlib": "0.0"}
        crafted.change_json(folder / edition.provenance, tex="TeX 0.0", versions=versions)
    write_macros(folder, settings, folder / edition.macros, edition)
    if typeset:
        build_pdf(folder, crafted.TEX, pdf, edition)
    else:
        write_text(pdf, "%PDF made up")
    write_checksums(pdf, (folder / edition.macros, folder / edition.provenance))


def _below(folder: Path, settings: Settings, records) -> list[Path]:
    return [folder / path.relative_to(layout.results(settings)) for path in records]


def _facts(folder: Path, settings: Settings) -> None:
    """What the figures need beside `crafted_results`, and the digests of the spikes."""
    for name, table in (
        ("illustration/neurons.csv", plausible.neurons()),
        ("data/samples.csv", crafted.samples()),
        ("data/rasters.csv", plausible.rasters()),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        table.to_csv(folder / name, index=False)
    facts = crafted.facts(settings)
    for split, value in SPIKES.items():
        facts["splits"][split]["digest"] = {"0.001": value, "0.004": value}
    write_json(folder / "data.json", facts)


def _records(folder: Path, settings: Settings, paths, runs, grid) -> None:
    """A record and weights for each line of the table `runs`."""
    wanted = {
        (block.experiment, block.model, block.condition.name, seed): block
        for block in grid(settings)
        for seed in block.seeds
    }
    for line in runs.itertuples():
        block = wanted.pop((line.experiment, line.model, line.condition, line.seed))
        run = run_settings(
            settings, block, line.seed, classes=20, train_digest=SPIKES["train"], test_digest=SPIKES["test"]
        )
        weights = {"0.weight": torch.full((3, 2), 0.5 + line.seed), "0.bias": torch.zeros(3)}
        path = folder / "runs" / line.experiment / line.model / line.condition / f"seed{line.seed}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(weights, path.with_suffix(".safetensors"))
        run = replace(run, backend="fused" if run.backend == "auto" else run.backend)
        write_record(path, RunRecord(run, _result(line, run, weights), _execution(line)))
    assert not wanted and len(runs) == len(paths)


def _result(line, run: RunSettings, weights) -> Result:
    hits, total = int(line.test_hits), int(line.test_total)
    fires = line.spikes_per_ms == line.spikes_per_ms and line.spikes_per_ms is not None
    return Result(
        train_loss=(*(2.0,) * (run.epochs - 1), 1.0),
        train_accuracy=(*(0.1,) * (run.epochs - 1), 0.8),
        test_hits=hits,
        test_total=total,
        test_accuracy=hits / total,
        spikes_per_ms=(float(line.spikes_per_ms) / run.hidden_layers,) * run.hidden_layers if fires else (),
        weights_digest=weights_digest(weights),
        **answers(hits),
    )


def answers(hits: int) -> dict:
    """Predictions of which the first `hits` are right, and what speakers make of them."""
    of = dict(list(crafted.samples().groupby("split")))
    right = pd.Series(range(len(of["test"])), index=of["test"].index) < hits
    speakers = {
        str(speaker): {
            "hits": int(right[own.index].sum()),
            "total": len(own),
            "in_training": speaker in set(of["train"].speaker),
        }
        for speaker, own in of["test"].groupby("speaker")
    }
    predictions = of["test"].label.where(right, (of["test"].label + 1) % 20)
    return {"predictions": tuple(predictions.tolist()), "speakers": speakers}


def _execution(line) -> Execution:
    return Execution(
        epoch_seconds=(1.25, 1.5),
        test_seconds=0.5,
        peak_bytes=10**9,
        stack_size=2,
        device="cpu",
        machine=crafted.MACHINE,
        versions=crafted.VERSIONS,
        git_commit="0123abc",
    )


def renew(folder: Path, edition: Edition = REPORT) -> None:
    """Digests of the files as they are, as one who changed them would write them anew."""
    files = json.loads((folder / edition.provenance).read_text())["files"]
    files = {name: digest(folder / name) for name in files}
    crafted.change_json(folder / edition.provenance, files=files)
    write_checksums(folder / PDFS[edition], (folder / edition.macros, folder / edition.provenance))


def copy(folder: Path, target: Path) -> Path:
    """Another folder with the same files."""
    return Path(shutil.copytree(folder, target))
