"""Where the kernels for GPUs run: on one, or interpreted (`tests/conftest.py`), and then in less time."""

import fused
import pytest
import torch

from spsn import network, signals
from spsn.data import batches

pytest.importorskip("triton", reason="needs Triton")
import triton.language as tl  # noqa: E402 - where there is one
from triton.runtime import interpreter  # noqa: E402

from spsn.kernels.gpu import events, store, tables  # noqa: E402

FEW = 44  # channels: several columns of a picture are empty at the ends of a shift


@pytest.fixture(scope="session")
def device() -> torch.device:
    """A GPU where there is one; else the CPU, on which Triton interprets."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(scope="session", autouse=True)
def interpreted_once():
    """The interpreter puts its own functions in place of the language's when a kernel begins, and again
    whenever a kernel calls a function, which is a third of its time. Here the first is enough.
    """
    if torch.cuda.is_available() or not hasattr(interpreter, "_LangPatchScope"):
        yield
        return
    patch = interpreter._patch_lang

    def once(function):
        languages = [found for found in function.__globals__.values() if found is tl or found is tl.core]
        begun = not any(tl.core.is_builtin(language.load) for language in languages)
        return interpreter._LangPatchScope() if begun else patch(function)

    interpreter._patch_lang = once
    yield
    interpreter._patch_lang = patch


@pytest.fixture
def few_channels(request, monkeypatch) -> int:
    """Pictures of fewer channels than 700, each of which is a program of layer 1's gradient: as many as the
    test's module says, or FEW. `test_events` has them all.
    """
    few = getattr(request.module, "CHANNELS", FEW)
    for module in (fused, batches, network, signals, events, store, tables):
        monkeypatch.setattr(module, "CHANNELS", few)
    return few
