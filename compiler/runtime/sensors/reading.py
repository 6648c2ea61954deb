"""All sensors of a board at once, as the agent's protocol carries them (*sensors* in docs/agent-protocol.md)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

from compiler.runtime.sensors import nvml
from compiler.runtime.sensors.clocks import clocks
from compiler.runtime.sensors.hwmon import power
from compiler.runtime.sensors.rapl import Rapl
from compiler.runtime.sensors.thermal import temperatures
from compiler.runtime.sensors.throttling import Throttling

_LEAST_AVERAGE_SECONDS = 0.05


class Sensors:
    """The sensors under `root`. Keep it: power that is counted as energy is told as the average between readings."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._rapl = Rapl(root)
        self._throttling = Throttling(root)

    def read(self, wait: bool = True, slowed: Literal["any", "gpu"] = "any") -> dict[str, Any]:
        """All values now. With `wait`, up to 50 ms are spent so that power is an average of something.

        `throttled` is whether anything is slowed down, or with `slowed` "gpu" whether a GPU is, where one says so.
        """
        if wait and self._rapl.present and self._rapl.age < _LEAST_AVERAGE_SECONDS:
            time.sleep(_LEAST_AVERAGE_SECONDS - self._rapl.age)
        celsius, watts, clock_mhz = temperatures(self._root), power(self._root), clocks(self._root)
        watts.update(self._rapl.power())
        throttled, of_gpus = self._throttling.throttled(), []
        for gpu in nvml.gpu_readings() if self._root == Path("/") else []:
            for values, value in ((celsius, gpu.celsius), (watts, gpu.watts), (clock_mhz, gpu.clock_mhz)):
                if value is not None:
                    values[gpu.name] = value
            if gpu.throttled is not None:
                of_gpus.append(gpu.throttled)
        known = of_gpus if throttled is None or (slowed == "gpu" and of_gpus) else [throttled, *of_gpus]
        return {
            "time": time.time(),
            "celsius": celsius,
            "watts": watts,
            "clock_mhz": clock_mhz,
            "throttled": any(known) if known else None,
        }
