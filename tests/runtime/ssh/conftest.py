"""A board that is reached by SSH: a real server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.ssh.server import Server, server
from tests.waiting import wait_for


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("ssh") / "server") as made:
        yield made


@pytest.fixture
def board(shared_server: Server) -> Iterator[Server]:
    """The server, with an empty home and the configuration that works."""
    shared_server.configure()
    yield shared_server
    wait_for(lambda: not shared_server.sessions())  # what still ends may write, and would be seen by the next test
    shared_server.clear()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that this test alone uses, and may break."""
    with server(tmp_path / "server") as made:
        yield made
