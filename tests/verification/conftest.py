"""A folder of results that agrees with itself, and copies of it to damage."""

from pathlib import Path

import crafted_folder
import crafted_results as crafted
import pytest


@pytest.fixture(scope="module")
def settings():
    return crafted.plan("demo")


@pytest.fixture(scope="module")
def whole(settings, tmp_path_factory) -> Path:
    return crafted_folder.write(tmp_path_factory.mktemp("whole") / "demo", settings, typeset=False)


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return crafted_folder.copy(whole, tmp_path / "demo")
