"""Where a run begins: the neighbours of each of its tasks, and what the cost model may learn from first."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from compiler.records.nearest.kernels import Kernel, read_kernel
from compiler.records.nearest.lookup import Lesson, Nearest, counted
from compiler.records.workload import workload_of
from compiler.tuning.warm_start.seeds import seeds

if TYPE_CHECKING:
    import tvm

    from compiler.records.nearest.devices import Device
    from compiler.records.store import Store
    from compiler.tuning.search import Candidate, Search


class Beginning:
    """What the tasks of a run may begin from. `records` records of `kernels` similar kernels are their neighbours."""

    def __init__(
        self, store: Store, device: Device, tasks: Mapping[str, tvm.IRModule], known: Collection[str] = ()
    ) -> None:
        """`tasks` by workload hash; those that are `known`, by records of their own, need no neighbours.

        Raises EdgetuneError where the store cannot be read.
        """
        self._store = store
        self._fingerprint = device.fingerprint
        self._nearest = Nearest(store, device)
        sizes: dict[str, Kernel] = {}
        if not self._nearest.empty:
            read = {digest: read_kernel(workload_of(mod).ir) for digest, mod in tasks.items()}
            sizes = {digest: kernel for digest, kernel in read.items() if kernel is not None}
        self._kernels = sizes
        found = {
            digest: self._nearest.records(kernel, digest, device.fingerprint)
            for digest, kernel in sizes.items()
            if digest not in known
        }
        self._neighbours = {digest: neighbours for digest, neighbours in found.items() if neighbours}
        self.records, self.kernels = counted(self._neighbours)

    def seeds(self, search: Search) -> list[Candidate]:
        """A task's seeds, to be tried once: see `seeds.seeds`; none that was tried here."""
        task = search.task.hash
        if task not in self._neighbours:
            return []
        return seeds(search, self._neighbours.pop(task), self._store.tried(task, self._fingerprint))

    def lessons(self, without: Collection[str]) -> list[Lesson]:
        """Kernels to train a cost model on, the nearest first; none `without`."""
        return self._nearest.kernels(self._kernels.values(), without)
