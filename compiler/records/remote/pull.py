"""From a remote into a store: what is wanted and not there yet, fetched, verified, checked and merged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from compiler.errors import EdgetuneError
from compiler.records.exchange.import_ import import_files
from compiler.records.exchange.report import ImportReport
from compiler.records.remote.cache import Cache, caches, signature_cache
from compiler.records.remote.index import Part
from compiler.records.remote.packing import short_id, unpack
from compiler.records.remote.push import Progress
from compiler.records.remote.reading import Index, read_index
from compiler.records.remote.remote import Remote, TransientError
from compiler.records.remote.signatures import Accepted, read_signed
from compiler.records.store import Store
from compiler.report import format as fmt
from compiler.version import tool_version

_NOTE = "pulled "
_MERGED_PARTS = 256
_MERGED_BYTES = 16 << 20
_GOES_ON = "what came is kept, and the same command goes on from there"


@dataclass
class PullReport:
    """What a pull did. parts: those fetched now, of `listed` that are wanted. bytes_fetched: of them. entries_fetched:
    index entries. imported: what the store took, with every line that it did not. refused: parts and index entries
    that could not be used, each with the reason. unsigned: parts that no accepted signer has signed."""

    url: str
    listed: int = 0
    parts: int = 0
    bytes_fetched: int = 0
    entries_fetched: int = 0
    fingerprints: list[str] = field(default_factory=list)
    imported: ImportReport = field(default_factory=ImportReport)
    refused: list[str] = field(default_factory=list)
    unsigned: int = 0


class _Wanted(NamedTuple):
    fingerprint: str
    part: Part
    origin: str


def pull(
    store: Store,
    remote: Remote,
    *,
    wanted: Callable[[str], bool] = lambda fingerprint: True,
    workloads: frozenset[str] | None = None,
    signers: Accepted | None = None,
    progress: Progress = lambda line: None,
) -> PullReport:
    """Merges into `store` what `remote` has of the fingerprints that are `wanted`; nothing in the store is replaced.

    workloads: only these kernels (hashes). signers: only parts that one of them has signed; others are refused.
    What the store holds or once pulled is not fetched. Each part is imported as soon as it is there, so that a pull
    that ends halfway goes on where it ended. Every line goes through the checks of `exchange`, and the records say
    that they come from `remote`, and who has signed them where that was asked for.

    Raises EdgetuneError where the remote cannot be read, or stops being reachable, UsageError for signers that are
    none.
    """
    if signers is not None:
        signers.check()
    report = PullReport(remote.url)
    entries, parts = caches(remote.url)
    progress(f"Reading the index of {remote.url}")
    index = read_index(remote, entries, wanted)
    report.refused += index.refused
    report.entries_fetched = index.fetched
    listed = _listed(index, workloads, remote.url)
    report.listed = len(listed)
    report.fingerprints = sorted({item.fingerprint for item in listed})
    missing = list(_missing(store, listed))
    if signers is not None:
        progress(f"Reading the signatures of {remote.url}")
        missing = _only_signed(missing, remote, wanted, signers, report)
    total = sum(item.part.size for item in missing)
    if not missing:
        return report
    progress(f"Fetching {len(missing)} parts, {fmt.size(total)}")
    with _Merging(store, remote, parts, report) as merging:
        for done, (item, error, fetched) in enumerate(_fetched(remote, parts, missing), 1):
            report.parts += fetched
            report.bytes_fetched += item.part.size if fetched else 0
            if error is None:
                merging.take(item)
            else:
                report.refused.append(f"part {item.part.sha256[:12]}: {error}")
            progress(f"Fetched {done} of {len(missing)} parts")
    return report


def _listed(index: Index, workloads: frozenset[str] | None, origin: str) -> list[_Wanted]:
    """Each part once for each fingerprint, in an order that does not depend on how the index is cut into entries."""
    found = {
        _Wanted(entry.fingerprint, part, origin)
        for entry in index.entries.values()
        for part in entry.parts
        if workloads is None or part.workload in workloads
    }
    return sorted(found, key=lambda item: (item.fingerprint, item.part.workload, item.part.sha256, item.part.size))


def _only_signed(
    items: list[_Wanted], remote: Remote, wanted: Callable[[str], bool], signers: Accepted, report: PullReport
) -> list[_Wanted]:
    """Those of `items` that a signer has signed, who becomes part of their origin; the others go into the report."""
    signed = read_signed(remote, signature_cache(remote.url), wanted, signers)
    report.refused += signed.refused
    good = [item for item in items if item.part.sha256 in signed.parts]
    report.unsigned = len(items) - len(good)
    if report.unsigned:
        whom = " or ".join(signers.signers)
        report.refused.append(f"{report.unsigned} of {len(items)} parts are not signed by {whom}")
    origins = {part: f"{remote.url}, signed by {signer}" for part, signer in signed.parts.items()}
    # Signers together, since what is merged at once has one origin.
    made = [item._replace(origin=origins[item.part.sha256]) for item in good]
    return sorted(made, key=lambda item: (item.fingerprint, item.origin, item.part.workload, item.part.sha256))


def _missing(store: Store, listed: Iterable[_Wanted]) -> Iterator[_Wanted]:
    """What was not pulled before, nor is in the store with every record."""
    pulled = dict(store.query("SELECT key, value FROM notes WHERE key >= ? AND key < ?", (_NOTE, _NOTE[:-1] + "!")))
    readable = ("", tool_version())
    last: tuple[str, str] | None = None
    known: set[bytes] = set()
    for item in listed:
        if pulled.get(_key(item)) in readable:
            continue
        group = (item.fingerprint, item.part.workload)
        if group != last:
            sql = "SELECT id FROM records WHERE fingerprint = ? AND workload = ?"
            known = {short_id(row[0]) for row in store.query(sql, group)}
            last = group
        if not item.part.records <= known:
            yield item


def _fetched(
    remote: Remote, cache: Cache, items: list[_Wanted]
) -> Iterator[tuple[_Wanted, EdgetuneError | None, bool]]:
    """Each item once its part is in the cache, or why it is not, and whether it was fetched for that.

    So many are under way at once that the connections are busy while the store takes in what came, and no more: what
    lies on this disk stays small.
    """

    def fetch(part: Part) -> tuple[EdgetuneError | None, bool]:
        try:
            return None, _fetch(remote, cache, part)
        except TransientError:
            raise
        except EdgetuneError as error:
            return error, False

    with ThreadPoolExecutor(remote.workers) as pool:
        ahead = 2 * remote.workers
        futures = [pool.submit(fetch, item.part) for item in items[:ahead]]
        try:
            for at, item in enumerate(items):
                error, fetched = futures[at].result()
                if at + ahead < len(items):
                    futures.append(pool.submit(fetch, items[at + ahead].part))
                yield item, error, fetched
        except TransientError as error:
            raise EdgetuneError(f"{error}; {_GOES_ON}") from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _fetch(remote: Remote, cache: Cache, part: Part) -> bool:
    return cache.fetch(part.sha256, partial(remote.part_chunks, part), part.size, part.size)


class _Merging:
    """Takes parts that are in the cache into the store, several at a time: each transaction waits for the disk."""

    def __init__(self, store: Store, remote: Remote, cache: Cache, report: PullReport) -> None:
        self._store, self._remote, self._cache, self._report = store, remote, cache, report
        self._folder = cache.scratch()
        # Two folders deep, since an import looks for kernels beside the folder that a file lies in.
        self._lines = Path(self._folder.name) / "parts"
        self._lines.mkdir()
        self._waiting: dict[Path, _Wanted] = {}
        self._bytes = 0

    def take(self, item: _Wanted) -> None:
        """Unpacks a part and keeps it for the next merge, which is done where there is enough for it."""
        if self._waiting and (
            _group(next(iter(self._waiting.values()))) != _group(item)
            or len(self._waiting) >= _MERGED_PARTS
            or self._bytes + item.part.unpacked > _MERGED_BYTES
        ):
            self.merge()
        lines = self._lines / f"{item.part.sha256}.jsonl"
        packed = self._cache.path(item.part.sha256)
        try:
            try:
                unpack(item.part, packed, lines)
            except FileNotFoundError:  # another pull of this user has taken it in, and removed it
                _fetch(self._remote, self._cache, item.part)
                unpack(item.part, packed, lines)
        except OSError as error:
            raise EdgetuneError(f"cannot write {lines}: {error.strerror}") from None
        except EdgetuneError as error:
            self._cache.drop(item.part.sha256)
            self._report.refused.append(f"part {item.part.sha256[:12]}: {error}")
        else:
            self._waiting[lines] = item
            self._bytes += item.part.unpacked

    def merge(self) -> None:
        """Imports what waits, and notes it, so that it is not fetched again."""
        if not self._waiting:
            return
        waiting, self._waiting, self._bytes = self._waiting, {}, 0
        fingerprint, origin = _group(next(iter(waiting.values())))
        report = self._report.imported
        listed, before = len(report.skipped), report.skipped_count
        import_files(self._store, list(waiting), report, only=fingerprint, origin=origin)
        skipped = {line.file for line in report.skipped[listed:]}
        all_listed = len(report.skipped) - listed == report.skipped_count - before
        # What this edgetune cannot read, a newer one may.
        sound = {path: all_listed and path.name not in skipped for path in waiting}
        here = tool_version()
        self._store.set_notes({_key(item): "" if sound[path] else here for path, item in waiting.items()})
        for path, item in waiting.items():
            self._cache.drop(item.part.sha256)
            path.unlink()

    def __enter__(self) -> _Merging:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            # What came before a connection was lost is kept; after Ctrl-C, it stays in the cache.
            if kind is None or issubclass(kind, EdgetuneError):
                self.merge()
        finally:
            self._folder.cleanup()


def _group(item: _Wanted) -> tuple[str, str]:
    """What is merged at once has this in common."""
    return item.fingerprint, item.origin


def _key(item: _Wanted) -> str:
    return f"{_NOTE}{item.part.sha256} {item.fingerprint}"
