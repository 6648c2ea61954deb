"""Building a candidate: a scheduled kernel becomes a shared library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compiler.direct_linker import direct_linker
from compiler.parallel.extent import announce_extents

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
    compiled = tvm.compile(announce_extents(mod), target=tvm.target.Target(target))
    triple = str(target.get("host", target).get("mtriple", "")) or None
    compiled.export_library(str(Path(library)), fcompile=direct_linker(triple))
    return library, [(tuple(int(d) for d in p.shape), str(p.dtype)) for p in mod["main"].params]
