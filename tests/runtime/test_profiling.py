"""From calls to kernels: what the instrument records, and what it means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from compiler.errors import EdgetuneError
from compiler.runtime.instrument import Recorded, RecordedRun, record_runs
from compiler.runtime.profiling import joined, summarise

ALLOC = "vm.builtin.alloc_storage"
GRAPH = "vm.builtin.cuda_graph.run_or_capture"


def recorded(*runs: list[tuple[int, int, int, int]], names: tuple[str, ...] = ("conv", ALLOC, "outer")) -> Recorded:
    return Recorded("host", list(names), [100] * len(names), [RecordedRun(1e9, 10_000, list(run)) for run in runs])


def test_medians_over_runs_slowest_first() -> None:
    profile = summarise(
        recorded(
            [(1, 0, 0, 10), (0, 0, 10, 1000), (2, 0, 1010, 5000), (0, 0, 6010, 1000)],
            [(1, 0, 0, 30), (0, 0, 10, 3000), (2, 0, 3010, 5000), (0, 0, 8010, 1000)],
            [(1, 0, 0, 20), (0, 0, 10, 1500), (2, 0, 1510, 6000), (0, 0, 7510, 1000)],
        )
    )
    found = [(kernel.name, kernel.calls, round(kernel.seconds * 1e9), kernel.bytes) for kernel in profile.kernels]
    assert found == [("outer", 1, 5000, 100), ("conv", 2, 2500, 100)]
    assert (round(profile.machine_seconds * 1e9), profile.seconds, profile.runs) == (20, pytest.approx(1e-5), 3)
    first = profile.timeline[0]
    assert [call.name for call in first.calls] == [ALLOC, "conv", "outer", "conv"]
    assert [call.kernel for call in first.calls] == [False, True, True, True]
    assert first.calls[2].start == pytest.approx(1.01e-6) and first.began == 1e9


def test_what_a_call_calls_itself_is_not_its_own_time() -> None:
    profile = summarise(recorded([(2, 0, 0, 5000), (0, 1, 100, 1000), (1, 2, 200, 300), (0, 1, 2000, 1000)]))
    assert {kernel.name: round(kernel.seconds * 1e9) for kernel in profile.kernels} == {"outer": 3000, "conv": 1700}
    assert round(profile.machine_seconds * 1e9) == 300


def test_a_graph_that_is_replayed_counts_as_kernels() -> None:
    profile = summarise(recorded([(0, 0, 0, 5000)], names=(GRAPH,)))
    assert [kernel.name for kernel in profile.kernels] == [GRAPH] and profile.machine_seconds == 0


def test_parts_become_one() -> None:
    parts = [recorded([(0, 0, 0, 10)], names=("a", "b")), recorded([(0, 0, 0, 20), (1, 0, 20, 5)], names=("b", "a"))]
    whole = joined(parts)
    assert (whole.names, [run.calls for run in whole.runs]) == (
        ["a", "b"],
        [[(0, 0, 0, 10)], [(1, 0, 0, 20), (0, 0, 20, 5)]],
    )


@pytest.mark.parametrize(
    "runs",
    [
        [],
        [[(3, 0, 0, 1)]],
        [[(-1, 0, 0, 1)]],
        [[(0, 1, 0, 1)]],
        [[(0, 0, -1, 1)]],
        [[(0, 0, 0, -1)]],
        [[(0, -1, 0, 1)]],
    ],
    ids=["none", "no name", "negative", "too deep", "before the run", "backwards", "above"],
)
def test_what_is_no_profile_is_refused(runs: list[list[tuple[int, int, int, int]]]) -> None:
    with pytest.raises(EdgetuneError, match="no profile"):
        summarise(recorded(*runs))


class Machine:
    """A virtual machine that makes a few calls, some within others."""

    def __init__(self) -> None:
        self.instrument: Callable[..., int] | None = None
        self.runs = 0

    def __getitem__(self, name: str) -> Callable[[Any], None]:
        assert name == "set_instrument"
        return lambda instrument: setattr(self, "instrument", instrument)

    def run(self) -> None:
        self.runs += 1
        self._call(ALLOC, lambda: None)
        self._call("outer", lambda: self._call("conv", lambda: None))

    def _call(self, name: str, what: Callable[[], None]) -> None:
        if self.instrument is not None:
            self.instrument(None, name, True, None)
        what()
        if self.instrument is not None:
            self.instrument(None, name, False, None)


class Events:
    """A device's events, a microsecond from one to the next."""

    def __init__(self) -> None:
        self.made = 0

    def record(self) -> int:
        self.made += 1
        return self.made

    def nanoseconds(self, first: int, last: int) -> int:
        return 1000 * (last - first)

    def reuse(self) -> None:
        self.made = 0


def test_two_runs_warm_up_and_the_rest_are_recorded() -> None:
    machine, synced = Machine(), []
    found = record_runs(machine, machine.run, lambda: synced.append(1), 3)
    assert machine.runs == 5 and len(found.runs) == 3 and found.clock == "host"
    assert found.names == [ALLOC, "outer", "conv"]
    for run in found.runs:
        assert [(number, depth) for number, depth, _, _ in run.calls] == [(0, 0), (1, 0), (2, 1)]
        starts = [start for _, _, start, _ in run.calls]
        assert starts == sorted(starts)
    summarise(found)
    assert len(synced) == 1 + 4 * 3, "once without an instrument; then after each kernel, and at the end of a run"


def test_kernels_have_the_devices_times() -> None:
    machine, synced = Machine(), []
    found = record_runs(machine, machine.run, lambda: synced.append(1), 2, warm_up=False, events=Events())
    assert found.clock == "device" and machine.runs == 2
    for run in found.runs:
        # beginning 1; outer 2 to 5; conv 3 to 4
        assert [call for call in run.calls if call[0]] == [(1, 0, 1000, 3000), (2, 1, 2000, 1000)]
    assert len(synced) == 2 * 2, "the queue is not emptied between kernels"
    assert {k.name: round(k.seconds * 1e9) for k in summarise(found).kernels} == {"outer": 2000, "conv": 1000}
