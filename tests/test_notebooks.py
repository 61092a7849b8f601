"""The notebooks: clean in the repository, drawing from their inputs alone, the same after every execution."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import plausible
import pytest

from spsn import manifest
from spsn.errors import SpsnError
from spsn.replication.notebooks import normalise

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ALWAYS = [manifest.SETTINGS, manifest.DATA]
KNOWN = {notebook.name: notebook for notebook in manifest.BY_RESULT.values()}


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def run_cells(name: str, results: Path) -> dict:
    """Run a notebook's code in this process, with `results` in place of what its parameters cell says."""
    names: dict = {}
    for cell in read(name).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, f"{name}/{cell.id}", "exec"), names)
        if "parameters" in cell.metadata.get("tags", []):
            names["results"] = str(results)
    return names


def written(results: Path, name: str) -> list[Path]:
    return [results / path for path in KNOWN[name].files]


def spsn_notebook(name: str, results: str, folder: Path) -> subprocess.CompletedProcess:
    """Execute a notebook as the workflow does, from `folder`, into results/<...>/notebooks below it."""
    out = folder / results / "notebooks" / f"{Path(name).name}.ipynb"
    out.parent.mkdir(parents=True, exist_ok=True)
    kernel = {"JUPYTER_PREFER_ENV_PATH": "1", "IPYTHONDIR": str(folder / "ipython"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "spsn.cli", "notebook", ROOT / "notebooks" / f"{name}.ipynb"]
    return subprocess.run(
        [*command, "--results", results, "--out", out],
        cwd=folder,
        env={**os.environ, **kernel, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project folder with plausible results in results/demo, as current folder."""
    (tmp_path / "paper").symlink_to(ROOT / "paper")
    plausible.write(tmp_path / "results" / "demo")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_notebook_is_known_here():
    assert [path.stem for path in NOTEBOOKS] == sorted(KNOWN)


@pytest.mark.parametrize("name", KNOWN)
def test_a_notebook_is_stripped_and_can_be_executed(name):
    notebook = read(name)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec["name"] == "python3"
    assert notebook.metadata.kernelspec["language"] == "python"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert [cell.source for cell in code if cell.metadata.get("tags") == ["parameters"]] == [
        'results = "results/paper"'
    ]
    assert all(len(cell.source.splitlines()) <= 12 for cell in code), (
        "cells call the package, they do not compute"
    )
    assert notebook.cells[0].cell_type == "markdown" and "Reads" in notebook.cells[0].source


def test_cell_ids_are_fixed_and_distinct():
    for name in KNOWN:
        ids = [cell.id for cell in read(name).cells]
        assert len(set(ids)) == len(ids)
        assert {"about", "parameters", "read"} <= set(ids)


@pytest.mark.parametrize("name", KNOWN)
def test_a_notebook_writes_its_files_from_what_it_says_it_reads(name, project):
    results = Path("results/demo")
    needed = {results / path for path in [*KNOWN[name].reads, *ALWAYS]}
    for path in [path for path in results.rglob("*") if path.is_file() and path not in needed]:
        path.unlink()
    run_cells(name, results)
    for path in written(results, name):
        assert path.stat().st_size > 100


@pytest.mark.parametrize("name", KNOWN)
def test_a_notebook_fails_on_each_file_that_is_missing(name, project):
    results = Path("results/demo")
    for absent in [*KNOWN[name].reads, *ALWAYS]:
        content = (results / absent).read_bytes()
        (results / absent).unlink()
        with pytest.raises(SpsnError) as caught:
            run_cells(name, results)
        assert f"{results / absent}: is missing" in str(caught.value)
        assert "snakemake" in str(caught.value)
        assert not any(path.exists() for path in written(results, name))
        (results / absent).write_bytes(content)


def execute(name: str, project: Path) -> list[bytes]:
    """Execute, and return the notebook and the files it wrote, which are removed."""
    results = Path("results/demo")
    done = spsn_notebook(name, str(results), project)
    assert done.returncode == 0, done.stderr
    files = [results / "notebooks" / f"{name}.ipynb", *written(results, name)]
    contents = [path.read_bytes() for path in files]
    for path in files:
        path.unlink()
    return contents


def test_two_executions_give_the_same_bytes(project):
    first = execute("figure3_models", project)
    assert first == execute("figure3_models", project)
    assert str(project).encode() not in first[0]


def test_an_executed_notebook_holds_its_parameters_and_outputs(project):
    content, csv, _ = execute("claims", project)
    notebook = nbformat.reads(content.decode(), as_version=4)
    injected = [cell for cell in notebook.cells if "injected-parameters" in cell.metadata.get("tags", [])]
    assert ['results = "results/demo"' in cell.source for cell in injected] == [True]
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not any(output.output_type == "error" for output in shown)
    assert any("not comparable" in output.get("data", {}).get("text/html", "") for output in shown)
    assert b"not comparable" in csv


def test_a_notebook_whose_input_is_missing_fails_and_says_so(project):
    Path("results/demo", manifest.EPOCH).unlink()
    done = spsn_notebook("figure3_models", "results/demo", project)
    assert done.returncode != 0
    assert "results/demo/timing/epoch.csv: is missing" in done.stderr
    assert not Path("results/demo/figures/figure3.pdf").exists()


@pytest.mark.parametrize(("source", "status"), [("print('done')", 0), ("raise ValueError('a fault')", 1)])
def test_the_kernel_says_nothing_of_itself_and_hides_no_error(project, source, status):
    (project / "own").mkdir()
    path = project / "own" / "n.ipynb"
    parameters = nbformat.v4.new_code_cell("results = ''", metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[parameters, nbformat.v4.new_code_cell(source)])
    nbformat.write(notebook, path)
    done = spsn_notebook(path.with_suffix("").as_posix(), "results/own", project)
    assert done.returncode == status and "IPKernelApp" not in done.stderr
    assert ("a cell failed" in done.stderr and "a fault" in done.stderr) == bool(status)


def executed(identity: str, when: str, folder: Path) -> nbformat.NotebookNode:
    """A notebook as papermill leaves it, with all that changes from run to run."""
    code = nbformat.v4.new_code_cell("x", id=identity, metadata={"tags": ["injected-parameters"]})
    code.metadata.update(
        execution={"iopub.status.busy": when}, papermill={"duration": 0.1, "start_time": when}
    )
    text = f"{folder}/results/a.csv at 0x7f00{when[-4:]}aa in /tmp/ipykernel_{when[-4:]}/12.py:3"
    code.outputs = [
        nbformat.v4.new_output("stream", text=text),
        nbformat.v4.new_output("display_data", data={"text/plain": text, "image/png": "iVBORw0KGgo="}),
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title", id="about"), code])
    notebook.metadata.kernelspec = {"name": "python3", "language": "python", "display_name": "Python 3"}
    notebook.metadata.language_info = {"name": "python", "version": "3.11.7"}
    notebook.metadata.papermill = {"start_time": when, "output_path": f"{folder}/n.ipynb"}
    return notebook


def test_normalise_keeps_contents_and_drops_what_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = []
    for identity, when in (
        ("aaaa1111", "2026-01-01T00:00:00.1111"),
        ("bbbb2222", "2027-02-02T00:00:00.2222"),
    ):
        nbformat.write(executed(identity, when, tmp_path), "n.ipynb")
        normalise("n.ipynb")
        kept.append(Path("n.ipynb").read_text())
    assert kept[0] == kept[1]
    notebook = nbformat.reads(kept[0], as_version=4)
    stream, display = notebook.cells[1].outputs
    assert stream.text == "results/a.csv at 0x0 in <cell>:3"
    assert display.data["image/png"].strip() == "iVBORw0KGgo="
    assert notebook.cells[1].metadata == {"tags": ["injected-parameters"]}
    assert (notebook.cells[0].source, notebook.cells[0].id) == ("# Title", "about")
    assert [path.name for path in tmp_path.iterdir()] == ["n.ipynb"]


def test_normalise_twice_changes_nothing_more(tmp_path):
    path = tmp_path / "n.ipynb"
    nbformat.write(executed("aaaa1111", "2026-01-01T00:00:00.1111", tmp_path), path)
    normalise(path)
    once = path.read_bytes()
    normalise(path)
    assert path.read_bytes() == once


@pytest.mark.parametrize(
    "content", [None, "", "{}", "no json", '{"cells": 3, "nbformat": 4, "nbformat_minor": 5}']
)
def test_what_is_no_notebook_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "n.ipynb"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SpsnError, match="n.ipynb: cannot be read as a notebook"):
        normalise(path)
    assert content is None or path.read_text() == content
