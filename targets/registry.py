"""The table of all targets. A family is one file that registers itself here: see x86.py."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from targets.machine import Machine, this_machine
from targets.target import Target, TargetError

# One module a family, in the order in which `edgetune targets` lists them.
FAMILIES = ("x86", "arm", "cuda", "jetson")


@dataclass(frozen=True)
class Family:
    """What the rest of the code asks of a family of targets.

    `names` lists its targets; `build(name, cores, machine)` makes one, for `cores` cores or, with None, for as many as
    the machine (where it can run the target) or the typical device has. `why_not_run(target, machine)` and
    `why_not_compile(target)` give the one line that says what is missing, or None; compiling is this machine's
    business. `device(target, machine)` names the hardware of the machine that the target runs on.
    """

    name: str
    names: tuple[str, ...]
    build: Callable[[str, int | None, Machine], Target]
    why_not_run: Callable[[Target, Machine], str | None]
    why_not_compile: Callable[[Target], str | None]
    device: Callable[[Target, Machine], str]


_families: dict[str, Family] = {}


def register(family: Family) -> Family:
    """Add a family of targets. Raises ValueError where one of its names is taken."""
    taken = {name for other in _families.values() if other.name != family.name for name in other.names}
    clash = sorted(taken.intersection(family.names))
    if clash:
        raise ValueError(f"target names registered twice: {', '.join(clash)}")
    _families[family.name] = family
    return family


@lru_cache(maxsize=1)
def families() -> tuple[Family, ...]:
    """All families, in the order of `FAMILIES`."""
    for name in FAMILIES:
        importlib.import_module(f"targets.{name}")
    # Not in the order of registration, which depends on who imported what first.
    return tuple(_families[name] for name in FAMILIES)


def family_of(target: Target) -> Family:
    """The family that a target belongs to."""
    return next(family for family in families() if family.name == target.family)


def names() -> list[str]:
    """The names of all targets, `native` first."""
    return ["native", *(name for family in families() for name in family.names)]


def get(name: str, cores: int | None = None, machine: Machine | None = None) -> Target:
    """The target called `name`, for `cores` cores (default: the machine's, or the typical device's).

    The machine is this one unless another is given. `native` gives the most specific target that its CPU can execute,
    under that target's own name.
    Raises TargetError, with the names that come closest, when there is none.
    """
    if cores is not None and cores < 1:
        raise TargetError(f"{cores} is no number of cores; give 1 or more")
    machine = machine if machine is not None else this_machine()
    if name == "native":
        from targets.detect import name_for

        name = name_for(machine.cpu)
    for family in families():
        if name in family.names:
            return family.build(name, cores, machine)
    raise TargetError(f"no target is called {name!r}; {_hint(name, names())}")


def _hint(name: str, known: Iterable[str]) -> str:
    known = list(known)
    wanted = name.lower().replace("_", "-")
    close = [other for other in known if wanted and wanted in other]
    close += [other for other in difflib.get_close_matches(wanted, known, n=4, cutoff=0.5) if other not in close]
    if close:
        return f"did you mean {' or '.join(close[:4])}? `edgetune targets` lists all"
    return "`edgetune targets` lists all"
