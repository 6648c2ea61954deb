"""What an agent's functions return, of every kind the same."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import targets
from compiler.errors import EdgetuneError
from compiler.runtime.rpc.connect import Connection
from compiler.runtime.rpc.identity import board_fingerprint, board_target
from compiler.tuning.worker.build import build
from tests.runtime.agent.agents import Agent, Kind
from tests.tuning import libraries

NEVER_A_NUMBER = "te.log(0 - x * x - 1)"


@pytest.fixture(scope="module")
def connection(agent: Agent) -> Iterator[Connection]:
    """A session that the tests of this module share; none of them may spoil it."""
    with agent.connect() as made:
        yield made


@pytest.fixture(scope="module")
def kernels(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Libraries with a kernel `main` on four floats, by formula."""
    folder = tmp_path_factory.mktemp("kernels")
    built = {}
    for number, formula in enumerate(("x + 1", NEVER_A_NUMBER, "te.sqrt(x)")):
        path = folder / f"kernel{number}.so"
        job = {**libraries.build_job(folder, formula=formula), "target": targets.get(kind.target).config()}
        build(**{**job, "library": str(path)})
        built[formula] = path
    return built


def measured(connection: Connection, library: Path, **changes: Any) -> list[float]:
    connection.remote.upload(str(library))
    job = {**libraries.measure_job(Path(library.name)), "threads": 1, **changes}
    return list(json.loads(connection.call("edgetune.measure", json.dumps(job)))["seconds"])


@pytest.mark.essential
def test_identity_is_what_targets_need(kind: Kind, connection: Connection) -> None:
    identity = connection.identity
    assert identity.agent == ("python" if "python" in kind.name else "native")
    assert identity.tvm == targets.tvm_version()
    assert identity.memory_bytes is not None and identity.memory_bytes > 1 << 28
    target = board_target(identity)
    if kind.triple is None:
        assert target == targets.get("native")
        assert board_fingerprint(identity, target) == targets.fingerprint(target)
    raw = json.loads(connection.call("edgetune.identity"))
    assert {"schema", "agent", "version", "cpuinfo", "cores", "glibc", "kernel", "caches", "board", "gpu"} <= set(raw)
    assert {"power_mode", "governor", "machine", "tvm", "memory_bytes"} <= set(raw)
    assert raw["schema"] == 1 and set(raw["caches"]) == {"l1d", "l2", "l3"}


@pytest.mark.essential
def test_sensors_say_what_they_read_and_nothing_that_they_do_not(connection: Connection) -> None:
    sensors = json.loads(connection.call("edgetune.sensors"))
    assert set(sensors) == {"time", "celsius", "watts", "clock_mhz", "throttled"}
    assert abs(sensors["time"] - time.time()) < 60
    for name in ("celsius", "watts", "clock_mhz"):
        assert all(isinstance(value, float | int) and value != 0 for value in sensors[name].values())


@pytest.mark.essential
def test_files_in_parts_and_their_checksum(connection: Connection) -> None:
    parts = [b"a" * 100_000, b"\x00\xff" * 5, b"b"]
    assert [int(connection.call("edgetune.append", "file", bytearray(part))) for part in parts] == [
        100_000,
        100_010,
        100_011,
    ]
    expected = hashlib.sha256(b"".join(parts)).hexdigest()
    assert str(connection.call("edgetune.sha256", "file")) == expected
    path = str(connection.call("tvm.rpc.server.workpath", "file"))
    assert path.startswith("/") and str(connection.call("edgetune.sha256", path)) == expected
    assert bytes(connection.remote.download("file")) == b"".join(parts)
    connection.call("tvm.rpc.server.remove", "file")
    with pytest.raises(EdgetuneError, match="file"):
        connection.call("edgetune.sha256", "file")
    connection.call("edgetune.append", "empty", bytearray())
    assert str(connection.call("edgetune.sha256", "empty")) == hashlib.sha256(b"").hexdigest()


