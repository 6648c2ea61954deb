"""What the cost model knows before the first trial: similar kernels, measured on this device or a similar one.

Of their records only numbers are read (`compiler/tuning/features.py`): no kernel is loaded, and no trace applied, so
that what was imported may teach before anybody has looked at it. What it says of a candidate is checked by measuring.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from compiler.tuning.features import factors, sizes

if TYPE_CHECKING:
    from compiler.records.nearest.lookup import Lesson
    from compiler.records.store import Store
    from compiler.tuning.cost_model import CostModel

KERNELS = 64  # reading one's records takes some 10 ms
RECORDS = 48  # of a kernel, from its fastest to its slowest
LEAST = 4  # fewer records of a kernel (what a shared log is pruned to) do not tell fast from slow


def teach(model: CostModel, store: Store, lessons: Sequence[Lesson]) -> int:
    """Have `model` learn from the records of `lessons`, the best teacher first; from how many it did.

    They are those of the first KERNELS that tell fast from slow, none that is quarantined. Only times of one kernel on
    one device are compared, so that a similar device teaches as well.
    """
    learned = kernels = 0
    for lesson in lessons:
        if kernels == KERNELS:
            break
        records = store.top(lesson.workload, lesson.fingerprint, 8 * RECORDS)
        if len(records) < LEAST:
            continue
        kernels += 1
        spread = [records[i * (len(records) - 1) // (RECORDS - 1)] for i in range(RECORDS)]
        own = sizes(lesson.kernel)
        for record in dict.fromkeys(spread):
            read = factors(record.trace)
            if read is not None and record.median is not None:
                model.add(f"{lesson.workload} {lesson.fingerprint}", own + read, record.median)
                learned += 1
    return learned
