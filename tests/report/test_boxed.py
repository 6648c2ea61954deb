"""Tables on terminals of 80 columns and fewer: nothing is wider, figures are whole, what is left out is said."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from compiler.report.boxed import boxed
from compiler.report.output import Output
from compiler.report.tuning import COLUMNS, SPARE, TuneProgress
from compiler.tuning.state import TaskState, TuneState

LATENCIES = ("mean ms", "p50 ms", "p90 ms", "p99 ms", "min ms", "max ms", "cv", "images/s")
BENCH = ("model", "batch", "engine", "precision", *LATENCIES, "verified")


class Terminal(io.StringIO):
    """A stream that says that a person is watching it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture()
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")


def drawn(width: int, *arguments: object, **options: object) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(boxed(*arguments[:2], width, **options))  # type: ignore[arg-type]
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= width
    return [line.rstrip() for line in lines]


def bench_row(engine: str) -> list[str]:
    return ["squeezenet", "1", engine, "fp32", *["12.3"] * 6, "45.0 %", "41.4", "yes"]


def test_results_of_a_benchmark_fit_80_columns() -> None:
    rows = [bench_row("edgetune"), bench_row("onnxruntime")]
    text = drawn(80, BENCH, rows, right=("batch", *LATENCIES))
    assert "model squeezenet" in text[0]
    (line,) = [line for line in text if "onnxruntime" in line]
    assert line.split() == ["onnxruntime", *["12.3"] * 6, "45.0", "%", "41.4", "yes"]
    wide = drawn(140, BENCH, rows, right=("batch", *LATENCIES))
    assert [line.split()[:2] for line in wide[3:5]] == [["squeezenet", "1"]] * 2


def test_spare_columns_are_left_out_and_named() -> None:
    name = "fused_conv2d_winograd_add2_relu2_into"
    rows = [[name, "2", "12.3", "0.213", "43.1", "26.6 %", "12", "34"]]
    text = drawn(80, COLUMNS, rows, right=COLUMNS[1:], spare=SPARE)
    assert text[-1] == "a wider terminal also shows: failed"
    assert all(cell in "\n".join(text) for cell in rows[0][1:-1])
    assert text[1:3] == ["", ""] or "untuned" in text[0]


def test_a_terminal_narrower_than_the_figures_still_gets_a_table() -> None:
    assert drawn(30, BENCH, [bench_row("edgetune"), bench_row("openvino")], right=("batch", *LATENCIES))


def test_facts_go_on_below_their_beginning(narrow: None) -> None:
    out = Terminal()
    Output(out=out).facts({"verified": "word " * 30, "sha": "f" * 100})
    lines = out.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines[:-1])
    assert lines[1].startswith(" " * len("  verified  ") + "word")
    assert lines[-1].endswith("f" * 100), "what may be copied is not broken"


def test_progress_of_many_tasks_fits_a_terminal_and_keeps_its_last_line(narrow: None) -> None:
    err = Terminal()
    output = Output(err=err)
    tasks = [TaskState(index=i, name=f"fused_conv2d{i}_add_relu", hash=f"{i:016x}", calls=1) for i in range(40)]
    progress = TuneProgress(output, "squeezenet batch 1 fp32")
    with output.progress_console.capture() as captured:
        output.progress_console.print(progress._picture(TuneState(tasks=tasks, trials=7, phase="measuring")))
    lines = captured.get().splitlines()
    assert len(lines) < 24
    assert any(line.startswith("26 smaller tasks") for line in lines) or "smaller tasks" in lines[-2]
    assert "measuring" in lines[-1]
    assert "fused_conv2d3_add_relu" in "\n".join(lines), "names are whole"
