"""A session on a board: packages are sent to it, and run and timed there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np

from compiler.errors import EdgetuneError, UsageError
from compiler.package import LIBRARY, Manifest, Package
from compiler.parallel.threads import set_library_threads
from compiler.runtime.compatibility import identify, why_not_load
from compiler.runtime.inputs import check_inputs
from compiler.runtime.instrument import Recorded
from compiler.runtime.outputs import by_kernel, device_kind, flatten, in_one_line
from compiler.runtime.profiling import Profile, joined, summarise
from compiler.runtime.rpc.address import Way
from compiler.runtime.rpc.connect import PATIENCE_SECONDS, Connection, Waiting, connect
from compiler.runtime.rpc.identity import Identity, machine_of
from compiler.runtime.timing import Edges, Timing, Window
from compiler.tensors import TensorSpec

_PART = 16 << 20
"""Bytes that are sent at once, so that progress is seen."""
_CALL_SECONDS = 1.0
"""About how long a single call of the timer on the board takes, so that Ctrl-C and time limits are obeyed."""
_FEWEST = 4
"""Runs that such a call makes at least, where so many are wanted."""

T = TypeVar("T")
Sent = Callable[[int, int], None]
"""Told how many bytes of how many were sent."""


class Transfer(NamedTuple):
    """What was carried to the board or from it: bytes, and the seconds that it took."""

    bytes: int
    seconds: float


class RemoteExecutable:
    """A package loaded on a board. See `compiler.runtime.session.Executable`; times are taken on the board."""

    def __init__(self, connection: Connection, manifest: Manifest, path: str, threads: int) -> None:
        """Load the library at `path` on the board, an absolute path or one in the session's folder.

        Raises EdgetuneError where it is not what `manifest` says.
        """
        self.manifest = manifest
        self.threads = threads
        self.transfers: list[Transfer] = []
        self._connection = connection
        self.device, self.fingerprint = identify(manifest, machine_of(connection.identity))

        def load() -> None:
            from tvm import relax

            remote = connection.remote
            self._tvm_device = remote.device(device_kind(manifest))
            self._library = remote.load_module(path)
            set_library_threads(self._library, threads)
            self._vm = relax.VirtualMachine(self._library, self._tvm_device)
            arity = int(self._vm.module["get_function_arity"]("main"))
            if arity != len(self.inputs):
                raise EdgetuneError(f"the library takes {arity} inputs and its manifest lists {len(self.inputs)}")

        self._do("load", load)

    @property
    def inputs(self) -> list[TensorSpec]:
        return self.manifest.inputs

    @property
    def outputs(self) -> list[TensorSpec]:
        return self.manifest.outputs

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once on the board and return copies of the outputs (see `Executable.run`)."""
        arrays = check_inputs(self.inputs, inputs)

        def call() -> dict[str, np.ndarray]:
            self._set_inputs(self._vm, arrays)
            return self._invoke()

        result: dict[str, np.ndarray] = self._do("run", call)
        return result

    def hold(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call `function`; the board computes for whoever asks it (see `Executable.hold`)."""
        return function(*arguments)

    def prepare(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], dict[str, np.ndarray]]:
        """A run whose inputs are on the board already (see `Executable.prepare`)."""
        arrays = check_inputs(self.inputs, inputs)
        tensors = self._do("run", lambda: self._sent(arrays))

        def call() -> dict[str, np.ndarray]:
            self._vm.set_input("main", *tensors)
            return self._invoke()

        return lambda: self._do("run", call)

    def timed(
        self,
        inputs: Mapping[str, np.ndarray],
        *,
        runs: int = 1,
        seconds: float = 0.0,
        warmup_runs: int = 0,
        warmup_seconds: float = 0.0,
        limit_seconds: float | None = None,
        edges: Edges | None = None,
    ) -> Timing:
        """Time single invocations by the board's clock, without transfers (see `Executable.timed`).

        With `edges` there is a window for each call of the board's timer. The board itself tells when it begins and
        ends, so `edges` are not asked; the agent must have `edgetune.power.run`.
        """
        arrays = check_inputs(self.inputs, inputs)

        def measure() -> Timing:
            self._set_inputs(self._vm, arrays)
            warm: list[float] = []
            if warmup_runs or warmup_seconds:
                warm = self._series(warmup_runs, warmup_seconds, limit_seconds)
            windows: list[Window] | None = None if edges is None else []
            began = float(self._connection.call("edgetune.clock"))
            durations = self._series(max(1, runs), seconds, limit_seconds, warm, windows)
            ended = float(self._connection.call("edgetune.clock"))
            return Timing(tuple(durations), began, ended, tuple(windows or ()))

        timing: Timing = self._do("run", measure)
        return timing

    def profile(self, inputs: Mapping[str, np.ndarray], *, runs: int = 5) -> Profile:
        """Time every kernel on the board, by its clock (see `Executable.profile`)."""
        arrays = check_inputs(self.inputs, inputs)

        def measure() -> Profile:
            from tvm import relax

            # An instrument cannot be taken off again, so a second machine of the same library is profiled.
            machine = relax.VirtualMachine(self._library, self._tvm_device)
            self._set_inputs(machine, arrays, by_kernel(self.manifest))
            parts = [self._recorded(machine, 1, True)]
            left, each = runs - 1, parts[0].runs[-1].nanoseconds * 1e-9
            while left > 0:
                count = min(left, max(1, int(_CALL_SECONDS / max(each, 1e-7))))
                parts.append(self._recorded(machine, count, False))
                left -= count
            return summarise(joined(parts))

        profile: Profile = self._do("profile", measure)
        return profile

    def _recorded(self, machine: Any, runs: int, warm_up: bool) -> Recorded:
        function = by_kernel(self.manifest)
        job = {"function": function, "runs": runs, "warm_up": warm_up, "device": device_kind(self.manifest)}
        answer = str(self._connection.call("edgetune.profile", machine.module, json.dumps(job)))
        try:
            recorded = msgspec.json.decode(answer.encode(), type=Recorded)
        except msgspec.MsgspecError as error:
            raise EdgetuneError(f"the board's profile is none: {error}") from None
        if not recorded.runs:
            raise EdgetuneError("the board's profile is none: it has no runs")
        return recorded

    def _invoke(self) -> dict[str, np.ndarray]:
        """Run on the inputs that are set, and fetch the outputs."""
        self._vm.invoke_stateful("main")
        started = time.perf_counter()
        tensors = [tensor.numpy() for tensor in flatten(self._vm.get_outputs("main"))]
        self.transfers.append(Transfer(sum(t.nbytes for t in tensors), time.perf_counter() - started))
        if len(tensors) != len(self.outputs):
            raise EdgetuneError(
                f"the library returns {len(tensors)} outputs and its manifest lists {len(self.outputs)}"
            )
        return {spec.name: tensor for spec, tensor in zip(self.outputs, tensors, strict=True)}

    def _set_inputs(self, machine: Any, arrays: list[np.ndarray], function: str = "main") -> None:
        machine.set_input(function, *self._sent(arrays))

    def _sent(self, arrays: list[np.ndarray]) -> list[Any]:
        """The arrays as tensors on the board."""
        import tvm

        started = time.perf_counter()
        tensors = []
        for array in arrays:
            tensor = tvm.runtime.empty(array.shape, array.dtype.name, self._tvm_device)
            tensor.copyfrom(array)
            tensors.append(tensor)
        self.transfers.append(Transfer(sum(a.nbytes for a in arrays), time.perf_counter() - started))
        return tensors

    def _series(
        self,
        runs: int,
        seconds: float,
        limit: float | None,
        known: Sequence[float] = (),
        windows: list[Window] | None = None,
    ) -> list[float]:
        """As `time_invocations` does it, in calls of about a second each; `known` are durations of runs before.

        With `windows`, that of each call is appended.
        """
        durations: list[float] = []
        started = time.monotonic()
        count = 1
        if known:
            each = max(sum(known) / len(known), 1e-7)
            most = _FEWEST * len(known) if limit is None else min(_FEWEST * len(known), int(limit / each))
            count = self._calls(runs, seconds, each, most)
        while True:
            evaluate = self._vm.time_evaluator(
                "invoke_stateful",
                self._tvm_device,
                number=1,
                repeat=count,
                f_preproc="" if windows is None else "edgetune.power.run",
            )
            taken = evaluate("main").results
            if windows is not None:
                windows.append(self._window(taken[-1]))
            durations += taken
            # What is asked for is time that the model ran, as the board counted it.
            spent, passed = sum(durations), time.monotonic() - started
            if (len(durations) >= runs and spent >= seconds) or (limit is not None and passed >= limit):
                return durations
            each = spent / len(durations)
            count = self._calls(runs - len(durations), seconds - spent, each, _FEWEST * len(durations))

    def _calls(self, runs: int, seconds: float, each: float, most: int) -> int:
        """How many runs of `each` seconds the next call of the timer makes, at most `most`."""
        each = max(each, 1e-7)
        wanted = max(runs, int(seconds / each) + 1)
        # Each call of the timer begins with a run that is not counted, so slow models are not asked one by one.
        return max(1, min(wanted, max(_FEWEST, int(_CALL_SECONDS / each)), most))

    def _window(self, last_seconds: float) -> Window:
        """When the counted runs of the last call of the timer ran, the last of which took `last_seconds`."""
        asked = time.time()
        runs = json.loads(self._connection.call("edgetune.power.runs"))
        wall = (asked + time.time()) / 2 - (runs["now"] - runs["begin"])
        return Window(runs["begin"], min(runs["last"] + last_seconds, runs["now"]), wall)

    def _do(self, what: str, function: Callable[[], Any]) -> Any:
        try:
            return in_one_line(what, function)
        except EdgetuneError as error:
            if self._connection.just_lost():
                raise EdgetuneError(
                    f"the session on the board {self._connection.address} ended (a crash, its time limit, or the board "
                    f"is gone; the agent's log says more): {error}"
                ) from error
            raise


class RemoteSession:
    """A session on the board that `way` leads to. See `compiler.runtime.session.Session`."""

    def __init__(
        self,
        way: Way,
        threads: int | None = None,
        *,
        patience: float = PATIENCE_SECONDS,
        waiting: Waiting | None = None,
        sent: Sent | None = None,
    ) -> None:
        """Packages compute with `threads` threads, by default with as many as each was compiled for, or all CPUs of
        the board where those are fewer. Raises EdgetuneError where no session is to be had within `patience` seconds,
        UsageError where the board has fewer CPUs."""
        self._threads = threads
        self._sent = sent
        self.connection = connect(way, patience=patience, waiting=waiting)
        self.upload: Transfer | None = None
        """What the last package took to be sent."""
        try:
            cores = self.identity.cores
            if threads is not None and not 1 <= threads <= cores:
                raise UsageError(f"{threads} threads were asked for, and the board may use 1 to {cores} CPUs")
        except BaseException:
            self.connection.close()
            raise

    @property
    def identity(self) -> Identity:
        """What the board is."""
        return self.connection.identity

    @property
    def threads(self) -> int:
        """How many threads packages compute with at most."""
        return self._threads if self._threads is not None else self.identity.cores

    def threads_for(self, manifest: Manifest) -> int:
        """How many threads a package computes with."""
        return self._threads if self._threads is not None else min(manifest.threads, self.identity.cores)

    def load(self, package: Package) -> RemoteExecutable:
        """Send a package to the board and load it (see `Session.load`)."""
        self._must_fit(package.manifest, str(package.path))
        with package.unpack() as folder:
            started = time.perf_counter()
            size = self.send(folder / LIBRARY, LIBRARY, package.checksums[LIBRARY])
            self.upload = Transfer(size, time.perf_counter() - started)
        return RemoteExecutable(self.connection, package.manifest, LIBRARY, self.threads_for(package.manifest))

    def load_deployed(self, path: str, manifest: Manifest, checksum: str) -> RemoteExecutable:
        """Load the library that lies at `path` on the board, if its SHA-256 is `checksum` (hex)."""
        self._must_fit(manifest, path)
        found = str(self.connection.call("edgetune.sha256", path))
        if found != checksum:
            raise EdgetuneError(f"{path} on the board is not what was deployed: its SHA-256 is {found}")
        return RemoteExecutable(self.connection, manifest, path, self.threads_for(manifest))

    def close(self) -> None:
        """End the session; what it has loaded cannot be used afterwards."""
        self.connection.close()

    def __enter__(self) -> RemoteSession:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _must_fit(self, manifest: Manifest, name: str) -> None:
        identity = self.identity
        reason = why_not_load(manifest, machine_of(identity), identity.tvm)
        if reason is not None:
            raise EdgetuneError(f"{name} cannot run on the board {self.connection.address}: {reason}")

    def send(self, path: Path, name: str, checksum: str | None = None) -> int:
        """Send a file to the session's folder, in parts, and have the board check it; returns its size in bytes.

        checksum: its SHA-256 in hex (None: not checked). Raises EdgetuneError where it arrives damaged.
        """
        size = path.stat().st_size
        for begun in range(0, max(1, size), _PART):  # a file of no bytes is made, too
            part = min(_PART, size - begun)
            self.connection.send_file(path, begun, part, name)
            if self._sent is not None:
                self._sent(begun + part, size)
        if checksum is not None:
            found = str(self.connection.call("edgetune.sha256", name))
            if found != checksum:
                raise EdgetuneError(f"{name} arrived damaged at the board {self.connection.address}: send it again")
        return size
