"""Power through a real measurement: a package on a machine whose counters are files that another thread moves."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import msgspec
import pytest

import targets
from compiler.bench.engine import PackageEngine
from compiler.bench.power.board import TOO_OLD, BoardMeter
from compiler.bench.power.external import ExternalMeter
from compiler.bench.power.meter import LocalMeter, choose
from compiler.bench.power.metering import Metering
from compiler.bench.power.power import Power, power_of, power_warnings, says
from compiler.bench.power.readings import COUNTED, INTEGRATED, Readings, readings_of
from compiler.bench.protocol import Measurement, Protocol, measure
from compiler.bench.run import bench
from compiler.errors import EdgetuneError
from compiler.package import Package
from compiler.runtime.sensors.energy import Energy
from compiler.runtime.sensors.files import read_int
from compiler.runtime.sensors.sampler import ChannelReport, EnergyReport
from compiler.runtime.sensors.total import Rail, Scope
from compiler.runtime.session import LocalSession
from compiler.runtime.timing import Window
from tests.runtime import small
from tests.runtime.sensors.trees import AGX_XAVIER, SERVER, plant
from tests.waiting import attempts

needs_cpu = pytest.mark.skipif(
    targets.why_not_run(targets.get(small.TARGET)) is not None, reason=f"this CPU cannot run {small.TARGET}"
)
# Short rounds that are still some samples long.
QUICK = Protocol(runs=4, seconds=0.5, rounds=2, warmup_runs=1, warmup_seconds=0.02)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return small.package(tmp_path_factory.mktemp("package"), verified=True)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages with memory beside one of them: their counters say 30 W each whenever they are read."""

    def read(path: Path) -> int | None:
        return int(30e6 * time.monotonic()) % 262_143_328_850 if path.name == "energy_uj" else read_int(path)

    monkeypatch.setattr("compiler.runtime.sensors.rapl.read_int", read)
    return plant(tmp_path, SERVER)


@needs_cpu
def test_a_result_has_the_power_of_its_own_windows(package: Package, server: Path) -> None:
    for attempt in attempts(0.0):  # a sampler that gets no processor reads too little
        with attempt:
            a_result_has_the_power_of_its_own_windows(package, server)


def a_result_has_the_power_of_its_own_windows(package: Package, server: Path) -> None:
    with LocalSession(1) as session:
        meter = LocalMeter(gpu=False, root=server, period=0.02)
        report = bench(session.load(package), [small.inputs()], threads=1, protocol=QUICK, meter=meter)
    (result,) = report.results
    power = result.power
    assert power is not None and power.reason is None, power
    assert result.watts == power.watts == pytest.approx(90.0, rel=0.01)
    assert result.images_per_s is not None and result.watts is not None
    assert result.images_per_s_per_w == pytest.approx(result.images_per_s / result.watts)
    assert (power.windows, power.of_windows) == (2, 2)
    assert power.seconds is not None and 0.5 <= power.seconds < 30
    assert power.joules == pytest.approx(power.watts * power.seconds)  # type: ignore[operator]
    assert power.uncertainty is not None and power.uncertainty < 0.1
    assert (power.source, power.covers) == ("RAPL package-0 + package-0 dram + package-1", "CPU and memory")
    assert result.power_source == says(power) and COUNTED in says(power)
    assert power.idle_watts == pytest.approx(90.0, rel=0.01) or power.idle_reason
    assert msgspec.json.decode(msgspec.json.encode(result), type=type(result)) == result


