"""`edgetune deploy`: a package onto a board, checked there and run once; or the agent for boards without Python."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass
from pathlib import Path

from compiler.commands.run import warn_if_unverified
from compiler.commands.source import opened_package
from compiler.errors import EdgetuneError, UsageError
from compiler.package import LIBRARY, Package
from compiler.places import must_hold_files
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import steps
from compiler.runtime.ssh.address import SshAddress, parse, parse_destination
from compiler.runtime.ssh.deployment import Deployed, deploy_agent, deploy_package
from compiler.runtime.ssh.source import AGENT, BundledAgents, Progress, check_machine, this_machine
from compiler.runtime.timing import Timing

RUNS = 20
_RUN_SECONDS = 30.0
_SEED = 0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")


@dataclass(frozen=True, kw_only=True)
class DeployOptions:
    """What `edgetune deploy` was told; None is what was not given."""

    to: str | None = None
    agent: bool = False
    machine: str | None = None
    name: str | None = None
    run: bool = True
    threads: int | None = None


def deploy(source: str | None, output: Output, options: DeployOptions) -> None:
    """Deploy the package `source`, or write the agent's folder there. Raises UsageError for options that do not fit."""
    if options.agent:
        _deploy_agent(source, output, options)
        return
    if options.machine is not None:
        raise UsageError("--machine is for --agent: a package says itself what machine it is for")
    if source is None or options.to is None:
        raise UsageError("give a PACKAGE and where it goes, such as --to ssh://user@board/opt/models")
    board = parse_destination(options.to)
    _deploy_package(opened_package(source), board, output, options)


def _deploy_package(package: Package, board: SshAddress, output: Output, options: DeployOptions) -> None:
    name = options.name or package.path.name.removesuffix(".tar")
    if not _NAME.fullmatch(name) or ".part-" in name:
        raise UsageError(f"{name!r} cannot be a folder on the board: give another one with --name")
    manifest = package.manifest
    with steps(output) as step:
        with package.unpack(whole=True) as unpacked:
            deployed = deploy_package(board, unpacked, name, progress=step)
        timing, device, fingerprint = (
            _run(package, board, deployed, options, step) if options.run else (None, None, None)
        )
    place = f"{board}:{deployed.folder}"
    output.say(f"{name}: {'copied to' if deployed.copied else 'already there:'} {place}, checked there")
    warn_if_unverified(output, manifest)
    median = None if timing is None else statistics.median(timing.seconds)
    if timing is not None:
        output.say(
            f"{manifest.model.name}, batch {manifest.batch}, {manifest.precision}, on {device}: "
            f"{fmt.milliseconds(median)} ms (median of {len(timing.seconds)} runs), "
            f"{'verified' if manifest.verified else 'NOT verified'}"
        )
    output.json(
        [
            {
                "package": str(package.path),
                "board": str(board),
                "folder": deployed.folder,
                "copied": deployed.copied,
                "model": manifest.model.name,
                "batch": manifest.batch,
                "precision": manifest.precision,
                "target": manifest.target.name,
                "engine": "edgetune",
                "engine_version": manifest.tool_version,
                "device": device,
                "fingerprint": fingerprint,
                "seconds": median,
                "runs": None if timing is None else len(timing.seconds),
                "verified": manifest.verified,
            }
        ]
    )


def _run(
    package: Package, board: SshAddress, deployed: Deployed, options: DeployOptions, step: Progress
) -> tuple[Timing, str, str]:
    """(the times of some runs, the device, its fingerprint); the board's agent is put there where it is missing."""
    from compiler.frontend.inputs import random_inputs
    from compiler.runtime.rpc.address import Way
    from compiler.runtime.rpc.session import RemoteSession
    from compiler.runtime.ssh.tunnel import open_agent

    step(f"Starting the agent on {board}")
    manifest = package.manifest
    inputs = random_inputs(manifest.inputs, _SEED)
    with open_agent(SshAddress(board.host, board.user, board.port), progress=step) as address:
        step(f"Running {deployed.folder} on {board}")
        with RemoteSession(Way(address, name=board.host), options.threads) as session:
            executable = session.load_deployed(deployed.library, manifest, package.checksums[LIBRARY])
            executable.run(inputs)
            timing = executable.timed(inputs, runs=RUNS, warmup_runs=1, limit_seconds=_RUN_SECONDS)
            return timing, executable.device, executable.fingerprint


def _deploy_agent(folder: str | None, output: Output, options: DeployOptions) -> None:
    given = [
        option
        for option, value in (
            ("--name", options.name is not None),
            ("--no-run", not options.run),
            ("--threads", options.threads is not None),
        )
        if value
    ]
    if given:
        raise UsageError(f"{given[0]} is for a package, and --agent deploys the agent alone")
    if (folder is None) == (options.to is None):
        raise UsageError("give --agent a DIR to write the agent's folder to, or a board with --to ssh://user@board")
    if options.to is not None:
        _agent_to_board(options.to, output, options)
    elif folder is not None:
        _agent_to_folder(Path(folder), output, options)


def _agent_to_board(to: str, output: Output, options: DeployOptions) -> None:
    board = parse(to)
    if board.path is not None:
        raise UsageError(
            f"{to}: the agent goes where --ssh looks for it, into the user's ~/.cache: leave out the folder"
        )
    if options.machine is not None:
        raise UsageError("--machine is for --agent DIR: the board says itself what machine it is")
    with steps(output) as step:
        step(f"Connecting to {board}")
        path, copied = deploy_agent(board, BundledAgents(), progress=step)
    output.say(f"the agent is {'now' if copied else 'already'} on {board}, checked there: {path}")
    output.json([{"board": str(board), "agent": path, "copied": copied}])


def _agent_to_folder(folder: Path, output: Output, options: DeployOptions) -> None:
    machine = options.machine or this_machine()
    try:
        check_machine(machine)
    except EdgetuneError as error:
        raise UsageError(str(error)) from None
    if folder.exists() and not (folder / AGENT).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder}: this exists and is no agent's folder; give another name")
    must_hold_files(folder.absolute().parent, folder)
    from compiler.runtime.agent.bundle import build_bundle
    from compiler.runtime.agent.native.elf import oldest_glibc

    with steps(output) as step:
        step(f"Building the agent for {machine}")
        build_bundle(machine, folder, progress=step)
    files = [path for path in folder.iterdir() if path.is_file()]
    size, glibc = sum(path.stat().st_size for path in files), oldest_glibc(files)
    output.say(
        f"the agent for {machine} is in {folder} ({fmt.size(size)}, glibc {glibc} or newer): "
        f"copy it to a board and start {AGENT} there"
    )
    output.json([{"folder": str(folder), "machine": machine, "bytes": size, "glibc": glibc}])
