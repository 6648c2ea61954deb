"""How similar two kernels are: by kind and sizes, read from their IR as data. TVM is not asked, and nothing is built.

The measure is a distance in halvings and doublings. Two kernels can be compared if they are of one kind (an entry of
`AXES`, with which the block that does the work is annotated for `schedules/cpu`) and of one transform, where they have
one. Then it is the sum over the axes of

    weight * |log2(size here / size there)|

and `STORAGE` more where the weights of one are stored in fewer bits. So a convolution of half the channels is at a
distance of 1, one of another batch size close by, and a 1x1 from a 3x3 far away (6.3): 0 is the same sizes, whatever is
computed before and behind. What is more than `FAR` away says nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import msgspec

FAR = 8.0
STORAGE = 1.0
WEIGHTS = {
    "batch": 0.25,
    "picture": 1.0,
    "channels": 1.0,
    "groups": 0.5,
    "reduced": 0.5,
    "window": 2.0,
    "transform": math.inf,  # the same, or not to be compared
}
"""What a doubling of an axis counts. A tile is chosen by what it divides and by what stays in caches: both follow the
picture and the channels; the batch is one more loop around them."""
AXES = {
    "conv2d": ("batch", "picture", "picture", "channels", "window", "window", "reduced"),
    "conv2d_half": ("batch", "picture", "picture", "channels", "window", "window", "reduced"),
    "grouped": ("batch", "picture", "picture", "groups", "channels", "window", "window", "reduced"),
    "winograd": ("transform", "transform", "picture", "channels", "reduced"),
    "dense": ("picture", "channels", "reduced"),
    "window": ("batch", "picture", "picture", "channels", "window", "window"),
}
"""The axes of the block that does the work, in its order, by the kind of kernel; other kinds have nothing to choose."""

MAX_IR_BYTES = 4 << 20  # of a kernel's JSON; those of networks have 30 to 200 KB
_KIND = "edgetune.kernel"
_WIDEN = "widen"


@dataclass(frozen=True)
class Kernel:
    """Kind and sizes of a kernel. `extents` are in elements, along `AXES[kind]`; `narrow` is whether its weights are
    stored in fewer bits than it computes with."""

    kind: str
    extents: tuple[int, ...]
    narrow: bool = False

    def distance(self, other: Kernel) -> float | None:
        """How far `other` is: see above. None where the two cannot be compared, or it is more than `FAR`."""
        if self.kind != other.kind:
            return None
        total = STORAGE * (self.narrow != other.narrow)
        for axis, here, there in zip(AXES[self.kind], self.extents, other.extents, strict=True):
            if here != there:
                total += WEIGHTS[axis] * abs(math.log2(here / there))
        return total if total <= FAR else None


def read_kernel(ir: str) -> Kernel | None:
    """Kind and sizes of the kernel whose IR is `ir`, TVM's JSON of {"main": PrimFunc}, which anybody may have written.

    None for what is of no kind with something to choose, or not of that form.
    """
    if len(ir) > MAX_IR_BYTES:
        return None
    try:
        nodes = msgspec.json.decode(ir)["nodes"]
        blocks = [node["data"] for node in nodes if node["type"] == "s_tir.SBlock"]
        kinds = [_annotations(nodes, block).get(_KIND, "") for block in blocks]
        [(kind, block)] = [(kind, block) for kind, block in zip(kinds, blocks, strict=True) if kind in AXES]
        extents = tuple(_extent(nodes, axis) for axis in nodes[block["iter_vars"]]["data"])
    except (msgspec.MsgspecError, RecursionError, KeyError, IndexError, TypeError, ValueError, UnicodeError):
        return None
    if len(extents) != len(AXES[kind]) or min(extents) < 1:
        return None
    return Kernel(kind, extents, _WIDEN in kinds)


def _annotations(nodes: list[Any], block: dict[str, Any]) -> dict[str, str]:
    """Those of a block's annotations whose values are text."""
    flat = nodes[block["annotations"]]["data"]
    pairs = [(nodes[key]["data"], nodes[value]["data"]) for key, value in zip(flat[::2], flat[1::2], strict=True)]
    return {key: value for key, value in pairs if isinstance(value, str)}


def _extent(nodes: list[Any], axis: int) -> int:
    domain = nodes[nodes[axis]["data"]["dom"]]["data"]
    value = nodes[nodes[domain["extent"]]["data"]["value"]]["data"]
    if type(value) is not int:
        raise ValueError("a size that is no number")
    return value
