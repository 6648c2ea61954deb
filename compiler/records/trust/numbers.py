"""Whether imported schedules compute the right numbers: found out once, before `compile` uses them.

Those that come with edgetune were compared where they were measured, and those that were measured here by tuning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import targets
from compiler.records.store import Store
from compiler.records.trust import verdicts
from compiler.records.trust.admission import ROUNDS, Choose, as_json
from compiler.records.trust.confined import COMPUTE_SECONDS
from compiler.records.trust.verdicts import Verdict

if TYPE_CHECKING:
    import tvm

    from compiler.tuning.workers import Outcome, Pool


@dataclass
class Compared:
    """Counts of traces: those that were compared now, and of them those that are quarantined, and those of which
    nothing could be said, which stay in use."""

    compared: int = 0
    quarantined: int = 0
    unclear: int = 0


def can_compare(target: targets.Target) -> bool:
    """Whether kernels for `target` run on this machine, in a process that makes no file."""
    return target.kind == "llvm" and targets.why_not_run(target) is None


def compare_first(store: Store, tasks: Mapping[str, tvm.IRModule], choose: Choose, target: targets.Target) -> Compared:
    """Compares the kernel of the first record that `choose` gives for each of `tasks` (workload hash -> local kernel)
    with the zero-trial schedule's, where it was imported and nobody has compared it with this TVM; keeps the verdicts.

    Starts no process where there is nothing to compare. Raises EdgetuneError where the processes cannot run.
    """
    report = Compared()
    for _ in range(ROUNDS):
        doubts = [record for task in tasks for record in verdicts.not_compared(store, choose(task)[:1])]
        traces = {(record.workload, record.trace_id): record.trace for record in doubts}
        if not traces:
            break
        jobs = [{"module": as_json(tasks[workload]), "trace": trace} for (workload, _), trace in traces.items()]
        found = [(*key, *said) for key, said in zip(traces, judge(jobs, target), strict=True)]
        verdicts.keep(store, found)
        report.compared += len(found)
        report.quarantined += sum(verdict is Verdict.QUARANTINED for _, _, verdict, _ in found)
        report.unclear += sum(verdict is Verdict.APPLIES for _, _, verdict, _ in found)
    return report


def judge(jobs: list[dict[str, Any]], target: targets.Target) -> list[tuple[Verdict, str]]:
    """The verdict on each of `jobs` (`module` and `trace`), and why: CHECKED, QUARANTINED, or APPLIES where nothing can
    be said.

    A job that fails takes its process with it. It is done once more, since the machine may have been busy, and then
    without the trace: where that fails as well, the kernel cannot be run here, whatever its schedule.
    """
    from compiler.graph.scheduling import cpu_hardware
    from compiler.tuning.workers import COMPARER, Pool
    from targets.cpuinfo import usable_cpus

    common = {"target": target.config(), "hardware": cpu_hardware(target)}
    with Pool(min(len(jobs), len(usable_cpus()), 8), 1, COMPARER) as pool:
        outcomes = _all([{**common, **job} for job in jobs], pool)
        failed = [number for number, outcome in enumerate(outcomes) if outcome.error is not None]
        for number, outcome in zip(failed, _all([{**common, **jobs[n]} for n in failed], pool), strict=True):
            outcomes[number] = outcome
        failed = [number for number in failed if outcomes[number].error is not None]
        alone = _all([{**common, **jobs[number], "trace": None} for number in failed], pool)
    blameless = {number: outcome.error is None for number, outcome in zip(failed, alone, strict=True)}
    return [_verdict(outcome, blameless.get(number, True)) for number, outcome in enumerate(outcomes)]


def _all(jobs: list[dict[str, Any]], pool: Pool) -> list[Outcome]:
    from compiler.records.trust.admission import must_have_started

    outcomes = pool.map("compute", jobs, COMPUTE_SECONDS)
    for outcome in outcomes:
        must_have_started(outcome)
    return outcomes


def _verdict(outcome: Outcome, blameless: bool) -> tuple[Verdict, str]:
    """What an outcome says of a trace; `blameless`: the zero-trial kernel runs where this one fails."""
    from compiler.tuning.checking import TOLERANCE

    if outcome.error is not None and blameless:
        return Verdict.QUARANTINED, f"its kernel does not run within limits: {outcome.error}"
    if outcome.error is not None:
        return Verdict.APPLIES, f"not compared: {outcome.error}"
    if not (isinstance(outcome.value, (int, float)) and outcome.value <= TOLERANCE):
        return Verdict.QUARANTINED, "it computes something else than the zero-trial kernel"
    return Verdict.CHECKED, ""
