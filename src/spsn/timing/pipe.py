"""A process that computes for another one, which asks it a word a line; each answer is a line, a JSON object.

Both sides of the pipe. This module needs Python's own library alone, so that it serves in any environment.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any


def named(name: str) -> Callable:
    """The function that "module:function" names."""
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)


@contextmanager
def answering() -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Yield what sends an answer to the standard output; whatever else is printed goes to standard error."""
    with os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8") as out:
        os.dup2(2, 1)
        yield lambda answer: print(json.dumps(answer), file=out)


def serve(main: Callable[[], None]) -> None:
    """Call a process's `main`, which ends without a word where whoever asked is gone or about to go."""
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(130)


class Process:
    """The process seen from the other side. Every answer is waited for."""

    def __init__(self, command: Sequence[str | Path], **options: Any) -> None:
        """Start it; `options` are those of `subprocess.Popen`. Raises OSError where that cannot be."""
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            **options,
        )

    def ask(self, word: str) -> dict[str, Any] | None:
        """Say a word and wait for the answer; None where the process is gone."""
        with suppress(BrokenPipeError):  # what it said before it went can still be read
            print(word, file=self.process.stdin, flush=True)
        return self.answer()

    def answer(self) -> dict[str, Any] | None:
        """The next answer; None where the process is gone."""
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def end(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.communicate()
