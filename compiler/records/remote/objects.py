"""A bucket as a remote, through fsspec: Amazon S3 and whatever speaks its language, Google and Azure storage."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from compiler.errors import EdgetuneError
from compiler.records.remote.files import FileRemote
from compiler.records.remote.index import MAX_ENTRY_BYTES
from compiler.records.remote.object_errors import meaning
from compiler.records.remote.remote import TransientError

EXTRAS = {"s3": "s3", "gs": "gs", "abfs": "abfs", "hf": "hf", "memory": "share"}
"""fsspec's name of a protocol -> the extra that installs what it needs. `memory` is for tests."""

CONNECT_S, READ_S = 10, 60
_BLOCK = 8 << 20
_PATIENT = ("gs", "abfs")
"""Protocols whose library takes a minute or so until it gives up, which cannot be changed."""
_LOUD = ("gcsfs", "s3fs", "adlfs", "fsspec", "aiobotocore", "botocore", "azure", "google", "huggingface_hub", "urllib3")
"""Libraries that write to the terminal, tracebacks too, what is in the errors that they raise."""

_SETTINGS: dict[str, dict[str, Any]] = {
    "s3": {
        "config_kwargs": {
            "connect_timeout": CONNECT_S,
            "read_timeout": READ_S,
            "retries": {"total_max_attempts": 1},
        }
    },
    "gs": {"timeout": READ_S},
}


class ObjectRemote(FileRemote):
    """Objects below PROTOCOL://BUCKET/PREFIX. Credentials are found by the libraries, in their own places."""

    workers = 16

    def __init__(self, url: str, filesystem: Any | None = None) -> None:
        """filesystem: in place of the one that fsspec makes for the protocol."""
        self.url = url.rstrip("/")
        self.protocol, _, path = self.url.partition("://")
        self._fs = filesystem if filesystem is not None else _open(self.protocol)
        self.root = path.strip("/") if self.protocol != "memory" else "/" + path.strip("/")

    @property
    def container(self) -> str:
        """What must exist before anything can be put below it: the bucket."""
        return self.root.strip("/").split("/")[0]

    def list_below(self, top: str) -> Iterator[str]:
        prefix = f"{self.root}/{top}/"
        try:
            self._fs.invalidate_cache()
            found = self._fs.find(prefix, detail=True)
            if not found:
                self._must_exist()
        except EdgetuneError:
            raise
        except Exception as error:  # noqa: BLE001 - each storage has exceptions of its own
            raise self.said(error, "list", top) from None
        for path, about in sorted(found.items()):
            size = about.get("size")
            if path.startswith(prefix) and (size is None or size <= MAX_ENTRY_BYTES):
                yield path.removeprefix(f"{self.root}/")

    def chunks(self, path: str) -> Iterator[bytes]:
        at = 0
        while True:
            try:
                # No more than this is sent, whatever lies there, and nothing is asked beforehand.
                block = bytes(self._fs.cat_file(f"{self.root}/{path}", start=at, end=at + _BLOCK))
            except Exception as error:  # noqa: BLE001
                if at and _is_beyond(error):
                    return
                raise self.said(error, "read", path) from None
            if block:
                yield block
            if len(block) < _BLOCK:
                return
            at += len(block)

    def put(self, path: str, source: Path | bytes) -> None:
        try:
            data = source if isinstance(source, bytes) else source.read_bytes()
            self._fs.pipe_file(f"{self.root}/{path}", data)
        except Exception as error:  # noqa: BLE001
            raise self.said(error, "write", path) from None

    def size(self, path: str) -> int | None:
        try:
            return int(self._fs.info(f"{self.root}/{path}")["size"])
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001
            raise self.said(error, "look at", path) from None

    def delete(self, path: str) -> None:
        try:
            self._fs.rm_file(f"{self.root}/{path}")
        except FileNotFoundError:
            pass
        except Exception as error:  # noqa: BLE001
            raise self.said(error, "remove", path) from None

    def _must_exist(self) -> None:
        """Raises where the bucket itself is not there: `find` takes that for an empty one."""
        if self.protocol != "memory":
            try:
                self._fs.ls(self.container, refresh=True)
            except FileNotFoundError:
                raise EdgetuneError(f"{self.url}: there is no {self.container}, or it is not yours to see") from None

    def said(self, error: Exception, what: str, path: str) -> EdgetuneError:
        """What a failure of the library means (see `object_errors`)."""
        found = meaning(error, what, self.url, path)
        if isinstance(found, TransientError):
            found.tried = self.protocol in _PATIENT
        return found


def _open(protocol: str) -> Any:
    missing = EdgetuneError(f"{protocol}:// needs what is not installed: `pip install edgetune[{EXTRAS[protocol]}]`")
    try:
        import fsspec
    except ImportError:
        raise missing from None
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        settings = _SETTINGS.get(protocol, {})
        made = fsspec.filesystem(protocol, skip_instance_cache=protocol != "memory", **settings)
        if protocol == "s3":
            made.retries = 1  # `retrying` is ours, and one pause within another takes minutes
        return made
    except ImportError:
        raise missing from None
    except Exception as error:  # noqa: BLE001
        line = " ".join(str(error).split())[:200]
        raise EdgetuneError(f"{protocol}:// cannot be used: {line or type(error).__name__}") from None


def _is_beyond(error: Exception) -> bool:
    """Whether a range was asked for that begins where the object ends."""
    return "InvalidRange" in str(error) or "416" in str(error) or "not satisfiable" in str(error).lower()
