"""Whether an imported record may be used: its trace is applied to the local kernel first, in a process with limits.

What passes is marked, and not looked at again by the same TVM; what does not is quarantined with the reason. A record
that was measured here needs no look: its trace comes from this machine's own search.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compiler.errors import EdgetuneError
from compiler.records.record import Record
from compiler.records.store import Store
from compiler.records.trust import verdicts
from compiler.records.trust.confined import CPU_SECONDS, SECONDS
from compiler.records.trust.verdicts import Verdict

if TYPE_CHECKING:
    import tvm

    from compiler.tuning.workers import Outcome

ROUNDS = 3  # how often the next best record takes the place of a quarantined one
START = "a worker did not start in time"

Choose = Callable[[str], Sequence[Record]]
"""The records of a workload that would be used, the best first; asked again after some were quarantined."""


@dataclass
class Admitted:
    """How many traces were looked at, and how many of them were quarantined."""

    examined: int = 0
    quarantined: int = 0


def admit(store: Store, tasks: Mapping[str, tvm.IRModule], choose: Choose) -> Admitted:
    """Looks at the imported traces that `choose` gives for each of `tasks` (workload hash -> local kernel) and that
    nobody has looked at with this TVM, and keeps the verdicts in `store`.

    Starts no process where there is nothing to look at. Raises EdgetuneError where the processes cannot run.
    """
    report = Admitted()
    texts: dict[str, str] = {}
    for _ in range(ROUNDS):
        doubts = [record for task in tasks for record in verdicts.imported_unseen(store, choose(task))]
        traces = {(record.workload, record.trace_id): record.trace for record in doubts}
        if not traces:
            break
        for workload, _trace in traces:
            if workload not in texts:
                texts[workload] = as_json(tasks[workload])
        jobs = [{"module": texts[workload], "trace": trace} for (workload, _), trace in traces.items()]
        reasons = look("examine", jobs)
        verdicts.keep(store, [_verdict(*key, reason) for key, reason in zip(traces, reasons, strict=True)])
        report.examined += len(reasons)
        report.quarantined += sum(reason is not None for reason in reasons)
    return report


def admit_kernels(store: Store, workloads: Sequence[str]) -> list[str]:
    """Those of `workloads` whose IR, as `store` keeps it, may be read: it is this machine's own, or was looked at.

    Even so it is never built from. Raises EdgetuneError where the processes cannot run.
    """
    sql = "SELECT hash, imported FROM workloads WHERE hash IN (SELECT value FROM json_each(?))"
    imported = dict(store.query(sql, (json.dumps(list(workloads)),)))
    known = {w: verdicts.verdict_of(store, w, KERNEL) for w, foreign in imported.items() if foreign}
    unseen = [workload for workload, verdict in known.items() if verdict is None]
    kept = [found for found in map(store.workload, unseen) if found is not None]
    if kept:
        reasons = look("examine_kernel", [{"ir": workload.ir, "digest": workload.hash} for workload in kept])
        found = [_verdict(workload.hash, KERNEL, reason) for workload, reason in zip(kept, reasons, strict=True)]
        verdicts.keep(store, found)
        known.update({workload: verdict for workload, _, verdict, _ in found})
    return [w for w in workloads if w in imported and (not imported[w] or known[w] is Verdict.APPLIES)]


KERNEL = "kernel"
"""In the place of a trace's id: the verdict on the IR of an imported workload."""


def look(kind: str, jobs: Sequence[dict[str, Any]]) -> list[str | None]:
    """The outcome of jobs of compiler/records/trust/confined.py, each None or the reason why it did not pass.

    A job that fails takes its process with it, so that none fails for another's sake; what did not end gets a second
    chance, since the machine may have been busy. Raises EdgetuneError where no process can be started.
    """
    from compiler.tuning.workers import EXAMINER, Pool
    from targets.cpuinfo import usable_cpus

    with Pool(min(len(jobs), len(usable_cpus()), 8), 1, EXAMINER) as pool:
        outcomes = pool.map(kind, jobs, SECONDS)
        late = [number for number, outcome in enumerate(outcomes) if (outcome.error or "").startswith("timed out")]
        for number, outcome in zip(late, pool.map(kind, [jobs[number] for number in late], SECONDS), strict=True):
            outcomes[number] = outcome
    return [_reason(outcome) for outcome in outcomes]


def _reason(outcome: Outcome) -> str | None:
    must_have_started(outcome)
    if outcome.error == "crashed: SIGXCPU":
        return f"applying it takes more than {CPU_SECONDS:g} s"
    if outcome.error is not None:
        return f"applying it failed: {outcome.error}"
    return None if outcome.value is None else str(outcome.value)


def must_have_started(outcome: Outcome) -> None:
    """Raises EdgetuneError where an outcome is that of a process that did not start."""
    if outcome.error == START:
        raise EdgetuneError("records cannot be looked at: the process for that does not start")


def _verdict(workload: str, trace: str, reason: str | None) -> tuple[str, str, Verdict, str]:
    return workload, trace, Verdict.APPLIES if reason is None else Verdict.QUARANTINED, reason or ""


def as_json(mod: tvm.IRModule) -> str:
    """A kernel as jobs of processes with limits take it."""
    import tvm

    return str(tvm.ir.save_json(mod))
