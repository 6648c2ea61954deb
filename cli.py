"""The front door: `edgetune COMMAND ...`. Parses, calls `compiler.commands`, and turns failures into one line.

Nothing heavy is imported before a command needs it: `--help` takes a fraction of a second.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
from click.core import ParameterSource

from compiler.commands.exits import run_command
from compiler.errors import UsageError
from compiler.version import tool_version


def _debug(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    root = context.find_root()
    root.meta["debug"] = root.meta.get("debug", False) or value


def _options(*decorators: Callable) -> Callable:
    """One decorator that adds all of `decorators`, so that help lists them in this order."""
    return lambda function: functools.reduce(lambda inner, add: add(inner), reversed(decorators), function)


debug = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_debug, is_eager=True, help="Show the traceback of a failure."
)
json_file = click.option("--json", metavar="FILE", help="Append JSON lines to FILE (- is stdout).")
target = click.option(
    "--target", default="native", show_default=True, help="What to compile for: see `edgetune targets`."
)
logs = click.option(
    "--logs", metavar="DIR", type=click.Path(), help="The record store [default: the user's data folder]."
)
threads = click.option("--threads", type=click.IntRange(1, 4096), help="CPU threads [default: the target's cores].")
seed = click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Seed of all random choices."
)
shape = click.option(
    "--shape", "shapes", multiple=True, metavar="NAME:1,3,320,320", help="Shape of an input; repeatable."
)
batches = click.option("--batch", "batches", metavar="1,48", help="Batch sizes [default: the model's, or 1].")
precisions = click.option(
    "--precision", "precisions", default="fp32", show_default=True, metavar="fp32,fp16", help="Precisions."
)
dump = click.option(
    "--dump", metavar="DIR", type=click.Path(file_okay=False), help="Write the IR after each phase to DIR."
)
unverified = click.option(
    "--allow-unverified", is_flag=True, help="Keep a package that fails its verification; it says so for ever."
)
io_precision = click.option(
    "--io-precision",
    type=click.Choice(["fp32", "fp16"]),
    default="fp32",
    show_default=True,
    help="Precision of inputs and outputs.",
)
zero_trial = click.option("--zero-trial", is_flag=True, help="Use no records: every kernel has its untuned schedule.")
rpc = click.option("--rpc", metavar="HOST:PORT", help="Run on a board: its agent, or with --key a tracker.")
key = click.option("--key", metavar="KEY", help="Which boards of the tracker.")
ssh = click.option("--ssh", metavar="USER@BOARD", help="Run on a board through a tunnel that is opened for it.")
board = _options(rpc, key, ssh)
dataset = _options(
    click.option(
        "--dataset",
        metavar="FOLDER|X.NPZ",
        help="A folder of images, its subfolders or labels.csv the classes; or arrays by name, with `labels`.",
    ),
    click.option("--resize", type=click.IntRange(1), help="The images' shorter side [default: 256/224 of the input]."),
    click.option("--mean", metavar="0.485,...", help="Mean of the channels, from 0 to 1 [default: ImageNet's]."),
    click.option("--std", metavar="0.229,...", help="Deviation of the channels [default: ImageNet's]."),
)
common = _options(json_file, debug)


def _placed(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a command, with those that say where to run as one, called `device`."""
    from compiler.commands.device import DeviceOptions

    where = {name: options.pop(name) for name in ("rpc", "key", "ssh")}
    return {**options, "device": DeviceOptions(**where)}


