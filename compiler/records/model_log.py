"""What a log knows of one model: its kernels with their best records, and how fast the model should be with them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compiler.records.provenance import NOTHING_KNOWN
from compiler.records.record import UNKNOWN_TIME, Record
from compiler.records.store import Store

if TYPE_CHECKING:
    from compiler.graph.variants import Variants


@dataclass(frozen=True)
class ModelTask:
    """One kernel of a model. `calls`: in how many layers it may be used; `used` in how many it is the fastest that is
    known. `best`: its best record; `trials`: made in all. `origin`: where that record came from, None for one measured
    here. `seconds`: of all layers that use it."""

    name: str
    workload: str
    calls: int
    used: int
    flops: float | None
    trials: int
    best: Record | None
    origin: str | None

    @property
    def seconds(self) -> float:
        return self.used * (self.best.median or 0.0) if self.best is not None else 0.0

    @property
    def gflops(self) -> float | None:
        """Rate of the best record in 1e9 operations a second."""
        if self.best is None or self.best.median is None or self.flops is None:
            return None
        return self.flops / self.best.median / 1e9


@dataclass(frozen=True)
class ModelLog:
    """A model's tasks, those that take most time first. `latency_seconds`: the sum over layers of their fastest
    kernels, None while a layer has none; a model takes a little more, since its caches are cold."""

    tasks: list[ModelTask]
    latency_seconds: float | None

    @property
    def missing(self) -> list[str]:
        """The names of the kernels without a record of a success."""
        return sorted({task.name for task in self.tasks if task.best is None})

    @property
    def bare(self) -> int:
        """How many best records say nothing of the circumstances that they were measured in."""
        return sum(task.best is not None and task.best.provenance == NOTHING_KNOWN for task in self.tasks)

    @property
    def software(self) -> Counter[str]:
        """TVM version -> how many best records were measured with it."""
        return Counter(task.best.tvm_version for task in self.tasks if task.best is not None)

    @property
    def measured(self) -> tuple[str, str] | None:
        """When the oldest and the newest of the best records were measured (UTC); None where nobody knows."""
        times = sorted(t.best.created for t in self.tasks if t.best is not None and t.best.created != UNKNOWN_TIME)
        return (times[0], times[-1]) if times else None


def model_log(expanded: Variants, flops: dict[str, float | None], store: Store, fingerprint: str) -> ModelLog:
    """What `store` knows of a model on `fingerprint`; `flops` gives the operations of a kernel by workload hash."""
    best = {digest: store.best(digest, fingerprint) for digest in expanded.tasks}
    seconds = {digest: r.median for digest, r in best.items() if r is not None and r.median is not None}
    used: Counter[str] = Counter()
    for layer in expanded.layers:
        known = [digest for digest in layer.tasks.values() if digest in seconds]
        if known:
            used[min(known, key=lambda digest: seconds[digest])] += 1
    origins = _origins(store, [record.id for record in best.values() if record is not None])
    tasks = [
        ModelTask(
            name=task.name,
            workload=digest,
            calls=task.calls,
            used=used[digest],
            flops=flops.get(digest),
            trials=store.trials(digest, fingerprint),
            best=best[digest],
            origin=origins.get(found.id) if (found := best[digest]) is not None else None,
        )
        for digest, task in expanded.tasks.items()
    ]
    tasks.sort(key=lambda task: (-task.seconds, task.name, task.workload))
    return ModelLog(tasks, expanded.latency(seconds) if tasks else None)


def _origins(store: Store, ids: list[str]) -> dict[str, str]:
    sql = (
        "SELECT r.id, o.name FROM records AS r JOIN origins AS o ON o.number = r.origin "
        "WHERE r.id IN (SELECT value FROM json_each(?))"
    )
    return dict(store.query(sql, (json.dumps(ids),)))
