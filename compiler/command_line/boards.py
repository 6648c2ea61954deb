"""Commands of boards: measure, serve, tracker, deploy, devices."""

from __future__ import annotations

from typing import Any

import click

from compiler.command_line.options import common, debug, threads, together


@click.command()
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


listen = together(
    click.option("--listen", metavar="ADDRESS", help="Listen there instead of on loopback; needs --insecure."),
    click.option("--insecure", is_flag=True, help="Let whoever reaches the port in: there is no password."),
)


@click.command(short_help="Let desks tune, run and measure here: the agent of a board.")
@click.option("--port", type=click.IntRange(0, 65535), default=9090, show_default=True, help="0: any free one.")
@click.option("--key", default="edgetune", show_default=True, help="What boards of this kind are called.")
@click.option("--tracker", metavar="HOST:PORT", help="Register there; sessions then come through the tracker.")
@listen
@click.option(
    "--session-limit", type=click.FloatRange(1), default=3600.0, show_default=True, help="Seconds of a session at most."
)
@click.option("--memory-limit", metavar="2G", help="Address space of a session at most.")
@click.option("--until-eof", is_flag=True, help="End when standard input ends: with the SSH connection, say.")
@click.option(
    "--heartbeat",
    type=click.FloatRange(0.1),
    metavar="SECONDS",
    help="End, too, when standard input is silent for so long.",
)
@debug
def serve(**options: Any) -> None:
    """Let desks tune, run and measure on this machine: the agent of a board.

    It listens on loopback, and a desk comes in with --ssh. It ends with Ctrl-C or SIGTERM.
    """
    from compiler.commands.serve import ServeOptions
    from compiler.commands.serve import serve as work

    work(ServeOptions(**options))


@click.command(short_help="Keep track of boards, and give them to desks: TVM's tracker.")
@click.option("--port", type=click.IntRange(0, 65535), default=9190, show_default=True, help="0: any free one.")
@listen
@debug
def tracker(**options: Any) -> None:
    """Keep track of boards, and give them to desks that ask with --rpc HOST:PORT --key KEY: TVM's tracker."""
    from compiler.commands.tracker import tracker as work

    work(**options)


@click.command()
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


@click.command(short_help="List boards: what they are, free or busy, how warm.")
@click.option("--rpc", metavar="HOST:PORT", help="An agent or a tracker [default: those on this machine].")
@click.option("--key", help="Only boards of this key.")
@click.option("--ssh", metavar="USER@BOARD", help="The board that SSH leads to; the agent is put there if need be.")
@common
def devices(json: str | None, **options: Any) -> None:
    """List boards: what they are, whether they are free, how warm they are."""
    from compiler.commands.devices import devices as work
    from compiler.report.output import Output

    work(Output(json), **options)
