"""A session on a board, both kinds of agent being one: what runs there equals what runs here."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

import targets
from compiler.bench import peak
from compiler.bench.peak_of import peak_of
from compiler.errors import EdgetuneError, UsageError
from compiler.package import Package, TargetInfo
from compiler.runtime.rpc.address import Address, Way
from compiler.runtime.rpc.connect import connect
from compiler.runtime.rpc.session import RemoteSession
from compiler.runtime.session import LocalSession
from compiler.tensors import TensorSpec
from tests.runtime import small
from tests.runtime.agent.agents import Agent, alive
from tests.waiting import attempts, wait_for

pytestmark = pytest.mark.skipif(
    targets.why_not_run(targets.get(small.TARGET)) is not None, reason=f"this CPU cannot run {small.TARGET}"
)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return small.package(tmp_path_factory.mktemp("package"))


def _session(board: Agent, threads: int | None = None) -> RemoteSession:
    return RemoteSession(Way(board.address), threads)


def test_a_board_returns_the_same_bytes_as_this_machine(board: Agent, package: Package) -> None:
    with _session(board) as there, LocalSession(1) as here:
        remote, local = there.load(package), here.load(package)
        for seed in range(3):
            feeds = small.inputs(seed=seed)
            assert remote.run(feeds)["y"].tobytes() == local.run(feeds)["y"].tobytes()
        assert (remote.device, remote.fingerprint) == (local.device, local.fingerprint)
        assert remote.threads == package.manifest.threads


def test_transfers_are_told_apart_from_times(board: Agent, package: Package) -> None:
    with _session(board) as session:
        executable = session.load(package)
        assert session.upload is not None
        assert session.upload.bytes == package.sizes["library.so"]
        executable.run(small.inputs())
        assert [transfer.bytes for transfer in executable.transfers] == [2 * 3 * 8 * 8 * 4, 2 * 5 * 4]


def test_every_run_is_timed_on_the_board(board: Agent, package: Package) -> None:
    with _session(board) as session:
        executable = session.load(package)
        began = time.time()
        timing = executable.timed(small.inputs(), runs=20, seconds=0.05, warmup_runs=3)
        assert len(timing.seconds) >= 20
        assert sum(timing.seconds) >= 0.05
        assert 0 < min(timing.seconds) < 1
        assert began - 1 < timing.began <= timing.ended < time.time() + 1


def test_kernels_are_timed_on_the_board(board: Agent, package: Package) -> None:
    with _session(board) as there, LocalSession(1) as here:
        remote, local = there.load(package), here.load(package)
        began = time.time()
        found, expected = remote.profile(small.inputs(), runs=4), local.profile(small.inputs(), runs=2)
        assert (found.runs, found.clock) == (4, "host")
        assert {(k.name, k.calls, k.bytes) for k in found.kernels} == {
            (k.name, k.calls, k.bytes) for k in expected.kernels
        }
        times = [kernel.seconds for kernel in found.kernels]
        assert times == sorted(times, reverse=True) and min(times) > 0
        assert sum(times) + found.machine_seconds <= found.seconds * 1.05
        assert [[c.name for c in run.calls] for run in found.timeline] == [
            [c.name for c in expected.timeline[0].calls]
        ] * 4
        assert all(abs(run.began - began) < 60 for run in found.timeline)
        # the profiled machine is a second one
        assert remote.run(small.inputs())["y"].tobytes() == local.run(small.inputs())["y"].tobytes()
        with pytest.raises(UsageError, match="unknown input 'z'"):
            remote.profile({"z": np.zeros(1)})
        for job in ("", "[]", '{"runs": 0}', '{"device": "abacus"}', '{"function": 5}'):
            with pytest.raises(EdgetuneError, match="edgetune.profile failed"):
                there.connection.call("edgetune.profile", remote._vm.module, job)


def test_the_peak_is_the_boards_own(board: Agent, package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak, "SECONDS", 0.02)
    monkeypatch.setattr(peak, "wanted_buffer_bytes", lambda target: 16 << 20)
    with _session(board) as session:
        executable = session.load(package)
        found = peak_of(session, executable)
        assert isinstance(found, peak.Peak) and peak_of(session, executable) is found
        assert 0 < found.gflops < 1000 and 0 < found.gb_s < 1000
        assert found.threads == 1 and found.how.startswith("on the board: 1 threads")
        assert "a read of 16 MiB" in found.how
        monkeypatch.setattr("compiler.bench.board_peak._KEPT", {})
        monkeypatch.setattr("compiler.linker.find_linker", lambda triple=None: (None, "no linker is here"))
        assert peak_of(session, executable) == "the peak was not measured: no linker is here"


def test_what_fails_on_a_board_that_is_there_fails_at_once(board: Agent) -> None:
    with _session(board) as session:
        session.connection.call("edgetune.clock")
        took = []
        for _ in range(10):
            began = time.monotonic()
            with pytest.raises(EdgetuneError, match=r"edgetune\.sha256 failed on the board"):
                session.connection.call("edgetune.sha256", "no such file")
            took.append(time.monotonic() - began)
        assert min(took) < 0.3, "it asks the board whether it is there, and does not wait"
        assert not session.connection.lost


def test_a_series_ends_at_its_limit(board: Agent, package: Package) -> None:
    with _session(board) as session:
        executable = session.load(package)
        timing = executable.timed(small.inputs(), runs=1, seconds=60.0, limit_seconds=0.2)
        assert 0 < sum(timing.seconds) < 30


def test_wrong_inputs_are_refused_before_anything_is_sent(board: Agent, package: Package) -> None:
    with _session(board) as session:
        executable = session.load(package)
        with pytest.raises(UsageError, match="unknown input 'z'"):
            executable.run({"z": np.zeros(1)})


def test_a_package_for_other_hardware_is_not_sent(board: Agent, package: Package) -> None:
    arm = targets.get("arm-cortex-a72")
    info = TargetInfo(name=arm.name, options=dict(arm.options), requires=sorted(arm.requires))
    other = Package(package.path, small.manifest(target=info), package.checksums, package.sizes)
    with _session(board) as session:
        with pytest.raises(EdgetuneError, match="the board is x86_64, not aarch64"):
            session.load(other)
        assert session.upload is None


def test_a_package_of_another_tvm_is_not_sent(board: Agent, package: Package) -> None:
    other = Package(package.path, small.manifest(tvm_version="0.20.0"), package.checksums, package.sizes)
    with (
        _session(board) as session,
        pytest.raises(EdgetuneError, match=r"compiled by TVM 0\.20\.0 and the board has TVM"),
    ):
        session.load(other)


def test_a_library_that_is_not_what_the_manifest_says_is_refused(board: Agent, package: Package) -> None:
    wrong = small.manifest(inputs=[TensorSpec("x", (2, 3, 8, 8), "float32"), TensorSpec("z", (1,), "float32")])
    other = Package(package.path, wrong, package.checksums, package.sizes)
    with _session(board) as session, pytest.raises(EdgetuneError, match="takes 1 inputs and its manifest lists 2"):
        session.load(other)


def test_what_arrives_damaged_is_not_loaded(board: Agent, package: Package) -> None:
    sums = {**package.checksums, "library.so": "0" * 64}
    with _session(board) as session:
        with pytest.raises(EdgetuneError, match="is not what was deployed"):
            session.load_deployed(str(package.path), package.manifest, sums["library.so"])
        session.connection.call("edgetune.append", "library.so", bytearray(b"what was there before"))
        with pytest.raises(EdgetuneError, match="arrived damaged"):
            session.load(package)


def test_more_threads_than_the_board_has_are_refused(board: Agent) -> None:
    with pytest.raises(UsageError, match="the board may use 1 to"):
        _session(board, threads=1000)
    with _session(board):  # and the agent is free again
        pass


def test_a_busy_board_is_waited_for_and_said_to_be_busy(board: Agent) -> None:
    said: list[str] = []
    with _session(board) as first:
        for attempt in attempts(2.5):
            with attempt:
                with pytest.raises(EdgetuneError, match=r"has been at work for .*; after 2 s it was not free"):
                    connect(Way(board.address), patience=2.0, waiting=said.append)
                assert any("has been at work for 127.0.0.1:" in line for line in said)
        threading.Timer(0.5, first.close).start()
        with connect(Way(board.address), patience=60.0) as second:
            assert second.identity.cores >= 1


def _started(pid: int) -> float:
    """When a process started; of one that has just ended, before all others."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0


def test_a_session_that_dies_is_one_line(board: Agent, package: Package) -> None:
    with _session(board) as session:
        executable = session.load(package)
        executable.run(small.inputs())
        newest = max(board.processes()[1:], key=_started)
        os.kill(newest, signal.SIGKILL)
        wait_for(lambda: not alive(newest))
        with pytest.raises(EdgetuneError, match="the session on the board .* ended") as caught:
            executable.run(small.inputs())
        assert "\n" not in str(caught.value)
    with _session(board) as session:
        session.load(package).run(small.inputs())


def test_the_relay_ends_with_the_session(board: Agent) -> None:
    connection = connect(Way(board.address))
    assert not connection.lost
    connection.close()
    assert connection.lost
    with pytest.raises(EdgetuneError, match="ended"):
        connection.call("edgetune.clock")


def test_where_nothing_listens_a_line_says_so(tmp_path: Path) -> None:
    with pytest.raises(EdgetuneError, match="nothing listens at 127.0.0.1:1: `edgetune serve`"):
        connect(Way(Address("127.0.0.1", 1)))
    with pytest.raises(EdgetuneError, match="there is no host called"):
        connect(Way(Address("no-such-host.invalid", 1)))
