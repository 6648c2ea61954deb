"""The local session: real packages, real TVM."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import targets
from compiler.errors import EdgetuneError, UsageError
from compiler.package import Package, TargetInfo, write
from compiler.runtime.compatibility import why_not_load
from compiler.runtime.session import LocalSession
from compiler.runtime.threads import ComputeThread, compute_cpus, set_threads
from compiler.tensors import TensorSpec
from tests.runtime import small

ROOT = Path(__file__).parents[2]
CPUS = len(os.sched_getaffinity(0))

pytestmark = pytest.mark.skipif(
    targets.why_not_run(targets.get(small.TARGET)) is not None, reason=f"this CPU cannot run {small.TARGET}"
)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return small.package(tmp_path_factory.mktemp("package"))


def test_outputs_equal_onnx_runtime_and_nothing_is_left_behind(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with LocalSession(threads=1) as session:
        executable = session.load(package)
        assert not any(tmp_path.iterdir())
        reference = onnxruntime.InferenceSession(small.onnx_model().SerializeToString())
        for seed in range(3):
            feeds = small.inputs(seed=seed)
            outputs = executable.run(feeds)
            assert list(outputs) == ["y"]
            np.testing.assert_allclose(outputs["y"], reference.run(None, feeds)[0], rtol=1e-5, atol=1e-6)


def test_a_closed_session_lets_go_of_the_library_and_outputs_stay(package: Package) -> None:
    def mapped() -> int:
        return Path("/proc/self/maps").read_text().count("/library.so")

    gc.collect()  # what tests before have left
    before = mapped()
    with LocalSession(threads=1) as session:
        executable = session.load(package)
        outputs = executable.run(small.inputs(seed=1))
        kept = outputs["y"].copy()
        assert mapped() > before
    del executable
    gc.collect()
    assert mapped() == before
    np.testing.assert_array_equal(outputs["y"], kept)


def test_outputs_are_the_callers_own(package: Package) -> None:
    with LocalSession(threads=1) as session:
        executable = session.load(package)
        first = executable.run(small.inputs(seed=1))["y"]
        kept = first.copy()
        executable.run(small.inputs(seed=2))
        assert np.array_equal(first, kept)
        first[:] = 0
        assert np.array_equal(executable.run(small.inputs(seed=1))["y"], kept)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"z": np.zeros(1, "float32")}, "unknown input 'z': expected x: float32 2x3x8x8"),
        ({"x": None}, "a NoneType, not a numpy array"),
        ({"x": np.zeros((1, 3, 8, 8), "float32")}, "shape 1x3x8x8: expected x: float32 2x3x8x8"),
        ({"x": np.zeros((2, 3, 8, 8), "float64")}, "dtype float64: expected"),
        ({"x": np.zeros((), "float32")}, "shape scalar"),
    ],
)
def test_inputs_that_do_not_fit(package: Package, change: dict[str, np.ndarray], match: str) -> None:
    with LocalSession(threads=1) as session:
        executable = session.load(package)
        for use in (executable.run, executable.timed, executable.profile):
            with pytest.raises(UsageError, match=match):
                use({**small.inputs(), **change})
        with pytest.raises(UsageError, match="'x' is missing: expected"):
            executable.run({})


def test_inputs_may_be_strided(package: Package) -> None:
    with LocalSession(threads=1) as session:
        executable = session.load(package)
        x = small.inputs()["x"]
        strided = np.ascontiguousarray(x.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1)
        assert not strided.flags.c_contiguous
        assert np.array_equal(executable.run({"x": strided})["y"], executable.run({"x": x})["y"])


def test_timed_gives_every_invocation(package: Package) -> None:
    with LocalSession(threads=1) as session:
        executable = session.load(package)
        timing = executable.timed(small.inputs(), runs=20, warmup_runs=3)
        assert len(timing.seconds) == 20
        assert 0 < sum(timing.seconds) <= timing.ended - timing.began + 1e-3
        started = time.perf_counter()
        timing = executable.timed(small.inputs(), runs=1, seconds=0.2, warmup_seconds=0.1)
        assert sum(timing.seconds) > 0.1
        assert time.perf_counter() - started >= 0.3
        started = time.perf_counter()
        executable.timed(small.inputs(), runs=10**9, limit_seconds=0.1)
        assert time.perf_counter() - started < 60


@pytest.mark.parametrize("restarting", [False, True])
def test_an_interrupted_caller_stops_the_loop(package: Package, restarting: bool) -> None:
    """Also where system calls are restarted after SIGINT, as TVM's solver leaves it."""
    with LocalSession(threads=1) as session:
        executable = session.load(package)
        signal.siginterrupt(signal.SIGINT, not restarting)
        finger = threading.Timer(0.3, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
        started = time.perf_counter()
        with pytest.raises(KeyboardInterrupt):
            finger.start()
            executable.timed(small.inputs(), runs=10**9, seconds=600)
        assert time.perf_counter() - started < 60
        assert executable.run(small.inputs())["y"].shape == (2, 5)


def test_an_interrupt_while_a_call_is_handed_over_leaves_nothing_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    thread = ComputeThread(1)
    real = thread._executor.submit

    def interrupted(function: Callable[..., object], *args: object) -> object:
        future = real(function, *args)
        monkeypatch.setattr(thread._executor, "submit", real)
        if future is not None:
            raise KeyboardInterrupt  # as when the signal comes after the call was queued, before `submit` returned
        return future

    monkeypatch.setattr(thread._executor, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        thread.call(lambda: thread.cancelled.wait(60))
    assert thread.call(lambda: 7) == 7
    thread.close()


def test_profile_names_kernels(package: Package) -> None:
    with LocalSession(threads=1) as session:
        executable = session.load(package)
        profile = executable.profile(small.inputs(), runs=3)
        assert profile.runs == 3
        times = [kernel.seconds for kernel in profile.kernels]
        assert times == sorted(times, reverse=True)
        assert min(times) > 0
        assert sum(times) + profile.machine_seconds <= profile.seconds * 1.05
        conv = next(kernel for kernel in profile.kernels if "conv2d" in kernel.name)
        assert conv.calls == 1
        # at the least the image and what the convolution makes of it
        assert conv.bytes >= 4 * (2 * 3 * 8 * 8 + 2 * 4 * 8 * 8)
        # the profiled machine is a second one: the first still runs without an instrument
        assert executable.run(small.inputs())["y"].shape == (2, 5)


@pytest.mark.skipif(CPUS < 2, reason="needs two CPUs")
def test_thread_counts_are_exact_and_side_by_side(package: Package) -> None:
    import tvm

    with LocalSession(threads=1) as one, LocalSession(threads=2) as two:
        assert (one.threads, two.threads) == (1, 2)
        assert one._compute.call(tvm.runtime.num_threads) == 1
        assert two._compute.call(tvm.runtime.num_threads) == 2
        a, b = (session.load(package).run(small.inputs())["y"] for session in (one, two))
        assert np.array_equal(a, b)
        assert len(os.sched_getaffinity(0)) == CPUS, "the caller must not be pinned"


@pytest.mark.skipif(CPUS < 2, reason="needs two CPUs")
def test_each_thread_has_its_cpu_where_all_are_used(package: Package) -> None:
    with LocalSession(threads=CPUS) as every, LocalSession(threads=1) as one:
        for session, cpus in ((every, 1), (one, CPUS)):
            session.load(package).run(small.inputs())
            assert len(session._compute.call(os.sched_getaffinity, 0)) == cpus
        assert len(os.sched_getaffinity(0)) == CPUS, "the caller must not be pinned"


def test_thread_counts_that_cannot_be() -> None:
    for threads in (0, -1, CPUS + 1):
        with pytest.raises(UsageError, match=f"1 to {CPUS} CPUs"):
            LocalSession(threads)


def test_a_pool_of_another_size_is_reported() -> None:
    if CPUS < 2:
        pytest.skip("needs two CPUs")
    compute = ComputeThread(1)
    try:
        with pytest.raises(EdgetuneError, match="1 threads where 2 were asked for"):
            compute.call(set_threads, 2)
    finally:
        compute.close()


@pytest.mark.skipif(CPUS < 2, reason="needs two CPUs")
def test_a_default_pool_made_before_does_not_matter() -> None:
    """TVM's own default would pin this process to half of its CPUs and compute with half of the threads."""
    script = """
import os
from compiler.runtime.threads import ComputeThread
import tvm
cpus = os.sched_getaffinity(0)
tvm.runtime.num_threads()
assert os.sched_getaffinity(0) == cpus, "pinned"
compute = ComputeThread(2)
assert compute.call(tvm.runtime.num_threads) == 2
assert compute.call(os.sched_getaffinity, 0) == cpus
compute.close()
"""
    for threads in ("", "1"):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TVM_")}
        if threads:
            environment["TVM_NUM_THREADS"] = threads
        subprocess.run([sys.executable, "-c", script], check=True, env=environment, cwd=ROOT, timeout=240)


def test_compute_cpus_are_allowed_ones() -> None:
    assert compute_cpus(CPUS) == sorted(os.sched_getaffinity(0))


def test_a_foreign_cpu_is_refused_before_code_is_loaded(tmp_path: Path) -> None:
    """The library is no library: to reach it would be another error."""
    arm = targets.get("arm-cortex-a78ae")
    package = write(
        tmp_path / "arm.tar",
        {"library.so": b"not a library"},
        small.manifest(target=TargetInfo(name=arm.name, options=dict(arm.options), requires=sorted(arm.requires))),
    )
    lacking = write(
        tmp_path / "lacking.tar",
        {"library.so": b"not a library"},
        small.manifest(target=TargetInfo(name=small.TARGET, options={"kind": "llvm"}, requires=["avx1024"])),
    )
    unknown = write(
        tmp_path / "unknown.tar",
        {"library.so": b"not a library"},
        small.manifest(target=TargetInfo(name="z80", options={"kind": "llvm"})),
    )
    old = write(tmp_path / "old.tar", {"library.so": b"not a library"}, small.manifest(tvm_version="0.1.0"))
    with LocalSession(threads=1) as session:
        for refused, match in (
            (package, "compiled for arm-cortex-a78ae"),
            (lacking, "avx1024"),
            (unknown, "target is unknown here"),
            (old, "compiled by TVM 0.1.0"),
        ):
            assert why_not_load(refused.manifest) is not None
            with pytest.raises(EdgetuneError, match=match) as error:
                session.load(refused)
            assert "\n" not in str(error.value)


def test_libraries_that_are_not_what_the_manifest_says(package: Package, tmp_path: Path) -> None:
    garbage = write(tmp_path / "garbage.tar", {"library.so": b"not a library"}, small.manifest())
    with package.unpack() as folder:
        library = (folder / "library.so").read_bytes()
    more_inputs = [TensorSpec("x", (2, 3, 8, 8), "float32"), TensorSpec("more", (1,), "float32")]
    arity = write(tmp_path / "arity.tar", {"library.so": library}, small.manifest(inputs=more_inputs))
    outputs = write(tmp_path / "outputs.tar", {"library.so": library}, small.manifest(outputs=more_inputs))
    shape = write(
        tmp_path / "shape.tar",
        {"library.so": library},
        small.manifest(inputs=[TensorSpec("x", (1, 3, 8, 8), "float32")]),
    )
    with LocalSession(threads=1) as session:
        with pytest.raises(EdgetuneError, match="could not load") as error:
            session.load(garbage)
        assert "\n" not in str(error.value)
        with pytest.raises(EdgetuneError, match="takes 1 inputs and its manifest lists 2"):
            session.load(arity)
        with pytest.raises(EdgetuneError, match="returns 1 outputs and its manifest lists 2"):
            session.load(outputs).run(small.inputs())
        with pytest.raises(EdgetuneError, match="could not run") as error:
            session.load(shape).run({"x": np.zeros((1, 3, 8, 8), "float32")})
        assert "\n" not in str(error.value)
