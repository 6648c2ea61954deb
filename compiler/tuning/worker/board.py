"""A session on a board, in a process of its own at the desk: what is asked here may block for ever, and the process is
killed then, which ends the session."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compiler.errors import EdgetuneError
from compiler.runtime.rpc.address import Address, Way

if TYPE_CHECKING:
    from compiler.runtime.rpc.connect import Connection

Answer = dict[str, Any]


class BoardSession:
    """The session of this process. Each of its jobs answers with a dictionary.

    `error` in it is one line, and `lost` whether the session has ended with it.
    """

    def __init__(self) -> None:
        self._connection: Connection | None = None

    def open(self, host: str, port: int, key: str | None, limit: float, patience: float) -> Answer:
        """Open a session of at most `limit` seconds, waiting `patience` seconds for the board to be free.

        Answers with `address` ([host, port]) of the agent and `identity`, the board's as the agent's JSON.
        """
        from compiler.runtime.rpc.connect import connect

        self.close()
        try:
            opened = connect(Way(Address(host, port), key), limit_seconds=limit, patience=patience)
            self._connection = opened
            return {"address": list(opened.address), "identity": str(opened.call("edgetune.identity"))}
        except EdgetuneError as error:
            self.close()
            return {"error": str(error), "lost": True}

    def close(self) -> Answer:
        """End the session."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        return {}

    def send(self, library: str) -> Answer:
        """Send the file `library` to the session's folder, and have the board check it."""
        path = Path(library)
        content = path.read_bytes()
        try:
            self._call("tvm.rpc.server.upload", path.name, bytearray(content))
            found = str(self._call("edgetune.sha256", path.name))
        except EdgetuneError as error:
            return self._failed(error)
        if found != hashlib.sha256(content).hexdigest():
            return {"error": "the library arrived damaged", "lost": False}
        return {}

    def measure(self, job: Answer) -> Answer:
        """Measure a library that was sent, and remove it; `job` is that of the protocol. Answers with `seconds`."""
        try:
            answer = json.loads(str(self._call("edgetune.measure", json.dumps(job))))
            return {"seconds": [float(second) for second in answer["seconds"]]}
        except EdgetuneError as error:
            return self._failed(error)
        except (TypeError, ValueError, KeyError):
            return {"error": "the board's answer is none", "lost": False}
        finally:
            self._remove(job["library"])

    def check(self, candidate: str, reference: str, arguments: list[Any], threads: int, device: str = "cpu") -> Answer:
        """Compare two libraries that were sent, as compiler/tuning/worker/check.py does, on a `device` of the board
        (`cpu`, `cuda`). Answers with `difference`."""
        from compiler.tuning.worker.check import compare

        try:
            difference = compare(
                lambda inputs: self._run(candidate, inputs, arguments[-1], threads, device),
                lambda inputs: self._run(reference, inputs, arguments[-1], threads, device),
                arguments,
            )
            return {"difference": difference}
        except Exception as error:  # noqa: BLE001 - whatever TVM throws, it is the board's or the candidate's
            return self._failed(error)
        finally:
            for library in {candidate, reference}:
                self._remove(library)

    def sensors(self) -> Answer:
        """What the board reads now: `sensors` of the protocol."""
        return self._json("edgetune.sensors")

    def cool_down(self, celsius: float, seconds: float) -> Answer:
        """Have the board wait until it is cooler than `celsius`, at most `seconds`: `cool_down` of the protocol."""
        return self._json("edgetune.cool_down", celsius, seconds)

    def _run(self, library: str, inputs: list[Any], output: Any, threads: int, kind: str) -> Any:
        import numpy as np
        import tvm

        from compiler.parallel.threads import end_library_threads, set_library_threads

        if self._connection is None:
            raise EdgetuneError("there is no session")
        device = self._connection.remote.device(kind, 0)
        module = self._connection.remote.load_module(library)
        set_library_threads(module, threads)
        result = tvm.runtime.tensor(np.zeros(*output), device)
        try:
            module["main"](*[tvm.runtime.tensor(value, device) for value in inputs], result)
        finally:
            end_library_threads(module)
        return result.numpy().astype("float64")

    def _json(self, name: str, *arguments: Any) -> Answer:
        try:
            answer = json.loads(str(self._call(name, *arguments)))
        except EdgetuneError as error:
            return self._failed(error)
        except ValueError:
            answer = None
        return answer if isinstance(answer, dict) else {"error": f"{name} gives no JSON", "lost": False}

    def _call(self, name: str, *arguments: Any) -> Any:
        if self._connection is None:
            raise EdgetuneError("there is no session")
        return self._connection.call(name, *arguments)

    def _remove(self, library: str) -> None:
        """Remove a file of the session's folder, which is removed as a whole with the session."""
        if self._connection is not None and not self._connection.lost:
            try:
                self._call("tvm.rpc.server.remove", library)
            except EdgetuneError:
                return

    def _answers(self) -> bool:
        try:
            self._call("edgetune.clock")
        except EdgetuneError:
            return False
        return True

    def _failed(self, error: Exception) -> Answer:
        connection = self._connection
        # Asked, not looked up: TVM's call ends a moment before the connection is known to.
        lost = connection is None or not self._answers()
        if lost:
            self.close()
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        line = lines[-1] if lines else type(error).__name__
        if connection is not None:
            # Which board it was is known, and a record is not to hold anyone's address.
            line = line.rpartition(f" on the board {connection.address}: ")[2]
        return {"error": line, "lost": lost}