def _with_data(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a command, with those of its dataset as one, called `data`."""
    from compiler.commands.dataset import DataOptions

    data = {name: options.pop(name) for name in ("dataset", "resize", "mean", "std")}
    return {**options, "data": DataOptions(**data)}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(tool_version(), prog_name="edgetune")
@debug
def edgetune() -> None:
    """An ONNX file goes in; a verified, tuned, measured package for a named piece of hardware comes out."""


@edgetune.command()
@click.argument("models", nargs=-1, metavar="[MODEL ...]")
@target
@batches
@precisions
@shape
@click.option("--trials", type=click.IntRange(1), help="At most so many measurements for each model in all.")
@click.option("--time", "time_", metavar="10m", help="At most so much time for each model.")
@click.option("--tasks", metavar="1,3-5", help="Only these tasks; `list` lists them.")
@click.option(
    "--logs",
    "sources",
    multiple=True,
    metavar="DIR",
    type=click.Path(),
    help="The record store [default: the user's]; repeat it for logs of others, taken in first, in their order.",
)
@seed
@threads
@dump
@board
@click.option(
    "--cool-below",
    type=click.FloatRange(20, 150),
    metavar="C",
    help="Let a board cool down to C degrees Celsius first.",
)
@click.option(
    "--build-cluster",
    metavar="HOST:PORT",
    help="Build candidates on a dask.distributed cluster too, by its scheduler's address. Whoever reaches a dask "
    "scheduler runs code on all of its machines: keep it on loopback or a network of your own, or use tls://HOST:PORT.",
)
@click.option("--export-batch", metavar="FILE", help="Measure nothing: write candidates for a board without a network.")
@click.option("--import-results", metavar="FILE", help="Take in what `edgetune measure` wrote on such a board.")
@common
def tune(models: Sequence[str], json: str | None, **options: Any) -> None:
    """Search for fast kernels and keep what was learned.

    MODEL is an ONNX file or a built-in model. Without one, AlexNet and GoogLeNet are tuned. Ctrl-C ends cleanly, and
    the same command goes on where an earlier one ended. On a board, or on all of a tracker's key, candidates are
    measured while this machine builds the next ones.

    \b
    For a board that no network reaches (docs/offline.md), of one MODEL:
    edgetune tune MODEL --target T --export-batch batch.tar
    edgetune measure batch.tar -o results.jsonl                 # on the board
    edgetune tune MODEL --target T --import-results results.jsonl
    """
    from compiler.commands.tune import TuneOptions
    from compiler.commands.tune import tune as work
    from compiler.report.output import Output

    own, *others = options.pop("sources") or (None,)
    work(models, Output(json), TuneOptions(**_placed(options), logs=own, others=others))


@edgetune.command("compile")
@click.argument("model")
@target
@click.option("--batch", type=click.IntRange(1), help="Batch size [default: the model's, or 1].")
@click.option("--precision", type=click.Choice(["fp32", "fp16"]), default="fp32", show_default=True, help="Precision.")
@io_precision
@shape
@click.option(
    "-o", "--output", "path", metavar="FILE", help="The package [default: MODEL-TARGET-bBATCH-PRECISION.tar]."
)
@logs
@seed
@threads
@dump
@unverified
@zero_trial
@board
@common
def compile_(model: str, json: str | None, **options: Any) -> None:
    """Build a package of MODEL from the records at hand, verified against ONNX Runtime."""
    from compiler.commands.compile import compile_ as work
    from compiler.report.output import Output

    work(model, Output(json), **_placed(options))


@edgetune.command()
@click.argument("package", metavar="PACKAGE")
@click.option("--inputs", metavar="X.NPZ", help="Inputs by name [default: random ones].")
@click.option("--outputs", metavar="Y.NPZ", help="Write the outputs here.")
@threads
@seed
@board
@common
def run(package: str, json: str | None, **options: Any) -> None:
    """Run a package once."""
    from compiler.commands.run import run as work
    from compiler.report.output import Output

    work(package, Output(json), **_placed(options))


@edgetune.command()
@click.argument("sources", nargs=-1, metavar="[MODEL|PACKAGE ...]")
@click.option(
    "--suite",
    "suite_",
    metavar="classic|FILE.toml",
    help="A matrix of models, batches, precisions and peers, with a report; goes on where --json FILE ends.",
)
@click.option("--vs", metavar="onnxruntime,openvino", help="Peers to measure in turns with ours.")
@target
@batches
@precisions
@io_precision
@shape
@click.option(
    "--runs", type=click.IntRange(1), default=100, show_default=True, help="At least so many runs for each engine."
)
@click.option(
    "--seconds", type=click.FloatRange(0), default=3.0, show_default=True, help="At least so long for each engine."
)
@click.option("--profile", is_flag=True, help="Time per kernel, and the share of the machine's measured peak.")
@click.option("--aa", is_flag=True, help="The same package twice, in turns: the smallest difference that can be told.")
@dataset
@logs
@seed
@threads
@unverified
@zero_trial
@board
@common
@click.pass_context
def bench(context: click.Context, sources: Sequence[str], suite_: str | None, json: str | None, **options: Any) -> None:
    """Measure packages, or models compiled from the records at hand, alone or beside other engines.

    --suite classic is AlexNet and GoogLeNet, batch 1 and a large one, FP32 and FP16: the field's classic comparison.
    """
    from compiler.commands.bench import BenchOptions
    from compiler.commands.bench import bench as work
    from compiler.report.output import Output

    given = frozenset(name for name in options if context.get_parameter_source(name) is ParameterSource.COMMANDLINE)
    chosen = BenchOptions(**_placed(_with_data(options)), given=given)
    if bool(sources) == (suite_ is not None):
        raise UsageError("name what to measure: MODEL or PACKAGE, or --suite")
    if suite_ is not None:
        from compiler.commands.suite import bench_suite

        bench_suite(suite_, json, Output(json), chosen)
        return
    work(sources, Output(json), chosen)


@edgetune.command()
@click.argument("sources", nargs=-1, required=True, metavar="RESULTS.jsonl ...")
@click.option(
    "-o",
    "destination",
    default="report.html",
    show_default=True,
    metavar="FILE",
    help="A page (.html), text (.md), a table (.csv) or the main figure (.svg, .png).",
)
@click.option("--logs", metavar="DIR", type=click.Path(), help="Draw the tuning curves of this record store too.")
@debug
def report(sources: Sequence[str], destination: str, logs: str | None) -> None:
    """Make a report of the lines that `bench --json` has written, on any number of machines.

    The page needs no network: speed beside the figures published in 2015, latencies, ratios to peers, where the time
    goes, what was measured twice, what was not measured, and how it was done.
    """
    from compiler.commands.report import report as work
    from compiler.report.output import Output

    work(sources, Output(), destination, logs)


@edgetune.command()
@click.argument("package", metavar="PACKAGE")
@click.option("--inputs", metavar="X.NPZ", help="Inputs by name [default: random ones].")
@dataset
@threads
@seed
@board
@common
def verify(package: str, json: str | None, **options: Any) -> None:
    """Compare a package's outputs with those of ONNX Runtime in FP32.

    With --dataset, on labelled images too: how often the first class is the same, and how often it is right.
    """
    from compiler.commands.verify import verify as work
    from compiler.report.output import Output

    work(package, Output(json), **_placed(_with_data(options)))


@edgetune.command()
@click.argument("source", metavar="MODEL|PACKAGE")
@click.option("--batch", type=click.IntRange(1), help="Batch size of a model.")
@shape
@common
def inspect(source: str, batch: int | None, shapes: Sequence[str], json: str | None) -> None:
    """Show what a model or a package is."""
    from compiler.commands import parse
    from compiler.commands.inspect import inspect as work
    from compiler.report.output import Output

    work(source, Output(json), batch=batch, shapes=parse.shapes(shapes))


@edgetune.command("targets")
@click.argument("name", required=False)
@click.option("--detect", is_flag=True, help="Show what this machine is.")
@common
def targets_(name: str | None, detect: bool, json: str | None) -> None:
    """List targets, show the one called NAME, or detect this machine."""
    if name and detect:
        raise UsageError("give either NAME or --detect")
    from compiler.commands import targets as work
    from compiler.report.output import Output

    if detect:
        work.detect(Output(json))
    elif name:
        work.show_target(name, Output(json))
    else:
        work.list_targets(Output(json))


@edgetune.group("logs")
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


@logs_.command("show")
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


@logs_.command("diff")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@fingerprint
@common
def logs_diff(first: str, second: str, fingerprint: str | None, json: str | None) -> None:
    """Tell what log B has that A has not, and which kernels are faster or slower in it."""
    from compiler.commands.logs.diff import diff_logs
    from compiler.report.output import Output

    diff_logs(Output(json), first, second, fingerprint)


@logs_.command("import")
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


@logs_.command("export")
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
@click.option("--precision", type=click.Choice(["fp32", "fp16"]), default="fp32", help="With --model: its precision.")
@click.option("--sign", metavar="KEY", help="Sign the folder: a file with a private key, or `sigstore`.")
@logs
@common
def logs_export(destination: str, logs: str | None, json: str | None, **options: Any) -> None:
    """Write sorted, self-contained JSON lines: one file, a folder with a file per kernel, or stdout (-)."""
    from compiler.commands.logs.export import ExportOptions, export_logs
    from compiler.report.output import Output

    export_logs(Output(json), logs, destination, ExportOptions(**options))


@logs_.command("merge")
@click.argument("sources", nargs=-1, required=True, metavar="FILE|DIR ...")
@click.option("-o", "destination", required=True, metavar="FILE.jsonl|DIR", help="Where the union is written.")
@common
def logs_merge(sources: Sequence[str], destination: str, json: str | None) -> None:
    """Merge files, folders of logs and record stores into one: each record once, in whatever order they come."""
    from compiler.commands.logs.merge import merge_logs
    from compiler.report.output import Output

    merge_logs(Output(json), sources, destination)


@logs_.command("curve")
@click.option("-o", "destination", default="curve.svg", show_default=True, help="The picture (svg, png or pdf).")
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
@click.option("--precision", type=click.Choice(["fp32", "fp16"]), default="fp32", help="Of --model: its precision.")
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


@logs_.command("migrate")
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


@logs_.command("schema")
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


@logs_.command("push")
@click.argument("remote", required=False, metavar="[URL|NAME]")
@fingerprint
@click.option("--top", type=click.IntRange(1), help="Only the best so many records of each kernel.")
@click.option("--author", metavar="NAME", help="Who measured what was measured here [default: the configuration's].")
@click.option("--all", "again", is_flag=True, help="Also what the remote lists already, in case it has lost some.")
@logs
@common
def logs_push(remote: str | None, json: str | None, **options: Any) -> None:
    """Add what is not there yet to a folder, ssh://, s3://, gs://, hf:// or oci://.

    NAME is one of the configuration's [remotes]; without it, that is `origin`.
    """
    from compiler.commands.logs.push import push_logs
    from compiler.report.output import Output

    push_logs(Output(json), remote=remote, **options)


@logs_.command("pull")
@click.argument("remote", required=False, metavar="[URL|NAME]")
@click.option("--target", help="Only records of this target.")
@click.option("--model", help="Only the kernels of this model [--target: native].")
@click.option("--batch", "batches", metavar="1,48", help="Of --model: batch sizes [default: the model's, or 1].")
@precisions
@shape
@fingerprint
@logs
@common
def logs_pull(remote: str | None, logs: str | None, json: str | None, **options: Any) -> None:
    """Merge in what others have pushed. Only what is wanted and not here yet is fetched; nothing is replaced.

    From where `logs push` puts it, or by https:// from a server of such a folder or bucket.
    """
    from compiler.commands.logs.pull import PullOptions, pull_logs
    from compiler.report.output import Output

    pull_logs(Output(json), logs, remote, PullOptions(**options))


@edgetune.command()
@click.argument("batch", metavar="BATCH")
@click.option("-o", "--output", "results", required=True, metavar="RESULTS", help="The results, as JSON lines.")
@common
def measure(batch: str, results: str, json: str | None) -> None:
    """Measure a batch of `edgetune tune --export-batch` on this board.

    Each result is on disk before the next candidate begins. After Ctrl-C or a power cut the same command goes on; a
    candidate that crashes or hangs costs itself. RESULTS is for `edgetune tune --import-results`.
    """
    from compiler.commands.measure import measure as work
    from compiler.report.output import Output

    work(batch, results, Output(json))


listen = _options(
    click.option("--listen", metavar="ADDRESS", help="Listen there instead of on loopback; needs --insecure."),
    click.option("--insecure", is_flag=True, help="Let whoever reaches the port in: there is no password."),
)


@edgetune.command()
@click.option("--port", type=click.IntRange(0, 65535), default=9090, show_default=True, help="0: any free one.")
@click.option("--key", default="edgetune", show_default=True, help="What boards of this kind are called.")
@click.option("--tracker", metavar="HOST:PORT", help="Register there; sessions then come through the tracker.")
@listen
@click.option(
    "--session-limit", type=click.FloatRange(1), default=3600.0, show_default=True, help="Seconds of a session at most."
)
@click.option("--memory-limit", metavar="2G", help="Address space of a session at most.")
@click.option("--until-eof", is_flag=True, help="End when standard input ends: with the SSH connection, say.")
@debug
def serve(**options: Any) -> None:
    """Let desks tune, run and measure on this machine: the agent of a board.

    It listens on loopback, and a desk comes in with --ssh. It ends with Ctrl-C or SIGTERM.
    """
    from compiler.commands.serve import ServeOptions
    from compiler.commands.serve import serve as work

    work(ServeOptions(**options))


@edgetune.command()
@click.option("--port", type=click.IntRange(0, 65535), default=9190, show_default=True, help="0: any free one.")
@listen
@debug
def tracker(**options: Any) -> None:
    """Keep track of boards, and give them to desks that ask with --rpc HOST:PORT --key KEY: TVM's tracker."""
    from compiler.commands.tracker import tracker as work

    work(**options)


@edgetune.command()
@click.argument("source", required=False, metavar="[PACKAGE|DIR]")
@click.option("--to", metavar="ssh://USER@BOARD/FOLDER", help="Where it goes; USER@BOARD:FOLDER, as for scp, will do.")
@click.option("--name", help="Call the package so on the board [default: as its file].")
@click.option("--no-run", "run", is_flag=True, flag_value=False, default=True, help="Copy and check only.")
@click.option("--agent", is_flag=True, help="Not a package: the agent, into DIR, or onto the board --to leads to.")
@click.option("--machine", metavar="aarch64", help="With --agent DIR: what machine it is for [default: this one's].")
@threads
@common
def deploy(source: str | None, json: str | None, **options: Any) -> None:
    """Copy a package to a board, check it there, and run it once.

    \b
    edgetune deploy alexnet.tar --to ssh://user@board/opt/models
    edgetune deploy --agent --to user@board
    edgetune deploy --agent DIR --machine aarch64

    It goes to FOLDER/NAME, in the place of an older version once all of it is there and its checksums are right; what
    the board has already is not copied. The agent, which runs it, is put on the board where it is missing. With --agent
    alone that is done beforehand, or the agent's folder is written to DIR, to be carried to a board.
    """
    from compiler.commands.deploy import DeployOptions
    from compiler.commands.deploy import deploy as work
    from compiler.report.output import Output

    work(source, Output(json), DeployOptions(**options))


@edgetune.command()
@click.option("--rpc", metavar="HOST:PORT", help="An agent or a tracker [default: those on this machine].")
@click.option("--key", help="Only boards of this key.")
@common
def devices(rpc: str | None, key: str | None, json: str | None) -> None:
    """List boards: what they are, whether they are free, how warm they are."""
    from compiler.commands.devices import devices as work
    from compiler.report.output import Output

    work(Output(json), rpc, key)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, 1 for a failure, 2 for wrong use, 130 after Ctrl-C."""
    return run_command(edgetune, sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
