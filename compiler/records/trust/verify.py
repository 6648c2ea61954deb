"""Does an imported schedule compute what it should? It is built and run beside the plain one, as tuning does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import targets
from compiler.records.record import Record
from compiler.records.store import Store
from compiler.records.trust import verdicts
from compiler.records.trust.admission import admit, as_json
from compiler.records.trust.claims import Kernel, imported_records
from compiler.records.trust.numbers import can_compare, judge
from compiler.records.trust.verdicts import Verdict

if TYPE_CHECKING:
    from compiler.tuning.builder import Builder
    from compiler.tuning.runner import Runner
    from compiler.tuning.search import Search

RUN_SECONDS = 30.0  # for both kernels; a plain convolution at batch 48 takes seconds
PATIENCE = 3  # times as long may a build take that did not end at first
BATCH = 8  # kernels that are built before they are run

Progress = Callable[[str], None]


@dataclass
class VerifyReport:
    """What became of the imported records that were looked at, by counts of traces.

    `applies`: they apply, and were not run. `checked`: they compute the right numbers, `before` of them known before.
    `unclear`: they could not be compared, with the reason in `notes`. Quarantined ones: see `verdicts.quarantined`.
    """

    records: int = 0
    applies: int = 0
    checked: int = 0
    before: int = 0
    quarantined: int = 0
    unclear: int = 0
    notes: list[str] = field(default_factory=list)


def apply_all(store: Store, kernels: Mapping[str, Kernel], fingerprint: str) -> VerifyReport:
    """Applies every imported record of `fingerprint` to its local kernel, in processes with limits: see `admit`."""
    report = VerifyReport()
    known = {digest: imported_records(store, digest, fingerprint) for digest in kernels}
    admitted = admit(store, {d: kernel.mod for d, kernel in kernels.items()}, lambda digest: known[digest])
    report.quarantined = admitted.quarantined
    for digest in kernels:
        for record in imported_records(store, digest, fingerprint):
            report.records += 1
            if verdicts.verdict_of(store, digest, record.trace_id) is Verdict.CHECKED:
                report.checked += 1
                report.before += 1
            else:
                report.applies += 1
    report.records += report.quarantined
    return report


def check_all(
    store: Store,
    kernels: Mapping[str, Kernel],
    target: targets.Target,
    fingerprint: str,
    builder: Builder,
    runner: Runner,
    folder: Path,
    report: VerifyReport,
    progress: Progress | None = None,
) -> None:
    """Builds and runs what applies and is not checked yet, and keeps what came of it; counts in `report`.

    A kernel that computes something else, crashes, or does not end, where the plain one does all of it right, is
    quarantined. Random inputs, the same for both; the difference allowed is tuning's. Where that shows nothing, since
    the machine is busy say, the zero-trial kernel takes the plain one's place, within limits of processor time: see
    `numbers.judge`.
    """
    waiting = [
        (kernel, record)
        for kernel in kernels.values()
        for record in imported_records(store, kernel.hash, fingerprint)
        if verdicts.verdict_of(store, kernel.hash, record.trace_id) is Verdict.APPLIES
    ]
    references: dict[str, _Built] = {}
    left: list[tuple[Kernel, Record, str]] = []
    for first in range(0, len(waiting), BATCH):
        some = waiting[first : first + BATCH]
        if progress is not None:
            progress(f"Checking schedules {first + 1} to {first + len(some)} of {len(waiting)}")
        # Each library gets a name of its own: a process that has loaded one does not load another from the same path.
        modules = {}
        for kernel in {kernel.hash: kernel for kernel, _ in some if kernel.hash not in references}.values():
            modules[f"plain-{kernel.hash}"] = local_search(kernel, target).plain()
        for kernel, record in some:
            candidate = local_search(kernel, target).from_record(record)
            if candidate is not None:
                modules[f"record-{record.id}"] = candidate.module
        built = _build(builder, modules, target, folder)
        references |= {
            kernel.hash: built[f"plain-{kernel.hash}"] for kernel, _ in some if kernel.hash not in references
        }
        for kernel, record in some:
            library = built.get(f"record-{record.id}", "its trace does not apply")
            outcome = _compare(library, references[kernel.hash], runner)
            if isinstance(outcome, _Unclear):
                left.append((kernel, record, outcome.reason))
                continue
            verdict = Verdict.CHECKED if outcome is None else Verdict.QUARANTINED
            _keep(store, kernel, record, verdict, outcome or "", report)
    if left and progress is not None:
        progress(f"Checking {len(left)} schedules again, within limits of processor time")
    jobs = [{"module": as_json(kernel.mod), "trace": record.trace} for kernel, record, _ in left]
    judged = judge(jobs, target) if left and can_compare(target) else [(Verdict.APPLIES, why) for _, _, why in left]
    for (kernel, record, before), (verdict, reason) in zip(left, judged, strict=True):
        _keep(store, kernel, record, verdict, reason or before, report)


def _keep(store: Store, kernel: Kernel, record: Record, verdict: Verdict, reason: str, report: VerifyReport) -> None:
    """Keeps what came of a check, and counts it."""
    report.applies -= 1
    if verdict is Verdict.APPLIES:
        report.notes.append(f"{kernel.name}: {record.id[:12]} could not be compared: {reason}")
        report.unclear += 1
        return
    verdicts.keep(store, [(kernel.hash, record.trace_id, verdict, reason if verdict is Verdict.QUARANTINED else "")])
    report.checked += verdict is Verdict.CHECKED
    report.quarantined += verdict is Verdict.QUARANTINED


_Built = tuple[str, Any] | str  # a library and its arguments, or the line that says why there is none


@dataclass(frozen=True)
class _Unclear:
    """Nothing can be said of a kernel, and why."""

    reason: str


def _compare(library: _Built, reference: _Built, runner: Runner) -> str | _Unclear | None:
    """None where a kernel computes what the plain one does, else what it does instead."""
    from compiler.tuning.checking import TOLERANCE
    from compiler.tuning.runner import AWAY

    if isinstance(reference, str):
        return _Unclear(f"the plain kernel does not build: {reference}")
    if isinstance(library, str):
        return f"it does not build: {library}"
    job = {"candidate": library[0], "reference": reference[0], "arguments": library[1]}
    found = runner.check(job, RUN_SECONDS, _nothing)
    if found.error is None:
        return None if found.value <= TOLERANCE else "it computes something else than the plain kernel"
    alone = runner.check({**job, "candidate": reference[0]}, RUN_SECONDS, _nothing)
    if found.error.startswith(AWAY) or alone.error is not None:
        return _Unclear(found.error)
    return f"it does not run: {found.error}"


def _build(builder: Builder, modules: Mapping[str, str], target: targets.Target, folder: Path) -> dict[str, _Built]:
    """What became of each of `modules`, by its name. Weights are packed within the library, so that it takes the same
    arguments as any other."""
    from compiler.tuning.limits import BUILD_SECONDS

    jobs = [
        {"module": module, "target": target.config(), "library": str(folder / f"{name}.so"), "keep_packing": True}
        for name, module in modules.items()
    ]
    outcomes = builder.map("build", jobs, BUILD_SECONDS)
    late = [number for number, outcome in enumerate(outcomes) if (outcome.error or "").startswith("timed out")]
    again = builder.map("build", [jobs[number] for number in late], PATIENCE * BUILD_SECONDS)
    for number, outcome in zip(late, again, strict=True):  # the machine may have been busy
        outcomes[number] = outcome
    return {
        name: outcome.value if outcome.error is None else outcome.error
        for name, outcome in zip(modules, outcomes, strict=True)
    }


def local_search(kernel: Kernel, target: targets.Target) -> Search:
    """What turns records into kernels to build, with nothing searched yet."""
    from compiler.graph.scheduling import hardware_of
    from compiler.graph.variants import Task
    from compiler.tuning.search import Search

    return Search(Task(kernel.name, kernel.mod, kernel.hash), target.to_tvm(), hardware_of(target), 0, None)


def _nothing() -> None:
    """There is nothing to do while a check waits."""
