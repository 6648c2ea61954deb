"""Old models: converted to a newer opset with the onnx package.

ONNX Runtime, and so every verification, starts at opset 7; TVM's importer reads some operators in their newer form
only.
"""

from __future__ import annotations

import onnx

from compiler.errors import EdgetuneError
from compiler.frontend.graphs import skeleton
from compiler.frontend.operators import opset_of
from compiler.frontend.quiet import one_line, quiet

OLDEST_OPSET = 7
CONVERTED_OPSET = 13


def upgrade(model: onnx.ModelProto, where: str, oldest: int = OLDEST_OPSET) -> None:
    """Converts a model of an opset before `oldest`, in place. Raises EdgetuneError where that fails.

    Requires: the graph has been checked. Ensures: opset `oldest` or newer, the same inputs, outputs and weights.
    """
    opset = opset_of(model)
    if opset >= oldest:
        return
    bare = skeleton(model)
    listed = {value.name for value in model.graph.input}
    try:
        with quiet():
            converted = onnx.version_converter.convert_version(bare, CONVERTED_OPSET)
    except Exception as error:
        raise EdgetuneError(
            f"{where}: converting opset {opset} to {CONVERTED_OPSET} fails ({one_line(error, 120)}); "
            "export the model with a newer opset"
        ) from error
    weights = {value.name for value in bare.graph.input} - listed
    kept = [tensor for tensor in model.graph.initializer if tensor.name in weights]
    graph = onnx.GraphProto()
    graph.CopyFrom(converted.graph)
    del graph.input[:]
    graph.input.extend(value for value in converted.graph.input if value.name in listed)
    graph.initializer.extend(kept)
    model.graph.CopyFrom(graph)
    del model.opset_import[:]
    model.opset_import.extend(converted.opset_import)
