"""The README is true, and so are the guides: commands exist with those options, make targets too; a session works."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

import cli

ROOT = Path(cli.__file__).parent
TEXT = (ROOT / "README.md").read_text()
GUIDES = "\n".join(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))


def commands(text: str) -> list[str]:
    """The commands in the blocks of a text, without comments; none that shows in brackets what may be left out."""
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.S)
    lines = [line.removeprefix("$ ").split("#")[0] for block in blocks for line in block.splitlines()]
    words = [part.strip() for line in lines for part in line.split("&&")]
    return sorted({line for line in words if line.startswith("edgetune ") and "[" not in line})


COMMANDS = commands(TEXT)


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 5


@pytest.mark.parametrize("command", sorted({*COMMANDS, *commands(GUIDES)}))
def test_command_parses(command: str) -> None:
    group: click.Command = cli.edgetune
    words = shlex.split(command)[1:]
    context = click.Context(group)
    while isinstance(group, click.Group):
        name = words.pop(0)
        found = group.get_command(context, name)
        assert found is not None, f"no command {name}"
        group = found
    group.make_context(command, words)


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make (\w+)", TEXT)):
        assert re.search(rf"^{target}:", makefile, re.M), f"no target {target}"


def test_files_exist() -> None:
    for path in re.findall(r"`((?:compiler|schedules|targets|tests|docs|tuning_logs)/[\w./]*)`", TEXT):
        assert path.endswith("KIND.py") or (ROOT / path).exists(), path


def test_a_session(tmp_path: Path) -> None:
    """The README's way through, on the smallest of the built-in models, with a budget of seconds."""
    package, results = tmp_path / "squeezenet.tar", tmp_path / "results.jsonl"
    for words in (
        ["tune", "squeezenet", "--trials", "8", "--logs", tmp_path],
        ["compile", "squeezenet", "-o", package, "--logs", tmp_path],
        ["bench", package, "--vs", "onnxruntime", "--json", results, "--runs", "10", "--seconds", "0.5"],
        ["verify", package],
        ["inspect", package],
        ["logs", "list", "--logs", tmp_path],
    ):
        done = subprocess.run(
            [sys.executable, str(ROOT / "cli.py"), *map(str, words)], capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, (words, done.stderr[-2000:])
        assert "Traceback" not in done.stderr
    assert len(results.read_text().splitlines()) == 2
