"""What the peers have in common that hold their inputs and outputs on a device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from compiler.bench.engine import cast_inputs
from compiler.runtime.inputs import check_inputs
from compiler.runtime.timing import Limits, Timing, time_invocations
from compiler.tensors import TensorSpec

if TYPE_CHECKING:
    from typing_extensions import Unpack


class BoundPeer(ABC):
    """An engine (`compiler.bench.engine.Engine`) but for loading, feeding and fetching."""

    def __init__(self, inputs: list[TensorSpec]) -> None:
        self.inputs = inputs

    @abstractmethod
    def feed(self, arrays: list[np.ndarray]) -> None:
        """Have what runs next run on `arrays`, in the order of the inputs: on the device when this returns."""

    @property
    @abstractmethod
    def invoke(self) -> Callable[[], object]:
        """Runs once, and returns when that is done; outputs stay on the device."""

    @abstractmethod
    def fetch(self) -> dict[str, np.ndarray]:
        """Copies of the outputs of the last run."""

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once (see `Engine.run`)."""
        self.feed(self._checked(inputs))
        self.invoke()
        return self.fetch()

    def timed(self, inputs: Mapping[str, np.ndarray], **limits: Unpack[Limits]) -> Timing:
        """Time single invocations (see `Engine.timed`)."""
        self.feed(self._checked(inputs))
        return time_invocations(self.invoke, **limits)

    def _checked(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return check_inputs(self.inputs, cast_inputs(self.inputs, inputs))
