"""Proposing and building candidates for a board that no network reaches, into a file that is carried there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import targets
from compiler.errors import EdgetuneError, UsageError
from compiler.precision import must_have
from compiler.records.provenance import runtime_of
from compiler.records.record import clean_error, now, trace_id
from compiler.scratch import scratch_folder
from compiler.tuning import limits
from compiler.tuning.budget import Budget
from compiler.tuning.offline import memory
from compiler.tuning.offline.batch import jobs_text, write_batch
from compiler.tuning.offline.carrier import Carrier
from compiler.tuning.offline.schema import Candidate, Header, Job, batch_id, job_id
from compiler.tuning.session import Session
from compiler.tuning.tune import builders, expand, task_states
from compiler.tuning.work import Trial, Work
from compiler.tuning.workers import Pool

if TYPE_CHECKING:
    from compiler.frontend import Model
    from compiler.records.store import Store
    from compiler.tuning.builder import Builder

TRIALS = 256
"""Candidates of a batch, unless one says how many: some minutes of building, and of measuring."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Exported:
    """A batch that was written: its name, candidates in it, how many of them are the first of their task, tasks in it,
    candidates that could not be built, and the fingerprint whose records it goes on from."""

    batch: str
    jobs: int
    first: int
    tasks: int
    failed: int
    bytes: int
    fingerprint: str


def export_batch(
    model: Model,
    target: targets.Target,
    path: Path,
    *,
    store: Store,
    fingerprint: targets.Fingerprint,
    trials: int = TRIALS,
    precision: str = "fp32",
    tasks: set[int] | None = None,
    seed: int = 0,
    dump: Path | None = None,
    say: Say = lambda what: None,
    builder: Builder | None = None,
    warm: bool = True,
) -> Exported:
    """Write the next `trials` candidates for the kernels of `model` to `path`, and remember them in `store`.

    The search goes on from the records of `fingerprint`; unless `warm` is False, a task without any begins from similar
    ones, as in `tune`. Every task that no batch of this model and target has brought results of is in it once, at its
    best record or its zero-trial schedule, before any gets a second candidate. `say` is told of each step.
    Raises UsageError for a task that does not exist, and EdgetuneError where nothing is left to try, nothing can be
    built, or the file cannot be written.
    """
    must_have(target, precision)
    run = memory.run_id(model, target, precision)
    with ExitStack() as stack:
        if builder is None:
            builder = stack.enter_context(Pool(builders(target, Carrier(fingerprint)), 1))
        say(f"Taking {model.name} apart")
        expanded = expand(model, target, precision, dump)
        states = task_states(expanded)
        unknown = sorted((tasks or set()) - {s.index for s in states})
        if unknown:
            raise UsageError(f"no task {unknown[0]}: {model.name} has tasks 1 to {len(states)}")
        carrier = Carrier(fingerprint)
        budget = Budget(trials=trials)
        session = Session(model, target, store, budget, precision, seed, expanded, states, tasks, carrier, None, warm)
        session.unfinished.finish()  # a batch is made anew, and not gone on with
        say(f"Proposing {trials} candidates")
        first = _propose(session, carrier, run, trials)
        if not carrier.trials:
            raise EdgetuneError(
                "nothing is left to try: every schedule that is known for these tasks has been measured"
            )
        folder = stack.enter_context(scratch_folder("export"))
        errors = _build(session, carrier.trials, builder, folder, say)
        return _write(path, model, target, precision, session, run, carrier, errors, first)


def _propose(session: Session, carrier: Carrier, run: str, count: int) -> int:
    """Submit up to `count` candidates; how many of them are the first of their task."""
    done = session.store.run_trials(run)
    untried = [work for work in session.work if not done.get(work.state.hash)]
    untried.sort(key=lambda w: -(w.state.flops or 0.0) * w.state.calls)
    for work in untried[:count]:
        carrier.submit(Trial(work, session.first(work)))
    proposed = {(t.work.state.hash, t.candidate.id) for t in carrier.trials}
    while len(carrier.trials) < count:
        chosen = session.next(1)
        if not chosen:
            break
        for candidate in session.propose(chosen[0])[: count - len(carrier.trials)]:
            if (chosen[0].state.hash, candidate.id) not in proposed:
                carrier.submit(Trial(chosen[0], candidate))
        # Nothing is known of these yet: the next round of the task is worth less than the first one of another.
        session.note_round(chosen[0], chosen[0].state.best_seconds)
    return min(len(untried), count)


