"""What an agent is told when it is started."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.runtime.rpc.address import Address
from compiler.runtime.rpc.wire import DEFAULT_KEY, DEFAULT_PORT

SESSION_LIMIT_SECONDS = 3600.0


@dataclass(frozen=True)
class AgentOptions:
    """`port` 0 is any free one; `memory_limit` is in bytes, None for no limit; limits of time are in seconds.

    `heartbeat` is how long standard input may be silent, with `until_eof`; None: for ever.
    """

    key: str = DEFAULT_KEY
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    tracker: Address | None = None
    session_limit: float = SESSION_LIMIT_SECONDS
    memory_limit: int | None = None
    until_eof: bool = False
    heartbeat: float | None = None
