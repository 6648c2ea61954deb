"""Connecting: what ssh would accept, and one line for what it would have asked."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from compiler.errors import EdgetuneError
from compiler.runtime.ssh import connect
from compiler.runtime.ssh.address import parse
from compiler.runtime.ssh.link import Completed, Link
from tests.runtime.ssh.server import ALIAS, Server, make_key
from tests.waiting import attempts, wait_for


def run(board: Server, command: str, address: str = ALIAS, data: bytes = b"") -> Completed:
    """Connect, run, and close."""

    async def work() -> Completed:
        link = await Link.open(parse(address), known_hosts=board.known_hosts, config=board.config)
        try:
            return await link.run(command, data)
        finally:
            await link.close()

    return asyncio.run(work())


def failure(board: Server, address: str = ALIAS, **files: Path) -> str:
    """The one line with which connecting fails."""
    with pytest.raises(EdgetuneError) as raised:
        asyncio.run(Link.open(parse(address), **{"known_hosts": board.known_hosts, "config": board.config, **files}))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_command(board: Server) -> None:
    done = run(board, "cat; echo said >&2; exit 3", data=b"given")
    assert done == Completed(3, "given", "said\n")


def test_without_an_alias(board: Server) -> None:
    board.config.write_text(f"Host *\n IdentityFile {board.key}\n")
    assert run(board, "echo $USER", f"ssh://root@127.0.0.1:{board.port}").status == 0


def test_through_another_host(board: Server) -> None:
    board.configure(
        f"Host inner\n HostName 127.0.0.1\n Port {board.port}\n IdentityFile {board.key}\n ProxyJump {ALIAS}"
    )
    assert run(board, "echo $SSH_CLIENT", "inner").status == 0
    board.configure(f"Host inner\n HostName 127.0.0.1\n Port {board.port}\n IdentityFile {board.key}\n ProxyJump inner")
    assert "in a circle" in failure(board, "inner")


def test_the_host_before_it_is_checked_too(board: Server, tmp_path: Path) -> None:
    board.configure(f"Host inner\n HostName 127.0.0.1\n Port {board.port}\n ProxyJump {ALIAS}")
    assert "is not known" in failure(board, "inner", known_hosts=tmp_path / "none")


def test_an_unknown_host_is_never_trusted(board: Server, tmp_path: Path) -> None:
    said = failure(board, known_hosts=tmp_path / "none")
    assert "is not known" in said
    assert f"`ssh {ALIAS}` once" in said
    assert f"ssh-keyscan -p {board.port} 127.0.0.1" in said


def test_known_hosts_off_in_the_configuration_trusts_nobody(board: Server) -> None:
    board.configure("Host *\n UserKnownHostsFile none\n GlobalKnownHostsFile none\n StrictHostKeyChecking no")
    with pytest.raises(EdgetuneError, match="is not known"):
        asyncio.run(Link.open(parse(ALIAS), config=board.config))


def test_a_changed_host_key(board: Server, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text()
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{board.port} {other}")
    said = failure(board, known_hosts=known)
    assert "is not the one in known_hosts" in said
    assert f"ssh-keygen -R '[127.0.0.1]:{board.port}'" in said


def test_a_key_that_is_not_accepted(board: Server, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    board.config.write_text(board.config.read_text().replace(str(board.key), str(tmp_path / "stranger")))
    said = failure(board)
    assert "accepts no key for" in said
    assert "ssh-copy-id" in said


def test_an_encrypted_key_needs_the_agent(board: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key(tmp_path / "encrypted", "secret")
    board.config.write_text(board.config.read_text().replace(str(board.key), str(key)))
    assert f"`ssh-add {key}` must unlock it" in failure(board)

    kept = board.authorized.read_text()
    ask = tmp_path / "ask"
    ask.write_text("#!/bin/sh\necho secret\n")
    ask.chmod(0o755)
    with subprocess.Popen(["ssh-agent", "-D", "-a", tmp_path / "agent"], stdout=subprocess.DEVNULL) as agent:
        try:
            wait_for((tmp_path / "agent").exists)
            monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
            environment = {**os.environ, "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"}
            subprocess.run(["ssh-add", "-q", key], check=True, env=environment, timeout=60, stdin=subprocess.DEVNULL)
            board.authorized.write_text(kept + key.with_suffix(".pub").read_text())
            assert run(board, "true").status == 0
        finally:
            board.authorized.write_text(kept)
            agent.kill()


def test_a_key_file_that_is_not_there_is_left_out(board: Server) -> None:
    board.configure("Host *\n IdentityFile ~/.ssh/no-such-key-anywhere")
    assert run(board, "true").status == 0


def test_no_such_host(board: Server) -> None:
    assert "there is no host called no-such-board.invalid" in failure(board, "user@no-such-board.invalid")


def test_nothing_listens(board: Server) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        said = failure(board, f"user@127.0.0.1:{sock.getsockname()[1]}")
    assert "nothing listens at port" in said


def test_a_host_that_does_not_answer(board: Server) -> None:
    board.configure("Host *\n ConnectTimeout 1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "did not answer within 1 s" in failure(board, f"user@127.0.0.1:{silent.getsockname()[1]}")


def test_what_listens_is_no_ssh_server(board: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            with other.accept()[0] as client:
                client.recv(1 << 10)
                client.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        assert "no SSH connection" in failure(board, f"user@127.0.0.1:{other.getsockname()[1]}")


def test_a_configuration_that_cannot_be_read(board: Server) -> None:
    board.configure("Port many")
    assert "configuration of ssh" in failure(board)


def test_a_command_that_does_not_end(board: Server) -> None:
    async def work() -> None:
        link = await Link.open(parse(ALIAS), known_hosts=board.known_hosts, config=board.config)
        try:
            with pytest.raises(EdgetuneError, match="did not end within 0.3 s"):
                await link.run("sleep 60", seconds=0.3)
            assert (await link.run("echo on")).stdout == "on\n"
        finally:
            await link.close()

    asyncio.run(work())


def test_a_script_whatever_its_arguments_are(board: Server) -> None:
    async def work() -> Completed:
        link = await Link.open(parse(ALIAS), known_hosts=board.known_hosts, config=board.config)
        try:
            return await link.script('for one; do echo "<$one>"; done', "a b", "it's", '$HOME "`', "ä")
        finally:
            await link.close()

    assert asyncio.run(work()).stdout == "<a b>\n<it's>\n<$HOME \"`>\n<ä>\n"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_board_that_vanishes_is_noticed(
    own_server: Server, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connect.KEEPALIVE_SECONDS * (connect.KEEPALIVES_LOST + 1) < 10
    monkeypatch.setattr(connect, "KEEPALIVE_SECONDS", 0.4)  # the same, sooner

    async def work() -> None:
        link = await Link.open(parse(ALIAS), known_hosts=own_server.known_hosts, config=own_server.config)
        running = asyncio.ensure_future(link.run("echo started; sleep 600"))
        await asyncio.sleep(0.2)
        own_server.signal_connections(how)
        with pytest.raises(EdgetuneError, match=f"the connection to {ALIAS} ended"):
            await running
        await link.close()

    for attempt in attempts(1.0):  # a server that is slow to answer is taken for one that is gone
        with attempt:
            asyncio.run(asyncio.wait_for(work(), 60))
