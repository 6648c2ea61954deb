"""How many trials does a warm start save? One model tuned from nothing, then from records of other kernels.

    python benchmarks/warm_start.py DIR [--phase cold,donors,kernels,batch,again,picture] [--minutes 10] [--trials N]
                             [--model resnet50] [--donors squeezenet,googlenet] [--other-batch 48] [--shipped]

cold      tunes the model in an empty store, without the logs that come with edgetune
donors    tunes the donors, and the model at the other batch size, in a store of their own; with --shipped it has what
          the logs of edgetune have of them, which is about one record of a kernel
kernels   tunes the model in a store that holds all records of the donors, and nothing else
batch     the same in a store that holds those of the model's own kernels at the other batch size
again     measures every kernel that was the best of its task at some time in one of these runs once more, all in turns
picture   prints the figures and writes DIR/warm_start.json and DIR/warm_start.svg, of what there is

Without --phase it does all, one after the other; what is done is not done again, and what was cut off is gone on with.
A run ends when nothing improves any more, or after --minutes; ResNet-50 on two cores takes about 3 minutes a run, the
donors 13, and measuring again 2 to 5.

The question is how many trials a run needs for a model latency (the sum over the layers of their best kernels) within
1 % of what the cold run ended with. It is answered twice. By the times of the runs themselves; there the best of many
trials of equal kernels is one that was lucky, and the machine may have been faster during one run than during another.
And by the times of `again`, the same for all runs: the latency after n trials is that of the kernels that the run would
have chosen then, and a trial counts as needed until the latency stays within.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["EDGETUNE_NO_SHIPPED_LOGS"] = "1"

if TYPE_CHECKING:
    from compiler.graph.variants import Variants
    from compiler.records.store import Store

PHASES = ("cold", "donors", "kernels", "batch", "again", "picture")
RUNS = ("cold", "kernels", "batch")
WITHIN = 0.01
ASKED = 0.2
ENDED = "benchmark: the run has ended"
TICKS = [digit * 10**power for power in range(1, 5) for digit in (1, 2, 5)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", type=Path)
    parser.add_argument("--phase", default=",".join(PHASES), help="which ones, separated by commas")
    parser.add_argument("--minutes", type=float, default=10.0, help="a run's limit")
    parser.add_argument("--trials", type=int, help="a run's limit")
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--donors", default="squeezenet,googlenet")
    parser.add_argument("--other-batch", type=int, default=48)
    parser.add_argument("--shipped", action="store_true", help="donors are what comes with edgetune, not tuned here")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    phases = options.phase.split(",")
    if unknown := [phase for phase in phases if phase not in PHASES]:
        parser.error(f"no phase {unknown[0]!r}: they are {', '.join(PHASES)}")
    options.folder.mkdir(parents=True, exist_ok=True)
    for phase in (phase for phase in PHASES if phase in phases):
        if phase == "picture":
            return picture(options.folder)
        if done(options.folder, phase):
            print(f"{phase}: done before")
        elif phase == "again":
            again(options)
        elif phase == "donors":
            donors(options)
        else:
            run(phase, options)
    return 0


def done(folder: Path, phase: str) -> bool:
    """Whether a phase has its result; `again` needs one of every run that there is."""
    if not _result(folder, phase).exists():
        return False
    if phase != "again":
        return True
    curves = json.loads(_result(folder, phase).read_text())["curves"]
    return all(run in curves for run in RUNS if _result(folder, run).exists())


# ---- the runs


def donors(options: argparse.Namespace) -> None:
    """Fill the store that the others are given records from."""
    import targets
    from compiler.records.store import open_store

    target = targets.get("native")
    with open_store(options.folder / "donors") as store:
        for model, batch in (source for phase in ("kernels", "batch") for source in sources(phase, options)):
            if options.shipped:
                imported(store, model, batch, target)
            else:
                ended = tuned(store, "donors", model, batch, target, options)
                print(f"donors: {model}: {ended['trials']} trials in {ended['seconds']:.0f} s, {ended['ended']}")
    _result(options.folder, "donors").write_text(json.dumps({"shipped": options.shipped}))


def sources(phase: str, options: argparse.Namespace) -> list[tuple[str, int | None]]:
    """Which models, at which batch sizes, a phase begins with records of."""
    if phase == "kernels":
        return [(name, None) for name in options.donors.split(",")]
    return [(options.model, options.other_batch)] if phase == "batch" else []


def run(phase: str, options: argparse.Namespace) -> None:
    """Tune the model in the phase's store, and write its curve."""
    import targets
    from compiler.records.store import open_store

    target = targets.get("native")
    given = sources(phase, options)
    with open_store(options.folder / phase) as store:
        for source, batch in given:
            records, kernels, of = give(store, options.folder / "donors", source, batch, target)
            at = f" at batch {batch}" if batch else ""
            print(f"{phase}: {records} records of {kernels} of the {of} kernels of {source}{at}")
        note = store.note(ENDED)
        # A run that has ended would begin anew, and go on from its own records.
        ended = json.loads(note) if note else tuned(store, phase, options.model, None, target, options)
        store.set_note(ENDED, json.dumps(ended))
        trials = own_trials(store)
        latency = curve(_expanded(options.model), trials, _cost)
    found = {
        "phase": phase,
        "model": options.model,
        "device": targets.fingerprint(target).id,
        "sources": given,
        **ended,
        "curve": latency,
        "when": [round((_time(r) - _time(trials[0])).total_seconds(), 2) for r in trials],
    }
    _result(options.folder, phase).write_text(json.dumps(found))
    print(f"{phase}: {ended['trials']} trials in {ended['seconds']:.0f} s, ended because {ended['ended']}")


