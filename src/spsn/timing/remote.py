"""Calls in one process apart, one after another, whose time is limited and whose end is a result.

A kernel that runs on a device for the first time may hang, fault, or leave the device's context broken for
all that follows. So the calls are made elsewhere: a process that does not answer in time is ended, one that
fails or dies is replaced at the next call, and what it had answered before is kept. As long as all goes well
it is one process, which keeps its libraries, its compiled code and its data.

A call names a function ("module:function") and its settings; the answer is the mapping that it returns, with
`status` beside it:

    measured         the answer is there, unless the function says otherwise itself
    out-of-memory    an allocation failed; the process goes on
    refused          an `SpsnError`: `why` says what cannot be done; the process goes on
    failed           any other exception, or the process's death: `why`
    stopped          the time was over

The process takes one JSON object a line and answers with one a line; whatever else it prints goes to the
standard error.
"""

import json
import os
import selectors
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any, TextIO

from spsn.errors import SpsnError
from spsn.memory import is_out_of_memory, release
from spsn.processes import end_with_parent
from spsn.timing.measure import MEASURED, OUT_OF_MEMORY
from spsn.timing.pipe import answering, named, serve

REFUSED, FAILED, STOPPED = "refused", "failed", "stopped"
GRACE = 5.0  # seconds between asking a process to end and ending it
TOLD = 2000  # characters of a failure that are kept


class Remote:
    """The process, started by the first call; leaving the context ends it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None
        self._read = b""

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *_) -> None:
        self.end()

    def ask(self, function: str, settings: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to one call, waited for so many seconds."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        try:
            line = json.dumps({"function": function, "settings": settings}) + "\n"
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
            answer = self._answer(time.monotonic() + seconds)
        except BrokenPipeError:
            answer = b""
        if answer is None:
            self.end()
            return {"status": STOPPED, "why": f"no answer within {seconds:.0f} s"}
        if not answer:
            code = self._process.wait()
            self.end()
            return {"status": FAILED, "why": f"its process ended with {code}"}
        found = json.loads(answer)
        if found["status"] == FAILED:
            self.end()  # it is about to go
        return found

    def _start(self) -> None:
        self._read = b""
        path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "spsn.timing.remote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=os.environ | {"PYTHONPATH": path},
        )

    def _answer(self, until: float) -> bytes | None:
        """The next line; b"" where the process is gone, None where the time is over."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._read:
                if not selector.select(max(0.0, until - time.monotonic())):
                    return None
                read = os.read(self._process.stdout.fileno(), 1 << 16)
                if not read:
                    return b""
                self._read += read
        line, _, self._read = self._read.partition(b"\n")
        return line

    def end(self) -> None:
        """End the process, if there is one: asked first, and killed where it does not listen."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            stream.close()
        self._process = None


def answers(words: TextIO | Iterator[str]) -> Iterator[dict[str, Any]]:
    """What the process answers to each line; nothing more after a failure."""
    for word in words:
        asked = json.loads(word)
        answer = called(asked["function"], asked["settings"])
        yield answer
        if answer["status"] == FAILED:
            return


def called(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The answer to one call, made by this process."""
    try:
        return {"status": MEASURED} | named(name)(**settings)
    except SpsnError as error:
        return {"status": REFUSED, "why": str(error)}
    except Exception as error:
        if not is_out_of_memory(error):
            traceback.print_exc()
            told = "".join(traceback.format_exception(error))
            return {"status": FAILED, "why": f"{type(error).__name__}: {error}"[:TOLD], "told": told[-TOLD:]}
        error.__traceback__ = None  # its frames hold the tensors
    release()
    return {"status": OUT_OF_MEMORY}


def main() -> None:
    """Answer until the input ends."""
    end_with_parent()
    with answering() as send:
        for answer in answers(sys.stdin):
            send(answer)


if __name__ == "__main__":
    serve(main)
