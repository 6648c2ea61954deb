"""The queue of one key: boards that are free, and those who want one."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from tvm.rpc.tracker import PriorityScheduler

Value = tuple[Any, str, int, str]
"""The board's connection, its host and port, and its match key."""


class Scheduler(PriorityScheduler):
    """TVM's, which forgets a client that has gone, and gives each match key once."""

    _values: list[Value]
    _requests: list[tuple[int, int, Callable[[Any], bool]]]

    def request(self, user: str, priority: int, callback: Callable[[Any], bool]) -> None:
        """Have `callback` called with a board; it returns whether the client could be told."""
        self._requests = [one for one in self._requests if not _gone(one[-1])]
        heapq.heapify(self._requests)
        super().request(user, priority, callback)

    def _schedule(self) -> None:
        while self._requests and self._values:
            callback = heapq.heappop(self._requests)[-1]
            value = self._values[0]
            if callback(value[1:]):
                self._values.pop(0)
                value[0].pending_matchkeys.discard(value[-1])
                value[0].forget_taken()


def _gone(callback: Any) -> bool:
    """Whether the client that `callback` would tell is known to have gone: TVM keeps its connection in the closure."""
    for cell in getattr(callback, "__closure__", None) or ():
        if hasattr(cell.cell_contents, "_sock"):
            return cell.cell_contents._sock is None
    return False
