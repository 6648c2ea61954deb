"""Tuning as it goes: a live table on a terminal, a line now and then elsewhere, and the table at the end.

The search hands over its state whenever something has changed; what is shown of it is decided here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from compiler.report import format as fmt

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

    from compiler.report.output import Output
    from compiler.tuning.state import Begins, BoardsState, TaskState, TuneState

_LINE_EVERY_S = 10.0
_REDRAW_EVERY_S = 0.25
_ROWS = 24
# The label, the table's head and end, the line below it on two lines, and the cursor's.
_LINES_AROUND = 9


class TuneProgress:
    """Call it with the state; it draws when there is something new to see and not too often."""

    def __init__(
        self, output: Output, label: str, live: Live | None = None, waiting: Callable[[], None] | None = None
    ) -> None:
        """`live` is started with the first state, after a call of `waiting`, which ends what was shown until then."""
        self._output = output
        self._label = label
        self._live = live
        self._waiting = waiting
        self._drawn = 0.0
        self._first: tuple[int, float] | None = None

    def __call__(self, state: TuneState) -> None:
        """The state as it is now."""
        if self._first is None:
            if self._waiting is not None:
                self._waiting()
            if self._live is not None:
                self._live.start()
            self._first = (state.trials, state.seconds)
            self._output.note(f"{self._label}: {begins_words(state.begins)}")
        for line in state.notices:
            self._output.warn(line)
        now = time.monotonic()
        if self._drawn and now - self._drawn < (_LINE_EVERY_S if self._live is None else _REDRAW_EVERY_S):
            return
        self._drawn = now
        if self._live is not None:
            self._live.update(self._picture(state), refresh=True)
        else:
            self._output.note(f"{self._label}: {self._line(state)}")

    def _line(self, state: TuneState) -> str:
        measured = sum(1 for task in state.tasks if task.best_seconds is not None)
        budget = f"/{state.trial_budget}" if state.trial_budget is not None else ""
        parts = [
            state.phase,
            fmt.span(state.seconds),
            f"trials {state.trials}{budget}",
            f"tasks measured {measured}/{len(state.tasks)}",
        ]
        rate = self._rate(state)
        if rate is not None:
            parts.append(f"{rate:.0f} trials/min")
        if state.failed:
            parts.append(f"{state.failed} failed")
        if state.boards is not None:
            parts.append(_boards(state.boards))
        latency = estimate(state.tasks, state.latency_seconds)
        if latency is not None:
            parts.append(f"model about {fmt.milliseconds(latency)} ms")
        left = self._left(state)
        if left is not None:
            parts.append(f"{fmt.span(left)} left")
        return ", ".join(part for part in parts if part)

    def _rate(self, state: TuneState) -> float | None:
        # What an earlier, interrupted run did says nothing about the speed of this one.
        trials, seconds = self._first or (0, 0.0)
        done, took = state.trials - trials, state.seconds - seconds
        return 60 * done / took if done > 0 and took > 1 else None

    def _left(self, state: TuneState) -> float | None:
        lefts = []
        if state.time_budget is not None:
            lefts.append(max(0.0, state.time_budget - state.seconds))
        rate = self._rate(state)
        if state.trial_budget is not None and rate:
            lefts.append(60 * max(0, state.trial_budget - state.trials) / rate)
        return min(lefts, default=None)

    def _picture(self, state: TuneState) -> Group:
        from rich.console import Group
        from rich.text import Text

        from compiler.report.boxed import boxed

        ranked = sorted(state.tasks, key=lambda task: -(task.share or 0.0))
        whole = estimate(state.tasks, state.latency_seconds) is not None
        # Rich cuts what is higher than the terminal at its end, where the line is that says most.
        size = self._output.progress_console.size
        most = max(1, min(_ROWS, size.height - _LINES_AROUND))
        rows = [["-" if cell is None else str(cell) for cell in task_row(task, whole)] for task in ranked[:most]]
        table = boxed(COLUMNS, rows, size.width, right=COLUMNS[1:], spare=SPARE, fold=False)
        table.caption = f"{len(ranked) - most} smaller tasks" if len(ranked) > most else None
        table.caption_justify = "left"
        return Group(Text(self._label, style="bold"), table, Text(self._line(state)))


def begins_words(begins: Begins) -> str:
    """What a run begins with, in a line."""
    known = f"records of its own for {begins.known} of {fmt.count(begins.tasks, 'task')}" if begins.known else ""
    similar = (
        f"{fmt.count(begins.records, 'record')} of {fmt.count(begins.kernels, 'similar kernel')}"
        if begins.records
        else ""
    )
    found = " and ".join(part for part in (known, similar) if part)
    return f"starts from {found or 'no records'}"


def _boards(boards: BoardsState) -> str:
    """How the boards are, in a few words."""
    counts = (
        (boards.measuring, "measuring"),
        (boards.waiting, "waiting"),
        (boards.cooling, "cooling down"),
        (boards.away, "away"),
    )
    if boards.own_gpu:
        return f"GPU {next((what for count, what in counts if count), 'idle')}"
    return "boards: " + (", ".join(f"{count} {what}" for count, what in counts if count) or "none")


COLUMNS = ("task", "calls", "untuned ms", "best ms", "GFLOP/s", "of the model", "trials", "failed")
SPARE = ("failed", "calls")


def estimate(tasks: Sequence[TaskState], latency_seconds: float | None) -> float | None:
    """The model's estimated latency; None while a layer has no time, and for a model without tasks."""
    return latency_seconds if tasks else None


def task_row(task: TaskState, whole: bool) -> tuple[object, ...]:
    """A task as a row under `COLUMNS`. Only with the `whole` model measured is there something to have a share of."""
    return (
        task.name,
        task.calls,
        fmt.milliseconds(task.default_seconds),
        fmt.milliseconds(task.best_seconds),
        fmt.significant(task.gflops or None),
        # Another algorithm is faster for its layers.
        (fmt.share(task.share) if whole else None) if task.used else "not used",
        task.trials,
        task.failed,
    )


def show_tasks(output: Output, title: str, tasks: Sequence[TaskState], latency_seconds: float | None) -> None:
    """The tasks that matter most, the most expensive first, and a line for the rest."""
    whole = estimate(tasks, latency_seconds) is not None
    ranked = sorted(tasks, key=lambda task: (-(task.share or 0.0), task.name))
    rows = [task_row(task, whole) for task in ranked[:_ROWS]]
    output.table(COLUMNS, rows, title=title, right=",".join(COLUMNS[1:]), spare=SPARE)
    rest = ranked[_ROWS:]
    if rest:
        share = f", {fmt.share(sum(task.share or 0.0 for task in rest))} of the model" if whole else ""
        trials = fmt.count(sum(task.trials for task in rest), "trial")
        output.say(f"and {fmt.count(len(rest), 'more task')}{share}, {trials}")


@contextmanager
def tune_progress(output: Output, label: str) -> Iterator[TuneProgress]:
    """Shows the progress of one model while it lasts: its kernels are prepared, which takes a while, then tuned."""
    preparing = f"Preparing the kernels of {label}"
    if not output.watched:
        output.note(f"{preparing} ...")
        yield TuneProgress(output, label)
        return
    from rich.live import Live
    from rich.text import Text

    console = output.progress_console
    # Nothing is redrawn by itself while candidates are measured: a spinner would take a core's time from them.
    live = Live(console=console, transient=True, auto_refresh=False)
    spinner = console.status(Text(preparing))
    spinner.start()
    try:
        yield TuneProgress(output, label, live, spinner.stop)
    finally:
        spinner.stop()
        live.stop()