def tuned(
    store: Store, phase: str, model: str, batch: int | None, target: Any, options: argparse.Namespace
) -> dict[str, Any]:
    """Tune a model, going on with what was cut off; how it ended."""
    from compiler.frontend import load
    from compiler.tuning.tune import Budget, tune

    shown = [0]

    def progress(state: Any) -> None:
        if state.trials >= shown[0] + 100:
            shown[0] = state.trials
            latency = "" if state.latency_seconds is None else f", model about {1e3 * state.latency_seconds:.2f} ms"
            print(f"{phase}: {state.trials} trials in {state.seconds:.0f} s{latency}", flush=True)

    summary = tune(
        load(model, batch=batch),
        target,
        store=store,
        budget=Budget(trials=options.trials, seconds=60 * options.minutes),
        seed=options.seed,
        progress=progress,
        warm=phase != "donors",
    )
    if summary.interrupted:
        sys.exit(f"{phase}: interrupted; the same command goes on")
    ended = {name: getattr(summary, name) for name in ("trials", "failed", "seconds", "ended", "spent")}
    ended["begins"] = vars(summary.begins)
    return ended


def give(store: Store, donors: Path, model: str, batch: int | None, target: Any) -> tuple[int, int, int]:
    """Put into `store` what `donors` has of a model's kernels on this device: how many records, of how many kernels,
    and how many kernels there are."""
    import targets
    from compiler.records.record import CHECK_RUN
    from compiler.records.store import open_store

    fingerprint = targets.fingerprint(target).id
    hashes = list(_expanded(model, batch).tasks)
    records = kernels = 0
    with open_store(donors) as source:
        for digest in hashes:
            found = [r for r in source.records(workload=digest, fingerprint=fingerprint) if r.run != CHECK_RUN]
            workload = source.workload(digest)
            if found and workload is not None:
                store.add_workload(workload, imported=True)
                store.add_many(found, origin=f"records of {model}")
                records += len(found)
                kernels += 1
    return records, kernels, len(hashes)


def imported(store: Store, model: str, batch: int | None, target: Any) -> None:
    """Put into `store` what the logs of edgetune have of a model's kernels on this device."""
    import targets
    from compiler.records.exchange.import_ import import_files
    from compiler.records.exchange.report import ImportReport
    from compiler.records.shipped import shipped_folder

    fingerprint = targets.fingerprint(target).id
    folder = (shipped_folder() or Path()) / fingerprint
    files = [path for digest in _expanded(model, batch).tasks for path in [folder / f"{digest}.jsonl"] if path.exists()]
    if files:
        import_files(store, files, ImportReport(), only=fingerprint, origin=f"logs of {model}")


