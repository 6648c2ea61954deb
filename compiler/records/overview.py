"""A folder of logs in a table: what devices there are records of, how many, from when and by whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from compiler.errors import EdgetuneError
from compiler.records.exchange.export import replacing
from compiler.records.exchange.import_ import import_logs
from compiler.records.provenance import Provenance
from compiler.records.record import UNKNOWN_TIME
from compiler.records.store import Store
from compiler.scratch import scratch_folder

BEGIN = "<!-- made by `edgetune logs readme`: do not edit -->"
END = "<!-- end -->"
README = "README.md"
_OF_GPUS = ("power_mode", "driver")


@dataclass(frozen=True)
class DeviceLog:
    """What a folder holds of one fingerprint. `trials`: spent on its kernels, where records say so. `first`, `last`:
    UTC days, None where unknown. `unknown`: of each field of provenance that its target can have, how many records do
    not say it."""

    fingerprint: str
    device: str
    mcpu: str
    threads: int
    tvm_versions: tuple[str, ...]
    kernels: int
    records: int
    checked: int
    trials: int | None
    first: str | None
    last: str | None
    authors: tuple[str, ...]
    unknown: Mapping[str, int]


def overview(folder: Path) -> list[DeviceLog]:
    """One entry for each fingerprint, sorted. Raises EdgetuneError where the folder holds no log, or a bad line."""
    with scratch_folder("overview") as place, Store(place / "all.db") as store:
        report = import_logs(store, folder)
        if report.skipped:
            bad = report.skipped[0]
            raise EdgetuneError(f"{bad.file}:{bad.line}: {bad.reason}")
        return [_device(store, device, records) for device, records in sorted(store.fingerprints().items())]


def _device(store: Store, fingerprint: str, records: int) -> DeviceLog:
    (device, target, threads, kernels, first, last), *_ = store.query(
        "SELECT max(device), max(target), max(threads), count(DISTINCT workload), "
        "min(CASE WHEN created <> ? THEN created END), max(CASE WHEN created <> ? THEN created END) "
        "FROM records WHERE fingerprint = ?",
        (UNKNOWN_TIME, UNKNOWN_TIME, fingerprint),
    )
    spent = "SELECT max(spent) AS most FROM records WHERE fingerprint = ? GROUP BY workload"
    trials = store.query(f"SELECT sum(most) FROM ({spent})", (fingerprint,))[0][0]  # noqa: S608 - constants
    distinct = "SELECT DISTINCT {} FROM records WHERE fingerprint = ? AND {} <> '' ORDER BY 1"
    versions = store.query(distinct.format("tvm_version", "tvm_version"), (fingerprint,))
    authors = store.query(distinct.format("author", "author"), (fingerprint,))
    options = msgspec.json.decode(target)
    fields = [name for name in Provenance.__struct_fields__ if options.get("kind") == "cuda" or name not in _OF_GPUS]
    checked, unknown = 0, Counter(dict.fromkeys(fields, 0))
    for record in store.records(fingerprint=fingerprint):
        checked += bool(record.checked)
        unknown.update(name for name in fields if getattr(record.provenance, name) is None)
    return DeviceLog(
        fingerprint=fingerprint,
        device=device,
        mcpu=str(options.get("mcpu") or options.get("arch") or ""),
        threads=threads,
        tvm_versions=tuple(row[0] for row in versions),
        kernels=kernels,
        records=records,
        checked=checked,
        trials=trials,
        first=first[:10] if first else None,
        last=last[:10] if last else None,
        authors=tuple(row[0] for row in authors),
        unknown=unknown,
    )


def table(logs: list[DeviceLog]) -> str:
    """The entries as a table in Markdown."""
    lines = [
        "| device | code for | threads | TVM | kernels | records | checked | trials | measured | by |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for log in logs:
        days = "" if log.first is None else log.first if log.first == log.last else f"{log.first} to {log.last}"
        cells = [
            log.device, log.mcpu, log.threads, ", ".join(log.tvm_versions), log.kernels, log.records, log.checked,
            log.trials or "", days, ", ".join(log.authors),
        ]  # fmt: skip
        lines.append("| " + " | ".join(_cell(str(cell)) for cell in cells) + " |")
    return "\n".join(lines)


def unknown(logs: list[DeviceLog]) -> str:
    """What records do not say of the circumstances that they were measured in, as a list in Markdown; empty where they
    say all of it."""
    lines = []
    for log in logs:
        missing = {name: count for name, count in log.unknown.items() if count}
        if not missing:
            continue
        counts = sorted(set(missing.values()), reverse=True)
        parts = []
        for count in counts:
            names = ", ".join(f"`{name}`" for name, number in missing.items() if number == count)
            parts.append(f"{'all' if count == log.records else count} of {log.records} leave out {names}")
        lines.append(f"- {_cell(log.device)}, {_cell(log.mcpu)}: {'; '.join(parts)}")
    if not lines:
        return ""
    head = "What records do not say of the circumstances of their measurement is unknown, and was not filled in later:"
    return "\n".join([head, "", *lines])


def text(logs: list[DeviceLog]) -> str:
    """What a README says of the entries: the table, and what is unknown."""
    return "\n\n".join(part for part in (table(logs), unknown(logs)) if part)


def write_readme(folder: Path) -> Path:
    """Puts what is to be said of FOLDER's logs into FOLDER/README.md, between its marks or, without any, at its end.

    Raises EdgetuneError where the logs cannot be read or the file cannot be written.
    """
    path = folder / README
    before = path.read_text(encoding="utf-8") if path.exists() else "# Shared records\n"
    with replacing(path) as file:
        file.write(with_table(before, text(overview(folder))).encode("utf-8"))
    return path


def with_table(text: str, made: str) -> str:
    """`text` with `made` between its marks."""
    before, found, rest = text.partition(BEGIN)
    after = rest.partition(END)[2] if found else ""
    return f"{before.rstrip()}\n\n{BEGIN}\n\n{made}\n\n{END}\n" + (f"\n{after.lstrip()}" if after.strip() else "")


def _cell(text: str) -> str:
    """Text that ends no cell and is no markup: it comes from whoever shared the log."""
    return "".join(f"\\{char}" if char in "\\|<>[]`*_" else char for char in text)
