"""Whole epochs of a stack with CUDA graphs and without, for `gpu_check`."""

import logging
import os
from typing import Any

from spsn.resident import SWITCH
from spsn.timing.stacks import whole_epochs

EPOCHS = 3  # the first one makes what a capture needs, the second one captures, the third one is timed


def graph_epochs(*, graphs: bool, **settings: Any) -> dict[str, Any]:
    """`whole_epochs` with the steps replayed (`spsn.resident`) or led by the host, and what was warned of:
    where a capture failed the figure is one without graphs.
    """
    before, kept = os.environ.get(SWITCH), _Kept()
    os.environ[SWITCH] = "1" if graphs else "0"
    logging.getLogger("spsn").addHandler(kept)
    try:
        return whole_epochs(**settings, epochs=EPOCHS) | {"warnings": kept.said}
    finally:
        logging.getLogger("spsn").removeHandler(kept)
        os.environ.pop(SWITCH)
        if before is not None:
            os.environ[SWITCH] = before


class _Kept(logging.Handler):
    """Keeps warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
