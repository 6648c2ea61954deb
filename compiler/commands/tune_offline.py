"""`edgetune tune --export-batch` and `--import-results`: tuning for a board that no network reaches."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import targets
from compiler.commands import store as stores
from compiler.commands.cluster import opened_builder
from compiler.commands.hardware import find_target, must_compile
from compiler.errors import UsageError
from compiler.places import must_replace
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import steps

if TYPE_CHECKING:
    from compiler.commands.tune import TuneOptions
    from compiler.frontend.model import Model
    from compiler.records.store import Store

_BEGINS = b"batch.json\0"  # how a batch begins


def must_make_sense(options: TuneOptions) -> None:
    """Raises UsageError where options were given that do not go with a board that no network reaches."""
    for option, given in (
        ("a way to a board (--rpc, --ssh) is", not options.device.local),
        ("--time says when measuring ends, and --cool-below is", options.time_ is not None or bool(options.cool_below)),
    ):
        if given:
            raise UsageError(
                f"{option} for boards that are reached from here: leave it out with --export-batch and --import-results"
            )
    for option, set_ in (("--trials says how many", options.trials), ("--build-cluster builds", options.build_cluster)):
        if options.export_batch is None and set_ is not None:
            raise UsageError(f"{option} candidates to export: give --export-batch FILE too")
    if options.import_results is not None and not Path(options.import_results).exists():
        raise UsageError(f"--import-results {options.import_results}: there is no such file")
    if options.export_batch is not None:
        sources = (options.import_results,)
        must_replace(Path(options.export_batch), "--export-batch", kind="batch", begins=_BEGINS, sources=sources)
    if options.import_results is not None:
        stores.existing_store(options.logs).close()  # what was exported is known there, or nowhere


def tune_offline(model: Model, precision: str, output: Output, options: TuneOptions, chosen: set[int] | None) -> None:
    """Import results, export a batch, or both in this order, for one model at one batch size and precision."""
    target = find_target(options.target, options.threads)
    must_compile(target)
    with stores.opened_store(options.logs, target) as store:
        if options.import_results is not None:
            _import(model, precision, target, store, output, Path(options.import_results))
        if options.export_batch is not None:
            _export(model, precision, target, store, output, options, chosen)


def _import(model: Model, precision: str, target: targets.Target, store: Store, output: Output, path: Path) -> None:
    from compiler.tuning.offline.import_ import import_results

    found = import_results(path, model, target, precision, store=store)
    parts = [
        f"{fmt.count(found.new, 'new result')} ({found.failed} failed) of {found.fingerprint}",
        f"{found.before} known before" if found.before else "",
        f"{fmt.count(found.missing, 'job')} of the batch not measured yet" if found.missing else "",
    ]
    output.say(f"{path}: {', '.join(part for part in parts if part)}")
    if found.torn:
        output.warn(f"{path}: the last line is incomplete and was left out")
    output.json(
        [
            {
                "imported": str(path),
                "batch": found.batch,
                "fingerprint": found.fingerprint.id,
                "new": found.new,
                "failed": found.failed,
                "before": found.before,
                "missing": found.missing,
            }
        ]
    )


def _export(
    model: Model,
    precision: str,
    target: targets.Target,
    store: Store,
    output: Output,
    options: TuneOptions,
    chosen: set[int] | None,
) -> None:
    from compiler.runtime.rpc.identity import board_fingerprint
    from compiler.tuning.offline import memory
    from compiler.tuning.offline.carrier import Carrier
    from compiler.tuning.offline.export import TRIALS, export_batch

    board = memory.last_board(store, target)
    fingerprint = stores.device_at_hand(target, store) if board is None else board_fingerprint(board, target)
    path = Path(str(options.export_batch))
    with ExitStack() as stack:
        builder = stack.enter_context(opened_builder(options.build_cluster, target, Carrier(fingerprint), output))
        step = stack.enter_context(steps(output))
        made = export_batch(
            model,
            target,
            path,
            store=store,
            fingerprint=fingerprint,
            trials=options.trials or TRIALS,
            precision=precision,
            tasks=chosen,
            seed=options.seed,
            dump=Path(options.dump) if options.dump else None,
            say=step,
            builder=builder,
            warm=not options.no_warm_start,
        )
    known = store.fingerprints().get(fingerprint.id, 0)
    after = f", after {fmt.count(known, 'record')} of {fingerprint}" if known else ""
    failed = f"; {fmt.count(made.failed, 'candidate')} could not be built" if made.failed else ""
    output.say(
        f"{path}: {fmt.count(made.jobs, 'candidate')} of {fmt.count(made.tasks, 'task')} in {fmt.size(made.bytes)}, "
        f"for {target.name} with {fmt.count(target.cores, 'thread')}{after}{failed}"
    )
    output.say(
        f"on the board: edgetune measure {path.name} -o results.jsonl; then here: --import-results results.jsonl"
    )
    output.json([{"exported": str(path), **_facts(made)}])


def _facts(made: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(made)
