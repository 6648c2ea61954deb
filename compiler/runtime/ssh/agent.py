"""A board's agent, by SSH: found there or put there, started for one connection, and ended with it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shlex
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from compiler.errors import EdgetuneError
from compiler.runtime.rpc import wire
from compiler.runtime.ssh.link import Link
from compiler.runtime.ssh.source import AGENT, AgentSource, Progress
from compiler.runtime.ssh.staging import SUMS, staging, sweep, why_not_whole
from compiler.version import tool_version

if TYPE_CHECKING:
    from asyncssh import SSHClientProcess, SSHReader

START_SECONDS = 60.0
"""For an agent to load TVM on a slow board."""
SILENT_SECONDS = 60.0
"""An agent that has heard nothing of its desk for so long ends: SSH takes hours to notice a network that died."""
_BEATS = 4
"""So many signs of life go out in that time."""
_STATUS_SECONDS = 10.0
_STOP_SECONDS = 3.0
_LOG_LINES = 20
_PID = "edgetune-agent-is-process "
_READY = re.compile(r"listening on 127\.0\.0\.1:([0-9]{1,5})")

_PROBE = 'uname -m; echo "${XDG_CACHE_HOME:-${HOME:?is not set}/.cache}/edgetune"'
_PATH = "command -v edgetune >/dev/null && edgetune --version"


@dataclass(frozen=True)
class Surroundings:
    """What is known of a board before an agent runs there: `uname -m`, and the folder that agents are kept in."""

    machine: str
    cache: str


@dataclass
class RunningAgent:
    """An agent that listens on the board's loopback at `port`, as long as its connection is there."""

    kind: str
    process: SSHClientProcess[bytes]
    port: int = 0
    pid: int = 0
    log: deque[str] = field(default_factory=lambda: deque(maxlen=_LOG_LINES))
    beating: asyncio.Future[None] | None = None

    async def beat(self, silent_seconds: float) -> None:
        """Tell it that the desk is there, for as long as it runs."""
        with contextlib.suppress(OSError):
            while not self.process.is_closing():
                self.process.stdin.write(b"\n")
                await asyncio.sleep(silent_seconds / _BEATS)

    async def stop(self, link: Link) -> None:
        """End it as the end of the connection would, and wait for that; kill it where it does not end."""
        self._rest()
        with contextlib.suppress(OSError, asyncio.TimeoutError, TimeoutError):
            self.process.stdin.write_eof()
            await asyncio.wait_for(self.process.wait_closed(), _STOP_SECONDS)
            return
        await self.kill(link)

    async def kill(self, link: Link) -> None:
        """End it at once, whatever it is doing."""
        self._rest()
        self.process.close()
        if self.pid and not link.lost:
            # SSH can send signals, too, but OpenSSH's server refuses to where the user is root.
            with contextlib.suppress(EdgetuneError):
                await link.run(f"kill -9 {self.pid}", seconds=_STOP_SECONDS)

    def _rest(self) -> None:
        if self.beating is not None:
            self.beating.cancel()


async def look_around(link: Link) -> Surroundings:
    """Ask the board what it is. Raises EdgetuneError where it has no POSIX shell."""
    done = await link.script(_PROBE)
    lines = done.stdout.split("\n")
    if done.status != 0 or len(lines) < 2 or not lines[1].startswith("/"):
        raise EdgetuneError(f"{link.address} does not say what it is: {done.said}")
    return Surroundings(lines[0].strip(), lines[1])


async def install(link: Link, here: Surroundings, source: AgentSource, progress: Progress | None) -> tuple[str, bool]:
    """(path of the native agent on the board, whether it had to be put there). Raises EdgetuneError where it fails."""
    name = f"agent-{await asyncio.to_thread(source.identity, here.machine)}"
    place = f"{here.cache}/{name}"
    if await why_not_whole(link, place) is None:
        return f"{place}/{AGENT}", False
    folder = await asyncio.to_thread(source.folder, here.machine, progress)
    files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
    for needed in (AGENT, SUMS):
        if needed not in files:
            raise EdgetuneError(f"the agent's folder for {here.machine} holds no {needed}")
    await sweep(link, here.cache, "agent-*")
    async with staging(link, here.cache, name) as stage:
        await stage.write(files, f"the agent to {link.address}", progress)
        await stage.check()
        await stage.place(replace=False)  # another desk may have been faster
    return f"{place}/{AGENT}", True


async def start_agent(
    link: Link, source: AgentSource, tvm: str, progress: Progress | None, silent_seconds: float = SILENT_SECONDS
) -> RunningAgent:
    """Start the board's agent: the native one where it is installed, else `edgetune serve`, else install and start it.

    tvm: the version of TVM that the agent must have; silent_seconds: how long it outlives a network that died. Raises
    EdgetuneError, in one line, where none starts.
    """
    here = await look_around(link)
    unavailable: EdgetuneError | None = None
    try:
        place = f"{here.cache}/agent-{await asyncio.to_thread(source.identity, here.machine)}"
        installed = await why_not_whole(link, place) is None
    except EdgetuneError as error:
        installed, unavailable = False, error
    if not installed:
        agent = await _serve(link, tvm, progress, silent_seconds)
        if agent is not None:
            return agent
    if unavailable is not None:
        raise unavailable
    path, _ = await install(link, here, source, progress)
    agent = await _start(link, shlex.quote(path), "native", silent_seconds)
    await _must_fit(link, agent, tvm)
    return agent


