"""LoadGen's logs, read back: the verdict and the figures of a performance run, the answers of an accuracy run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from compiler.bench.mlperf.samples import sample_specs
from compiler.errors import EdgetuneError
from compiler.packaging.manifest import tensor_bytes
from compiler.tensors import TensorSpec

SUMMARY = "mlperf_log_summary.txt"
DETAIL = "mlperf_log_detail.txt"
ANSWERS = "mlperf_log_accuracy.json"

_MARK = ":::MLLOG "


class Detail:
    """The detailed log in `folder`: the last value of every key, and the errors."""

    def __init__(self, folder: Path) -> None:
        """Raises EdgetuneError where there is no log."""
        self.errors: list[str] = []
        self._values: dict[str, Any] = {}
        for line in _read(folder / DETAIL).splitlines():
            if not line.startswith(_MARK):
                continue
            try:
                entry = json.loads(line.removeprefix(_MARK))
            except ValueError:
                continue  # LoadGen does not escape what it quotes; no figure is quoted
            self._values[entry["key"]] = entry["value"]
            if entry["metadata"].get("is_error"):
                self.errors.append(" ".join(str(entry["value"]).split()))

    def get(self, key: str) -> Any:
        """The value of `key`, None where the run has none."""
        return self._values.get(key)

    def number(self, key: str) -> float:
        """The value of `key`. Raises EdgetuneError where the log has none: the run did not come to its end."""
        value = self._values.get(key)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise EdgetuneError(f"LoadGen's log has no {key}: the run did not come to its end")
        return float(value)

    @property
    def why(self) -> list[str]:
        """LoadGen's reasons against the run, in its own words; empty where it is valid."""
        if self.get("result_validity") == "VALID":
            return []
        reasons = [_sentence(self.get("result_invalid_reason"))]
        if self.get("early_stopping_met") is False:
            reasons.append(_sentence(self.get("early_stopping_result")))
        return [reason for reason in reasons if reason] or ["LoadGen gave no reason"]


def _sentence(text: object) -> str:
    """A list of LoadGen's, whose items begin with an asterisk, as a sentence or more."""
    return " ".join(str(text or "").replace("*", " ").split())


def answers(folder: Path, outputs: Sequence[TensorSpec], batch: int) -> dict[int, dict[str, np.ndarray]]:
    """The logged answers by the number of their sample: outputs by name, each a batch of one.

    `outputs` are those of a package that computes `batch` samples at a time. Raises EdgetuneError where the log is not
    what the system under test has answered.
    """
    specs = sample_specs(outputs, batch)
    size = sum(map(tensor_bytes, specs))
    found: dict[int, dict[str, np.ndarray]] = {}
    try:
        for entry in json.loads(_read(folder / ANSWERS)):
            data = bytes.fromhex(entry["data"])
            if len(data) != size:
                raise EdgetuneError(f"an answer in {folder / ANSWERS} has {len(data)} bytes, not {size}")
            found[int(entry["qsl_idx"])] = _outputs(data, specs)
    except (ValueError, KeyError, TypeError) as error:
        raise EdgetuneError(f"{folder / ANSWERS} cannot be read: {' '.join(str(error).split())[:200]}") from None
    return found


def _outputs(data: bytes, specs: Sequence[TensorSpec]) -> dict[str, np.ndarray]:
    outputs, start = {}, 0
    for spec in specs:
        end = start + tensor_bytes(spec)
        outputs[spec.name] = np.frombuffer(data[start:end], dtype=spec.dtype).reshape(spec.shape)
        start = end
    return outputs


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EdgetuneError(f"LoadGen left no log {path}: {getattr(error, 'strerror', None) or error}") from None
