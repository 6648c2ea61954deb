"""Instructions in the assembly text that LLVM prints, and what each does to vector registers and memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """What an instruction does to the place `to`, a vector register or memory: `fma` adds a product to what is in
    `of[0]`, `add` adds up two places, `move` copies one, `multiply` makes a product, `other` is anything else."""

    action: str
    to: str
    of: tuple[str, ...] = ()
    unit: str = ""
    bits: int = 0


@dataclass(frozen=True)
class Instruction:
    """One line. Jumps to the label `target` where there is one, goes on to the next line if it `falls`.

    `reads` and `writes` count vectors that come from and go to the stack, `addresses` scalars that do either.
    """

    steps: tuple[Step, ...] = ()
    target: str | None = None
    falls: bool = True
    reads: int = 0
    writes: int = 0
    addresses: int = 0


STACK = "stack "
MEMORY = "memory "
_ADDEND = {"231": 2, "213": 0, "132": 1}  # which operand of a fused multiply-add is added to, by the form's digits
_X86_BITS = {"x": 128, "y": 256, "z": 512}
_X86_SCALARS = {"ss": 32, "sd": 64, "sh": 16}
_ARM_BITS = {"q": 128, "d": 64, "s": 32, "h": 16, "b": 8}


class X86:
    """AT&T syntax, the destination last."""

    comment = "#"
    _fma = re.compile(r"vfn?m(?:add|sub|addsub|subadd)(132|213|231)([ps][sdh])")
    _arithmetic = re.compile(r"v?(mul|add|sub)([ps][sdh])")
    _move = re.compile(r"v?mov(?:[au]p[sd]|dq[au]\d*|s[sd]|ntp[sd])")

    def __init__(self, lines: Iterable[str]) -> None:
        self.stack = {"%rsp"}
        for line in lines:
            # Either can also be an ordinary register; it is the frame's where the stack pointer was copied to it.
            if copied := re.fullmatch(r"movq\s+%rsp, (%r[b]p|%rbx)", line):
                self.stack.add(copied[1])

    def read(self, name: str, operands: Sequence[str]) -> Instruction:
        if name.startswith("j"):
            return Instruction(target=operands[0], falls=name != "jmp")
        if name.startswith(("ret", "ud2")):
            return Instruction(falls=False)
        operands = [re.sub(r"\s*\{[^}]*\}", "", operand) for operand in operands]
        places = [self._place(operand) for operand in operands]
        on_stack = [place is not None and place.startswith(STACK) for place in places]
        if not any(operand.startswith(("%xmm", "%ymm", "%zmm")) for operand in operands):
            return Instruction(addresses=0 if name.startswith("lea") else sum(on_stack))
        *_, to = places
        step = None if to is None else self._step(name, operands, places, to)
        return Instruction(
            steps=() if step is None else (step,), reads=sum(on_stack[:-1]), writes=int(bool(on_stack[-1]))
        )

    def _place(self, operand: str) -> str | None:
        if register := re.fullmatch(r"%[xyz]mm(\d+)", operand):
            return f"v{register[1]}"
        if base := re.search(r"\(([^,)]*)", operand):
            return (STACK if base[1] in self.stack else MEMORY) + operand
        return None

    def _step(self, name: str, operands: Sequence[str], places: Sequence[str | None], to: str) -> Step:
        known = [place or "" for place in places]
        if fma := self._fma.fullmatch(name):
            return Step("fma", to, (known[_ADDEND[fma[1]]],), *self._unit(fma[2], operands[-1]))
        if arithmetic := self._arithmetic.fullmatch(name):
            unit, bits = self._unit(arithmetic[2], operands[-1])
            if arithmetic[1] == "mul":
                return Step("multiply", to, (), unit, bits)
            # SSE has two operands, and adds to the second.
            return Step("add", to, (known[0], known[1]), unit, bits)
        if self._move.fullmatch(name) and len(places) == 2:
            return Step("move", to, (known[0],))
        return Step("other", to)

    def _unit(self, kind: str, register: str) -> tuple[str, int]:
        return ("scalar", _X86_SCALARS[kind]) if kind in _X86_SCALARS else (register[1:4], _X86_BITS[register[1]])


class Arm:
    """AArch64 as LLVM prints it for Linux, the destination first."""

    comment = "//"
    _register = re.compile(r"([vqdshb])(\d+)(?:\.(\d*)([bhsd]))?(?:\[\d+\])?")
    _fused = re.compile(r"fml[as]l?2?")
    _fused_scalar = re.compile(r"fn?m(?:add|sub)")

    def __init__(self, lines: Iterable[str]) -> None:
        self.stack = {"sp"}
        if any(re.fullmatch(r"(?:mov|add)\s+x29, sp(?:, .*)?", line) for line in lines):
            self.stack.add("x29")

    def read(self, name: str, operands: Sequence[str]) -> Instruction:
        if name == "b" or name.startswith("b.") or name in ("cbz", "cbnz", "tbz", "tbnz"):
            return Instruction(target=operands[-1], falls=name != "b")
        if name in ("ret", "br", "brk"):
            return Instruction(falls=False)
        at = next((index for index, operand in enumerate(operands) if operand.startswith("[")), None)
        vectors = [self._vectors(operand) for operand in operands]
        if at is not None:
            return self._access(name, [register for some in vectors[:at] for register in some], operands[at])
        if not vectors or not vectors[0]:
            return Instruction()
        return Instruction(steps=(self._step(name, operands, [some[0] if some else "" for some in vectors]),))

    def _vectors(self, operand: str) -> list[str]:
        inside = [part.strip() for part in operand.strip("{} ").split(",")]
        return [part for part in inside if self._register.fullmatch(part)]

    def _name(self, register: str) -> str:
        found = self._register.fullmatch(register)
        return f"v{found[2]}" if found else ""

    def _access(self, name: str, registers: Sequence[str], memory: str) -> Instruction:
        """A load or store of `registers`, one after the other in memory."""
        plain = re.fullmatch(r"\[(\w+)(?:, #(-?\d+))?\]!?", memory)
        base = re.split(r"[\s,\]]", memory[1:])[0]
        stack = base in self.stack
        if not registers:
            return Instruction(addresses=int(stack))
        places, offset = [], int(plain[2] or 0) if plain else 0
        for register in registers:
            places.append((STACK if stack else MEMORY) + (f"{base}+{offset}" if plain else memory))
            offset += _ARM_BITS.get(register[0], 128) // 8
        if name.startswith("st"):
            steps = [Step("move", place, (self._name(r),)) for place, r in zip(places, registers, strict=True)]
            return Instruction(tuple(steps), writes=len(steps) if stack else 0)
        copies = name.startswith("ld") and not re.match(r"ld\d", name)  # LD1 and its like broadcast or interleave
        steps = [
            Step("move" if copies else "other", self._name(register), (place,))
            for place, register in zip(places, registers, strict=True)
        ]
        return Instruction(tuple(steps), reads=len(steps) if stack else 0)

    def _step(self, name: str, operands: Sequence[str], registers: Sequence[str]) -> Step:
        to, *others = [self._name(register) for register in registers]
        unit = self._unit(registers[0])
        if self._fused.fullmatch(name):
            return Step("fma", to, (to,), *unit)
        if self._fused_scalar.fullmatch(name):
            return Step("fma", to, (others[2],), *unit)
        if name in ("fmul", "fnmul", "fmulx"):
            return Step("multiply", to, (), *unit)
        if name in ("fadd", "fsub"):
            return Step("add", to, (others[0], others[1]), *unit)
        # A part of a vector, `mov v0.s[1], w8`, is no copy of another.
        if name in ("mov", "fmov") and others[0] and "[" not in "".join(operands):
            return Step("move", to, (others[0],))
        return Step("other", to)

    def _unit(self, register: str) -> tuple[str, int]:
        found = self._register.fullmatch(register)
        if found is None or found[4] is None:
            return "scalar", _ARM_BITS[register[0]]
        return f"v.{found[3]}{found[4]}", int(found[3] or 1) * _ARM_BITS[found[4]]


INSTRUCTION_SETS: dict[str, type[X86 | Arm]] = {"x86": X86, "arm": Arm}
"""By family of targets."""
