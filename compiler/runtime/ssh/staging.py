"""Folders on a board that come into being in one step: filled beside their place, checked there, then renamed.

While a folder is filled it is called NAME.part-PID-TOKEN, PID being a process on the board that ends with the
connection and removes the folder then. So an upload that is interrupted leaves nothing, and where the board itself
was interrupted, the next one sees that the process is no more. Two desks at once do not get in each other's way.
"""

from __future__ import annotations

import asyncio
import secrets
import shlex
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.errors import EdgetuneError
from compiler.report import format as fmt
from compiler.runtime.ssh.link import Link

if TYPE_CHECKING:
    from asyncssh import SSHClientProcess

SUMS = "SHA256SUMS"
Progress = Callable[[str], None]

CHECK_SECONDS = 600.0
"""For a board to read back what it was sent: 1 GB from a slow card."""

_HOLD_SECONDS = 30.0
_CHUNK = 1 << 20
_TOLD_EVERY_SECONDS = 0.5

# A command line, not a script: its input is what tells it that the connection has ended.
_HOLD = (
    'umask 022; mkdir -p "$1" && cd "$1" && P="$2.part-$$-$3" && mkdir "$P" && echo "$P" && '
    '{ cat >/dev/null; rm -rf "$P"; }'
)

_SWEEP = r"""
cd "$1" 2>/dev/null || exit 0
for part in $2.part-*; do
  [ -d "$part" ] || continue
  mark=${part##*.part-}
  pid=${mark%%-*}
  token=${mark#*-}
  tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "${token%%.*}" && continue
  rm -rf "$part"
done
"""

_CHECK = r"""
cd "$1" 2>/dev/null || { echo "it is not there"; exit 9; }
if command -v sha256sum >/dev/null 2>&1; then sum=sha256sum
elif busybox sha256sum </dev/null >/dev/null 2>&1; then sum="busybox sha256sum"
else echo "it has no sha256sum"; exit 8
fi
LC_ALL=C $sum -c SHA256SUMS 2>&1
"""

# `mv` of a folder onto one that is there would move it inside, hence the lock; small boards have no flock. It is a link
# whose target is the number of the process that holds it, and void when there is no such process. Who has the old
# version open keeps it.
_LOCKED = r"""
cd "$1" || exit 9
sync -f "$2" 2>/dev/null || sync
lock=$3.part-lock
tries=0
until ln -sn $$ "$lock" 2>/dev/null; do
  holder=$(readlink "$lock")
  if [ -n "$holder" ] && [ ! -d "/proc/$holder" ]; then rm -f "$lock"; continue; fi
  tries=$((tries + 1))
  [ $tries -lt 300 ] || { echo "$1/$lock is held by process $holder" >&2; exit 1; }
  sleep 0.1 2>/dev/null || sleep 1
done
trap 'rm -f "$lock"' EXIT
if [ ! -e "$3" ]; then mv "$2" "$3"; exit; fi
"""
_SWAP = r"""
mv --exchange -T "$2" "$3" 2>/dev/null && exit
mv "$3" "$2.old" || exit
if mv "$2" "$3"; then rm -rf "$2.old"; exit 0; fi
mv "$2.old" "$3"
exit 1
"""
_REPLACE = _LOCKED + _SWAP
_KEEP = f'{_LOCKED}( set -- "$3"\n{_CHECK}) >/dev/null 2>&1 && exit\n{_SWAP}'


