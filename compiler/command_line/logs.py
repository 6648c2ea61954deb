"""`edgetune logs ...`: the records of tuning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from compiler.command_line.options import batches, common, logs, precisions, shape, target


@click.group("logs")
def logs_() -> None:
    """The records: what tuning has learned."""


fingerprint = click.option("--fingerprint", metavar="ID", help="Only this fingerprint.")


@logs_.command("list")
@fingerprint
@logs
@common
def logs_list(fingerprint: str | None, logs: str | None, json: str | None) -> None:
    """List the kernels that there are records of."""
    from compiler.commands.logs.list import list_logs
    from compiler.report.output import Output

    list_logs(Output(json), logs, fingerprint)


@logs_.command("show", short_help="Show what is known of a model, a workload or a record.")
@click.argument("which", metavar="MODEL|WORKLOAD|RECORD")
@target
@batches
@precisions
@fingerprint
@click.option("--plot", metavar="FILE", help="Draw a model's tuning curves and where its time goes (svg, png, pdf).")
@logs
@common
def logs_show(which: str, logs: str | None, json: str | None, **options: Any) -> None:
    """Show what is known of a model, a workload's best records, or one record.

    A workload is called by its name or the first digits of its hash, a record by the first digits of its id.
    """
    from compiler.commands.logs.show import show
    from compiler.commands.logs.show_model import ShowOptions
    from compiler.report.output import Output

    show(Output(json), logs, which, ShowOptions(**options))


@logs_.command("diff", short_help="Tell what log B has that A has not, and how kernels differ.")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@fingerprint
@common
def logs_diff(first: str, second: str, fingerprint: str | None, json: str | None) -> None:
    """Tell what log B has that A has not, and which kernels are faster or slower in it."""
    from compiler.commands.logs.diff import diff_logs
    from compiler.report.output import Output

    diff_logs(Output(json), first, second, fingerprint)


@logs_.command("import", short_help="Take in JSON lines, or stock MetaSchedule's two JSON files.")
@click.argument("source", metavar="FILE|DIR")
@click.option("--target", help="Of MetaSchedule's files: the target that they were measured on.")
@click.option("--fingerprint", metavar="ID", help="Of MetaSchedule's files: the fingerprint of the machine.")
@click.option(
    "--require-signed", is_flag=True, help="Only a folder that --signer has signed, and none of it otherwise."
)
@click.option(
    "--signer", metavar="KEY|IDENTITY", help="A file with a public key, or an e-mail or web address (sigstore)."
)
@click.option("--issuer", metavar="URL", help="Who vouches for an identity, as https://accounts.google.com does.")
@logs
@common
def logs_import(
    source: str, target: str | None, fingerprint: str | None, logs: str | None, json: str | None, **options: Any
) -> None:
    """Take in JSON lines, or stock MetaSchedule's two JSON files. What is there already stays as it is."""
    from compiler.commands.logs.import_ import import_logs
    from compiler.report.output import Output

    import_logs(Output(json), logs, source, target, fingerprint, **options)


@logs_.command("export", short_help="Write sorted JSON lines: one file, a folder, or stdout.")
@click.argument("destination", metavar="FILE.jsonl|DIR|-")
@fingerprint
@click.option("--top", type=click.IntRange(1), help="Only the best so many records of each kernel.")
@click.option(
    "--format",
    type=click.Choice(["edgetune", "metaschedule"]),
    default="edgetune",
    show_default=True,
    help="Ours, or the two JSON files of stock MetaSchedule.",
)
@click.option("--author", metavar="NAME", help="Who measured what was measured here [default: the configuration's].")
@click.option("--model", metavar="MODEL", help="For MetaSchedule: a model's kernels only, and the model beside them.")
@target
@click.option("--batch", type=click.IntRange(1), help="With --model: its batch size [default: the model's, or 1].")
@click.option(
    "--precision", type=click.Choice(["fp32", "fp16", "tf32"]), default="fp32", help="With --model: its precision."
)
@click.option("--sign", metavar="KEY", help="Sign the folder: a file with a private key, or `sigstore`.")
@logs
@common
def logs_export(destination: str, logs: str | None, json: str | None, **options: Any) -> None:
    """Write sorted, self-contained JSON lines: one file, a folder with a file per kernel, or stdout (-)."""
    from compiler.commands.logs.export import ExportOptions, export_logs
    from compiler.report.output import Output

    export_logs(Output(json), logs, destination, ExportOptions(**options))


@logs_.command("merge", short_help="Merge files, folders of logs and record stores into one.")
@click.argument("sources", nargs=-1, required=True, metavar="FILE|DIR ...")
@click.option(
    "-o", "--output", "destination", required=True, metavar="FILE.jsonl|DIR", help="Where the union is written."
)
@common
def logs_merge(sources: Sequence[str], destination: str, json: str | None) -> None:
    """Merge files, folders of logs and record stores into one: each record once, in whatever order they come."""
    from compiler.commands.logs.merge import merge_logs
    from compiler.report.output import Output

    merge_logs(Output(json), sources, destination)


@logs_.command("curve")
@click.option(
    "-o",
    "--output",
    "destination",
    default="curve.svg",
    show_default=True,
    metavar="FILE",
    help="The picture (svg, png or pdf).",
)
@click.option("--at", type=click.IntRange(1), default=16, show_default=True, help="Trials whose share is told.")
@click.option("--least", type=click.IntRange(2), default=32, show_default=True, help="Trials that a task must have.")
@fingerprint
@logs
@common
def logs_curve(
    destination: str, at: int, least: int, fingerprint: str | None, logs: str | None, json: str | None
) -> None:
    """Draw how fast each task was after so many trials."""
    from compiler.commands.logs.curve import draw_curves
    from compiler.report.output import Output

    draw_curves(Output(json), logs, destination, fingerprint, at, least)


