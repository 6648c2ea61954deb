"""The process that LoadGen runs in: `python -m compiler.bench.mlperf.process FD`, with an order to read from FD.

LoadGen waits in C++, where Ctrl-C cannot reach it, and cannot be stopped from within; a process can. The package is
loaded here too, so that LoadGen's queries are answered on the thread that computes, with nothing in between.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from compiler.bench.mlperf import loadgen
from compiler.bench.mlperf.order import Failed, Order, Ran, Ready, Step
from compiler.bench.mlperf.samples import open_samples
from compiler.bench.mlperf.scenarios import OFFLINE, PERFORMANCE
from compiler.bench.mlperf.system import System
from compiler.errors import EdgetuneError, UsageError
from compiler.package import Manifest, open_package
from compiler.runtime.outputs import device_kind
from compiler.runtime.rpc.session import RemoteSession
from compiler.runtime.session import Executable, LocalSession
from targets import cpuinfo

_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def main() -> None:
    """Carry out the order; ends with status 0 where everything was told, failures too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the desk, which then kills this process
    _end_with_owner()
    connection = Connection(int(sys.argv[1]))

    def fail(error: BaseException) -> NoReturn:
        with contextlib.suppress(OSError):  # the owner has gone
            connection.send(Failed(_line(error), isinstance(error, UsageError)))
        # At once: LoadGen's threads may wait for answers that will never come.
        os._exit(0)

    try:
        _work(connection.recv(), connection, fail)
    except BaseException as error:  # noqa: BLE001 - the owner is the one who can tell it
        fail(error)


def _work(order: Order, connection: Connection, fail: Callable[[BaseException], NoReturn]) -> None:
    tell = connection.send
    package = open_package(order.package)
    samples = open_samples(package.manifest, order.data, order.duration.full)
    with _session(order, package.manifest, lambda text: tell(Step(text))) as session:
        executable: Executable = session.load(package)
        system = System(executable, samples)
        timed = _timed(order.way is None, device_kind(package.manifest))
        tell(Ready(loadgen.loadgen_version(), samples.name, samples.size, samples.resident, timed))
        for scenario, mode, folder in order.runs:
            connection.recv()  # the desk has done what it had to with the last one
            size = None if order.data.dataset is None else samples.size
            asked = loadgen.lengths(scenario, order.duration, size)
            tell(Step(_doing(scenario, mode, asked)))
            executable.hold(loadgen.start_test, system, samples, scenario, mode, asked, Path(folder), fail)
            tell(
                Ran(
                    scenario=scenario,
                    mode=mode,
                    folder=folder,
                    min_seconds=asked.seconds,
                    min_queries=asked.queries,
                    official_seconds=asked.official_seconds,
                    official_queries=asked.official_queries,
                    batches=system.batches,
                    padded=system.padded,
                    gathered=system.gathered,
                    transfers=system.transfers,
                    computing=tuple(system.computing),
                )
            )


def _session(order: Order, manifest: Manifest, say: Callable[[str], None]) -> LocalSession | RemoteSession:
    if order.way is not None:
        return RemoteSession(order.way, order.threads, waiting=lambda what: say(f"Waiting: {what}"))
    wanted = order.threads
    return LocalSession(wanted if wanted is not None else min(manifest.threads, len(cpuinfo.usable_cpus())))


def _doing(scenario: str, mode: str, asked: loadgen.Lengths) -> str:
    if mode != PERFORMANCE:
        return f"MLPerf {scenario}, {mode}: every sample once"
    what = "samples" if scenario == OFFLINE else "queries"
    return f"MLPerf {scenario}, {mode}: {asked.seconds:g} s and {asked.queries} {what} at least"


def _timed(local: bool, kind: str) -> str:
    """What a query's latency is made of."""
    if not local:
        return (
            "from a query's issue on this machine to its answer here: the calls to the board, the model's run, and its "
            "outputs on their way back; inputs were sent to the board before, but for batches that were put together "
            "when they were asked for"
        )
    where = "in memory" if kind == "cpu" else "in the device's memory"
    return (
        f"from a query's issue to its answer: the model's run and the copy of its outputs; inputs lie {where} before, "
        "but for batches that are put together when they are asked for"
    )


def _line(error: BaseException) -> str:
    if isinstance(error, EdgetuneError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1][:300] if lines else 'no message'}"


def _end_with_owner() -> None:
    """Have Linux kill this process when its owner ends, be it by kill -9: a run may be ten minutes from its end."""
    with contextlib.suppress(OSError, AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