class Staging:
    """A folder that is being filled: `parent`/`part` on the board, to become `parent`/`name`."""

    def __init__(self, link: Link, parent: str, name: str, part: str) -> None:
        self._link = link
        self.parent, self.name, self.part = parent, name, part

    async def write(self, files: Mapping[str, Path | bytes], what: str, progress: Progress | None = None) -> None:
        """Copy `files` (names to contents) into it; an executable file stays one. `what` is said in `progress`."""
        sizes = {name: len(file) if isinstance(file, bytes) else file.stat().st_size for name, file in files.items()}
        told = _Told(what, sum(sizes.values()), progress)
        for name, file in files.items():
            executable = isinstance(file, Path) and bool(file.stat().st_mode & 0o100)
            path = f"{self.parent}/{self.part}/{name}"
            await self._link.write(path, told.counted(_chunks(file)), 0o755 if executable else 0o644)

    async def check(self) -> None:
        """Hold what has arrived against its SHA256SUMS, on the board. Raises EdgetuneError for what differs."""
        wrong = await why_not_whole(self._link, f"{self.parent}/{self.part}")
        if wrong is not None:
            raise EdgetuneError(f"what arrived on {self._link.address} is not what was sent: {wrong}")

    async def place(self, *, replace: bool) -> None:
        """Give it its name, in the place of what has that name now; with `replace` off, a whole folder there stays."""
        done = await self._link.script(
            _REPLACE if replace else _KEEP, self.parent, self.part, self.name, seconds=CHECK_SECONDS
        )
        if done.status != 0:
            raise EdgetuneError(f"cannot put {self.parent}/{self.name} in place on {self._link.address}: {done.said}")


@asynccontextmanager
async def staging(link: Link, parent: str, name: str) -> AsyncIterator[Staging]:
    """A new folder beside `parent`/`name`, which is made as needed; gone at the end unless it was put in place."""
    token = secrets.token_hex(8)
    process = await link.start(f"sh -c {shlex.quote(_HOLD)} {shlex.join(('sh', parent, name, token))}")
    try:
        with link.telling():
            try:
                part = await asyncio.wait_for(_line_with(token, process), _HOLD_SECONDS)
            except (TimeoutError, asyncio.TimeoutError):
                part = ""
            if not part:
                said = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
                raise EdgetuneError(
                    f"cannot make a folder in {parent} on {link.address}: {said[-1] if said else 'no answer'}"
                )
        yield Staging(link, parent, name, part)
    finally:
        process.stdin.write_eof()
        try:
            await asyncio.wait_for(process.wait_closed(), _HOLD_SECONDS)
        except (TimeoutError, asyncio.TimeoutError):
            process.close()


async def _line_with(token: str, process: SSHClientProcess[bytes]) -> str:
    """The line that has `token` in it, after what the user's shell may say; empty where there is none."""
    while line := (await process.stdout.readline()).decode(errors="replace"):
        if token in line:
            return line.strip()
    return ""


async def sweep(link: Link, parent: str, names: str) -> None:
    """Remove what interrupted uploads left in `parent` of folders called `names`, a pattern of sh."""
    await link.script(_SWEEP, parent, names)


async def why_not_whole(link: Link, folder: str) -> str | None:
    """None where the folder on the board is what its SHA256SUMS says, else one line that says what is wrong."""
    done = await link.script(_CHECK, folder, seconds=CHECK_SECONDS)
    if done.status == 0:
        return None
    failed = [line for line in done.stdout.splitlines() if line.strip() and not line.endswith(": OK")]
    return failed[0].strip() if failed else done.said


def _chunks(file: Path | bytes) -> Iterator[bytes]:
    if isinstance(file, bytes):
        yield file
        return
    with file.open("rb") as source:
        while chunk := source.read(_CHUNK):
            yield chunk


class _Told:
    """Says how far an upload of `size` bytes is, where somebody watches (see `compiler.report.steps`)."""

    def __init__(self, what: str, size: int, progress: Progress | None) -> None:
        self._what = f"Copying {what} ({fmt.size(size)})"
        self._size = max(1, size)
        self._progress = progress
        self._live = bool(getattr(progress, "live", False))
        self._sent = 0
        self._last = asyncio.get_running_loop().time()
        if progress is not None:
            progress(self._what)

    def counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            self._sent += len(chunk)
            now = asyncio.get_running_loop().time()
            if self._live and self._progress is not None and now - self._last > _TOLD_EVERY_SECONDS:
                self._last = now
                self._progress(f"{self._what}: {100 * self._sent // self._size} %")
