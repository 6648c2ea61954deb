"""What is made from the data itself: the table of the shipped logs, and the JSON Schema of the format."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import cli
from compiler.records import overview
from compiler.records.exchange.export import export_folder
from compiler.records.exchange.json_schema import as_text, json_schema, schema_file
from compiler.records.exchange.lines import SCHEMA
from compiler.records.provenance import Provenance
from tests.records.samples import DATA, failed, record, store_with

ROOT = Path(__file__).parents[2]


def test_the_table_of_the_shipped_logs_is_up_to_date() -> None:
    folder = ROOT / "tuning_logs"
    text = (folder / "README.md").read_text(encoding="utf-8")
    made = overview.text(overview.overview(folder))
    assert overview.with_table(text, made) == text, "run `edgetune logs readme tuning_logs`"


def test_a_table_says_what_there_is_and_keeps_the_text_around_it(tmp_path: Path) -> None:
    known = [
        record(checked=True, provenance=Provenance(trials=30)),
        failed(created="2025-02-01T00:00:00.000000Z", device="Some | CPU"),
    ]
    with store_with(tmp_path / "a.db", known) as store:
        export_folder(store, tmp_path / "logs", author="Ada <ada@example.org>")
    readme = tmp_path / "logs" / "README.md"
    readme.write_text("# Mine\n\nBefore.\n")
    assert cli.main(["logs", "readme", str(tmp_path / "logs")]) == 0
    once = readme.read_text()
    assert once.startswith("# Mine\n\nBefore.\n")
    row = (
        r"| Some \| CPU | haswell | 2 | 0.27.0 | 1 | 2 | 1 | 30 | 2025-01-31 to 2025-02-01 | Ada \<ada@example.org\> |"
    )
    assert row in once
    assert "- Some \\| CPU, haswell: all of 2 leave out `runs`, `governor`" in once
    assert "; 1 of 2 leave out `trials`" in once
    assert "driver" not in once  # it is no GPU
    readme.write_text(once + "\nAfter.\n")
    assert cli.main(["logs", "readme", str(tmp_path / "logs")]) == 0
    assert readme.read_text() == once + "\nAfter.\n"
    assert cli.main(["logs", "readme", str(tmp_path / "absent")]) == 2


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_the_json_schema_is_the_types(schema: int) -> None:
    kept = schema_file(ROOT / "docs" / "schemas", schema).read_bytes()
    assert as_text(schema) == kept, "run `edgetune logs schema docs/schemas`"
    properties = json_schema(schema)["$defs"]["RecordLine"]["properties"]
    lines = [msgspec.json.decode(line) for line in (DATA / f"schema-{schema}.jsonl").read_bytes().splitlines()]
    for line in lines:
        assert set(line) <= (set(properties) if line["kind"] == "record" else set(line))
    page = (ROOT / "docs" / "log-format.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in properties)
    assert all(f"`{name}`" in page for name in Provenance.__struct_fields__)


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_lines_keep_the_json_schema(schema: int) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema(schema))
    for line in (DATA / f"schema-{schema}.jsonl").read_bytes().splitlines():
        validator.validate(msgspec.json.decode(line))
