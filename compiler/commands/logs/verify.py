"""`edgetune logs verify`: imported records put to the test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import targets
from compiler.commands.hardware import find_target, must_compile
from compiler.commands.source import must_be_model
from compiler.commands.store import existing_store, opened_store
from compiler.errors import EdgetuneError, UsageError
from compiler.records.store import Store
from compiler.records.trust.verdicts import Quarantined, quarantined
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import Steps, steps
from compiler.scratch import scratch_folder

if TYPE_CHECKING:
    from compiler.records.trust.claims import Kernel
    from compiler.records.trust.remeasure import Comparison
    from compiler.records.trust.verify import VerifyReport

_SHOWN = 20


@dataclass(frozen=True)
class VerifyOptions:
    """The options of `edgetune logs verify`, as the command line gives them. `threshold` is in per cent."""

    model: str | None
    all_: bool
    batch: int | None
    precision: str
    target: str
    fingerprint: str | None
    logs: str | None
    remeasure: bool
    sample: int | None
    threshold: float
    demote: bool
    forget: bool


def verify_logs(output: Output, options: VerifyOptions) -> None:
    """Apply imported records to this machine's kernels, build and run them beside plain ones, and say what became of
    them; with `remeasure` hold their times against this device.

    Raises EdgetuneError where a record is newly quarantined or a claim is off and was not demoted, so that a script
    sees it.
    """
    _check(options)
    target = find_target(options.target)
    own = targets.fingerprint(target)
    with steps(output) as step, _store(options.logs, target) as store:
        fingerprint = options.fingerprint or own.id
        _must_hold(store, fingerprint)
        kernels = _kernels(store, target, options, step)
        if options.forget:
            _forget(store, fingerprint)
        before = {(found.workload, found.record) for found in quarantined(store, fingerprint)}
        runs_here = targets.why_not_run(target) is None and fingerprint == own.id
        if options.remeasure and not runs_here:
            raise UsageError(f"--remeasure measures on the device itself, and this machine is not {fingerprint}")
        report, comparisons, demoted = _work(store, kernels, target, fingerprint, options, step, runs_here)
        out = quarantined(store, fingerprint)
        strangers = _strangers(store, fingerprint, kernels)
    if not runs_here:
        output.note(f"applied and not run: this machine is not {fingerprint}, and nobody has compared results")
    _show_report(output, report, out)
    if strangers and options.model is None:
        output.note(
            f"{fmt.count(strangers, 'kernel')} left out: what came with a log is not built from; name the model that "
            "they belong to with --model"
        )
    if options.remeasure:
        _show_claims(output, comparisons, options.threshold, demoted)
    output.json([_json(report, out, comparisons, demoted)])
    new = sum((found.workload, found.record) not in before for found in out)
    off = sum(c.off for c in comparisons)
    if new:
        raise EdgetuneError(
            f"{fmt.count(new, 'record')} quarantined: {out[-1].reason}"
            if new == 1
            else f"{fmt.count(new, 'record')} quarantined; the table says why"
        )
    if off and not options.demote:
        raise EdgetuneError(f"{fmt.count(off, 'claim')} not reproduced; --demote keeps what was measured instead")


def _check(options: VerifyOptions) -> None:
    if options.model is not None and options.all_:
        raise UsageError("--model names some kernels, and --all means all of them: give one")
    if not options.remeasure and (options.sample is not None or options.demote):
        raise UsageError("--sample and --demote belong to --remeasure")
    if options.model is not None:
        must_be_model(options.model)
    elif options.batch is not None:
        raise UsageError("--batch belongs to --model")


def _store(logs: str | None, target: targets.Target):  # type: ignore[no-untyped-def]
    return opened_store(logs, target) if logs is None else existing_store(logs)


def _must_hold(store: Store, fingerprint: str) -> None:
    if fingerprint not in store.fingerprints():
        raise UsageError(f"{store.path} has no records of {fingerprint}; `edgetune logs list` lists what it has")


def _kernels(store: Store, target: targets.Target, options: VerifyOptions, step: Steps) -> dict[str, Kernel]:
    """The kernels to build for: those of the model, or those that this machine has tuned."""
    must_compile(target)
    step("Preparing kernels")
    from compiler.records.trust.claims import Kernel, own_kernels
    from compiler.tvm_setup import prepare

    prepare(target.kind)
    if options.model is None:
        return own_kernels(store)
    from compiler.frontend import load
    from compiler.records.workload import workload_of
    from compiler.tuning.tune import expand

    expanded = expand(load(options.model, batch=options.batch), target, options.precision)
    for task in expanded.tasks.values():  # so that --all knows them from now on
        store.add_workload(workload_of(task.mod, task.name))
    return {digest: Kernel(task.name, digest, task.mod) for digest, task in expanded.tasks.items()}


def _work(
    store: Store,
    kernels: Mapping[str, Kernel],
    target: targets.Target,
    fingerprint: str,
    options: VerifyOptions,
    step: Steps,
    runs_here: bool,
) -> tuple[VerifyReport, list[Comparison], int]:
    from compiler.records.trust import remeasure
    from compiler.records.trust.verify import apply_all, check_all
    from compiler.tuning.local import LocalRunner
    from compiler.tuning.workers import Pool

    step(f"Applying the records of {fmt.count(len(kernels), 'kernel')}")
    report = apply_all(store, kernels, fingerprint)
    comparisons: list[Comparison] = []
    demoted = 0
    if runs_here and (report.applies or (options.remeasure and report.checked)):
        with (
            scratch_folder("verify") as folder,
            Pool(min(target.cores, report.applies + report.checked), 1) as builder,
            LocalRunner(target) as runner,
        ):
            check_all(store, kernels, target, fingerprint, builder, runner, folder, report, step)
            if options.remeasure:
                chosen = remeasure.choose(store, kernels, fingerprint, options.sample)
                limit = options.threshold / 100
                comparisons = remeasure.remeasure(chosen, kernels, target, builder, runner, folder, limit, step)
                remeasure.keep(store, comparisons)
                if options.demote:
                    demoted = remeasure.demote(store, comparisons, runner)
    return report, comparisons, demoted


def _forget(store: Store, fingerprint: str) -> None:
    from compiler.records.trust.verdicts import forget

    for found in quarantined(store, fingerprint):
        forget(store, found.workload, found.trace_id)


def _strangers(store: Store, fingerprint: str, kernels: Mapping[str, Kernel]) -> int:
    from compiler.records.trust.claims import foreign_workloads

    return foreign_workloads(store, fingerprint, kernels)


def _show_report(output: Output, report: VerifyReport, out: Sequence[Quarantined]) -> None:
    for note in report.notes[:_SHOWN]:
        output.warn(note)
    output.say(
        f"{fmt.count(report.records, 'imported schedule')}: {report.checked} compute the right numbers "
        f"({report.before} known before), {report.applies} apply and were not run, {report.unclear} could not be "
        f"compared, {report.quarantined} newly quarantined"
    )
    show_quarantined(output, out)


def show_quarantined(output: Output, out: Sequence[Quarantined]) -> None:
    """A table of what is quarantined, where anything is."""
    if out:
        output.table(
            ("kernel", "record", "from", "quarantined because"),
            ((found.name, found.record[:12], found.origin, found.reason) for found in out[:_SHOWN]),
            title=f"quarantined: {fmt.count(len(out), 'record')}"
            + (f", of which {_SHOWN}" if len(out) > _SHOWN else ""),
        )


def _show_claims(output: Output, comparisons: Sequence[Comparison], threshold: float, demoted: int) -> None:
    output.table(
        ("kernel", "record", "claimed ms", "measured ms", "ratio", "p", ""),
        (
            (
                c.name,
                c.record.id[:12],
                fmt.milliseconds(c.claimed),
                fmt.milliseconds(c.seconds),
                None if c.ratio is None else f"{c.ratio:.2f}",
                None if c.p is None else f"{c.p:.3f}",
                c.error or ("OFF" if c.off else ""),
            )
            for c in sorted(comparisons, key=lambda c: -abs((c.ratio or 1.0) - 1.0))
        ),
        title=f"claimed and measured: {fmt.count(len(comparisons), 'record')}",
        right="claimed ms,measured ms,ratio,p",
    )
    off = sum(c.off for c in comparisons)
    output.say(
        f"{off} of {len(comparisons)} off by more than {threshold:g} % and not by chance"
        + (f"; {demoted} demoted" if demoted else "")
    )


def _json(
    report: VerifyReport, out: Sequence[Quarantined], comparisons: Sequence[Comparison], demoted: int
) -> dict[str, object]:
    claims = [
        {
            "record": c.record.id,
            "workload": c.record.workload,
            "claimed_seconds": c.claimed,
            "measured_seconds": c.seconds,
            "ratio": c.ratio,
            "p": c.p,
            "off": c.off,
            "error": c.error,
        }
        for c in comparisons
    ]
    return {**asdict(report), "quarantine": [asdict(found) for found in out], "claims": claims, "demoted": demoted}
