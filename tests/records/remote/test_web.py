"""Pulling from a web server: whole, broken, busy, and hostile ones."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from compiler.errors import EdgetuneError, UsageError
from compiler.records.remote import web as web_module
from compiler.records.remote.folder import FolderRemote
from compiler.records.remote.pull import pull
from compiler.records.remote.push import push
from compiler.records.remote.web import WebRemote
from tests.records.remote.users import exported, some, user
from tests.records.remote.web_server import Web, serving


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    """A server of a folder that `a` has pushed twelve records to."""
    with user(tmp_path, "a", some(12)) as a:
        push(a, FolderRemote(tmp_path / "remote"))
    with serving(tmp_path / "remote") as running:
        yield running


def test_what_a_folder_holds_is_pulled_from_its_server_once(web: Web, tmp_path: Path) -> None:
    with user(tmp_path, "a", []) as a, user(tmp_path, "b") as b, WebRemote(web.url) as remote:
        assert pull(b, remote).imported.added == 12
        assert exported(a) == exported(b)
        web.asked.clear()
        assert pull(b, remote).parts == 0
        assert web.asked == ["/listing.json"]
        with pytest.raises(UsageError, match="pulled from only"):
            a.add_many(some(1, 100))
            push(a, remote)


def test_connections_that_break_and_busy_servers_are_tried_again(web: Web, tmp_path: Path) -> None:
    web.broken, web.busy = 1, 1
    with user(tmp_path, "b") as b, WebRemote(web.url) as remote:
        assert pull(b, remote).imported.added == 12
    assert web.asked.count("/listing.json") == 3


def test_a_server_that_always_breaks_ends_the_pull_and_what_came_is_kept(web: Web, tmp_path: Path) -> None:
    with user(tmp_path, "b") as b, WebRemote(web.url) as remote:
        remote.entries()
        with user(tmp_path, "a", []) as a:
            assert pull(b, remote, workloads=frozenset([next(a.workloads()).hash])).imported.added == 4
        web.broken = 1000
        with pytest.raises(EdgetuneError, match="broke off"):
            pull(b, remote)
        web.broken = 0
        report = pull(b, remote)
        assert (report.parts, report.imported.added) == (2, 8)


def test_who_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        with WebRemote(url) as remote, pytest.raises(EdgetuneError, match="cannot be reached") as caught:
            remote.entries()
    assert "\n" not in str(caught.value)
    with WebRemote("http://nowhere.invalid/x") as remote, pytest.raises(EdgetuneError, match="nowhere.invalid"):
        remote.entries()


def test_servers_of_something_else(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = tmp_path / "remote" / "listing.json"
    good = listing.read_text()
    with WebRemote(web.url) as remote:
        for text, reason in (
            ("<html>", "not valid JSON"),
            ("[]", "no listing"),
            (json.dumps({**json.loads(good), "schema": 2}), "no listing"),
            (json.dumps({**json.loads(good), "entries": [1]}), "no listing"),
            ("[" * 100_000, "cannot be used"),
        ):
            listing.write_text(text)
            with pytest.raises(EdgetuneError, match=reason):
                remote.entries()
        listing.write_text(json.dumps({**json.loads(good), "entries": ["../../etc/passwd", "index/../x/y.json"]}))
        assert remote.entries() == []
        listing.unlink()
        with pytest.raises(EdgetuneError, match="holds no logs"):
            remote.entries()
        listing.write_text(good)
        monkeypatch.setattr(web_module, "_MAX_LISTING_BYTES", 100)
        with pytest.raises(EdgetuneError, match="larger than 100"):
            remote.entries()
        web.packed = True
        with pytest.raises(EdgetuneError, match="packs its answers"):
            remote.entries()
        web.send_to = web.url
        with pytest.raises(EdgetuneError, match="without end"):
            remote.entries()


def test_a_redirect_out_of_encryption_is_not_followed(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    import requests

    with WebRemote(web.url) as remote:
        answer = requests.Response()
        answer.status_code, answer.url = 200, "http://elsewhere.example/listing.json"
        answer.raw = io.BytesIO()
        monkeypatch.setattr(remote._http._session, "request", lambda *_, **__: answer)
        remote.url = "https://logs.example"
        with pytest.raises(EdgetuneError, match="without encryption"):
            remote.entries()


def test_a_server_that_drips_is_left(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from compiler.records.remote import cache

    monkeypatch.setattr(cache, "_PATIENCE_S", -1000.0)
    with user(tmp_path, "b") as b, WebRemote(web.url) as remote:
        assert "too slowly" in pull(b, remote).refused[0]
