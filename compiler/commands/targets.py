"""`edgetune targets`: what hardware there is, and what this machine is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import targets
from compiler.commands.hardware import find_target
from compiler.report import format as fmt
from compiler.report.output import Output
from targets import cpuinfo
from targets.gpu import gpu


def list_targets(output: Output) -> None:
    """All targets: what each is, and what this machine can do with it."""
    native = _native_name()
    described = [targets.get(name) for name in targets.names() if name != "native"]
    rows = []
    for target in described:
        mark = f"{target.name} (native)" if target.name == native else target.name
        rows.append((mark, target.description, _ability(target), target.needs))
    output.table(("target", "hardware", "here", "needs"), rows, spare=("needs",))
    output.say("`edgetune targets NAME` shows one of them, what it needs, and what this machine lacks for it")
    output.json(_json(target) for target in described)


def show_target(name: str, output: Output) -> None:
    """One target in full. Raises UsageError for an unknown name."""
    target = find_target(name)
    hardware = target.hardware
    facts: dict[str, object] = {
        "hardware": target.description,
        "needs": target.needs,
        "runs here": targets.why_not_run(target) or "yes",
        "compiles here": targets.why_not_compile(target) or "yes",
        "fingerprint": targets.fingerprint(target).id,
        "cores": hardware.cores if hardware.sm_count is None else None,
        "multiprocessors": hardware.sm_count,
        "vectors": _vectors(hardware),
        "caches": _caches(hardware),
        "FP16 arithmetic": "yes" if hardware.fp16_arithmetic else "no",
        "shared memory per block": fmt.size(hardware.shared_bytes_per_block),
        "memory": f"{hardware.memory_gb_s:g} GB/s" if hardware.memory_gb_s else None,
        "TVM target": _options(dict(target.options)),
        "TVM host": _options(dict(target.host)) if target.host else None,
        "CPU features": " ".join(sorted(target.requires)) or None,
    }
    output.facts(facts, title=target.name)
    output.json([_json(target)])


def detect(output: Output) -> None:
    """What this machine is."""
    info, here = cpuinfo.cpu_info(), gpu()
    target = find_target("native")
    quota = cpuinfo.cpu_quota()
    facts: dict[str, object] = {
        "CPU": targets.device_name(),
        "cores": f"{cpuinfo.usable_cores()} that this process may use, of {len(cpuinfo.usable_cpus())} logical CPUs",
        "CPU quota": f"{quota:g} CPUs" if quota is not None else None,
        "caches": _caches(target.hardware),
        "vectors": _vectors(target.hardware),
        "GPU": f"{here.name} ({here.arch}, {here.sm_count} multiprocessors)" if here else "none",
        "native target": target.name,
        "fingerprint": targets.fingerprint(target).id,
        "TVM target": _options(dict(target.options)),
        "TVM": targets.tvm_version(),
    }
    output.facts(facts, title=f"This machine ({info.machine})")
    output.json([_json(target)])


def _native_name() -> str | None:
    try:
        return targets.get("native").name
    except targets.TargetError:
        return None


def _ability(target: targets.Target) -> str:
    runs, compiles = targets.why_not_run(target) is None, targets.why_not_compile(target) is None
    if runs and compiles:
        return "runs"
    if compiles:
        return "compiles"
    return "no GPU" if target.name == "cuda" else "no extra [cuda]" if target.kind == "cuda" else "no linker"


def _vectors(hardware: targets.Hardware) -> str | None:
    if hardware.vector_bits is None:
        return None
    return f"{hardware.vector_registers} registers of {hardware.vector_bits} bits"


def _caches(hardware: targets.Hardware) -> str | None:
    known = {"L1d": hardware.l1d_bytes, "L2": hardware.l2_bytes, "L3": hardware.l3_bytes}
    return ", ".join(f"{name} {fmt.size(count)}" for name, count in known.items() if count) or None


def _options(options: dict[str, object]) -> str:
    import json

    return json.dumps(options)


def _json(target: targets.Target) -> dict[str, Any]:
    return {
        "name": target.name,
        "family": target.family,
        "description": target.description,
        "options": dict(target.options),
        "host": dict(target.host) if target.host else None,
        "requires": sorted(target.requires),
        "hardware": asdict(target.hardware),
        "needs": target.needs,
        "why_not_run": targets.why_not_run(target),
        "why_not_compile": targets.why_not_compile(target),
        "fingerprint": targets.fingerprint(target).id,
    }
