"""ONNX Runtime on the CPU, as its documentation recommends for latency: all optimisations, one sequential stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from compiler.bench.engine import cast_inputs
from compiler.bench.peers import register
from compiler.bench.peers.source import model_source
from compiler.frontend.model import Model
from compiler.runtime.inputs import check_inputs
from compiler.runtime.timing import Limits, Timing, time_invocations
from compiler.tensors import TensorSpec

if TYPE_CHECKING:
    from typing_extensions import Unpack


@register("onnxruntime")
class OnnxRuntime:
    """See `compiler.bench.engine.Engine`.

    Its threads spin between operators and for a while after a run: its default, and what it is fastest with.
    """

    name = "onnxruntime"
    precision = "fp32"

    def __init__(self, model: Model, threads: int, precision: str, device: str = "cpu") -> None:
        import onnxruntime

        self._ort = onnxruntime
        self.version: str = onnxruntime.__version__
        self.inputs: list[TensorSpec] = model.inputs
        self.notes = (
            () if precision == "fp32" else (f"onnxruntime runs the fp32 model: its CPU kernels have no {precision}",)
        )
        self.settings = {
            "graph_optimization_level": "all",
            "execution_mode": "sequential",
            "intra_op_num_threads": str(threads),
            "session.intra_op.allow_spinning": "1",
            "providers": "CPUExecutionProvider",
            "inputs and outputs": "bound",
        }
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        options.log_severity_level = 3
        with model_source(model) as source:
            self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once (see `Engine.run`)."""
        feeds = self._feeds(inputs)
        return dict(zip(self._outputs, self._session.run(self._outputs, feeds), strict=True))

    def timed(self, inputs: Mapping[str, np.ndarray], **limits: Unpack[Limits]) -> Timing:
        """Time single invocations with bound inputs and outputs (see `Engine.timed`)."""
        return time_invocations(self._bind(self._feeds(inputs)), **limits)

    def _feeds(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        arrays = check_inputs(self.inputs, cast_inputs(self.inputs, inputs))
        return {spec.name: array for spec, array in zip(self.inputs, arrays, strict=True)}

    def _bind(self, feeds: Mapping[str, np.ndarray]) -> Callable[[], Any]:
        binding = self._session.io_binding()
        # The binding keeps the values, which keep the arrays, alive.
        for name, array in feeds.items():
            binding.bind_ortvalue_input(name, self._ort.OrtValue.ortvalue_from_numpy(array))
        # In a first run ONNX Runtime makes the outputs' buffers; bound again, they are written in place from then on.
        for name in self._outputs:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding)
        values = binding.get_outputs()
        binding.clear_binding_outputs()
        for name, value in zip(self._outputs, values, strict=True):
            binding.bind_ortvalue_output(name, value)
        return lambda: self._session.run_with_iobinding(binding)
