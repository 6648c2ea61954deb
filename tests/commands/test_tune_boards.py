"""`edgetune tune` on boards, as a user runs it: what is shown, what is written, and how it refuses."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import cli
import targets
from compiler.commands.hardware import must_tune
from compiler.errors import UsageError
from compiler.records.store import open_store
from tests.command import edgetune, edgetune_here, one_line
from tests.runtime.agent import agents
from tests.runtime.agent.agents import KINDS, Agent
from tests.runtime.ssh.server import ALIAS, server
from tests.tuning import models


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(models.convolutions(tmp_path_factory.mktemp("model")).source)


@pytest.fixture(scope="module")
def agent() -> Iterator[Agent]:
    with agents.running(KINDS[0]) as made:
        yield made


def test_a_run_says_what_the_boards_did(model: Path, agent: Agent, tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    done = edgetune_here(
        *("tune", model, "--rpc", str(agent.address), "--trials", "8", "--threads", "1", "--cool-below", "150"),
        *("--logs", tmp_path / "logs", "--json", results),
    )
    assert f"the board {agent.address} measured 8 trials" in done.stdout and "8 trials (0 failed)" in done.stdout
    assert "boards: 1 " in done.stderr
    [line] = [json.loads(text) for text in results.read_text().splitlines()]
    assert line["trials"] == 8 and line["trials_per_minute"] > 0 and line["lost"] is False
    [board] = line["boards"]
    assert (board["board"], board["trials"], board["lost"], board["drifts"]) == (str(agent.address), 8, 0, [])
    with open_store(tmp_path / "logs") as store:
        assert {r.fingerprint for r in store.records()} == {targets.fingerprint(targets.get("native", 1)).id}


def test_refusals(model: Path, agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(status: int, *options: str) -> str:
        assert cli.main(["tune", str(model), *options]) == status
        return one_line(capsys.readouterr().err)

    nobody = socket.socket()  # bound and not listening: nobody else gets the port
    nobody.bind(("127.0.0.1", 0))
    port = nobody.getsockname()[1]
    foreign = next(t for t in map(targets.get, targets.names()) if t.kind == "llvm" and targets.why_not_run(t))
    address = str(agent.address)
    assert "--cool-below is for boards: give --rpc or --ssh" in refused(2, "--cool-below", "60")
    assert f"nothing listens at 127.0.0.1:{port}" in refused(1, "--rpc", f"127.0.0.1:{port}")
    assert "--key names boards of a tracker" in refused(2, "--key", "orin")
    assert "give one of them" in refused(2, "--rpc", address, "--ssh", "nobody@nowhere")
    line = refused(2, "--rpc", address, "--target", foreign.name)
    assert f"cannot tune for {foreign.name} there: " in line and "the board" in line
    assert "the board may use 1 to" in refused(2, "--rpc", address, "--threads", "1000")
    nobody.close()


def test_where_to_tune_what_this_machine_is_not() -> None:
    foreign = next(t for t in map(targets.get, targets.names()) if targets.why_not_run(t))
    with pytest.raises(UsageError) as error:
        must_tune(foreign)
    assert "--rpc HOST:PORT" in str(error.value) and "--ssh USER@BOARD" in str(error.value)


@pytest.mark.slow
def test_through_ssh(model: Path, tmp_path: Path) -> None:
    with server(tmp_path / "server") as board:
        board.install_edgetune()
        done = edgetune(
            *("tune", model, "--ssh", ALIAS, "--trials", "6", "--threads", "1", "--logs", tmp_path / "logs"),
            HOME=str(board.desk(tmp_path / "desk")),
        )
    assert f"the board {ALIAS} measured 6 trials" in done.stdout
