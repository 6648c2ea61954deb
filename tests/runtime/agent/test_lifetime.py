"""How an agent begins and ends: where it listens, and that nothing outlives it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compiler.runtime.rpc.connect import Connection
from tests.runtime.agent import agents
from tests.runtime.agent.agents import Agent, Kind, alive
from tests.waiting import attempts, wait_for

Troubled = Callable[[Connection], Any]

_LISTENS = "0A"


def busy(agent: Agent, troubled: Troubled) -> tuple[threading.Thread, list[int]]:
    """A session that computes for ever and has started processes; the thread that waits for it, and all processes."""
    connection = agent.connect()
    library = troubled(connection)
    library["start"]()

    def call() -> None:
        with pytest.raises(Exception):  # noqa: B017
            library["spin"]()
        connection.close()

    thread = threading.Thread(target=call)
    thread.start()
    time.sleep(0.3)
    return thread, agent.processes()


@pytest.mark.essential
def test_a_signal_ends_it_with_all_that_it_started(kind: Kind, troubled: Troubled) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with agents.running(kind) as agent:
            thread, pids = busy(agent, troubled)
            assert len(pids) >= 3
            agent.process.send_signal(number)
            assert agent.process.wait(timeout=60) == 0
            thread.join(60)
            wait_for(lambda pids=pids: not any(map(alive, pids)))


@pytest.mark.essential
def test_kill_9_leaves_no_process_behind(kind: Kind, troubled: Troubled) -> None:
    with agents.running(kind) as agent:
        thread, pids = busy(agent, troubled)
        agent.process.kill()
        thread.join(60)
        wait_for(lambda: not any(map(alive, pids)))


def test_until_eof_ends_it_with_its_standard_input(kind: Kind, troubled: Troubled) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader) as stdin, agents.running(kind, "--until-eof", stdin=stdin) as agent:
        os.write(writer, b"what is written there means nothing\n")
        thread, pids = busy(agent, troubled)
        assert agent.process.poll() is None
        os.close(writer)
        assert agent.process.wait(timeout=60) == 0
        thread.join(60)
        wait_for(lambda: not any(map(alive, pids)))


def test_a_heartbeat_that_stops_ends_it(kind: Kind) -> None:
    """A network that dies in silence closes nothing."""
    for attempt in attempts(3.0, grow=3.0):
        with attempt as longer, contextlib.ExitStack() as stack:
            reader, writer = os.pipe()
            stack.callback(os.close, writer)
            silence = 0.6 * longer
            stdin = stack.enter_context(os.fdopen(reader))
            agent = stack.enter_context(agents.running(kind, "--until-eof", "--heartbeat", f"{silence:g}", stdin=stdin))
            for _ in range(5):
                os.write(writer, b"\n")
                time.sleep(silence / 3)
            assert agent.process.poll() is None
            assert agent.process.wait(timeout=60) == 0
            assert f"standard input was silent for {silence:g} s" in agent.log


def test_its_folders_go_with_it(kind: Kind) -> None:
    with agents.running(kind) as agent, agent.connect() as connection:
        folder = Path(str(connection.call("tvm.rpc.server.workpath", ".")))
        connection.call("edgetune.append", "file", bytearray(b"data"))
        assert folder.is_dir()
        agent.process.terminate()
        agent.process.wait(timeout=60)
        wait_for(lambda: not folder.exists())


@pytest.mark.essential
def test_it_listens_on_loopback_only(agent: Agent) -> None:
    with agent.connect():
        assert _listening(agent) == {("0100007F", agent.address.port)}


def test_another_address_needs_insecure(kind: Kind) -> None:
    for options in (["--listen", "0.0.0.0"], ["--insecure"]):
        done = subprocess.run([*kind.command(), "--port", "0", *options], capture_output=True, text=True, timeout=240)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1 and "--insecure" in done.stderr and "Traceback" not in done.stderr


def test_with_insecure_it_says_what_that_means(kind: Kind) -> None:
    with agents.running(kind, "--listen", "0.0.0.0", "--insecure") as agent:
        assert "--insecure" in agent.log or "without" in agent.log
        assert _listening(agent) == {("00000000", agent.address.port)}


def test_a_port_that_is_taken_is_one_line(kind: Kind) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [*kind.command(), "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "options", [["--key", "a b"], ["--key", "a:b"], ["--port", "x"], ["--tracker", "x:y:z"], ["--memory-limit", "x"]]
)
def test_wrong_options_are_one_line(kind: Kind, options: list[str]) -> None:
    done = subprocess.run([*kind.command(), "--port", "0", *options], capture_output=True, text=True, timeout=240)
    assert done.returncode == 2 and done.stdout == "" and "Traceback" not in done.stderr
    assert options[0] in done.stderr or repr(options[1]) in done.stderr or options[1] in done.stderr


def _listening(agent: Agent) -> set[tuple[str, int]]:
    """Address (as the kernel writes it) and port of every TCP socket that listens in one of the agent's processes."""
    inodes = set()
    for pid in agent.processes():
        with contextlib.suppress(OSError):  # it has just ended
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    link = str(descriptor.readlink())
                    if link.startswith("socket:["):
                        inodes.add(link[8:-1])
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS and fields[9] in inodes:
                host, _, port = fields[1].partition(":")
                found.add((host, int(port, 16)))
    return found
