"""The DAG: what it holds, that it ends, that it comes to rest, and what an edit makes it do again."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import crafted_folder
import pytest
import yaml
from support import HAS_TEX, ROOT, environment, make_project, run_python, snakemake

from spsn import calls, manifest, sources
from spsn.grid import blocks
from spsn.layout import all_records
from spsn.settings import load

# What phases import without their results depending on it.
HARMLESS = {
    "checkpoints.py",
    "compile_cache.py",
    "compiled.py",
    "data/__init__.py",
    "dataset_settings.py",
    "devices.py",
    "errors.py",
    "experiment_settings.py",
    "files.py",
    "grid.py",
    "kinds.py",
    "locks.py",
    "mapping.py",
    "memory.py",
    "methods.py",
    "progress.py",
    "provenance.py",
    "records.py",
    "settings.py",
    "sources.py",
    "timing/__init__.py",
    "replication/__init__.py",
}
STORES = {*sources.EVENTS}  # of phases that read event stores, which digests stand for
RESIDENT = {"resident.py"}  # training's; timed steps are fed by their trainers
FETCHING = {"data/download.py", "data/part.py", "data/transfer.py", "data/unpack.py"}
NAMES = {"data/listings.py"}  # whether a labelling is a table, for the path of what is heard
ORIGIN = {"data/describe.py", "data/events.py", "data/statistics.py"}  # reads what stands beside recordings
OTHER_NEURONS = {*sources.below("neurons")} - {*sources.ILLUSTRATION}
OTHER_STUDIES = {
    "timing/epoch.py",
    "timing/layers.py",
    "timing/sequence_length.py",
}  # beside the device's name
REPLICATION = sources.below("replication")

# Phase: the sources that it names, the modules that its command imports, what else is harmless there.
PHASES = {
    "events": (sources.EVENTS, ("data.events", "data.shd"), set()),
    "hear": (sources.HEARING, ("data.hearing", "data.describe"), ORIGIN),
    "digits": (sources.DIGITS, ("data.speech",), set()),
    "describe": (sources.DESCRIPTION, ("data.describe",), STORES),
    "train": (sources.TRAINING, ("training",), STORES),
    "golden": (sources.GOLDEN, ("golden",), STORES | FETCHING),
    "robustness": (sources.ROBUSTNESS, ("robustness",), STORES),
    "illustrate": (sources.ILLUSTRATION, ("illustration",), OTHER_NEURONS),
    "time-epoch, time-lengths": (sources.TIMING, ("timing.study",), STORES | RESIDENT),
    "time-methods": (
        sources.COMPARISON_TIMING,
        ("timing.methods", "timing.method_step"),
        STORES | RESIDENT | OTHER_STUDIES | {"processes.py"},
    ),
    "collect": (sources.COLLECTING, ("replication.run_table",), set()),
    "notebook, report": (
        REPLICATION + sources.RECORDS,
        tuple(name.removesuffix(".py").replace("/", ".") for name in REPLICATION),
        NAMES,
    ),
}


def paper(folder: Path, *arguments: str) -> str:
    """What the paper's workflow would do, in words."""
    done = run_python(folder, "snakemake", "-n", "--cores", "1", *arguments)
    assert done.returncode == 0, done.stdout
    return done.stdout


def jobs(text: str) -> dict[str, int]:
    """Snakemake's table of jobs: rule and count."""
    return {name: int(count) for name, count in re.findall(r"^(\S+) +(\d+)$", text, re.MULTILINE)}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A checkout in which nothing has run yet."""
    folder = tmp_path_factory.mktemp("fresh")
    make_project(folder)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project whose whole workflow has run on tiny data."""
    if not HAS_TEX:
        pytest.skip("needs latexmk and pdflatex")
    folder = tmp_path_factory.mktemp("finished")
    make_project(folder)
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout
    return folder


def test_the_papers_dry_run_counts_330_run_records(fresh):
    text = paper(fresh)
    records = set(re.findall(r"results/paper/runs/[^\s,]+\.json", text))
    assert len(records) == 330
    found = jobs(text)
    assert found["all"] == 1 and found["report"] == 1 and found["fetch"] == 2
    assert sum(name.startswith("train_") for name in found) == 33
    assert "settings" not in found  # unfinished, it would hide that the jobs after it have to run


