"""JSON lines: appended whole, after whatever an earlier run left, by several processes at once."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.errors import EdgetuneError
from compiler.report.lines import append_lines
from compiler.report.output import Output

ROOT = Path(__file__).parents[2]


def test_json_lines_are_appended_after_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"torn": ')
    Output(str(path), out=io.StringIO()).json([{"a": 1}, {"a": 2}])
    Output(str(path), out=io.StringIO()).json([{"a": 3}])
    lines = path.read_text().splitlines()
    assert [json.loads(line)["a"] for line in lines[1:]] == [1, 2, 3]


def test_lines_of_processes_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    code = (
        "import sys; from pathlib import Path; from compiler.report.lines import append_lines\n"
        "for i in range(50): append_lines(Path(sys.argv[1]), [{'i': i, 'text': 'x' * 20_000}] * 3)"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, path], cwd=ROOT) for _ in range(4)]
    assert [process.wait(240) for process in processes] == [0] * 4
    found = [json.loads(line)["i"] for line in path.read_text().splitlines()]
    assert len(found) == 600
    assert all(len(set(found[at : at + 3])) == 1 for at in range(0, 600, 3))


def test_lines_into_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as reader:
        Output(str(path), out=io.StringIO()).json([{"a": 1}])
        assert reader.communicate(timeout=60)[0] == b'{"a":1}\n'


def test_lines_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(EdgetuneError, match="cannot write"):
        append_lines(tmp_path / "no" / "where", [{}])
    with pytest.raises(EdgetuneError, match="No space"):
        append_lines(Path("/dev/full"), [{}])
