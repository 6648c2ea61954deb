"""Transfers that are killed with kill -9 halfway, through a folder, over SSH and to a bucket: the same command goes on
where the first one ended, and both users end with the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compiler.records.remote.pull import pull
from compiler.records.remote.push import push
from tests.records.remote.transfer import opened, transfer
from tests.records.remote.users import exported, some, user
from tests.runtime.ssh.server import Server

ROOT = Path(__file__).parents[3]
PARTS = 12  # of four fingerprints and three kernels
BEFORE = 5  # of them have begun when the transfer is killed

RECORDS = [record for n in range(4) for record in some(3, 3 * n, fingerprint=f"x86-avx2-2-{n:08x}")]


@pytest.fixture(params=["folder", "ssh", "s3"])
def about(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A remote that other processes can open, too."""
    if request.param == "folder":
        yield {"kind": "folder", "path": str(tmp_path / "remote")}
    elif request.param == "s3":
        yield {"kind": "s3", "url": f"s3://{request.getfixturevalue('bucket')}/logs"}
    else:
        board: Server = request.getfixturevalue("ssh_server")
        board.configure()
        folder = f"{board.home}/logs"
        known = {"known_hosts": str(board.known_hosts), "config": str(board.config)}
        yield {"kind": "ssh", "url": f"ssh://board{folder}", **known}
        shutil.rmtree(folder, ignore_errors=True)


def killed(what: str, folder: Path, name: str, about: dict[str, Any]) -> list[str]:
    """Begin a transfer in a process, and kill it in the middle of a part; the parts that it has begun."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.records.remote.transfer",
            what,
            str(folder),
            name,
            json.dumps(about),
            str(BEFORE),
        ],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        begun = [process.stdout.readline() for _ in range(BEFORE)]
        time.sleep(0.01)
        process.kill()
        begun += process.stdout.readlines()
    process.wait()
    assert not any("done" in line for line in begun)
    return [line.strip() for line in begun]


def through(what: str, folder: Path, name: str, about: dict[str, Any]) -> list[str]:
    """The same transfer to its end; the parts that it has begun."""
    begun: list[str] = []
    transfer(what, folder, name, about, begun.append)
    return begun


def test_a_push_that_is_killed_goes_on(about: dict[str, Any], tmp_path: Path) -> None:
    user(tmp_path, "a", RECORDS).close()
    before = killed("push", tmp_path, "a", about)
    assert BEFORE <= len(before) < PARTS
    with opened(about) as remote:
        assert remote.entries() == []  # nobody sees half a push
    after = through("push", tmp_path, "a", about)
    assert len(set(before) | set(after)) == PARTS
    assert set(before[:-1]).isdisjoint(after)  # what was there was not sent again
    with user(tmp_path, "a") as a, user(tmp_path, "b") as b, opened(about) as remote:
        report = pull(b, remote)
        assert (report.refused, report.imported.added) == ([], len(RECORDS))
        assert exported(a) == exported(b)
        assert push(a, remote).sent == 0


def test_a_pull_that_is_killed_goes_on(about: dict[str, Any], tmp_path: Path) -> None:
    with user(tmp_path, "a", RECORDS) as a, opened(about) as remote:
        assert push(a, remote).parts == PARTS
    before = killed("pull", tmp_path, "b", about)
    assert BEFORE <= len(before) < PARTS
    after = through("pull", tmp_path, "b", about)
    assert len(set(before) | set(after)) == PARTS
    assert set(before[:-1]).isdisjoint(after)  # what had come whole did not come again
    with user(tmp_path, "a") as a, user(tmp_path, "b") as b, opened(about) as remote:
        assert exported(a) == exported(b)
        assert pull(b, remote).parts == 0
