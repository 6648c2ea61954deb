"""Over SSH: what goes wrong on the way there, and a connection that ends in the middle."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from compiler.errors import EdgetuneError, UsageError
from compiler.records.remote.index import Part
from compiler.records.remote.pull import pull
from compiler.records.remote.push import push
from compiler.records.remote.sftp import SftpRemote
from tests.records.remote.users import exported, some, user
from tests.runtime.ssh.server import Server


@pytest.fixture
def folder(ssh_server: Server) -> Iterator[str]:
    ssh_server.configure()
    yield f"{ssh_server.home}/logs"
    shutil.rmtree(f"{ssh_server.home}/logs", ignore_errors=True)


def remote(server: Server, path: str) -> SftpRemote:
    return SftpRemote(f"ssh://board{path}", known_hosts=server.known_hosts, config=server.config)


def test_a_connection_that_is_cut_is_made_again(ssh_server: Server, folder: str, tmp_path: Path) -> None:
    with user(tmp_path, "a", some(12)) as a, user(tmp_path, "b") as b, remote(ssh_server, folder) as place:
        push(a, place)
        ssh_server.signal_connections(signal.SIGKILL)
        assert pull(b, place).imported.added == 12
        read = place.chunks
        cuts = iter(range(5))

        def cut(path: str) -> Iterator[bytes]:
            if next(cuts, None) is not None:
                ssh_server.signal_connections(signal.SIGKILL)
            return read(path)

        a.add_many(some(3, 100))
        push(a, place)
        place.chunks = cut  # type: ignore[method-assign]
        assert pull(b, place).imported.added == 3
        assert exported(a) == exported(b)


def test_what_stands_in_the_way_is_one_line(ssh_server: Server, folder: str, tmp_path: Path) -> None:
    with user(tmp_path, "a", some(1)) as a:
        with remote(ssh_server, folder) as place, pytest.raises(EdgetuneError, match="no such folder"):
            pull(a, place)
        Path(folder).write_text("a file")
        with remote(ssh_server, folder) as place, pytest.raises(EdgetuneError) as caught:
            push(a, place)
        assert "\n" not in str(caught.value)
        Path(folder).unlink()
        (tmp_path / "nobody").write_text("")
        stranger = SftpRemote(f"ssh://board{folder}", known_hosts=tmp_path / "nobody", config=ssh_server.config)
        with stranger, pytest.raises(EdgetuneError, match="host key"):
            pull(a, stranger)
        closed = SftpRemote("ssh://127.0.0.1:9/x", known_hosts=ssh_server.known_hosts, config=ssh_server.config)
        with closed, pytest.raises(EdgetuneError, match="nothing listens"):
            pull(a, closed)
    with pytest.raises(UsageError, match="no password"):
        SftpRemote("ssh://me:secret@board/x")
    with pytest.raises(UsageError, match="names no folder"):
        SftpRemote("ssh://board")


def test_a_part_larger_than_a_message(ssh_server: Server, folder: str) -> None:
    data = bytes(range(256)) * (10 << 10)  # 2.5 MB
    with remote(ssh_server, folder) as place:
        place.put(f"parts/aa/{'a' * 64}", data)
        part = Part(
            sha256="a" * 64, size=len(data), packing="none", unpacked=len(data), workload="0" * 16, ids="", tvm=()
        )
        assert b"".join(place.part_chunks(part)) == data
        assert [path.name for path in Path(folder, "incoming").iterdir()] == []
