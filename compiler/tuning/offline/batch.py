"""The file that is carried to a board: libraries, and how each is to be measured."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from compiler.errors import EdgetuneError
from compiler.packaging import archive
from compiler.tuning.offline.schema import (
    BATCH_FILE,
    CANDIDATES_FILE,
    JOBS_FILE,
    MAX_JOBS,
    Candidate,
    Header,
    Job,
    batch_id,
    decode,
    encode,
    lines_of,
)

MAX_TEXT_BYTES = 1 << 30
_OTHERS = (BATCH_FILE, JOBS_FILE, CANDIDATES_FILE)


class Batch:
    """A batch that was opened: its `header`, its `jobs` in their order, and its libraries."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        """Raises EdgetuneError where the file is no batch, or a damaged one; libraries are looked at one by one."""
        self.path = path
        self._file = file
        try:
            members = {member.name: member for member in archive.read_members(file, MAX_JOBS + len(_OTHERS))}
            for name in _OTHERS:
                if name not in members:
                    raise archive.DamagedArchiveError(f"{name} is missing")
                if members[name].size > MAX_TEXT_BYTES:
                    raise archive.DamagedArchiveError(f"{name} is larger than {MAX_TEXT_BYTES} bytes")
            texts = {name: b"".join(archive.chunks(file, members[name])) for name in _OTHERS[:2]}
            self.header = decode(texts[BATCH_FILE].rstrip(b"\n"), Header, BATCH_FILE)
            if batch_id(texts[JOBS_FILE]) != self.header.batch:
                raise archive.DamagedArchiveError("its jobs are not those that it was made with")
            self.jobs = [decode(line, Job, what) for what, line in lines_of(texts[JOBS_FILE], JOBS_FILE)]
        except archive.DamagedArchiveError as damage:
            raise EdgetuneError(f"{path} is no batch that can be measured: {damage}") from None
        except EdgetuneError as error:
            raise EdgetuneError(f"{path} is no batch that can be measured: {error}") from None
        self._members = members
        self._check_jobs()

    def _check_jobs(self) -> None:
        ids = {job.id for job in self.jobs}
        if len(self.jobs) != self.header.jobs or len(ids) != len(self.jobs):
            raise EdgetuneError(f"{self.path} is no batch that can be measured: its jobs are not as many as it says")
        for job in self.jobs:
            member = self._members.get(job.library)
            if member is None or job.library in _OTHERS or member.size != job.bytes:
                raise EdgetuneError(f"{self.path} is damaged: {job.library[:100]!r} is not the library of its job")
            if any(weight >= len(job.arguments) for weight in job.weights):
                raise EdgetuneError(f"{self.path} is no batch that can be measured: the weights of a job are not there")

    def extract(self, job: Job, path: Path) -> None:
        """Write the library of a job to `path`. Raises EdgetuneError where it is not what the job says."""
        digest = hashlib.sha256()
        try:
            with path.open("wb") as out:
                for chunk in archive.chunks(self._file, self._members[job.library]):
                    digest.update(chunk)
                    out.write(chunk)
        except archive.DamagedArchiveError as damage:
            raise EdgetuneError(f"{self.path} is damaged: {damage}") from None
        except OSError as error:
            raise EdgetuneError(f"cannot write {path}: {error.strerror}") from None
        if digest.hexdigest() != job.sha256:
            path.unlink()
            raise EdgetuneError(
                f"{self.path} was damaged on its way here: the checksum of {job.library} is wrong; copy it again"
            )


@contextmanager
def opened_batch(path: Path) -> Iterator[Batch]:
    """The batch in the file `path`. Raises EdgetuneError where it cannot be read, or is none."""
    try:
        if not path.is_file():
            raise EdgetuneError(f"there is no file {path}")
        with path.open("rb") as file:
            yield Batch(path, file)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        raise EdgetuneError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


def jobs_text(jobs: Sequence[Job]) -> bytes:
    """The bytes of `jobs.jsonl`, which name the batch."""
    return b"".join(encode(job) for job in jobs)


def write_batch(
    path: Path,
    header: Header,
    jobs: Sequence[Job],
    candidates: Sequence[Candidate],
    libraries: Mapping[str, Path],
) -> None:
    """Write a batch in one step; `libraries` are the files by the names that the jobs give them.

    Raises EdgetuneError where it cannot be written.
    """
    members: dict[str, Path | bytes] = {
        BATCH_FILE: encode(header),
        JOBS_FILE: jobs_text(jobs),
        CANDIDATES_FILE: b"".join(encode(candidate) for candidate in candidates),
        **libraries,
    }
    archive.write(path, members, MAX_JOBS + len(_OTHERS))
