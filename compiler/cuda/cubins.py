"""What the machine code in a library says of itself: cubins are ELF files that lie as data in the library of a package.

NVIDIA does not document the sections of a cubin; this reads those that every CUDA since 4 has written alike, and is
held to what `ptxas -v` says by the tests.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MAGIC = re.compile(rb"\x7fELF\x02\x01")
_EM_CUDA = 190
_SHT_SYMTAB, _SHT_NOBITS = 2, 8
_NEW_ABI = 8  # from which on the flags hold the architecture one byte further up

# Attributes of `.nv.info`; the value of one with this form is a counted string, of the others in the head itself.
_SIZED = 4
_MAX_THREADS, _FRAME_SIZE, _REGISTERS = 0x05, 0x11, 0x2F
_INFO = ".nv.info"


@dataclass(frozen=True)
class KernelCode:
    """One kernel of a cubin.

    32-bit registers of a thread, bytes of static shared memory of a block, bytes of stack of a thread (arrays that
    registers cannot hold, and spilled registers), and the most threads of a block; None where the code does not say.
    """

    name: str
    registers: int
    shared_bytes: int
    stack_bytes: int
    max_threads: int | None


@dataclass(frozen=True)
class Cubin:
    """Machine code for one architecture (`sm_87`)."""

    arch: str
    kernels: tuple[KernelCode, ...]


@dataclass(frozen=True)
class _Section:
    name: str
    kind: int
    offset: int
    size: int
    link: int


def cubins(data: bytes) -> list[Cubin]:
    """The cubins in `data`, a library or a cubin by itself. What only looks like one is passed over."""
    found = []
    for match in _MAGIC.finditer(data):
        image = memoryview(data)[match.start() :]
        try:
            if struct.unpack_from("<H", image, 18)[0] == _EM_CUDA:
                found.append(_read(image))
        except (struct.error, IndexError, ValueError):
            continue
    return found


def _read(image: memoryview) -> Cubin:
    section_headers, flags = struct.unpack_from("<QI", image, 40)
    entry_size, count, names_at = struct.unpack_from("<HHH", image, 58)
    number = (flags >> 8 if image[8] >= _NEW_ABI else flags) & 0xFF
    headers = [struct.unpack_from("<IIQQQQII", image, section_headers + entry_size * i) for i in range(count)]
    names = headers[names_at][4]
    sections = [_Section(_text(image, names + h[0]), h[1], h[4], h[5], h[6]) for h in headers]
    symbols = _symbols(image, sections)
    registers: dict[str, int] = {}
    stack: dict[str, int] = {}
    threads: dict[str, int] = {}
    shared: dict[str, int] = {}
    for section in sections:
        if section.name == _INFO:
            for attribute, value in _attributes(image, section):
                if attribute in (_REGISTERS, _FRAME_SIZE):
                    symbol, size = struct.unpack("<II", value)
                    (registers if attribute == _REGISTERS else stack)[symbols[symbol]] = size
        elif section.name.startswith(f"{_INFO}."):
            for attribute, value in _attributes(image, section):
                if attribute == _MAX_THREADS:
                    x, y, z = struct.unpack("<III", value)
                    threads[section.name.removeprefix(f"{_INFO}.")] = x * y * z
        elif section.name.startswith(".nv.shared.") and section.kind == _SHT_NOBITS:
            shared[section.name.removeprefix(".nv.shared.")] = section.size
    kernels = [s.name.removeprefix(".text.") for s in sections if s.name.startswith(".text.")]
    return Cubin(
        f"sm_{number}",
        tuple(
            KernelCode(k, registers.get(k, 0), shared.get(k, 0), stack.get(k, 0), threads.get(k))
            for k in sorted(kernels)
        ),
    )


def _symbols(image: memoryview, sections: list[_Section]) -> list[str]:
    [table] = [s for s in sections if s.kind == _SHT_SYMTAB]
    strings = sections[table.link].offset
    offsets = range(table.offset, table.offset + table.size, 24)
    return [_text(image, strings + struct.unpack_from("<I", image, offset)[0]) for offset in offsets]


def _attributes(image: memoryview, section: _Section) -> Iterator[tuple[int, bytes]]:
    at, end = section.offset, section.offset + section.size
    while at + 4 <= end:
        form, attribute, size = struct.unpack_from("<BBH", image, at)
        at += 4
        if form == _SIZED:
            yield attribute, bytes(image[at : at + size])
            at += size


def _text(image: memoryview, at: int) -> str:
    end = at
    while image[end]:
        end += 1
    return bytes(image[at:end]).decode("ascii", errors="replace")
