"""`edgetune inspect`: what a model or a package is, without running it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from compiler.commands.source import is_package, must_exist, opened_package
from compiler.errors import UsageError
from compiler.package import Manifest, Package
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import steps
from compiler.tensors import TensorSpec


def inspect(source: str, output: Output, *, batch: int | None, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Describe the package or the model `source`; a model as it is with `batch` and `shapes`."""
    must_exist(source)
    if is_package(source):
        if batch is not None or shapes:
            raise UsageError(f"{source} is a package, whose shapes are fixed: leave out --batch and --shape")
        _package(opened_package(source), output)
    else:
        _model(source, output, batch, shapes)


def tensor_rows(inputs: Iterable[TensorSpec], outputs: Iterable[TensorSpec]) -> list[tuple[str, str, str, str]]:
    """Rows of a table of inputs and outputs."""
    both = [("input", spec) for spec in inputs] + [("output", spec) for spec in outputs]
    return [(what, spec.name, fmt.shape(spec.shape), spec.dtype) for what, spec in both]


TENSOR_COLUMNS = ("", "name", "shape", "type")


def _model(source: str, output: Output, batch: int | None, shapes: Mapping[str, tuple[int, ...]]) -> None:
    from compiler.frontend import is_classifier, load, unsupported_operators
    from compiler.frontend.graphs import all_nodes

    with steps(output) as step:
        step(f"Loading {source}")
        model = load(source, batch=batch, shapes=dict(shapes) or None)
        before, after = (Counter(node.op_type for node in all_nodes(g.graph)) for g in (model.reference, model.cleaned))
        unsupported = unsupported_operators(model.cleaned)
    parameters = _parameters(model.reference)
    facts: dict[str, object] = {
        "source": model.source,
        "SHA-256": model.sha256,
        "opset": model.opset,
        "batch": model.batch,
        "classifier": "yes" if is_classifier(model) else "no",
        "parameters": f"{parameters:,}",
        "operators": f"{sum(before.values())}, {sum(after.values())} after cleaning",
        "can be compiled": "yes" if not unsupported else f"no: {', '.join(unsupported)} is not supported",
    }
    output.facts(facts, title=model.name)
    output.table(TENSOR_COLUMNS, tensor_rows(model.inputs, model.outputs))
    output.table(
        ("operator", "in the file", "cleaned"),
        ((name, before[name], after[name]) for name in sorted(set(before) | set(after))),
        right="in the file,cleaned",
    )
    output.json(
        [
            {
                "kind": "model",
                "name": model.name,
                "source": model.source,
                "sha256": model.sha256,
                "opset": model.opset,
                "batch": model.batch,
                "inputs": model.inputs,
                "outputs": model.outputs,
                "parameters": parameters,
                "operators": dict(sorted(before.items())),
                "operators_cleaned": dict(sorted(after.items())),
                "unsupported_operators": unsupported,
            }
        ]
    )


def _package(package: Package, output: Output) -> None:
    manifest = package.manifest
    output.facts(package_facts(manifest), title=str(package.path))
    output.table(TENSOR_COLUMNS, tensor_rows(manifest.inputs, manifest.outputs))
    output.table(
        ("member", "size", "SHA-256"),
        ((name, fmt.size(package.sizes[name]), checksum) for name, checksum in sorted(package.checksums.items())),
        right="size",
    )
    tuned = [(record.task, fmt.milliseconds(record.seconds), record.record[:12]) for record in manifest.records]
    tuned += [(task, None, "untuned") for task in manifest.untuned]
    if tuned:
        output.table(("task", "ms", "record"), tuned, right="ms")
    output.json([{"kind": "package", "path": str(package.path), "manifest": manifest, "members": package.checksums}])


def package_facts(manifest: Manifest) -> dict[str, object]:
    """What a manifest says, as names and values for a reader."""
    return {
        "model": f"{manifest.model.name} ({manifest.model.source})",
        "model's SHA-256": manifest.model.sha256,
        "batch": manifest.batch,
        "precision": manifest.precision,
        "target": manifest.target.name,
        "fingerprint": manifest.fingerprint,
        "device": manifest.device or None,
        "threads": manifest.threads,
        "tuned": f"{len(manifest.records)} of {manifest.tasks} tasks, {manifest.trials} trials",
        "convolutions": ", ".join(f"{count} {name}" for name, count in manifest.algorithms.items()) or None,
        "layout transforms": manifest.layout_transforms,
        "kept in FP32": ", ".join([*manifest.kept_wide, *map(_too_large, manifest.kept_fp32.items())]) or None,
        "CUDA graph": "yes" if manifest.cuda_graph else None,
        "verified": verdict(manifest),
        "TVM": manifest.tvm_version,
        "edgetune": manifest.tool_version,
        "created": manifest.created,
    }


def verdict(manifest: Manifest) -> str:
    """Whether and how well the package was verified, in a line."""
    accuracy = manifest.accuracy
    if accuracy is None:
        return "no: never compared with a reference"
    error = fmt.significant(accuracy.rel_l2_err) or "not comparable"
    top1 = "" if accuracy.top1_agreement is None else f", top-1 agreement {fmt.share(accuracy.top1_agreement)}"
    words = f"against {accuracy.reference} on {accuracy.inputs} inputs: relative L2 error {error}{top1}"
    return f"{'yes' if manifest.verified and accuracy.ok else 'FAILED'}, {words}"


def _too_large(tensor: tuple[str, float]) -> str:
    name, magnitude = tensor
    return f"{name} (reaches {magnitude:.3g})"


def _parameters(proto: Any) -> int:
    import math

    return sum(math.prod(tensor.dims) for tensor in proto.graph.initializer)
