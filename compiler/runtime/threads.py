"""The thread that a session computes on, and TVM's own threads for what is not linked with ours.

A package's kernels run on the pool in its library (`compiler.parallel`). What is compiled and run at once (the peak of
the machine, say) runs on TVM's. Left alone, that one takes half the cores of an x86 machine; it is one per calling
thread and never grows after its first use; and making it pins the calling thread, and with it all threads and processes
that this one starts later, other engines' included. So TVM is told not to pin, and every session computes on a thread
of its own, whose pool is made with the right size before anything else can make it. Import this module before TVM
computes anything.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

from compiler.errors import EdgetuneError, UsageError

T = TypeVar("T")

os.environ.setdefault("TVM_BIND_THREADS", "0")

_SHARE_CPUS = -3
"""TVM's affinity mode in which every thread of the pool may run on every CPU of the list (where TVM may pin at all)."""


def _affinity() -> frozenset[int]:
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


_ALLOWED = _affinity()
"""The CPUs that this process may use, asked for before TVM could narrow them."""


def compute_cpus(threads: int) -> list[int]:
    """The CPUs, of those that this process may use, for `threads` threads: one per physical core first.

    Raises UsageError when there are fewer CPUs than threads.
    """
    allowed = sorted(_ALLOWED)
    if not 1 <= threads <= len(allowed):
        raise UsageError(f"{threads} threads were asked for, and this process may use 1 to {len(allowed)} CPUs")
    cores: set[str] = set()
    first: list[int] = []
    siblings: list[int] = []
    for cpu in allowed:
        core = _core_of(cpu)
        (siblings if core in cores else first).append(cpu)
        cores.add(core)
    return sorted((first + siblings)[:threads])


def _core_of(cpu: int) -> str:
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(cpu)


def set_threads(threads: int) -> None:
    """Give the calling thread a TVM pool of `threads` threads; other threads have pools of their own.

    Raises EdgetuneError when the thread has a pool of another size already.
    """
    import tvm

    cpus = [str(cpu) for cpu in compute_cpus(threads)]
    # The length of the list is the size of the pool, if this call makes the pool.
    tvm.get_global_func("runtime.config_threadpool")(_SHARE_CPUS, threads, cpus)
    actual = tvm.runtime.num_threads()
    if actual != threads:
        raise EdgetuneError(
            f"TVM computes with {actual} threads where {threads} were asked for: "
            "its pool was made before; use a new thread or process"
        )


class ComputeThread:
    """A thread with a verified TVM pool, on which a session computes. Calls run one after the other."""

    def __init__(self, threads: int) -> None:
        """Raises UsageError for a count that this machine cannot serve and EdgetuneError when TVM does not obey."""
        cpus = compute_cpus(threads)
        self.threads = threads
        self.own_cpus = cpus if 1 < threads == len(_ALLOWED) else []
        """A CPU for each thread where all are used: left alone, two threads were seen to share one for a second. With
        fewer threads than CPUs the system places them, since other processes would be given the same ones."""
        self.cancelled = threading.Event()
        """Set when a caller was interrupted: loops on this thread look at it and end early."""
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="edgetune-compute")
        try:
            self.call(_set_up, threads)
        except BaseException:
            self.close()
            raise

    def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run `function` on this thread and return or raise what it does."""
        self.cancelled.clear()
        _let_signals_interrupt()
        future: Future[T] | None = None
        try:
            future = self._executor.submit(function, *args, **kwargs)
            return future.result()
        except BaseException:
            if future is None or not future.done():  # Ctrl-C reached the caller, not the thread that computes
                self.cancelled.set()
                # Ctrl-C within `submit` may leave a call under way that nobody holds: whatever is queued ends first.
                last: Future[Any] = future if future is not None else self._executor.submit(_nothing)
                wait([last])
            raise

    def close(self) -> None:
        """End the thread, after the call in progress."""
        self._executor.shutdown(wait=True)


def _set_up(threads: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, _ALLOWED)
    set_threads(threads)


def _let_signals_interrupt() -> None:
    """Have Ctrl-C end a wait for a lock, as Python sets it up.

    The solver in TVM's arithmetic (Z3) puts its own handler for SIGINT in the place of Python's for a moment, and puts
    Python's back so that waits are restarted: Ctrl-C would then be noticed when the wait is over.
    """
    if threading.current_thread() is threading.main_thread():
        signal.siginterrupt(signal.SIGINT, True)


def _nothing() -> None:
    """What is put behind a call to wait for its end."""
