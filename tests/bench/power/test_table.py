"""The log of an external meter: what is read of it, and what is refused, with the line."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.bench.power.table import parse_time, read_log
from compiler.errors import EdgetuneError

NOON = datetime(2026, 11, 25, 12, 0, 0, tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-25T12:00:00Z", "2026-11-25 12:00:00z", "2026-11-25T12:00:00+00:00", "2026-11-25T14:00:00+02:00",
        "2026-11-25T17:30:00+0530", "2026-11-25T04:00:00.000-08:00", "2026-11-25T12:00:00.0Z",
        "2026-11-25T12:00:00,000000000Z", f"{NOON:.0f}", f"{NOON:.3f}", f"{NOON * 1000:.0f}",
    ],
)  # fmt: skip
def test_times_in_all_their_forms(text: str) -> None:
    assert parse_time(text) == NOON


def test_a_time_without_an_offset_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert parse_time("2026-11-25T21:00:00") == NOON
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.datetimes(min_value=datetime(1980, 1, 1), max_value=datetime(2100, 1, 1)), st.integers(-12 * 60, 14 * 60))
def test_what_python_writes_is_read(moment: datetime, minutes: int) -> None:
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_time(zoned.isoformat()) == zoned.timestamp()


@pytest.mark.parametrize("text", ["", "noon", "2026-13-01T00:00:00Z", "12:00:00", "-5", "1e9", "nan", "inf"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)


def log(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_columns_are_found_by_name_and_others_left_alone(tmp_path: Path) -> None:
    path = log(tmp_path / "meter.csv", f"\ufeffvolts, Time ,Watts\n230,{NOON},5.5\n\n230,{NOON + 1},6.5\n")
    found = read_log(path, offset=-2.0)
    assert (found.times, found.watts, found.period) == ([NOON - 2, NOON - 1], [5.5, 6.5], 1.0)


def test_semicolons_with_decimal_commas(tmp_path: Path) -> None:
    path = log(tmp_path / "meter.csv", f"time;watts\n{NOON:.0f};5,5\n{NOON + 1:.0f};6,25\n")
    assert read_log(path).watts == [5.5, 6.25]


def test_a_line_that_is_being_written_is_left_out_and_equal_times_are_one(tmp_path: Path) -> None:
    path = log(tmp_path / "meter.csv", f"time,watts\n{NOON},4\n{NOON},5\n{NOON},9\n{NOON + 1},7\n{NOON + 2},1")
    found = read_log(path)
    assert found.times == [NOON, NOON + 1] and found.watts == pytest.approx([6.0, 7.0])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it has no line with the columns time and watts"),
        ("when,watts\n", "meter.csv:1: the first line must name the columns time and watts"),
        (f"time,watts\n{NOON},5\nnoon,6\n", "meter.csv:3: this is no line with a time and watts: noon,6"),
        (f"time,watts\n{NOON}\n", "meter.csv:2: this is no line"),
        (f"time,watts\n{NOON},much\n", "meter.csv:2: this is no line"),
        (f"time,watts\n{NOON},-1\n", "meter.csv:2: -1 is no power in watts"),
        (f"time,watts\n{NOON},nan\n", "meter.csv:2: nan is no power in watts"),
        (f"time,watts\n{NOON},5\n\n{NOON - 1},5\n", "meter.csv:4: its time is before that of the line above"),
    ],
)
def test_what_is_no_log_is_refused_in_a_line(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(EdgetuneError) as raised:
        read_log(log(tmp_path / "meter.csv", text))
    assert reason in str(raised.value) and "\n" not in str(raised.value)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EdgetuneError, match=r"cannot read .*: No such file"):
        read_log(tmp_path / "none.csv")
    (tmp_path / "picture.csv").write_bytes(b"\xff\xd8\xff\xe0\n")
    with pytest.raises(EdgetuneError, match="it is no text"):
        read_log(tmp_path / "picture.csv")


@given(st.text(max_size=200))
def test_any_text_is_a_log_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"time,watts\n" + text.encode("utf-8", "surrogatepass"))
    try:
        found = read_log(path)
    except EdgetuneError as error:
        assert "\n" not in str(error)
    else:
        assert found.times == sorted(found.times)
