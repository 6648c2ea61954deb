"""Commands on models and packages: tune, compile, run, bench, report, verify, inspect, targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from click.core import ParameterSource

from compiler.command_line.options import (
    batches,
    board,
    common,
    cuda_graph,
    dataset,
    debug,
    dump,
    io_precision,
    load,
    logs,
    no_cache,
    placed,
    power,
    precisions,
    seed,
    shape,
    target,
    threads,
    unverified,
    with_data,
    with_load,
    with_power,
    zero_trial,
)
from compiler.errors import UsageError


@click.command()
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
@click.option(
    "--no-warm-start",
    is_flag=True,
    help="Begin each kernel from its own records alone, not from what was fast for similar ones.",
)
@click.option(
    "--l2",
    type=click.Choice(["flush", "rotate", "warm"]),
    default="flush",
    show_default=True,
    help="This machine's GPU: overwrite its cache before each call, rotate weights, or leave it as it is.",
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
    work(models, Output(json), TuneOptions(**placed(options), logs=own, others=others))


@click.command("compile", short_help="Build a package of MODEL from the records at hand; verify it.")
@click.argument("model")
@target
@click.option("--batch", type=click.IntRange(1), help="Batch size [default: the model's, or 1].")
@click.option(
    "--precision", type=click.Choice(["fp32", "fp16", "tf32"]), default="fp32", show_default=True, help="Precision."
)
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
@cuda_graph
@no_cache
@board
@common
def compile_(model: str, json: str | None, **options: Any) -> None:
    """Build a package of MODEL from the records at hand, verified against ONNX Runtime."""
    from compiler.commands.compile import compile_ as work
    from compiler.report.output import Output

    work(model, Output(json), **placed(options))


@click.command()
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

    work(package, Output(json), **placed(options))


@click.command(short_help="Measure packages or models, alone or beside other engines.")
@click.argument("sources", nargs=-1, metavar="[MODEL|PACKAGE ...]")
@click.option(
    "--suite",
    "suite_",
    metavar="classic|FILE.toml",
    help="A matrix of models, batches, precisions and peers, with a report; goes on where --json FILE ends.",
)
@click.option("--vs", metavar="onnxruntime,openvino", help="Peers to measure in turns with ours.")
@click.option("--tf32", is_flag=True, help="Let peers on a GPU round FP32 to TF32; ours stays FP32, and says so.")
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
@click.option("--profile", is_flag=True, help="Time per kernel, and its share of the measured peak of what it runs on.")
@click.option("--trace", metavar="FILE", help="Write the profile call by call: for Perfetto, or chrome://tracing.")
@click.option("--aa", is_flag=True, help="The same package twice, in turns: the smallest difference that can be told.")
@load
@power
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
    chosen = BenchOptions(**placed(with_power(with_load(with_data(options)))), given=given)
    if bool(sources) == (suite_ is not None):
        raise UsageError("name what to measure: MODEL or PACKAGE, or --suite")
    if suite_ is not None:
        from compiler.commands.suite import bench_suite

        bench_suite(suite_, json, Output(json), chosen)
        return
    work(sources, Output(json), chosen)


@click.command(short_help="Make a report of what `bench --json` has written.")
@click.argument("sources", nargs=-1, required=True, metavar="RESULTS.jsonl ...")
@click.option(
    "-o",
    "--output",
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


@click.command()
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

    work(package, Output(json), **placed(with_data(options)))


@click.command()
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


@click.command("targets")
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
