"""What a store has kept of tuning."""

from __future__ import annotations

from compiler.records.record import CHECK_RUN, Record
from compiler.records.store import Store


def trials(store: Store) -> list[Record]:
    """Every trial in the order in which it was made; checks are none."""
    return sorted((r for r in store.records() if r.run != CHECK_RUN), key=lambda r: r.created)
