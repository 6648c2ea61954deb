"""What the cost model knows before the first trial: similar kernels, measured on this device or a similar one.

The model ranks candidates by features of their loops and memory accesses (Zheng et al., "Ansor", OSDI 2020), so what
was fast in one convolution says something about the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from compiler.errors import EdgetuneError
from compiler.records.trust.admission import admit, admit_kernels
from compiler.records.trust.verdicts import only_vetted
from compiler.records.workload import apply_trace, load_workload

if TYPE_CHECKING:
    import tvm

    from compiler.records.record import Record
    from compiler.records.store import Store

KERNELS = 12  # more teach little and take a tenth of a second each
RECORDS = 16  # of a kernel, from its fastest to its slowest
LEAST = 8  # fewer records of a kernel (what a shared log is pruned to) do not tell fast from slow


def teach(model: Any, store: Store, kernels: Sequence[tuple[str, str]], target: tvm.target.Target) -> int:
    """Train `model` (of `search.cost_model`) on records of `kernels`, (workload, fingerprint), the best teacher first;
    how many records it learned from.

    They are those of the first KERNELS that tell fast from slow. Only times of one kernel on one device are compared,
    so that a similar device teaches as well; a kernel that is given twice teaches with its first device. What does not
    load or apply is left out.
    """
    from tvm.s_tir import meta_schedule as ms

    devices = _telling(store, kernels)
    learned = 0
    lessons = []
    chosen: dict[str, tuple[tvm.IRModule, list[Record]]] = {}
    for digest in admit_kernels(store, list(devices)):
        workload = store.workload(digest)
        records = store.top(digest, devices[digest], 8 * RECORDS)
        if workload is None or len(records) < LEAST:
            continue
        try:
            mod = load_workload(workload)
        except EdgetuneError:
            continue
        spread = [records[i * (len(records) - 1) // (RECORDS - 1)] for i in range(RECORDS)]
        chosen[digest] = mod, list(dict.fromkeys(spread))
    admit(store, {digest: mod for digest, (mod, _) in chosen.items()}, lambda digest: chosen[digest][1])
    for mod, records in chosen.values():
        schedules = [(sch, r) for r in only_vetted(store, records) for sch in [apply_trace(r, mod)] if sch is not None]
        if schedules:
            lessons.append((mod, schedules))
    trained = model.last_train_size
    for number, (mod, schedules) in enumerate(lessons, 1):
        # Trained once, with the last of them: each training takes as long as reading several kernels.
        model.last_train_size = trained if number == len(lessons) else 1 << 30
        arguments = ms.arg_info.ArgInfo.from_entry_func(mod, True)
        model.update(
            ms.TuneContext(mod, target=target, num_threads=1),
            [ms.MeasureCandidate(sch, arguments) for sch, _ in schedules],
            [ms.runner.RunnerResult(list(record.seconds), None) for _, record in schedules],
        )
        learned += len(schedules)
    return learned


def _telling(store: Store, kernels: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The fingerprint to learn from, by workload, for the first KERNELS of `kernels` with enough records."""
    found: dict[str, str] = {}
    for workload, fingerprint in kernels:
        if len(found) == KERNELS:
            break
        if workload not in found and len(store.top(workload, fingerprint, LEAST)) == LEAST:
            found[workload] = fingerprint
    return found
