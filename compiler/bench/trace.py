"""A profile as a trace: every call of every profiled run on a line of time, in Chrome's trace-event format.

Perfetto (ui.perfetto.dev) and chrome://tracing open it. Each package is a process of the trace, with a track for its
runs, one for its kernels and one for what the virtual machine does between them. Times are in microseconds since the
first run began.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from compiler.bench.profile import KernelRow, Profiled
from compiler.errors import EdgetuneError
from compiler.runtime.profiling import ProfiledRun

BEGINS = b'{"traceEvents":['
"""How every file of this kind begins."""

RUNS, KERNELS, MACHINE = 1, 2, 3
_TRACKS = {RUNS: "runs", KERNELS: "kernels", MACHINE: "virtual machine"}

Event = dict[str, Any]


@dataclass(frozen=True)
class Traced:
    """A profiled package: what it is called, the device that it ran on, its profile."""

    label: str
    device: str
    profiled: Profiled


def write_trace(path: Path, subjects: Sequence[Traced]) -> None:
    """Write the trace of `subjects` to `path`, in place of what is there. Raises EdgetuneError if the disk refuses."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        part.write_bytes(msgspec.json.encode(trace(subjects)))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise EdgetuneError(f"cannot write {path}: {error.strerror or error}") from None


def trace(subjects: Sequence[Traced]) -> dict[str, Any]:
    """The trace as JSON has it: `traceEvents` first, then what is known of the whole."""
    events = [event for number, subject in enumerate(subjects, 1) for event in _process(number, subject)]
    began = [subject.profiled.measured.timeline[0].began for subject in subjects if subject.profiled.measured.timeline]
    return {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {"began": [datetime.fromtimestamp(t, timezone.utc).isoformat() for t in began]},
    }


def _process(pid: int, subject: Traced) -> Iterator[Event]:
    measured, report = subject.profiled.measured, subject.profiled.report
    yield _metadata("process_name", pid, 0, name=f"{subject.label} on {subject.device}")
    for tid, name in _TRACKS.items():
        if tid == KERNELS:
            name += " (the device's clock)" if measured.clock == "device" else " (the host's clock)"
        yield _metadata("thread_name", pid, tid, name=name)
        yield _metadata("thread_sort_index", pid, tid, sort_index=tid)
    rows = {row.name: row for row in report.rows}
    ends = 0.0
    for number, run in enumerate(measured.timeline, 1):
        # Clocks of day may be set meanwhile; runs follow one another all the same.
        begins = max(ends, (run.began - measured.timeline[0].began) * 1e6)
        ends = begins + run.seconds * 1e6
        yield _complete(f"run {number}", "run", begins, ends, pid, RUNS)
        yield from _calls(run, begins, rows, pid)


def _calls(run: ProfiledRun, begins: float, rows: dict[str, KernelRow], pid: int) -> Iterator[Event]:
    reached = {KERNELS: begins, MACHINE: begins}
    for call in run.calls:
        tid = KERNELS if call.kernel else MACHINE
        start = begins + call.start * 1e6
        end = start + call.seconds * 1e6
        if call.depth == 0:
            # A device's events are half a microsecond fine: neighbours may seem to overlap.
            start = max(start, reached[tid])
            end = max(start, end)
            reached[tid] = end
        yield _complete(call.name, "kernel" if call.kernel else "machine", start, end, pid, tid, rows.get(call.name))


def _complete(
    name: str, category: str, start: float, end: float, pid: int, tid: int, row: KernelRow | None = None
) -> Event:
    """A complete event; that of a kernel has what its row says of it, where that is known."""
    event: Event = {
        "name": name,
        "cat": category,
        "ph": "X",
        "ts": (began := round(start, 3)),
        "dur": round(round(end, 3) - began, 3),
        "pid": pid,
        "tid": tid,
    }
    if row is not None:
        figures = {
            "GFLOP/s": row.gflops,
            "GB/s": row.gb_s,
            "of peak FLOP/s": row.of_peak_flops,
            "of peak bandwidth": row.of_peak_bandwidth,
            "of the kernels' time": row.share,
        }
        event["args"] = {what: value for what, value in figures.items() if value is not None}
    return event


def _metadata(kind: str, pid: int, tid: int, **args: Any) -> Event:
    return {"name": kind, "ph": "M", "pid": pid, "tid": tid, "args": args}
