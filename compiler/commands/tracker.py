"""`edgetune tracker`: TVM's tracker, which knows boards and gives them to desks."""

from __future__ import annotations

from compiler.commands.listening import host_to_listen_at


def tracker(port: int, listen: str | None, insecure: bool) -> None:
    """Run it until Ctrl-C or SIGTERM. Raises UsageError and EdgetuneError where it cannot begin."""
    host = host_to_listen_at(listen, insecure, "whoever reaches the port take boards and pretend to be one")
    from compiler.runtime.tracker.server import run

    run(host, port, lambda address: print(f"tracking on {address}", flush=True))  # noqa: T201 - the line waited for
