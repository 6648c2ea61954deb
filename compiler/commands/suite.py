"""`edgetune bench --suite`: a matrix of measurements that goes on where it was interrupted, and its report."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import targets
from compiler.bench.peers import peer_names
from compiler.bench.profile import Profiled
from compiler.bench.protocol import Protocol
from compiler.bench.result import Result
from compiler.bench.run import TOLERANCE, BenchReport
from compiler.bench.suite import Cell, Done, Suite, suite
from compiler.commands import parse
from compiler.commands.bench import BenchOptions, compiled, lines_of, measured
from compiler.commands.device import Place, opened_place
from compiler.commands.source import is_package, must_exist
from compiler.errors import EdgetuneError, UsageError
from compiler.places import must_append
from compiler.report import format as fmt
from compiler.report.bench import show_bench
from compiler.report.document.reading import read_results
from compiler.report.output import STDOUT, Output
from compiler.report.steps import Steps, steps
from compiler.version import tool_version


def bench_suite(which: str, json: str | None, output: Output, options: BenchOptions) -> None:
    """Measure what `json` does not have yet of the suite, append it there, and write the report beside it.

    A cell that fails becomes a line without figures that says why, and is tried again the next time. Raises UsageError
    for options that a suite decides, and EdgetuneError at the end where cells failed.
    """
    if json is None or json == STDOUT:
        raise UsageError("--suite keeps its results in a file, and goes on from there: name it with --json FILE")
    for name, option in (("batches", "--batch"), ("precisions", "--precision"), ("shapes", "--shape")):
        if name in options.given:
            raise UsageError(f"a suite says this itself: leave out {option}")
    if options.trace is not None:
        raise UsageError("--trace is of single packages: leave it out of a suite")
    if options.aa:
        raise UsageError("--aa is no part of a suite")
    if options.tf32:
        raise UsageError("--tf32 is of single packages: leave it out of a suite")
    if options.load.wanted:
        raise UsageError("--mlperf is of single packages: leave it out of a suite")
    options.data.check()
    options.power.check()
    path = Path(json)
    must_append(path, "--json")
    reports: list[BenchReport] = []
    failed = 0
    with steps(output) as step, opened_place(options.device, step) as place:
        place.must_have_cpus(options.threads)
        target = place.target(options.target, options.threads)
        chosen = suite(which, gpu=target.family in ("cuda", "jetson"))
        for source in chosen.models:
            must_exist(source)
            if is_package(source):
                raise UsageError(f"{source} is a package: a suite has models, and compiles them")
        peers = _peers(chosen, options)
        runs = options.runs if chosen.runs is None or "runs" in options.given else chosen.runs
        seconds = options.seconds if chosen.seconds is None or "seconds" in options.given else chosen.seconds
        protocol = Protocol(runs=runs, seconds=seconds, tolerance=TOLERANCE)
        device = targets.device_name(target, place.machine)
        done = Done(read_results([path]).results if path.exists() else [])
        cells = list(chosen.cells())
        left = [cell for cell in cells if not done.has(cell, target.name, device, peers)]
        if len(left) < len(cells):
            output.note(f"{len(cells) - len(left)} of {len(cells)} cells are in {path} already")
        for number, cell in enumerate(left, 1):
            label = f"{cell.source} batch {cell.batch} {cell.precision}"
            step(f"Cell {number} of {len(left)}: {label}")
            try:
                report, profile = _measured(cell, label, peers, protocol, output, options, step, place)
            except EdgetuneError as error:
                failed += 1
                output.warn(f"{label} was not measured: {error}")
                output.json([_absent(cell, target, device, options.threads, place, str(error))])
                continue
            output.json(lines_of(report, profile))
            reports.append(report)
    if reports:
        show_bench(output, reports)
    _report(path, output)
    if failed:
        raise EdgetuneError(f"{fmt.count(failed, 'cell')} of {len(cells)} failed, as the warnings say; run it again")


def _measured(
    cell: Cell,
    label: str,
    peers: Sequence[str],
    protocol: Protocol,
    output: Output,
    options: BenchOptions,
    step: Steps,
    place: Place,
) -> tuple[BenchReport, Profiled | None]:
    own = dataclasses.replace(options, shapes=())
    with compiled(cell.source, cell.batch, cell.precision, output, own, step, place) as subject:
        return measured(subject, label, peers, protocol, own, step, place)


def _peers(chosen: Suite, options: BenchOptions) -> list[str]:
    """Those of the suite or of --vs; a board has none."""
    if options.vs is not None:
        return parse.choices(options.vs, "--vs", peer_names())
    return list(chosen.peers) if options.device.local else []


def _absent(cell: Cell, target: targets.Target, device: str, threads: int | None, place: Place, reason: str) -> Result:
    return Result(
        model=cell.model,
        model_sha256="",
        engine="edgetune",
        engine_version=tool_version(),
        target=target.name,
        fingerprint=targets.fingerprint(target, machine=place.machine).id,
        device=device,
        batch=cell.batch,
        precision=cell.precision,
        latency_ms=None,
        runs=0,
        images_per_s=None,
        threads=threads or 0,
        started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        reason=reason,
    )


def _report(path: Path, output: Output) -> None:
    from compiler.commands.report import report

    page = path.with_suffix(".html")
    try:
        report([str(path)], output, str(page), None)
    except EdgetuneError as error:
        output.warn(f"no report was written: {error}")
