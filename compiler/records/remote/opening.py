"""From an address to a remote."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from compiler.errors import UsageError
from compiler.records.remote.remote import Remote

_KNOWN = "a folder, ssh://, s3://, gs://, abfs://, hf://, oci:// and, to pull, https://"
_ALIASES = {"sftp": "ssh", "s3a": "s3", "gcs": "gs", "az": "abfs", "file": "file"}


def open_remote(url: str) -> Remote:
    """The remote at `url`; nothing is connected or made yet.

    Raises UsageError for an address that leads nowhere or holds a password, EdgetuneError where what it needs is not
    installed.
    """
    if not url.strip() or not url.isprintable():
        raise UsageError(f"{url!r} is no address of logs: give {_KNOWN}")
    scheme, colon, rest = url.partition("://")
    if not colon:
        from compiler.records.remote.folder import FolderRemote

        return FolderRemote(Path(url).expanduser())
    scheme = _ALIASES.get(scheme.lower(), scheme.lower())
    _must_be_plain(url, scheme)
    url = f"{scheme}://{rest}"
    if scheme == "file":
        from compiler.records.remote.folder import FolderRemote

        if not rest.startswith("/"):
            raise UsageError(f"{url}: give file:///FOLDER, or the folder alone")
        return FolderRemote(Path(rest))
    if scheme == "ssh":
        from compiler.records.remote.sftp import SftpRemote

        return SftpRemote(url)
    if scheme in ("http", "https"):
        from compiler.records.remote.web import WebRemote

        return WebRemote(url)
    if scheme == "oci":
        from compiler.records.remote.registry import RegistryRemote

        return RegistryRemote(url)
    if scheme == "hf":
        from compiler.records.remote.hub import HubRemote

        return HubRemote(url)
    from compiler.records.remote.objects import EXTRAS, ObjectRemote

    if scheme not in EXTRAS:
        raise UsageError(f"{url}: logs are not carried by {scheme}://; known are {_KNOWN}")
    return ObjectRemote(url)


def _must_be_plain(url: str, scheme: str) -> None:
    """No credentials, no options, no steps upwards: command lines are seen by others and kept in histories."""
    try:
        parts = urlsplit(url)
        named = parts.hostname is not None or scheme == "file"
        password = parts.password
    except ValueError as error:
        raise UsageError(f"{url} is no address: {error}") from None
    if password is not None or (parts.username is not None and scheme not in ("ssh", "abfs")):
        place = f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        raise UsageError(f"no password or token in an address: give {place}, and docs/sharing.md says where they go")
    if not named:
        raise UsageError(f"{url} names no place: known are {_KNOWN}")
    if parts.query or parts.fragment or "::" in url:
        raise UsageError(f"{scheme}://{parts.netloc}...: an address ends with its path, without ? and #")
    if any(step in (".", "..") for step in parts.path.split("/")):
        raise UsageError(f"{url}: an address has no . and .. in it")
