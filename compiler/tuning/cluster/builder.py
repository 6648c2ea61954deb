"""A builder of many machines: a dask.distributed cluster, and the cores of this one."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib.util
import logging
import queue
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import targets
from compiler.errors import EdgetuneError, UsageError
from compiler.report import format as fmt
from compiler.tuning.builder import Done
from compiler.tuning.cluster import remote
from compiler.tuning.cluster.lane import Lane
from compiler.tuning.workers import START_SECONDS, Outcome

if TYPE_CHECKING:
    from distributed import Client, Future

DEFAULT_PORT = 8786
"""Dask's own."""
CONNECT_SECONDS = 10.0
LOOK_SECONDS = 1.0
"""Between two looks at which workers there are."""
GRACE_SECONDS = 30.0
"""For a job to travel, beyond the time that it may take."""
MOST_LOSSES = 2
_TICK_SECONDS = 0.25


@dataclass(eq=False)
class _Flight:
    """A job of a `map`. `losses` counts the workers that went away over it."""

    index: int
    losses: int = 0
    worker: str | None = None
    future: Future | None = None
    deadline: float = 0.0


class _Event(NamedTuple):
    """A job has come to an end: here with an `outcome`, elsewhere with a `future`, None where it could not begin."""

    flight: _Flight
    future: Future | None
    outcome: Outcome | None = None


