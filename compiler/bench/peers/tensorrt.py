"""NVIDIA TensorRT: an engine built for this GPU from the ONNX graph, launched as one CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from compiler.bench.peers import register
from compiler.bench.peers.bound import BoundPeer
from compiler.bench.peers.half import half_model
from compiler.errors import EdgetuneError
from compiler.frontend.model import Model

_LEVEL = 5
"""Of the builder's effort: the most that there is."""


@register("tensorrt")
class TensorRt(BoundPeer):
    """See `compiler.bench.engine.Engine`. FP16 is the model's own types, as TensorRT recommends since version 10."""

    name = "tensorrt"

    def __init__(self, model: Model, threads: int, precision: str, device: str = "cuda") -> None:
        """Raises ImportError where TensorRT or cuda-bindings is missing, EdgetuneError where the engine cannot be
        built."""
        import tensorrt
        from cuda.bindings import runtime

        super().__init__(model.inputs)
        self._trt, self._cuda = tensorrt, runtime
        self.version: str = tensorrt.__version__
        self.precision = precision
        self.notes: tuple[str, ...] = ()
        self.settings = {
            "builder_optimization_level": str(_LEVEL),
            "strongly typed": "1",
            "TF32": str(int(precision == "tf32")),
            "inputs and outputs": "bound on the device",
        }
        self._logger = tensorrt.Logger(tensorrt.Logger.ERROR)
        plan = self._build(half_model(model) if precision == "fp16" else model, model.name)
        self._runtime = tensorrt.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise EdgetuneError(f"tensorrt cannot load the engine that it has built of {model.name}")
        self._context = self._engine.create_execution_context()
        self._stream = self._must(runtime.cudaStreamCreate())
        self._outputs = [(spec.name, np.empty(spec.shape, spec.dtype)) for spec in model.outputs]
        self._addresses: dict[str, int] = {}
        for spec in self.inputs:
            self._place(spec.name, np.empty(spec.shape, spec.dtype).nbytes)
        for name, array in self._outputs:
            self._place(name, array.nbytes)
        self._graph = self._captured()
        self.settings["CUDA graph"] = str(int(self._graph is not None))

    def _build(self, model: Any, name: str) -> Any:
        trt = self._trt
        builder = trt.Builder(self._logger)
        # Types are those of the graph. Version 11 knows nothing else, and may have no such flag.
        typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        network = builder.create_network(0 if typed is None else 1 << int(typed))
        parser = trt.OnnxParser(network, self._logger)
        proto = model.reference if isinstance(model, Model) else model
        if not parser.parse(proto.SerializeToString()):
            said = parser.get_error(0).desc() if parser.num_errors else "it does not say why"
            raise EdgetuneError(f"tensorrt cannot read {name}: {' '.join(said.split())}")
        config = builder.create_builder_config()
        config.builder_optimization_level = _LEVEL
        if self.precision == "tf32":
            config.set_flag(trt.BuilderFlag.TF32)
        else:  # it is on unless it is put off
            config.clear_flag(trt.BuilderFlag.TF32)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise EdgetuneError(f"tensorrt cannot build an engine of {name}")
        return plan

    def _place(self, name: str, size: int) -> None:
        address = self._must(self._cuda.cudaMalloc(max(1, size)))
        self._addresses[name] = int(address)
        self._context.set_tensor_address(name, int(address))

    def _captured(self) -> Any:
        """The work of a run as a graph; None where it cannot be captured."""
        cuda = self._cuda
        self._enqueue()
        self._must(cuda.cudaStreamSynchronize(self._stream))
        mode = cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._must(cuda.cudaStreamBeginCapture(self._stream, mode))
        enqueued = self._context.execute_async_v3(int(self._stream))
        status, graph = cuda.cudaStreamEndCapture(self._stream)
        if not enqueued or int(status) != 0:
            return None
        return self._must(cuda.cudaGraphInstantiate(graph, 0))

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(int(self._stream)):
            raise EdgetuneError("tensorrt could not run the model")

    def feed(self, arrays: list[np.ndarray]) -> None:
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        for spec, array in zip(self.inputs, arrays, strict=True):
            array = np.ascontiguousarray(array)
            self._must(self._cuda.cudaMemcpy(self._addresses[spec.name], array.ctypes.data, array.nbytes, kind))

    @property
    def invoke(self) -> Callable[[], object]:
        cuda, stream, graph = self._cuda, self._stream, self._graph
        enqueue = self._enqueue if graph is None else lambda: self._must(cuda.cudaGraphLaunch(graph, stream))

        def call() -> None:
            enqueue()
            self._must(cuda.cudaStreamSynchronize(stream))

        return call

    def fetch(self) -> dict[str, np.ndarray]:
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        fetched = {}
        for name, array in self._outputs:
            copy = np.empty_like(array)
            self._must(self._cuda.cudaMemcpy(copy.ctypes.data, self._addresses[name], copy.nbytes, kind))
            fetched[name] = copy
        return fetched

    def _must(self, answer: Any) -> Any:
        """What a function of the runtime returns beside its status. Raises EdgetuneError where that is not success."""
        status, *values = answer
        if int(status) != 0:
            raise EdgetuneError(f"tensorrt: the CUDA runtime says {status}")
        return values[0] if values else None
