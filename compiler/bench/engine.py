"""What is measured: our package on a session, or a peer. All look the same from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from compiler.runtime.session import Executable
from compiler.runtime.timing import Limits, Timing
from compiler.tensors import TensorSpec

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Engine(Protocol):
    """A model loaded by an engine, ready to run.

    `precision` is what it really computes in, which may not be what was asked for; `notes` says so, in sentences for a
    result's warnings; `settings` are those that it was given, by the names that it has for them.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def precision(self) -> str: ...

    @property
    def notes(self) -> Sequence[str]: ...

    @property
    def settings(self) -> Mapping[str, str]: ...

    @property
    def inputs(self) -> list[TensorSpec]: ...

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once."""
        ...

    def timed(self, inputs: Mapping[str, np.ndarray], **limits: Unpack[Limits]) -> Timing:
        """Time single invocations, inputs and outputs in place already (see `time_invocations`)."""
        ...


class PackageEngine:
    """Our own engine: an executable of a local or remote session."""

    name = "edgetune"

    def __init__(self, executable: Executable) -> None:
        self.executable = executable
        manifest = executable.manifest
        self.version = manifest.tool_version
        self.precision = manifest.precision
        self.notes: tuple[str, ...] = ()
        self.settings: dict[str, str] = {}
        self.inputs = executable.inputs

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once (see `Engine.run`)."""
        return self.executable.run(inputs)

    def timed(self, inputs: Mapping[str, np.ndarray], **limits: Unpack[Limits]) -> Timing:
        """Time on the session's device (see `Engine.timed`)."""
        return self.executable.timed(inputs, **limits)


def cast_inputs(specs: Sequence[TensorSpec], inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same values in the float widths that `specs` ask for; other mismatches are left for the engine to find."""
    wanted = {spec.name: spec.dtype for spec in specs}
    return {
        name: array.astype(wanted[name]) if name in wanted and _both_float(array.dtype.name, wanted[name]) else array
        for name, array in inputs.items()
    }


def _both_float(a: str, b: str) -> bool:
    return a != b and a.startswith("float") and b.startswith("float")
