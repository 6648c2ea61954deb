"""What is known of one board in a run."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compiler.runtime.rpc.address import Address
from compiler.tuning.boards.health import Health
from compiler.tuning.state import BoardSummary
from compiler.tuning.work import Trial


@dataclass(eq=False)
class Board:
    """One board, by its agent's address. At any time one session alone has to do with it.

    `reference` is the job that measures its reference kernel. `since` are the trials that it has measured since it was
    last known to be itself: their libraries are kept until then.
    """

    address: Address
    health: Health
    summary: BoardSummary
    reference: dict[str, Any] | None = None
    since: list[Trial] = field(default_factory=list)
    refused: bool = False

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.summary.board

    def measured(self, trial: Trial, seconds: list[float]) -> None:
        """Note what a trial took here. The first kernel that was timed in earnest becomes the reference."""
        self.summary.trials += 1
        trial.readings = self.health.sensors
        if self.reference is None and len(seconds) > 1:
            self.reference = {**trial.job(), "give_up": None}  # its library stays for the run
            self.health.set_reference(seconds)
        else:
            self.since.append(trial)

    def trust(self) -> None:
        """What was measured since the reference was last as it should be counts."""
        for trial in self.since:
            with contextlib.suppress(OSError):
                Path(trial.library).unlink()
        self.since.clear()

    def doubt(self) -> list[Trial]:
        """Take out what was measured since then: it does not count."""
        doubtful, self.since = self.since, []
        return doubtful
