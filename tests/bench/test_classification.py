"""Accuracy on data, with a network that has learned something: FP16 against ONNX Runtime in FP32."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from cli import main
from compiler.bench.classification import classify
from compiler.bench.dataset import Dataset
from compiler.bench.verify import Reference
from compiler.errors import UsageError
from compiler.tensors import TensorSpec
from tests.command import ROOT, edgetune_here, one_line

SPEC = TensorSpec("x", (4, 3), "float32")
INPUTS = 1008


def data(labels: list[int] | None) -> tuple[Dataset, np.ndarray]:
    scores = np.random.default_rng(1).normal(size=(6, 3)).astype("float32")
    known = None if labels is None else np.array(labels)
    return Dataset("made", 6, known, lambda start, count: {"x": scores[start : start + count]}), scores


def same(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    assert inputs["x"].shape == (4, 3)
    return {"y": inputs["x"]}


def test_shares_are_counted_over_what_has_a_label() -> None:
    dataset, scores = data(None)
    first = list(scores.argmax(axis=1))
    reference = Reference(run=same, inputs=[SPEC], classifier="y")
    found = classify(same, [SPEC], reference, dataset, "fp32")
    assert (found.agreement, found.top1, found.labelled, found.inputs) == (1.0, None, 0, 6)
    dataset, _ = data([*first[:4], -1, (first[5] + 1) % 3])
    found = classify(same, [SPEC], reference, dataset, "fp32")
    assert (found.top1, found.top5, found.reference_top1, found.labelled) == (0.8, 1.0, 0.8, 5)


def test_a_wrong_class_is_seen() -> None:
    dataset, _ = data(None)
    reference = Reference(run=same, inputs=[SPEC], classifier="y")
    found = classify(lambda inputs: {"y": -inputs["x"]}, [SPEC], reference, dataset, "fp32")
    assert (found.agreement, found.ok) == (0.0, False)


def test_what_is_no_classifier_is_refused() -> None:
    dataset, _ = data(None)
    total = lambda inputs: {"y": inputs["x"].sum(axis=1, keepdims=True)}  # noqa: E731
    with pytest.raises(UsageError, match="for classifiers"):
        classify(total, [SPEC], Reference(run=total, inputs=[SPEC]), dataset, "fp32")


def magika_model() -> Path:
    """The network of the package magika, which tells types of files; the package is not imported."""
    spec = importlib.util.find_spec("magika")
    if spec is None or spec.origin is None:
        pytest.skip("the package magika is not installed")
    (model,) = Path(spec.origin).parent.glob("models/standard_*/model.onnx")
    return model


def features(content: bytes) -> np.ndarray:
    """As magika has them: the first and the last 1,024 bytes, less white space around; 256 where there are none."""
    begin, end = content[:4096].lstrip()[:1024], content[-4096:].rstrip()[-1024:]
    row = np.full(2048, 256, dtype=np.int32)
    row[: len(begin)] = np.frombuffer(begin, np.uint8)
    row[2048 - len(end) :] = np.frombuffer(end, np.uint8)
    return row


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fp16_agrees_with_fp32_on_a_trained_network(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = magika_model()
    kinds = json.loads((model.parent / "config.min.json").read_text())["target_labels_space"]
    endings = {".py": "python", ".cc": "cpp", ".md": "markdown", ".toml": "toml", ".json": "json", ".csv": "csv"}
    files = [file for file in sorted(ROOT.glob("[bcdst]*/**/*")) if file.suffix in endings and file.is_file()]
    rows: list[np.ndarray] = []
    labels: list[int] = []
    # The files whole, and parts of them as files of their own.
    for part in range(6):
        for file in files:
            content = file.read_bytes()
            piece = content[part * 1500 : part * 1500 + (1 << 20 if part == 0 else 3000)]
            if len(piece) >= 512 and len(rows) < INPUTS:
                rows.append(features(piece))
                labels.append(kinds.index(endings[file.suffix]) if part == 0 else -1)
    assert len(rows) == INPUTS
    np.savez(tmp_path / "files.npz", bytes=np.stack(rows), labels=np.array(labels))
    package = tmp_path / "magika.tar"
    edgetune_here("compile", model, "--batch", "48", "--precision", "fp16", "--zero-trial", "-o", package)
    # In this process: on a busy machine a thousand inputs take longer than a command is given.
    arguments = ["verify", package, "--dataset", tmp_path / "files.npz", "--json", tmp_path / "seen.json"]
    assert main([str(argument) for argument in arguments]) == 0
    assert "top-1 agreement" in capfd.readouterr().out
    seen = json.loads((tmp_path / "seen.json").read_text())["classification"]
    assert seen["inputs"] == INPUTS
    assert seen["agreement"] >= 0.999
    # It has learned something: it knows most of these files, and so does the reference.
    assert seen["labelled"] > 300
    assert seen["reference_top1"] > 0.8
    assert abs(seen["top1"] - seen["reference_top1"]) < 0.005
    assert "--dataset" in one_line(edgetune_here("verify", package, "--resize", "3", check=2).stderr)
