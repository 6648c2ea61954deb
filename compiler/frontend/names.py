"""The built-in models: their names, and the light graph of the `onnx` package that each is built from (no heavy
import).
"""

from __future__ import annotations

# name -> file in onnx/backend/test/data/light (graphs without their trained weights)
LIGHT_GRAPHS: dict[str, str] = {
    "alexnet": "light_bvlc_alexnet.onnx",
    "googlenet": "light_inception_v1.onnx",
    "squeezenet": "light_squeezenet.onnx",
    "resnet50": "light_resnet50.onnx",
    "vgg19": "light_vgg19.onnx",
    "densenet121": "light_densenet121.onnx",
    "shufflenet": "light_shufflenet.onnx",
    "inception-v2": "light_inception_v2.onnx",
    "zfnet512": "light_zfnet512.onnx",
}


def builtin_names() -> list[str]:
    """The names that `load` takes besides paths of ONNX files."""
    return list(LIGHT_GRAPHS)
