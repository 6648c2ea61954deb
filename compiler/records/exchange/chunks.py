"""Lines of log files, checked a chunk at a time: here, or in processes of their own where there are many."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import NamedTuple

from compiler.errors import EdgetuneError
from compiler.records.exchange.lines import MAX_LINE_BYTES, read_row
from compiler.records.exchange.reading import blocks, reason_of
from compiler.records.record import Workload
from compiler.records.rows import Row

CHUNK_BYTES = 1 << 20
MANY_BYTES = 16 << 20
"""Of log files, from which on processes are worth their start."""
MOST_PROCESSES = 8


@dataclass(frozen=True)
class Chunk:
    """Lines of one file: the number of the first, from 1, and their bytes; None for a line that is too long."""

    file: Path
    first: int
    data: bytes | None


class Kernel(NamedTuple):
    """A workload, and its IR as zlib packed it."""

    workload: Workload
    packed: bytes


Found = tuple[int, "Row | Kernel | str"]
"""Of a line, its number and: the row of a record that is sound, a workload with its packed IR, or what is wrong."""


def chunks_of(files: Iterable[Path]) -> Iterator[Chunk]:
    """The files' lines, in order; memory is bounded by CHUNK_BYTES and one line.

    Raises EdgetuneError when a file cannot be read.
    """
    for file in files:
        for first, data in blocks(file, CHUNK_BYTES):
            yield Chunk(file, first, data)


def chunks_of_lines(source: Path, lines: Iterable[bytes]) -> Iterator[Chunk]:
    """The same of whole lines from elsewhere, newlines included; `source` is what errors call it."""
    held: list[bytes] = []
    first, number, size = 1, 0, 0
    for number, line in enumerate(lines, 1):
        held.append(line)
        size += len(line)
        if size >= CHUNK_BYTES:
            yield Chunk(source, first, b"".join(held))
            held, first, size = [], number + 1, 0
    if held:
        yield Chunk(source, first, b"".join(held))


def check_lines(first: int, data: bytes | None) -> list[Found]:
    """What the lines of a chunk are, each checked completely; blank ones are left out."""
    if data is None:
        return [(first, f"the line is longer than {MAX_LINE_BYTES} bytes")]
    *lines, torn = data.split(b"\n")
    found = [(number, _check(line, True)) for number, line in enumerate(lines, first) if line.strip()]
    if torn.strip():
        found.append((first + len(lines), _check(torn, False)))
    return found


def _check(line: bytes, whole: bool) -> Row | Kernel | str:
    try:
        item = read_row(line.rstrip(b"\r"))
    except EdgetuneError as error:
        return reason_of(error, whole)
    return Kernel(*item) if isinstance(item[0], Workload) else item


class Checkers:
    """Checks chunks in as many processes as this one may use CPUs, or in this one with `processes` = 0."""

    def __init__(self, processes: int) -> None:
        self._connections: list[Connection] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        for _ in range(processes):
            self._start()

    def check(self, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, list[Found]]]:
        """Each chunk with what its lines are, in order; at most two chunks wait for each process.

        A thread for each process gives and takes, so that no process waits while the caller keeps what others found.
        """
        if not self._connections:
            for chunk in chunks:
                yield chunk, check_lines(chunk.first, chunk.data)
            return
        free: SimpleQueue[Connection] = SimpleQueue()
        for connection in self._connections:
            free.put(connection)
        waiting: deque[tuple[Chunk, Future[list[Found]]]] = deque()
        threads = ThreadPoolExecutor(len(self._connections), thread_name_prefix="edgetune-check")
        try:
            for chunk in chunks:
                waiting.append((chunk, threads.submit(_checked, free, chunk)))
                if len(waiting) > 2 * len(self._connections):
                    before, found = waiting.popleft()
                    yield before, found.result()
            while waiting:
                before, found = waiting.popleft()
                yield before, found.result()
        finally:
            threads.shutdown(cancel_futures=True)

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        root = str(Path(__file__).resolve().parents[3])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "compiler.records.exchange.checker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._processes.append(process)
        self._connections.append(Connection(ours.detach()))

    def __enter__(self) -> Checkers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._connections:
            connection.close()  # upon which the process ends
        for process in self._processes:
            try:
                process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def processes_for(size: int) -> int:
    """How many processes are worth their start for so many bytes of lines."""
    if size < MANY_BYTES:
        return 0
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_PROCESSES, usable) if usable > 1 else 0


def _checked(free: SimpleQueue[Connection], chunk: Chunk) -> list[Found]:
    """What one of the processes finds in a chunk."""
    connection = free.get()
    try:
        connection.send((chunk.first, chunk.data))
        found: list[Found] = connection.recv()
    except (EOFError, OSError):  # killed, for its memory say: what it had is checked here
        return check_lines(chunk.first, chunk.data)
    finally:
        free.put(connection)
    return found
