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
) -> None:
    """Add to the remote (an address, a name of the configuration, or its default) what it has not yet.

    Raises UsageError where there is no such remote or fingerprint, EdgetuneError where it cannot be written.
    """
    from compiler.records.remote.opening import open_remote
    from compiler.records.remote.push import push

    address = config.remote_address(remote)
    named = config.author() if author is None else config.checked_author(author)
    with existing_store(logs) as store, open_remote(address) as place:
        must_know(store, fingerprint)
        with steps(output) as step:
            report = push(
                store, place, fingerprint=fingerprint, top=top, author=named, again=again, progress=spoken(step)
            )
    for note in report.notes:
        output.warn(note)
    if report.replaced:
        output.note(f"{report.replaced} index entries were put together")
    output.say(
        f"{fmt.count(report.sent, 'record')} pushed to {report.url}"
        f" ({fmt.count(report.parts, 'part')}, {fmt.size(report.bytes_sent)}); {report.known} were there already"
    )
    output.json([report])
