"""64-bit Arm CPUs: the cores of single-board computers, Jetsons and servers.

To add one, add a row to `_CPUS`, with the implementer and part numbers that /proc/cpuinfo shows for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from targets import toolchain
from targets.cpuinfo import CpuInfo
from targets.machine import Machine, hardware_of
from targets.registry import Family, register
from targets.target import Hardware, Target

TRIPLE = "aarch64-linux-gnu"
KB = 1024

# Features as /proc/cpuinfo spells them; only those that the code generator uses unasked.
_V8 = ("asimd", "crc32")
_V82 = (*_V8, "atomics", "asimdrdm", "fphp", "asimdhp")
_V82_DOT = (*_V82, "lrcpc", "asimddp")
_V84 = (*_V82_DOT, "uscat", "ilrcpc", "flagm", "fcma", "jscvt", "asimdfhm", "i8mm", "bf16", "sve")
_V9 = (*_V84, "sve2", "svebitperm", "flagm2", "frint")
_ORDER = _V9

ARM = 0x41
NVIDIA = 0x4E


@dataclass(frozen=True)
class _Cpu:
    """A row: LLVM's name, what the CPU must have, its part numbers, cores of a typical one, KB of L1d, L2, L3."""

    mcpu: str
    features: tuple[str, ...]
    description: str
    parts: tuple[tuple[int, int], ...]
    cores: int = 4
    l1d: int = 32
    l2: int = 512
    l3: int = 0

    @property
    def name(self) -> str:
        return f"arm-{self.mcpu}"


_CPUS = (
    _Cpu("generic", ("asimd",), "any 64-bit Arm CPU (NEON)", ()),
    _Cpu("cortex-a53", _V8, "Arm Cortex-A53 (Raspberry Pi 3)", ((ARM, 0xD03),)),
    _Cpu("cortex-a55", _V82_DOT, "Arm Cortex-A55 (RK3566)", ((ARM, 0xD05),), l2=128, l3=512),
    _Cpu("cortex-a57", _V8, "Arm Cortex-A57 (Jetson TX1, TX2, Nano)", ((ARM, 0xD07),), l2=2048),
    _Cpu("cortex-a72", _V8, "Arm Cortex-A72 (Raspberry Pi 4)", ((ARM, 0xD08),), l2=1024),
    _Cpu("cortex-a73", _V8, "Arm Cortex-A73", ((ARM, 0xD09),), l2=1024),
    _Cpu("cortex-a76", _V82_DOT, "Arm Cortex-A76 (Raspberry Pi 5, RK3588)", ((ARM, 0xD0B),), l1d=64, l3=2048),
    _Cpu("cortex-a78", _V82_DOT, "Arm Cortex-A78", ((ARM, 0xD41),), l1d=64, l2=256, l3=4096),
    _Cpu("cortex-a78ae", _V82_DOT, "Arm Cortex-A78AE (Jetson Orin)", ((ARM, 0xD42),), 8, 64, 256, 2048),
    _Cpu("carmel", _V82, "NVIDIA Carmel (Jetson Xavier)", ((NVIDIA, 0x004),), 8, 64, 1024, 4096),
    _Cpu("neoverse-n1", _V82_DOT, "Arm Neoverse N1 (Graviton 2, Altra)", ((ARM, 0xD0C),), 16, 64, 1024, 32768),
    _Cpu("neoverse-v1", _V84, "Arm Neoverse V1 (Graviton 3)", ((ARM, 0xD40),), 16, 64, 1024, 32768),
    _Cpu("neoverse-n2", _V9, "Arm Neoverse N2 (Cobalt 100)", ((ARM, 0xD49),), 16, 64, 1024, 32768),
    _Cpu("neoverse-v2", _V9, "Arm Neoverse V2 (Grace, Graviton 4)", ((ARM, 0xD4F),), 16, 64, 1024, 32768),
    _Cpu("neoverse-v3ae", _V9, "Arm Neoverse V3AE (Jetson Thor)", ((ARM, 0xD83),), 14, 64, 1024, 16384),
)
_BY_NAME = {cpu.name: cpu for cpu in _CPUS}
_BY_PART = {part: cpu for cpu in _CPUS for part in cpu.parts}
REQUIRES = {cpu.name: frozenset(cpu.features) for cpu in _CPUS}


