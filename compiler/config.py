"""The user's configuration: a TOML file that nobody needs.

author = "Ada <ada@example.org>"  # whom `logs export` and `logs push` name; nobody, unless it is written here

[remotes]
origin = "s3://bucket/logs"     # where `logs push` and `logs pull` go without an address
lab = "ssh://me@server/srv/logs"
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from compiler.errors import EdgetuneError, UsageError

DEFAULT_REMOTE = "origin"
PLACE = "EDGETUNE_CONFIG"
"""Names another file than the user's."""


def config_file() -> Path:
    """Where the configuration is, whether or not there is one."""
    named = os.environ.get(PLACE)
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_config_dir("edgetune", appauthor=False)) / "config.toml"


def remotes() -> dict[str, str]:
    """Name -> address of the remotes in the configuration; none where there is no file.

    Raises EdgetuneError for a file that cannot be read or is not as it should be.
    """
    path = config_file()
    found = _content(path).get("remotes", {})
    if not isinstance(found, dict) or not all(isinstance(url, str) and url for url in found.values()):
        raise EdgetuneError(f'{path}: [remotes] holds names and addresses, such as origin = "s3://bucket/logs"')
    return dict(found)


def remote_address(named: str | None) -> str:
    """The address that `named` stands for: itself, the one that the configuration calls so, or the default one.

    Raises UsageError, in one line, where there is none.
    """
    known = remotes()
    if named is None:
        if DEFAULT_REMOTE not in known:
            raise UsageError(
                f'give an address, or put one into {config_file()}: [remotes] and below it {DEFAULT_REMOTE} = "..."'
            )
        return known[DEFAULT_REMOTE]
    if named in known:
        return known[named]
    if "://" not in named and "/" not in named and not Path(named).is_dir():
        calls = f"it calls {', '.join(sorted(known))}" if known else "it calls none"
        raise UsageError(f"no remote is called {named} in {config_file()} ({calls}); write a folder as ./{named}")
    return named


def author() -> str | None:
    """Who the configuration says is the author of what is shared from here; None where it says nothing.

    Raises EdgetuneError for a file that cannot be read or is not as it should be.
    """
    path = config_file()
    found = _content(path).get("author")
    if found is None:
        return None
    try:
        return checked_author(found)
    except EdgetuneError as error:
        raise EdgetuneError(f"{path}: {error}") from None


def checked_author(value: object) -> str:
    """`value` as an author. Raises EdgetuneError unless it is a line of text of 1 to 200 characters."""
    from compiler.records.canonical import check_text

    if not isinstance(value, str) or not 0 < len(value.strip()) <= 200:
        raise EdgetuneError("an author is a line of text of 1 to 200 characters")
    check_text(value, "the author")
    return value.strip()


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds; nothing where there is none. Raises EdgetuneError where it cannot be read."""
    return _content(path)


def _content(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeError) as error:
        raise EdgetuneError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    return _parse(text, path)


def _parse(text: str, path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError:
            raise EdgetuneError(f"{path} needs tomli to be read: `pip install edgetune[share]`") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise EdgetuneError(f"{path} is not TOML: {error}") from None
