"""Where candidates are measured: this machine, or boards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import targets
from compiler.errors import EdgetuneError
from compiler.tuning.state import BoardsState, BoardSummary
from compiler.tuning.work import Measured, Trial
from compiler.tuning.workers import Outcome

AWAY = "the board went away"
"""How the error of a trial begins that no board could finish: nobody knows whether it is the trial's fault."""


class BoardsLostError(EdgetuneError):
    """No board is left, and none has come back in time."""


class Runner(Protocol):
    """Measures trials. What it returns of `take` is to be kept at once."""

    @property
    def overlaps(self) -> bool:
        """Whether candidates may be built while it measures, which on the same cores they must not be."""
        ...

    @property
    def slots(self) -> int:
        """How many trials it measures side by side, now."""
        ...

    @property
    def fingerprint(self) -> targets.Fingerprint:
        """Of what is measured on."""
        ...

    @property
    def tvm_version(self) -> str:
        """The version of the TVM runtime that candidates run on."""
        ...

    @property
    def remarks(self) -> dict[str, Any]:
        """What a record is to say of the device beyond its fingerprint (`extra` of a record)."""
        ...

    def submit(self, trial: Trial) -> None:
        """Have a built trial measured."""
        ...

    def take(self, seconds: float) -> list[Measured]:
        """What has been measured since the last call; waits at most `seconds` for something where nothing has.

        Raises BoardsLostError when nothing can be measured any more.
        """
        ...

    def cancel(self, repeats: bool = False) -> None:
        """Leave what is not being measured yet; what is to be measured once more only with `repeats`."""
        ...

    def check(self, job: dict[str, Any], timeout: float, poll: Callable[[], None]) -> Outcome:
        """Compare two libraries: a job of compiler/tuning/worker/check.py, which takes `timeout` seconds at most.

        `poll` is called while there is nothing but waiting, and may raise to end it. Raises BoardsLostError too.
        """
        ...

    def boards(self) -> BoardsState | None:
        """How the boards are, where there are any."""
        ...

    def notices(self) -> list[str]:
        """Lines to be shown, each of them once."""
        ...

    def report(self) -> list[BoardSummary]:
        """What each board did."""
        ...
