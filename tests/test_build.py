"""From a model to a library: with and without records, in every precision, computing what ONNX Runtime does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tvm
from onnx import TensorProto, helper

import targets
from compiler.build import Built, compile_model, front
from compiler.errors import EdgetuneError, UsageError
from compiler.frontend import Model, random_inputs, run_reference
from compiler.graph.algorithms import Algorithm
from compiler.graph.filling import filling
from compiler.graph.scheduling import cpu_hardware, design_spaces, pack_weights
from compiler.graph.variants import Task, Variants, expand
from compiler.precision import storage_of
from compiler.records.record import Record, now
from compiler.records.store import Store, open_store
from compiler.records.workload import trace_text, workload_of
from compiler.runtime.threads import ComputeThread
from tests.graph.graphs import assert_like_onnxruntime, conv, graph, loaded, module, node, values, weight

SHAPE = (1, 16, 8, 8)
WEIGHTS = {
    "a": weight(1, 16, 16, 3, 3),
    "b": weight(2, 24, 16, 1, 1),
    "bias": values(3, 24),
    "fc": weight(4, 24, 10),
}
NODES = [
    conv("a", "x", "t1"),
    node("Relu", ["t1"], ["t2"]),
    node("Conv", ["t2", "b", "bias"], ["t3"]),
    node("GlobalAveragePool", ["t3"], ["t4"]),
    node("Flatten", ["t4"], ["t5"]),
    node("MatMul", ["t5", "fc"], ["t6"]),
    node("Softmax", ["t6"], ["y"], axis=1),
]
TARGET = targets.get("native")
IDENTITY = targets.fingerprint(TARGET)


@pytest.fixture(scope="module")
def threads() -> Iterator[ComputeThread]:
    made = ComputeThread(min(2, TARGET.cores))
    yield made
    made.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "logs") as opened:
        yield opened


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return module(tmp_path_factory.mktemp("model"), NODES, SHAPE, weights=WEIGHTS)


def tasks(model: Model) -> Variants:
    return expand(front(model)[0], "float32", filling(cpu_hardware(TARGET)))


def record(task: Task, store: Store, median: float, space: int = 0, **changes: object) -> Record:
    """A successful trial of `task` at the default point of its design space number `space`, kept in `store`."""
    sch = design_spaces(task.mod, cpu_hardware(TARGET))[space]
    pack_weights(sch)
    made = Record(
        workload=task.hash,
        trace=trace_text(sch),
        seconds=(median, median, median),
        error=None,
        fingerprint=IDENTITY.id,
        target=TARGET.config(),
        device=IDENTITY.device,
        threads=TARGET.cores,
        tvm_version=targets.tvm_version(),
        tool_version="0",
        created=now(),
    )
    made = dataclasses.replace(made, **changes)
    store.add_workload(workload_of(task.mod, task.name))
    store.add(made)
    return made


def task_names(built: Built) -> set[str]:
    """The kernels as tasks are called: the library's name says where the packing of weights was split off."""
    return {name.removesuffix("_prepacked") for name in built.kernels}


def find(found: Variants, part: str) -> Task:
    return next(task for task in found.tasks.values() if part in task.name)


# ---- without records


def test_without_records_everything_is_untuned_and_right(
    model: Model, store: Store, tmp_path: Path, threads: ComputeThread
) -> None:
    built = assert_like_onnxruntime(model, tmp_path, threads, store=store)
    assert built.used == [] and built.trials == 0
    assert sorted(task_names(built)) == built.untuned and len(built.untuned) == built.tasks
    assert all(moved is not None and moved > 0 for _, moved in built.kernels.values())
    flops = max(f or 0.0 for f, _ in built.kernels.values())
    assert flops >= 2 * 8 * 8 * 16 * 24, "the pointwise convolution at least"
    assert sum(built.algorithms.values()) == 2
    assert built.kept_wide == [] and built.layout_transforms == 1
    assert set(built.seconds) == {"import", "lower", "look at records", "schedule", "prepack", "generate code", "link"}
    assert built.library.exists()


def test_the_kernels_are_named_as_the_library_calls_them(model: Model, tmp_path: Path, threads: ComputeThread) -> None:
    built = compile_model(model, TARGET, tmp_path / "library.so")
    called = set()

    def run() -> None:
        machine = tvm.relax.VirtualMachine(tvm.runtime.load_module(str(built.library)), tvm.cpu())

        def instrument(_: object, name: str, before: bool, *rest: object) -> int:
            called.add(str(name))
            return tvm.relax.VMInstrumentReturnKind.NO_OP

        machine.set_instrument(instrument)
        machine["main"](tvm.runtime.tensor(values(1, *SHAPE)))

    threads.call(run)
    assert set(built.kernels) <= called
    assert not {name for name in called if "conv" in name or "dense" in name} - set(built.kernels)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("precision", "io"), [("fp32", "fp16"), ("fp16", "fp32"), ("fp16", "fp16")])