@pytest.mark.parametrize(
    ("target", "has", "lacks"),
    [
        ("data", "events_train_1ms", "train_accuracy_lif_basic_0-9"),
        ("train", "train_accuracy_lif_basic_0-9", "figure3_models"),
        ("timing", "time_lengths", "train_accuracy_lif_basic_0-9"),
        ("figures", "figure3_models", "report"),
        ("report", "report", "all"),
    ],
)
def test_named_targets_are_parts_of_the_whole(fresh, target, has, lacks):
    found = jobs(paper(fresh, target))
    assert has in found and lacks not in found


def test_data_that_are_in_place_need_no_network(fresh):
    text = paper(fresh, "data", "--printshellcmds", "--config", "data_dir=/some where")
    assert text.count("--data-dir '/some where'") == 2
    given = snakemake(fresh, "data", "-n").stdout
    assert "fetch" not in jobs(given) and "digits" not in jobs(given)


def test_a_wrong_key_is_refused_before_anything_runs(fresh):
    (fresh / "wrong.yaml").write_text(yaml.safe_dump({"trainng": {"epochs": 1}}))
    done = snakemake(fresh, "-n", config="wrong.yaml")
    assert done.returncode != 0 and "'trainng'" in done.stdout and "'training'" in done.stdout
    assert "(read from config/paper.yaml, wrong.yaml)" in done.stdout and "Traceback" not in done.stdout


def test_another_folder_is_refused_and_leaves_nothing(fresh, tmp_path):
    done = run_python(fresh, "snakemake", "-n", "--directory", str(tmp_path), "--configfile", "tiny.yaml")
    assert done.returncode != 0 and f"{tmp_path} is not this project's folder" in done.stdout, done.stdout
    assert not (tmp_path / "results").exists()


def test_what_runs_nothing_needs_no_number_of_cores(fresh):
    done = run_python(fresh, "snakemake", "--summary")
    assert done.returncode == 0, done.stdout


def test_settings_that_cannot_be_written_are_named_and_leave_no_lock(tmp_path):
    make_project(tmp_path)
    (tmp_path / "results/tiny/settings.json").mkdir(parents=True)
    for _ in range(2):
        done = snakemake(tmp_path, "data")
        assert done.returncode != 0 and "Traceback" not in done.stdout
        assert "results/tiny/settings.json: cannot be written (" in done.stdout, done.stdout
    (tmp_path / "results/tiny/settings.json").rmdir()
    assert snakemake(tmp_path, "data").returncode == 0


def test_files_in_the_folder_of_the_workflows_own_copies_are_not_cleared_away(fresh):
    done = run_python(fresh, "snakemake", "-n", "--config", "data_dir=results/data/shd")
    assert done.returncode != 0 and "another folder" in done.stdout and "Traceback" not in done.stdout


def test_on_gpus_the_timing_holds_all_of_them(fresh):
    text = paper(fresh, "timing", "train", "--resources", "gpu=3", "--config", "execution={device: cuda}")
    resources = dict(re.findall(r"rule (\w+):.*?resources: ([^\n]*)", text, re.DOTALL))
    assert "gpu=3" in resources["time_epoch"] and "gpu=3" in resources["time_lengths"]
    assert text.count("gpu=1") == 33


def test_every_declared_result_is_there(finished):
    results = finished / "results" / "tiny"
    settings = load(results / "settings.json")
    for path in all_records(settings):
        assert (finished / path).is_file() and (finished / path).with_suffix(".safetensors").is_file()
    for number in range(1, 7):
        assert all((results / "figures" / f"figure{number}.{ending}").is_file() for ending in ("pdf", "png"))
    for name in ("table1", "table2", "claims"):
        assert all((results / "tables" / f"{name}.{ending}").is_file() for ending in ("csv", "tex"))
    for name in ("report/report.html", "provenance.json", "data.json", "tables/runs.csv"):
        assert (results / name).is_file(), name
    pdf = results / "report" / "report.pdf"
    assert pdf.read_bytes().startswith(b"%PDF")
    runs = (results / "tables" / "runs.csv").read_text().splitlines()
    assert len(runs) - 1 == len(all_records(settings)) == sum(len(b.seeds) for b in blocks(settings))
    commands = json.loads((results / "provenance.json").read_text())["commands"]
    assert commands == ["snakemake --cores all --configfile tiny.yaml"]


def test_every_figure_and_table_has_a_caption():
    captions = {path.stem for path in (ROOT / "workflow/report").glob("*.rst")}
    others = {"workflow", "runs", "comparison_runs", "report", "full_report"}
    assert captions == {*manifest.BY_RESULT, *others}


