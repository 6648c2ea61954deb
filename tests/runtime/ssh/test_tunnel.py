"""An agent through a tunnel: put there, started, reached, and ended whatever happens."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

import cli
from compiler.errors import EdgetuneError, UsageError
from compiler.runtime.rpc import wire
from compiler.runtime.rpc.address import Address
from compiler.runtime.rpc.dial import ask_status
from compiler.runtime.ssh.tunnel import AgentTunnel, open_agent
from compiler.version import tool_version
from targets.toolchain import linker_command
from tests.runtime.ssh.agents import SmallAgents, program
from tests.runtime.ssh.server import ALIAS, Server
from tests.waiting import PATIENT_SECONDS, attempts, wait_for

ROOT = Path(cli.__file__).parent


@pytest.fixture
def agents(tmp_path: Path) -> SmallAgents:
    return SmallAgents(tmp_path / "bundle")


def tunnel(board: Server, agents: SmallAgents, said: list[str] | None = None, **more: float) -> AgentTunnel:
    progress = None if said is None else said.append
    return open_agent(
        ALIAS, known_hosts=board.known_hosts, config=board.config, source=agents, progress=progress, **more
    )


def running(board: Server) -> list[psutil.Process]:
    """The agents that run on the board."""
    return [process for process in psutil.process_iter() if is_agent(process, board)]


def is_agent(process: psutil.Process, board: Server) -> bool:
    with contextlib.suppress(psutil.Error):
        command = process.cmdline()
        return "--until-eof" in command and any(str(board.folder) in word for word in command)
    return False


def is_sshd(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.name().startswith("sshd")
    return True  # it has ended


def installed(board: Server) -> list[str]:
    """What lies in the folder where agents are kept."""
    folder = board.home / ".cache" / "edgetune"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_the_agent_is_put_there_once_and_reached(board: Server, agents: SmallAgents) -> None:
    said: list[str] = []
    opened = tunnel(board, agents, said)
    with opened as address:
        assert opened.kind == "native"
        assert address.host == "127.0.0.1"
        assert ask_status(address)["pid"] == running(board)[0].pid
        with socket.create_connection(address, timeout=PATIENT_SECONDS) as sock:
            sock.sendall(wire.pack_int(wire.MAGIC) + wire.pack_text(wire.SESSION))
            data = bytes(range(256)) * 8192
            threading.Thread(target=sock.sendall, args=(data,), daemon=True).start()
            assert wire.receive(sock, len(data)) == data
        assert opened.lost is None
    wait_for(lambda: not running(board))
    assert installed(board) == [f"agent-{agents.identity('')}"]
    assert any(line.startswith("Building for ") for line in said)
    assert any(re.fullmatch(rf"Copying the agent to {ALIAS} \(100\d(\.\d)? KiB\).*", line) for line in said)

    with tunnel(board, agents, said := []) as address:
        assert ask_status(address)["state"] == "free"
    assert agents.built == 1
    assert said == []


def test_an_agent_that_was_damaged_is_put_there_anew(board: Server, agents: SmallAgents) -> None:
    with tunnel(board, agents):
        pass
    library = board.home / ".cache" / "edgetune" / installed(board)[0] / "libsmall.so"
    library.write_bytes(library.read_bytes()[:-1])
    with tunnel(board, agents) as address:
        assert ask_status(address)["state"] == "free"
    assert library.stat().st_size == 1024000
    assert len(installed(board)) == 1


def test_two_desks_at_once(board: Server, tmp_path: Path) -> None:
    opened: list[AgentTunnel] = []
    desks = [
        threading.Thread(target=lambda i=i: opened.append(tunnel(board, SmallAgents(tmp_path / f"bundle{i}"))))
        for i in range(3)
    ]
    for desk in desks:
        desk.start()
    for desk in desks:
        desk.join(60)
    assert len(opened) == 3
    try:
        assert len({ask_status(one.address)["pid"] for one in opened}) == 3
        wait_for(lambda: len(installed(board)) == 1)
    finally:
        for one in opened:
            one.close()
    wait_for(lambda: not running(board))


def put_edgetune(board: Server, *, version: str | None = None, tvm: str | None = None) -> None:
    """An `edgetune` on the board's PATH."""
    path = board.bin / "edgetune"
    (board.bin / "agent.py").write_text(program(tvm=tvm))
    answer = f"edgetune, version {version or tool_version()}"
    path.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "{answer}" && exit\nexec {sys.executable} {board.bin}/agent.py "$@"\n'
    )
    path.chmod(0o755)


