"""PyTorch: eager, and compiled. On a GPU with channels last and cuDNN's own search, as its guides recommend.

The graph is the cleaned one, whose batch normalisations are in its convolutions: what is compiled for ours, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from compiler.bench.peers import register
from compiler.bench.peers.bound import BoundPeer
from compiler.frontend.model import Model


class Torch(BoundPeer):
    """See `compiler.bench.engine.Engine`.

    The number of threads is the process's: it holds for all of PyTorch from here on.
    """

    def __init__(self, name: str, mode: str | None, model: Model, threads: int, precision: str, device: str) -> None:
        """`mode` is that of `torch.compile`; None: eager. Raises ImportError where PyTorch is missing."""
        import torch

        from compiler.bench.peers.onnx_torch import convert

        super().__init__(model.inputs)
        self._torch = torch
        self.name = name
        self.version: str = torch.__version__
        gpu = device == "cuda"
        if gpu and not torch.cuda.is_available():
            raise RuntimeError("this PyTorch finds no GPU")
        self.precision = precision if gpu else "fp32"
        self.notes = () if self.precision == precision else (f"{name} runs the fp32 model on a CPU",)
        self.settings = {
            "mode": "eager" if mode is None else f"torch.compile({mode})",
            "memory format": "channels_last",
            "inference mode": "1",
        }
        if gpu:
            torch.backends.cudnn.benchmark = True
            # Where it is allowed, factors of FP32 are rounded to 10 bits; it is the process's, not the module's.
            allowed = precision == "tf32"
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
            self.settings |= {"cudnn.benchmark": "1", "allow_tf32": str(int(allowed))}
        else:
            torch.set_num_threads(threads)
            self.settings["num_threads"] = str(threads)
        self._type = torch.float16 if self.precision == "fp16" else torch.float32
        self._device = torch.device(device)
        module = convert(model.cleaned).eval().to(self._device, self._type)
        module = module.to(memory_format=torch.channels_last)
        self._module = module if mode is None else torch.compile(module, mode=mode)
        self._names = [spec.name for spec in model.outputs]
        self._types = [spec.dtype for spec in model.outputs]
        self._fed: list[Any] = []
        self._made: Any = None

    def feed(self, arrays: list[np.ndarray]) -> None:
        torch = self._torch
        fed = []
        for array in arrays:
            tensor = torch.from_numpy(np.ascontiguousarray(array)).to(self._device)
            if tensor.is_floating_point():
                tensor = tensor.to(self._type)
            if tensor.dim() == 4:
                tensor = tensor.contiguous(memory_format=torch.channels_last)
            fed.append(tensor)
        self._fed = fed
        self._wait()

    @property
    def invoke(self) -> Callable[[], object]:
        torch, module, fed = self._torch, self._module, self._fed
        gpu = self._device.type == "cuda"

        def call() -> None:
            with torch.inference_mode():
                self._made = module(*fed)
            if gpu:
                torch.cuda.synchronize()

        return call

    def fetch(self) -> dict[str, np.ndarray]:
        made = self._made if isinstance(self._made, list | tuple) else [self._made]
        return {
            name: tensor.detach().cpu().numpy().astype(dtype)
            for name, dtype, tensor in zip(self._names, self._types, made, strict=True)
        }

    def _wait(self) -> None:
        if self._device.type == "cuda":
            self._torch.cuda.synchronize()


@register("torch")
def eager(model: Model, threads: int, precision: str, device: str) -> Torch:
    """PyTorch as it is without compiling."""
    return Torch("torch", None, model, threads, precision, device)


@register("torch-compile")
def compiled(model: Model, threads: int, precision: str, device: str) -> Torch:
    """PyTorch compiled; on a GPU with its own search of kernels, and CUDA graphs."""
    return Torch("torch-compile", "max-autotune" if device == "cuda" else "default", model, threads, precision, device)
