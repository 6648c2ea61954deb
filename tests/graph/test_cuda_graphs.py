"""A model whose kernels are launched as a graph computes what it computes kernel by kernel: shown on a CPU, with a
runtime of graphs that plays a capture again as a GPU does, on the memory of the first run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
import tvm_ffi
from tvm import relax

import targets
from compiler.build import front, generate
from compiler.errors import EdgetuneError
from compiler.frontend import Model, random_inputs, run_reference
from compiler.graph import pipeline
from compiler.graph.passes.cuda_graphs import BUILTINS, cuda_graphs
from compiler.graph.scheduling import hardware_of, schedule_module
from compiler.packaging.manifest import WITHOUT_GRAPH
from compiler.runtime.outputs import in_one_line
from tests.graph.graphs import conv, module, node, weight

NATIVE = targets.get("native")


class StandIn:
    """The runtime's functions for CUDA graphs, and how often a region was captured and played."""

    def __init__(self) -> None:
        self.captured: dict[int, tuple[Any, Any, Any]] = {}
        self.allocated: dict[int, Any] = {}
        self.played = 0
        self._call = tvm_ffi.get_global_func("vm.builtin.invoke_closure")

    def run_or_capture(self, machine: Any, region: Any, arguments: Any, index: int, *_shape: Any) -> Any:
        if index in self.captured:
            first, given, results = self.captured[index]
            self.played += 1
            self._call(machine, first, *given)
            return results
        results = self._call(machine, region, *arguments)
        self.captured[index] = (region, list(arguments), results)
        return results

    def cached_allocation(self, machine: Any, allocate: Any, index: int) -> Any:
        if index not in self.allocated:
            self.allocated[index] = self._call(machine, allocate)
        return self.allocated[index]


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    made = StandIn()
    before = [tvm_ffi.get_global_func(name, allow_missing=True) for name in BUILTINS]
    for name, function in zip(BUILTINS, (made.run_or_capture, made.cached_allocation), strict=True):
        tvm_ffi.register_global_func(name, function, override=True)
    yield made
    for name, function in zip(BUILTINS, before, strict=True):
        if function is None:
            tvm_ffi.remove_global_func(name)
        else:
            tvm_ffi.register_global_func(name, function, override=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Branches that are concatenated in place, a residual and a dense layer."""
    nodes = [
        conv("a", "x", "t1"),
        node("Relu", ["t1"], ["t2"]),
        conv("b", "t2", "t3"),
        node("MaxPool", ["t2"], ["t4"], kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]),
        node("Concat", ["t3", "t4"], ["t5"], axis=1),
        conv("c", "t5", "t6"),
        node("Add", ["t6", "t2"], ["t7"]),
        node("Flatten", ["t7"], ["t8"]),
        node("MatMul", ["t8", "fc"], ["t9"]),
        node("Softmax", ["t9"], ["y"]),
    ]
    weights = {"a": weight(1, 8, 3, 3, 3), "b": weight(2, 8, 8, 3, 3), "c": weight(3, 8, 16, 3, 3)}
    weights["fc"] = weight(4, 8 * 64, 10)
    return module(tmp_path_factory.mktemp("model"), nodes, (1, 3, 8, 8), weights=weights)


@pytest.fixture(scope="module")
def library(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from compiler.build import link

    lowered = pipeline.lower(front(model)[0], "float32")
    scheduled, _ = schedule_module(lowered.mod, hardware_of(NATIVE), lambda task: None)
    path = tmp_path_factory.mktemp("library") / "graph.so"
    with NATIVE.to_tvm():
        link(generate(scheduled, NATIVE.to_tvm(), cuda_graph=True), path, NATIVE)
    return path


def test_a_graph_played_again_computes_the_same(model: Model, library: Path, stand_in: StandIn) -> None:
    machine = relax.VirtualMachine(tvm.runtime.load_module(str(library)), tvm.cpu())
    for turn in range(3):
        inputs = random_inputs(model.inputs, turn)
        expected = run_reference(model, inputs, threads=1)["y"]
        given = tvm.runtime.tensor(inputs["x"])
        found = machine["main"](given).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_array_equal(machine[WITHOUT_GRAPH](given).numpy(), found)
        assert stand_in.played == turn * len(stand_in.captured)
    assert stand_in.captured and stand_in.allocated


def test_what_is_launched_apart_reads_an_input_or_writes_an_output(model: Model) -> None:
    lowered = pipeline.lower(front(model)[0], "float32")
    planned = tvm.transform.Sequential(
        [
            relax.transform.ToNonDataflow(),
            relax.transform.RemovePurityChecking(),
            relax.transform.CallTIRRewrite(),
            relax.transform.StaticPlanBlockMemory(),
        ]
    )(lowered.mod)
    captured = cuda_graphs(planned)
    launches = {str(gvar.name_hint): _launches(func) for gvar, func in captured.functions.items()}
    plain, apart = launches.pop(WITHOUT_GRAPH), launches.pop("main")
    assert sum(launches.values()) == plain - apart
    assert apart == 2 < plain


def _launches(func: Any) -> int:
    if not isinstance(func, relax.Function):
        return 0
    values = [binding.value for block in func.body.blocks for binding in block.bindings]
    return sum(isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.GlobalVar) for value in values)


def test_a_runtime_without_graphs_is_named(library: Path) -> None:
    for name in BUILTINS:
        if tvm_ffi.get_global_func(name, allow_missing=True) is not None:
            pytest.skip("this process has loaded a runtime with graphs")

    def load() -> None:
        relax.VirtualMachine(tvm.runtime.load_module(str(library)), tvm.cpu())

    with pytest.raises(EdgetuneError, match="--no-cuda-graph"):
        in_one_line("load", load)
