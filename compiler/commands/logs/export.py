"""`edgetune logs export`: records out of the store, into files."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compiler import config
from compiler.commands.hardware import find_target
from compiler.commands.logs.choice import check_place, must_know
from compiler.commands.source import must_be_model
from compiler.commands.store import existing_store
from compiler.errors import EdgetuneError, UsageError
from compiler.records.store import Store
from compiler.report import format as fmt
from compiler.report.output import STDOUT, Output
from compiler.report.steps import Steps, steps

if TYPE_CHECKING:
    from compiler.records.exchange.export import ExportReport


OURS, METASCHEDULE = "edgetune", "metaschedule"
MODEL_FILE = "model.json"
"""A model as TVM's JSON, beside MetaSchedule's two files: what their records apply to."""
FORMATS = (OURS, METASCHEDULE)


@dataclass(frozen=True)
class ExportOptions:
    """The options of `edgetune logs export`, as the command line gives them."""

    fingerprint: str | None = None
    top: int | None = None
    format: str = OURS
    author: str | None = None
    model: str | None = None
    target: str = "native"
    batch: int | None = None
    precision: str = "fp32"
    sign: str | None = None


def export_logs(output: Output, logs: str | None, destination: str, options: ExportOptions) -> None:
    """Write sorted JSON lines: one file where the name ends in .jsonl, stdout for -, else a folder with a file per
    kernel; or the two files of stock MetaSchedule's database. A folder is signed where a key is given.

    Raises EdgetuneError where there is nothing to write or no place for it.
    """
    if options.format != METASCHEDULE and options.model is not None:
        raise UsageError("--model goes with --format metaschedule")
    if destination == STDOUT and output.json_to_stdout:
        raise UsageError("logs export - and --json - both write to stdout: give one of them a file")
    path = Path(destination)
    if options.sign is not None and (destination == STDOUT or path.suffix == ".jsonl"):
        raise UsageError(f"--sign signs a folder, and {destination} is none")
    with existing_store(logs) as store, steps(output) as step:
        must_know(store, options.fingerprint)
        tasks = store.summary(options.fingerprint)
        if not tasks:
            raise EdgetuneError(f"there is nothing to export: {store.path} holds no records")
        if options.top is not None and all(task.best_seconds is None for task in tasks):
            raise EdgetuneError("there is nothing to export: every trial failed, so that there are no best records")
        if destination != STDOUT:
            step(f"Exporting to {destination}")
        if options.format == METASCHEDULE:
            report = _to_metaschedule(store, path, options, step)
        else:
            report = _write(store, path, options)
        if options.sign is not None:
            from compiler.records.trust.bundle import sign_folder

            step("Signing")
            sign_folder(path, report.files, options.sign)
    if destination != STDOUT:
        records, workloads = fmt.count(report.records, "record"), fmt.count(report.workloads, "workload")
        output.say(
            f"{records} of {workloads} written to {destination} ({fmt.count(len(report.files), 'file')}"
            + (", signed)" if options.sign is not None else ")")
        )
    output.json([{"records": report.records, "workloads": report.workloads, "files": [str(f) for f in report.files]}])


def _write(store: Store, path: Path, options: ExportOptions) -> ExportReport:
    from compiler.records.exchange.export import export_file, export_folder, export_stream

    author = config.author() if options.author is None else config.checked_author(options.author)
    if str(path) == STDOUT:
        report = export_stream(
            store, sys.stdout.buffer, fingerprint=options.fingerprint, top=options.top, author=author
        )
        sys.stdout.buffer.flush()
        return report
    check_place(path)
    write = export_file if path.suffix == ".jsonl" else export_folder
    return write(store, path, fingerprint=options.fingerprint, top=options.top, author=author)


def _to_metaschedule(store: Store, path: Path, options: ExportOptions, step: Steps) -> ExportReport:
    from compiler.records.exchange.metaschedule_export import export_metaschedule

    if str(path) == STDOUT or path.suffix in (".json", ".jsonl"):
        raise UsageError("MetaSchedule's database is two files: name the folder for them")
    if options.author is not None:
        raise UsageError("MetaSchedule's database has no place for an author: leave out --author")
    known = sorted(store.fingerprints())
    if options.fingerprint is None and len(known) > 1:
        raise UsageError(
            f"MetaSchedule's database does not tell devices apart: choose one with --fingerprint ({', '.join(known)})"
        )
    check_place(path)
    fingerprint = options.fingerprint or known[0]
    if options.model is None:
        return export_metaschedule(store, path, fingerprint, top=options.top)
    from compiler.frontend import load
    from compiler.plain_module import as_json, plain_module
    from compiler.records.exchange.export import replacing

    must_be_model(options.model)
    step(f"Lowering {options.model}")
    model, target = load(options.model, batch=options.batch), find_target(options.target)
    mod, workloads = plain_module(model, target, store, fingerprint, options.precision)
    report = export_metaschedule(store, path, fingerprint, top=options.top, workloads=workloads)
    with replacing(path / MODEL_FILE) as file:
        file.write(as_json(mod))
    report.files.append(path / MODEL_FILE)
    return report
