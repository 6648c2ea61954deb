"""`edgetune serve`: the agent of this board."""

from __future__ import annotations

import re
from dataclasses import dataclass

from compiler.commands.listening import host_to_listen_at
from compiler.errors import EdgetuneError, UsageError
from compiler.runtime.rpc.address import check_key, parse_address
from compiler.runtime.rpc.wire import DEFAULT_TRACKER_PORT

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", re.IGNORECASE)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_LEAST_MEMORY = 256 << 20  # TVM's runtime alone takes most of this much of a process's addresses


@dataclass(frozen=True)
class ServeOptions:
    """The command's options as they were given."""

    port: int
    key: str
    tracker: str | None
    listen: str | None
    insecure: bool
    session_limit: float
    memory_limit: str | None
    until_eof: bool
    heartbeat: float | None


def serve(options: ServeOptions) -> None:
    """Run the agent until it is told to end. Raises UsageError and EdgetuneError where it cannot begin."""
    import importlib.util

    if options.heartbeat is not None and not options.until_eof:
        raise UsageError("--heartbeat is of standard input: give --until-eof, too")
    check_key(options.key)
    tracker = parse_address(options.tracker, DEFAULT_TRACKER_PORT) if options.tracker is not None else None
    memory_limit = parse_size(options.memory_limit) if options.memory_limit is not None else None
    host = host_to_listen_at(options.listen, options.insecure, "whoever reaches the port run code on this board")
    if importlib.util.find_spec("tvm") is None:
        raise EdgetuneError("TVM is not installed here: pip install 'edgetune[rpc]', or use edgetune-agent")
    from compiler.runtime.agent.agent import serve as run
    from compiler.runtime.agent.options import AgentOptions

    agent = AgentOptions(
        key=options.key,
        host=host,
        port=options.port,
        tracker=tracker,
        session_limit=options.session_limit,
        memory_limit=memory_limit,
        until_eof=options.until_eof,
        heartbeat=options.heartbeat,
    )
    run(agent, lambda address: print(f"listening on {address}", flush=True))  # noqa: T201 - the line that is waited for


def parse_size(text: str) -> int:
    """Bytes of `2G`, `512M` or a plain number. Raises UsageError for anything else, and for less than TVM takes."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--memory-limit {text}: give bytes, or a size such as 512M or 2G")
    size = int(float(match[1]) * _UNITS[match[2].upper()])
    if size < _LEAST_MEMORY:
        raise UsageError(f"--memory-limit {text}: TVM itself takes more; give at least 256M")
    return size
