"""A profile as a trace: the fields that Chrome's trace-event format asks for, and calls in order on their tracks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compiler.bench.peak import Peak
from compiler.bench.profile import Profiled, report
from compiler.bench.trace import BEGINS, KERNELS, MACHINE, RUNS, Traced, trace, write_trace
from compiler.errors import EdgetuneError
from compiler.packaging.manifest import KernelWork
from compiler.report.bench import show_profile
from compiler.report.output import Output
from compiler.runtime.instrument import GRAPH, Recorded, RecordedRun
from compiler.runtime.profiling import summarise

ALLOC = "vm.builtin.alloc_storage"
CALLS = [(1, 0, 100, 200), (0, 0, 300, 5000), (2, 0, 5200, 1000), (0, 1, 5300, 500), (1, 0, 6300, 50)]
"""The second kernel begins before the first has ended, as a device's rounded clock may have it."""


def traced(label: str = "small", clock: str = "device") -> Traced:
    runs = [RecordedRun(1_000_000.0 + shift, 8000, CALLS) for shift in (0.0, 0.5, 0.2)]
    measured = summarise(Recorded(clock, ["conv", ALLOC, "outer"], [64, 0, 64], runs))
    work = {"conv": KernelWork(flops=1e6, bytes=1e4)}
    return Traced(label, "a CPU", Profiled(measured, report(measured, work, Peak(100.0, 10.0, 1, "assumed"))))


def test_every_event_has_the_fields_of_its_phase() -> None:
    made = json.loads(json.dumps(trace([traced(), traced("other")])))
    assert isinstance(made["traceEvents"], list) and made["displayTimeUnit"] in ("ms", "ns")
    for event in made["traceEvents"]:
        assert event["ph"] in ("X", "M") and isinstance(event["name"], str)
        assert isinstance(event["pid"], int) and isinstance(event["tid"], int)
        if event["ph"] == "X":
            assert isinstance(event["cat"], str)
            assert event["ts"] >= 0 and event["dur"] >= 0
        else:
            assert event["name"] in ("process_name", "thread_name", "thread_sort_index") and event["args"]
    names = {(e["pid"], e["args"]["name"]) for e in made["traceEvents"] if e["name"] == "process_name"}
    assert names == {(1, "small on a CPU"), (2, "other on a CPU")}
    assert len(made["otherData"]["began"]) == 2 and made["otherData"]["began"][0].startswith("1970-01-12T13:46:40")


def test_calls_are_in_order_on_their_tracks_and_within_their_run() -> None:
    events = [e for e in trace([traced()])["traceEvents"] if e["ph"] == "X"]
    runs = [e for e in events if e["tid"] == RUNS]
    assert [e["name"] for e in runs] == ["run 1", "run 2", "run 3"]
    assert (runs[0]["ts"], runs[0]["dur"], runs[1]["ts"]) == (0.0, 8.0, 500_000.0)
    assert runs[2]["ts"] >= runs[1]["ts"] + runs[1]["dur"], (
        "a clock that was set back does not put runs over each other"
    )
    kernels = [e for e in events if e["tid"] == KERNELS]
    assert [e["name"] for e in kernels] == ["conv", "outer", "conv"] * 3
    for run in range(3):
        outermost = [kernels[3 * run], kernels[3 * run + 1]]
        assert outermost[1]["ts"] >= outermost[0]["ts"] + outermost[0]["dur"] - 1e-3
        assert (
            runs[run]["ts"] <= outermost[0]["ts"] and outermost[1]["ts"] + outermost[1]["dur"] <= runs[run]["ts"] + 8.0
        )
    assert [e["name"] for e in events if e["tid"] == MACHINE] == [ALLOC] * 6


def test_a_kernel_has_its_figures_where_they_are_known() -> None:
    events = [e for e in trace([traced()])["traceEvents"] if e["ph"] == "X"]
    conv = next(e for e in events if e["name"] == "conv")
    assert conv["args"]["GFLOP/s"] == pytest.approx(2 * 1e6 / 5500, rel=1e-3)
    assert conv["args"]["of peak FLOP/s"] == pytest.approx(conv["args"]["GFLOP/s"] / 100)
    outer = next(e for e in events if e["name"] == "outer")
    assert "GFLOP/s" not in outer["args"] and "GB/s" in outer["args"]
    assert "args" not in next(e for e in events if e["name"] == ALLOC)


def test_the_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    for subjects in ([traced()], [traced(), traced("other", clock="host")]):
        write_trace(path, subjects)
        assert path.read_bytes().startswith(BEGINS)
        assert json.loads(path.read_text())["traceEvents"]
    assert [p.name for p in tmp_path.iterdir()] == ["t.json"]
    with pytest.raises(EdgetuneError, match="cannot write"):
        write_trace(tmp_path / "none" / "t.json", [traced()])


def test_a_graph_is_one_row_and_the_table_says_how_to_see_more(capsys: pytest.CaptureFixture[str]) -> None:
    calls = [(0, 0, 100, 5000)]
    measured = summarise(Recorded("device", [f"{GRAPH}run_or_capture"], [0], [RecordedRun(0.0, 6000, calls)]))
    show_profile(Output(), "small", report(measured, {}, "the peak of a GPU is not measured"))
    said = capsys.readouterr().out
    assert "--no-cuda-graph" in said and "the device's own clock" in said
    assert "peak: the peak of a GPU is not measured" in said and "GB/s" in said
