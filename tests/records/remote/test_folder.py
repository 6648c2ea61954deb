"""A folder as a remote: links, pipes, leftovers, damage, and several users at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from compiler.errors import EdgetuneError
from compiler.records.remote.cache import caches
from compiler.records.remote.folder import FolderRemote
from compiler.records.remote.names import part_path
from compiler.records.remote.pull import pull
from compiler.records.remote.push import push
from compiler.records.remote.reading import read_index
from compiler.records.trust.verdicts import Verdict, keep
from tests.records.remote.users import FINGERPRINT, exported, some, user

ROOT = Path(__file__).parents[3]

# Adds records and pushes, over and over; says how many records of its own are on the remote after each push.
PUSHER = """
import sys
from compiler.records.remote import compact
from compiler.records.remote.folder import FolderRemote
from compiler.records.remote.push import push
from tests.records.remote.users import some, user
from pathlib import Path
folder, number = Path(sys.argv[1]), int(sys.argv[2])
compact.COMPACT_ABOVE = 6
with user(folder, f"pusher {number}", []) as store:
    for done in range(1, 1000):
        store.add_many(some(1, number * 10_000 + done))
        push(store, FolderRemote(folder / "remote"))
        print(done, flush=True)
"""

PULLER = """
import sys, time
from pathlib import Path
from compiler.records.remote.folder import FolderRemote
from compiler.records.remote.pull import pull
from tests.records.remote.users import user

class Slow(FolderRemote):
    workers = 1
    def part_chunks(self, part):
        print(part.sha256, flush=True)
        time.sleep(0.05)
        return super().part_chunks(part)

folder = Path(sys.argv[1])
with user(folder, "puller") as store:
    report = pull(store, Slow(folder / "remote"))
    assert report.refused == []
    print("got", report.parts, flush=True)
