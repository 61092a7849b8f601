"""A web server on this machine that serves well, or misbehaves in every way that a bad line can."""

import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST instead of FIN


@dataclass
class Reply:
    """What the server sends to a request.

    `declared`: the Content-Length that it claims (by default the true one; None: none at all). `ranges`:
    whether it heeds Range, and If-Range by ETag or Last-Modified. `cut`: how many bytes of its answer it
    sends before it hangs up, or a function of their number; with `reset` the line breaks instead of closing.
    With `stall` the line stays open, and silent, after that. `trickle`: bytes at a time, with pauses.
    `chunked`: sent in chunks, without a length. `drop`: it hangs up without a word.
    """

    body: bytes = b""
    status: int = 200
    declared: int | str | None = "true"
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = False
    cut: int | Callable[[int], int] | None = None
    reset: bool = False
    stall: bool = False
    trickle: int | None = None
    chunked: bool = False
    drop: bool = False

    def to(self, asked) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body in answer to a request's headers."""
        found = re.fullmatch(r"bytes=(\d+)-", asked.get("Range", ""))
        versions = (None, self.headers.get("ETag"), self.headers.get("Last-Modified"))
        if not (self.ranges and found and asked.get("If-Range") in versions):
            return self.status, self.headers, self.body
        first, size = int(found[1]), len(self.body)
        if first >= size:
            return 416, self.headers | {"Content-Range": f"bytes */{size}"}, b""
        return 206, self.headers | {"Content-Range": f"bytes {first}-{size - 1}/{size}"}, self.body[first:]

    def kept_of(self, body: bytes) -> bytes:
        """What is sent of a body."""
        cut = self.cut(len(body)) if callable(self.cut) else self.cut
        return body[:cut]


class Server:
    """Serves what `serve` told it to, else 404.

    `asked` lists the paths in order, `headers` what came with each request, `sent` counts the bytes of all
    bodies.
    """

    def __init__(self, port: int = 0) -> None:
        self.replies: dict[str, list[Reply]] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.sent = 0
        self.go_on = threading.Event()  # ends every stall
        self._http = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self.port = self._http.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self.go_on.set()
        self._http.shutdown()
        self._http.server_close()

    def serve(self, path: str, body: bytes = b"", **how) -> None:
        """Answer `path` with `body` (`how`: fields of Reply); told again, that is the next answer."""
        self.replies.setdefault(path, []).append(Reply(body, **how))

    def reply_to(self, path: str) -> Reply:
        self.asked.append(path)
        replies = self.replies.get(path, [Reply(b"not here", 404)])
        return replies.pop(0) if len(replies) > 1 else replies[0]

    def ranges(self) -> list[str | None]:
        """The Range of every request."""
        return [headers.get("Range") for headers in self.headers]

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.close_connection = True
                server.headers.append(dict(self.headers))
                reply = server.reply_to(self.path)
                if reply.drop:
                    return
                self.send_head(reply)
                try:
                    for block in self.blocks_of(reply):
                        self.wfile.write(block)
                except OSError:  # the other side has hung up
                    return
                if reply.stall:
                    server.go_on.wait(60)
                if reply.reset:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

            def send_head(self, reply: Reply) -> None:
                if reply.chunked:
                    self.protocol_version = "HTTP/1.1"
                status, headers, self.body = reply.to(self.headers)
                self.send_response(status)
                if reply.chunked:
                    self.send_header("Transfer-Encoding", "chunked")
                elif reply.declared is not None:
                    length = len(self.body) if reply.declared == "true" else reply.declared
                    self.send_header("Content-Length", str(length))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def blocks_of(self, reply: Reply) -> Iterator[bytes]:
                body = reply.kept_of(self.body)
                step = reply.trickle or len(body) or 1
                for first in range(0, len(body), step):
                    block = body[first : first + step]
                    server.sent += len(block)
                    yield b"%x\r\n%b\r\n" % (len(block), block) if reply.chunked else block
                    if reply.trickle:
                        time.sleep(0.001)
                if reply.chunked and len(body) == len(self.body):
                    yield b"0\r\n\r\n"

            def log_message(self, *args) -> None:
                pass

        return Handler
