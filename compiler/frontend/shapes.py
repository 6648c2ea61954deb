"""Making a model's shapes static: `--batch` and `--shape` applied to its inputs."""

from __future__ import annotations

import onnx

from compiler.errors import EdgetuneError, UsageError
from compiler.frontend.agree import batch_difference
from compiler.frontend.batch import rewrite_batch
from compiler.frontend.graphs import data_inputs, set_shape
from compiler.frontend.infer import infer

Shape = tuple[int, ...]
Dims = tuple[int | str, ...]  # a size, or the name of a dynamic dimension ('' without one)
# Stands for a dimension that is 0 in the file: what some exporters write for one that they do not know.
ZERO = "0"


def fix_shapes(
    model: onnx.ModelProto, where: str, batch: int | None, shapes: dict[str, Shape], *, trusted: bool = False
) -> int | None:
    """Gives every input a static shape, in place, and returns the batch (None when no input carries one).

    `trusted` skips running the graph at both batches to see that each image still gives the same (built-in models).
    Raises UsageError for an unknown input name, a shape of the wrong rank or a batch that no input can take,
    EdgetuneError for a dynamic dimension without a value (it names the input and the option), or for a graph that does
    not work at the new shapes.
    """
    inputs = data_inputs(model.graph)
    _check_options(inputs, batch, shapes)
    before = {value.name: _dims(value, where) for value in inputs}
    carriers = _carriers(before, [name for name in before if name not in shapes])
    if batch is not None and not carriers and not any(shape[0] == batch for shape in shapes.values() if shape):
        reason = "--shape fixes every input already" if shapes else "no input has a batch dimension"
        raise UsageError(f"{where}: {reason}; leave --batch out")

    wanted = {name: [*shapes.get(name, dims)] for name, dims in before.items()}
    if batch is not None:
        for name in carriers:
            wanted[name][0] = batch
    symbols = _symbols(before, wanted)
    after = {name: _static(name, [symbols.get(d, d) for d in dims], carriers, where) for name, dims in wanted.items()}

    rebatched = {
        name for name, dims in before.items() if dims and isinstance(dims[0], int) and after[name][0] != dims[0]
    }
    if rebatched:
        _rebatch(model, where, inputs, before, after, rebatched, trusted)
    for value in inputs:
        set_shape(value, after[value.name])
    primary = next((name for name in after if name in carriers), None) or next(
        (n for n, s in after.items() if len(s) > 1), None
    )
    return after[primary][0] if primary is not None else None


def _rebatch(
    model: onnx.ModelProto,
    where: str,
    inputs: list[onnx.ValueInfoProto],
    before: dict[str, Dims],
    after: dict[str, Shape],
    rebatched: set[str],
    trusted: bool,
) -> None:
    """Rewrites the constants that repeat the old batch of the first input whose leading dimension changes."""
    for value in inputs:  # all but the batch is as it will be, so that inference knows every shape
        shape = after[value.name]
        set_shape(value, (int(before[value.name][0]), *shape[1:]) if value.name in rebatched else shape)
    first = next(name for name in before if name in rebatched)
    old, new = int(before[first][0]), after[first][0]
    alike = {name for name in rebatched if before[name][0] == old and after[name][0] == new}
    original = onnx.ModelProto()
    if not trusted:
        original.CopyFrom(model)
    rewrite_batch(model.graph, infer(model, where), alike, old, new)
    for value in inputs:
        set_shape(value, after[value.name])
    advice = "export the model with a dynamic batch, or with this one"
    try:
        infer(model, where)
    except EdgetuneError as error:
        raise EdgetuneError(f"{error}; the graph does not work at batch {new}: {advice}") from error
    found = None if trusted else batch_difference(original, model, alike, old, new)
    if found is not None:
        raise EdgetuneError(
            f"{where}: going from batch {old} to {new} changes what each image gives ({found}); {advice}"
        )


