"""Where a command runs things: on this machine, or on a board that `--rpc`, `--key` and `--ssh` lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import targets
from compiler.commands.hardware import find_target, must_have_cpus, session_threads
from compiler.errors import EdgetuneError, UsageError
from compiler.report import format as fmt
from compiler.runtime.rpc.address import Way, check_key, parse_address
from compiler.runtime.rpc.wire import DEFAULT_PORT, DEFAULT_TRACKER_PORT

if TYPE_CHECKING:
    from compiler.package import Manifest
    from compiler.runtime.rpc.identity import Identity
    from compiler.runtime.rpc.session import RemoteSession
    from compiler.runtime.session import LocalSession

Say = Callable[[str], None]


@dataclass(frozen=True)
class DeviceOptions:
    """The options that say where to run. Raises UsageError for what cannot be meant."""

    rpc: str | None = None
    key: str | None = None
    ssh: str | None = None

    def __post_init__(self) -> None:
        if self.rpc is not None and self.ssh is not None:
            raise UsageError("--rpc and --ssh lead to two boards: give one of them")
        if self.key is not None and self.rpc is None:
            raise UsageError("--key names boards of a tracker: give its address with --rpc HOST:PORT")
        if self.key is not None:
            check_key(self.key)
        if self.rpc is not None:
            parse_address(self.rpc, DEFAULT_PORT)

    @property
    def local(self) -> bool:
        """Whether it is this machine."""
        return self.rpc is None and self.ssh is None


HERE = DeviceOptions()


@dataclass(frozen=True)
class Place:
    """This machine (both None), or a board that `way` leads to and that says what it is."""

    way: Way | None = None
    identity: Identity | None = None

    @property
    def local(self) -> bool:
        """Whether it is this machine."""
        return self.way is None

    @property
    def machine(self) -> targets.Machine | None:
        """The board as targets ask about it; None for this machine."""
        if self.identity is None:
            return None
        from compiler.runtime.rpc.identity import machine_of

        return machine_of(self.identity)

    def target(self, name: str, threads: int | None = None) -> targets.Target:
        """The target called `name`, `native` being what the place is. Raises UsageError where there is none."""
        return find_target(name, threads, self.machine)

    def why_not_run(self, target: targets.Target) -> str | None:
        """None where code for `target` can run here, else one line."""
        return targets.why_not_run(target, self.machine)

    def must_have_cpus(self, threads: int | None) -> None:
        """Raises UsageError where there are fewer CPUs than the `threads` that are asked for."""
        if self.identity is None:
            must_have_cpus(threads)
        elif threads is not None and threads > self.identity.cores:
            raise UsageError(f"{threads} threads were asked for, and the board may use 1 to {self.identity.cores} CPUs")

    @contextmanager
    def session(self, manifest: Manifest, threads: int | None, say: Say) -> Iterator[LocalSession | RemoteSession]:
        """A session for a package, of `threads` threads or as many as it was compiled for."""
        if self.way is not None:
            from compiler.runtime.rpc.session import RemoteSession

            with RemoteSession(self.way, threads, waiting=_waiting(say), sent=_sent(say)) as remote:
                yield remote
            return
        from compiler.runtime.session import LocalSession

        with LocalSession(session_threads(threads, manifest.threads)) as local:
            yield local


THIS_MACHINE = Place()


@contextmanager
def way_to_board(options: DeviceOptions, say: Say) -> Iterator[Way]:
    """How the board is reached; a tunnel that `--ssh` opens is closed afterwards, and the agent at its end with it."""
    if options.rpc is not None:
        default = DEFAULT_PORT if options.key is None else DEFAULT_TRACKER_PORT
        yield Way(parse_address(options.rpc, default), options.key)
        return
    if options.ssh is None:
        raise UsageError("no board is named: give --rpc HOST:PORT or --ssh USER@BOARD")
    from compiler.runtime.ssh.tunnel import open_agent

    with open_agent(options.ssh, progress=say) as address:
        yield Way(address, name=options.ssh)


@contextmanager
def opened_place(options: DeviceOptions, say: Say) -> Iterator[Place]:
    """The place that the options name. Raises EdgetuneError where no board answers; none is occupied by asking."""
    if options.local:
        yield THIS_MACHINE
        return
    with way_to_board(options, say) as way:
        say(f"Asking {way} what it is")
        yield Place(way, identity_at(way))


def identity_at(way: Way) -> Identity:
    """What the board is that `way` leads to; of a tracker's several, what the first one is.

    Raises EdgetuneError where there is none, or it does not say.
    """
    from compiler.runtime.rpc import tracker
    from compiler.runtime.rpc.dial import ask_status
    from compiler.runtime.rpc.identity import decode_identity

    if way.key is None:
        return decode_identity(ask_status(way.address).get("identity"))
    known = [board for board in tracker.boards(way.address) if board.key == way.key]
    if not known:
        raise EdgetuneError(f"the tracker {way.address} knows no board of {way.key}: `edgetune devices` lists them")
    for board in known:
        if board.status is not None:
            return decode_identity(board.status.get("identity"))
    raise EdgetuneError(f"the boards of {way.key} are no edgetune agents: start `edgetune serve` on them")


def _waiting(say: Say) -> Say:
    return lambda what: say(f"Waiting: {what}")


def _sent(say: Say) -> Callable[[int, int], None]:
    said = [-1]

    def sent(done: int, size: int) -> None:
        tenth = 10 * done // max(1, size)
        if tenth != said[0]:
            said[0] = tenth
            say(f"Sending the package, {10 * tenth} % of {fmt.size(size)}")

    return sent