def test_settings_are_written_anew_for_who_names_them(finished):
    path = finished / "results/tiny/settings.json"
    before = path.read_bytes()
    path.unlink()
    done = snakemake(finished, "results/tiny/settings.json", "--no-hooks")
    assert done.returncode == 0 and path.read_bytes() == before, done.stdout


def test_nothing_is_half_written(finished):
    assert not [path for path in finished.glob("results/**/*") if path.name.endswith((".part", ".tmp"))]


def test_its_results_verify_but_for_what_was_changed(finished, tmp_path):
    """Pictures and PDF are made again too, whatever their digests say; no third line, all else agrees."""
    folder = crafted_folder.copy(finished / "results/tiny", tmp_path / "tiny")
    changed = ["figures/figure2.png", "report/report.pdf"]
    for name, place in zip(changed, (300, 2000), strict=True):
        content = bytearray((folder / name).read_bytes())
        content[place] ^= 1
        (folder / name).write_bytes(content)
    crafted_folder.renew(folder)
    done = run_python(finished, "spsn.cli", "verify", str(folder))
    assert done.returncode == 1 and "not compared" not in done.stdout, done.stdout
    assert [line.partition(":")[0] for line in done.stdout.splitlines()[:-1]] == changed, done.stdout


def test_what_a_killed_demo_is_held_against_misses_nothing(finished, tmp_path):
    """A changed run, damaged weights and a torn picture are found; everything else is the same."""
    killed = tmp_path / "results/tiny"
    crafted_folder.copy(finished / "results/tiny", killed)
    shutil.copytree(finished / "paper", tmp_path / "paper")
    run, weights, picture = (
        "runs/accuracy/lif/basic/seed0.json",
        "runs/accuracy/spsn-sb/basic/seed0.safetensors",
        "figures/figure4.png",
    )
    record = json.loads((killed / run).read_text())
    record["result"]["train_loss"][0] += 1
    (killed / run).write_text(json.dumps(record))
    content = bytearray((killed / weights).read_bytes())
    content[-1] ^= 1
    (killed / weights).write_bytes(content)
    (killed / picture).write_bytes((killed / picture).read_bytes()[:1000])
    found = killed_demo().compare(finished, tmp_path)
    assert {line.partition(":")[0] for line in found.different} == {run, weights, picture}
    runs = len(all_records(load(killed / "settings.json")))
    assert found.same["runs"] == found.same["weights"] == runs - 1
    assert all(found.same.values()) and len(found.same) == 5


