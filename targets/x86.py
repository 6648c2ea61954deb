"""x86-64 CPUs, from any of the last fifteen years to the current servers.

To add one, add a row to `_CPUS` (and its model numbers to `_INTEL` or `_AMD`, so that it is detected); the tests check
that LLVM knows it and that `requires` covers all that LLVM's code generator may use for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from targets import cpuinfo, toolchain
from targets.cpuinfo import CpuInfo
from targets.machine import Machine, hardware_of
from targets.registry import Family, register
from targets.target import Hardware, Target

TRIPLE = "x86_64-linux-gnu"
KB = 1024
MB = 1024 * KB

# Features as /proc/cpuinfo spells them, in the order in which a message names missing ones. Only those are listed that
# the code generator uses unasked (or that schedules ask for, as AMX): instructions that need an explicit call, such as
# CLWB, do not decide whether code runs, and hypervisors like to hide them.
_SSE2 = ("sse", "sse2")
_SSE42 = (*_SSE2, "pni", "ssse3", "sse4_1", "sse4_2", "popcnt", "cx16", "lahf_lm")
_AVX2 = (*_SSE42, "avx", "avx2", "fma", "f16c", "bmi1", "bmi2", "abm", "movbe")
_AVX512 = (*_AVX2, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
_CASCADE = (*_AVX512, "avx512_vnni")
_COOPER = (*_CASCADE, "avx512_bf16")
_ICE_EXTRA = ("avx512ifma", "avx512vbmi", "avx512_vbmi2", "avx512_bitalg", "avx512_vpopcntdq", "gfni")
_ICE = (*_CASCADE, *_ICE_EXTRA)
_AMX = ("amx_tile", "amx_int8", "amx_bf16")
_SAPPHIRE = (*_ICE, "avx512_bf16", "avx512_fp16", "avx_vnni", *_AMX)
_ALDER = (*_AVX2, "avx_vnni", "gfni")
_ZEN = (*_AVX2, "sse4a")
_ZEN4 = (*_COOPER, *_ICE_EXTRA, "sse4a")
_ZEN5 = (*_ZEN4, "avx_vnni", "avx512_vp2intersect")
_ORDER = tuple(dict.fromkeys((*_ZEN5, *_SAPPHIRE, "amx_fp16")))


@dataclass(frozen=True)
class _Cpu:
    """A row: LLVM's name, what the CPU must have, cores of a typical one, and KB of L1d, L2, L3."""

    name: str
    mcpu: str
    features: tuple[str, ...]
    description: str
    cores: int = 4
    l1d: int = 32
    l2: int = 256
    l3: int = 8 * KB