@logs_.command("verify")
@click.option("--model", help="The kernels of this model [default: those that this machine has tuned].")
@click.option("--all", "all_", is_flag=True, help="All kernels that this machine has tuned; the default.")
@click.option("--batch", type=click.IntRange(1), help="Of --model: its batch size.")
@click.option(
    "--precision", type=click.Choice(["fp32", "fp16", "tf32"]), default="fp32", help="Of --model: its precision."
)
@target
@click.option("--fingerprint", metavar="ID", help="The records of this fingerprint [default: this machine's].")
@click.option("--remeasure", is_flag=True, help="Measure them, and compare with what they claim.")
@click.option("--sample", type=click.IntRange(1), help="Of --remeasure: only so many, at random.")
@click.option(
    "--threshold",
    type=click.FloatRange(1, 1000),
    default=20.0,
    show_default=True,
    metavar="PERCENT",
    help="Of --remeasure: how far off a claim may be.",
)
@click.option("--demote", is_flag=True, help="Of --remeasure: keep what was measured in place of claims that are off.")
@click.option("--forget", is_flag=True, help="Look again at what is quarantined.")
@logs
@common
def logs_verify(json: str | None, **options: Any) -> None:
    """Put imported records to the test.

    Each is applied to this machine's own kernel in a process with limits, then built and run beside the plain kernel.
    What does not apply or computes something else is quarantined.
    """
    from compiler.commands.logs.verify import VerifyOptions, verify_logs
    from compiler.report.output import Output

    verify_logs(Output(json), VerifyOptions(**options))


@logs_.command("migrate", short_help="Try the schedules of another TVM's records with this one.")
@fingerprint
@logs
@common
def logs_migrate(fingerprint: str | None, logs: str | None, json: str | None) -> None:
    """Try the schedules of another TVM's records with this one, and tell how many survive."""
    from compiler.commands.logs.migrate import migrate_logs
    from compiler.report.output import Output

    migrate_logs(Output(json), logs, fingerprint)


@logs_.command("readme")
@click.argument("folder", metavar="DIR")
@common
def logs_readme(folder: str, json: str | None) -> None:
    """Make the table in DIR/README.md from the logs in DIR."""
    from compiler.commands.logs.readme import write_readme
    from compiler.report.output import Output

    write_readme(Output(json), folder)


@logs_.command("schema", short_help="Write the format of the lines to DIR, as JSON Schema.")
@click.argument("folder", metavar="DIR")
@common
def logs_schema(folder: str, json: str | None) -> None:
    """Write the format of the lines to DIR, as JSON Schema, a file for each version."""
    from compiler.commands.logs.schema import write_schemas
    from compiler.report.output import Output

    write_schemas(Output(json), folder)


@logs_.command("prune")
@click.option("--keep", type=click.IntRange(1), default=1, show_default=True, help="Records to keep of each kernel.")
@fingerprint
@logs
@common
def logs_prune(keep: int, fingerprint: str | None, logs: str | None, json: str | None) -> None:
    """Keep only the best records of each kernel and fingerprint."""
    from compiler.commands.logs.prune import prune_logs
    from compiler.report.output import Output

    prune_logs(Output(json), logs, keep, fingerprint)


@logs_.command("push", short_help="Add what is not there yet to a folder, bucket or registry.")
@click.argument("remote", required=False, metavar="[URL|NAME]")
@fingerprint
@click.option("--top", type=click.IntRange(1), help="Only the best so many records of each kernel.")
@click.option("--author", metavar="NAME", help="Who measured what was measured here [default: the configuration's].")
@click.option("--all", "again", is_flag=True, help="Also what the remote lists already, in case it has lost some.")
@click.option(
    "--sign",
    metavar="KEY",
    help="Sign what goes: a file with a private key, or `sigstore` [default: the configuration's].",
)
@logs
@common
def logs_push(remote: str | None, json: str | None, **options: Any) -> None:
    """Add what is not there yet to a folder, ssh://, s3://, gs://, hf:// or oci://.

    NAME is one of the configuration's [remotes]; without it, that is `origin`.
    """
    from compiler.commands.logs.push import push_logs
    from compiler.report.output import Output

    push_logs(Output(json), remote=remote, **options)


@logs_.command("pull", short_help="Merge in what others have pushed; nothing is replaced.")
@click.argument("remote", required=False, metavar="[URL|NAME]")
@click.option("--target", help="Only records of this target.")
@click.option("--model", help="Only the kernels of this model [--target: native].")
@click.option("--batch", "batches", metavar="1,48", help="Of --model: batch sizes [default: the model's, or 1].")
@precisions
@shape
@fingerprint
@click.option(
    "--require-signed", is_flag=True, help="Only what a --signer has signed; the configuration can say it, too."
)
@click.option(
    "--signer",
    "signers",
    multiple=True,
    metavar="KEY|IDENTITY",
    help="A file with a public key, or an e-mail or web address (sigstore); repeat it [default: the configuration's].",
)
@click.option("--issuer", metavar="URL", help="Who vouches for an identity, as https://accounts.google.com does.")
@logs
@common
def logs_pull(remote: str | None, logs: str | None, json: str | None, **options: Any) -> None:
    """Merge in what others have pushed. Only what is wanted and not here yet is fetched; nothing is replaced.

    From where `logs push` puts it, or by https:// from a server of such a folder or bucket.
    """
    from compiler.commands.logs.pull import PullOptions, pull_logs
    from compiler.report.output import Output

    pull_logs(Output(json), logs, remote, PullOptions(**options))