@pytest.mark.essential
def test_files_that_follow_the_call(connection: Connection, tmp_path: Path) -> None:
    """Past TVM, whose own packets go on after them."""
    data = bytes(range(256)) * 9000
    path = tmp_path / "file"
    path.write_bytes(data)
    assert connection.send_file(path, 0, 1_000_000, "sent/file") == 1_000_000
    assert connection.send_file(path, 1_000_000, len(data) - 1_000_000, "sent/file") == len(data)
    assert str(connection.call("edgetune.sha256", "sent/file")) == hashlib.sha256(data).hexdigest()
    assert connection.send_file(path, 0, 0, "sent/empty") == 0
    # Where the disk refuses, what follows is read all the same.
    with pytest.raises(EdgetuneError, match="sent"):
        connection.send_file(path, 0, len(data), "sent")
    assert abs(float(connection.call("edgetune.clock")) - time.time()) < 60
    # What was announced and never asked for is left out.
    connection._relay.send_file(path, 0, 5)
    assert connection.send_file(path, 0, 7, "sent/other") == 7
    with pytest.raises(EdgetuneError):
        connection.call("edgetune.receive", "sent/other", -1, "")


def test_the_clock_is_the_boards(connection: Connection) -> None:
    first, second = (float(connection.call("edgetune.clock")) for _ in range(2))
    assert first <= second and abs(second - time.time()) < 60


def test_cooling_down_ends(connection: Connection) -> None:
    for celsius in (500.0, -200.0):
        answer = json.loads(connection.call("edgetune.cool_down", celsius, 0.3))
        assert set(answer) == {"celsius", "waited", "reached"}
        assert answer["reached"] is (answer["celsius"] is None or answer["celsius"] <= celsius)


@pytest.mark.essential
def test_a_kernel_is_measured(connection: Connection, kernels: dict[str, Path]) -> None:
    seconds = measured(connection, kernels["x + 1"], repeats=3)
    assert len(seconds) == 3 and min(seconds) > 0 and min(seconds) < 0.1
    assert all(value > 0 for value in measured(connection, kernels["te.sqrt(x)"], weights=[0]))


def test_a_library_that_is_sent_anew_under_its_name_is_the_one_that_is_measured(
    connection: Connection, kernels: dict[str, Path], tmp_path: Path
) -> None:
    """The system's loader knows libraries by name, and a file that is mapped must not be written over."""
    same = tmp_path / "same.so"
    same.write_bytes(kernels["x + 1"].read_bytes())
    assert measured(connection, same)
    same.write_bytes(kernels[NEVER_A_NUMBER].read_bytes())
    with pytest.raises(EdgetuneError, match="the output holds NaN"):
        measured(connection, same)
    connection.call("tvm.rpc.server.remove", "same.so")
    same.write_bytes(kernels["te.sqrt(x)"].read_bytes())
    assert measured(connection, same)


def test_a_slow_kernel_is_given_up(connection: Connection, kernels: dict[str, Path]) -> None:
    assert len(measured(connection, kernels["x + 1"], repeats=5, give_up=1e-12)) == 1


@pytest.mark.essential
def test_an_output_that_is_never_a_number_is_an_error(connection: Connection, kernels: dict[str, Path]) -> None:
    with pytest.raises(EdgetuneError, match="the output holds NaN"):
        measured(connection, kernels[NEVER_A_NUMBER])
    assert measured(connection, kernels["x + 1"]), "the session goes on"


def test_what_is_no_job_is_an_error(connection: Connection, kernels: dict[str, Path]) -> None:
    for text in ("", "[]", "{}", '{"library": 5, "arguments": []}', "[" * 10_000, '{"library": "x.so"'):
        with pytest.raises(EdgetuneError):
            connection.call("edgetune.measure", text)
    with pytest.raises(EdgetuneError):
        measured(connection, kernels["x + 1"], threads=100_000)
    with pytest.raises(EdgetuneError):
        measured(connection, kernels["x + 1"], arguments=[((4,), "no type"), ((4,), "float32")])
    with pytest.raises(EdgetuneError):
        connection.call("edgetune.measure", json.dumps(libraries.measure_job(Path("missing.so"))))
    assert measured(connection, kernels["x + 1"]), "the session goes on"


def test_an_archive_of_objects_is_refused(connection: Connection) -> None:
    connection.call("edgetune.append", "objects.tar", bytearray(b"data"))
    with pytest.raises(Exception, match="objects.tar"):
        connection.remote.load_module("objects.tar")
