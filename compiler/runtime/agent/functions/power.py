"""`edgetune.power.*`: what a board's sensors of power say while the desk measures, integrated here (docs/power.md)."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from msgspec import Struct

from compiler.errors import EdgetuneError
from compiler.runtime.sensors.channel import Channel
from compiler.runtime.sensors.channels import channels, why_none
from compiler.runtime.sensors.sampler import PERIOD_S, Sampler


class _Start(Struct, forbid_unknown_fields=False):
    channels: list[str]
    period: float = PERIOD_S


class Power:
    """The sampling of a session, and when the runs of its timer began. Times are seconds of the board's clock that
    never jumps."""

    def __init__(self) -> None:
        self._known: list[Channel] | None = None
        self._sampler: Sampler | None = None
        self._begin: float | None = None
        self._last = 0.0

    def channels(self) -> dict[str, Any]:
        """What can be sampled, and where that is nothing, why."""
        found = [{"name": one.name, "sensor": one.sensor, "counts": one.counts} for one in self._found()]
        return {"channels": found, "why": None if found else why_none()}

    def start(self, text: str) -> dict[str, Any]:
        """Sample the channels that the JSON `text` names. Raises EdgetuneError for what is not there."""
        asked = _decode(text, _Start)
        known = {channel.name: channel for channel in self._found()}
        missing = [name for name in asked.channels if name not in known]
        if missing or not 0 < asked.period <= 60:
            raise EdgetuneError(f"there is no channel {missing[0]}" if missing else "the period is no time in seconds")
        if self._sampler is not None:
            self._sampler.stop()
        self._sampler = Sampler([known[name] for name in asked.channels], asked.period)
        self._sampler.start()
        return {"period": self._sampler.period}

    def edge(self) -> float:
        """The time, right after a sample: the edge of a window in which the desk asks for nothing."""
        return self._sampler.begin() if self._sampler is not None else time.monotonic()

    def run(self, *_arguments: object) -> None:
        """Called by TVM's timer before each counted run; the first of them begins a window."""
        if self._begin is None:
            self._begin = self._last = self.edge()
        else:
            self._last = time.monotonic()

    def runs(self) -> dict[str, float]:
        """When the first and the last run since the last call of this began, and the time now.

        Raises EdgetuneError where there was none.
        """
        if self._begin is None:
            raise EdgetuneError("no run was timed")
        now = self._sampler.end() if self._sampler is not None else time.monotonic()
        told = {"begin": self._begin, "last": self._last, "now": now}
        self._begin = None
        return told

    def stop(self, text: str) -> dict[str, Any]:
        """End sampling; the energies of the windows that the JSON `text` lists as pairs of times.

        Raises EdgetuneError where nothing is sampled.
        """
        windows = _decode(text, list[tuple[float, float]])
        sampler, self._sampler = self._sampler, None
        if sampler is None:
            raise EdgetuneError("no power is sampled")
        sampler.stop()
        report: dict[str, Any] = msgspec.to_builtins(sampler.report(windows))
        return report

    def _found(self) -> list[Channel]:
        if self._known is None:
            self._known = channels()
        return self._known


def _decode(text: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(text.encode(), type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise EdgetuneError(f"this is no JSON of what is asked for: {' '.join(str(error).split())}") from None