def _check_options(inputs: list[onnx.ValueInfoProto], batch: int | None, shapes: dict[str, Shape]) -> None:
    names = {value.name for value in inputs}
    for name, shape in shapes.items():
        if name not in names:
            raise UsageError(
                f"--shape {name}: the model has no such input; its inputs are {', '.join(sorted(names)) or 'none'}"
            )
        if any(size <= 0 for size in shape):
            raise UsageError(f"--shape {name}: {','.join(map(str, shape))}: every dimension must be at least 1")
    for value in inputs:
        tensor = value.type.tensor_type
        if value.name in shapes and tensor.HasField("shape") and len(tensor.shape.dim) != len(shapes[value.name]):
            rank, given = len(tensor.shape.dim), len(shapes[value.name])
            raise UsageError(f"--shape {value.name}: the input has {rank} dimensions, {given} are given")
    if batch is not None and batch < 1:
        raise UsageError(f"--batch {batch}: must be at least 1")


def _dims(value: onnx.ValueInfoProto, where: str) -> Dims:
    """Sizes and names of an input's dimensions; an unnamed dynamic one is ''. An unknown rank is a single '*'."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return ("*",)
    dims = tuple(_dim(dim) for dim in tensor.shape.dim)
    if any(dim.dim_value < 0 and not dim.dim_param for dim in tensor.shape.dim if dim.dim_value != -1):
        raise EdgetuneError(f"{where}: input {value.name!r} has a negative dimension")
    return dims


def _dim(dim: onnx.TensorShapeProto.Dimension) -> int | str:
    if not dim.HasField("dim_value"):
        return str(dim.dim_param)
    return int(dim.dim_value) if dim.dim_value > 0 else ZERO if dim.dim_value == 0 else ""


def _carriers(before: dict[str, Dims], candidates: list[str]) -> set[str]:
    """The inputs whose dimension 0 is the batch: those with a symbolic one, or else those that share the first one's
    size.
    """
    symbolic = [n for n in candidates if before[n] and before[n] != ("*",) and isinstance(before[n][0], str)]
    if symbolic:
        first = before[symbolic[0]][0]
        return {n for n in symbolic if before[n][0] in (first, "", ZERO) or "batch" in str(before[n][0]).lower()}
    ranked = [n for n in candidates if len(before[n]) > 1]
    return {n for n in ranked if before[n][0] == before[ranked[0]][0]}


def _static(name: str, wanted: list[int | str], carriers: set[str], where: str) -> Shape:
    if wanted == ["*"]:
        raise EdgetuneError(
            f"{where}: input {name!r} has no shape; give one with --shape {name}:1,3,224,224 (your sizes)"
        )
    for index, size in enumerate(wanted):
        if isinstance(size, str):
            label = f"dimension {index}" + (f" ({size})" if size not in ("", ZERO) else "")
            what = "0, which leaves no values" if size == ZERO else "dynamic"
            example = ",".join(str(s) if s not in ("", ZERO) else "N" for s in wanted)
            others = any(isinstance(s, str) for s in wanted[1:])
            option = "--batch N" if index == 0 and name in carriers and not others else f"--shape {name}:{example}"
            raise EdgetuneError(f"{where}: {label} of input {name!r} is {what}; give it a size with {option}")
    return tuple(int(size) for size in wanted)


def _symbols(before: dict[str, Dims], wanted: dict[str, list[int | str]]) -> dict[int | str, int]:
    """The sizes that the options give to symbolic dimensions, by name. Raises UsageError where one is given two."""
    values: dict[int | str, int] = {}
    givers: dict[int | str, str] = {}
    for name, dims in before.items():
        for symbol, size in zip(dims, wanted[name], strict=False):
            if not isinstance(symbol, str) or symbol in ("", "*", ZERO) or not isinstance(size, int):
                continue
            if values.setdefault(symbol, size) != size:
                first = givers[symbol]
                raise UsageError(
                    f"dimension {symbol!r} is {values[symbol]} in input {first!r} and {size} in {name!r}; "
                    "it must be the same"
                )
            givers.setdefault(symbol, name)
    return values
