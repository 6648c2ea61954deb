"""Figures as a person reads them."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from compiler.report import format as fmt
from compiler.report.output import Output


def test_figures() -> None:
    assert fmt.significant(None) is None
    assert [fmt.significant(value) for value in (0, 1, 12.345, 123.45, 1234.5)] == ["0", "1.00", "12.3", "123", "1234"]
    assert [fmt.significant(value) for value in (0.5, 0.0123, 0.00123, 1.2e-5, 3e9)] == [
        "0.500",
        "0.0123",
        "0.00123",
        "1.20e-05",
        "3.00e+09",
    ]
    assert fmt.milliseconds(0.0166) == "16.6"
    assert fmt.share(0.123) == "12.3 %"
    assert fmt.share(1.0) == "100.0 %"
    assert fmt.share(16.881) == "1688 %"
    assert [fmt.count(number, "task") for number in (0, 1, 2)] == ["0 tasks", "1 task", "2 tasks"]
    assert [
        fmt.size(count) for count in (0, 1023, 1024, 32768, (1 << 20) - 1, 1 << 20, 50_300_000, 3 << 39, 1 << 60)
    ] == [
        "0 B",
        "1023 B",
        "1 KiB",
        "32 KiB",
        "1 MiB",
        "1 MiB",
        "48 MiB",
        "1.5 TiB",
        "1048576 TiB",
    ]
    assert fmt.size(None) is None
    assert [fmt.span(seconds) for seconds in (0.2, 59.6, 185, 3725)] == ["0s", "1m00s", "3m05s", "1h02m"]
    assert fmt.shape((1, 3, 8, 8)) == "1x3x8x8"
    assert fmt.shape(()) == "scalar"


@given(st.floats(-1e300, 1e300))
def test_significant_is_near(value: float) -> None:
    shown = fmt.significant(value)
    assert shown is not None
    assert abs(float(shown) - value) <= 0.01 * abs(value)


def test_a_table_that_nobody_watches_is_plain_and_never_cut() -> None:
    out = io.StringIO()
    Output(out=out).table(("name", "n"), [("x" * 300, 1), ("[red]y[/red]", None)], right="n")
    lines = out.getvalue().splitlines()
    assert lines[0].split() == ["name", "n"]
    assert lines[1] == "x" * 300 + "  1"
    assert lines[2].startswith("[red]y[/red]")
    assert lines[2].endswith("-")
