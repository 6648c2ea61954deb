"""Whatever is wrong with a model ends in one line that names the operator, the input or the file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.helper import make_tensor_value_info as tensor_info

from compiler.errors import EdgetuneError, UsageError
from compiler.frontend import import_model, load
from tests.frontend.graphs_for_tests import graph, loaded, node, run_tvm, save, values


def relu(**options: object) -> onnx.ModelProto:
    return graph([node("Relu", ["x"])], [("x", (1, 3))], ["y"], **options)  # type: ignore[arg-type]


def fails(call: Callable[[], object], *words: str, usage: bool = False) -> str:
    with pytest.raises(EdgetuneError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    assert isinstance(caught.value, UsageError) == usage, line
    for word in words:
        assert word in line, line
    return line


def test_files_that_are_no_models(tmp_path: Path) -> None:
    whole = relu().SerializeToString()
    for name, content in {"empty": b"", "cut": whole[:-5], "text": b"hello world" * 20, "zeros": bytes(200)}.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)
        fails(lambda name=name: load(str(tmp_path / f"{name}.onnx")), f"{name}.onnx")
    fails(lambda: load(str(tmp_path)), "folder")
    fails(lambda: load(str(tmp_path / "missing.onnx")), "missing.onnx", "No such file")
    fails(lambda: load("a\0b.onnx"), "cannot read")
    os.mkfifo(tmp_path / "pipe.onnx")
    fails(lambda: load(str(tmp_path / "pipe.onnx")), "no regular file")


def test_a_wrong_name_suggests_the_right_one() -> None:
    fails(lambda: load("resnet5"), "did you mean resnet50?", usage=True)
    fails(lambda: load("nonsense"), "alexnet", "zfnet512", usage=True)


def test_all_unsupported_operators_are_listed_at_once(tmp_path: Path) -> None:
    model = graph(
        [
            node("Det", ["x"], ["d"]),
            node("Relu", ["d"], ["r"], domain="com.example"),
            node("Fancy", ["r"], ["f"], domain="com.example"),
            node("Relu", ["f"]),
        ],
        [("x", (3, 3))],
        ["y"],
        domains=["com.example"],
    )
    fails(lambda: loaded(model, tmp_path), "3 operators are", "com.example.Fancy", "com.example.Relu", "Det")
    nodes = [node("Det", ["x"], ["d"]), node("GRU", ["s", "w", "w"], ["g", ""], hidden_size=3)]
    weights = {"w": values(0, 1, 9, 3)}
    model = graph(nodes, [("x", (3, 3)), ("s", (2, 1, 3))], ["d", "g"], weights)
    fails(lambda: import_model(loaded(model, tmp_path)), "2 operators are not supported: Det, GRU")
    del model.graph.output[1]  # then nobody reads the GRU
    fails(lambda: import_model(loaded(model, tmp_path)), "1 operator is not supported: Det")


def test_unknown_operators_are_listed_at_once_whatever_the_graph_imports(tmp_path: Path) -> None:
    """Neither an import of the domain nor an operator that the standard knows is needed to say what is missing."""
    nodes = [
        node("Fancy", ["x"], ["f"], domain="com.example"),
        node("Plain", ["f"], ["p"], domain="org.example"),
        node("Baz", ["p"], ["b"]),
        node("Det", ["b"]),
    ]
    names = "4 operators are not supported: Baz, Det, com.example.Fancy, org.example.Plain"
    fails(lambda: loaded(graph(nodes, [("x", (3, 3))], ["y"]), tmp_path), names)
    domains = ["com.example", "org.example"]
    fails(lambda: loaded(graph(nodes, [("x", (3, 3))], ["y"], domains=domains), tmp_path), names)
    many = [node(f"Unknown{index}", ["x"], [f"y{index}"]) for index in range(1000)]
    line = fails(lambda: loaded(graph(many, [("x", (3,))], ["y0"]), tmp_path), "1000 operators", "Unknown0", "...")
    assert len(line) < 900


@pytest.mark.parametrize(
    ("operator", "words", "attributes", "opset"),
    [
        ("IsInf", "IsInf of one sign only", {"detect_negative": 0}, 13),
        ("SpaceToDepth", "CRD", {"blocksize": 2, "mode": "CRD"}, onnx.defs.get_schema("SpaceToDepth").since_version),
        ("BatchNormalization", "training mode", {"training_mode": 1}, 15),
    ],
)
def test_uses_that_tvm_gets_wrong_are_refused(
    operator: str, words: str, attributes: dict, opset: int, tmp_path: Path
) -> None:
    kind = TensorProto.BOOL if operator == "IsInf" else TensorProto.FLOAT
    weights = {n: np.ones(4, np.float32) for n in "sbmv"} if operator == "BatchNormalization" else {}
    outputs = ["y", "mean", "var"] if weights else ["y"]
    model = graph(
        [node(operator, ["x", *weights], outputs, **attributes)],
        [("x", (1, 4, 4, 4))],
        [tensor_info("y", kind, (1, 4, 4, 4) if operator != "SpaceToDepth" else (1, 16, 2, 2))],
        weights,
        opset=opset,
        ir_version=8,
    )
    fails(lambda: import_model(loaded(model, tmp_path)), words)


def test_resize_by_a_broken_scale_is_refused(tmp_path: Path) -> None:
    scales = {"s": np.float32([1, 1, 1.3, 1])}
    model = graph([node("Resize", ["x", "", "s"], mode="linear")], [("x", (1, 1, 7, 8))], ["y"], scales)
    fails(lambda: import_model(loaded(model, tmp_path)), "Resize by a scale")


def test_types_that_tvm_does_not_run_are_refused(tmp_path: Path) -> None:
    model = graph(
        [node("Cast", ["x"], to=TensorProto.BFLOAT16)], [("x", (2,))], [tensor_info("y", TensorProto.BFLOAT16, (2,))]
    )
    fails(lambda: import_model(loaded(model, tmp_path)), "Cast on bfloat16")


def test_convolutions_that_nothing_can_be_compared_with_are_refused(tmp_path: Path) -> None:
    double = tensor_info("x", TensorProto.DOUBLE, (1, 3, 8, 8)), tensor_info("y", TensorProto.DOUBLE, (1, 4, 6, 6))
    model = graph([node("Conv", ["x", "w"])], [double[0]], [double[1]], {"w": np.ones((4, 3, 3, 3))})
    fails(lambda: import_model(loaded(model, tmp_path)), "1 operator is not supported: Conv on double")


def test_inputs_that_are_no_tensors_of_numbers(tmp_path: Path) -> None:
    text = tensor_info("x", TensorProto.STRING, (1, 3))
    fails(lambda: loaded(graph([node("Identity", ["x"])], [text], ["y"]), tmp_path), "'x'", "numbers")
    sequence = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)
    model = graph([node("SequenceLength", ["x"])], [sequence], [tensor_info("y", TensorProto.INT64, ())])
    fails(lambda: loaded(model, tmp_path), "'x'", "no tensor")


def test_shapes_that_do_not_fit_name_the_node(tmp_path: Path) -> None:
    model = graph([node("MatMul", ["x", "w"], name="head")], [("x", (1, 3))], ["y"], {"w": values(0, 4, 2)})
    fails(lambda: loaded(model, tmp_path), "head", "MatMul")


NORM = {name: np.ones(3, np.float32) for name in "sbmv"}
CHANNELS = {
    "Conv": (node("Conv", ["x", "w"], name="first"), {"w": values(0, 4, 3, 3, 3)}),
    "Conv in groups": (node("Conv", ["x", "w"], group=3, name="first"), {"w": values(0, 6, 1, 3, 3)}),
    "ConvTranspose": (node("ConvTranspose", ["x", "w"], name="first"), {"w": values(0, 3, 4, 3, 3)}),
    "BatchNormalization": (node("BatchNormalization", ["x", *NORM], name="first"), NORM),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_a_shape_that_contradicts_the_weights_is_refused_when_loading(name: str, tmp_path: Path) -> None:
    """onnx's inference takes it, and ONNX Runtime too until it runs."""
    operator, weights = CHANNELS[name]
    path = save(graph([operator], [("x", ("N", "C", "H", "W"))], ["y"], weights), tmp_path)
    fails(lambda: load(path, shapes={"x": (1, 4, 8, 8)}), "'first'", "3 channels", "(1, 4, 8, 8)")
    assert load(path, shapes={"x": (1, 3, 8, 8)}).shapes == {"x": (1, 3, 8, 8)}


