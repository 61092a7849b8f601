"""Where the kernels for GPUs run: on one, or interpreted (`tests/conftest.py`)."""

import pytest
import torch

pytest.importorskip("triton", reason="needs Triton")


@pytest.fixture(scope="session")
def device() -> torch.device:
    """A GPU where there is one; else the CPU, on which Triton interprets."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