def own_trials(store: Store) -> list[Any]:
    """The trials made in a store, in their order; what was imported is none, and a check neither."""
    from compiler.records.record import CHECK_RUN

    own = {row[0] for row in store.query("SELECT id FROM records WHERE origin IS NULL")}
    found = [record for record in store.records() if record.id in own and record.run != CHECK_RUN]
    return sorted(found, key=lambda record: (record.created, record.id))


def curve(expanded: Variants, trials: Sequence[Any], cost: Any) -> list[float | None]:
    """The model's latency in seconds after each trial, with the kernels that are the best then by the run's own times.

    `cost` gives a chosen kernel's seconds, None where it has none.
    """
    best: dict[str, tuple[float, float]] = {}
    found = []
    for record in trials:
        seconds = cost(record)
        if record.cost is not None and seconds is not None and record.workload in expanded.tasks:
            entry = (record.cost, seconds)
            known = best.get(record.workload)
            best[record.workload] = entry if known is None or entry[0] < known[0] else known
        found.append(_latency(expanded, best))
    return found


def _latency(expanded: Variants, best: Mapping[str, tuple[float, float]]) -> float | None:
    """The sum over the layers, of the kernel that the run takes for the fastest."""
    total = 0.0
    for layer in expanded.layers:
        measured = [best[digest] for digest in layer.tasks.values() if digest in best]
        if not measured:
            return None
        total += min(measured)[1]
    return total


def _cost(record: Any) -> float | None:
    return record.cost


_variants: dict[tuple[str, int | None], Variants] = {}


def _expanded(model: str, batch: int | None = None) -> Variants:
    import targets
    from compiler.frontend import load
    from compiler.tuning.tune import expand

    if (model, batch) not in _variants:
        _variants[model, batch] = expand(load(model, batch=batch), targets.get("native"))
    return _variants[model, batch]


def _time(record: Any) -> datetime:
    return datetime.fromisoformat(record.created[:-1])


# ---- measuring again


def again(options: argparse.Namespace) -> None:
    """Measure every kernel that was a task's best at some time, and write the curves by these times."""
    import targets
    from compiler.records.store import open_store
    from compiler.records.trust.claims import Kernel
    from compiler.records.trust.remeasure import remeasure
    from compiler.tuning.local import LocalRunner
    from compiler.tuning.workers import Pool

    target = targets.get("native")
    expanded = _expanded(options.model)
    runs = {}
    for phase in (phase for phase in RUNS if _result(options.folder, phase).exists()):
        with open_store(options.folder / phase) as store:
            runs[phase] = own_trials(store)
    chosen: dict[tuple[str, str], Any] = {}
    for trials in runs.values():
        chosen |= {(r.workload, r.trace_id): r for r in leaders(trials) if r.workload in expanded.tasks}
    kernels = {digest: Kernel(task.name, digest, task.mod) for digest, task in expanded.tasks.items()}
    with (
        Pool(target.cores, 1) as builder,
        LocalRunner(target) as runner,
        tempfile.TemporaryDirectory(prefix="edgetune-again-") as folder,
    ):
        found = remeasure(
            list(chosen.values()),
            kernels,
            target,
            builder,
            runner,
            Path(folder),
            1.0,
            lambda line: print(f"again: {line}", flush=True),
        )
    seconds = {(c.record.workload, c.record.trace_id): c.seconds for c in found}
    curves = {
        phase: curve(expanded, trials, lambda record: seconds.get((record.workload, record.trace_id), record.cost))
        for phase, trials in runs.items()
    }
    kept = {"kernels": len(seconds), "failed": sum(s is None for s in seconds.values()), "curves": curves}
    _result(options.folder, "again").write_text(json.dumps(kept))


def leaders(trials: Iterable[Any]) -> list[Any]:
    """The trials that were the best of their task when they were made."""
    best: dict[str, float] = {}
    found = []
    for record in trials:
        if record.cost is not None and record.cost < best.get(record.workload, float("inf")):
            best[record.workload] = record.cost
            found.append(record)
    return found


# ---- figures


