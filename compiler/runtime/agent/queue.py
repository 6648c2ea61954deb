"""Clients that wait for the board, in the order of their arrival; one that goes away is forgotten."""

from __future__ import annotations

from compiler.runtime.agent.door import Client
from compiler.runtime.agent.reactor import GONE, Reactor


class Queue:
    """A queue; take from it what `add` has put there."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._clients: dict[int, tuple[Client, float]] = {}  # by descriptor, in order

    def __len__(self) -> int:
        return len(self._clients)

    def add(self, client: Client, limit: float, first: bool = False) -> None:
        """Let `client` wait for a session of at most `limit` seconds; with `first`, before all others."""
        entry = {client[0].fileno(): (client, limit)}
        self._clients = {**entry, **self._clients} if first else {**self._clients, **entry}
        self._reactor.watch(client[0], GONE, lambda _events: self._gone(client))

    def take(self) -> tuple[Client, float]:
        """The client that has waited longest, and its limit. Only where there is one."""
        descriptor = next(iter(self._clients))
        self._reactor.forget(descriptor)
        return self._clients.pop(descriptor)

    def close(self) -> None:
        while self._clients:
            self.take()[0][0].close()

    def _gone(self, client: Client) -> None:
        self._reactor.forget(client[0])
        self._clients.pop(client[0].fileno(), None)
        client[0].close()
