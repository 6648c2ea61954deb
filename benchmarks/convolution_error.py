"""How far each algorithm of a 3x3 or 5x5 convolution is from the exact result, beside ONNX Runtime's own.

    python benchmarks/convolution_error.py [--channels 64,256,512] [--size 28] [--kernel 3]

A layer of normal random activations after ReLU and He-scaled weights, in FP32; the exact result is worked out in
float64. Relative error in the L2 norm, and the largest error of an element over the largest element.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", default="64,256,512")
    parser.add_argument("--size", type=int, default=28)
    parser.add_argument("--kernel", type=int, choices=(3, 5), default=3)
    options = parser.parse_args()
    algorithms = ("direct", "winograd-2x2", "winograd-4x4")[: 3 if options.kernel == 3 else 2]
    shape = (options.kernel, options.kernel)
    print(f"{'channels':>8} {'algorithm':14} {'relative L2':>12} {'largest':>12}")
    for channels in map(int, options.channels.split(",")):
        random = np.random.default_rng(0)
        data = np.maximum(random.standard_normal((1, options.size, options.size, channels), dtype="float32"), 0)
        weight = random.standard_normal((*shape, channels, channels), dtype="float32")
        weight *= np.float32(np.sqrt(2 / (options.kernel**2 * channels)))
        exact = convolution(data.astype("float64"), weight.astype("float64"))
        results = {name: ours(name, data, weight) for name in algorithms}
        results["onnxruntime"] = onnxruntime(data, weight)
        for name, found in results.items():
            error = found.astype("float64") - exact
            relative = np.linalg.norm(error) / np.linalg.norm(exact)
            print(f"{channels:8} {name:14} {relative:12.2e} {np.abs(error).max() / np.abs(exact).max():12.2e}")


def convolution(data: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """NHWC x HWIO, padded to keep its size, as a matrix product for each place of the kernel."""
    _, height, width, channels = data.shape
    size = len(weight)
    side = (size // 2, size // 2)
    padded = np.pad(data, ((0, 0), side, side, (0, 0)))
    out = np.zeros((height * width, weight.shape[3]), data.dtype)
    for y in range(size):
        for x in range(size):
            out += padded[0, y : y + height, x : x + width].reshape(-1, channels) @ weight[y, x]
    return out.reshape(1, height, width, -1)


def ours(name: str, data: np.ndarray, weight: np.ndarray) -> np.ndarray:
    from compiler.tvm_setup import prepare

    prepare()
    import tvm
    from tvm import te

    import targets
    from compiler.graph.algorithms import Algorithm
    from compiler.graph.kernels.conv2d import conv2d
    from compiler.graph.kernels.winograd import conv2d_winograd, transform_weight
    from compiler.graph.scheduling import as_task, cpu_hardware, zero_trial

    m = Algorithm(name).tile
    stored = transform_weight(weight, m) if m else weight
    x, w = (te.placeholder(a.shape, "float32", name=n) for a, n in ((data, "x"), (stored, "w")))
    pads = (len(weight) // 2,) * 4
    out = conv2d_winograd(x, w, pads, 1, m) if m else conv2d(x, w, (1, 1), pads, (1, 1), 1)
    func = te.create_prim_func([x, w, out]).with_attr("layout_free_buffers", [1])
    target = targets.get("native")
    sch = zero_trial(as_task(func), cpu_hardware(target))
    result = tvm.runtime.tensor(np.zeros((*data.shape[:3], weight.shape[3]), "float32"))
    kernel = tvm.compile(sch.mod, target=target.to_tvm())["main"]
    kernel(tvm.runtime.tensor(data), tvm.runtime.tensor(stored), result)
    return result.numpy()


def onnxruntime(data: np.ndarray, weight: np.ndarray) -> np.ndarray:
    import onnx
    import onnxruntime as ort
    from onnx import helper

    channels, out = weight.shape[2:]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[len(weight) // 2] * 4)],
        "conv",
        [value("x", 1, [1, channels, *data.shape[1:3]])],
        [value("y", 1, [1, out, *data.shape[1:3]])],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(weight.transpose(3, 2, 0, 1)), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    [found] = session.run(None, {"x": np.ascontiguousarray(data.transpose(0, 3, 1, 2))})
    return found.transpose(0, 2, 3, 1)


if __name__ == "__main__":
    main()
