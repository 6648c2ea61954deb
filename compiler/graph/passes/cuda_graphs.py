"""Launch all kernels of a model at once: TVM's virtual machine captures them as a CUDA graph in its first run.

Requires: memory planned (`StaticPlanBlockMemory`), kernels called by name.
Ensures: `main` launches what lies in memory of its own as graphs; kernels that read an input of the model or write an
output, which lie elsewhere in every run, are launched as they are. The function WITHOUT_GRAPH is `main` as it was,
kernel by kernel: for profiles, which a graph would hide. A runtime without BUILTINS cannot load the library.
"""

from __future__ import annotations

import tvm
from tvm import relax

from compiler.packaging.manifest import WITHOUT_GRAPH

BUILTINS = ("vm.builtin.cuda_graph.run_or_capture", "vm.builtin.cuda_graph.get_cached_alloc")


def cuda_graphs(mod: tvm.IRModule) -> tvm.IRModule:
    """Apply the pass."""
    plain = mod["main"]
    with tvm.transform.PassContext(config={"relax.backend.use_cuda_graph": True}):
        mod = relax.transform.RewriteCUDAGraph()(mod)
    mod[WITHOUT_GRAPH] = plain.with_attr("global_symbol", WITHOUT_GRAPH)
    return mod