"""


def start(code: str, *arguments: object, out: Path) -> subprocess.Popen[bytes]:
    with out.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdout=file,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )


def lines(path: Path) -> list[str]:
    """The whole lines: a kill may tear the last one."""
    return path.read_text().split("\n")[:-1] if path.exists() else []


def test_pushes_at_the_same_time_some_of_them_killed_lose_nothing_acknowledged(tmp_path: Path) -> None:
    outs = [tmp_path / f"{number}.txt" for number in range(8)]
    pushers = [start(PUSHER, tmp_path, number, out=out) for number, out in enumerate(outs)]
    try:
        deadline = time.monotonic() + 200
        while not all(lines(out) for out in outs) and time.monotonic() < deadline:
            time.sleep(0.05)
        for number in range(4):  # in the middle of whatever they are doing
            time.sleep(0.31)
            pushers[number].send_signal(signal.SIGKILL)
        time.sleep(1)
    finally:
        for pusher in pushers:
            pusher.kill()
            pusher.wait()
    acknowledged = {number: int(lines(out)[-1]) for number, out in enumerate(outs)}
    assert min(acknowledged.values()) >= 1
    remote = FolderRemote(tmp_path / "remote")
    with user(tmp_path, "reader") as store:
        report = pull(store, remote)
        assert report.refused == []
        found = {record.seed for record in store.records()}
        for number, count in acknowledged.items():
            assert {number * 10_000 + done for done in range(1, count + 1)} <= found
        # Readers who cannot list see the same, once somebody has pushed after the last kill.
        store.add_many(some(1, 999_999))
        push(store, remote)
        listed = (tmp_path / "remote" / "listing.json").read_text()
        assert all(name.path in listed for name in remote.entries())


def test_a_pull_that_is_killed_goes_on_where_it_ended(tmp_path: Path) -> None:
    with user(tmp_path, "a", []) as a:
        for number in range(10):
            a.add_many(some(3, 100 * number))
            push(a, FolderRemote(tmp_path / "remote"))
    out = tmp_path / "first.txt"
    puller = start(PULLER, tmp_path, out=out)
    while len(lines(out)) < 12:
        assert puller.poll() is None
        time.sleep(0.01)
    puller.kill()
    puller.wait()
    asked = lines(out)
    second = tmp_path / "second.txt"
    assert start(PULLER, tmp_path, out=second).wait(240) == 0
    *again, got = lines(second)
    assert got == f"got {len(again)}"
    assert len(again) <= 30 - len(asked) + 2  # what was on the way when it was killed comes once more
    with user(tmp_path, "puller") as puller_store, user(tmp_path, "a", []) as a:
        assert exported(puller_store) == exported(a)
        assert pull(puller_store, FolderRemote(tmp_path / "remote")).parts == 0


def test_a_link_that_leads_outside_is_not_followed(tmp_path: Path) -> None:
    with user(tmp_path, "a", some(3)) as a:
        push(a, FolderRemote(tmp_path / "real"))
    remote = FolderRemote(tmp_path / "remote")
    (tmp_path / "remote" / "index").mkdir(parents=True)
    (tmp_path / "remote" / "index" / FINGERPRINT).symlink_to(tmp_path / "real" / "index" / FINGERPRINT)
    (tmp_path / "remote" / "parts").symlink_to(tmp_path / "real" / "parts")
    assert remote.entries() == []
    with user(tmp_path, "b", some(1)) as b, pytest.raises(EdgetuneError, match="a link lies there"):
        push(b, remote)
    assert len(list((tmp_path / "real" / "parts").rglob("*"))) == 6  # three parts, and nothing written through it


def test_parts_that_are_links_pipes_or_damaged_are_refused(tmp_path: Path) -> None:
    remote = FolderRemote(tmp_path / "remote")
    with user(tmp_path, "a", some(12)) as a, user(tmp_path, "b") as b:
        push(a, remote)
        index = read_index(remote, caches(remote.url)[0], lambda name: True)
        link, pipe, damaged = (
            tmp_path / "remote" / part_path(part.sha256) for entry in index.entries.values() for part in entry.parts
        )
        link.rename(tmp_path / "elsewhere")
        link.symlink_to(tmp_path / "elsewhere")
        pipe.unlink()
        os.mkfifo(pipe)
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
        report = pull(b, remote)
        assert (report.imported.added, report.parts) == (0, 0)
        assert "a link lies there" in report.refused[0]
        assert "not a regular file" in report.refused[1]
        assert "SHA-256 is another" in report.refused[2]
        assert list(b.records()) == []
        damaged.write_bytes(damaged.read_bytes()[:-1])
        assert "ends after" in pull(b, remote).refused[2]
        damaged.unlink()
        assert "is not there" in pull(b, remote).refused[2]
        assert push(a, remote, again=True).sent == 12
        assert pull(b, remote).imported.added == 12
    assert (tmp_path / "elsewhere").is_file()


def test_what_killed_pushes_left_is_removed_after_a_day(tmp_path: Path) -> None:
    incoming = tmp_path / "remote" / "incoming"
    incoming.mkdir(parents=True)
    (incoming / "old.0123").write_text("half")
    os.utime(incoming / "old.0123", (0, 0))
    (incoming / "new.0123").write_text("half, and still being written")
    with user(tmp_path, "a", some(3)) as a:
        push(a, FolderRemote(tmp_path / "remote"))
    assert [path.name for path in incoming.iterdir()] == ["new.0123"]


def test_a_push_that_was_cut_off_does_not_send_its_parts_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    put = FolderRemote.put

    def noted(remote: FolderRemote, path: str, source: Path | bytes) -> None:
        if path.startswith("index/") and len(sent) == 3:
            raise EdgetuneError("the power is gone")
        sent.append(path)
        put(remote, path, source)

    monkeypatch.setattr(FolderRemote, "put", noted)
    remote = FolderRemote(tmp_path / "remote")
    with user(tmp_path, "a", some(6)) as a, user(tmp_path, "b") as b:
        with pytest.raises(EdgetuneError, match="the power is gone"):
            push(a, remote)
        assert remote.entries() == []
        sent.append("from here on")
        assert push(a, remote).sent == 6
        assert not any(path.startswith("parts/") for path in sent[4:])
        assert pull(b, remote).imported.added == 6


def test_what_killed_transfers_left_here_is_removed_after_a_day(tmp_path: Path) -> None:
    parts = caches("x")[1]
    left = [parts.folder / "scratch-old", parts.folder / "scratch-new"]
    for folder in left:
        folder.mkdir()
        (folder / "lines").write_text("half")
    (parts.folder / "0123.part").write_text("half")
    for path in (left[0], parts.folder / "0123.part"):
        os.utime(path, (0, 0))
    assert [path.name for path in caches("x")[1].folder.iterdir()] == ["scratch-new"]


def test_where_there_is_no_folder(tmp_path: Path) -> None:
    with user(tmp_path, "a", some(1)) as a:
        with pytest.raises(EdgetuneError, match="there is no folder"):
            pull(a, FolderRemote(tmp_path / "typo"))
        with pytest.raises(EdgetuneError, match="there is no folder"):
            push(a, FolderRemote(tmp_path / "not" / "mounted"))
        (tmp_path / "file").write_text("mine")
        with pytest.raises(EdgetuneError, match="a link lies there"):
            push(a, FolderRemote(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "mine"
    assert not (tmp_path / "typo").exists()
    assert not (tmp_path / "not").exists()


def test_others_may_read_what_is_pushed(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        with user(tmp_path, "a", some(1)) as a:
            push(a, FolderRemote(tmp_path / "remote"))
    finally:
        os.umask(before)
    files = [path for path in (tmp_path / "remote").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o664}


def test_what_is_quarantined_is_not_spread(tmp_path: Path) -> None:
    remote = FolderRemote(tmp_path / "remote")
    with user(tmp_path, "a", some(6)) as a, user(tmp_path, "b") as b, user(tmp_path, "c") as c:
        push(a, remote)
        pull(b, remote)
        bad = next(b.records())
        keep(b, [(bad.workload, bad.trace_id, Verdict.QUARANTINED, "it computes something else")])
        other = FolderRemote(tmp_path / "another")
        assert push(b, other).sent == 5
        assert pull(c, other).imported.added == 5


def test_two_pulls_of_one_user_do_not_stand_in_each_others_way(tmp_path: Path) -> None:
    with user(tmp_path, "a", []) as a:
        for number in range(10):
            a.add_many(some(3, 100 * number))
            push(a, FolderRemote(tmp_path / "remote"))
    outs = [tmp_path / f"{number}.txt" for number in range(2)]
    pullers = [start(PULLER, tmp_path, out=out) for out in outs]
    assert [puller.wait(240) for puller in pullers] == [0, 0]
    with user(tmp_path, "puller") as puller_store, user(tmp_path, "a", []) as a:
        assert exported(puller_store) == exported(a)
