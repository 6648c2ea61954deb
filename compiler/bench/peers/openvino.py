"""OpenVINO on the CPU, with its latency hint: one stream that uses all threads.

The same at any batch, since all engines run one batch after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from compiler.bench.engine import cast_inputs
from compiler.bench.peers import register
from compiler.bench.peers.source import model_source
from compiler.errors import EdgetuneError
from compiler.frontend.model import Model
from compiler.runtime.inputs import check_inputs
from compiler.runtime.timing import Limits, Timing, time_invocations
from compiler.tensors import TensorSpec

if TYPE_CHECKING:
    from typing_extensions import Unpack

_HINTS = {"fp32": "f32", "fp16": "f16"}
_PRECISIONS = {"f32": "fp32", "f16": "fp16", "bf16": "bf16"}


@register("openvino")
class OpenVino:
    """See `compiler.bench.engine.Engine`.

    Asked for FP16, OpenVINO computes in BF16 or FP32 on a CPU without it: `precision` says which.
    """

    name = "openvino"

    def __init__(self, model: Model, threads: int, precision: str, device: str = "cpu") -> None:
        import openvino

        self._openvino = openvino
        self.version: str = openvino.__version__.split("-")[0]
        self.inputs: list[TensorSpec] = model.inputs
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": _HINTS.get(precision, "f32"),
        }
        self.settings = {**{name: str(value) for name, value in settings.items()}, "inputs and outputs": "shared"}
        core = openvino.Core()
        with model_source(model) as source:
            self._model = core.compile_model(core.read_model(source), "CPU", settings)
        actual_threads = self._model.get_property("INFERENCE_NUM_THREADS")
        if actual_threads != threads:
            raise EdgetuneError(f"openvino computes with {actual_threads} threads where {threads} were asked for")
        used = self._model.get_property("INFERENCE_PRECISION_HINT").to_string()
        self.precision = _PRECISIONS.get(used, used)
        self.notes = (
            ()
            if self.precision == precision
            else (f"openvino computes in {self.precision} on this CPU, not in {precision}",)
        )
        self._request = self._model.create_infer_request()
        self._outputs = model.outputs

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once (see `Engine.run`)."""
        self._share(inputs)
        self._request.infer()
        return {spec.name: self._request.get_tensor(spec.name).data.copy() for spec in self._outputs}

    def timed(self, inputs: Mapping[str, np.ndarray], **limits: Unpack[Limits]) -> Timing:
        """Time single invocations with shared inputs and outputs (see `Engine.timed`)."""
        self._share(inputs)
        infer = self._request.infer
        return time_invocations(lambda: infer(share_outputs=True), **limits)

    def _share(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Let the request read its inputs where they are."""
        self._arrays = check_inputs(self.inputs, cast_inputs(self.inputs, inputs))
        for spec, array in zip(self.inputs, self._arrays, strict=True):
            self._request.set_tensor(spec.name, self._openvino.Tensor(array, shared_memory=True))
