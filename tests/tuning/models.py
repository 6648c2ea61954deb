"""Small models to tune: their kernels take microseconds, so that tests measure the tuning and not the kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compiler.frontend import Model
from tests.graph.graphs import conv, graph, loaded, module, node, values, weight

SHAPE = (1, 8, 12, 12)


def convolutions(folder: Path) -> Model:
    """Three convolutions of two kinds, a pool and a dense layer."""
    nodes = [
        conv("a", "x", "t1"),
        node("Relu", ["t1"], ["t2"]),
        conv("b", "t2", "t3"),
        node("Relu", ["t3"], ["t4"]),
        node("Conv", ["t4", "c"], ["t5"]),
        node("MaxPool", ["t5"], ["t6"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["t6"], ["t7"]),
        node("MatMul", ["t7", "fc"], ["y"]),
    ]
    weights = {
        "a": weight(1, 8, 8, 3, 3),
        "b": weight(2, 8, 8, 3, 3),
        "c": weight(3, 16, 8, 1, 1),
        "fc": weight(4, 16 * 36, 10),
    }
    return module(folder, nodes, SHAPE, weights=weights)


def nothing_to_choose(folder: Path) -> Model:
    """Kernels with one schedule each, one of which never computes a number and one that wants positive ones."""
    nodes = [
        node("Abs", ["x"], ["t1"]),
        node("Sub", ["minus", "t1"], ["t2"]),
        node("Log", ["t2"], ["nan"]),
        node("ReduceMean", ["t1"], ["m"], axes=[1, 2, 3], keepdims=1),
        node("Sqrt", ["m"], ["root"]),
    ]
    proto = graph(nodes, [("x", SHAPE)], ["nan", "root"], {"minus": np.float32(-1.0)})
    return loaded(proto, folder)


__all__ = ["SHAPE", "convolutions", "nothing_to_choose", "values"]
