"""A package under MLPerf's load: starts LoadGen's process, and makes runs of what it tells and logs."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

import msgspec

from compiler.bench.mlperf.folder import OUTPUT, describe, new_folder, run_folder
from compiler.bench.mlperf.logs import Detail
from compiler.bench.mlperf.order import GO, Data, Duration, Failed, Message, Order, Ran, Ready, Step
from compiler.bench.mlperf.outcome import Mlperf, MlperfRun, QueryLatency
from compiler.bench.mlperf.scenarios import MULTI_STREAM, OFFLINE, PERCENTILES, PERFORMANCE
from compiler.errors import EdgetuneError, UsageError
from compiler.frontend.model import Model
from compiler.package import Package
from compiler.runtime.rpc.address import Way

Say = Callable[[str], None]


def measure_load(
    package: Package,
    *,
    runs: list[tuple[str, str]],
    duration: Duration,
    data: Data,
    logs: Path,
    way: Way | None = None,
    threads: int | None = None,
    model: Model | None = None,
    judging_threads: int = 1,
    say: Say = lambda text: None,
) -> Iterator[Mlperf]:
    """Run each (scenario, mode) of `runs`; yields, after each of them, all so far. LoadGen's logs are kept in a new
    folder in `logs`.

    `model`, which accuracy mode needs, is what the package was compiled from. What the package cannot do, and whatever
    ends LoadGen's process, raises EdgetuneError; an interrupt ends the process and comes out.
    """
    folder = new_folder(logs, package.manifest)
    order = Order(
        package=str(package.path),
        way=way,
        threads=threads,
        data=data,
        duration=duration,
        runs=tuple((scenario, mode, str(run_folder(folder, scenario, mode))) for scenario, mode in runs),
    )
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    whole: Mlperf | None = None
    for message in _messages(order, folder / OUTPUT):
        if isinstance(message, Step):
            say(message.text)
        elif isinstance(message, Ready):
            whole = Mlperf(
                loadgen=message.loadgen,
                data=message.data,
                samples=message.samples,
                resident=message.resident,
                timed=message.timed,
                folder=str(folder),
                started=started,
                runs=[],
            )
        elif isinstance(message, Ran) and whole is not None:
            run = _run(message)
            if message.mode != PERFORMANCE and model is not None:
                from compiler.bench.mlperf.accuracy import judge

                say(f"Comparing the answers of {message.scenario} with ONNX Runtime")
                accuracy, classification = judge(
                    Path(message.folder), package.manifest, model, data, duration.full, judging_threads
                )
                run = msgspec.structs.replace(run, accuracy=accuracy, classification=classification)
            whole = msgspec.structs.replace(whole, runs=[*whole.runs, run])
            describe(folder, whole)
            yield whole


def _messages(order: Order, output: Path) -> Iterator[Message]:
    """What the process tells, until it has told everything. Raises EdgetuneError where it failed or died; it is gone
    when this ends, for whatever reason."""
    ours, theirs = socket.socketpair()
    root = str(Path(__file__).resolve().parents[3])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    with output.open("wb") as said, theirs:
        process = _started(theirs, path, said)
    connection = Connection(ours.detach())
    try:
        with contextlib.suppress(OSError):  # it has died at once, which the end of the connection tells
            connection.send(order)
        while True:
            try:
                message = connection.recv()
            except (EOFError, OSError):
                break
            if isinstance(message, Failed):
                raise (UsageError if message.usage else EdgetuneError)(message.line)
            yield message
            if isinstance(message, (Ready, Ran)):
                with contextlib.suppress(OSError):  # it has died: the next message, which does not come, tells
                    connection.send(GO)
        status = process.wait()
        if status != 0:
            raise EdgetuneError(_obituary(status, output))
    finally:
        connection.close()
        process.kill()
        process.wait()
        with contextlib.suppress(OSError):
            if not output.stat().st_size:
                output.unlink()


def _started(theirs: socket.socket, path: str, said: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "compiler.bench.mlperf.process", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        start_new_session=True,  # Ctrl-C is this process's to handle
    )


def _obituary(status: int, output: Path) -> str:
    how = f"ended with status {status}"
    if status < 0:
        try:
            how = f"was ended by {signal.Signals(-status).name}"
        except ValueError:
            how = f"was ended by signal {-status}"
    said = output.read_text(encoding="utf-8", errors="replace").split("\n") if output.exists() else []
    last = next((line.strip() for line in reversed(said) if line.strip()), "")
    return f"LoadGen's process {how}" + (f": {last[:200]}" if last else "")


def _run(ran: Ran) -> MlperfRun:
    """What the logs of a run say."""
    detail = Detail(Path(ran.folder))
    timed = ran.mode == PERFORMANCE
    per_query = int(detail.number("effective_samples_per_query"))
    queries = int(detail.number("result_query_count")) if timed else None
    latency = samples_per_s = seconds = None
    if timed and ran.scenario == OFFLINE:
        samples_per_s = detail.number("result_samples_per_second")
        seconds = detail.number("result_max_latency_ns") / 1e9
    elif timed and queries is not None:
        latency = _latency(detail, ran)
        seconds = queries * latency.mean / 1e3
        samples_per_s = queries * per_query / seconds
    verdict = detail.get("result_validity") if timed else None
    return MlperfRun(
        scenario=ran.scenario,
        mode=ran.mode,
        folder=ran.folder,
        verdict=None if verdict is None else str(verdict),
        why=detail.why if timed else [],
        short=ran.min_seconds < ran.official_seconds or ran.min_queries < ran.official_queries if timed else None,
        queries=queries,
        samples=(queries or 1) * per_query if timed else _answered(detail),
        samples_per_query=per_query,
        seconds=seconds,
        min_seconds=ran.min_seconds,
        min_queries=ran.min_queries,
        official_seconds=ran.official_seconds,
        official_queries=ran.official_queries,
        percentile=PERCENTILES.get(ran.scenario) if timed else None,
        latency_ms=latency,
        samples_per_s=samples_per_s,
        batches=ran.batches,
        padded=ran.padded,
        gathered=ran.gathered,
        transfers=ran.transfers,
        errors=detail.errors,
    )


def _answered(detail: Detail) -> int:
    return int(detail.number("effective_accuracy_sample_count"))


def _latency(detail: Detail, ran: Ran) -> QueryLatency:
    """Of queries: in MultiStream of the eight samples together."""
    several = ran.scenario == MULTI_STREAM
    percentile = PERCENTILES[ran.scenario]
    computing = sorted(ran.computing)
    per, key = ("_per_query", "query_latency") if several else ("", "latency")

    def milliseconds(name: str) -> float:
        return detail.number(name) / 1e6

    figures = {at: milliseconds(f"result_{at}.00_percentile{per}_latency_ns") for at in (50, 90, 99)}
    stopped = detail.get("early_stopping_latency_ms" if several else "early_stopping_latency_ss")
    return QueryLatency(
        judged=figures[percentile],
        mean=milliseconds(f"result_mean_{key}_ns"),
        min=milliseconds(f"result_min_{key}_ns"),
        max=milliseconds(f"result_max_{key}_ns"),
        p50=figures[50],
        p90=figures[90],
        p99=figures[99],
        early_stopping=stopped / 1e6 if isinstance(stopped, (int, float)) and stopped > 0 else None,
        # as LoadGen takes its own
        computing=1e3 * computing[len(computing) * percentile // 100],
    )
