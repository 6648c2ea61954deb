"""A package loaded into this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from compiler.cuda.runtime import load_to_run
from compiler.errors import EdgetuneError
from compiler.package import LIBRARY, Manifest
from compiler.parallel.threads import end_library_threads, set_library_threads
from compiler.runtime.compatibility import identify
from compiler.runtime.device_events import events_of
from compiler.runtime.inputs import check_inputs
from compiler.runtime.instrument import record_runs
from compiler.runtime.outputs import by_kernel, device_kind, flatten, in_one_line
from compiler.runtime.profiling import Profile, summarise
from compiler.runtime.threads import ComputeThread
from compiler.runtime.timing import Limits, Timing, time_invocations
from compiler.tensors import TensorSpec

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")


class LocalExecutable:
    """See `compiler.runtime.session.Executable`. All of TVM's work is done on the session's compute thread."""

    def __init__(self, folder: Path, manifest: Manifest, compute: ComputeThread) -> None:
        """Load what is in `folder`, which may be deleted afterwards.

        Raises EdgetuneError when it is not what `manifest` says.
        """
        self.manifest = manifest
        self.device, self.fingerprint = identify(manifest)
        self._compute = compute
        compute.call(self._load, folder)

    @property
    def threads(self) -> int:
        return self._compute.threads

    @property
    def inputs(self) -> list[TensorSpec]:
        return self.manifest.inputs

    @property
    def outputs(self) -> list[TensorSpec]:
        return self.manifest.outputs

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once and return copies of the outputs (see `Executable.run`)."""
        return self._compute.call(self._run, check_inputs(self.inputs, inputs))

    def timed(self, inputs: Mapping[str, np.ndarray], **limits: Unpack[Limits]) -> Timing:
        """Time single invocations; outputs stay on the device (see `Executable.timed`)."""
        arrays = check_inputs(self.inputs, inputs)

        def measure() -> Timing:
            return time_invocations(
                self._bind(self._vm, arrays),
                **limits,
                cancelled=self._compute.cancelled.is_set,
            )

        return self._compute.call(in_one_line, "run", measure)

    def profile(self, inputs: Mapping[str, np.ndarray], *, runs: int = 5) -> Profile:
        """Time every kernel (see `Executable.profile`)."""
        arrays = check_inputs(self.inputs, inputs)

        def measure() -> Profile:
            # An instrument cannot be taken off again, so a second machine of the same library is profiled.
            vm = self._new_vm()
            run = self._bind(vm, arrays, wait=False, function=by_kernel(self.manifest))
            events = events_of(device_kind(self.manifest))
            return summarise(record_runs(vm.module, run, self._tvm_device.sync, runs, events=events))

        return self._compute.call(in_one_line, "profile", measure)

    def hold(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call `function` on the compute thread, and return or raise what it does (see `Executable.hold`)."""
        return self._compute.call(function, *arguments)

    def prepare(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], dict[str, np.ndarray]]:
        """A run whose inputs are in place (see `Executable.prepare`)."""
        arrays = check_inputs(self.inputs, inputs)
        invoke = in_one_line("run", lambda: self._bind(self._vm, arrays))
        return lambda: in_one_line("run", lambda: self._fetch(invoke))

    def close(self) -> None:
        """End its threads; called by the session that it belongs to."""
        self._compute.call(end_library_threads, self._library)

    def _load(self, folder: Path) -> None:
        import tvm
        import tvm_ffi

        def load() -> None:
            if device_kind(self.manifest) == "cuda":
                load_to_run()
            self._tvm_device = tvm.device(device_kind(self.manifest))
            self._library = tvm_ffi.load_module(str(folder / LIBRARY), keep_module_alive=False)
            set_library_threads(self._library, self._compute.threads, self._compute.own_cpus)
            self._vm = self._new_vm()
            arity = self._vm.module["get_function_arity"]("main")
            if arity != len(self.inputs):
                raise EdgetuneError(f"the library takes {arity} inputs and its manifest lists {len(self.inputs)}")

        in_one_line("load", load)

    def _new_vm(self) -> Any:
        from tvm import relax

        return relax.VirtualMachine(self._library, self._tvm_device)

    def _bind(self, vm: Any, arrays: list[np.ndarray], wait: bool = True, function: str = "main") -> Callable[[], Any]:
        """A call without arguments that runs the model on `arrays`, which are copied to the device once, here.

        With `wait` it returns when the device has done its work.
        Calling `main` directly costs about a microsecond, as little as the virtual machine's stateful interface.
        """
        import tvm

        main = vm[function]
        arguments = [tvm.runtime.tensor(array, device=self._tvm_device) for array in arrays]
        if not wait or device_kind(self.manifest) == "cpu":
            return lambda: main(*arguments)

        def call_and_wait() -> Any:
            result = main(*arguments)
            self._tvm_device.sync()  # a GPU's kernels are still running when `main` returns
            return result

        return call_and_wait

    def _run(self, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
        return in_one_line("run", lambda: self._fetch(self._bind(self._vm, arrays)))

    def _fetch(self, invoke: Callable[[], Any]) -> dict[str, np.ndarray]:
        """Run and copy the outputs."""
        tensors = flatten(invoke())
        if len(tensors) != len(self.outputs):
            raise EdgetuneError(
                f"the library returns {len(tensors)} outputs and its manifest lists {len(self.outputs)}"
            )
        return {spec.name: tensor.numpy() for spec, tensor in zip(self.outputs, tensors, strict=True)}
