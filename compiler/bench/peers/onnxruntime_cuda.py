"""ONNX Runtime on a GPU, as its documentation recommends: exhaustive search of convolutions, inputs and outputs bound
on the device, and the whole model as one CUDA graph where all of it runs there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from compiler.bench.peers import register
from compiler.bench.peers.bound import BoundPeer
from compiler.bench.peers.half import half_model
from compiler.frontend.model import Model
from compiler.frontend.reference import proto_bytes, reference_path

PROVIDER = "CUDAExecutionProvider"
OPTIONS = {"cudnn_conv_algo_search": "EXHAUSTIVE", "cudnn_conv_use_max_workspace": "1", "use_tf32": "0"}
IN_MEMORY_BYTES = 1 << 30
_WARM_RUNS = 3
"""A graph is captured in the second."""


@register("onnxruntime-cuda")
class OnnxRuntimeCuda(BoundPeer):
    """See `compiler.bench.engine.Engine`."""

    name = "onnxruntime-cuda"

    def __init__(self, model: Model, threads: int, precision: str, device: str = "cuda") -> None:
        """Raises ImportError where ONNX Runtime is missing or has no such provider; RuntimeError without a GPU."""
        import onnxruntime

        if PROVIDER not in onnxruntime.get_available_providers():
            raise ImportError(f"this ONNX Runtime has no {PROVIDER}")
        super().__init__(model.inputs)
        self._ort = onnxruntime
        self._place = device
        self.version: str = onnxruntime.__version__
        self.precision = precision
        self.notes: tuple[str, ...] = ()
        proto = half_model(model) if precision == "fp16" else model.reference
        self._provider = OPTIONS | ({"use_tf32": "1"} if precision == "tf32" else {})
        self._session, graph = self._open(proto)
        self.settings = {
            "graph_optimization_level": "all",
            "providers": self._session.get_providers()[0],
            **self._provider,
            "enable_cuda_graph": str(int(graph)),
            "inputs and outputs": "bound on the device",
        }
        self._names = [spec.name for spec in model.outputs]
        self._bind()

    def _open(self, proto: Any) -> tuple[Any, bool]:
        """A session, and whether it captures a graph: not where a part of the model runs on the CPU."""
        try:
            return self._session_with(proto, {**self._provider, "enable_cuda_graph": "1"}), True
        except Exception:  # noqa: BLE001 - it says so in many words; the second try says what else is wrong
            return self._session_with(proto, self._provider), False

    def _session_with(self, proto: Any, provider: dict[str, str]) -> Any:
        options = self._ort.SessionOptions()
        options.graph_optimization_level = self._ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        how = {"providers": [(PROVIDER, provider)], "enable_fallback": 0}
        if proto_bytes(proto) <= IN_MEMORY_BYTES:
            session = self._ort.InferenceSession(proto.SerializeToString(), options, **how)
        else:
            with reference_path(proto) as path:
                session = self._ort.InferenceSession(str(path), options, **how)
        if session.get_providers()[0] != PROVIDER:  # it was there to be had, and its libraries or the GPU are not
            raise RuntimeError("it finds no GPU, or not the CUDA and cuDNN that it was built for")
        return session

    def _bind(self) -> None:
        """Bind inputs and outputs once: a captured graph has their addresses in it."""
        value_of = self._ort.OrtValue.ortvalue_from_numpy
        zeros = [np.zeros(spec.shape, spec.dtype) for spec in self.inputs]
        self._values = [value_of(array, self._place, 0) for array in zeros]
        self._binding = self._session.io_binding()
        for spec, value in zip(self.inputs, self._values, strict=True):
            self._binding.bind_ortvalue_input(spec.name, value)
        for name in self._names:
            self._binding.bind_output(name, self._place, 0)
        self._session.run_with_iobinding(self._binding)
        self._outputs = list(self._binding.get_outputs())
        self._binding.clear_binding_outputs()
        for name, value in zip(self._names, self._outputs, strict=True):
            self._binding.bind_ortvalue_output(name, value)
        for _ in range(_WARM_RUNS):
            self._session.run_with_iobinding(self._binding)

    def feed(self, arrays: list[np.ndarray]) -> None:
        for value, array in zip(self._values, arrays, strict=True):
            value.update_inplace(np.ascontiguousarray(array))

    @property
    def invoke(self) -> Callable[[], object]:
        return lambda: self._session.run_with_iobinding(self._binding)

    def fetch(self) -> dict[str, np.ndarray]:
        return {name: value.numpy().copy() for name, value in zip(self._names, self._outputs, strict=True)}
