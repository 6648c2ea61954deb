"""The pool in every library: real loops on real threads, loaded, unloaded, interrupted by nothing."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import te

import targets
from compiler.linker import linker
from compiler.parallel.extent import ANNOUNCE, announce_extents
from compiler.parallel.object import pool_object
from compiler.parallel.threads import FUNCTION, end_library_threads, set_library_threads
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
CPUS = len(os.sched_getaffinity(0))
TARGET = targets.get("native").to_tvm()
_numbers = itertools.count()


Load = Callable[[Path], Any]


@pytest.fixture
def load() -> Iterator[Load]:
    """Loads libraries; their threads end with the test."""
    loaded: list[Any] = []

    def load_module(path: Path) -> Any:
        loaded.append(tvm.runtime.load_module(str(path)))
        return loaded[-1]

    yield load_module
    for module in loaded:
        end_library_threads(module)


def kernel(extent: int, inner: int = 3, announced: bool = True) -> tvm.IRModule:
    """y[i, j] = x[i, j] * 2 + i, the outer loop parallel."""
    x = te.placeholder((extent, inner), "float32", name="x")
    y = te.compute((extent, inner), lambda i, j: x[i, j] * 2.0 + i.astype("float32"), name="y")
    sch = tvm.s_tir.Schedule(te.create_prim_func([x, y]).with_attr("global_symbol", "main"))
    sch.parallel(sch.get_loops(sch.get_sblock("y"))[0])
    return announce_extents(sch.mod) if announced else sch.mod


def library(folder: Path, mod: tvm.IRModule) -> Path:
    path = folder / f"library{next(_numbers)}.so"
    tvm.compile(mod, target=TARGET).export_library(str(path), fcompile=linker())
    return path


def assert_right(module: Any, extent: int, inner: int = 3) -> None:
    x = np.random.default_rng(extent).standard_normal((extent, inner)).astype("float32")
    out = tvm.runtime.tensor(np.full((extent, inner), np.nan, "float32"))
    module["main"](tvm.runtime.tensor(x), out)
    np.testing.assert_allclose(out.numpy(), x * 2 + np.arange(extent, dtype="float32")[:, None], rtol=1e-6)


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("extent", [1, 2, 3, 7, 63, 64, 65, 1000, 100_003])
def test_every_iteration_runs_once_whatever_the_number_of_threads(
    extent: int, announced: bool, tmp_path: Path, load: Load
) -> None:
    path = library(tmp_path, kernel(extent, announced=announced))
    module = load(path)
    for threads in (1, 2, 3, 8):
        set_library_threads(module, threads)
        for _ in range(20):
            assert_right(module, extent)


def test_the_extent_is_said_before_the_loop_and_only_there() -> None:
    script = announce_extents(kernel(12, announced=False)).script()
    assert script.count(ANNOUNCE) == 1
    assert script.index(ANNOUNCE) < script.index("T.parallel(12)")
    serial = te.create_prim_func([x := te.placeholder((4,), name="x"), te.compute((4,), lambda i: x[i] + 1.0)])
    mod = tvm.IRModule({"main": serial})
    assert announce_extents(mod)["main"].same_as(mod["main"])


def test_without_a_word_the_threads_are_those_of_the_environment(tmp_path: Path, load: Load) -> None:
    path = library(tmp_path, kernel(64))
    code = f"""
        import os, numpy as np, tvm
        before = len(os.listdir("/proc/self/task"))
        module = tvm.runtime.load_module({str(path)!r})
        out = tvm.runtime.tensor(np.zeros((64, 3), "float32"))
        module["main"](tvm.runtime.tensor(np.zeros((64, 3), "float32")), out)
        print(len(os.listdir("/proc/self/task")) - before)
    """
    for wanted in ("1", "3"):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env={**os.environ, "TVM_NUM_THREADS": wanted},
            check=True,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert int(done.stdout) == int(wanted) - 1, "threads beside the calling one"


def test_idle_threads_sleep(tmp_path: Path, load: Load) -> None:
    """A pool that spins takes the cores from whoever shares the machine."""
    module = load(library(tmp_path, kernel(64)))
    set_library_threads(module, 4)
    assert_right(module, 64)
    time.sleep(0.1)

    def idle() -> bool:
        used = time.process_time()
        time.sleep(0.5)
        return time.process_time() - used < 0.05

    wait_for(idle)  # where the machine is busy, a thread gets to sleep later
    assert_right(module, 64)


def thread_ids() -> set[str]:
    """The threads of this process, those of libraries included."""
    return {path.name for path in Path("/proc/self/task").iterdir()}


def test_threads_end_when_told_and_come_back(tmp_path: Path, load: Load) -> None:
    original = library(tmp_path, kernel(32)).read_bytes()
    before = thread_ids()
    for index in range(40):
        path = tmp_path / f"copy{index}.so"  # a name of its own: the loader knows libraries by name
        path.write_bytes(original)
        module = load(path)
        set_library_threads(module, 3)
        assert_right(module, 32)
        own = thread_ids() - before
        assert len(own) == 2
        end_library_threads(module)
        # The system counts a thread for a moment after it was joined.
        wait_for(lambda own=own: not own & thread_ids(), pause=0.001)
    set_library_threads(module, 2)
    assert_right(module, 32)
    end_library_threads(module)


def test_two_callers_at_once(tmp_path: Path, load: Load) -> None:
    """The second runs its loop alone while the first has the threads; both get the right numbers."""
    module = load(library(tmp_path, kernel(500)))
    set_library_threads(module, 2)
    failures: list[BaseException] = []

    def call() -> None:
        try:
            for _ in range(300):
                assert_right(module, 500)
        except BaseException as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not failures


def test_threads_may_be_set_while_others_compute(tmp_path: Path, load: Load) -> None:
    module = load(library(tmp_path, kernel(200)))
    ended = threading.Event()

    def call() -> None:
        while not ended.is_set():
            assert_right(module, 200)

    caller = threading.Thread(target=call)
    caller.start()
    try:
        for threads in [1, 4, 2, 3] * 10:
            set_library_threads(module, threads)
    finally:
        ended.set()
        caller.join()


@pytest.mark.skipif(CPUS < 2, reason="needs two CPUs")
def test_each_thread_stays_on_its_cpu(tmp_path: Path, load: Load) -> None:
    path = library(tmp_path, kernel(64))
    code = f"""
        import os, tvm
        from compiler.parallel.threads import set_library_threads
        cpus = sorted(os.sched_getaffinity(0))[:2]
        before = set(os.listdir("/proc/self/task"))
        module = tvm.runtime.load_module({str(path)!r})
        set_library_threads(module, 2, cpus)
        [other] = set(os.listdir("/proc/self/task")) - before
        import time
        for _ in range(6000):
            if os.sched_getaffinity(int(other)) == {{cpus[1]}}:
                break
            time.sleep(0.01)
        assert os.sched_getaffinity(int(other)) == {{cpus[1]}}, os.sched_getaffinity(int(other))
        assert os.sched_getaffinity(0) == {{cpus[0]}}
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, cwd=ROOT, timeout=240)


