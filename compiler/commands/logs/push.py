"""`edgetune logs push`: records out of the store, to where others find them."""

from __future__ import annotations

from compiler import config
from compiler.commands.logs.choice import must_know
from compiler.commands.logs.transfer import spoken
from compiler.commands.store import existing_store
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import steps


def push_logs(
    output: Output,
    *,
    remote: str | None,
    logs: str | None,
    fingerprint: str | None,
    top: int | None,
    author: str | None,
    again: bool,
    sign: str | None,
) -> None:
    """Add to the remote (an address, a name of the configuration, or its default) what it has not yet, signed with the
    key `sign` or, without it, as the configuration says.

    Raises UsageError where there is no such remote or fingerprint, EdgetuneError where it cannot be written.
    """
    from compiler.records.remote.opening import open_remote
    from compiler.records.remote.push import push
    from compiler.records.trust.signing import signer

    settings = config.remote_settings(remote)
    key = sign or settings.sign
    signing = signer(key) if key is not None else None
    named = config.author() if author is None else config.checked_author(author)
    with existing_store(logs) as store, open_remote(settings.url) as place:
        must_know(store, fingerprint)
        with steps(output) as step:
            report = push(
                store,
                place,
                fingerprint=fingerprint,
                top=top,
                author=named,
                again=again,
                sign=signing,
                progress=spoken(step),
            )
    for note in report.notes:
        output.warn(note)
    if report.replaced:
        output.note(f"{report.replaced} index entries were put together")
    output.say(
        f"{fmt.count(report.sent, 'record')} pushed to {report.url}"
        f" ({fmt.count(report.parts, 'part')}, {fmt.size(report.bytes_sent)}{', signed' if report.signed else ''});"
        f" {report.known} were there already"
    )
    output.json([report])
