"""What a board says that it is (the `identity` of docs/agent-protocol.md), and what follows from it for targets."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

import targets
from compiler.errors import EdgetuneError
from targets.cpuinfo import Caches, parse_cpuinfo
from targets.gpu import Gpu

BOARD = "the board"


class BoardGpu(Struct, frozen=True, kw_only=True):
    """The GPU: its name, its architecture (`sm_87`), its multiprocessors where the driver says."""

    name: str
    arch: str
    sm_count: int | None = None


class Identity(Struct, frozen=True, kw_only=True):
    """What a board is; None is what it could not find out."""

    agent: str
    version: str
    tvm: str
    machine: str
    cpuinfo: str
    cores: int
    memory_bytes: int | None = None
    glibc: str | None = None
    kernel: str | None = None
    caches: dict[str, int | None] = {}
    board: str | None = None
    gpu: BoardGpu | None = None
    power_mode: str | None = None
    governor: str | None = None


def decode_identity(value: Any) -> Identity:
    """`value`, as JSON gives it or as its text. Raises EdgetuneError where it is no identity."""
    try:
        if isinstance(value, str | bytes):
            # Encoded: TVM gives a subclass of str, which msgspec does not take.
            return msgspec.json.decode(value.encode() if isinstance(value, str) else value, type=Identity)
        return msgspec.convert(value, type=Identity)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise EdgetuneError(f"the board does not say what it is: {' '.join(str(error).split())}") from None


def machine_of(identity: Identity) -> targets.Machine:
    """The board as targets ask about it."""
    gpu = None
    if identity.gpu is not None:
        count = identity.gpu.sm_count or 0
        gpu = Gpu(identity.gpu.name, identity.gpu.arch, count, None, None, None, None)
    return targets.Machine(
        cpu=parse_cpuinfo(identity.cpuinfo, identity.machine),
        cores=max(1, identity.cores),
        caches=Caches(*(identity.caches.get(level) for level in ("l1d", "l2", "l3"))),
        find_gpu=lambda: gpu,
        name=BOARD,
    )


def board_target(identity: Identity, name: str = "native", threads: int | None = None) -> targets.Target:
    """The target called `name` as that board; `native` is the most specific one that its CPU can execute.

    Raises targets.TargetError where there is none.
    """
    return targets.get(name, threads, machine_of(identity))


def why_not_run_on(identity: Identity, target: targets.Target) -> str | None:
    """None where the board can execute code for `target`, else one line that names what is missing."""
    return targets.why_not_run(target, machine_of(identity))


def board_device(identity: Identity, target: targets.Target | None = None) -> str:
    """The board as a result names it: the CPU's model, or for a GPU target, the GPU's."""
    return targets.device_name(target, machine_of(identity))


def board_fingerprint(identity: Identity, target: targets.Target) -> targets.Fingerprint:
    """The fingerprint of the board as `target`."""
    return targets.fingerprint(target, machine=machine_of(identity))