def test_edgetune_that_is_installed_on_the_board_is_taken(board: Server, agents: SmallAgents) -> None:
    put_edgetune(board)
    opened = tunnel(board, agents)
    with opened as address:
        assert opened.kind == "python"
        assert ask_status(address)["state"] == "free"
    assert (agents.built, installed(board)) == (0, [])


@pytest.mark.parametrize(
    ("wrong", "why"), [({"version": "0.0.1"}, "version 0.0.1"), ({"tvm": "0.1"}, "has TVM 0.1")], ids=["version", "tvm"]
)
def test_edgetune_on_the_board_that_does_not_fit(
    board: Server, agents: SmallAgents, wrong: dict[str, str], why: str
) -> None:
    put_edgetune(board, **wrong)
    opened = tunnel(board, agents, said := [])
    with opened:
        assert opened.kind == "native"
        wait_for(lambda: len(running(board)) == 1)
    assert any(why in line for line in said)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (program(trouble="sys.exit('GLIBC_2.99 not found')"), "does not start on board: GLIBC_2.99 not found"),
        (program(tvm="0.1"), "has TVM 0.1"),
        ("#!/bin/sh\necho hello\n", "does not start on board: hello"),
    ],
    ids=["fails", "other TVM", "no agent"],
)
def test_an_agent_that_cannot_be_used(board: Server, tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(EdgetuneError, match=why):
        tunnel(board, SmallAgents(tmp_path / "bundle", text))
    wait_for(lambda: not running(board))


def test_a_machine_that_there_is_no_agent_for(board: Server) -> None:
    (board.bin / "uname").write_text("#!/bin/sh\necho riscv64\n")
    (board.bin / "uname").chmod(0o755)
    with pytest.raises(EdgetuneError, match="no agent without Python for riscv64"):
        open_agent(ALIAS, known_hosts=board.known_hosts, config=board.config)


def test_a_home_that_takes_no_files(board: Server, agents: SmallAgents) -> None:
    (board.home / ".cache").write_text("a file")
    with pytest.raises(
        EdgetuneError, match="cannot make a folder in .*/.cache/edgetune on board: .*(Not a directory|File exists)"
    ):
        tunnel(board, agents)


def test_a_server_that_forwards_no_ports(tmp_path: Path, own_server: Server, agents: SmallAgents) -> None:
    own_server.stop()
    own_server.start(extra="AllowTcpForwarding no")
    with pytest.raises(EdgetuneError, match="forwards no ports: AllowTcpForwarding"):
        tunnel(own_server, agents)
    wait_for(lambda: not running(own_server))


def test_a_folder_is_no_board(board: Server) -> None:
    with pytest.raises(UsageError, match="without a folder"):
        open_agent("ssh://board/opt")


def test_no_connection(board: Server, agents: SmallAgents) -> None:
    with pytest.raises(EdgetuneError, match="there is no host called"):
        open_agent("no-such-board.invalid", known_hosts=board.known_hosts, config=board.config, source=agents)


_DESK = """
import sys
from pathlib import Path
from compiler.runtime.ssh.tunnel import open_agent
from tests.runtime.ssh.agents import SmallAgents
known_hosts, config, bundle = map(Path, sys.argv[1:])
with open_agent("board", known_hosts=known_hosts, config=config, source=SmallAgents(bundle)):
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_desk_that_ends_leaves_no_agent(board: Server, tmp_path: Path, how: signal.Signals) -> None:
    arguments = [board.known_hosts, board.config, tmp_path / "bundle"]
    with subprocess.Popen(
        [sys.executable, "-c", _DESK, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as desk:
        assert desk.stdout is not None
        assert desk.stdout.readline() == b"open\n"
        wait_for(lambda: len(running(board)) == 1)
        tunnels = psutil.Process(desk.pid).children()
        desk.send_signal(how)
        wait_for(lambda: not running(board))
        wait_for(lambda: not any(process.is_running() and process.status() != "zombie" for process in tunnels))
        desk.kill()


_DESK_AT_WORK = """
import socket, sys
from pathlib import Path
from compiler.runtime.rpc import wire
from compiler.runtime.ssh.tunnel import open_agent
known_hosts, config = map(Path, sys.argv[1:])
with open_agent("board", known_hosts=known_hosts, config=config) as address, socket.create_connection(address) as sock:
    sock.sendall(wire.pack_int(wire.MAGIC) + wire.pack_text(wire.SESSION))
    assert wire.receive_int(sock) == wire.MAGIC
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("kind", ["python", "native"])
def test_the_real_agents_end_with_the_desk_in_the_middle_of_a_session(board: Server, kind: str) -> None:
    if kind == "python":
        board.install_edgetune()
    elif linker_command() is None:
        pytest.skip("no C++ compiler to build the native agent with")
    with subprocess.Popen(
        [sys.executable, "-c", _DESK_AT_WORK, board.known_hosts, board.config],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as desk:
        assert desk.stdout is not None
        assert desk.stdout.readline() == b"open\n"
        started = [process for process in board.sessions() if not is_sshd(process)]
        assert len(started) >= 2  # the agent and its session
        desk.kill()
        wait_for(lambda: not any(process.is_running() for process in started))


@pytest.mark.parametrize("what", ["connection", "agent"])
def test_what_is_lost_is_noticed(own_server: Server, agents: SmallAgents, what: str) -> None:
    opened = tunnel(own_server, agents)
    with opened as address, socket.create_connection(address, timeout=PATIENT_SECONDS) as sock:
        sock.sendall(wire.pack_int(wire.MAGIC) + wire.pack_text(wire.SESSION) + b"hello")
        assert wire.receive(sock, 5) == b"hello"
        if what == "agent":
            running(own_server)[0].kill()
        else:
            own_server.signal_connections(signal.SIGKILL)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
        wait_for(lambda: opened.lost is not None)
        expected = "the agent on board ended" if what == "agent" else "the connection to board was lost"
        assert expected in str(opened.lost)
        with pytest.raises(EdgetuneError):
            ask_status(Address(*address), 2.0)


def test_an_agent_whose_desk_falls_silent_ends(board: Server, agents: SmallAgents) -> None:
    """As where the network dies: nothing is closed, and SSH notices after hours."""
    for attempt in attempts(4.0, grow=4.0):
        with attempt as longer:
            opened = tunnel(board, agents, silent_seconds=longer)
            with opened as address:
                time.sleep(1.5 * longer)
                assert ask_status(address)["state"] == "free", "the desk tells it that it is there"
                opened._process.send_signal(signal.SIGSTOP)
                wait_for(lambda: not running(board))
                opened._process.send_signal(signal.SIGCONT)
                wait_for(lambda: opened.lost is not None)  # noqa: B023 - waited for within the turn


def test_the_agent_listens_on_the_boards_loopback_only(board: Server, agents: SmallAgents) -> None:
    with tunnel(board, agents):
        connections = [c for c in running(board)[0].net_connections() if c.status == psutil.CONN_LISTEN]
        assert [c.laddr.ip for c in connections] == ["127.0.0.1"]


def test_a_shell_that_talks_when_it_starts(tmp_path: Path, own_server: Server, agents: SmallAgents) -> None:
    shell = tmp_path / "talking.sh"
    shell.write_text(
        '#!/bin/sh\necho "Welcome to the board!"\necho\necho and more\nexec sh -c "$SSH_ORIGINAL_COMMAND"\n'
    )
    shell.chmod(0o755)
    own_server.stop()
    own_server.start(extra=f"ForceCommand {shell}")
    with tunnel(own_server, agents) as address:
        assert ask_status(address)["state"] == "free"
    assert len(installed(own_server)) == 1


def test_ctrl_c_while_an_agent_starts(board: Server, tmp_path: Path) -> None:
    bundle = SmallAgents(tmp_path / "bundle", program(trouble="import time; time.sleep(600)"))

    def press() -> None:
        wait_for(lambda: running(board))
        os.kill(os.getpid(), signal.SIGINT)

    finger = threading.Thread(target=press)
    finger.start()
    with pytest.raises(KeyboardInterrupt):
        tunnel(board, bundle)
    finger.join()
    wait_for(lambda: not running(board))