def killed_demo():
    """tools/killed_demo.py as a module."""
    spec = spec_from_file_location("killed_demo", ROOT / "tools/killed_demo.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_its_provenance_says_when_the_jobs_ran(finished):
    jobs = json.loads((finished / "results/tiny/provenance.json").read_text())["time"]["jobs"]
    assert {
        "events_train_2ms",
        "train_accuracy_lif_basic_0-1",
        "time_epoch",
        "robustness",
        "table2_accuracy",
    } <= set(jobs)


def test_a_second_call_has_nothing_to_do(finished):
    assert "Nothing to be done" in snakemake(finished).stdout


def test_whatever_is_deleted_is_made_again(finished):
    makers = {
        "figures/figure3.png": "figure3_models",
        "notebooks/claims.ipynb": "claims",
        "report/macros.tex": "report",
        "runs/accuracy/lif/basic/seed1.safetensors": "train_accuracy_lif_basic_0-1",
        "illustration/neurons.csv": "illustrate",
    }
    places = {finished / "results/tiny" / name: finished / f"kept{i}" for i, name in enumerate(makers)}
    for path, kept in places.items():
        path.rename(kept)
    try:
        found = jobs(snakemake(finished, "-n").stdout)
    finally:
        for path, kept in places.items():
            kept.rename(path)
    assert set(makers.values()) <= set(found) and "train_accuracy_spsn-sb_basic_0-1" not in found


def test_a_call_that_sent_jobs_elsewhere_makes_nothing_again_here(finished):
    sent = finished / "results/tiny/logs/sent.txt"
    calls.remember("--executor slurm --jobs 50 --configfile tiny.yaml", sent)
    try:
        assert "Nothing to be done" in snakemake(finished, "-n").stdout
    finally:
        sent.unlink()


def edited(folder: Path, name: str) -> dict[str, int]:
    """The jobs that an edit of a file would make Snakemake run; the edit is taken back."""
    path = folder / name
    before, times = path.read_bytes(), path.stat()
    try:
        path.write_bytes(before + b"\n")
        return jobs(snakemake(folder, "-n").stdout)
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_editing_a_plot_retrains_nothing(finished):
    for name in (
        "src/spsn/replication/figures/models.py",
        "notebooks/figure3_models.ipynb",
        "paper/report.tex",
    ):
        found = edited(finished, name)
        assert "report" in found, name
        assert not [job for job in found if job.startswith(("train_", "events_", "time_"))], name


def test_editing_a_neuron_trains_again(finished):
    settings = load(finished / "results/tiny/settings.json")
    found = edited(finished, "src/spsn/neurons/spsn.py")
    assert len([job for job in found if job.startswith("train_")]) == len(blocks(settings))


def test_changing_one_experiment_trains_that_one_alone(finished):
    config = yaml.safe_load((finished / "tiny.yaml").read_text())
    config["experiments"]["regularization"]["thresholds"] = [0.4, 0.2]
    (finished / "more.yaml").write_text(yaml.safe_dump(config))
    found = jobs(snakemake(finished, "-n", config="more.yaml").stdout)
    trained = [job for job in found if job.startswith("train_")]
    assert trained == ["train_regularization_spsn-sb_regularized-0.20_0-1"]


def test_a_changed_block_is_trained_again_at_once_and_alone(finished):
    """Changed settings reach the jobs of the very call that brings them, not of the next one."""
    config = yaml.safe_load((finished / "tiny.yaml").read_text())
    config["experiments"]["regularization"]["training"] = {"epochs": 2}
    (finished / "shorter.yaml").write_text(yaml.safe_dump(config))
    settings = finished / "results/tiny/settings.json"
    first = settings.read_bytes()
    text = snakemake(finished, "-n", config="shorter.yaml").stdout
    assert settings.read_bytes() == first
    found = jobs(text)
    trained = [job for job in found if job.startswith("train_")]
    assert trained == ["train_regularization_spsn-sb_regularized-0.40_0-1"], text
    assert {"collect", "figure4_regularization", "report"} <= set(found), text
    assert not [job for job in found if job.startswith(("events_", "time_", "robustness"))], text
    for name, epochs in (("shorter.yaml", 2), ("tiny.yaml", 3)):
        done = snakemake(finished, "train", config=name)
        assert done.returncode == 0 and "was made with another configuration" in done.stdout, done.stdout
        records = (finished / "results/tiny/runs/regularization").rglob("seed*.json")
        assert {json.loads(path.read_text())["settings"]["epochs"] for path in records} == {epochs}
    assert "Nothing to be done" in snakemake(finished, "train").stdout
    assert settings.read_bytes() == first


def test_a_deleted_record_is_emitted_again_with_its_siblings_and_nothing_is_retrained(finished):
    folder = finished / "results/tiny/runs/accuracy/lif/basic"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "seed0.json").unlink()
    done = snakemake(finished, "train")
    assert done.returncode == 0, done.stdout
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before  # execution times too


def test_every_source_that_a_phase_names_exists():
    for names in vars(sources).values():
        if isinstance(names, tuple):
            assert all(Path(path).is_file() for path in sources.files(names))


LOADED = """
import sys
from importlib import import_module
for name in sys.argv[1:]:
    import_module(f"spsn.{name}")
print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("spsn.")), sep="\\n")
"""


@pytest.mark.parametrize("phase", PHASES)
def test_a_phase_names_every_module_that_it_imports(phase):
    named, modules, harmless = PHASES[phase]
    command = [sys.executable, "-c", LOADED, *modules]
    loaded = subprocess.run(command, env=environment(ROOT), stdout=subprocess.PIPE, text=True, check=True)
    found = {str(Path(path).relative_to(sources.PACKAGE)) for path in loaded.stdout.split()}
    assert found - HARMLESS - harmless <= set(named)
    assert all(name.startswith("kernels/") for name in set(named) - found)  # taken as a whole


def test_the_phases_are_all_that_name_sources():
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    used = {getattr(sources, name) for name in re.findall(r"sources\.([A-Z_]+)", rules)}
    assert used == {named for named, _, _ in PHASES.values()} - {REPLICATION + sources.RECORDS} | {
        sources.RECORDS
    }


def test_snakemakes_own_lint_and_format_are_clean():
    lint = run_python(ROOT, "snakemake", "--lint")
    assert lint.returncode == 0, lint.stdout
    check = run_python(ROOT, "snakefmt", "--check", "Snakefile", "workflow")
    assert check.returncode == 0, check.stdout
