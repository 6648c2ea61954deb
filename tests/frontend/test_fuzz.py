"""Damaged models: bytes flipped, cut, inserted and spliced, attributes and shapes made absurd.

More than two thousand of them. One line each time, never a traceback, and nothing is written anywhere.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from compiler.errors import EdgetuneError
from compiler.frontend import import_model, load
from tests.frontend.graphs_for_tests import graph, node, values

SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
OPERATORS = ["Add", "Conv", "Resize", "Loop", "Gather", "Split", "Range", "Nope", ""]
ABSURD = [0, 1, -1, 2, 3, -2, 7, 65536, 2**31 - 1, -(2**31), 2**40, 2**63 - 1, -(2**63)]


def seeds() -> list[onnx.ModelProto]:
    weights = {"w": values(0, 4, 2, 3, 3), "v": values(1, 64, 3)}
    network = graph(
        [
            node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1], strides=[1, 1], group=1, auto_pad="NOTSET"),
            node("Relu", ["c"], ["r"]),
            node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=0),
            node("Reshape", ["p", "s"], ["f"]),
            node("Gemm", ["f", "v"], ["g"], alpha=1.0, transB=0),
            node("Softmax", ["g"], axis=1),
        ],
        [("x", (1, 2, 8, 8))],
        ["y"],
        {**weights, "s": np.array([1, 64], np.int64)},
    )
    shapes = graph(
        [
            node("Split", ["x"], ["a", "b"], axis=1),
            node("Concat", ["b", "a"], ["c"], axis=-1),
            node("Slice", ["c", "start", "end"], ["t"]),
            node("Pad", ["t", "pads"], ["q"], mode="constant"),
            node("Transpose", ["q"], ["r"], perm=[1, 0, 2]),
            node("ReduceMean", ["r"], ["m"], axes=[1]),
            node("Expand", ["m", "wide"]),
        ],
        [("x", ("N", 4, 2))],
        ["y"],
        {"start": np.array([0, 0, 1], np.int64), "end": np.array([9, 2, 3], np.int64),
         "pads": np.array([0, 1, 0, 0, 0, 1], np.int64), "wide": np.array([2, 5, 1], np.int64)},
    )  # fmt: skip
    return [network, shapes]


EVERYTHING = {"models", "models/fuzz.onnx", "here", "temporary"}
MODELS = seeds()
BYTES = [model.SerializeToString() for model in MODELS]


def survives(content: bytes, folder: Path) -> None:
    """Loading and importing gives a model or one line, and leaves no file behind: beside the model, where the command
    was given or among the temporary ones.
    """
    path = folder / "models" / "fuzz.onnx"
    path.write_bytes(content)
    try:
        import_model(load(str(path), batch=2))
    except EdgetuneError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
    assert {found.relative_to(folder).as_posix() for found in folder.rglob("*")} == EVERYTHING


@st.composite
def damaged_bytes(draw: st.DrawFn) -> bytes:
    content = bytearray(draw(st.sampled_from(BYTES)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content) - 1)) if content else 0
        match draw(st.sampled_from(["flip", "set", "cut", "drop", "insert", "splice"])):
            case "flip" if content:
                content[at] ^= 1 << draw(st.integers(0, 7))
            case "set" if content:
                content[at] = draw(st.integers(0, 255))
            case "cut":
                del content[at:]
            case "drop":
                del content[at : at + draw(st.integers(1, 8))]
            case "insert":
                content[at:at] = draw(st.binary(min_size=1, max_size=6))
            case _:
                other = draw(st.sampled_from(BYTES))
                start = draw(st.integers(0, len(other) - 1))
                content[at:at] = other[start : start + draw(st.integers(1, 60))]
    return bytes(content)


@st.composite
def absurd_models(draw: st.DrawFn) -> bytes:
    model = onnx.ModelProto()
    model.CopyFrom(draw(st.sampled_from(MODELS)))
    body = model.graph
    for _ in range(draw(st.integers(1, 2))):
        item = draw(st.sampled_from(list(body.node)))
        match draw(st.sampled_from(["attribute", "operator", "wire", "constant", "input", "opset", "type"])):
            case "attribute" if item.attribute:
                found = draw(st.sampled_from(list(item.attribute)))
                if found.ints:
                    found.ints[draw(st.integers(0, len(found.ints) - 1))] = draw(st.sampled_from(ABSURD))
                else:
                    found.i = draw(st.sampled_from(ABSURD))
                    found.s = draw(st.binary(max_size=6))
            case "operator":
                item.op_type = draw(st.sampled_from(OPERATORS))
            case "wire":
                item.input[0] = draw(st.sampled_from(["", "x", "y", "w", "nothing", *(n.output[0] for n in body.node)]))
            case "constant":
                tensor = next(t for t in body.initializer if t.data_type == 7)
                array = numpy_helper.to_array(tensor).copy()
                array[draw(st.integers(0, array.size - 1))] = draw(st.sampled_from(ABSURD))
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
            case "input":
                dims = body.input[0].type.tensor_type.shape.dim
                dims[draw(st.integers(0, len(dims) - 1))].dim_value = draw(st.sampled_from([0, -3, 1, 3, 2**33]))
            case "opset":
                model.opset_import[0].version = draw(st.sampled_from([-1, 0, 1, 6, 7, 9, 11, 18, 21, 99]))
            case _:
                body.input[0].type.tensor_type.elem_type = draw(st.sampled_from([0, 3, 7, 8, 9, 10, 11, 14, 16, 99]))
    return model.SerializeToString()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Holds the models, and the working and temporary folders of what loads them."""
    for name in ("models", "here", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    return tmp_path


@given(content=damaged_bytes())
@settings(SETTINGS, max_examples=1000)
def test_damaged_bytes(content: bytes, folder: Path) -> None:
    survives(content, folder)


@given(content=absurd_models())
@settings(SETTINGS, max_examples=1000)
def test_absurd_models(content: bytes, folder: Path) -> None:
    survives(content, folder)


@given(content=st.binary(max_size=200))
@settings(SETTINGS, max_examples=150)
def test_any_bytes(content: bytes, folder: Path) -> None:
    survives(content, folder)


def test_a_split_into_billions_ends_at_once(folder: Path) -> None:
    model = graph([node("Split", ["x"], ["y", "z"], num_outputs=2**40)], [("x", (2, 4))], ["y", "z"], opset=18)
    with pytest.raises(EdgetuneError, match="num_outputs"):
        load(str(save_to(folder, model)))


def save_to(folder: Path, model: onnx.ModelProto) -> Path:
    path = folder / "split.onnx"
    path.write_bytes(model.SerializeToString())
    return path
