"""Suites: a matrix of models, batches and precisions that is measured beside peers, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from compiler.bench.result import PEERS_TF32, Result
from compiler.config import read_toml
from compiler.errors import UsageError


class Cell(msgspec.Struct, frozen=True):
    """One model as the user names it, at one batch and precision."""

    source: str
    batch: int
    precision: str

    @property
    def model(self) -> str:
        """The model's name in results: a file's without its ending."""
        return Path(self.source).stem if self.source.endswith(".onnx") else self.source


class Suite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The matrix, as a TOML file has it. `runs` and `seconds` are at least so many and so long for each engine."""

    models: tuple[str, ...]
    batches: tuple[int, ...] = (1,)
    precisions: tuple[str, ...] = ("fp32",)
    peers: tuple[str, ...] = ()
    runs: int | None = None
    seconds: float | None = None

    def cells(self) -> Iterator[Cell]:
        """Every cell: model by model, then batch, then precision."""
        for source in dict.fromkeys(self.models):
            for batch in dict.fromkeys(self.batches):
                for precision in dict.fromkeys(self.precisions):
                    yield Cell(source, batch, precision)


@dataclass(frozen=True)
class Done:
    """What a results file says of a device: cells with figures, and the peers that were measured or are missing."""

    results: Sequence[Result]

    def has(self, cell: Cell, target: str, device: str, peers: Sequence[str]) -> bool:
        """Whether `cell` was measured on `device` for `target`, beside all of `peers`."""
        for result in self.results:
            same = (result.model, result.batch, result.precision) == (cell.model, cell.batch, cell.precision)
            own = result.engine == "edgetune" and result.latency_ms is not None and PEERS_TF32 not in result.settings
            if same and own and (result.target, result.device) == (target, device):
                known = {ratio.reference for ratio in result.ratios} | set(result.missing)
                if known.issuperset(peers):
                    return True
        return False


def suite(name: str, *, gpu: bool) -> Suite:
    """The suite `classic`, with the large batch of a CPU or of a GPU, or that of the file `name`.

    Raises UsageError for a file that is none, and for what a suite cannot hold.
    """
    if name == "classic":
        large = 128 if gpu else 48
        peers = ("onnxruntime-cuda", "torch-compile", "tensorrt") if gpu else ("onnxruntime", "openvino")
        return Suite(("alexnet", "googlenet"), (1, large), ("fp32", "fp16"), peers)
    path = Path(name)
    if path.suffix != ".toml" or not path.is_file():
        raise UsageError(f"--suite {name}: give `classic`, or a .toml file that is there")
    try:
        found = msgspec.convert(read_toml(path), Suite)
    except msgspec.ValidationError as error:
        raise UsageError(f"--suite {name}: {error}") from None
    from compiler.bench.peers import peer_names
    from compiler.precision import PRECISIONS

    for what, values, known in (
        ("precision", found.precisions, list(PRECISIONS)),
        ("peer", found.peers, peer_names()),
    ):
        for value in values:
            if value not in known:
                raise UsageError(f"--suite {name}: {value!r} is no {what}; choose from {', '.join(known)}")
    if not found.models or not found.batches or not found.precisions or any(batch < 1 for batch in found.batches):
        raise UsageError(f"--suite {name}: it needs models, batches from 1 on, and precisions")
    if (found.runs is not None and found.runs < 1) or (found.seconds is not None and not found.seconds >= 0):
        raise UsageError(f"--suite {name}: runs are 1 or more, and seconds not below zero")
    return found
