"""A session: an open device on which packages run. What every session can do, and the local one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from compiler.errors import EdgetuneError
from compiler.package import Manifest, Package
from compiler.runtime.compatibility import why_not_load
from compiler.runtime.executable import LocalExecutable
from compiler.runtime.profiling import Profile
from compiler.runtime.threads import ComputeThread
from compiler.runtime.timing import Limits, Timing
from compiler.tensors import TensorSpec

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")


class Executable(Protocol):
    """A package loaded on a device. Inputs and outputs are dicts of numpy arrays by name."""

    @property
    def manifest(self) -> Manifest: ...

    @property
    def inputs(self) -> list[TensorSpec]: ...

    @property
    def outputs(self) -> list[TensorSpec]: ...

    @property
    def device(self) -> str:
        """What runs it, as a result names it: the CPU's model or the GPU's."""
        ...

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the device as this package's target."""
        ...

    @property
    def threads(self) -> int:
        """How many threads it computes with."""
        ...

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once. Raises UsageError for inputs that do not fit and EdgetuneError when the device fails."""
        ...

    def timed(self, inputs: Mapping[str, np.ndarray], **limits: Unpack[Limits]) -> Timing:
        """Time single invocations on the device, without transfers of inputs and outputs (see `time_invocations`)."""
        ...

    def profile(self, inputs: Mapping[str, np.ndarray], *, runs: int = 5) -> Profile:
        """Time every kernel of the model, over `runs` runs."""
        ...

    def hold(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call `function` where this executable computes, and return or raise what it does: in it, what `prepare` gives
        runs at once, and nothing else of this session does."""
        ...

    def prepare(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], dict[str, np.ndarray]]:
        """Put inputs on the device; the call that comes back runs on them and returns copies of the outputs.

        Both belong within `hold`. Raises UsageError for inputs that do not fit.
        """
        ...


class Session(Protocol):
    """An open device. Use it in a `with` statement, or `close` it."""

    @property
    def threads(self) -> int: ...

    def load(self, package: Package) -> Executable:
        """Load a package. Raises EdgetuneError when the device cannot run it, before any code of it is loaded."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Session: ...

    def __exit__(self, *exception: object) -> None: ...


class LocalSession:
    """A session on this machine, in this process, with exactly `threads` TVM threads for all that it loads."""

    def __init__(self, threads: int) -> None:
        """Raises UsageError when this process may not use that many CPUs."""
        self._compute = ComputeThread(threads)
        self._loaded: list[LocalExecutable] = []

    @property
    def threads(self) -> int:
        return self._compute.threads

    def load(self, package: Package) -> LocalExecutable:
        """Load a package (see `Session.load`)."""
        reason = why_not_load(package.manifest)
        if reason is not None:
            raise EdgetuneError(f"{package.path} cannot run on this machine: {reason}")
        # The folder may go as soon as the library is mapped, so that nothing is left behind whatever happens later.
        with package.unpack() as folder:
            executable = LocalExecutable(folder, package.manifest, self._compute)
        self._loaded.append(executable)
        return executable

    def close(self) -> None:
        """End the session; what it has loaded cannot be used afterwards."""
        while self._loaded:
            self._loaded.pop().close()
        self._compute.close()

    def __enter__(self) -> LocalSession:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
