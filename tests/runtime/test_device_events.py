"""A GPU's events, by a driver that has a clock of its own: no GPU is at hand."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from compiler.errors import EdgetuneError
from compiler.runtime.device_events import CudaEvents, events_of
from targets.toolchain import linker_command

# Each record is 2.5 us after the one before; events that were never recorded are an error.
_DRIVER = """
#include <stdlib.h>
static float now;
int cuEventCreate(void** event, unsigned flags) {
  float* made = malloc(sizeof *made);
  *made = -1;
  *event = made;
  return flags;
}
int cuEventRecord(void* event, void* stream) { *(float*)event = now += 0.0025f; return stream != 0; }
int cuEventSynchronize(void* event) { return *(float*)event < 0 ? 600 : 0; }
int cuEventElapsedTime(float* ms, void* first, void* last) { *ms = *(float*)last - *(float*)first; return 0; }
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> str:
    command = linker_command()
    if command is None:
        pytest.skip("no C compiler for the driver that stands in")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "driver.c").write_text(_DRIVER)
    library = folder / "libdriver.so"
    subprocess.run([*command, "-shared", "-fPIC", "-x", "c", str(folder / "driver.c"), "-o", str(library)], check=True)
    return str(library)


def test_events_carry_the_devices_time(driver: str) -> None:
    events = CudaEvents(driver)
    marks = [events.record() for _ in range(4)]
    assert [events.nanoseconds(marks[0], mark) for mark in marks] == pytest.approx([0, 2500, 5000, 7500], abs=2)
    events.reuse()
    assert [events.record() for _ in range(4)] == marks, "they are made once"
    assert events.nanoseconds(marks[3], marks[0]) == 0, "never negative"


def test_what_the_driver_refuses_is_one_line(driver: str) -> None:
    events = CudaEvents(driver)
    first = events.record()
    events._must(events._driver.cuEventCreate(_pointer := _new(), 0), "make an event")
    with pytest.raises(EdgetuneError, match="could not wait for an event: error 600"):
        events.nanoseconds(first, _pointer.contents)


def _new() -> object:
    import ctypes

    return ctypes.pointer(ctypes.c_void_p())


def test_where_there_are_none(tmp_path: Path) -> None:
    assert events_of("cpu") is None
    with pytest.raises(EdgetuneError, match="there is no CUDA driver"):
        CudaEvents(str(tmp_path / "libcuda.so.1"))
