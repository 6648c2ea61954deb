"""A board that is reached by SSH: a real server on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.ssh.server import Server, server, why_no_server


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    reason = why_no_server()
    if reason is not None:
        pytest.skip(reason)
    with server(tmp_path_factory.mktemp("ssh") / "server") as made:
        yield made


@pytest.fixture
def board(shared_server: Server) -> Iterator[Server]:
    """The server, with an empty home and the configuration that works."""
    shared_server.configure()
    yield shared_server
    for folder in (shared_server.home, shared_server.bin):
        shutil.rmtree(folder)
        folder.mkdir()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that this test alone uses, and may break."""
    reason = why_no_server()
    if reason is not None:
        pytest.skip(reason)
    with server(tmp_path / "server") as made:
        yield made
