"""A small OCI registry: blobs, manifests and tags as the distribution specification has them, with tokens."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from tests.records.remote.http_thread import http_thread

TOKEN = "let-me-in"
LOGIN = "Basic bWU6c2VjcmV0"  # me:secret
PAGE = 2
"""Tags on a page: few, so that tests go through several."""


class Registry:
    """What it holds. `private`: whether a token is needed to read, too."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.uploads: set[str] = set()
        self.private = False
        self.requests: list[str] = []
        self.lock = threading.Lock()
        self.address = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    held: Registry

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def answer(self, status: int, data: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refused(self, writing: bool) -> bool:
        if self.headers.get("Authorization") == f"Bearer {TOKEN}" or not (writing or self.held.private):
            return False
        realm = f'Bearer realm="http://{self.held.address}/token",service="test",scope="whatever"'
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.answer(401, WWW_Authenticate=realm)
        return True

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        with self.held.lock:
            self.held.requests.append(f"{self.command} {url.path}")
        if url.path == "/token":
            right = self.headers.get("Authorization") == LOGIN
            assert parse_qs(url.query)["scope"][0].startswith("repository:team/logs:pull")
            self.answer(200 if right else 401, json.dumps({"token": TOKEN}).encode() if right else b"{}")
        elif self.refused(writing=False):
            pass
        elif url.path == "/v2/team/logs/tags/list":
            self.tags(parse_qs(url.query))
        elif match := re.fullmatch(r"/v2/team/logs/blobs/(sha256:[0-9a-f]{64})", url.path):
            data = self.held.blobs.get(match[1])
            self.answer(200, data) if data is not None else self.answer(404)
        else:
            self.answer(404)

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def tags(self, query: dict[str, list[str]]) -> None:
        tags = sorted(self.held.manifests)
        if not tags:
            self.answer(404, b'{"errors": [{"code": "NAME_UNKNOWN"}]}')
            return
        after = query.get("last", [""])[0]
        page = [tag for tag in tags if tag > after][:PAGE]
        headers = {}
        if page and page[-1] != tags[-1]:
            headers["Link"] = f'</v2/team/logs/tags/list?n={PAGE}&last={page[-1]}>; rel="next"'
        self.answer(200, json.dumps({"name": "team/logs", "tags": page}).encode(), **headers)

    def do_POST(self) -> None:
        if self.refused(writing=True):
            return
        with self.held.lock:
            name = f"upload-{len(self.held.uploads)}"
            self.held.uploads.add(name)
        self.answer(202, Location=f"/v2/team/logs/blobs/uploads/{name}?state=x")

    def do_PUT(self) -> None:
        if self.refused(writing=True):
            return
        url = urlsplit(self.path)
        data = self.rfile.read(int(self.headers["Content-Length"]))
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if "/blobs/uploads/" in url.path:
            assert parse_qs(url.query)["state"] == ["x"]
            if parse_qs(url.query)["digest"] != [digest]:
                self.answer(400)
                return
            self.held.blobs[digest] = data
        else:
            manifest = json.loads(data)
            named = [manifest["config"], *manifest["layers"]]
            if any(len(self.held.blobs.get(blob["digest"], b"")) != blob["size"] for blob in named):
                self.answer(400)
                return
            self.held.manifests[url.path.rpartition("/")[2]] = data
        self.answer(201, Docker_Content_Digest=digest)


@contextlib.contextmanager
def registry() -> Iterator[Registry]:
    """A registry at a free port of this machine, where `me` may write with `secret`, and docker knows that."""
    import os
    from pathlib import Path

    held = Registry()
    handler = type("Handler", (_Handler,), {"held": held})
    with http_thread(handler) as held.address:
        login = {"auths": {held.address: {"auth": LOGIN.removeprefix("Basic ")}}}
        folder = Path(os.environ["DOCKER_CONFIG"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(login))
        yield held