def test_a_dimension_of_zero_is_not_called_dynamic(tmp_path: Path) -> None:
    path = save(graph([node("Relu", ["x"])], [("x", (0, 3))], ["y"]), tmp_path)
    assert "dynamic" not in fails(lambda: load(path), "dimension 0 of input 'x' is 0", "--batch N")
    assert load(path, batch=2).shapes == {"x": (2, 3)}, "some exporters write 0 for what they do not know"
    path = save(graph([node("Relu", ["x"])], [("x", (2, 0, 3))], ["y"]), tmp_path)
    fails(lambda: load(path), "dimension 1 of input 'x' is 0", "--shape x:2,N,3")


def test_an_input_that_is_an_output_has_its_shape(tmp_path: Path) -> None:
    model = loaded(graph([node("Relu", ["x"])], [("x", (2, 3))], ["x", "y"]), tmp_path)
    assert [spec.shape for spec in (*model.inputs, *model.outputs)] == [(2, 3)] * 3


def test_a_result_whose_size_depends_on_the_data(tmp_path: Path) -> None:
    model = graph([node("NonZero", ["x"])], [("x", (2, 3))], [tensor_info("y", TensorProto.INT64, None)])
    fails(lambda: loaded(model, tmp_path), "'y'", "depends on the data")


def test_absurd_sizes_are_refused_before_anything_allocates(tmp_path: Path) -> None:
    model = graph([node("Expand", ["x", "s"])], [("x", (1,))], ["y"], {"s": np.array([1 << 20, 1 << 20], np.int64)})
    fails(lambda: loaded(model, tmp_path), "'y'", "GiB")
    model = relu()
    model.graph.initializer.add(name="w", dims=[1 << 40], data_type=TensorProto.FLOAT, raw_data=b"1234")
    fails(lambda: loaded(model, tmp_path), "'w'", "holds 4")


