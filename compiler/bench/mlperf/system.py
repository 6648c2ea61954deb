"""The system under test: a package that answers queries of samples, batch by batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from compiler.bench.mlperf.outcome import Transfers
from compiler.bench.mlperf.samples import Inputs, Samples, batch_of
from compiler.runtime.rpc.session import RemoteExecutable, Transfer
from compiler.runtime.session import Executable

_WARM_SECONDS = 1.0
"""At most; where a run is short, a tenth of it."""
_WARM_QUERIES = 3


class System:
    """Answers with the bytes of all outputs of a sample, one after the other.

    Everything here is called where the package computes (`Executable.hold`). Batches of samples that were loaded one
    after the other are on the device before they are asked for; others are put together when they are.
    """

    def __init__(self, executable: Executable, samples: Samples) -> None:
        """`computing` has the seconds that the package's runs took, and the copies of their outputs, for each query.

        Raises EdgetuneError where the package's tensors cannot be divided into samples.
        """
        self.batch = batch_of(executable.manifest)
        self._executable = executable
        self._samples = samples
        self._loaded: dict[int, Inputs] = {}
        self._ready: dict[tuple[int, ...], Callable[[], dict[str, np.ndarray]]] = {}
        self.begin()

    def begin(self) -> None:
        """Count anew from here on."""
        self.batches = self.padded = self.gathered = 0
        self.computing: list[float] = []
        self._before: list[Transfer] = []
        if isinstance(self._executable, RemoteExecutable):
            self._executable.transfers.clear()

    @property
    def transfers(self) -> Transfers | None:
        """What was carried to and from a board since `begin`; None on this machine."""
        if not isinstance(self._executable, RemoteExecutable):
            return None
        within = self._executable.transfers
        return Transfers(
            before_bytes=sum(transfer.bytes for transfer in self._before),
            before_seconds=sum(transfer.seconds for transfer in self._before),
            within_bytes=sum(transfer.bytes for transfer in within),
            within_seconds=sum(transfer.seconds for transfer in within),
        )

    def load(self, numbers: Sequence[int]) -> None:
        """Have these samples in memory, and batches of them on the device."""
        for start in range(0, len(numbers), self.batch):
            chunk = tuple(numbers[start : start + self.batch])
            if chunk in self._ready:
                continue  # MultiStream's sets repeat their beginning at their end
            for number in chunk:
                self._loaded[number] = self._samples.take(number)
            self._ready[chunk] = self._executable.prepare(self._inputs(chunk))
            if self.batch == 1:
                del self._loaded[chunk[0]]  # the device has it, and no other batch could want it
        if isinstance(self._executable, RemoteExecutable):
            self._before += self._executable.transfers
            self._executable.transfers.clear()

    def unload(self) -> None:
        """Let go of what was loaded."""
        self._ready.clear()
        self._loaded.clear()

    def answers(self, numbers: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Compute these samples, in batches; gives where in `numbers` each batch begins, and a row of bytes (uint8) for
        each of its samples. The rows are only good until the next batch."""
        seconds = 0.0
        for start in range(0, len(numbers), self.batch):
            chunk = tuple(numbers[start : start + self.batch])
            run = self._ready.get(chunk)
            if run is None:
                run = self._executable.prepare(self._inputs(chunk))
                self.gathered += 1
            started = time.perf_counter()
            outputs = run()
            seconds += time.perf_counter() - started
            self.batches += 1
            self.padded += self.batch - len(chunk)
            yield start, _rows(list(outputs.values()), self.batch)[: len(chunk)]
        self.computing.append(seconds)

    def shortest(self, samples: int, seconds: float) -> float:
        """Warm up for a run of `seconds`, with queries of `samples` loaded samples; the time that the shortest took."""
        numbers = [number for chunk in self._ready for number in chunk]
        query = (numbers * (samples // len(numbers) + 1))[:samples]
        best, queries, began = float("inf"), 0, time.perf_counter()
        while queries < _WARM_QUERIES or time.perf_counter() - began < min(_WARM_SECONDS, seconds / 10):
            started = time.perf_counter()
            for _ in self.answers(query):
                pass
            best = min(best, time.perf_counter() - started)
            queries += 1
        return best

    def _inputs(self, chunk: tuple[int, ...]) -> Inputs:
        """One batch; where samples are missing, the last one is there several times."""
        if self.batch == 1:
            return self._loaded[chunk[0]]
        filled = (*chunk, *(chunk[-1],) * (self.batch - len(chunk)))
        return {
            spec.name: np.concatenate([self._loaded[number][spec.name] for number in filled])
            for spec in self._executable.inputs
        }


def _rows(outputs: list[np.ndarray], batch: int) -> np.ndarray:
    rows = [np.ascontiguousarray(output).reshape(batch, -1).view(np.uint8) for output in outputs]
    return rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)