def _build(session: Session, trials: list[Trial], builder: Builder, folder: Path, say: Say) -> list[str | None]:
    """Build all; None or why it failed for each."""
    jobs = [session.build_job(t.candidate, folder / f"{i:04}.so") for i, t in enumerate(trials, 1)]
    order = sorted(range(len(jobs)), key=lambda i: -len(jobs[i]["module"]))
    built = [0]

    def done(_position: int, _outcome: object) -> None:
        built[0] += 1
        if built[0] % 32 == 0:
            say(f"Building candidates, {built[0]} of {len(jobs)}")

    say(f"Building {len(jobs)} candidates")
    outcomes = builder.map("build", [jobs[i] for i in order], limits.BUILD_SECONDS, done=done)
    return [trial.built(outcomes[order.index(i)]) for i, trial in enumerate(trials)]


def _write(
    path: Path,
    model: Model,
    target: targets.Target,
    precision: str,
    session: Session,
    run: str,
    carrier: Carrier,
    errors: list[str | None],
    first: int,
) -> Exported:
    from compiler.records.workload import workload_of

    jobs: list[Job] = []
    candidates: list[Candidate] = []
    sent: list[memory.Sent] = []
    libraries: dict[str, Path] = {}
    device = "cuda" if target.kind == "cuda" else "cpu"
    for trial, error in zip(carrier.trials, errors, strict=True):
        state, candidate = trial.work.state, trial.candidate
        digest = "" if error is not None else hashlib.sha256(Path(trial.library).read_bytes()).hexdigest()
        identity = job_id(state.hash, trace_id(candidate.trace), digest)
        known = {"id": identity, "workload": state.hash}
        sent.append(
            memory.Sent(
                **known,
                sha256=digest,
                trace=candidate.trace,
                repeats=limits.REPEATS,
                error=None if error is None else clean_error(error),
            )
        )
        if error is not None:
            continue
        name = f"{len(jobs) + 1:04}.so"
        libraries[name] = Path(trial.library)
        asked = {
            **trial.job(),
            "id": identity,
            "library": name,
            "sha256": digest,
            "bytes": libraries[name].stat().st_size,
            "limit_seconds": limits.BOARD_MEASURE_SECONDS,
            "threads": target.cores,
            "device": device,
        }
        jobs.append(msgspec.convert(asked, Job))
        candidates.append(Candidate(**known, task=state.name, trace=msgspec.Raw(candidate.trace.encode())))
    if not jobs:
        raise EdgetuneError(f"none of {len(errors)} candidates could be built, one of them with: {errors[0]}")
    config = target.config()
    header = Header(
        batch=batch_id(jobs_text(jobs)),
        jobs=len(jobs),
        machine=_machine(config),
        device=device,  # type: ignore[arg-type]
        threads=target.cores,
        target=target.name,
        config=config,
        tvm=targets.tvm_version(),
        version=session.tool_version,
        model=model.name,
        model_sha256=model.sha256,
        precision=precision,
        run=run,
        created=now(),
    )
    for work in _works(carrier.trials):
        session.store.add_workload(workload_of(work.search.task.mod, work.state.name))
    # Remembered first: what lies in the file is then known, whatever happens in between.
    batch = memory.SentBatch(header=header, seed=session.seed, runtime=runtime_of(target.kind), candidates=sent)
    memory.remember(session.store, batch)
    write_batch(path, header, jobs, candidates, libraries)
    return Exported(
        batch=header.batch,
        jobs=len(jobs),
        first=first,
        tasks=len(_works(carrier.trials)),
        failed=len(sent) - len(jobs),
        bytes=path.stat().st_size,
        fingerprint=carrier.fingerprint.id,
    )


def _works(trials: list[Trial]) -> list[Work]:
    return list({id(trial.work): trial.work for trial in trials}.values())


def _machine(config: dict[str, object]) -> str:
    """The machine that code for a target runs on, as `uname -m` says it."""
    host = config.get("host", config)
    triple = str(host.get("mtriple", "")) if isinstance(host, dict) else ""
    if not triple:
        from targets import cpuinfo

        return cpuinfo.machine()
    return triple.partition("-")[0]
