"""Building a candidate: a scheduled kernel becomes a shared library."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from compiler.cuda import callback
from compiler.cuda.checks import check_library
from compiler.cuda.lowering import lowering
from compiler.direct_linker import direct_linker
from compiler.linker import export
from compiler.parallel.extent import announce_extents
from schedules.cuda.gpu import gpu
from targets.cuda_toolkit import sm

Candidate = tuple[str, list[tuple[tuple[int, ...], str]]]


def build(module: str, target: dict[str, Any], library: str, keep_packing: bool = False) -> Candidate:
    """Compile `module` (TVM's JSON of {"main": scheduled function}) for `target` into the file `library`; returns the
    file and shape and dtype of each parameter.

    Weights are expected in the packed layout, as the compiled model has them; with `keep_packing` they are taken as
    they are in the model and packed at each call (for checking what a candidate computes).
    """
    import tvm
    from tvm.s_tir.transform import RemoveWeightLayoutRewriteBlock
    from tvm_ffi.serialization import from_json_graph_str

    # Not `tvm.ir.load_json`: what that does for files of older versions takes longer than all the rest of loading.
    mod = from_json_graph_str(module)
    if not keep_packing:
        mod = RemoveWeightLayoutRewriteBlock(skip_tensor_rewrite=True)(mod)
    device = tvm.target.Target(target)
    on_gpu = device.kind.name == "cuda"
    if on_gpu:
        # NVRTC would start the driver, where there is one, and fill its cache with candidates.
        os.environ.setdefault("CUDA_CACHE_DISABLE", "1")
        callback.register(keep=False)
    with device, lowering(device):
        compiled = tvm.compile(announce_extents(mod), target=device)
    triple = str(target.get("host", target).get("mtriple", "")) or None
    export(compiled, Path(library), direct_linker(triple))
    if on_gpu:
        arch = str(target["arch"])
        check_library(Path(library), arch, gpu(sm(arch), sms=1))  # what cannot be launched is not measured
    return library, [(tuple(int(d) for d in p.shape), str(p.dtype)) for p in mod["main"].params]
