"""Notebooks, executed by papermill, that depend on their inputs alone.

papermill writes into each notebook it executes when and how long it ran, where the notebook lay and with
which version; the kernel adds the time of every message and a new id for the cell that holds the parameters.
None of it says anything about the result, and all of it changes from run to run: `normalise` takes it out.
"""

import os
import re
import warnings
from pathlib import Path

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from spsn.errors import SpsnError
from spsn.files import clear_unfinished, require_file, whole_file, write_text

# A kernel's temporary sources, as they stand in warnings; addresses in the texts of nameless objects.
_VOLATILE = (
    (re.compile(r"(?<!\S)\S*ipykernel_\d+[/\\]\d+\.py"), "<cell>"),
    (re.compile(r"\b0x[0-9a-fA-F]{6,}\b"), "0x0"),
)

# The kernel's log tells of its sockets and its last interrupt; a notebook's errors do not come by it.
QUIET = ["--log-level=CRITICAL"]

# What nbformat raises depends on where a notebook is none.
UNREADABLE = (
    *(OSError, ValueError, AttributeError, TypeError, LookupError, NameError, AssertionError, RecursionError),
    nbformat.ValidationError,
)


def execute(notebook: str | Path, out: str | Path, results: str) -> None:
    """Execute `notebook` on the folder `results` into `out`, which appears whole and normalised.

    Raises `SpsnError` where `notebook` is absent or none, and for a cell that fails; `out` then shows the
    notebook up to that cell, with its error.
    """
    _check(notebook)
    kernel = {"kernel_name": "python3", "language": "python", "cwd": ".", "extra_arguments": QUIET}
    clear_unfinished(out)
    with whole_file(out) as executed:
        failed = None
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="The specified file")  # not yet its name
                papermill.execute_notebook(
                    str(notebook), str(executed), {"results": results}, progress_bar=False, **kernel
                )
            normalise(executed)
        except PapermillExecutionError as error:
            failed = error
    if failed is not None:
        raise SpsnError(
            f"{notebook}: a cell failed, {out} shows which. {failed.ename}: {failed.evalue}"
        ) from failed


def _check(notebook: str | Path) -> None:
    require_file(notebook, "Name a notebook that is there, such as notebooks/claims.ipynb.")
    try:
        nbformat.validate(nbformat.read(str(notebook), as_version=4))
    except UNREADABLE as error:
        said = str(error).partition("\n")[0][:200]
        raise SpsnError(
            f"{notebook}: cannot be read as a notebook ({said}). Name a notebook (.ipynb), or mend it."
        ) from error


def normalise(path: str | Path) -> None:
    """Rewrite the executed notebook `path` in place without what differs between two executions.

    Sources, results and pictures stay as they are; paths below the current folder become relative. Raises
    `SpsnError` where `path` is absent or no notebook.
    """
    try:
        notebook = nbformat.read(str(path), as_version=4)
        nbformat.validate(notebook)  # reading only logs what is wrong
        _settle(notebook)
        nbformat.validate(notebook)
    except UNREADABLE as error:
        raise SpsnError(f"{path}: cannot be read as a notebook ({error}); execute it again") from error
    write_text(path, nbformat.writes(notebook) + "\n")


def _settle(notebook: nbformat.NotebookNode) -> None:
    kernel = notebook.metadata.get("kernelspec", {})
    notebook.metadata = {"language_info": {"name": kernel.get("language", "python")}}
    if kernel:
        notebook.metadata["kernelspec"] = kernel
    for number, cell in enumerate(notebook.cells):
        _normalise_cell(cell, number)


def _normalise_cell(cell: nbformat.NotebookNode, number: int) -> None:
    """Keep a cell's tags alone of its metadata; make its id and its outputs' texts the same every time."""
    tags = list(cell.metadata.get("tags", []))
    cell.metadata = {"tags": tags} if tags else {}
    if "injected-parameters" in tags:
        cell.id = f"injected-parameters-{number}"
    for output in cell.get("outputs", []):
        output.pop("transient", None)
        if "metadata" in output:
            output.metadata = {}
        if "text" in output:
            output.text = _settled(output.text)
        for kind, content in output.get("data", {}).items():
            if kind.startswith("text/"):
                output.data[kind] = _settled(content)


def _settled(text: str) -> str:
    """`text` without addresses, process numbers and the folder in which it was made."""
    for pattern, replacement in _VOLATILE:
        text = pattern.sub(replacement, text)
    return text.replace(os.getcwd() + os.sep, "")
