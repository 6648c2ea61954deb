"""A repository of the Hugging Face Hub as a remote: hf://datasets/USER/NAME[/FOLDER]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compiler.errors import EdgetuneError, UsageError
from compiler.records.remote.names import EntryName, part_path
from compiler.records.remote.object_errors import meaning
from compiler.records.remote.objects import ObjectRemote
from compiler.records.remote.remote import LocalEntry, LocalPart, LocalSignature, Told, TransientError
from compiler.records.remote.retry import retrying

_KINDS = {"datasets": "dataset", "spaces": "space"}
_CONFLICT = (409, 412, 429, 500, 502, 503, 504)


class HubRemote(ObjectRemote):
    """Read as other buckets are; a push is one commit, since the Hub makes one of every file else."""

    workers = 4

    def __init__(self, url: str, filesystem: Any | None = None, api: Any | None = None) -> None:
        """filesystem, api: in place of huggingface_hub's HfFileSystem and HfApi."""
        words = url.partition("://")[2].strip("/").split("/")
        kind = _KINDS.get(words[0])
        repository = words[1:3] if kind else words[:2]
        if len(repository) != 2 or not all(repository):
            raise UsageError(f"{url} names no repository: give hf://datasets/USER/NAME")
        super().__init__(url, filesystem)
        self._api = api if api is not None else _api()
        self._repository = {"repo_id": "/".join(repository), "repo_type": kind or "model"}
        self._below = "/".join(words[3 if kind else 2 :])

    @property
    def container(self) -> str:
        """The repository, which is made on the Hub's pages or by `hf repo create`."""
        return self.root.removesuffix(self._below).rstrip("/")

    def publish(
        self,
        parts: Sequence[LocalPart],
        entries: Sequence[LocalEntry],
        told: Told,
        *,
        again: bool = False,
        signatures: Sequence[LocalSignature] = (),
    ) -> None:
        from huggingface_hub import CommitOperationAdd

        made = [CommitOperationAdd(self._at(part_path(local.part.sha256)), local.path) for local in parts]
        sent: list[LocalSignature | LocalEntry] = [*signatures, *entries]
        made += [CommitOperationAdd(self._at(item.name.path), item.data) for item in sent]
        if made:
            self._commit(made, f"edgetune: {len(parts)} parts")
            told(len(parts), len(parts))

    def remove(self, entries: Sequence[EntryName]) -> None:
        from huggingface_hub import CommitOperationDelete

        # To delete what another one has deleted meanwhile fails the commit.
        there = set(self.entries()) & set(entries)
        if there:
            self._commit(
                [CommitOperationDelete(self._at(name.path)) for name in sorted(there)], "edgetune: fewer index entries"
            )

    def _at(self, path: str) -> str:
        return f"{self._below}/{path}" if self._below else path

    def _commit(self, operations: list[Any], message: str) -> None:
        def commit() -> None:
            try:
                self._api.create_commit(operations=operations, commit_message=message, **self._repository)
            except EdgetuneError:
                raise
            except Exception as error:  # noqa: BLE001 - the Hub's library has many
                raise self._said(error) from None

        retrying(commit)

    def _said(self, error: Exception) -> EdgetuneError:
        kinds = {kind.__name__ for kind in type(error).__mro__}
        status = getattr(getattr(error, "response", None), "status_code", None)
        if "RepositoryNotFoundError" in kinds:
            return EdgetuneError(
                f"{self.url}: there is no such repository, or it is not yours to see (`hf auth login`)"
            )
        if status in (401, 403):
            return EdgetuneError(f"{self.url}: no access to write: `hf auth login`, or give HF_TOKEN")
        if status in _CONFLICT:  # somebody else's commit came first: ours changes other files and can follow
            return TransientError(f"{self.url}: the Hub says {status}")
        if status is not None:
            return EdgetuneError(f"{self.url}: the Hub says {status}: {' '.join(str(error).split())[:200]}")
        return meaning(error, "write", self.url, "a commit")


def _api() -> Any:
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise EdgetuneError("hf:// needs what is not installed: `pip install edgetune[hf]`") from None
    return HfApi(library_name="edgetune")