def test_a_library_without_the_pool_is_left_alone(tmp_path: Path, load: Load) -> None:
    path = tmp_path / "stock.so"
    tvm.compile(kernel(8, announced=False), target=TARGET).export_library(str(path))
    module = load(path)
    with pytest.raises(AttributeError):
        module.get_function(FUNCTION)
    set_library_threads(module, 2)
    assert_right(module, 8)


def test_the_process_ends_cleanly_with_threads_at_work(tmp_path: Path, load: Load) -> None:
    path = library(tmp_path, kernel(64))
    code = f"""
        import numpy as np, tvm
        module = tvm.runtime.load_module({str(path)!r})
        out = tvm.runtime.tensor(np.zeros((64, 3), "float32"))
        for _ in range(1000):
            module["main"](tvm.runtime.tensor(np.zeros((64, 3), "float32")), out)
    """
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env={**os.environ, "TVM_NUM_THREADS": "4"},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0 and not done.stderr, done.stderr


def test_the_object_is_made_once_and_is_small() -> None:
    made = pool_object(linker().command, 60.0)
    assert made is pool_object(linker().command, 60.0)
    assert made[:4] == b"\x7fELF" and len(made) < 32 << 10


@pytest.mark.slow
def test_a_thread_that_is_held_up_does_not_hold_up_the_loop(tmp_path: Path, load: Load) -> None:
    """With more threads than CPUs some are always waiting for one; their parts are done by the others."""
    module = load(library(tmp_path, kernel(4096, inner=64)))
    set_library_threads(module, 4 * CPUS)
    started = time.monotonic()
    for _ in range(200):
        assert_right(module, 4096, inner=64)
    assert time.monotonic() - started < 200
