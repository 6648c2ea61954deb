"""`edgetune logs schema`: the format of a log's lines as JSON Schema."""

from __future__ import annotations

from pathlib import Path

from compiler.places import make_folder
from compiler.report.output import Output


def write_schemas(output: Output, folder: str) -> None:
    """Write the JSON Schema of every version of the format to `folder`."""
    from compiler.records.exchange import json_schema

    make_folder(Path(folder), "DIR")
    files = json_schema.write_schemas(Path(folder))
    output.say("written: " + ", ".join(map(str, files)))
    output.json([{"files": [str(file) for file in files]}])
