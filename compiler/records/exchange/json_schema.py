"""The format of a log's lines as JSON Schema, from the types that read them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import msgspec

from compiler.records.canonical import canonical_bytes
from compiler.records.exchange.export import replacing
from compiler.records.exchange.lines import SCHEMA, RecordLine, WorkloadLine

_SINCE = {2: ("provenance", "author")}
"""schema -> what a record line may have from it on."""
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(schema: int) -> dict[str, Any]:
    """The JSON Schema of a line of format `schema` (1 to SCHEMA)."""
    (_,), components = msgspec.json.schema_components([WorkloadLine | RecordLine], ref_template="#/$defs/{name}")
    components = copy.deepcopy(components)
    record = components["RecordLine"]
    for since, names in _SINCE.items():
        for name in names if since > schema else ():
            del record["properties"][name]
    if schema < 2:
        del components["Provenance"]
    for line in (record, components["WorkloadLine"]):
        line["properties"]["schema"] = {"type": "integer", "minimum": 1, "maximum": schema}
    for component in components.values():
        component.pop("description", None)  # docstrings, whose indentation depends on Python's version
    return {
        "$schema": _DIALECT,
        "title": f"A line of an edgetune log, schema {schema}",
        "oneOf": [{"$ref": "#/$defs/RecordLine"}, {"$ref": "#/$defs/WorkloadLine"}],
        "$defs": components,
    }


def schema_file(folder: Path, schema: int) -> Path:
    """Where the schema of a format is kept."""
    return folder / f"log-line-{schema}.json"


def write_schemas(folder: Path) -> list[Path]:
    """Writes the schema of every format to `folder`. Raises EdgetuneError where that fails."""
    files = []
    for schema in range(1, SCHEMA + 1):
        files.append(schema_file(folder, schema))
        with replacing(files[-1]) as file:
            file.write(as_text(schema))
    return files


def as_text(schema: int) -> bytes:
    """The file's content: sorted, so that it changes only where the format does."""
    return msgspec.json.format(canonical_bytes(json_schema(schema)), indent=2) + b"\n"