_CPUS = (
    _Cpu("x86-64", "x86-64", _SSE2, "any 64-bit x86 CPU (SSE2)"),
    _Cpu("x86-sse42", "x86-64-v2", _SSE42, "any x86 CPU with SSE4.2"),
    _Cpu("x86-avx2", "x86-64-v3", _AVX2, "any x86 CPU with AVX2 and FMA"),
    _Cpu("x86-avx512", "x86-64-v4", _AVX512, "any x86 CPU with AVX-512 (F, BW, CD, DQ, VL)", l2=1 * KB),
    _Cpu("x86-haswell", "haswell", _AVX2, "Intel Haswell (2013)"),
    _Cpu("x86-broadwell", "broadwell", _AVX2, "Intel Broadwell (2014)"),
    _Cpu("x86-skylake", "skylake", _AVX2, "Intel Skylake to Comet Lake clients (2015)"),
    _Cpu("x86-alderlake", "alderlake", _ALDER, "Intel Alder Lake and later clients (2021)", 8, 48, 1280, 30 * KB),
    _Cpu("x86-skylake-avx512", "skylake-avx512", _AVX512, "Intel Xeon Skylake-SP (2017)", 16, 32, 1 * KB, 22 * KB),
    _Cpu("x86-cascadelake", "cascadelake", _CASCADE, "Intel Xeon Cascade Lake (2019), VNNI", 16, 32, 1 * KB, 22 * KB),
    _Cpu("x86-cooperlake", "cooperlake", _COOPER, "Intel Xeon Cooper Lake (2020), BF16", 16, 32, 1 * KB, 22 * KB),
    _Cpu("x86-icelake-client", "icelake-client", _ICE, "Intel Ice, Tiger and Rocket Lake clients (2019)", 4, 48, 512),
    _Cpu("x86-icelake-server", "icelake-server", _ICE, "Intel Xeon Ice Lake (2021)", 16, 48, 1280, 24 * KB),
    _Cpu(
        "x86-sapphirerapids",
        "sapphirerapids",
        _SAPPHIRE,
        "Intel Xeon Sapphire and Emerald Rapids (2023), AMX and FP16",
        16,
        48,
        2 * KB,
        32 * KB,
    ),
    _Cpu(
        "x86-graniterapids",
        "graniterapids",
        (*_SAPPHIRE, "amx_fp16"),
        "Intel Xeon Granite Rapids (2024), AMX and FP16",
        16,
        48,
        2 * KB,
        48 * KB,
    ),
    _Cpu("x86-znver1", "znver1", _ZEN, "AMD Zen and Zen+ (2017)", 8, 32, 512, 8 * KB),
    _Cpu("x86-znver2", "znver2", _ZEN, "AMD Zen 2 (2019)", 8, 32, 512, 16 * KB),
    _Cpu("x86-znver3", "znver3", _ZEN, "AMD Zen 3 (2020)", 8, 32, 512, 32 * KB),
    _Cpu("x86-znver4", "znver4", _ZEN4, "AMD Zen 4 (2022), AVX-512", 8, 32, 1 * KB, 32 * KB),
    _Cpu("x86-znver5", "znver5", _ZEN5, "AMD Zen 5 (2024), AVX-512", 8, 48, 1 * KB, 32 * KB),
)
_BY_NAME = {cpu.name: cpu for cpu in _CPUS}
REQUIRES = {cpu.name: frozenset(cpu.features) for cpu in _CPUS}
GENERAL = ("x86-avx512", "x86-avx2", "x86-sse42", "x86-64")

# Model numbers as LLVM's Host.cpp and the kernel's intel-family.h have them. 0x55 is three generations of servers,
# which the features tell apart.
_INTEL: dict[int, tuple[str, ...]] = {
    **dict.fromkeys((0x3C, 0x3F, 0x45, 0x46), ("x86-haswell",)),
    **dict.fromkeys((0x3D, 0x47, 0x4F, 0x56), ("x86-broadwell",)),
    **dict.fromkeys((0x4E, 0x5E, 0x8E, 0x9E, 0xA5, 0xA6), ("x86-skylake",)),
    0x55: ("x86-cooperlake", "x86-cascadelake", "x86-skylake-avx512"),
    **dict.fromkeys((0x7D, 0x7E, 0x8C, 0x8D, 0xA7), ("x86-icelake-client",)),
    **dict.fromkeys((0x6A, 0x6C), ("x86-icelake-server",)),
    **dict.fromkeys((0x97, 0x9A, 0xB7, 0xBA, 0xBF, 0xAA, 0xAC, 0xBE, 0xC5, 0xB5, 0xC6, 0xBD, 0xCC), ("x86-alderlake",)),
    **dict.fromkeys((0x8F, 0xCF), ("x86-sapphirerapids", "x86-icelake-server")),
    **dict.fromkeys((0xAD, 0xAE), ("x86-graniterapids", "x86-sapphirerapids", "x86-icelake-server")),
}
# (family, first model, last model) of AMD.
_AMD: tuple[tuple[int, int, int, str], ...] = (
    (0x17, 0x00, 0x2F, "x86-znver1"),
    (0x17, 0x30, 0xAF, "x86-znver2"),
    (0x19, 0x00, 0x0F, "x86-znver3"),
    (0x19, 0x10, 0x1F, "x86-znver4"),
    (0x19, 0x20, 0x5F, "x86-znver3"),
    (0x19, 0x60, 0xAF, "x86-znver4"),
    (0x1A, 0x00, 0xFF, "x86-znver5"),
)
# archspec's names, for CPUs whose model numbers are not in the tables above.
_ARCHSPEC = {
    "haswell": "x86-haswell",
    "broadwell": "x86-broadwell",
    "skylake": "x86-skylake",
    "skylake_avx512": "x86-skylake-avx512",
    "cascadelake": "x86-cascadelake",
    "icelake": "x86-icelake-server",
    "sapphirerapids": "x86-sapphirerapids",
    "graniterapids": "x86-graniterapids",
    "zen": "x86-znver1",
    "zen2": "x86-znver2",
    "zen3": "x86-znver3",
    "zen4": "x86-znver4",
    "zen5": "x86-znver5",
}