async def _serve(link: Link, tvm: str, progress: Progress | None, silent_seconds: float) -> RunningAgent | None:
    """The agent of the edgetune that is installed on the board, if it is this version's and starts."""
    done = await link.script(_PATH)
    words = done.stdout.split()
    if done.status != 0 or not words:
        return None
    agent = None
    try:
        if words[-1] != tool_version():
            raise EdgetuneError(f"it is version {words[-1]}")
        agent = await _start(link, "edgetune serve", "python", silent_seconds)
        await _must_fit(link, agent, tvm)
    except EdgetuneError as error:
        if agent is not None:
            await agent.stop(link)
        if link.lost:
            raise
        if progress is not None:
            progress(
                f"The edgetune that is installed on {link.address} cannot be used ({error}); taking an agent of our own"
            )
        return None
    return agent


async def _start(link: Link, command: str, kind: str, silent_seconds: float) -> RunningAgent:
    script = f"echo {_PID}$$; exec {command} --port 0 --until-eof --heartbeat {silent_seconds:g}"
    agent = RunningAgent(kind, await link.start(f"sh -c {shlex.quote(script)}"))
    agent.beating = asyncio.ensure_future(agent.beat(silent_seconds))
    logging = asyncio.ensure_future(_keep_log(agent))
    try:
        with link.telling():
            await asyncio.wait_for(_await_ready(link, agent, logging), START_SECONDS)
    except (TimeoutError, asyncio.TimeoutError):
        await agent.kill(link)
        raise EdgetuneError(f"the agent on {link.address} was not ready within {START_SECONDS:g} s") from None
    except BaseException:
        await agent.kill(link)
        raise
    return agent


async def _await_ready(link: Link, agent: RunningAgent, logging: asyncio.Future[None]) -> None:
    said = ""
    while data := await agent.process.stdout.readline():
        line = data.decode(errors="replace").strip()
        ready, pid = _READY.fullmatch(line), line.removeprefix(_PID)
        if ready is not None:
            agent.port = int(ready[1])
            return
        if pid != line and pid.isdigit():
            agent.pid = int(pid)
        else:
            said = line or said  # what the user's shell says when it starts
    await asyncio.wait({logging}, timeout=_STOP_SECONDS)
    said = agent.log[-1] if agent.log else said or "it says nothing"
    raise EdgetuneError(f"the agent does not start on {link.address}: {said}")


async def _keep_log(agent: RunningAgent) -> None:
    import asyncssh

    with contextlib.suppress(asyncssh.Error, OSError, ValueError):
        while line := await agent.process.stderr.readline():
            if text := line.decode(errors="replace").strip():
                agent.log.append(text)


async def _must_fit(link: Link, agent: RunningAgent, tvm: str) -> None:
    """Raises EdgetuneError where the agent cannot be reached through the connection, or has another version of TVM."""
    status = await _status(link, agent.port)
    identity = status.get("identity")
    found = identity.get("tvm") if isinstance(identity, dict) else None
    if found != tvm:
        raise EdgetuneError(
            f"the agent on {link.address} has TVM {found or 'of unknown version'}, and this is TVM {tvm}"
        )


async def _status(link: Link, port: int) -> dict[str, Any]:
    import asyncssh

    try:
        reader, writer = await link.connection.open_connection("127.0.0.1", port, encoding=None)
    except asyncssh.ChannelOpenError as error:
        if link.lost:
            raise EdgetuneError(f"the connection to {link.address} ended") from None
        if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
            raise EdgetuneError(
                f"{link.address} forwards no ports: AllowTcpForwarding is off in its sshd_config, or for this key"
            ) from None
        raise EdgetuneError(f"the agent on {link.address} cannot be reached: {' '.join(str(error).split())}") from None
    try:
        with link.telling():
            writer.write(wire.pack_int(wire.MAGIC) + wire.pack_text(wire.STATUS))
            return await asyncio.wait_for(_read_status(reader), _STATUS_SECONDS)
    except (TimeoutError, asyncio.TimeoutError):
        raise EdgetuneError(f"the agent on {link.address} does not answer") from None
    except (asyncio.IncompleteReadError, ValueError, RecursionError):
        raise EdgetuneError(f"what was started on {link.address} is no edgetune agent") from None
    finally:
        writer.close()


async def _read_status(reader: SSHReader[bytes]) -> dict[str, Any]:
    """Raises ValueError for what is no status."""
    if wire.unpack_int(await reader.readexactly(4)) != wire.MAGIC:
        raise ValueError("it refuses")
    size = wire.unpack_int(await reader.readexactly(4))
    if not 0 < size <= wire.MAX_JSON:
        raise ValueError("its answer is too long")
    status = json.loads(await reader.readexactly(size))
    if not isinstance(status, dict):
        raise ValueError("its answer is no status")
    return status
