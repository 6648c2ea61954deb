"""NVIDIA Jetson boards: an Arm CPU and a small NVIDIA GPU that share one memory."""

from __future__ import annotations

from dataclasses import dataclass

from targets import arm, cuda
from targets.machine import Machine
from targets.registry import Family, register
from targets.target import Hardware, Target

KB = 1024
MB = 1024 * KB


@dataclass(frozen=True)
class _Board:
    """A row: the module, its GPU (architecture, multiprocessors, L2), its CPU, and what its memory gives."""

    description: str
    arch: str
    sm_count: int
    shared_kb_per_block: int
    l2_bytes: int
    mcpu: str
    cpu_cores: int
    memory_gb_s: float
    jetpack: str


@dataclass(frozen=True)
class _JetPack:
    """NVIDIA's system for the boards: the CUDA and the glibc that it has."""

    cuda: str
    glibc: str


_JETPACKS = {
    "4": _JetPack("10.2", "2.27"),
    "5": _JetPack("11.4", "2.31"),
    "6": _JetPack("12.6", "2.35"),
    "7": _JetPack("13.0", "2.39"),
}

# Figures are the modules' data sheets'. TX2's two Denver cores run the same code as its four Cortex-A57. CUDA 13, which
# TVM's wheel is linked to, is JetPack 7's; the others need a TVM runtime built for their CUDA.
_BOARDS = {
    "jetson-nano": _Board("Jetson Nano", "sm_53", 1, 48, 256 * KB, "cortex-a57", 4, 25.6, "4"),
    "jetson-tx1": _Board("Jetson TX1", "sm_53", 2, 48, 256 * KB, "cortex-a57", 4, 25.6, "4"),
    "jetson-tx2": _Board("Jetson TX2", "sm_62", 2, 48, 512 * KB, "cortex-a57", 6, 59.7, "4"),
    "jetson-xavier": _Board("Jetson AGX Xavier", "sm_72", 8, 96, 512 * KB, "carmel", 8, 136.5, "5"),
    "jetson-orin": _Board("Jetson AGX Orin", "sm_87", 16, 163, 4 * MB, "cortex-a78ae", 12, 204.8, "6"),
    "jetson-orin-nano": _Board("Jetson Orin Nano", "sm_87", 8, 163, 2 * MB, "cortex-a78ae", 6, 68.0, "6"),
    "jetson-thor": _Board("Jetson AGX Thor", "sm_110", 20, 227, 32 * MB, "neoverse-v3ae", 14, 273.0, "7"),
}


def build(name: str, cores: int | None, machine: Machine) -> Target:
    """The target `name`. `cores` counts cores of the CPU that launches the kernels (default: all of the board's)."""
    board = _BOARDS[name]
    system = _JETPACKS[board.jetpack]
    runtime = "" if board.jetpack == "7" else " and a TVM runtime built on it for that CUDA"
    return Target(
        name=name,
        family="jetson",
        description=f"{board.description} ({board.sm_count} SM {board.arch}, {board.cpu_cores} {board.mcpu})",
        options=cuda.options(board.arch, board.l2_bytes),
        requires=arm.requires(board.mcpu),
        hardware=Hardware(
            cores=board.sm_count,
            l2_bytes=board.l2_bytes,
            fp16_arithmetic=True,
            sm_count=board.sm_count,
            shared_bytes_per_block=board.shared_kb_per_block * KB,
            registers_per_sm=65536,
            memory_gb_s=board.memory_gb_s,
        ),
        host=arm.host(board.mcpu, cores or board.cpu_cores),
        needs=f"the board with JetPack {board.jetpack} (CUDA {system.cuda}, glibc {system.glibc}){runtime}",
    )


def why_not_run(target: Target, machine: Machine) -> str | None:
    """None where the machine is such a board, else what it is instead."""
    missing = arm.missing(target.requires, machine)
    if missing is not None:
        return f"{machine.name} is no {_BOARDS[target.name].description}: {missing}"
    return cuda.why_not_run(target, machine)


def why_not_compile(target: Target) -> str | None:
    """None, or what is missing to compile for the board."""
    return cuda.why_not_compile(target)


def device(target: Target, machine: Machine) -> str:
    """The board's GPU, as its driver names it."""
    here = machine.find_gpu()
    return here.name if here is not None else "generic"


FAMILY = register(Family("jetson", tuple(_BOARDS), build, why_not_run, why_not_compile, device))
