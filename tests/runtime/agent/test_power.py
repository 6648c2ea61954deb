"""Energy on a board, measured by an agent of each kind: a stub of NVML says that its GPU takes 100 W all the time."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

import targets
from compiler.bench.engine import PackageEngine
from compiler.bench.power.board import BoardMeter
from compiler.bench.power.external import ExternalMeter
from compiler.bench.power.metering import Metering
from compiler.bench.power.readings import COUNTED
from compiler.bench.protocol import Protocol, measure
from compiler.errors import EdgetuneError
from compiler.package import Package
from compiler.runtime.rpc.address import Way
from compiler.runtime.rpc.session import RemoteSession
from tests.runtime import small
from tests.runtime.agent import agents
from tests.runtime.agent.agents import Agent, Kind
from tests.runtime.sensors import nvml_stub
from tests.waiting import attempts


@pytest.fixture(scope="module")
def board(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    if kind.name == "python":
        pytest.importorskip("pynvml")
    folder = tmp_path_factory.mktemp("nvml")
    nvml_stub.build(folder, gpus=1)
    with_gpu = dataclasses.replace(kind, environment={**kind.environment, "LD_LIBRARY_PATH": str(folder)})
    with agents.running(with_gpu) as made:
        yield made


def test_the_board_integrates_on_its_own_clock(board: Agent) -> None:
    for attempt in attempts(0.0):  # a board that gets no processor reads its sensors too seldom
        with attempt:
            the_board_integrates(board)


def the_board_integrates(board: Agent) -> None:
    with board.connect() as connection:
        told = json.loads(connection.call("edgetune.power.channels"))
        assert {"name": "gpu0", "sensor": "NVML", "counts": True} in told["channels"] and told["why"] is None
        with pytest.raises(EdgetuneError, match="there is no channel nothing"):
            connection.call("edgetune.power.start", json.dumps({"channels": ["nothing"]}))
        with pytest.raises(EdgetuneError, match="the period is no time"):
            connection.call("edgetune.power.start", json.dumps({"channels": ["gpu0"], "period": 0}))
        with pytest.raises(EdgetuneError, match="no power is sampled"):
            connection.call("edgetune.power.stop", "[]")
        with pytest.raises(EdgetuneError, match="no run was timed"):
            connection.call("edgetune.power.runs")
        started = json.loads(
            connection.call("edgetune.power.start", json.dumps({"channels": ["gpu0"], "period": 0.01}))
        )
        assert 0.01 <= started["period"] < 0.5
        begin = connection.call("edgetune.power.edge")
        time.sleep(0.4)
        end = connection.call("edgetune.power.edge")
        windows = [[begin, end], [begin - 1000, end], [begin, begin + 1e-4]]
        report = json.loads(connection.call("edgetune.power.stop", json.dumps(windows)))
        (whole,), (uncovered,), (short,) = report["windows"]
        assert abs(whole["joules"] - 100 * (end - begin)) <= whole["doubt"] + 2.0  # 20 ms: a busy machine
        assert uncovered == {"joules": None, "doubt": 0.0, "why": "the readings do not cover the window"}
        assert short["joules"] is None and "is shorter than" in short["why"]
        (channel,) = report["channels"]
        assert 0.005 < channel["interval"] < 0.2


@pytest.mark.parametrize("nonsense", ["", "{}", "[[1]]", '[["a", 2]]', "nonsense"])
def test_windows_that_are_none_are_refused(board: Agent, nonsense: str) -> None:
    with board.connect() as connection:
        connection.call("edgetune.power.start", json.dumps({"channels": ["gpu0"]}))
        with pytest.raises(EdgetuneError, match=r"edgetune.power.stop failed on the board"):
            connection.call("edgetune.power.stop", nonsense)
        assert connection.call("edgetune.power.edge") > 0, "the session goes on"


@pytest.mark.skipif(targets.why_not_run(targets.get(small.TARGET)) is not None, reason=f"no {small.TARGET}")
def test_power_of_a_package_on_the_board(board: Agent, tmp_path_factory: pytest.TempPathFactory) -> None:
    package = small.package(tmp_path_factory.mktemp("package"))
    for attempt in attempts(0.0):
        with attempt:
            power_of_a_package(board, package)


def power_of_a_package(board: Agent, package: Package) -> None:
    protocol = Protocol(runs=10, seconds=0.6, rounds=2, warmup_runs=2, warmup_seconds=0.02)
    with RemoteSession(Way(board.address), 1) as session:
        engine = PackageEngine(session.load(package))
        with Metering(BoardMeter(session.connection, gpu=True, period=0.02), idle_seconds=0.3) as metering:
            began = time.time()
            (measurement,) = measure([engine], small.inputs(), protocol, edges=metering.edges)
            ended = time.time()
            (power,) = metering.powers([measurement])
        assert power is not None and power.watts == pytest.approx(100.0, rel=0.1), power
        assert power.idle_watts == pytest.approx(100.0, rel=0.15)
        assert (power.source, power.covers, power.method) == ("NVML gpu0", "GPU", COUNTED)
        windows = [window for timing in measurement.rounds for window in timing.windows]
        # Exactly the counted runs, on the board's clock: what lies between calls is in no window.
        for timing in measurement.rounds:
            inside = sum(window.end - window.begin for window in timing.windows)
            assert sum(timing.seconds) <= inside * (1 + 1e-6)
            assert inside < 5 * sum(timing.seconds) + 0.05, "a run of this model takes microseconds"
        assert all(one.end <= other.begin for one, other in pairwise(windows))
        assert all(began - 0.1 < window.wall < ended + 0.1 for window in windows), "on this machine's time of day"
        # Without a meter nothing is asked of the board.
        assert measure([engine], small.inputs(), protocol)[0].rounds[0].windows == ()


@pytest.mark.skipif(targets.why_not_run(targets.get(small.TARGET)) is not None, reason=f"no {small.TARGET}")
def test_an_external_meter_on_a_board(board: Agent, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("package")
    package, path, began = small.package(folder), folder / "meter.csv", time.time()
    path.write_text("time,watts\n" + "".join(f"{began - 5 + k / 50:.3f},12.5\n" for k in range(20_000)))
    protocol = Protocol(runs=10, seconds=0.5, rounds=1, warmup_runs=2, warmup_seconds=0.02)
    with RemoteSession(Way(board.address), 1) as session:
        engine = PackageEngine(session.load(package))
        with Metering(ExternalMeter(path, board=session.connection), idle_seconds=0.1) as metering:
            (power,) = metering.powers(measure([engine], small.inputs(), protocol, edges=metering.edges))
        assert power is not None and power.watts == pytest.approx(12.5, rel=1e-4)
        assert power.idle_watts == pytest.approx(12.5, rel=1e-4)


def test_a_board_whose_cpu_has_no_sensor_says_which_there_are(board: Agent) -> None:
    with board.connect() as connection:
        meter = BoardMeter(connection, gpu=False)
        meter.start()
        if meter.edges is not None:
            meter.close()
            pytest.skip("this machine measures its CPU")
        assert meter.why is not None and meter.why.startswith("no power sensor measures the CPU; there are: ")


@pytest.mark.essential
def test_sampling_begins_and_ends_on_any_board(agent: Agent) -> None:
    with agent.connect() as connection:
        told = json.loads(connection.call("edgetune.power.channels"))
        assert bool(told["channels"]) == (told["why"] is None)
        connection.call("edgetune.power.start", json.dumps({"channels": [one["name"] for one in told["channels"]]}))
        first, second = (float(connection.call("edgetune.power.edge")) for _ in range(2))
        assert 0 < first < second
        report = json.loads(connection.call("edgetune.power.stop", json.dumps([[first, second]])))
        assert [one["name"] for one in report["channels"]] == [one["name"] for one in told["channels"]]
        assert len(report["windows"]) == 1 and len(report["windows"][0]) == len(told["channels"])
