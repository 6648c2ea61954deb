"""A GPU's own events, which say when its kernels began and ended, by CUDA's driver.

TVM has them only within a timer of its own, which times one function; the kernels of a model are not called one by one.
"""

from __future__ import annotations

import ctypes

from compiler.errors import EdgetuneError

_DRIVER = "libcuda.so.1"


class CudaEvents:
    """See `compiler.runtime.instrument.DeviceEvents`. For the thread whose GPU is in use, and its default queue.

    An event is 0.5 microseconds fine, and costs the queue one or two.
    """

    def __init__(self, driver: str = _DRIVER) -> None:
        """Raises EdgetuneError where there is no driver."""
        try:
            self._driver = ctypes.CDLL(driver)
            for name in ("cuEventCreate", "cuEventRecord", "cuEventSynchronize", "cuEventElapsedTime"):
                getattr(self._driver, name).restype = ctypes.c_int
        except (OSError, AttributeError) as error:
            raise EdgetuneError(f"there is no CUDA driver: {error}") from None
        self._made: list[ctypes.c_void_p] = []
        self._used = 0

    def record(self) -> ctypes.c_void_p:
        """Put an event at the end of the queue. Raises EdgetuneError where the driver refuses."""
        if self._used == len(self._made):
            event = ctypes.c_void_p()
            self._must(self._driver.cuEventCreate(ctypes.byref(event), ctypes.c_uint(0)), "make an event")
            self._made.append(event)
        event = self._made[self._used]
        self._used += 1
        self._must(self._driver.cuEventRecord(event, ctypes.c_void_p()), "record an event")
        return event

    def nanoseconds(self, first: ctypes.c_void_p, last: ctypes.c_void_p) -> int:
        """From one event to another; waits for the latter."""
        milliseconds = ctypes.c_float()
        self._must(self._driver.cuEventSynchronize(last), "wait for an event")
        self._must(self._driver.cuEventElapsedTime(ctypes.byref(milliseconds), first, last), "read an event")
        return max(0, round(milliseconds.value * 1e6))

    def reuse(self) -> None:
        """Take the events made so far again: the driver keeps them until the process ends."""
        self._used = 0

    def _must(self, status: int, what: str) -> None:
        if status != 0:
            raise EdgetuneError(f"the GPU's driver could not {what}: error {status}")


def events_of(kind: str) -> CudaEvents | None:
    """Events of a device of this kind (`cpu`, `cuda`); None where it has none, and the host's clock must do."""
    if kind != "cuda":
        return None
    try:
        return CudaEvents()
    except EdgetuneError:
        return None
