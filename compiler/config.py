"""The user's configuration: a TOML file that nobody needs.

author = "Ada <ada@example.org>"  # whom `logs export` and `logs push` name; nobody, unless it is written here

[remotes]
origin = "s3://bucket/logs"     # where `logs push` and `logs pull` go without an address

[remotes.lab]
url = "ssh://me@server/srv/logs"
signers = ["keys/ada.pub"]      # what none of them has signed is not pulled from there
sign = "keys/me.key"            # what is pushed there is signed
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
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


@dataclass(frozen=True)
class RemoteSettings:
    """What the configuration says of a remote. `signers`: whose signatures count there, as `logs pull --signer` takes
    them, with the `issuer` that vouches for identities; without any, nothing need be signed. `sign`: the key that what
    is pushed there is signed with."""

    url: str
    signers: tuple[str, ...] = ()
    issuer: str | None = None
    sign: str | None = None


def remotes() -> dict[str, RemoteSettings]:
    """The remotes in the configuration by their names; none where there is no file.

    Raises EdgetuneError for a file that cannot be read or is not as it should be.
    """
    path = config_file()
    found = _content(path).get("remotes", {})
    if not isinstance(found, dict):
        raise EdgetuneError(f'{path}: [remotes] holds names and addresses, such as origin = "s3://bucket/logs"')
    return {name: _settings(path, name, value) for name, value in found.items()}


def remote_settings(named: str | None) -> RemoteSettings:
    """What `named` stands for: an address, the remote that the configuration calls so, or the default one.

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
    # The address of a remote with settings is that remote: whoever writes it out is no less careful.
    same = [settings for settings in known.values() if settings.url.rstrip("/") == named.rstrip("/")]
    if same:
        return same[0]
    if "://" not in named and "/" not in named and not Path(named).is_dir():
        calls = f"it calls {', '.join(sorted(known))}" if known else "it calls none"
        raise UsageError(f"no remote is called {named} in {config_file()} ({calls}); write a folder as ./{named}")
    return RemoteSettings(named)


def _settings(path: Path, name: str, value: object) -> RemoteSettings:
    """A remote of the configuration: its address, or a table with it."""
    if isinstance(value, str):
        value = {"url": value}
    texts = value if isinstance(value, dict) else {}
    signers = texts.get("signers", [])
    rest = {key: text for key, text in texts.items() if key != "signers"}
    good = (
        isinstance(rest.get("url"), str)
        and rest.keys() <= {"url", "issuer", "sign"}
        and all(isinstance(text, str) and text for text in rest.values())
        and isinstance(signers, list)
        and all(isinstance(signer, str) and signer for signer in signers)
    )
    if not good:
        raise EdgetuneError(
            f"{path}: the remote {name} is an address, or a table of url and, where wanted, signers, issuer and sign"
        )
    return RemoteSettings(
        url=rest["url"],
        signers=tuple(_key(path, signer) for signer in signers),
        issuer=rest.get("issuer"),
        sign=_key(path, rest["sign"]) if "sign" in rest else None,
    )


def _key(path: Path, text: str) -> str:
    """A file of a key beside the configuration, or what is none: an identity, or `sigstore`."""
    place = path.parent / Path(text).expanduser()
    named = text == "sigstore" or "@" in text or "://" in text
    return text if named and not place.is_file() else str(place)


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
