"""What tuning shows while it runs, and what it reports when it has ended."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TaskState:
    """One task as progress shows it. Times in seconds; `share` is its part of the model's estimated time, None while
    unknown.

    `used` is whether the model, as measured so far, uses this kernel (another algorithm may be faster for the layer).
    """

    index: int
    name: str
    hash: str
    calls: int
    flops: float | None = None
    trials: int = 0
    failed: int = 0
    best_seconds: float | None = None
    share: float | None = None
    used: bool = True
    last_error: str | None = None
    default_seconds: float | None = None

    @property
    def gflops(self) -> float | None:
        """Best rate so far, in 1e9 arithmetic operations a second."""
        if self.best_seconds is None or self.flops is None:
            return None
        return self.flops / self.best_seconds / 1e9


@dataclass
class Drift:
    """A board was found to be slower than at first, by `ratio` (1.07: 7 % slower), at `seconds` of the run."""

    board: str
    seconds: float
    ratio: float


@dataclass
class BoardsState:
    """The boards of a run at one moment: how many measure, wait for their turn or for work, cool down, or are away.

    `notices` are lines that nobody has read yet.
    """

    measuring: int = 0
    waiting: int = 0
    cooling: int = 0
    away: int = 0
    notices: list[str] = field(default_factory=list)


@dataclass
class BoardSummary:
    """What a board did in a run: trials measured, trials of which it went away, and how its speed was found to drift.

    `celsius` is the highest temperature that was read, None where no sensor was.
    """

    board: str
    trials: int = 0
    lost: int = 0
    crashes: int = 0
    celsius: float | None = None
    drifts: list[Drift] = field(default_factory=list)


@dataclass
class TuneState:
    """A model's tuning at one moment; budgets and estimates are None where there is none. `phase` is a word or two."""

    tasks: list[TaskState]
    trials: int = 0
    failed: int = 0
    trial_budget: int | None = None
    seconds: float = 0.0
    time_budget: float | None = None
    latency_seconds: float | None = None
    phase: str = ""
    boards: BoardsState | None = None


@dataclass
class TuneSummary:
    """How tuning ended. `latency_seconds` is the sum of the best kernels over the model's layers: an estimate.

    `spent` says where the wall time went, in seconds by step. `resumed` counts trials of an interrupted run that this
    one went on from; they are part of `trials`. `lost` is the end for want of boards. `boards` are those that measured,
    none where this machine did.
    """

    tasks: list[TaskState]
    trials: int
    failed: int
    seconds: float
    latency_seconds: float | None
    ended: str
    interrupted: bool = False
    lost: bool = False
    resumed: int = 0
    spent: dict[str, float] = field(default_factory=dict)
    boards: list[BoardSummary] = field(default_factory=list)