@needs_cpu
def test_without_a_sensor_there_is_no_figure_and_a_reason(package: Package, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with LocalSession(1) as session:
        meter = LocalMeter(gpu=False, root=tmp_path)
        protocol = Protocol(runs=3, seconds=0.0, rounds=1, warmup_seconds=0.0)
        report = bench(session.load(package), [small.inputs()], threads=1, protocol=protocol, meter=meter)
    (result,) = report.results
    assert (result.watts, result.images_per_s_per_w, result.power_source) == (None, None, None)
    assert result.power == Power(reason="no power sensor is readable here: no RAPL, NVML, INA or power meter")
    assert len(set(threading.enumerate()) - before) < 20


@needs_cpu
def test_windows_that_are_too_short_are_unresolved(package: Package, server: Path) -> None:
    with LocalSession(1) as session, Metering(LocalMeter(False, server), idle_seconds=0.1) as metering:
        engine = PackageEngine(session.load(package))
        protocol = Protocol(runs=2, seconds=0.0, rounds=2, warmup_runs=0, warmup_seconds=0.0)
        (power,) = metering.powers(measure([engine], small.inputs(), protocol, edges=metering.edges))
    assert power is not None and power.watts is None and power.of_windows == 2
    assert power.reason is not None and power.reason.startswith("unresolved in 2 of 2 windows: package-0: a window of")


def test_interleaved_windows_are_summed_for_each_engine_alone() -> None:
    energies = [Energy(10.0, 0.1), Energy(None, why="too short"), Energy(12.0, 0.1)]
    windows = [Window(0.0, 1.0, 0.0), Window(1.0, 1.2, 1.0), Window(2.0, 3.2, 2.0)]
    readings = Readings("RAPL package-0", "CPU", COUNTED, 0.05, energies)
    power = power_of(readings, list(zip(windows, energies, strict=True)), 3.0, None)
    assert power.watts == pytest.approx(10.0) and power.idle_watts == 3.0
    assert (power.windows, power.of_windows, power.uncertainty) == (2, 3, pytest.approx(0.2 / 22))
    short = power_of(readings, [(windows[1], energies[1]), (Window(0, 0.1, 0), Energy(1.0))], None, "busy")
    assert short.watts is None and short.reason is not None and "1 of 2 windows: too short" in short.reason
    assert power_warnings(power) == [] == power_warnings(None)
    vague = msgspec.structs.replace(power, uncertainty=0.12)
    assert power_warnings(vague) == [
        "the power is uncertain by 12%, since the sensor reads slowly: more --seconds make longer windows"
    ]
    nothing = power_of(readings, [(windows[0], Energy(0.0))], None, None)
    assert nothing.reason == "RAPL package-0 says that no energy was used"
    assert power_of(readings, [], None, None).reason == "the engine does not say when its runs ran"


def test_all_rails_of_a_board_count_together(tmp_path: Path) -> None:
    root = plant(tmp_path, AGX_XAVIER)
    for attempt in attempts(0.0):
        with attempt:
            all_rails_count_together(root)


def all_rails_count_together(root: Path) -> None:
    meter = LocalMeter(gpu=False, root=root, period=0.01)
    meter.start()
    assert meter.why is None and meter.edges is not None
    begin = meter.edges.begin()
    time.sleep(0.1)
    window = Window(begin, meter.edges.end(), time.time())
    readings = meter.stop([window])
    assert readings.windows[0].joules == pytest.approx(12.0 * (window.end - window.begin))
    assert (readings.source, readings.method) == ("ina3221x GPU + CPU + SOC + CV + VDDRQ + SYS5V", INTEGRATED)


def test_what_one_rail_cannot_resolve_the_sum_cannot() -> None:
    report = EnergyReport(
        0.05,
        [ChannelReport("a", "ina3221", False, 0.05), ChannelReport("b", "ina3221", False, None)],
        [[Energy(1.0), Energy(None, why="silent")], [Energy(1.0, 0.1), Energy(2.0, 0.2)]],
    )
    windows = readings_of(report, Scope("module", ("a", "b"))).windows
    assert windows == [Energy(None, why="b: silent"), Energy(3.0, pytest.approx(0.3))]


def test_the_gpus_power_is_not_the_cpus() -> None:
    rails = [Rail("package-0", "RAPL"), Rail("gpu0", "NVML")]
    assert choose(rails, "gpu0", True) == (Scope("GPU", ("gpu0",)), None)
    assert choose(rails, None, False) == (Scope("CPU", ("package-0",)), None)
    assert choose(rails, None, True) == (
        None,
        "no power sensor measures the GPU that computes; there are: package-0, gpu0",
    )
    assert choose([Rail("PPT", "amdgpu")], None, False)[1] == "no power sensor measures the CPU; there are: PPT"


class Broken(LocalMeter):
    """A meter whose `start` or `idle` fails."""

    def __init__(self, error: BaseException, at: str) -> None:
        super().__init__(gpu=False)
        self.error, self.at, self.closed = error, at, False

    def start(self) -> None:
        self.why = None
        if self.at == "start":
            raise self.error

    def idle(self, seconds: float) -> Window:
        raise self.error

    def close(self) -> None:
        self.closed = True


def test_a_meter_that_fails_does_not_stop_the_measurement() -> None:
    for at in ("start", "idle"):
        meter = Broken(EdgetuneError("the bus hangs"), at)
        with Metering(meter) as metering:
            assert metering.edges is None
            (power,) = metering.powers([Measurement("edgetune", (), "")])
        assert power is not None and power.watts is None and meter.closed
        assert power.reason == ("the bus hangs" if at == "start" else "nothing was sampled")


def test_ctrl_c_while_all_is_idle_ends_sampling() -> None:
    meter = Broken(KeyboardInterrupt(), "idle")
    with pytest.raises(KeyboardInterrupt), Metering(meter):
        pytest.fail("it was interrupted")
    assert meter.closed


def test_an_agent_that_cannot_tell_when_runs_begin_is_said_to_be_old() -> None:
    class Old:
        def has(self, name: str) -> bool:
            return False

    for meter in (BoardMeter(Old(), False), ExternalMeter(Path("m.csv"), board=Old())):  # type: ignore[arg-type]
        with Metering(meter) as metering:
            assert metering.edges is None
            (power,) = metering.powers([Measurement("edgetune", (), "")])
        assert power == Power(reason=TOO_OLD)
