"""The peak of what a package runs on, whatever that is; where it is not measured, why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.bench.peak import Peak, measure_peak
from compiler.errors import EdgetuneError
from compiler.runtime.outputs import device_kind
from compiler.runtime.session import Executable, LocalSession

if TYPE_CHECKING:
    from compiler.runtime.rpc.session import RemoteSession


def peak_of(session: LocalSession | RemoteSession, executable: Executable) -> Peak | str:
    """The measured peak of the device of `executable`, or one line that says why there is none.

    It is measured where the package runs, with its threads: this machine's says nothing of a board. That of a GPU is
    the peak of what its kernels of the package's precision compute with.
    """
    try:
        if device_kind(executable.manifest) != "cpu":
            from compiler.bench.gpu_peak import measure_gpu_peak

            return measure_gpu_peak(session, executable.manifest.target.name, executable.manifest.precision)
        if isinstance(session, LocalSession):
            return measure_peak(executable.threads)
        from compiler.bench.board_peak import measure_board_peak

        return measure_board_peak(session, executable.threads)
    except EdgetuneError as error:
        return f"the peak was not measured: {error}"