def picture(folder: Path) -> int:
    """Print what was found, and write it as JSON and as a picture; 1 where a warm start needs more than was asked."""
    runs = {p: json.loads(_result(folder, p).read_text()) for p in RUNS if _result(folder, p).exists()}
    if "cold" not in runs:
        sys.exit(f"{folder} has no cold run: there is nothing to compare with")
    kinds = {"by the runs' own times": {phase: found["curve"] for phase, found in runs.items()}}
    if _result(folder, "again").exists():
        kinds["measured again"] = json.loads(_result(folder, "again").read_text())["curves"]
    rows = []
    for kind, curves in kinds.items():
        final = curves["cold"][-1]
        goal = (1 + WITHIN) * final
        print(f"{kind}: the cold run ended with {1e3 * final:.3f} ms, {1e3 * goal:.3f} ms is within {WITHIN:.0%}")
        needed = {phase: trials_needed(values, goal) for phase, values in curves.items()}
        for phase, values in curves.items():
            ratio = None
            if phase != "cold" and needed[phase] is not None and needed["cold"] is not None:
                ratio = needed[phase] / needed["cold"]
            first = next(v for v in values if v is not None)
            rows.append(
                {
                    "times": kind,
                    "run": phase,
                    "trials": len(values),
                    "first_ms": 1e3 * first,
                    "final_ms": 1e3 * values[-1],
                    "needed": needed[phase],
                    "needed_seconds": _seconds(runs[phase], needed[phase]),
                    "ratio": ratio,
                    "begins": runs[phase]["begins"],
                }
            )
            print(f"  {_row(rows[-1])}")
    (folder / "warm_start.json").write_text(json.dumps({"rows": rows, "curves": kinds}))
    draw(folder / "warm_start.svg", kinds)
    ratios = [row["ratio"] for row in rows if row["run"] != "cold"]
    return 0 if all(ratio is not None and ratio <= ASKED for ratio in ratios) else 1


def trials_needed(values: Sequence[float | None], goal: float) -> int | None:
    """The number of the trial from which on the latency is within the goal; None where it does not end there."""
    last = max((n for n, value in enumerate(values, 1) if value is None or value > goal), default=0)
    return last + 1 if last < len(values) else None


def _seconds(found: Mapping[str, Any], trials: int | None) -> float | None:
    return None if trials is None else found["when"][trials - 1]


def _row(row: Mapping[str, Any]) -> str:
    needed = "never gets there" if row["needed"] is None else f"gets there after {row['needed']} trials"
    if row["needed_seconds"] is not None:
        needed += f" ({row['needed_seconds']:.0f} s)"
    if row["ratio"] is not None:
        needed += f", {row['ratio']:.2f} of the cold run's (asked: {ASKED})"
    begins = row["begins"]
    start = f"from {begins['records']} records of {begins['kernels']} similar kernels, {begins['known']} kernels known"
    return (
        f"{row['run']:8} {start}: {row['trials']} trials, {row['first_ms']:.3f} ms once all are measured, "
        f"{row['final_ms']:.3f} ms at the end; {needed}"
    )


def draw(path: Path, kinds: Mapping[str, Mapping[str, Sequence[float | None]]]) -> None:
    """Write the curves to `path`, a picture beside the other for each kind of times."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5 * len(kinds), 4.5), layout="constrained")
    axes = figure.subplots(1, len(kinds), squeeze=False)[0]
    for place, (kind, curves) in zip(axes, kinds.items(), strict=True):
        for phase, values in curves.items():
            points = [(n, 1e3 * value) for n, value in enumerate(values, 1) if value is not None]
            place.step(*zip(*points, strict=True), where="post", label=phase)
        goal = 1e3 * (1 + WITHIN) * curves["cold"][-1]
        place.axhline(goal, color="grey", linewidth=0.7, linestyle="dotted", label="within 1 % of the cold run's end")
        place.set_xscale("log")
        longest = max(map(len, curves.values()))
        place.set_xticks([n for n in TICKS if n <= longest], minor=False)
        place.minorticks_off()
        place.xaxis.set_major_formatter("{x:.0f}")
        place.set(xlabel="trials", ylabel="sum of the layers' kernels, ms", title=kind)
        place.legend(fontsize="small")
    figure.savefig(path)


def _result(folder: Path, phase: str) -> Path:
    return folder / f"{phase}.json"


if __name__ == "__main__":
    sys.exit(main())
