"""`edgetune devices`, `tracker` and `serve` as commands: what they show, and how they refuse."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import targets
from compiler.commands.serve import parse_size
from compiler.errors import UsageError
from compiler.runtime.rpc.address import Way
from compiler.runtime.rpc.connect import connect
from tests.command import edgetune_here, one_line
from tests.runtime.agent import agents
from tests.runtime.agent.agents import KINDS, Agent
from tests.runtime.tracker import trackers
from tests.runtime.tracker.trackers import Tracker
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def tracker() -> Iterator[Tracker]:
    with trackers.running() as made:
        yield made


@pytest.fixture(scope="module")
def agent(tracker: Tracker) -> Iterator[Agent]:
    with agents.running(KINDS[0], "--key", "orin", "--tracker", str(tracker.address)) as made:
        wait_for(lambda: "registered" in made.log)
        yield made


def test_an_agent_and_a_tracker_are_told_apart(agent: Agent, tracker: Tracker, tmp_path: Path) -> None:
    for address in (agent.address, tracker.address):
        path = tmp_path / f"{address.port}.jsonl"
        shown = edgetune_here("devices", "--rpc", str(address), "--json", path).stdout
        assert f"127.0.0.1:{agent.address.port}" in shown and "free" in shown
        assert targets.fingerprint(targets.get("native")).id in shown
        [line] = [json.loads(text) for text in path.read_text().splitlines()]
        assert (line["key"], line["reachable"], line["schema"]) == ("orin", True, 1)
        assert line["fingerprint"] == targets.fingerprint(targets.get("native")).id
        assert line["status"]["state"] == "free" and line["status"]["identity"]["agent"] == "python"


def test_a_busy_board_says_since_when(agent: Agent, tracker: Tracker) -> None:
    with connect(Way(tracker.address, "orin")):
        assert "busy for " in edgetune_here("devices", "--rpc", str(tracker.address), "--key", "orin").stdout
    wait_for(lambda: agent.status()["state"] == "free")


def test_a_board_that_only_the_tracker_reaches_is_shown_as_such(tracker: Tracker, agent: Agent) -> None:
    from tests.runtime.tracker.test_survival import SUCCESS, UPDATE_INFO, ask, greet

    with greet(tracker) as sock:
        status = {"state": "free", "identity": agent.status()["identity"], "sensors": {"celsius": {"a": 51.6}}}
        info = {"key": "server:far", "addr": ["127.0.0.1", 1], "edgetune": status}
        assert ask(sock, UPDATE_INFO, info) == SUCCESS
        shown = edgetune_here("devices", "--rpc", str(tracker.address)).stdout
        [far] = [line for line in shown.splitlines() if line.startswith("far")]
        assert "not reachable from here" in far and " 52 " in far
        assert any(line.startswith("orin") and "free" in line for line in shown.splitlines())
        info = {"key": "server:stock", "addr": ["127.0.0.1", 1]}
        assert ask(sock, UPDATE_INFO, info) == SUCCESS
        assert "stock" in edgetune_here("devices", "--rpc", str(tracker.address)).stdout, "TVM's own server"
        assert "no board of other: there are boards of" in one_line(
            edgetune_here("devices", "--rpc", str(tracker.address), "--key", "other", check=1).stderr
        ).replace("there is ", "")


def test_what_is_neither_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in range(2):
                sock, _ = server.accept()
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                sock.close()

        thread = threading.Thread(target=answer)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        error = one_line(edgetune_here("devices", "--rpc", address, check=1).stderr)
        thread.join()
    assert "neither an agent" in error
    assert "nothing listens at" in one_line(edgetune_here("devices", "--rpc", "127.0.0.1:1", check=1).stderr)
    assert "no address" in one_line(edgetune_here("devices", "--rpc", "a:b:c", check=2).stderr)
    assert "is no key" in one_line(edgetune_here("devices", "--key", "a b", check=2).stderr)


def test_a_tracker_elsewhere_needs_insecure() -> None:
    assert "--insecure" in one_line(edgetune_here("tracker", "--port", "0", "--listen", "0.0.0.0", check=2).stderr)
    assert "--listen" in one_line(edgetune_here("tracker", "--port", "0", "--insecure", check=2).stderr)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "cannot listen at" in one_line(edgetune_here("tracker", "--port", port, check=1).stderr)


@pytest.mark.parametrize(
    ("text", "size"),
    [("2G", 2 << 30), ("512M", 512 << 20), ("512MiB", 512 << 20), ("1.5g", 3 << 29), (f"{1 << 30}", 1 << 30)],
)
def test_sizes_of_memory(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "2X", "-1G", "1 G B", "100M", "0", "1e9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--memory-limit"):
        parse_size(text)