def candidates(info: CpuInfo) -> list[str]:
    """Names of targets that may fit this CPU, the most specific first; the caller checks the features of each."""
    found: list[str] = []
    if info.vendor == "GenuineIntel" and info.family == 6:
        found += _INTEL.get(info.model, ())
    elif info.vendor == "AuthenticAMD":
        found += [name for family, low, high, name in _AMD if info.family == family and low <= info.model <= high]
    if not found and info == cpuinfo.cpu_info():
        found += _from_archspec()
    return [*found, *GENERAL]


def _from_archspec() -> list[str]:
    import archspec.cpu

    host = archspec.cpu.host()
    return [_ARCHSPEC[arch.name] for arch in (host, *host.ancestors) if arch.name in _ARCHSPEC]


def build(name: str, cores: int | None, machine: Machine) -> Target:
    """The target `name`; for a machine that can run it, with that machine's core count and caches."""
    cpu = _BY_NAME[name]
    wide = "avx512f" in cpu.features
    hardware = Hardware(
        cores=cores or cpu.cores,
        vector_bits=512 if wide else 256 if "avx2" in cpu.features else 128,
        fma_bits=256 if name == "x86-znver4" else None,
        vector_registers=32 if wide else 16,
        l1d_bytes=cpu.l1d * KB,
        l2_bytes=cpu.l2 * KB,
        l3_bytes=cpu.l3 * KB,
        fp16_arithmetic="avx512_fp16" in cpu.features,
    )
    if _missing(REQUIRES[name], machine) is None:
        hardware = hardware_of(machine, hardware, cores)
    return Target(
        name=name,
        family="x86",
        description=cpu.description,
        options={"kind": "llvm", "mcpu": cpu.mcpu, "mtriple": TRIPLE, "num-cores": hardware.cores},
        requires=REQUIRES[name],
        hardware=hardware,
        needs=f"an x86 CPU with {_telling(cpu.features)}",
    )


def why_not_run(target: Target, machine: Machine) -> str | None:
    """None, or which feature the machine's CPU lacks."""
    return _missing(target.requires, machine)


def why_not_compile(target: Target) -> str | None:
    """None, or what is missing to link a library for x86-64 Linux here."""
    return toolchain.why_no_linker(TRIPLE)


def device(target: Target, machine: Machine) -> str:
    """The machine's CPU."""
    from targets.detect import cpu_name

    return cpu_name(machine.cpu)


def _missing(requires: frozenset[str], machine: Machine) -> str | None:
    info = machine.cpu
    if info.machine != "x86_64":
        return f"{machine.name} is {info.machine}, not x86_64"
    lacks = sorted(requires - info.flags, key=lambda flag: (_ORDER.index(flag) if flag in _ORDER else 999, flag))
    if not lacks:
        return None
    more = f" and {len(lacks) - 6} more" if len(lacks) > 6 else ""
    return f"{machine.name}'s CPU ({info.name or 'unnamed'}) has no {', '.join(lacks[:6])}{more}"


def _telling(features: tuple[str, ...]) -> str:
    """The features that set a CPU apart, so that `needs` stays a line."""
    for general, head in ((_AVX512, ("avx512f",)), (_AVX2, ("avx2", "fma")), (_SSE42, ("sse4_2",))):
        if set(general) <= set(features):
            rest = [feature for feature in features if feature not in general]
            return ", ".join([*head, *(["..."] if len(rest) > 4 else []), *rest[-4:]])
    return "sse2"


FAMILY = register(Family("x86", tuple(_BY_NAME), build, why_not_run, why_not_compile, device))
