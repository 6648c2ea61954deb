"""What the front end knows of a model: the graph that ONNX Runtime runs as the truth, and the cleaned one that is
compiled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from compiler.tensors import TensorSpec

if TYPE_CHECKING:
    import onnx


@dataclass
class Model:
    """A loaded model with static shapes.

    `source` is an absolute path or a built-in name; `sha256` is the hash of the file, or of the seeded built-in's
    graph and weights. `batch` is the leading dimension of the inputs that carry the batch (None when no input has
    one), `shapes` maps every input to its shape. `reference` has batch and shapes fixed, computes in float32 where
    the file said float16, and is otherwise what was loaded. `seed` is None for files.
    """

    name: str
    source: str
    sha256: str
    batch: int | None
    shapes: dict[str, tuple[int, ...]]
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    reference: onnx.ModelProto = field(repr=False)
    opset: int = 0
    seed: int | None = None

    @cached_property
    def cleaned(self) -> onnx.ModelProto:
        """The graph that the importer takes: BatchNorm folded, inference no-ops gone (made at first use, then kept)."""
        from compiler.frontend.clean import clean

        return clean(self.reference, self.name, trusted=self.seed is not None)
