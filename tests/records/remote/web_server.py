"""A web server for a folder that can break connections and say that it is busy."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

from tests.records.remote.http_thread import http_thread


class Web:
    """broken: how often each path breaks off in the middle. busy: how often each gives 503. asked: paths, in order.

    send_to: where every request is redirected, if anywhere."""

    def __init__(self) -> None:
        self.url = ""
        self.broken = 0
        self.busy = 0
        self.asked: list[str] = []
        self.send_to: str | None = None
        self.packed = False


class _Handler(SimpleHTTPRequestHandler):
    web: Web

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        before = self.web.asked.count(self.path)
        self.web.asked.append(self.path)
        path = Path(self.translate_path(self.path))
        if self.web.send_to is not None:
            self.send_response(302)
            self.send_header("Location", self.web.send_to + self.path)
            self.end_headers()
        elif before < self.web.busy:
            self.send_error(503)
        elif self.web.packed:
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(b"\x1f\x8b\x08")
        elif before < self.web.busy + self.web.broken and path.is_file():
            data = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        else:
            super().do_GET()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Web]:
    """A server of `folder` at a free port of this machine."""
    web = Web()
    handler = type("Handler", (_Handler,), {"web": web})
    with http_thread(functools.partial(handler, directory=str(folder))) as address:
        web.url = f"http://{address}"
        yield web
