"""A call in a process of its own that is ready at once: forked from a server that has only imported.

As `remote.Remote`, with the same answers; but every call begins afresh, without the seconds that importing
takes. The server (`multiprocessing`'s fork server) computes nothing, so a fork of it holds no thread, no
device and no memory of an earlier call.
"""

import multiprocessing
from multiprocessing.connection import Connection
from typing import Any

from spsn.processes import end_with_parent
from spsn.timing.remote import FAILED, STOPPED, called


def ask(function: str, settings: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The answer to one call of "module:function", waited for so many seconds; see `remote`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([function.partition(":")[0]])
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(there, function, settings), daemon=True)
    process.start()
    there.close()
    try:
        if not here.poll(seconds):
            return {"status": STOPPED, "why": f"no answer within {seconds:.0f} s"}
        return here.recv()
    except EOFError:
        process.join()
        return {"status": FAILED, "why": f"its process ended with {process.exitcode}"}
    finally:
        process.kill()  # it has answered, or will not
        process.join()
        process.close()
        here.close()


def _answer(there: Connection, function: str, settings: dict[str, Any]) -> None:
    end_with_parent()
    there.send(called(function, settings))
