"""Lines made by somebody who knows edgetune (benchmarks/hostile_logs.py makes 2,000): read, and what passes applied."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import compiler
from benchmarks.hostile_logs import hostile_lines
from compiler.errors import EdgetuneError
from compiler.records.exchange.lines import read_line
from compiler.records.record import Record
from compiler.records.trust.admission import look

ROOT = Path(compiler.__file__).parents[1]
COUNT = 140


def test_hostile_lines_are_refused_or_looked_at_and_run_nothing(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    refused, traces = 0, {}
    for name, line in hostile_lines(COUNT, 7, canary, without=("zip_bomb",)):
        started = time.process_time()
        try:
            item = read_line(line)
        except EdgetuneError as error:
            assert str(error).isprintable(), name
            refused += 1
            continue
        finally:
            assert time.process_time() - started < 60, name
        if isinstance(item, Record):
            traces[item.trace_id] = item
    assert refused > COUNT / 2
    kernels = real_kernels({item.workload for item in traces.values()})
    jobs = [{"module": kernels[item.workload], "trace": item.trace} for item in traces.values()]
    reasons = look("examine", jobs)
    assert sum(reason is not None for reason in reasons) > len(reasons) / 2
    assert all(reason is None or reason.isprintable() for reason in reasons)
    assert not canary.exists()


def real_kernels(wanted: set[str]) -> dict[str, str]:
    from benchmarks.hostile_logs import real_lines
    from compiler.records.canonical import canonical_bytes

    found = [read_line(canonical_bytes(line)) for line in real_lines()[1] if line["hash"] in wanted]
    return {item[0].hash: item[0].ir for item in found if isinstance(item, tuple)}


def test_reading_loads_no_compiler(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from benchmarks.hostile_logs import hostile_lines
from compiler.records.exchange.lines import read_line
for _, line in hostile_lines(60, 3, Path("canary"), without=("zip_bomb",)):
    try:
        read_line(line)
    except Exception as error:
        assert type(error).__name__ == "EdgetuneError", error
assert not [name for name in sys.modules if name.split(".")[0] in ("tvm", "tvm_ffi")]
assert not Path("canary").exists()
"""
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