def test_precisions_and_batches(precision: str, io: str, batch: int, tmp_path: Path, threads: ComputeThread) -> None:
    model = module(tmp_path, NODES, (batch, *SHAPE[1:]), weights=WEIGHTS)
    built = assert_like_onnxruntime(model, tmp_path, threads, tolerance=3e-3, precision=precision, io_precision=io)
    assert built.inputs[0].dtype == built.outputs[0].dtype == {"fp32": "float32", "fp16": "float16"}[io]
    assert built.inputs[0].shape[0] == batch


def test_integers_several_inputs_and_outputs(tmp_path: Path, threads: ComputeThread) -> None:
    tokens = helper.make_tensor_value_info("tokens", TensorProto.INT64, [2, 5])
    flags = helper.make_tensor_value_info("flags", TensorProto.BOOL, [2, 5])
    nodes = [
        node("Gather", ["table", "tokens"], ["e"], axis=0),
        node("Cast", ["flags"], ["f"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["f", "last"], ["f1"]),
        node("Mul", ["e", "f1"], ["m"]),
        node("MatMul", ["m", "w"], ["p"]),
        node("Add", ["p", "offset"], ["y"]),
        node("ArgMax", ["y"], ["i"], axis=2, keepdims=0),
        node("Not", ["flags"], ["n"]),
    ]
    outputs = [
        "y",
        helper.make_tensor_value_info("i", TensorProto.INT64, None),
        helper.make_tensor_value_info("n", TensorProto.BOOL, None),
    ]
    weights = {"table": values(1, 20, 8), "w": weight(2, 8, 6), "last": np.array([2])}
    proto = graph(nodes, [tokens, flags, ("offset", (6,))], outputs, weights)
    built = assert_like_onnxruntime(loaded(proto, tmp_path), tmp_path, threads)
    assert [s.dtype for s in built.inputs] == ["int64", "bool", "float32"]
    assert [s.dtype for s in built.outputs] == ["float32", "int64", "bool"]


def test_one_kernel_called_twice_is_one_task(tmp_path: Path, store: Store, threads: ComputeThread) -> None:
    nodes = [conv("a", "x", "t1"), node("Relu", ["t1"], ["t2"]), conv("b", "t2", "t3"), node("Relu", ["t3"], ["y"])]
    model = module(tmp_path, nodes, SHAPE, weights={"a": WEIGHTS["a"], "b": weight(9, 16, 16, 3, 3)})
    found = tasks(model)
    assert sum(built == 2 for built in (t.calls for t in found.tasks.values())) == 3, "one per algorithm"
    for task in found.tasks.values():
        record(task, store, 1e-3)
    built = assert_like_onnxruntime(model, tmp_path, threads, store=store)
    assert len(built.used) == built.tasks == built.trials and built.untuned == []


def test_another_cpu_of_the_family(model: Model, tmp_path: Path, threads: ComputeThread) -> None:
    target = targets.get("x86-avx2", cores=3)
    library = tmp_path / "library.so"
    built = compile_model(model, target, library)
    assert library.read_bytes()[:4] == b"\x7fELF"
    if targets.why_not_run(target) is None:
        from tests.graph.graphs import run_library

        inputs = random_inputs(model.inputs, 3)
        [found] = run_library(library, [inputs["x"]], threads)
        np.testing.assert_allclose(found, run_reference(model, inputs)["y"], rtol=1e-4, atol=1e-6)
    assert built.untuned


# ---- with records


def test_records_are_used_and_listed(model: Model, store: Store, tmp_path: Path, threads: ComputeThread) -> None:
    found = tasks(model)
    pointwise, dense = find(found, "fused_conv2d1"), find(found, "dense")
    slow = record(pointwise, store, 2e-3)
    best = record(pointwise, store, 1e-3, space=1)
    product = record(dense, store, 1e-3)
    built = assert_like_onnxruntime(model, tmp_path, threads, store=store)
    expected = {(pointwise.hash, best.id), (dense.hash, product.id)}
    assert {(digest, kept.id) for _, digest, kept in built.used} == expected
    assert {name for name, _, _ in built.used} <= task_names(built)
    assert not {name for name, _, _ in built.used} & set(built.untuned)
    assert built.trials == 3 and len(built.untuned) == built.tasks - 2
    assert slow.id != best.id


def test_the_algorithm_follows_the_measurements(
    model: Model, store: Store, tmp_path: Path, threads: ComputeThread
) -> None:
    found = tasks(model)
    [layer] = [entry for entry in found.layers if len(entry.tasks) == 3]
    seconds = {Algorithm.DIRECT: 2e-3, Algorithm.WINOGRAD_2: 1e-3, Algorithm.WINOGRAD_4: 3e-3}
    for algorithm, digest in layer.tasks.items():
        record(found.tasks[digest], store, seconds[algorithm])
    built = assert_like_onnxruntime(model, tmp_path, threads, store=store)
    assert built.algorithms == {"winograd-2x2": 1, "direct": 1}
    record(found.tasks[layer.tasks[Algorithm.DIRECT]], store, 5e-4)
    built = assert_like_onnxruntime(model, tmp_path, threads, store=store)
    assert built.algorithms == {"direct": 2}


def test_records_that_do_not_fit_are_not_used(
    model: Model, store: Store, tmp_path: Path, threads: ComputeThread
) -> None:
    found = tasks(model)
    pointwise, dense = find(found, "fused_conv2d1"), find(found, "dense")
    foreign = record(dense, store, 1e-3)
    record(pointwise, store, 1e-9, trace=foreign.trace)
    store_only = [
        {"seconds": (), "error": "crashed"},
        {"checked": False},
        {"fingerprint": "another-cpu-0"},
        {"tvm_version": "0.1", "fingerprint": "another-version-0", "threads": TARGET.cores + 1},
    ]
    softmax = find(found, "softmax")
    for changes in store_only:
        record(softmax, store, 1e-3, **changes)
    built = assert_like_onnxruntime(model, tmp_path, threads, store=store)
    assert [digest for _, digest, _ in built.used] == [dense.hash]
    assert any("conv2d" in name for name in built.untuned) and "softmax" in built.untuned


def test_a_record_of_another_tvm_is_used_where_its_trace_applies(
    model: Model, store: Store, tmp_path: Path, threads: ComputeThread
) -> None:
    dense = find(tasks(model), "dense")
    old = record(dense, store, 1e-3, tvm_version="0.26.0", fingerprint="the-same-device-with-another-tvm")
    built = assert_like_onnxruntime(model, tmp_path, threads, store=store)
    assert [kept.id for _, _, kept in built.used] == [old.id]
    new = record(dense, store, 5e-3)
    built = assert_like_onnxruntime(model, tmp_path, threads, store=store)
    assert [kept.id for _, _, kept in built.used] == [new.id], "what was measured with this TVM counts for more"


# ---- around it


def test_the_ir_of_each_phase_is_dumped_and_each_step_is_told(model: Model, tmp_path: Path) -> None:
    told: list[str] = []
    compile_model(model, TARGET, tmp_path / "library.so", dump=tmp_path / "ir", report=told.append)
    assert told == ["import", "lower", "schedule", "prepack", "generate code", "link"]
    (folder,) = (tmp_path / "ir").iterdir()
    assert folder.name == f"{model.name}-batch{model.batch}"
    phases = ["00-imported", "01-layout", "02-legalized", "03-fused", "04-scheduled", "05-prepacked"]
    assert [path.stem for path in sorted(folder.iterdir())] == phases
    assert "T.parallel" in (folder / "04-scheduled.py").read_text()
    assert "layout_rewrite_preproc" not in (folder / "05-prepacked.py").read_text()


def test_weights_are_packed_when_the_model_is_compiled(model: Model, tmp_path: Path) -> None:
    compile_model(model, TARGET, tmp_path / "library.so", dump=tmp_path / "ir")
    main = next((tmp_path / "ir").glob("*/05-prepacked.py")).read_text().partition("@R.function")[2]
    assert "layout_rewrite" not in main and "R.call_tir" in main


def test_the_same_model_compiles_to_the_same_library(model: Model, tmp_path: Path) -> None:
    def built(name: str) -> Built:
        return compile_model(model, TARGET, tmp_path / name, dump=tmp_path / f"{name}.ir")

    first, second = built("one.so"), built("two.so")
    assert first.untuned == second.untuned and first.kernels == second.kernels
    dumped = list((tmp_path / "one.so.ir").glob("*/*.py"))
    assert len(dumped) == 6
    for path in dumped:
        assert path.read_text() == (tmp_path / "two.so.ir" / path.relative_to(tmp_path / "one.so.ir")).read_text()


def test_what_cannot_be_built_says_why(model: Model, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fp64.*fp32 or fp16"):
        compile_model(model, TARGET, tmp_path / "x.so", precision="fp64")
    with pytest.raises(UsageError, match="unknown precision"):
        compile_model(model, TARGET, tmp_path / "x.so", io_precision="int8")
    assert storage_of("fp16") == "float16"
    blind = dataclasses.replace(TARGET, hardware=dataclasses.replace(TARGET.hardware, vector_bits=None))
    with pytest.raises(EdgetuneError, match="no schedules"):
        compile_model(model, blind, tmp_path / "x.so")
    for name in targets.names():
        target = targets.get(name)
        reason = targets.why_not_compile(target)
        if reason is not None:
            with pytest.raises(EdgetuneError) as error:
                compile_model(model, target, tmp_path / "x.so")
            assert str(error.value) == reason
            break
    assert not list(tmp_path.iterdir())
