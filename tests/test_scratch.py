"""Temporary folders: they go with their process, or with the next one that makes some, and never from under anybody."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import cli
from compiler import scratch
from compiler.scratch import scratch_folder
from tests.waiting import wait_for

ROOT = Path(cli.__file__).parent
_HOLDS = """
import sys
from compiler.scratch import scratch_folder
with scratch_folder("test") as folder:
    (folder / "below").mkdir()
    (folder / "below" / "file").write_bytes(bytes(1000))
    print(folder, flush=True)
    sys.stdin.readline()
"""
# Each folder is the first one of its process, as far as the module knows: all of them look at what is left.
_MAKES_MANY = """
import os, sys
from compiler import scratch
print(flush=True)
sys.stdin.readline()
for number in range(150):
    scratch._swept.clear()
    with scratch.scratch_folder(str(os.getpid())) as folder:
        (folder / "mine").write_text(str(number))
        scratch._swept.clear()
        scratch._sweep(str(folder.parent))
        assert (folder / "mine").read_text() == str(number)
        os.listdir(folder.parent)
    if number % 10 == 0:  # one that nobody holds
        left, lock = scratch.make_scratch_folder("left")
        os.close(lock)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made, here and in processes started from here."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(scratch, "_swept", set())
    return tmp_path


@pytest.fixture
def started(place: Path) -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def start(started: list[subprocess.Popen[str]], text: str) -> tuple[subprocess.Popen[str], str]:
    """A process, and the first line that it says."""
    process = subprocess.Popen(
        [sys.executable, "-c", text], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    started.append(process)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_folder_is_of_this_user_alone_and_goes_with_what_is_in_it(place: Path) -> None:
    with scratch_folder("some") as folder:
        assert folder.parent == place and folder.name.startswith("edgetune-scratch-some-")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "file").touch()
    with pytest.raises(ValueError, match="within"), scratch_folder("other") as other:
        raise ValueError("within")
    assert not other.exists() and list(place.iterdir()) == []
    with scratch_folder("moved") as moved:
        shutil.rmtree(moved)  # whoever does that is no reason to fail


def test_what_kill_9_left_goes_with_the_next_process_and_what_is_in_use_stays(
    place: Path, started: list[subprocess.Popen[str]]
) -> None:
    killed, left = start(started, _HOLDS)
    alive, held = start(started, _HOLDS)
    killed.kill()
    killed.wait()
    assert Path(left, "below", "file").exists()
    with scratch_folder("next"):
        assert not Path(left).exists() and Path(held, "below", "file").exists()
    alive.communicate("go\n")
    assert alive.returncode == 0 and list(place.iterdir()) == []


def test_each_process_looks_once(place: Path, started: list[subprocess.Popen[str]]) -> None:
    with scratch_folder("first"):
        pass
    process, left = start(started, _HOLDS)
    process.kill()
    process.wait()
    with scratch_folder("second"):
        assert Path(left).exists()


def test_a_forked_child_holds_its_parents_folder(place: Path, started: list[subprocess.Popen[str]]) -> None:
    """As a session of an agent does, whose template was killed."""
    forks = "import os\nreader, writer = os.pipe()\n" + _HOLDS.replace(
        "    print(", "    if os.fork() == 0:\n        os.read(0, 1)\n        os._exit(0)\n    print("
    ).replace("    sys.stdin.readline()", "    os.kill(os.getpid(), 9)")
    process, left = start(started, forks)
    assert process.wait(60) == -signal.SIGKILL
    with scratch_folder("while it lives"):
        assert Path(left, "below", "file").exists()
    assert process.stdin is not None
    process.stdin.close()
    process.stdin = None

    def is_gone() -> bool:
        scratch._swept.clear()
        with scratch_folder("after it"):
            return not Path(left).exists()

    wait_for(is_gone)


def test_only_folders_of_this_user_go(place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "file").touch()
    (place / "edgetune-scratch-link").symlink_to(elsewhere)
    (place / "edgetune-scratch-file").touch()
    (place / "edgetune-build-abc").mkdir()  # as older versions called theirs, which they did not lock
    kept = {"edgetune-scratch-link", "edgetune-scratch-file", "edgetune-build-abc"}
    (place / "edgetune-scratch-ours").mkdir()
    if os.geteuid() == 0:
        (place / "edgetune-scratch-theirs").mkdir()
        os.chown(place / "edgetune-scratch-theirs", 1, 1)
        kept.add("edgetune-scratch-theirs")
    with scratch_folder("some"):
        pass
    assert {path.name for path in place.iterdir()} == kept and (elsewhere / "file").exists()


def test_where_there_are_no_locks_folders_stay_until_their_process_removes_them(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise OSError(37, "No locks available")

    (place / "edgetune-scratch-left").mkdir()
    monkeypatch.setattr(scratch.fcntl, "flock", refuses)
    with scratch_folder("some") as folder:
        assert folder.is_dir() and (place / "edgetune-scratch-left").is_dir()
    assert not folder.exists()


@pytest.mark.parametrize("when", ["before it is locked", "while it is locked"])
def test_a_folder_that_another_takes_for_abandoned_is_made_anew(
    when: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other comes between making the folder and locking it."""
    real = scratch.tempfile.mkdtemp
    made: list[str] = []
    others: list[int] = []

    def mkdtemp(prefix: str) -> str:
        made.append(real(prefix=prefix))
        if len(made) == 1 and when == "before it is locked":
            Path(made[0]).rmdir()
        elif len(made) == 1:
            others.append(scratch._locked(made[0]))
        return made[-1]

    monkeypatch.setattr(scratch.tempfile, "mkdtemp", mkdtemp)
    with scratch_folder("some") as folder:
        assert str(folder) == made[1] and folder.is_dir()
    for other in others:
        os.close(other)


def test_processes_that_start_at_once_do_not_take_each_others(
    place: Path, started: list[subprocess.Popen[str]]
) -> None:
    together = [start(started, _MAKES_MANY)[0] for _ in range(4)]
    for process in together:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in together:
        process.communicate(timeout=120)
        assert process.returncode == 0
    with scratch_folder("last"):
        pass
    assert list(place.iterdir()) == []
