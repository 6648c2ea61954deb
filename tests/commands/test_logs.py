"""`edgetune logs` where there is little or nothing to work on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import cli
from tests.records.samples import failed, record, store_with


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `edgetune logs ARGUMENTS`."""
    code = cli.main(["logs", *map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


@pytest.mark.parametrize("command", [["list"], ["show", "x"], ["export", "-"], ["prune"]])
def test_a_mistyped_store_is_not_made(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, *command, "--logs", tmp_path / "typo")
    assert code == 2
    assert "no records in" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["list"], ["export", "-"], ["prune"]])
def test_an_unknown_fingerprint(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store_with(tmp_path / "records.db", [record()]).close()
    code, _, err = run(capsys, *command, "--fingerprint", "nope", "--logs", tmp_path)
    assert code == 2
    assert "no records of nope" in err


def test_show_wants_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store_with(tmp_path / "records.db", [record()]).close()
    for nothing in ("", " "):
        code, out, _ = run(capsys, "show", nothing, "--logs", tmp_path)
        assert (code, out) == (2, "")


def test_export_to_stdout_is_what_a_file_gets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store_with(tmp_path / "records.db", [record(), record(seconds=(1.0,))]).close()
    assert run(capsys, "export", tmp_path / "out.jsonl", "--logs", tmp_path)[0] == 0
    code, out, _ = run(capsys, "export", "-", "--logs", tmp_path)
    assert code == 0
    assert out == (tmp_path / "out.jsonl").read_text()
    code, out, err = run(capsys, "export", "-", "--json", "-", "--logs", tmp_path)
    assert (code, out) == (2, "")
    assert "stdout" in err
    assert not Path("-").exists()


def test_nothing_to_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store_with(tmp_path / "empty" / "records.db", []).close()
    store_with(tmp_path / "failed" / "records.db", [failed()]).close()
    out = tmp_path / "out.jsonl"
    for arguments in (["--logs", tmp_path / "empty"], ["--logs", tmp_path / "failed", "--top", 1]):
        code, _, err = run(capsys, "export", out, *arguments)
        assert code == 1
        assert "nothing to export" in err
    assert not out.exists()


def test_export_to_where_nothing_can_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store_with(tmp_path / "records.db", [record()]).close()
    (tmp_path / "file").write_text("mine")
    missing = tmp_path / "no"
    for place, code in (
        (missing / "a.jsonl", 1),
        (missing / "folder", 1),
        (tmp_path / "file", 2),
    ):
        assert run(capsys, "export", place, "--logs", tmp_path)[0] == code
    assert not missing.exists()
    assert (tmp_path / "file").read_text() == "mine"


def test_import_of_what_holds_no_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "notes.jsonl"
    for text in ("", "hello\n" * 5000):
        source.write_text(text)
        code, _, err = run(capsys, "import", source, "--logs", tmp_path / "store")
        assert code == 1
        assert err.splitlines()[-1] == f"error: {source} holds no record that can be used"
        assert len(err.splitlines()) < 30


def test_import_reads_regular_files_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    for source in (tmp_path / "pipe.jsonl", "/dev/zero"):
        code, _, err = run(capsys, "import", source, "--logs", tmp_path / "store")
        assert code == 1
        assert "not a regular file" in err
