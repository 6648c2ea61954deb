"""Taking back what a board that no network reaches has measured."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import targets
from compiler.errors import EdgetuneError
from compiler.records.provenance import of_readings
from compiler.records.record import Record, clean_error
from compiler.runtime.rpc.identity import Identity
from compiler.tuning.boards.admission import Admission
from compiler.tuning.offline import memory
from compiler.tuning.offline.results import Results, read_results
from compiler.tuning.offline.schema import Result

if TYPE_CHECKING:
    from compiler.frontend.model import Model
    from compiler.records.store import Store

JOB = "offline_job"
"""The key in a record's `extra` that says which job of a batch it is the result of."""


@dataclass(frozen=True)
class Imported:
    """What was taken back: `new` results, of them `failed` ones (candidates that could not be built count), results
    that were there `before`, jobs that are `missing`, and whether the last line of the file was `torn`."""

    batch: str
    fingerprint: targets.Fingerprint
    new: int
    failed: int
    before: int
    missing: int
    torn: bool


def import_results(path: Path, model: Model, target: targets.Target, precision: str, *, store: Store) -> Imported:
    """Keep the results in `path` as records of the board that measured them.

    What is known already is passed over. Raises EdgetuneError, in one line, and keeps nothing at all, where the file
    is not what it should be, or is of a batch that this store has not sent out for this model, target and precision.
    """
    results = read_results(path)
    sent = memory.recall(store, results.head.batch)
    if sent is None:
        raise EdgetuneError(
            f"{path} is of the batch {results.head.batch[:12]}, which the record store {store.path} has not sent out: "
            "import it where it was exported (--logs DIR)"
        )
    _must_be_of(sent, path, model, target, precision)
    admission = Admission(target, results.identity)
    known = _known(store, sent, admission.fingerprint)
    records = _records(results, sent, admission, known, store)
    store.add_many(records)
    memory.remember_board(store, target, results.head.identity)
    jobs = [candidate.id for candidate in sent.candidates if candidate.error is None]
    done = {result.id for result in results.results}
    return Imported(
        batch=results.head.batch,
        fingerprint=admission.fingerprint,
        new=len(records),
        failed=sum(record.error is not None for record in records),
        before=len(done & known),
        missing=len(set(jobs) - done - known),
        torn=results.torn,
    )


def _must_be_of(sent: memory.SentBatch, path: Path, model: Model, target: targets.Target, precision: str) -> None:
    header = sent.header
    if header.run == memory.run_id(model, target, precision):
        return
    for what, theirs, ours in (
        ("model", header.model, model.name),
        ("precision", header.precision, precision),
        ("target", header.target, target.name),
        ("number of threads", header.threads, target.cores),
        ("target's options", header.config, target.config()),
    ):
        if theirs != ours:
            raise EdgetuneError(f"{path} is of another batch: its {what} is {theirs}, and {ours} was named here")
    raise EdgetuneError(f"{path} is of another batch: {header.model} with other weights, batch size, shapes or seed")


def _known(store: Store, sent: memory.SentBatch, fingerprint: targets.Fingerprint) -> set[str]:
    """The jobs of the batch that there are records of already."""
    records = store.records(fingerprint=fingerprint.id, run=sent.header.run)
    return {str(record.extra[JOB]) for record in records if JOB in record.extra}


def _records(
    results: Results,
    sent: memory.SentBatch,
    admission: Admission,
    known: set[str],
    store: Store,
) -> list[Record]:
    candidates = {candidate.id: candidate for candidate in sent.candidates}
    told = {result.id: result for result in results.results}
    for result in results.results:
        candidate = candidates.get(result.id)
        if candidate is None or candidate.error is not None:
            raise EdgetuneError(f"{results.path}: the batch has no job {result.id}")
        if candidate.sha256 != result.sha256:
            raise EdgetuneError(f"{results.path}: the job {result.id} was measured with another library")
        if len(result.seconds) > candidate.repeats:
            raise EdgetuneError(f"{results.path}: the job {result.id} has more than {candidate.repeats} repeats")
    # What could not be built failed on every board.
    for candidate in sent.candidates:
        if candidate.error is not None:
            told[candidate.id] = Result(id=candidate.id, sha256="0" * 64, seconds=[], error=candidate.error)
    spent: dict[str, int] = {}
    made = []
    for one in told.values():
        candidate = candidates[one.id]
        if one.id in known:
            continue
        workload = candidate.workload
        if workload not in spent:
            spent[workload] = store.trials(workload, admission.fingerprint.id)
        spent[workload] += 1
        made.append(_record(one, candidate, sent, admission, spent[workload]))
    return made


def _record(
    result: Result, candidate: memory.Sent, sent: memory.SentBatch, admission: Admission, trials: int
) -> Record:
    identity, fingerprint = admission.first, admission.fingerprint
    circumstances = of_readings(
        {"celsius": {} if result.celsius is None else {"board": result.celsius}},
        gpu=sent.header.device == "cuda",
        governor=identity.governor,
        power_mode=identity.power_mode,
        system=f"Linux {identity.kernel} {identity.machine}" if identity.kernel else None,
        runtime=sent.runtime,
    )
    return Record(
        workload=candidate.workload,
        trace=candidate.trace,
        seconds=tuple(result.seconds),
        error=None if result.error is None else clean_error(result.error),
        fingerprint=fingerprint.id,
        target=sent.header.config,
        device=fingerprint.device,
        threads=sent.header.threads,
        tvm_version=clean_error(identity.tvm)[:100],
        tool_version=sent.header.version,
        seed=sent.seed,
        created=_created(result.time, sent.header.created),
        run=sent.header.run,
        extra={JOB: candidate.id, **_remarks(identity)},
        provenance=circumstances.with_trials(trials),
    )


def _remarks(identity: Identity) -> dict[str, str]:
    """What a record says of the board beyond its fingerprint, as records of boards with a network do."""
    known = {"board": identity.board, "power_mode": identity.power_mode, "governor": identity.governor}
    return {what: clean_error(value)[:300] for what, value in known.items() if value is not None}


def _created(seconds: float | None, exported: str) -> str:
    """When a job was measured, by the board's clock where that can be: many boards begin in 1970 at each start."""
    earliest = datetime.fromisoformat(exported.rstrip("Z")).replace(tzinfo=timezone.utc)
    if seconds is None or not earliest.timestamp() <= seconds <= time.time():
        return exported
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
