"""`edgetune logs pull`: records from where others put them, into the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import targets
from compiler.commands import parse
from compiler.commands.hardware import find_target, must_compile
from compiler.commands.logs.transfer import spoken
from compiler.commands.source import must_be_model
from compiler.commands.store import open_store
from compiler.config import RemoteSettings, remote_settings
from compiler.errors import EdgetuneError, UsageError
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import Steps, steps

if TYPE_CHECKING:
    from compiler.records.remote.signatures import Accepted

_SHOWN = 20


@dataclass(frozen=True)
class PullOptions:
    """The options of `edgetune logs pull`, as the command line gives them."""

    target: str | None = None
    model: str | None = None
    fingerprint: str | None = None
    batches: str | None = None
    precisions: str = "fp32"
    shapes: Sequence[str] = ()
    require_signed: bool = False
    signers: tuple[str, ...] = ()
    issuer: str | None = None


def pull_logs(output: Output, logs: str | None, remote: str | None, options: PullOptions) -> None:
    """Merge into the store what the remote has of a target, a fingerprint, the kernels of a model, or all of it.

    Raises UsageError for options that do not fit, EdgetuneError where the remote cannot be read or holds nothing of it,
    and at the end where some of it could not be used.
    """
    from compiler.records.remote.opening import open_remote
    from compiler.records.remote.pull import pull

    if options.model is None and (options.batches is not None or options.shapes):
        raise UsageError("--batch and --shape are for --model")
    settings = remote_settings(remote)
    signers = _signers(options, settings)
    wanted = _wanted(options)
    with open_remote(settings.url) as place, steps(output) as step:
        workloads = _workloads(options, step)
        with open_store(logs) as store:
            report = pull(store, place, wanted=wanted, workloads=workloads, signers=signers, progress=spoken(step))
    taken = report.imported
    lines = [f"{line.file}:{line.line}: skipped: {line.reason}" for line in taken.skipped]
    for line in [*report.refused, *lines][:_SHOWN]:
        output.warn(line)
    more = len(report.refused) + taken.skipped_count - _SHOWN
    if more > 0:
        output.warn(f"{more} more of this kind")
    for note in taken.notes:
        output.warn(note)
    output.say(
        f"{fmt.count(taken.added, 'record')} added from {report.url}, {taken.known} were there already"
        f" ({report.parts} of {fmt.count(report.listed, 'part')} fetched, {fmt.size(report.bytes_fetched)})"
    )
    output.json([report])
    if report.refused:
        count = len(report.refused) - bool(report.unsigned) + report.unsigned
        raise EdgetuneError(f"{count} parts or index entries of {report.url} could not be used")
    if not report.listed:
        asked = [word for word in (options.model, options.fingerprint or options.target) if word]
        raise EdgetuneError(
            f"{report.url} has nothing of {' on '.join(asked)}" if asked else f"{report.url} holds no logs"
        )


def _signers(options: PullOptions, settings: RemoteSettings) -> Accepted | None:
    """Whose signatures count: those of the options, else those that the configuration names for the remote."""
    from compiler.records.remote.signatures import Accepted

    chosen = options.signers or settings.signers
    if not chosen and not options.require_signed and options.issuer is None:
        return None
    accepted = Accepted(tuple(chosen), options.issuer or settings.issuer)
    accepted.check()
    return accepted


def _wanted(options: PullOptions) -> Callable[[str], bool]:
    """Whether a fingerprint is asked for. One of another target that only begins alike is not."""
    if options.fingerprint is not None and options.target is not None:
        raise UsageError("give --target or --fingerprint: a fingerprint is of one target")
    if options.fingerprint is not None:
        return lambda fingerprint: fingerprint == options.fingerprint
    if options.target is None:
        return lambda fingerprint: True
    name = find_target(options.target).name
    return lambda fingerprint: target_of(fingerprint) == name


def target_of(fingerprint: str) -> str | None:
    """The target that a fingerprint begins with, None where this edgetune knows none that does."""
    fitting = [name for name in targets.names() if fingerprint.startswith(f"{name}-")]
    return max(fitting, key=len, default=None)


def _workloads(options: PullOptions, step: Steps) -> frozenset[str] | None:
    """The kernels of --model at each batch size and precision, each way that they may be computed."""
    if options.model is None:
        return None
    must_be_model(options.model)
    name = options.target or (target_of(options.fingerprint) if options.fingerprint else None) or "native"
    target = find_target(name)
    must_compile(target)
    precisions = parse.precisions(options.precisions)
    batches: Sequence[int | None] = parse.batches(options.batches) if options.batches is not None else [None]
    shapes = parse.shapes(options.shapes)
    from compiler.frontend import load
    from compiler.tuning.tune import expand

    found: set[str] = set()
    for batch in batches:
        step(f"Taking {options.model} apart")
        model = load(options.model, batch=batch, shapes=shapes or None)
        for precision in precisions:
            found |= set(expand(model, target, precision).tasks)
    return frozenset(found)
