"""What makes two devices interchangeable for tuning."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from dataclasses import dataclass

from targets import registry
from targets.machine import Machine, this_machine
from targets.target import Target

GENERIC = "generic"


@dataclass(frozen=True)
class Fingerprint:
    """Two devices with equal fingerprints may use each other's records.

    `options` is the target's configuration as canonical JSON (for a GPU, without its host: kernels do not depend on
    it). `device` is the CPU's model or the GPU's name; `generic` where the target is not the machine at hand. `cores`
    counts CPU cores or a GPU's multiprocessors.
    """

    target: str
    options: str
    device: str
    cores: int
    tvm_version: str

    @property
    def id(self) -> str:
        """A readable name, safe as a folder's too: target, device, cores, TVM version, and a short hash of all."""
        content = json.dumps([self.options, self.device, self.cores, self.tvm_version])
        digest = hashlib.sha256(content.encode()).hexdigest()[:8]
        words = [self.target, self.device, f"{self.cores}c", f"tvm{self.tvm_version}", digest]
        return "-".join(_slug(word) for word in words)

    def __str__(self) -> str:
        return self.id


def tvm_version() -> str:
    """The version of the installed TVM, read from its package's metadata: nothing is imported."""
    return importlib.metadata.version("apache-tvm")


def fingerprint(target: Target, device: str | None = None, machine: Machine | None = None) -> Fingerprint:
    """The fingerprint of `target` on this machine, on another one, or on the device called `device`.

    Without `device`, a target that the machine cannot run gets the device `generic`.
    """
    if device is None:
        machine = machine if machine is not None else this_machine()
        family = registry.family_of(target)
        device = family.device(target, machine) if family.why_not_run(target, machine) is None else GENERIC
    return Fingerprint(
        target=target.name,
        options=json.dumps(dict(target.options), sort_keys=True, separators=(",", ":")),
        device=device,
        cores=target.hardware.cores,
        tvm_version=tvm_version(),
    )


def device_name(target: Target | None = None, machine: Machine | None = None) -> str:
    """A machine (default: this one) as a result names it: the CPU's model, or for a GPU target, the GPU's."""
    machine = machine if machine is not None else this_machine()
    if target is None:
        from targets.detect import cpu_name

        return cpu_name(machine.cpu)
    return registry.family_of(target).device(target, machine)


def _slug(text: str) -> str:
    cleaned = re.sub(r"\((R|TM|r|tm)\)|@\s*[\d.]+\s*[GMgm][Hh]z|\bCPU\b|\bProcessor\b", " ", text)
    return re.sub(r"[^a-z0-9._]+", "-", cleaned.lower()).strip("-.") or "unknown"
