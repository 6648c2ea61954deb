"""`edgetune logs import`: records out of files, into the store."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import targets
from compiler.commands.hardware import find_target
from compiler.commands.logs.warnings import warn_of
from compiler.commands.source import must_be_file
from compiler.commands.store import store_to_fill
from compiler.errors import EdgetuneError, UsageError
from compiler.records.trust.bundle import verified_copy
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import steps
from compiler.scratch import scratch_folder


def import_logs(
    output: Output,
    logs: str | None,
    source: str,
    target: str | None,
    fingerprint: str | None,
    *,
    require_signed: bool = False,
    signer: str | None = None,
    issuer: str | None = None,
) -> None:
    """Take in JSON lines or MetaSchedule's two files; bad lines are listed and skipped.

    With `require_signed` or a `signer` only a folder that the signer has signed, and none of it otherwise: see
    `trust.bundle.verified_copy`. Raises EdgetuneError for another, and when not one record is good.
    """
    from compiler.records.exchange.import_ import import_logs as import_into

    options, device = None, None
    if target is not None:
        chosen = find_target(target)
        mark = targets.fingerprint(chosen)
        options, device = chosen.config(), mark.device
        fingerprint = fingerprint or mark.id
    must_be_file(source, "FILE|DIR")
    if signer is None and (require_signed or issuer is not None):
        raise UsageError("say whose signature is wanted: --signer, a file with a public key or an identity")
    with ExitStack() as stack:
        step = stack.enter_context(steps(output))
        place, origin = Path(source), None
        if signer is not None:
            step("Checking the signature")
            place = stack.enter_context(scratch_folder("signed"))
            verified_copy(Path(source), signer, issuer, place)
            origin = f"{Path(source).absolute()}, signed by {signer}"
        store = stack.enter_context(store_to_fill(logs))
        step(f"Importing {source}")
        report = import_into(store, place, fingerprint=fingerprint, device=device, target=options, origin=origin)
        warn_of(output, report)
        output.say(
            f"{report.added} records added, {report.known} were there already, {report.skipped_count} lines skipped "
            f"({fmt.count(report.files, 'file')})"
        )
        output.json([report])
        if not report.added + report.known:
            raise EdgetuneError(f"{source} holds no record that can be used")
