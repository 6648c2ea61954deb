"""An agent of each kind, shared by the tests of sessions on boards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runtime.agent import agents
from tests.runtime.agent.agents import KINDS, Agent, Kind

FULL = [kind for kind in KINDS if kind.full]


@pytest.fixture(scope="session", params=FULL, ids=[kind.name for kind in FULL])
def kind(request: pytest.FixtureRequest) -> Kind:
    made: Kind = request.param
    return made


@pytest.fixture(scope="session")
def board(kind: Kind) -> Iterator[Agent]:
    """A running agent; whoever has a session gives it back."""
    with agents.running(kind) as made:
        yield made
