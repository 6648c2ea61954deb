"""What the inner loops of compiled kernels consist of, read from the assembly text that LLVM prints.

assembly = Assembly(text, "x86")        every function of a module; the other instruction set is "arm" (AArch64)
loop = assembly.hot_loops(kernel)[0]    the innermost loops of a kernel with the most multiply-adds
faults(loop, hardware, fma=True)        what keeps it from the peak of the hardware

Nothing is executed, so code for any CPU can be read on any other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from compiler.bench.instructions import INSTRUCTION_SETS, MEMORY, X86, Arm, Instruction, Step
from schedules.cpu.tiles import FMA_LATENCY, FMA_PORTS, Hardware

ENTRY = "__tvm_ffi_"  # what TVM puts before the name of a kernel's entry


@dataclass(frozen=True)
class Loop:
    """An innermost loop. Counts are those of one pass through all of its instructions.

    `fused` multiply-adds are one instruction each, `apart` ones a multiplication and an addition. `carried` of them add
    to one of `accumulators` values that live from one iteration to the next. `units` counts multiply-adds by vector
    register, `bits` is the width of the narrowest such. `spills` and `reloads` are vectors written to and read from the
    stack, `stored` accumulators written anywhere else, `addresses` accesses of the stack by scalars, most of which are
    pointers that did not fit in registers.
    """

    function: str
    label: str
    instructions: int
    fused: int
    apart: int
    carried: int
    accumulators: int
    units: dict[str, int]
    bits: int
    spills: int
    reloads: int
    stored: int
    addresses: int

    @property
    def multiply_adds(self) -> int:
        return self.fused + self.apart


def faults(loop: Loop, hardware: Hardware, fma: bool = True) -> list[str]:
    """What keeps `loop` from the peak of `hardware`, a phrase each; none where nothing in it does.

    `fma` says whether the hardware has fused multiply-adds at all.
    """
    found = []
    if fma and loop.apart:
        found.append(f"{loop.apart} of {loop.multiply_adds} not fused")
    if loop.bits < hardware.vector_bits:
        found.append(f"vectors of {loop.bits} bits, not {hardware.vector_bits}")
    if loop.spills or loop.reloads:
        found.append(f"{loop.spills} spills, {loop.reloads} reloads")
    if loop.stored:
        found.append(f"{loop.stored} accumulators stored")
    # A unit takes a vector that is wider than itself in several cycles, in which the results of others become ready.
    cycles = max(1.0, loop.bits / (hardware.fma_bits or hardware.vector_bits))
    needed = FMA_LATENCY * FMA_PORTS / cycles
    if 0 < loop.accumulators < needed:
        found.append(f"bound by latency: {loop.accumulators} accumulators, not {needed:.0f}")
    return found


# ---- functions and loops

_OPERANDS = re.compile(r",(?![^(\[{]*[)\]}])")


@dataclass(frozen=True)
class _Block:
    """Instructions that are entered at the first only, and the numbers of the blocks that may come next."""

    label: str
    instructions: tuple[Instruction, ...]
    after: tuple[int, ...]


class Assembly:
    """The functions of a module's assembly text, for a family of targets of `INSTRUCTION_SETS`.

    Raises ValueError where the family is none of those, or the text has no functions.
    """

    def __init__(self, text: str, family: str) -> None:
        if family not in INSTRUCTION_SETS:
            raise ValueError(f"no instruction set is known for {family}: use {' or '.join(INSTRUCTION_SETS)}")
        self._set = INSTRUCTION_SETS[family]
        self._functions = _functions(text, self._set.comment)
        if not self._functions:
            raise ValueError("no functions in the assembly text")

    def functions(self, kernel: str) -> list[str]:
        """The functions that the kernel `kernel` consists of: its entry and all that is reached from there, such as the
        bodies of its parallel loops. Raises KeyError where there is no such kernel."""
        entry = ENTRY + kernel if ENTRY + kernel in self._functions else kernel
        reached = {entry: None}
        for name in _growing(reached):
            for word in re.findall(r"[\w.$]+", "\n".join(self._functions[name])):
                if word in self._functions:
                    reached.setdefault(word)
        return list(reached)

    def loops(self, kernel: str) -> list[Loop]:
        """The innermost loops of a kernel, in the order of the text. Raises KeyError as `functions` does."""
        found = []
        for name in self.functions(kernel):
            blocks = _blocks(self._functions[name], self._set)
            for header, body in _innermost(blocks):
                inside = [instruction for index in sorted(body) for instruction in blocks[index].instructions]
                found.append(_loop(name, blocks[header].label, inside))
        return found

    def hot_loops(self, kernel: str) -> list[Loop]:
        """The innermost loops of a kernel that add the most products to values that are kept from iteration to
        iteration, or with the most multiply-adds where no loop keeps any; none where no loop multiplies and adds."""
        loops = [loop for loop in self.loops(kernel) if loop.multiply_adds]
        most = max(((loop.carried, loop.multiply_adds) for loop in loops), default=None)
        return [loop for loop in loops if (loop.carried, loop.multiply_adds) == most]


def _growing(names: dict[str, None]) -> Iterable[str]:
    """The keys of `names`, those too that are added meanwhile."""
    done: set[str] = set()
    while left := [name for name in names if name not in done]:
        done.update(left)
        yield from left


def _functions(text: str, comment: str) -> dict[str, list[str]]:
    """The labels and instructions of each function."""
    found: dict[str, list[str]] = {}
    names = set(re.findall(r"^\s*\.type\s+([\w.$]+),\s*[@%]function", text, re.MULTILINE))
    inside: list[str] | None = None
    for raw in text.splitlines():
        line = raw.partition(comment)[0].strip()
        label = line.removesuffix(":")
        if label in names and label != line:
            inside = found[label] = []
        elif line.startswith(".size"):
            inside = None
        elif inside is not None and line and (line.endswith(":") or not line.startswith(".")):
            inside.append(line)
    return found


def _blocks(lines: Sequence[str], instruction_set: type[X86 | Arm]) -> list[_Block]:
    """The basic blocks of a function, the entry first."""
    reader = instruction_set(lines)
    parts: list[tuple[list[str], list[Instruction]]] = [([], [])]
    for line in lines:
        labels, instructions = parts[-1]
        ended = instructions and (instructions[-1].target is not None or not instructions[-1].falls)
        if ended or (line.endswith(":") and instructions):
            labels, instructions = [], []
            parts.append((labels, instructions))
        if line.endswith(":"):
            labels.append(line.removesuffix(":"))
            continue
        name, _, rest = line.partition("\t") if "\t" in line else line.partition(" ")
        operands = [operand.strip() for operand in _OPERANDS.split(rest)] if rest else []
        instructions.append(reader.read(name, operands))
    numbers = {label: number for number, (labels, _) in enumerate(parts) for label in labels}
    blocks = []
    for number, (labels, instructions) in enumerate(parts):
        last = instructions[-1] if instructions else Instruction()
        after = [numbers[last.target]] if last.target in numbers else []
        if last.falls and number + 1 < len(parts):
            after.append(number + 1)
        blocks.append(_Block(labels[-1] if labels else "", tuple(instructions), tuple(after)))
    return blocks


def _innermost(blocks: Sequence[_Block]) -> list[tuple[int, set[int]]]:
    """(header, body) of each natural loop with no other inside, the header's number being part of the body.

    See Aho, Lam, Sethi and Ullman, "Compilers" (2006), section 9.6. A backward branch alone would not do: LLVM moves
    rare blocks of a loop behind it.
    """
    before: list[list[int]] = [[] for _ in blocks]
    for number, block in enumerate(blocks):
        for after in block.after:
            before[after].append(number)
    dominators = [{0}, *(set(range(len(blocks))) for _ in blocks[1:])]
    changed = True
    while changed:
        changed = False
        for number in range(1, len(blocks)):
            shared = set.intersection(*(dominators[b] for b in before[number])) if before[number] else set()
            if (new := shared | {number}) != dominators[number]:
                dominators[number], changed = new, True
    loops: dict[int, set[int]] = {}
    for number, block in enumerate(blocks):
        for header in block.after:
            if header in dominators[number]:
                body, left = loops.setdefault(header, {header}), [number]
                while left:
                    if (inside := left.pop()) not in body:
                        body.add(inside)
                        left.extend(before[inside])
    return [(h, body) for h, body in loops.items() if not any(other != h and other in body for other in loops)]


# ---- what a loop does


@dataclass(frozen=True)
class _Value:
    """What a place holds: what the place `origin` held before the iteration (None: something new), with the
    multiply-adds `updates` done to it, or a product."""

    origin: str | None
    updates: tuple[Step, ...] = ()
    product: bool = False


_NEW = _Value(None)


def _loop(function: str, label: str, instructions: Sequence[Instruction]) -> Loop:
    held: dict[str, _Value] = {}
    done: list[Step] = []
    stored: list[_Value] = []
    for step in (step for instruction in instructions for step in instruction.steps):
        of = [held.get(place, _Value(place)) for place in step.of]
        value = _result(step, of)
        if value.updates and (step.action == "fma" or (step.action == "add" and value.updates[-1] is step)):
            done.append(step)
        if step.to.startswith(MEMORY) and value.updates:
            stored.append(value)
        held[step.to] = value
    carried = {place: value for place, value in held.items() if value.updates and value.origin == place}
    units = Counter(step.unit for step in done)
    fused = sum(step.action == "fma" for step in done)
    return Loop(
        function=function,
        label=label,
        instructions=len(instructions),
        fused=fused,
        apart=len(done) - fused,
        carried=sum(len(value.updates) for value in carried.values()),
        accumulators=len(carried),
        units=dict(units.most_common()),
        bits=min((step.bits for step in done), default=0),
        spills=sum(instruction.writes for instruction in instructions),
        reloads=sum(instruction.reads for instruction in instructions),
        stored=sum(value.origin in carried for value in stored),
        addresses=sum(instruction.addresses for instruction in instructions),
    )


def _result(step: Step, of: Sequence[_Value]) -> _Value:
    """What `step` leaves where it writes to, from the values `of` its places."""
    if step.action == "fma":
        return _Value(of[0].origin, (*of[0].updates, step))
    if step.action == "multiply":
        return _Value(None, product=True)
    if step.action == "move":
        return of[0]
    if step.action == "add":
        products = [value for value in of if value.product]
        if len(products) == 1:
            [kept] = [value for value in of if not value.product]
            return _Value(kept.origin, (*kept.updates, step))
        if products:
            return _Value(None, (step,))
    return _NEW
