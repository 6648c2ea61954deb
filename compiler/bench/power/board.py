"""A board's meter: its own sensors, sampled and integrated by the agent, on the board's clock."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from compiler.bench.power.meter import Clock, choose
from compiler.bench.power.readings import Readings, readings_of
from compiler.errors import EdgetuneError
from compiler.runtime.rpc.connect import Connection
from compiler.runtime.sensors.nvml import SENSOR
from compiler.runtime.sensors.sampler import PERIOD_S, EnergyReport
from compiler.runtime.sensors.total import Rail, Scope
from compiler.runtime.timing import Edges, Window

TOO_OLD = "the agent on the board is older than this edgetune, and does not say when runs begin"
_REST_S = 0.3
"""Kernels' threads spin for a while after a run."""


def tells_windows(connection: Connection) -> bool:
    """Whether the board's agent can tell when the runs of its timer began."""
    return connection.has("edgetune.power.run") and connection.has("edgetune.power.runs")


class BoardMeter:
    """The sensors of the board that `connection` leads to; `gpu` where it is its GPU that computes. See `Meter`."""

    def __init__(self, connection: Connection, gpu: bool, period: float = PERIOD_S) -> None:
        self.why: str | None = "it was not started"
        self.edges: Edges | None = None
        self._connection = connection
        self._gpu = gpu
        self._period = period
        self._scope: Scope | None = None

    def start(self) -> None:
        """Have the agent begin to sample."""
        if not tells_windows(self._connection):
            self.why = TOO_OLD
            return
        told = json.loads(self._connection.call("edgetune.power.channels"))
        rails = [Rail(one["name"], one["sensor"]) for one in told["channels"]]
        gpus = [rail.name for rail in rails if rail.sensor == SENSOR]
        gpu = gpus[0] if self._gpu and len(gpus) == 1 else None
        self._scope, self.why = choose(rails, gpu, self._gpu)
        if self._scope is None:
            self.why = told["why"] or self.why
            return
        job = {"channels": list(self._scope.names), "period": self._period}
        self._connection.call("edgetune.power.start", json.dumps(job))
        self.edges = Clock()  # never asked: the board tells its windows itself

    def idle(self, seconds: float) -> Window:
        """See `Meter.idle`. Whether others use the board is not known."""
        time.sleep(_REST_S)
        wall, begin = time.time(), float(self._connection.call("edgetune.power.edge"))
        time.sleep(seconds)
        return Window(begin, float(self._connection.call("edgetune.power.edge")), wall)

    def stop(self, windows: Sequence[Window]) -> Readings:
        """See `Meter.stop`."""
        if self.edges is None or self._scope is None:
            raise EdgetuneError(self.why or "nothing was sampled")
        self.edges = None
        asked = json.dumps([[window.begin, window.end] for window in windows])
        answer = self._connection.call("edgetune.power.stop", asked)
        try:
            report = msgspec.json.decode(str(answer).encode(), type=EnergyReport)
        except msgspec.MsgspecError as error:
            raise EdgetuneError(f"the agent's report of energies is none: {error}") from None
        return readings_of(report, self._scope)

    def close(self) -> None:
        """See `Meter.close`."""
        if self.edges is not None:
            self.edges = None
            with suppress(EdgetuneError):  # the session may have ended, and the sampling with it
                self._connection.call("edgetune.power.stop", "[]")