def external(tmp_path: Path, size: int = 48, **entries: object) -> str:
    model = graph([node("MatMul", ["x", "w"])], [("x", (1, 3))], ["y"], {"w": values(0, 3, 4)})
    tensor = model.graph.initializer[0]
    (tmp_path / "w.bin").write_bytes(tensor.raw_data[:size])
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "w.bin", **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return save(model, tmp_path)


def test_external_data_is_read(tmp_path: Path) -> None:
    for entries in ({}, {"offset": 0, "length": 48}):
        model = load(external(tmp_path, **entries))
        x = values(5, 1, 3)
        np.testing.assert_allclose(run_tvm(model, {"x": x})[0], x @ values(0, 3, 4), rtol=1e-5)


@pytest.mark.parametrize(
    ("entries", "size", "word"),
    [
        ({"location": "none.bin"}, 48, "missing"),
        ({"location": ""}, 48, "no file"),
        ({"location": "/etc/passwd"}, 48, "outside"),
        ({"location": "../w.bin"}, 48, "outside"),
        ({"location": "a/../../w.bin"}, 48, "outside"),
        ({"location": "link/w.bin"}, 48, "leads out"),
        ({"location": "link"}, 48, "leads out"),
        ({"location": "sub"}, 48, "no regular file"),
        ({"offset": 8}, 48, "truncated"),
        ({"offset": 10**17}, 48, "truncated"),
        ({"offset": -1}, 48, "offset"),
        ({"offset": "1e3"}, 48, "offset"),
        ({"offset": "9" * 400}, 48, "offset"),
        ({"length": 2**60}, 48, "bytes"),
        ({"length": 40}, 48, "40 bytes"),
        ({}, 20, "truncated"),
    ],
)
def test_external_data_that_is_refused(entries: dict, size: int, word: str, tmp_path: Path) -> None:
    home = tmp_path / "model"
    (home / "sub").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "w.bin").write_bytes(bytes(48))
    (home / "link").symlink_to(tmp_path / "outside")
    fails(lambda: load(external(home, size, **entries)), "model.onnx", "'w'", word)


def test_options_that_do_not_fit(tmp_path: Path) -> None:
    model = graph([node("Relu", ["x"])], [("x", ("N", 3, "H"))], ["y"])
    path = save(model, tmp_path)
    fails(lambda: load(path), "'x'", "dimension 0 (N)", "--shape x:N,3,H")
    fails(lambda: load(path, batch=2), "'x'", "dimension 2 (H)", "--shape x:2,3,H")
    fails(lambda: load(path, shapes={"z": (1,)}), "--shape z", "x", usage=True)
    fails(lambda: load(path, shapes={"x": (1, 3)}), "--shape x", "3 dimensions", usage=True)
    fails(lambda: load(path, shapes={"x": (1, 3, 0)}), "at least 1", usage=True)
    fails(lambda: load(path, batch=0), "--batch 0", usage=True)
    fails(lambda: load(path, batch=2, shapes={"x": (1, 3, 4)}), "--batch", usage=True)
    assert load(path, shapes={"x": (2, 3, 4)}).batch == 2
    batch_only = save(graph([node("Relu", ["x"])], [("x", ("N", 3))], ["y"]), tmp_path, "batch.onnx")
    fails(lambda: load(batch_only), "'x'", "--batch N")
    fails(
        lambda: load(save(graph([node("Relu", ["x"])], [("x", (3,))], ["y"]), tmp_path), batch=2),
        "no input has a batch",
        usage=True,
    )


def test_one_symbol_has_one_value(tmp_path: Path) -> None:
    model = graph([node("Add", ["x", "z"])], [("x", (1, "L")), ("z", (1, "L"))], ["y"])
    assert loaded(model, tmp_path, shapes={"x": (1, 7)}).shapes == {"x": (1, 7), "z": (1, 7)}
    fails(lambda: loaded(model, tmp_path, shapes={"x": (1, 7), "z": (1, 8)}), "'L'", usage=True)


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = graph([node("MaxPool", ["x"], ["y", "i"], kernel_shape=[2, 2])], [("x.1", (1, 1, 4, 4))], ["y"])
    model.graph.node[0].input[0] = "x.1"
    run_tvm(loaded(model, tmp_path), {"x.1": values(0, 1, 1, 4, 4)})
    broken = graph([node("CumSum", ["x", "a"])], [("x", (2, 2)), tensor_info("a", TensorProto.INT64, ())], ["y"])
    fails(lambda: import_model(loaded(broken, tmp_path)), "CumSum")
    assert capfd.readouterr() == ("", "")
