"""The Python agent's template: when it dies or hangs, another takes its place."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.agent import agents
from tests.runtime.agent.agents import KINDS, Agent, alive
from tests.runtime.agent.test_sessions import serves
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def python_agent() -> Iterator[Agent]:
    with agents.running(KINDS[0]) as made:
        yield made


def template_of(agent: Agent) -> int:
    [pid] = [
        pid
        for pid in agents.descendants(agent.process.pid)
        if Path(f"/proc/{pid}/comm").read_text().strip() == "edgetune-templ"
    ]
    return pid


def test_sessions_start_in_milliseconds_from_one_thread(python_agent: Agent) -> None:
    template = template_of(python_agent)
    assert len(list(Path(f"/proc/{template}/task").iterdir())) == 1, "a process with threads must not fork"
    assert "libtvm_compiler" not in Path(f"/proc/{template}/maps").read_text()
    agent_maps = Path(f"/proc/{python_agent.process.pid}/maps").read_text()
    assert "tvm" not in agent_maps and "numpy" not in agent_maps


def test_one_that_dies_is_replaced(python_agent: Agent) -> None:
    before = template_of(python_agent)
    os.kill(before, signal.SIGKILL)
    serves(python_agent)
    assert template_of(python_agent) != before


def test_its_session_ends_with_it(python_agent: Agent) -> None:
    failed = python_agent.status()["failed_sessions"]
    with python_agent.connect() as connection:
        folder = Path(str(connection.call("tvm.rpc.server.workpath", ".")))
        pids = agents.descendants(python_agent.process.pid)
        os.kill(template_of(python_agent), signal.SIGKILL)
        wait_for(lambda: connection.lost)
        wait_for(lambda: not any(map(alive, pids)))
        assert not folder.exists()
    serves(python_agent)
    assert python_agent.status()["failed_sessions"] == failed + 1


def test_one_that_hangs_is_killed_and_replaced(python_agent: Agent) -> None:
    with python_agent.connect(limit=1.0) as connection:
        os.kill(template_of(python_agent), signal.SIGSTOP)
        began = time.monotonic()
        wait_for(lambda: connection.lost, 8)
        assert time.monotonic() - began > 0.5
    serves(python_agent)


def test_a_session_killed_by_somebody_is_a_failure(python_agent: Agent) -> None:
    with python_agent.connect() as connection:
        connection.call("edgetune.clock")
        template = template_of(python_agent)
        [session] = agents.descendants(template)
        os.kill(session, signal.SIGKILL)
        wait_for(lambda: connection.lost)
    serves(python_agent)
    assert python_agent.status()["last_failure"] == "SIGKILL"


def test_without_tvm_it_says_so(tmp_path: Path) -> None:
    """A board where the package is there and does not load: one line, exit 1, no agent."""
    import subprocess

    broken = tmp_path / "tvm"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise OSError('libtvm_runtime.so: cannot open shared object file')\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [*KINDS[0].command(), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
    assert done.returncode == 1 and done.stdout == "" and "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: TVM's runtime does not load: OSError: libtvm_runtime.so"), last