class ClusterBuilder:
    """A `Builder`. Within `with`, connected to the cluster, with threads and processes for this machine's cores.

    A worker that goes away costs its job one more try; one that goes away over it again has cost the job. While the
    scheduler does not answer, this machine builds alone.
    """

    def __init__(
        self, address: str, target: targets.Target, local: int, notify: Callable[[str], None] = lambda line: None
    ) -> None:
        """`address` is that of the scheduler (HOST:PORT, or with tcp:// or tls:// before it), `local` how many jobs
        this machine takes at a time, at least one. `notify` is told what the user should know, in lines, on whatever
        thread. Raises UsageError where dask is not installed."""
        if importlib.util.find_spec("distributed") is None:
            raise UsageError("--build-cluster needs dask: pip install 'edgetune[cluster]'")
        self.address = scheduler_address(address)
        self.built = {"here": 0, "cluster": 0}
        """How many jobs were done here and by the cluster."""
        self._target = target
        self._lanes = [Lane(number) for number in range(max(1, local))]
        self._client: Client | None = None
        self._workers: dict[str, int] = {}
        """Those that may be used, and how many jobs each takes at a time."""
        self._asked: dict[str, Future] = {}
        self._alike: set[str] = set()
        self._refused: dict[str, str] = {}
        self._begun = False
        self._looked = 0.0
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._abandoned = False
        self._flying: list[_Flight] = []
        self._notify = notify
        self._cut_off = False

    @property
    def parallel(self) -> int:
        return len(self._lanes) + sum(self._workers.values())

    # ---- the connection

    def __enter__(self) -> ClusterBuilder:
        """Connect. Raises EdgetuneError, in one line, where nobody answers, there are no workers, or some of them are
        not what this machine is."""
        # What it says of connections that come and go is said here, in fewer words.
        for name in ("distributed", "tornado.application"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._client = self._connect()
        try:
            self._meet()
            self._begun = True
            for lane in self._lanes:
                lane.start()
        except BaseException:
            self._disconnect()
            raise
        return self

    def _connect(self) -> Client:
        """Raises EdgetuneError where nobody answers, or not as dask's configuration wants it."""
        import distributed

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # versions are compared later
                return distributed.Client(self.address, timeout=CONNECT_SECONDS, set_as_default=False, name="edgetune")
        except Exception as error:  # noqa: BLE001 - TLS, names, addresses and time limits all fail in ways of their own
            reason = " ".join(str(error).split())[:200] or type(error).__name__
        # What is left of that client closes itself when it is collected. Let that be here: on the thread of a later
        # client, which it can be as well, the two wait for each other for ever.
        gc.collect()
        raise EdgetuneError(f"no dask scheduler can be reached at {self.address}: {reason}")

    def _meet(self) -> None:
        """Wait until the workers have said what they are, or at least one has and the time is up."""
        deadline = time.monotonic() + CONNECT_SECONDS
        while True:
            self._look(0.0)
            if not self._asked or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        if self._refused:
            raise EdgetuneError("; ".join(f"the worker {who} {why}" for who, why in sorted(self._refused.items())))
        if not self._workers and self._asked:
            raise EdgetuneError(f"no worker of the cluster at {self.address} has answered: they are busy, or hang")
        if not self._workers:
            raise EdgetuneError(f"the cluster at {self.address} has no workers: start `dask worker {self.address}`")

    def __exit__(self, *exception: object) -> None:
        self._give_up()
        for lane in self._lanes:
            lane.close()
        self._disconnect()

    def _disconnect(self) -> None:
        if self._client is not None:
            with contextlib.suppress(Exception):  # the scheduler may be gone
                self._client.close(timeout=2)
            self._client = None

    @property
    def _connected(self) -> bool:
        return self._client is not None and self._client.status == "running"

    def _look(self, every: float = LOOK_SECONDS) -> None:
        """See which workers there are, and whether new ones are what this machine is."""
        if time.monotonic() - self._looked < every:
            return
        found: dict[str, int] | None = None
        if self._connected and self._client is not None:
            with contextlib.suppress(Exception):  # whatever dask raises: it does not answer
                found = dict(self._client.nthreads())
        self._looked = time.monotonic()
        if found is None:
            self._workers = {}
            if not self._cut_off:
                self._notify(f"the scheduler {self.address} does not answer: this machine builds alone")
            self._cut_off = True
            return
        if self._cut_off:
            self._cut_off = False
            self._notify(f"the scheduler {self.address} is back")
        self._ask(found)
        for who in [who for who in self._refused if who not in found]:
            del self._refused[who]
        self._workers = {who: threads for who, threads in found.items() if who in self._alike}

    def _ask(self, found: Mapping[str, int]) -> None:
        """Have new workers say what they are, and take in what those say that were asked before."""
        if self._client is None:
            return
        for who in [who for who in found if who not in self._alike | self._refused.keys() | self._asked.keys()]:
            with contextlib.suppress(Exception):  # it has gone again
                # As a job: a call outside of jobs has no time limit. As a text: a function of ours is read before the
                # job begins, and a dask worker that has no edgetune dies of that.
                self._asked[who] = self._client.submit(
                    eval,
                    f"__import__('importlib').import_module({remote.__name__!r}).describe(*asked)",
                    {"asked": (self._target.name, self._target.cores)},
                    workers=[who],
                    pure=False,
                    priority=1,
                )
        self._alike &= found.keys()
        for who, future in list(self._asked.items()):
            if who in found and not future.done():
                continue
            del self._asked[who]
            reason = self._why_not(future) if who in found else None
            if reason is not None:
                self._refused[who] = reason
                if self._begun:
                    self._notify(f"the worker {who} is left out: it {reason}")
            elif who in found:
                self._alike.add(who)

    def _why_not(self, future: Future) -> str | None:
        """What is different about a worker that has said what it is, as the end of a sentence; None for nothing."""
        told: Any
        try:
            told = future.result(timeout=CONNECT_SECONDS)
        except Exception as error:  # noqa: BLE001 - whatever it raises there
            told = error
        return _difference(told, remote.describe(self._target.name, self._target.cores))

    # ---- as a Builder

    def map(
        self,
        kind: str,
        jobs: Sequence[dict[str, Any]],
        timeout: float,
        stop: Callable[[], bool] | None = None,
        done: Done | None = None,
    ) -> list[Outcome]:
        outcomes: list[Outcome | None] = [None] * len(jobs)
        waiting = deque(_Flight(index) for index in range(len(jobs)))
        flying = self._flying = []
        self._abandoned = False

        def finish(flight: _Flight, outcome: Outcome) -> None:
            outcomes[flight.index] = outcome
            if done is not None:
                done(flight.index, outcome)

        def again(flight: _Flight, lost: bool) -> None:
            """A worker or the scheduler went away: the job is done once more, if that does not happen all the time."""
            flight.losses += lost
            flight.worker = flight.future = None
            if flight.losses < MOST_LOSSES:
                waiting.appendleft(flight)
            else:
                finish(flight, Outcome(error=f"the worker that built it went away, {MOST_LOSSES} times"))

        try:
            while waiting or flying:
                if stop is not None and waiting and stop():
                    waiting.clear()
                    continue
                self._look()
                self._feed(kind, jobs, timeout, waiting)
                for flight in self._lost():
                    flying.remove(flight)
                    again(flight, lost=self._connected)
                if self._abandoned:
                    self._abandoned = False
                    for flight in [flight for flight in flying if flight.worker is not None]:
                        self._cancel(flight)
                        flying.remove(flight)
                        finish(flight, Outcome(error="given up"))
                event = self._next()
                # One of a `map` that was interrupted, or of a worker that was given up, is nobody's any more.
                if event is None or event.flight not in flying or event.future is not event.flight.future:
                    continue
                flight = event.flight
                flying.remove(flight)
                if event.outcome is not None:
                    self.built["here"] += 1
                    finish(flight, event.outcome)
                    continue
                outcome = self._taken(event.future, jobs[flight.index])
                if outcome is None:
                    again(flight, lost=self._connected)
                else:
                    self.built["cluster"] += 1
                    finish(flight, outcome)
        except BaseException:
            self._give_up()
            raise
        return [outcome if outcome is not None else Outcome(error="not run") for outcome in outcomes]

    def abandon(self) -> None:
        """End the jobs under way at once: another thread, which is in `map`, gets them back as failed."""
        for lane in self._lanes:
            lane.abandon()
        self._abandoned = True

    def _feed(self, kind: str, jobs: Sequence[dict[str, Any]], timeout: float, waiting: deque[_Flight]) -> None:
        """Begin what there is room for, here and elsewhere."""
        for lane in self._lanes:
            if waiting and not lane.busy:
                flight = waiting.popleft()
                self._flying.append(flight)
                lane.begin(kind, jobs[flight.index], timeout, self._teller(flight))
        if kind != "build" or not self._connected:
            return
        for worker, threads in self._workers.items():
            room = threads - sum(flight.worker == worker for flight in self._flying)
            for _ in range(min(room, len(waiting))):
                flight = waiting.popleft()
                self._flying.append(flight)
                self._submit(flight, worker, jobs[flight.index], timeout)

    def _submit(self, flight: _Flight, worker: str, job: dict[str, Any], timeout: float) -> None:
        flight.worker = worker
        flight.deadline = time.monotonic() + START_SECONDS + timeout + GRACE_SECONDS
        try:
            if self._client is None:
                raise RuntimeError("closed")
            # For one worker: which of them are to be used is known here, and so is which of them are gone.
            future = self._client.submit(remote.build, job, timeout, workers=[worker], pure=False)
            flight.future = future
            future.add_done_callback(lambda ended: self._events.put(_Event(flight, ended)))
        except Exception:  # noqa: BLE001 - the connection has just been lost
            self._events.put(_Event(flight, flight.future))

    def _teller(self, flight: _Flight) -> Callable[[Outcome], None]:
        return lambda outcome: self._events.put(_Event(flight, None, outcome))

    def _next(self) -> _Event | None:
        try:
            return self._events.get(timeout=_TICK_SECONDS) if self._flying else None
        except queue.Empty:
            return None

    def _lost(self) -> list[_Flight]:
        """The jobs whose workers are gone, or do not come to an end."""
        now = time.monotonic()
        lost = []
        for flight in self._flying:
            if flight.worker is None:
                continue
            late = now > flight.deadline
            if late or flight.worker not in self._workers:
                self._cancel(flight)
                lost.append(flight)
            if late:
                self._refused[flight.worker] = "does not finish what it begins"
                self._notify(f"the worker {flight.worker} is left out: it {self._refused[flight.worker]}")
                self._alike.discard(flight.worker)
                self._workers.pop(flight.worker, None)
        return lost

    def _taken(self, future: Future | None, job: dict[str, Any]) -> Outcome | None:
        """What the cluster built, written to the job's file; None where the worker was lost over it."""
        if future is None or not future.done():
            return None
        try:
            answer = future.result(timeout=GRACE_SECONDS)
            if "error" in answer:
                return Outcome(error=str(answer["error"]))
            content, arguments = answer["library"], answer["arguments"]
            if hashlib.sha256(content).hexdigest() != answer["sha256"]:
                return None
            Path(job["library"]).write_bytes(content)
            return Outcome(value=(job["library"], arguments))
        except OSError as error:
            if error.filename is not None:  # the disk, and not the network
                raise EdgetuneError(f"cannot write {error.filename}: {error.strerror}") from None
            return None
        except Exception:  # noqa: BLE001 - a worker that died, as dask says it in many ways
            return None

    def _cancel(self, flight: _Flight) -> None:
        if flight.future is not None:
            with contextlib.suppress(Exception):
                flight.future.cancel()

    def _give_up(self) -> None:
        for lane in self._lanes:
            lane.abandon()
        for flight in self._flying:
            self._cancel(flight)
        self._flying = []


def scheduler_address(text: str) -> str:
    """`text` as dask takes it. Raises UsageError for what is no address."""
    scheme, there, rest = text.rpartition("://")
    host, colon, port = rest.rpartition(":")
    if there and scheme not in ("tcp", "tls"):
        raise UsageError(f"--build-cluster {text}: give HOST:PORT, or tcp:// or tls:// before it")
    if not colon:
        host, port = rest, str(DEFAULT_PORT)
    if not host or not port.isdecimal() or not 0 < int(port) < 65536 or any(c.isspace() for c in host):
        raise UsageError(f"--build-cluster {text}: give the scheduler's address as HOST:PORT")
    return f"{scheme or 'tcp'}://{host}:{port}"


def _difference(told: Any, own: dict[str, str | None]) -> str | None:
    """What is wrong with what a worker says of itself; None where nothing is."""
    if isinstance(told, ImportError):
        return "has no edgetune installed, or an older one"
    if not isinstance(told, dict):
        return f"does not say what it is ({_line(told)})"
    for name, words in (("edgetune", "edgetune"), ("tvm", "TVM")):
        if told.get(name) != own[name]:
            return f"on {told.get('host')} has {words} {told.get(name)}, and this machine has {own[name]}"
    if told.get("cannot") is not None:
        return f"on {told.get('host')} cannot compile: {told['cannot']}"
    return None


def _line(error: object) -> str:
    return fmt.printable(" ".join(f"{type(error).__name__}: {error}".split())[:200])
