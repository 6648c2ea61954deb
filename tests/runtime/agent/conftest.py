"""An agent of each kind that many tests share: surviving the others is part of what is tested."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from compiler.runtime.rpc.connect import Connection
from tests.runtime.agent import agents, trouble
from tests.runtime.agent.agents import KINDS, Agent, Kind

Troubled = Callable[[Connection], object]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that takes a `kind` runs for each; an emulated one only where the test is marked essential."""
    if "kind" in metafunc.fixturenames:
        essential = metafunc.definition.get_closest_marker("essential") is not None
        kinds = [kind for kind in KINDS if kind.full or essential]
        metafunc.parametrize("kind", kinds, ids=[kind.name for kind in kinds], scope="session")


@pytest.fixture(scope="session")
def agent(kind: Kind) -> Iterator[Agent]:
    """A running agent without options; whoever has a session gives it back."""
    with agents.running(kind) as made:
        yield made
        assert agents.alive(made.process.pid), "the agent has not survived the tests"


@pytest.fixture(scope="session")
def trouble_library(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trouble.library(tmp_path_factory.mktemp("trouble"), kind.triple)


@pytest.fixture(scope="session")
def troubled(trouble_library: Path) -> Troubled:
    """Uploads and loads the library of bad functions into a session."""

    def load(connection: Connection) -> object:
        connection.remote.upload(str(trouble_library))
        return connection.remote.load_module(trouble_library.name)

    return load
