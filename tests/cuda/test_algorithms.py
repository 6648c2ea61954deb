"""Winograd on GPUs only where its smaller products outweigh its larger traffic, and never in FP16."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compiler.cuda.algorithms import cheapest, chooser
from compiler.graph.algorithms import Algorithm, Convolution

VGG = Convolution(1, 56, 56, 256, 256, (3, 3), (1, 1), (1, 1), 1)


@pytest.mark.parametrize(
    ("conv", "wanted"),
    [
        (VGG, Algorithm.WINOGRAD_4),
        (replace(VGG, n=128, oh=14, ow=14), Algorithm.WINOGRAD_4),
        (replace(VGG, oh=14, ow=14), Algorithm.DIRECT),  # its transformed weights are read for 16 tiles only
        (replace(VGG, ci=16, co=16), Algorithm.DIRECT),
        (replace(VGG, groups=4), Algorithm.DIRECT),
        (replace(VGG, stride=(2, 2)), Algorithm.DIRECT),
    ],
)
def test_the_cheapest_algorithm(conv: Convolution, wanted: Algorithm) -> None:
    assert cheapest(conv) is wanted
    assert chooser("float32")(0, conv) is wanted
    assert chooser("float16")(0, conv) is Algorithm.DIRECT
