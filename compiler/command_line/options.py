"""Options that several commands have; they mean the same everywhere."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click


def together(*decorators: Callable) -> Callable:
    """One decorator that adds all of `decorators`, so that help lists them in this order."""
    return lambda function: functools.reduce(lambda inner, add: add(inner), reversed(decorators), function)


debug = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    help="Show the traceback of a failure.",
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
    "--precision", "precisions", default="fp32", show_default=True, metavar="fp32,fp16,tf32", help="Precisions."
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
cuda_graph = click.option(
    "--cuda-graph/--no-cuda-graph",
    default=True,
    show_default=True,
    help="On GPUs: launch all kernels at once, as a CUDA graph.",
)
no_cache = click.option(
    "--no-cache", is_flag=True, help="For GPUs: compile anew what was compiled of the same before and is kept."
)
zero_trial = click.option("--zero-trial", is_flag=True, help="Use no records: every kernel has its untuned schedule.")
rpc = click.option("--rpc", metavar="HOST:PORT", help="Run on a board: its agent, or with --key a tracker.")
key = click.option("--key", metavar="KEY", help="Which boards of the tracker.")
ssh = click.option("--ssh", metavar="USER@BOARD", help="Run on a board through a tunnel that is opened for it.")
board = together(rpc, key, ssh)
dataset = together(
    click.option(
        "--dataset",
        metavar="FOLDER|X.NPZ",
        help="A folder of images, its subfolders or labels.csv the classes; or arrays by name, with `labels`.",
    ),
    click.option("--resize", type=click.IntRange(1), help="The images' shorter side [default: 256/224 of the input]."),
    click.option("--mean", metavar="0.485,...", help="Mean of the channels, from 0 to 1 [default: ImageNet's]."),
    click.option("--std", metavar="0.229,...", help="Deviation of the channels [default: ImageNet's]."),
)
load = together(
    click.option(
        "--mlperf",
        metavar="SingleStream,Offline",
        help="MLPerf's load too, by its own LoadGen: SingleStream, MultiStream, Offline; --seconds and --runs apply.",
    ),
    click.option(
        "--mlperf-mode",
        default="performance",
        show_default=True,
        metavar="performance,accuracy",
        help="What LoadGen asks for: speed, or every answer, which is then compared with ONNX Runtime's.",
    ),
    click.option("--mlperf-full", is_flag=True, help="As long as MLPerf's rules ask for: ten minutes each and more."),
    click.option(
        "--mlperf-logs",
        metavar="DIR",
        type=click.Path(),
        default="mlperf-logs",
        show_default=True,
        help="Where LoadGen's logs are kept.",
    ),
)
power = together(
    click.option(
        "--power-csv", metavar="FILE", help="The log of an external power meter, with the columns time and watts."
    ),
    click.option(
        "--power-offset",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="Added to the times in that log [default: 0].",
    ),
)
common = together(json_file, debug)


def placed(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a command, with those that say where to run as one, called `device`."""
    from compiler.commands.device import DeviceOptions

    where = {name: options.pop(name) for name in ("rpc", "key", "ssh")}
    return {**options, "device": DeviceOptions(**where)}


def with_load(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a command, with those of MLPerf's load as one, called `load`."""
    from compiler.commands.mlperf import LoadOptions

    names = {"mlperf": "mlperf", "mlperf_mode": "mode", "mlperf_full": "full", "mlperf_logs": "folder"}
    chosen = {field: options.pop(name) for name, field in names.items()}
    return {**options, "load": LoadOptions(**chosen)}


def with_data(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a command, with those of its dataset as one, called `data`."""
    from compiler.commands.dataset import DataOptions

    data = {name: options.pop(name) for name in ("dataset", "resize", "mean", "std")}
    return {**options, "data": DataOptions(**data)}


def with_power(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a command, with those of a power meter as one, called `power`."""
    from compiler.commands.power import PowerOptions

    csv, offset = options.pop("power_csv"), options.pop("power_offset")
    return {**options, "power": PowerOptions(csv, offset)}
