"""Small spike files, and a web server on this machine that can misbehave."""

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from spsn.data.shd import CHANNELS, SpikeFile


def make_spikes(samples: int = 24, classes: int = 20, seed: int = 0) -> SpikeFile:
    """Random words: sorted times up to a second, 0 to 60 spikes, every class and 12 speakers in turn."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 60, samples)
    return SpikeFile.from_rows(
        times=[np.sort(rng.random(n).astype(np.float16)) for n in counts],
        units=[rng.integers(0, CHANNELS, n, dtype=np.uint16) for n in counts],
        labels=np.arange(samples) % classes,
        speakers=np.arange(samples) % 12,
        class_names=[f"word {k}" for k in range(classes - 1)] + ["fünf"],
        meta={
            "gender": np.array(["female", "male"] * 6),
            "age": np.arange(20, 32, dtype=np.int16),
            "body_height": np.linspace(150, 190, 12, dtype=np.float32),
        },
    )


@pytest.fixture(name="make_spikes", scope="session")
def make_spikes_fixture():
    """`make_spikes(samples, classes, seed)`, for tests that need files of their own."""
    return make_spikes


@pytest.fixture
def spikes() -> SpikeFile:
    return make_spikes()


@dataclass
class Reply:
    """What the server sends: `declared` is the Content-Length it claims, by default the true one.

    With `stall` the line stays open, and silent, after the body.
    """

    body: bytes
    status: int = 200
    declared: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    stall: bool = False


class Server:
    """Serves on this machine what `serve` told it to, else 404; `asked` lists the paths in order."""

    def __init__(self) -> None:
        self.replies: dict[str, list[Reply]] = {}
        self.asked: list[str] = []
        self._closing = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()

    def serve(self, path: str, body: bytes, **how) -> None:
        """Answer `path` with `body` (`how`: fields of Reply); told again, that is the next answer."""
        self.replies.setdefault(path, []).append(Reply(body, **how))

    def reply_to(self, path: str) -> Reply:
        self.asked.append(path)
        replies = self.replies.get(path, [Reply(b"not here", 404)])
        return replies.pop(0) if len(replies) > 1 else replies[0]

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                reply = server.reply_to(self.path)
                self.send_response(reply.status)
                self.send_header(
                    "Content-Length", str(len(reply.body) if reply.declared is None else reply.declared)
                )
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)
                if reply.stall:
                    server._closing.wait(60)
                self.close_connection = True

            def log_message(self, *args) -> None:
                pass

        return Handler


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    yield server
    server.close()
