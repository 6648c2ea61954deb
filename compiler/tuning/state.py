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
    """After `seconds` of the run a board took `ratio` times as long as at first (1.07: 7 % slower)."""

    seconds: float
    ratio: float


@dataclass
class BoardsState:
    """The boards of a run at one moment: how many measure, wait for work or for their turn, cool down, or are away.

    `repeats` are the measurements that are still to be made once more, because a board was not itself. `own_gpu` says
    that it is not boards that measure but this machine's GPU.
    """

    measuring: int = 0
    waiting: int = 0
    cooling: int = 0
    away: int = 0
    repeats: int = 0
    own_gpu: bool = False


@dataclass
class BoardSummary:
    """What a board did in a run: trials that it measured, trials over which it went away, sessions that candidates
    crashed, its highest temperature (None where it has no sensor), and how its speed was found to drift. `own_gpu`: it
    is no board but this machine's GPU."""

    board: str
    trials: int = 0
    lost: int = 0
    crashes: int = 0
    celsius: float | None = None
    drifts: list[Drift] = field(default_factory=list)
    own_gpu: bool = False


@dataclass
class Begins:
    """What a run begins with: of its `tasks`, so many are `known` by records of their own on this device, and for the
    others there are `records` of `kernels` similar kernels."""

    tasks: int = 0
    known: int = 0
    records: int = 0
    kernels: int = 0


@dataclass
class TuneState:
    """A model's tuning at one moment; budgets and estimates are None where there is none. `phase` is a word or two.

    `notices` are lines to be shown once, new ones each time. `begins` is what the run begins with.
    """

    tasks: list[TaskState]
    trials: int = 0
    failed: int = 0
    trial_budget: int | None = None
    seconds: float = 0.0
    time_budget: float | None = None
    latency_seconds: float | None = None
    phase: str = ""
    boards: BoardsState | None = None
    notices: list[str] = field(default_factory=list)
    begins: Begins = field(default_factory=Begins)


@dataclass
class TuneSummary:
    """How tuning ended. `latency_seconds` is the sum of the best kernels over the model's layers: an estimate.

    `spent` says where the wall time went, in seconds by step. `resumed` counts trials of an interrupted run that this
    one went on from; they are part of `trials`. `lost` is the end for want of boards. `boards` are those that measured,
    none where this machine did. `begins` is what the run began with.
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
    begins: Begins = field(default_factory=Begins)

    @property
    def trials_per_minute(self) -> float | None:
        """Trials a minute, those of an interrupted run and its time included; None where there is no time yet."""
        return 60 * self.trials / self.seconds if self.seconds > 0 else None
