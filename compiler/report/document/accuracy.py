"""Accuracy on data: how often a package agrees with the reference, and how often both are right."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.report.document.cells import Cell, short_device
from compiler.report.document.parts import Column, Section, Table

_COLUMNS = (
    Column("model"),
    Column("device"),
    Column("batch"),
    Column("precision"),
    Column("data"),
    Column("items", "number"),
    Column("top-1 agreement", "share", 2),
    Column("labelled", "number"),
    Column("top-1", "share", 2),
    Column("reference's top-1", "share", 2),
    Column("top-5", "share", 2),
    Column("reference's top-5", "share", 2),
    Column("verdict"),
)


def accuracy_section(cells: Sequence[Cell]) -> Section | None:
    """The newest classification of each cell that has one."""
    rows = []
    for cell in cells:
        with_data = [result for result in cell.results if result.classification is not None]
        if not with_data:
            continue
        r = with_data[-1]
        seen = r.classification
        assert seen is not None  # noqa: S101 - chosen for it
        rows.append(
            (
                *(r.model, short_device(r.device), r.batch, r.precision, seen.dataset, seen.inputs, seen.agreement),
                *(seen.labelled, seen.top1, seen.reference_top1, seen.top5, seen.reference_top5),
                "yes" if seen.ok else "NO",
            )
        )
    if not rows:
        return None
    return Section(
        "Accuracy on data",
        [
            "“top-1 agreement” is how often the largest class is that of the reference, ONNX Runtime in FP32, on the "
            "same items; “top-1” and “top-5” are how often the label is the largest class, or among the five largest."
        ],
        tables=[Table(_COLUMNS, rows).without_constant("device")],
    )
