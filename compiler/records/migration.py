"""Records of another TVM: which of their schedules the TVM at hand still applies."""

# ruff: noqa: S608 (the texts put into SQL are this module's own constants; values are bound)
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from compiler.records.store import Store
from compiler.records.trust import verdicts
from compiler.records.trust.admission import admit_kernels, look
from compiler.records.trust.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

UNKNOWN_KERNEL = "the kernel's IR is not readable by this TVM"
BATCH = 256  # traces that are looked at before their verdicts are kept


@dataclass
class Migration:
    """What became of the schedules that were measured with one other TVM on one fingerprint.

    traces: different schedules; survived: those that apply; reasons: why the others do not, and how many.
    """

    tvm_version: str
    fingerprint: str
    traces: int = 0
    survived: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


def migrate(store: Store, fingerprint: str | None = None) -> list[Migration]:
    """Applies every schedule of another TVM to its kernel as this TVM reads it, in processes with limits.

    Nothing is rewritten: a time measured with another TVM is no claim about this one, so records stay what they are.
    What applies is marked so, and is where compiling and tuning for the same device begin
    (`Store.best_other_version`); what does not is quarantined for this TVM. Raises EdgetuneError where the processes
    cannot run.
    """
    where, values = ("AND fingerprint = ?", [fingerprint]) if fingerprint is not None else ("", [])
    rows = store.query(
        "SELECT DISTINCT tvm_version, fingerprint, workload, trace_id FROM records WHERE cost IS NOT NULL "
        f"AND tvm_version <> ? {where} ORDER BY tvm_version, fingerprint, workload, trace_id",
        [store.tvm_version, *values],
    )
    reasons = _reasons(store, sorted({(workload, trace) for _, _, workload, trace in rows}))
    found: dict[tuple[str, str], Migration] = {}
    for version, device, workload, trace in rows:
        entry = found.setdefault((version, device), Migration(version, device))
        entry.traces += 1
        reason = reasons[workload, trace]
        if reason is None:
            entry.survived += 1
        else:
            entry.reasons[reason] += 1
    return list(found.values())


def _reasons(store: Store, traces: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], str | None]:
    """Why each (workload, trace_id) does not apply; None for those that do."""
    readable = set(admit_kernels(store, sorted({workload for workload, _ in traces})))
    reasons: dict[tuple[str, str], str | None] = {key: None if key[0] in readable else UNKNOWN_KERNEL for key in traces}
    good = (Verdict.APPLIES, Verdict.CHECKED)
    unseen = [key for key in traces if key[0] in readable and verdicts.verdict_of(store, *key) not in good]
    for batch in _batches(unseen):
        jobs = [{"module": _ir(store, workload), "trace": _trace(store, workload, trace)} for workload, trace in batch]
        looked = look("examine", jobs)
        reasons.update(zip(batch, looked, strict=True))
        verdicts.keep(
            store,
            [
                (*key, Verdict.APPLIES if reason is None else Verdict.QUARANTINED, reason or "")
                for key, reason in zip(batch, looked, strict=True)
            ],
        )
    return reasons


def _batches(keys: Sequence[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    rest = iter(keys)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _ir(store: Store, workload: str) -> str:
    found = store.workload(workload)
    return found.ir if found is not None else ""


def _trace(store: Store, workload: str, trace_id: str) -> str:
    return next(r.trace for r in store.records(workload=workload) if r.trace_id == trace_id)
