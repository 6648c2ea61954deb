"""The process that has TVM's runtime loaded and forks one for each session: it runs nothing of a client itself.

It ends when the agent does, and takes the sessions and their folders with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

from compiler.runtime.agent import channel, processes, session
from compiler.runtime.agent.reactor import READABLE, Reactor
from compiler.scratch import make_scratch_folder, remove_scratch_folder
from targets.cuda_toolkit import cuda_runtime

_SIDECARS = ("libtvm_runtime_extra.so", "libtvm_runtime_cuda.so")
"""What `import tvm` leaves out with TVM_USE_RUNTIME_LIB=1: the virtual machine and the timing functions, and CUDA."""


def run(control: socket.socket, parent: int, memory_limit: int | None) -> NoReturn:
    """What a process forked by the agent becomes. `control` is its end of the channel."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the agent
        os.setsid()
        processes.call_it("edgetune-templ")
        processes.close_descriptors([control.fileno()])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if os.getppid() != parent:
            os._exit(1)
        processes.adopt_orphans()
        try:
            missing = load_runtime()
        except Exception as error:  # noqa: BLE001 - the agent tells it, whatever it is
            channel.send(control, "failed", error=f"{type(error).__name__}: {error}"[:500])
            os._exit(1)
        gc.collect()
        gc.freeze()  # a collection in a session would copy the pages of all that is shared
        channel.send(control, "ready", missing=missing)
        _Template(control, memory_limit).run()
        status = 0
    except BaseException as error:  # noqa: BLE001 - nothing of the agent's, whose stack this is, may run here
        with contextlib.suppress(OSError):
            channel.send(control, "failed", error=f"{type(error).__name__}: {error}"[:500])
    finally:
        os._exit(status)


def load_runtime() -> list[str]:
    """Import TVM's runtime and what sessions use, in one thread. Returns the names of the libraries that do not load.

    Raises what the import raises where TVM is not there.
    """
    os.environ["TVM_USE_RUNTIME_LIB"] = "1"
    # A process with more threads than one must not fork, and numpy's BLAS would make some. Candidates have their own.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    # TVM imports PyTorch where it is installed, which takes seconds and memory that a board may not have, or fails.
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]
    import compiler.runtime.threads  # noqa: I001 - before TVM: it tells TVM not to pin threads
    import tvm.base

    folder = Path(tvm.base._LOADED_LIBS["tvm_runtime"]._name).resolve().parent
    runtime = cuda_runtime()
    if runtime is not None:  # in PyPI's package, where the loader does not look
        with contextlib.suppress(OSError):
            ctypes.CDLL(str(runtime), ctypes.RTLD_GLOBAL)
    missing = []
    for name in _SIDECARS:
        try:
            # Only loaded: CUDA itself is started by the session that asks for a GPU, since it does not survive a fork.
            ctypes.CDLL(str(folder / name), ctypes.RTLD_LOCAL)
        except OSError:
            missing.append(name)
    import compiler.runtime.agent.functions
    import compiler.runtime.measure.candidate  # noqa: F401

    return missing


class _Session:
    def __init__(self, number: int, folder: Path, lock: int | None) -> None:
        self.number = number
        self.folder = folder
        self.lock = lock


class _Template:
    def __init__(self, control: socket.socket, memory_limit: int | None) -> None:
        self._control = control
        self._memory_limit = memory_limit
        self._sessions: dict[int, _Session] = {}  # by process
        self._cleaners: set[int] = set()
        self._reactor = Reactor(self._failed)
        self._wake, self._waker = os.pipe()
        for end in (self._wake, self._waker):
            os.set_blocking(end, False)

    def run(self) -> None:
        """Serve until the agent's end of the channel is closed."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        self._reactor.watch(self._wake, READABLE, self._child_ended)
        self._reactor.watch(self._control, READABLE, self._told)
        self._reactor.run()
        for pid in self._sessions:
            _kill_group(pid)
        processes.kill_children()
        for one in self._sessions.values():
            remove_scratch_folder(one.folder, one.lock)

    def _failed(self, error: BaseException) -> None:
        raise error  # a template in doubt ends; the agent makes another

    def _told(self, _events: int) -> None:
        try:
            message = channel.receive(self._control)
        except ConnectionError:
            message = None
        if message is None:
            self._reactor.stop()
        elif message.what == "start":
            self._start(message)
        elif message.what == "kill":
            for pid, one in self._sessions.items():
                if one.number == message.values["number"]:
                    _kill_group(pid)

    def _start(self, message: channel.Message) -> None:
        client, output = message.descriptors
        number = int(message.values["number"])
        try:
            folder, lock = make_scratch_folder("session")
            pid = _fork()
        except OSError as error:  # no memory, no space, or too many processes
            channel.send(self._control, "ended", number=number, status=None, error=str(error))
        else:
            if pid == 0:
                self._become_session(client, output, str(folder), message)
            self._sessions[pid] = _Session(number, folder, lock)
            channel.send(self._control, "started", number=number, folder=str(folder))
        os.close(client)
        os.close(output)

    def _become_session(self, client: int, output: int, folder: str, message: channel.Message) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for end in (self._wake, self._waker, self._control.detach()):
                os.close(end)
            session.run(client, output, folder, self._memory_limit, message.values["key"], message.values["gpu"])
        finally:
            os._exit(session.FAILED)

    def _child_ended(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake, 512):
                pass
        while True:
            try:
                # Not reaped yet: as long as it is there its number belongs to nobody else.
                info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if info is None:
                return
            pid = info.si_pid
            if pid in self._sessions:
                _kill_group(pid)
            _, status = os.waitpid(pid, 0)
            self._cleaners.discard(pid)
            if pid in self._sessions:
                self._ended(self._sessions.pop(pid), status)

    def _ended(self, one: _Session, status: int) -> None:
        # What has left the session's process group, or was started by what has.
        processes.kill_children(keep={*self._sessions, *self._cleaners})
        channel.send(self._control, "ended", number=one.number, status=status, error=None)
        pid = _fork()  # a folder with very much in it holds nobody up
        if pid == 0:
            remove_scratch_folder(one.folder, one.lock)
            os._exit(0)
        if one.lock is not None:
            os.close(one.lock)  # the cleaner holds it
        self._cleaners.add(pid)


def _fork() -> int:
    return os.fork()


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    # Before it has made the group, it is alone.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
