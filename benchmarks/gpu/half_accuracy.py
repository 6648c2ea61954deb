"""What FP16 as GPUs keep it costs in accuracy, computed on a CPU: weights and activations rounded, sums in FP32.

python benchmarks/gpu/half_accuracy.py [--models squeezenet,...] [--images 1000] [--batch 8] [--json FILE]

The kernels and what lies between them are those that `edgetune compile --target cuda-...` lowers a model to; they are
scheduled for this machine's CPU. It shows what rounding does, and nothing of a GPU's arithmetic: on tensor cores the
order of the sums is another. Beside ONNX Runtime in FP32, over seeded random images: how often the largest class is the
same (of images whose two largest classes are nearer to each other than FP16 can tell, how many), and the relative L2
error of the worst batch.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
TIE = 2.0**-10  # of the largest class: what FP16 tells apart


def measure(name: str, images: int, batch: int) -> dict[str, object]:
    import tvm
    from tvm import relax

    import targets
    from compiler.bench.probes import probe_inputs
    from compiler.build import generate, link
    from compiler.cuda.front import lower_for_gpus
    from compiler.frontend import load, ort_session
    from compiler.graph.scheduling import hardware_of, schedule_module
    from compiler.runtime.threads import ComputeThread

    model, native = load(name, batch=batch), targets.get("native")
    lowered = lower_for_gpus(model, "fp16")
    session = ort_session(model)
    threads = ComputeThread(native.cores)
    same = ties = seen = 0
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "half.so"
        mod, _ = schedule_module(lowered.lowered.mod, hardware_of(native), lambda task: None)
        with native.to_tvm():
            mod = relax.transform.FoldConstant()(relax.transform.SplitLayoutRewritePreproc()(mod))
            link(generate(relax.transform.DeadCodeElimination(["main"])(mod), native.to_tvm()), library, native)
        machine = threads.call(lambda: relax.VirtualMachine(tvm.runtime.load_module(str(library)), tvm.cpu()))
        for number in range(-(-images // batch)):
            [inputs] = probe_inputs(model.inputs, 1, seed=number)
            expected = np.asarray(session.run(None, inputs)[0], np.float64).reshape(batch, -1)
            given = [tvm.runtime.tensor(inputs[spec.name]) for spec in model.inputs]
            made = threads.call(lambda given=given: machine["main"](*given))
            found = (made if hasattr(made, "numpy") else made[0]).numpy().astype(np.float64).reshape(batch, -1)
            top = np.sort(expected, axis=1)
            close = top[:, -1] - top[:, -2] < TIE * np.abs(top[:, -1])
            same += int((expected.argmax(1) == found.argmax(1)).sum())
            ties += int(((expected.argmax(1) != found.argmax(1)) & close).sum())
            seen += batch
            worst = max(worst, float(np.linalg.norm(found - expected) / np.linalg.norm(expected)))
    threads.close()
    kept = len(lowered.kept_fp32)
    return {"model": name, "images": seen, "same": same, "ties": ties, "rel_l2_err": worst, "kept_fp32": kept}


def main() -> int:
    sys.path.insert(0, str(ROOT))
    from compiler.frontend import builtin_names
    from compiler.tvm_setup import prepare

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(builtin_names()))
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--json", help="append a line per model")
    options = parser.parse_args()
    prepare()
    for name in options.models.split(","):
        started = time.monotonic()
        row = measure(name, options.images, options.batch)
        took = time.monotonic() - started
        print(
            f"{name:13} {row['same']} of {row['images']} the same class ({row['ties']} of the others are ties), "
            f"relative L2 error {row['rel_l2_err']:.1e} at most, {row['kept_fp32']} tensors kept in FP32, {took:.0f} s",
            flush=True,
        )
        if options.json:
            with Path(options.json).open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
