"""TensorRT and the CUDA runtime as far as the peer uses them, computed by ONNX Runtime: no GPU is at hand.

It holds the peer to the order of calls that the real ones ask for: addresses before work, no work outside a stream,
nothing read before the stream was waited for.
"""

# ruff: noqa: N802 - functions are called as NVIDIA's are

from __future__ import annotations

import ctypes
import types
from typing import Any

import numpy as np
import onnxruntime

Answer = tuple[Any, ...]
TF32 = 7  # of the builder's flags


class Device:
    """Memory and one queue, which runs when it is waited for."""

    def __init__(self) -> None:
        self.memory: dict[int, ctypes.Array[ctypes.c_char]] = {}
        self.queue: list[Any] = []
        self.captured: list[Any] | None = None
        self.captures = True
        self.flags = {TF32}
        """Those of a new builder: TF32 is allowed unless it is put off."""

    def enqueue(self, work: Any) -> None:
        (self.queue if self.captured is None else self.captured).append(work)

    def runtime(self) -> types.ModuleType:
        module = types.ModuleType("cuda.bindings.runtime")
        module.cudaMemcpyKind = types.SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)  # type: ignore[attr-defined]
        module.cudaStreamCaptureMode = types.SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)  # type: ignore[attr-defined]
        for name in dir(self):
            if name.startswith("cuda"):
                setattr(module, name, getattr(self, name))
        return module

    def cudaMalloc(self, size: int) -> Answer:
        buffer = ctypes.create_string_buffer(size)
        self.memory[ctypes.addressof(buffer)] = buffer
        return 0, ctypes.addressof(buffer)

    def cudaMemcpy(self, to: int, source: int, size: int, kind: int) -> Answer:
        device = to if kind == 1 else source
        if self.queue or len(self.memory[device]) != size:
            return (1,)
        ctypes.memmove(to, source, size)
        return (0,)

    def cudaStreamCreate(self) -> Answer:
        return 0, 77

    def cudaStreamSynchronize(self, stream: int) -> Answer:
        assert stream == 77 and self.captured is None
        work, self.queue = self.queue, []
        for one in work:
            one()
        return (0,)

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> Answer:
        self.captured = []
        return (0,)

    def cudaStreamEndCapture(self, stream: int) -> Answer:
        graph, self.captured = self.captured, None
        return (0, graph) if self.captures else (901, None)

    def cudaGraphInstantiate(self, graph: list[Any], flags: int) -> Answer:
        return 0, graph

    def cudaGraphLaunch(self, graph: list[Any], stream: int) -> Answer:
        for work in graph:
            self.enqueue(work)
        return (0,)


def tensorrt(device: Device, refuses: str = "") -> types.ModuleType:
    """The module `tensorrt`; what it `refuses` is `parse` or `build`."""

    class Context:
        def __init__(self, model: bytes) -> None:
            self._session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
            self._addresses: dict[str, int] = {}

        def set_tensor_address(self, name: str, address: int) -> bool:
            assert address in device.memory
            self._addresses[name] = address
            return True

        def execute_async_v3(self, stream: int) -> bool:
            if stream != 77:
                return False
            device.enqueue(self._compute)
            return True

        def _compute(self) -> None:
            def view(one: Any) -> np.ndarray:
                count = int(np.prod(one.shape))
                return np.ctypeslib.as_array((ctypes.c_float * count).from_address(self._addresses[one.name]))

            feeds = {one.name: view(one).reshape(one.shape).copy() for one in self._session.get_inputs()}
            outputs = self._session.get_outputs()
            for one, made in zip(outputs, self._session.run([o.name for o in outputs], feeds), strict=True):
                view(one)[:] = made.ravel()

    class Parser:
        num_errors = 1

        def __init__(self, network: types.SimpleNamespace, logger: object) -> None:
            self._network = network

        def parse(self, model: bytes) -> bool:
            self._network.model = model
            return refuses != "parse"

        def get_error(self, number: int) -> Any:
            return types.SimpleNamespace(desc=lambda: "no importer\nfor op Strange")

    class Builder:
        def __init__(self, logger: object) -> None:
            pass

        def create_network(self, flags: int) -> types.SimpleNamespace:
            assert flags == 1 << 1
            return types.SimpleNamespace()

        def create_builder_config(self) -> Any:
            flags = device.flags
            return types.SimpleNamespace(clear_flag=flags.discard, set_flag=flags.add, builder_optimization_level=3)

        def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
            assert config.builder_optimization_level == 5
            return None if refuses == "build" else bytes(network.model)

    class Logger:
        ERROR = 1

        def __init__(self, level: int) -> None:
            pass

    class Runtime:
        def __init__(self, logger: object) -> None:
            pass

        def deserialize_cuda_engine(self, plan: bytes) -> Any:
            return types.SimpleNamespace(create_execution_context=lambda: Context(plan))

    module = types.ModuleType("tensorrt")
    values = {
        "__version__": "0.0",
        "Logger": Logger,
        "Builder": Builder,
        "OnnxParser": Parser,
        "Runtime": Runtime,
        "NetworkDefinitionCreationFlag": types.SimpleNamespace(STRONGLY_TYPED=1),
        "BuilderFlag": types.SimpleNamespace(TF32=TF32),
    }
    for name, value in values.items():
        setattr(module, name, value)
    return module