def host(mcpu: str, cores: int) -> dict[str, object]:
    """The JSON configuration of the TVM target for `cores` cores of the CPU that LLVM calls `mcpu`."""
    return {"kind": "llvm", "mcpu": mcpu, "mtriple": TRIPLE, "num-cores": cores}


def requires(mcpu: str) -> frozenset[str]:
    """The features that code for the CPU that LLVM calls `mcpu` may use."""
    return REQUIRES[f"arm-{mcpu}"]


def candidates(info: CpuInfo) -> list[str]:
    """Names of targets that may fit this CPU, the most specific first; the caller checks the features of each.

    Where cores differ (big.LITTLE), the big ones decide the name: the work goes there, and the features, which the
    caller checks, are those that all cores share.
    """
    known = [_BY_PART[part] for part in info.parts if part in _BY_PART]
    known.sort(key=lambda cpu: _CPUS.index(cpu), reverse=True)
    return [*(cpu.name for cpu in known), "arm-generic"]


def cpu_name(info: CpuInfo) -> str:
    """The names of the distinct cores of an Arm machine, for a reader."""
    cores = []
    for part in info.parts:
        known = _BY_PART.get(part)
        cores.append(known.description.partition(" (")[0] if known else f"part 0x{part[0]:02x}:0x{part[1]:03x}")
    return " + ".join(cores) or info.name or f"unknown {info.machine} CPU"


def build(name: str, cores: int | None, machine: Machine) -> Target:
    """The target `name`; for a machine that can run it, with that machine's core count and caches."""
    cpu = _BY_NAME[name]
    sve = "sve" in cpu.features
    hardware = Hardware(
        memory_operands=False,
        cores=cores or cpu.cores,
        vector_bits=128,
        vector_registers=32,
        l1d_bytes=cpu.l1d * KB,
        l2_bytes=cpu.l2 * KB,
        l3_bytes=cpu.l3 * KB or None,
        fp16_arithmetic="asimdhp" in cpu.features,
    )
    if missing(REQUIRES[name], machine) is None:
        hardware = hardware_of(machine, hardware, cores)
    return Target(
        name=name,
        family="arm",
        description=cpu.description,
        options=host(cpu.mcpu, hardware.cores),
        requires=REQUIRES[name],
        hardware=hardware,
        needs=f"a 64-bit Arm board{' with SVE' if sve else ''}; to compile elsewhere, `pip install ziglang`",
    )


def missing(required: frozenset[str], machine: Machine) -> str | None:
    """None, or one line on why the machine's CPU cannot execute code that uses the features `required`."""
    info = machine.cpu
    if info.machine != "aarch64":
        return f"{machine.name} is {info.machine}, not aarch64"
    lacks = sorted(required - info.flags, key=lambda flag: _ORDER.index(flag) if flag in _ORDER else len(_ORDER))
    return f"{machine.name}'s CPU ({cpu_name(info)}) has no {', '.join(lacks)}" if lacks else None


def why_not_run(target: Target, machine: Machine) -> str | None:
    """None, or which feature the machine's CPU lacks."""
    return missing(target.requires, machine)


def why_not_compile(target: Target) -> str | None:
    """None, or what is missing to link a library for 64-bit Arm Linux here."""
    return toolchain.why_no_linker(TRIPLE)


def device(target: Target, machine: Machine) -> str:
    """The machine's CPU."""
    return cpu_name(machine.cpu)


FAMILY = register(Family("arm", tuple(_BY_NAME), build, why_not_run, why_not_compile, device))
