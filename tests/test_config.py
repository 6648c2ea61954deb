"""The user's configuration: names of remotes."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.config import config_file, remote_settings, remotes
from compiler.errors import EdgetuneError, UsageError


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("EDGETUNE_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = config_file()
    assert path == tmp_path / "edgetune" / "config.toml"
    path.parent.mkdir()
    path.write_text('[remotes]\norigin = "s3://bucket/logs"\nlab = "ssh://me@server/srv/logs"\n[future]\nx = 1\n')
    return path


def test_names_and_addresses(written: Path) -> None:
    assert remote_settings(None).url == "s3://bucket/logs"
    assert remote_settings("lab").url == "ssh://me@server/srv/logs"
    assert remote_settings("hf://datasets/x/y").url == "hf://datasets/x/y"
    assert remote_settings("./lab").url == "./lab"
    with pytest.raises(UsageError, match=r"no remote is called lap .*lab, origin.*\./lap"):
        remote_settings("lap")


def test_without_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGETUNE_CONFIG", str(tmp_path / "none.toml"))
    assert remotes() == {}
    with pytest.raises(UsageError, match=r"none\.toml: \[remotes\]"):
        remote_settings(None)
    with pytest.raises(UsageError, match="calls none"):
        remote_settings("lab")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab").mkdir()
    assert remote_settings("lab").url == "lab"


@pytest.mark.parametrize(
    "text",
    ["[remotes", "[remotes]\norigin = 1", "remotes = 1", '[remotes]\norigin = ""', "[remotes]\nx = {a = 1}", "\xff"],
)
def test_a_file_that_is_not_as_it_should_be(written: Path, text: str) -> None:
    written.write_bytes(text.encode("latin-1"))
    with pytest.raises(EdgetuneError) as caught:
        remote_settings(None)
    assert str(written) in str(caught.value)
    assert "\n" not in str(caught.value)
