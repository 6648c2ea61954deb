"""Tuning on this machine's GPU, with the CPU in its place: who measures when, what is read beside it, what is measured
again; and candidates for GPUs that are really built. Nothing here has run on a GPU."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm

import targets
from compiler.cuda.cubins import cubins
from compiler.records.store import Store
from compiler.runtime.measure import candidate, device_clock
from compiler.tuning import gpu as gpu_tuning
from compiler.tuning.gpu import GpuRunner
from compiler.tuning.tune import Budget, list_tasks, tune
from compiler.tuning.workers import Pool
from targets import cuda_toolkit
from tests.tuning import libraries, models
from tests.waiting import attempts

NATIVE = targets.get("native", cores=1)
COLD = {"celsius": {"gpu0": 40.0, "cpu": 90.0}, "watts": {"gpu0": 100.0}, "clock_mhz": {"gpu0": 1980.0, "cpu0": 2000.0}}
needs_cuda = pytest.mark.skipif(
    any(cuda_toolkit.why_no_toolkit(arch) for arch in ("sm_53", "sm_90")), reason="the extra [cuda] is not installed"
)


class Sensors:
    """A GPU that is slowed down in its first `hot` readings."""

    def __init__(self, hot: int = 0) -> None:
        self.left = hot
        self.read = 0

    def __call__(self) -> Mapping[str, Any]:
        self.read += 1
        self.left -= 1
        return {**COLD, "throttled": self.left >= 0}


@pytest.fixture
def sensors() -> Sensors:
    return Sensors()


@pytest.fixture
def runner(sensors: Sensors, monkeypatch: pytest.MonkeyPatch) -> Iterator[GpuRunner]:
    monkeypatch.setattr(gpu_tuning, "_LOOK_SECONDS", 0.01)
    with GpuRunner(NATIVE, device="cpu", l2="warm", read=sensors) as made:
        made._machine._gpu = True  # its sensors are a GPU's
        yield made


def test_a_model_is_tuned(runner: GpuRunner, tmp_path: Path) -> None:
    model = models.convolutions(tmp_path)
    with Store(tmp_path / "store.sqlite") as store, Pool(1, 1) as builder:
        summary = tune(model, NATIVE, store=store, budget=Budget(trials=8), runner=runner, builder=builder)
        records = list(store.records())
    assert summary.trials == 8 and not summary.failed, summary.tasks
    assert {(r.provenance.celsius, r.provenance.clock_mhz, r.provenance.throttled) for r in records} >= {
        (90.0, 1980.0, False)
    }
    assert all(record.extra["l2"] == "warm" for record in records)
    [board] = summary.boards
    assert board.trials >= 8 and board.celsius == 40.0


class _Work:
    """As much of a task as a measurement asks for."""

    class state:  # noqa: N801
        best_seconds = None


def _trial(pool: Pool, folder: Path, name: str) -> Any:
    from compiler.tuning.work import Trial

    job = libraries.built(pool, folder, name)
    trial = Trial(_Work, None)  # type: ignore[arg-type]
    trial.library, trial.arguments, trial.weights = job["library"], job["arguments"], []
    return trial


def _measured(runner: GpuRunner, count: int) -> list[Any]:
    found: list[Any] = []
    deadline = time.monotonic() + 60
    while len(found) < count and time.monotonic() < deadline:
        found += runner.take(0.1)
    return found


def test_what_a_slow_gpu_measured_is_measured_again(runner: GpuRunner, sensors: Sensors, tmp_path: Path) -> None:
    with Pool(1, 1) as pool:
        trial = _trial(pool, tmp_path, "hot")
    sensors.left = 3  # the measurement, then two looks whether it is over
    runner.submit(trial)
    [measured] = _measured(runner, 1)
    assert measured.outcome.value and measured.trial.provenance.throttled is False
    assert sensors.read == 5
    assert ["slowed down" in line for line in runner.notices()] == [True]
    assert not Path(trial.library).exists()


def test_a_gpu_that_stays_slow_is_measured_as_it_is(
    runner: GpuRunner, sensors: Sensors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_tuning, "COOL_SECONDS", 0.02)
    with Pool(1, 1) as pool:
        trial = _trial(pool, tmp_path, "slow")
    sensors.left = 1000
    runner.submit(trial)
    [measured] = _measured(runner, 1)
    assert measured.outcome.value and measured.trial.provenance.throttled is True
    assert ["slowed down" in line for line in runner.notices()] == [True, True]


def test_a_gpu_that_is_slow_for_good_is_waited_for_once(
    runner: GpuRunner, sensors: Sensors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_tuning, "COOL_SECONDS", 0.02)
    with Pool(1, 1) as pool:
        trials = [_trial(pool, tmp_path, f"slow{number}") for number in range(3)]
    sensors.left = 1000
    runner.submit(trials[0])
    _measured(runner, 1)
    for left in (1000, 0):  # still slow, then not any more
        sensors.left, sensors.read = left, 0
        runner.submit(trials[1 if left else 2])
        [measured] = _measured(runner, 1)
        assert measured.outcome.value and measured.trial.provenance.throttled is bool(left)
        assert sensors.read == 1
    assert not runner._slow_for_good


def test_what_slows_the_cpus_down_does_not_slow_the_gpu_down(monkeypatch: pytest.MonkeyPatch) -> None:
    from compiler.records.provenance import ThisMachine
    from compiler.runtime.sensors import nvml

    machine = ThisMachine(NATIVE)
    monkeypatch.setattr(machine._sensors._throttling, "throttled", lambda: True)
    monkeypatch.setattr(nvml, "gpu_readings", lambda: [nvml.GpuReading("gpu0", 40.0, 100.0, 1980.0, False)])
    assert machine.readings()["throttled"] is True
    machine._gpu = True
    assert machine.readings()["throttled"] is False


def test_a_process_in_which_the_gpu_failed_measures_nothing_else(runner: GpuRunner, tmp_path: Path) -> None:
    with Pool(1, 1) as pool:
        trials = [_trial(pool, tmp_path, f"one{number}") for number in range(4)]
    trials[1].library = str(tmp_path / "none.so")
    trials[2].library = str(tmp_path / "cudaErrorIllegalAddress.so")  # the error names it
    good, alive = [], []
    for trial in trials:
        runner.submit(trial)
        [measured] = _measured(runner, 1)
        good.append(measured.outcome.error is None)
        process = runner._pool.workers[0].process
        alive.append(process is not None and process.poll() is None)
    assert good == [True, False, False, True]
    assert alive == [True, True, False, True]


def test_it_measures_while_others_build(runner: GpuRunner, tmp_path: Path) -> None:
    assert runner.overlaps
    with Pool(1, 1) as pool:
        trials = [_trial(pool, tmp_path, f"many{number}") for number in range(3)]
        for trial in trials:
            runner.submit(trial)
        libraries.built(pool, tmp_path, "meanwhile")
        assert {id(m.trial) for m in _measured(runner, 3)} == {id(trial) for trial in trials}
    runner.submit(trials[0])
    runner.cancel()


class Events:
    """A device's events, by the host's clock."""

    def __init__(self) -> None:
        self.marks = 0

    def record(self) -> int:
        self.marks += 1
        return time.perf_counter_ns()

    def nanoseconds(self, first: int, last: int) -> int:
        return last - first

    def reuse(self) -> None:
        self.marks = 0


def test_calls_are_timed_by_the_devices_events_and_the_flush_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for attempt in attempts(0.0):
        with attempt:
            events, order = Events(), []
            clock = device_clock.DeviceClock(tvm.cpu(), events, 1 << 20)
            flush = {"copyto": lambda self, to, order=order: order.append("flush") or time.sleep(0.02)}
            clock._scratch[0] = type("Scratch", (), flush)()
            seconds = clock.seconds(lambda *arguments, order=order: order.append("call"), [[1], [2], [3]])
            assert order == ["flush", "call"] * 3 and events.marks == 6
            assert 0 <= seconds < 0.01
    plain = device_clock.DeviceClock(tvm.cpu(), events, 0)
    assert plain.seconds(lambda *arguments: time.sleep(0.005), [[1]]) >= 0.005


def test_a_repeat_counts_what_the_flush_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = device_clock.DeviceClock(tvm.cpu(), Events(), 1 << 20)
    assert clock.flush_seconds > 0.0
    assert device_clock.DeviceClock(tvm.cpu(), Events(), 0).flush_seconds == 0.0
    clock.flush_seconds = 0.01
    called: list[int] = []
    monkeypatch.setattr(clock, "seconds", lambda function, calls: called.append(len(list(calls))) or 1e-6)
    output = tvm.runtime.tensor(np.zeros(1, "float32"))
    arguments = [((1,), "float32")]
    candidate._measure(lambda *given: None, [[output]], arguments, 2, 0.05, None, "cpu", clock)
    assert called == [1, 4, 4]


def test_the_cache_is_really_overwritten() -> None:
    clock = device_clock.DeviceClock(tvm.cpu(), Events(), 1 << 20)
    assert clock._scratch[0].numpy().nbytes * 2 == 1 << 20
    clock.seconds(lambda *arguments: None, [[]])


def test_a_measurement_asks_the_devices_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []

    def clock(kind: str, flush: bool) -> device_clock.DeviceClock:
        asked.append((kind, flush))
        return device_clock.DeviceClock(tvm.cpu(), Events(), 0)

    monkeypatch.setattr(candidate, "device_clock", clock)
    with Pool(1, 1) as pool:
        job = libraries.built(pool, tmp_path, "clocked")
    assert len(candidate.measure(**{**job, "repeats": 2, "l2": "flush"})) == 2
    assert len(candidate.measure(**{**job, "repeats": 2, "l2": "rotate"})) == 2
    assert asked == [("cpu", True), ("cpu", False)]


def test_without_events_the_hosts_clock_must_do() -> None:
    assert device_clock.device_clock("cpu", True) is None


@needs_cuda
@pytest.mark.parametrize(("name", "precision"), [("jetson-tx1", "fp32"), ("cuda-sm90", "fp16")])
def test_candidates_are_built_for_gpus(name: str, precision: str, tmp_path: Path) -> None:
    from compiler.graph.scheduling import hardware_of
    from compiler.tuning.search import Search
    from compiler.tuning.tune import expand

    target, model = targets.get(name), models.convolutions(tmp_path)
    expanded = expand(model, target, precision)
    tasks = list_tasks(model, target, precision)
    assert [task.hash for task in tasks] == list(expanded.tasks)
    jobs = []
    for number, task in enumerate(expanded.tasks.values()):
        search = Search(task, target.to_tvm(), hardware_of(target), 0)
        search.start([], frozenset())
        for candidate_ in [search.default(), *search.propose(2)]:
            path = tmp_path / f"{number}-{len(jobs)}.so"
            jobs.append({"module": candidate_.module, "target": target.config(), "library": str(path)})
    with Pool(2, 1) as pool:
        outcomes = pool.map("build", jobs, 60)
    assert not [outcome.error for outcome in outcomes if outcome.error]
    for outcome in outcomes:
        [cubin] = cubins(Path(outcome.value[0]).read_bytes())
        assert cubin.arch == target.options["arch"]


@needs_cuda
def test_a_candidate_that_cannot_be_launched_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from compiler.cuda import checks
    from compiler.errors import EdgetuneError
    from compiler.graph.scheduling import hardware_of
    from compiler.tuning.search import Search
    from compiler.tuning.tune import expand
    from compiler.tuning.worker.build import build

    target = targets.get("cuda-sm90")
    task = next(iter(expand(models.convolutions(tmp_path), target).tasks.values()))
    module = Search(task, target.to_tvm(), hardware_of(target), 0, None).default().module
    monkeypatch.setattr(checks, "MAX_REGISTERS", 2)
    with pytest.raises(EdgetuneError, match="registers a thread"):
        build(module, target.config(), str(tmp_path / "x.so"))
