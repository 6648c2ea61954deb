"""NVIDIA GPUs on the desk and in servers. `cuda` is the GPU of this machine; Jetsons have their own file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from targets import cuda_toolkit, toolchain
from targets.gpu import Gpu, gpu
from targets.machine import Machine
from targets.registry import Family, register
from targets.target import Hardware, Target

KB = 1024


@dataclass(frozen=True)
class _Gpu:
    """A row: what cards have this compute capability, and the figures of the best known one."""

    description: str
    sm_count: int
    shared_kb_per_block: int
    memory_gb_s: float


# The oldest architecture that CUDA 13, which TVM's wheel is linked to, still has is sm_75.
_GPUS = {
    "cuda-sm75": _Gpu("NVIDIA Turing (T4, RTX 20)", 40, 64, 320.0),
    "cuda-sm80": _Gpu("NVIDIA Ampere data center (A100)", 108, 163, 1555.0),
    "cuda-sm86": _Gpu("NVIDIA Ampere (RTX 30, A10)", 82, 99, 936.0),
    "cuda-sm89": _Gpu("NVIDIA Ada (RTX 40, L4)", 58, 99, 300.0),
    "cuda-sm90": _Gpu("NVIDIA Hopper (H100, H200)", 132, 227, 3350.0),
    "cuda-sm100": _Gpu("NVIDIA Blackwell data center (B200)", 148, 227, 8000.0),
    "cuda-sm120": _Gpu("NVIDIA Blackwell (RTX 50)", 170, 99, 1792.0),
}
_DEFAULT = "cuda-sm75"


def options(arch: str, l2_bytes: int | None = None) -> dict[str, object]:
    """The JSON configuration of the TVM target for the architecture `arch`, such as `sm_87`.

    MetaSchedule sizes its candidates by these limits. Static shared memory is 48 KB a block on every architecture;
    a block may use half of the registers before Volta.
    """
    config: dict[str, object] = {
        "kind": "cuda",
        "arch": arch,
        "max_threads_per_block": 1024,
        "thread_warp_size": 32,
        "max_shared_memory_per_block": 48 * KB,
        "registers_per_block": 32768 if arch in ("sm_53", "sm_62") else 65536,
    }
    if l2_bytes:
        config["l2_cache_size_bytes"] = l2_bytes
    return config


def build(name: str, cores: int | None, machine: Machine) -> Target:
    """The target `name`. `cores` counts cores of the CPU that launches the kernels."""
    here = machine.find_gpu()
    if name == "cuda":
        return _of_machine(here, cores, machine)
    row = _GPUS[name]
    arch = name.replace("cuda-sm", "sm_")
    hardware = Hardware(
        cores=row.sm_count,
        fp16_arithmetic=True,
        sm_count=row.sm_count,
        shared_bytes_per_block=row.shared_kb_per_block * KB,
        registers_per_sm=65536,
        memory_gb_s=row.memory_gb_s,
    )
    if here is not None and here.arch == arch:
        hardware = _measured(hardware, here)
    return Target(
        name=name,
        family="cuda",
        description=row.description,
        options=options(arch),
        requires=frozenset(),
        hardware=hardware,
        host=_host(cores, machine),
        needs=f"an NVIDIA GPU of compute capability {int(arch[3:]) / 10:.1f} and a driver for CUDA 13",
    )


def _of_machine(here: Gpu | None, cores: int | None, machine: Machine) -> Target:
    if here is None:
        # The target can still be listed and described; why_not_run and why_not_compile say what is missing.
        named = build(_DEFAULT, cores, machine)
        return replace(
            named,
            name="cuda",
            description=f"the NVIDIA GPU of {machine.name}",
            needs=f"an NVIDIA GPU in {machine.name}",
        )
    name = here.arch.replace("sm_", "cuda-sm")
    if name in _GPUS:
        return build(name, cores, machine)
    generic = build(_DEFAULT, cores, machine)
    return replace(
        generic,
        name="cuda",
        description=here.name,
        options=options(here.arch),
        hardware=_measured(generic.hardware, here),
        needs=f"an NVIDIA GPU with {here.arch}",
    )


def _measured(hardware: Hardware, here: Gpu) -> Hardware:
    return replace(
        hardware,
        cores=here.sm_count or hardware.cores,
        sm_count=here.sm_count or hardware.sm_count,
        shared_bytes_per_block=here.shared_bytes_per_block or hardware.shared_bytes_per_block,
        registers_per_sm=here.registers_per_sm or hardware.registers_per_sm,
        l2_bytes=here.l2_bytes,
        memory_gb_s=here.memory_gb_s or hardware.memory_gb_s,
    )


def _host(cores: int | None, machine: Machine) -> Mapping[str, object]:
    """The CPU beside the GPU: it only launches kernels, so a general one serves, and packages stay portable."""
    general = {"x86_64": "x86-64-v3", "aarch64": "generic"}
    kind = machine.cpu.machine if machine.cpu.machine in general else "x86_64"
    return {
        "kind": "llvm",
        "mcpu": general[kind],
        "mtriple": f"{kind}-linux-gnu",
        "num-cores": cores or machine.cores,
    }


def why_not_run(target: Target, machine: Machine) -> str | None:
    """None, or why the machine's GPU cannot run it: there is none, or it is of another architecture."""
    here = machine.find_gpu()
    if here is None:
        return f"{machine.name} has no NVIDIA GPU (or no driver for it)"
    if here.arch != target.options["arch"]:
        return f"{machine.name}'s GPU ({here.name}) is {here.arch}, not {target.options['arch']}"
    return None


def why_not_compile(target: Target) -> str | None:
    """None, or what is missing to compile for a GPU: NVIDIA's compiler of its generation, or a linker for its host."""
    if target.name == "cuda" and gpu() is None:
        return "this machine has no GPU to compile for: name one, such as cuda-sm86 or jetson-orin"
    missing = cuda_toolkit.why_no_toolkit(str(target.options["arch"]))
    if missing is not None or target.host is None:
        return missing
    return toolchain.why_no_linker(str(target.host["mtriple"]))


def device(target: Target, machine: Machine) -> str:
    """The machine's GPU."""
    here = machine.find_gpu()
    return here.name if here is not None else "generic"


FAMILY = register(Family("cuda", ("cuda", *_GPUS), build, why_not_run, why_not_compile, device))
