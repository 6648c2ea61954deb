"""Targets: what hardware there is, what this machine is, and what makes two devices interchangeable.

get("native")                 the target that this machine's CPU is
names()                       all targets
why_not_run(target)           None, or the line that says what this machine lacks to execute it
why_not_compile(target)       None, or the line that says what is missing to build for it
fingerprint(target).id        the key under which records are kept
"""

from __future__ import annotations

from targets.fingerprint import GENERIC, Fingerprint, device_name, fingerprint, tvm_version
from targets.machine import Machine, this_machine
from targets.registry import families, family_of, get, names
from targets.target import Hardware, Target, TargetError

__all__ = [
    "GENERIC",
    "Fingerprint",
    "Hardware",
    "Machine",
    "Target",
    "TargetError",
    "device_name",
    "families",
    "family_of",
    "fingerprint",
    "get",
    "names",
    "this_machine",
    "tvm_version",
    "why_not_compile",
    "why_not_run",
]


def why_not_run(target: Target, machine: Machine | None = None) -> str | None:
    """None where the machine (default: this one) can execute code for `target`, else one line that names what is
    missing."""
    return family_of(target).why_not_run(target, machine if machine is not None else this_machine())


def why_not_compile(target: Target) -> str | None:
    """None where this machine can build a package for `target`, else one line that names what is missing."""
    return family_of(target).why_not_compile(target)
