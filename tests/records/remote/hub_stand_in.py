"""What a HubRemote uses of the Hugging Face Hub, over a file system in memory: no test of the Hub itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


class StatusError(Exception):
    """As huggingface_hub's: an exception with the response that it is about."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status} from the stand-in")
        self.response = type("Response", (), {"status_code": status})()


class StandIn:
    """HfApi.create_commit, and the file system that shows what was committed below `datasets/me/logs`."""

    def __init__(self, name: str) -> None:
        pytest.importorskip("huggingface_hub")
        from fsspec.implementations.dirfs import DirFileSystem
        from fsspec.implementations.memory import MemoryFileSystem

        self.filesystem = DirFileSystem(f"/hub-{name}", MemoryFileSystem())
        self.filesystem.makedirs("datasets/me/logs")
        self.commits: list[list[str]] = []
        self.refuse: list[int] = []

    def create_commit(self, *, operations: list[Any], commit_message: str, repo_id: str, repo_type: str) -> None:
        if self.refuse:
            raise StatusError(self.refuse.pop())
        assert (repo_id, repo_type, bool(commit_message)) == ("me/logs", "dataset", True)
        for operation in operations:
            path = f"datasets/{repo_id}/{operation.path_in_repo}"
            source = getattr(operation, "path_or_fileobj", None)
            if source is None:
                self.filesystem.rm_file(path)
            else:
                self.filesystem.pipe_file(path, source if isinstance(source, bytes) else Path(source).read_bytes())
        self.commits.append([operation.path_in_repo for operation in operations])
