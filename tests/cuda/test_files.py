"""Files that are found by what they were made of: never a damaged one, never too many, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from compiler.cuda.files import FileCache, key_of
from tests.command import ROOT

_WRITER = """
import sys, itertools
from pathlib import Path
from compiler.cuda.files import FileCache
files = FileCache(Path(sys.argv[1]), "x", 1 << 30)
print("begun", flush=True)
for number in itertools.count(int(sys.argv[2])):
    files.write(f"{number % 7}", [bytes([number % 7]) * 4000, b"end"] * 50)
    number - int(sys.argv[2]) == 6 and print("all", flush=True)
"""


@pytest.fixture
def files(tmp_path: Path) -> FileCache:
    return FileCache(tmp_path / "cache", "x", 1000)


def _entries(files: FileCache) -> list[Path]:
    return sorted(files.folder.iterdir())


def test_what_was_written_is_read(files: FileCache) -> None:
    assert files.read("a") is None
    files.write("a", [b"one", b"", b"two"])
    files.write("b", [])
    assert (files.read("a"), files.read("b")) == (b"onetwo", b"")
    with files.reading("a") as found:
        assert found is not None
        assert (found[0].read(3), found[1]) == (b"one", 6)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b"X" + b[1:], lambda b: b + b"\0"])
def test_a_damaged_file_is_none(files: FileCache, damage) -> None:  # type: ignore[no-untyped-def]
    files.write("a", [b"content"])
    [path] = _entries(files)
    path.write_bytes(damage(path.read_bytes()))
    assert files.read("a") is None


def test_the_least_recently_used_goes_first(files: FileCache) -> None:
    for number, name in enumerate("abc"):
        files.write(name, [b"x" * 300])
        os.utime(files.folder / f"{name}.x", (number + 1, number + 1))
    assert files.read("a") is not None
    files.write("d", [b"x" * 300])
    assert [name for name in "abcd" if files.read(name) is not None] == ["a", "c", "d"]
    assert sum(path.stat().st_size for path in _entries(files)) <= files.max_bytes


def test_what_is_too_large_is_not_kept(files: FileCache) -> None:
    files.write("small", [b"x"])
    files.write("large", [b"x" * 400, b"x" * 200])
    assert files.read("large") is None and files.read("small") == b"x"
    assert len(_entries(files)) == 1


def test_what_nobody_finished_goes_after_a_while(files: FileCache) -> None:
    files.write("a", [b"x"])
    old, new = files.folder / "old.part", files.folder / "new.part"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    files.write("b", [b"x"])
    assert not old.exists() and new.exists()


def test_other_parts_other_keys() -> None:
    assert len({key_of(parts) for parts in (["ab"], ["a", "b"], ["b", "a"], ["ab", ""], [])}) == 5


def test_writers_that_are_killed_leave_nothing_that_is_read(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path), str(n)], cwd=ROOT, stdout=subprocess.PIPE)
        for n in range(2)
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None and writer.stdout.readline()
        files, seen, until = FileCache(tmp_path, "x", 1 << 30), 0, time.monotonic() + 0.5
        for writer in writers:
            assert writer.stdout is not None and writer.stdout.readline()
        while time.monotonic() < until or not seen:
            for number in range(7):
                content = files.read(f"{number}")
                seen += content is not None
                assert content in (None, (bytes([number]) * 4000 + b"end") * 50)
    finally:
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
    assert seen
    assert all(files.read(f"{number}") == (bytes([number]) * 4000 + b"end") * 50 for number in range(7))
