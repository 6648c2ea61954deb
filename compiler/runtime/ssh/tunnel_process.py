"""The process of `tunnel.py`: `python -m compiler.runtime.ssh.tunnel_process`.

It reads what to do from standard input, holds the connection and the forwarded port, and ends when its standard input
is closed, as it is when the desk dies. Lines of JSON go both ways:

  desk: {"address", "known_hosts", "config", "tvm", "live", "silent_seconds"}    first of all
  here: {"progress": text}
  here: {"ask": "identity" | "folder", "machine": name}    desk: {"value": text} or {"error": text}
  here: {"ready": {"host", "port", "kind", "board"}}       the agent listens there
  here: {"error": text, "exit_code": 1 | 2}                and nothing after it
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from compiler.errors import EdgetuneError
from compiler.runtime.ssh.address import parse
from compiler.runtime.ssh.agent import RunningAgent, start_agent
from compiler.runtime.ssh.link import Link
from compiler.runtime.ssh.source import Progress

LOOPBACK = "127.0.0.1"


class Desk:
    """The desk, at the other ends of standard input and output."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str] = asyncio.Queue()

    def tell(self, **message: Any) -> None:
        with contextlib.suppress(OSError):  # it is gone, which is noticed elsewhere
            sys.stdout.write(json.dumps(message) + "\n")
            sys.stdout.flush()

    async def listen(self) -> None:
        """Take what it says, until it is gone."""
        reader = asyncio.StreamReader()
        await self._loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            await self._lines.put(line.decode())
        await self._lines.put("")

    async def receive(self) -> dict[str, Any]:
        """The next message; empty when there is none to come."""
        line = await self._lines.get()
        if not line:
            await self._lines.put(line)
        return dict(json.loads(line)) if line else {}

    # What follows makes it a source of agents (`compiler.runtime.ssh.source`), called from another thread.

    def identity(self, machine: str) -> str:
        return self._ask("identity", machine)

    def folder(self, machine: str, _progress: Progress | None) -> Path:
        return Path(self._ask("folder", machine))

    def _ask(self, what: str, machine: str) -> str:
        self.tell(ask=what, machine=machine)
        answer = asyncio.run_coroutine_threadsafe(self.receive(), self._loop).result()
        if "value" not in answer:
            raise EdgetuneError(answer.get("error", "the desk is gone"))
        return str(answer["value"])


class _Teller:
    """Progress, for the desk to show."""

    def __init__(self, desk: Desk, live: bool) -> None:
        self._desk = desk
        self.live = live

    def __call__(self, text: str) -> None:
        self._desk.tell(progress=text)


async def serve(desk: Desk) -> None:
    """Do what the desk says until it is gone. Raises EdgetuneError where the agent cannot be had, or is lost."""
    order = await desk.receive()
    if not order:
        return
    address = parse(order["address"])
    files = {name: Path(order[name]) if order[name] else None for name in ("known_hosts", "config")}
    link = await Link.open(address, **files)
    agent: RunningAgent | None = None
    try:
        teller = _Teller(desk, order["live"])
        agent = await start_agent(link, desk, order["tvm"], teller, order["silent_seconds"])
        listener = await link.connection.forward_local_port(LOOPBACK, 0, LOOPBACK, agent.port)
        desk.tell(ready={"host": LOOPBACK, "port": listener.get_port(), "kind": agent.kind, "board": str(address)})
        ended = [
            asyncio.ensure_future(link.connection.wait_closed()),
            asyncio.ensure_future(agent.process.wait_closed()),
        ]
        await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
        if ended[0].done() or link.lost:
            raise EdgetuneError(f"the connection to {address} was lost")
        said = f": {agent.log[-1]}" if agent.log else ""
        raise EdgetuneError(f"the agent on {address} ended{said}")
    finally:
        if agent is not None and not link.lost:
            await agent.stop(link)
        await link.close()


async def main() -> None:
    """Serve until the desk is gone, and tell it what fails."""
    desk = Desk()
    listening = asyncio.ensure_future(desk.listen())
    work = asyncio.ensure_future(serve(desk))
    await asyncio.wait({work, listening}, return_when=asyncio.FIRST_COMPLETED)
    work.cancel()
    try:
        await work
    except asyncio.CancelledError:
        pass
    except EdgetuneError as error:
        desk.tell(error=str(error), exit_code=error.exit_code)
    except Exception as error:  # noqa: BLE001 - a bug must not look like a board that hangs
        desk.tell(error=f"unexpected {type(error).__name__}: {' '.join(str(error).split())[:300]}", exit_code=1)


if __name__ == "__main__":
    asyncio.run(main())
