"""`edgetune logs show`: a model, a workload's best records, or one record."""

from __future__ import annotations

from pathlib import Path

from compiler.commands.logs.show_model import ShowOptions, show_model
from compiler.commands.store import existing_store
from compiler.errors import UsageError
from compiler.frontend.names import builtin_names
from compiler.records.record import UNKNOWN_TIME, Record
from compiler.records.store import Store
from compiler.report import format as fmt
from compiler.report.output import Output

_SHOWN = 12


def show(output: Output, logs: str | None, which: str, options: ShowOptions) -> None:
    """A model where `which` is one, else as `show_log`."""
    if which in builtin_names() or which.endswith(".onnx") or Path(which).is_file():
        show_model(output, logs, which, options)
    elif options != ShowOptions():
        raise UsageError(
            f"{which} is no model: --target, --batch, --precision, --fingerprint and --plot are for models"
        )
    else:
        show_log(output, logs, which)


def show_log(output: Output, logs: str | None, which: str) -> None:
    """One workload (its name, or its hash or the beginning of it) with its best records, or one record by its id."""
    if not which.strip():
        raise UsageError("name a model, a workload or a record: `edgetune logs list` lists all")
    with existing_store(logs) as store:
        tasks = [task for task in store.summary() if which == task.name or task.workload.startswith(which)]
        if not tasks:
            record = _record_by_id(store, which)
            if record is None:
                raise UsageError(
                    f"no model, workload or record in {store.path} is called {which}; `edgetune logs list` lists all"
                )
            _show_record(output, record)
            return
        shown: list[Record] = []
        for task in tasks:
            best = store.top(task.workload, task.fingerprint, _SHOWN)
            shown += best
            output.facts(
                {
                    "workload": task.workload,
                    "fingerprint": task.fingerprint,
                    "trials": f"{task.trials}, {task.failed} of them failed",
                    "measured": f"{task.first} to {task.last}",
                },
                title=task.name,
            )
            output.table(
                ("record", "median ms", "repeats", "checked", "threads", "TVM", "created"),
                (_record_row(record) for record in best),
                title=f"the best {len(best)}" if len(best) < task.trials else "",
                right="median ms,repeats,threads",
            )
        output.json(_json(record) for record in shown)


def _record_row(record: Record) -> tuple[object, ...]:
    checked = {None: None, True: "right", False: "WRONG"}[record.checked]
    return (
        record.id[:12],
        fmt.milliseconds(record.median),
        len(record.seconds),
        checked,
        record.threads,
        record.tvm_version,
        record.created[:19],
    )


def _record_by_id(store: Store, which: str) -> Record | None:
    if len(which) < 6:
        return None
    return store.record(which)


def _show_record(output: Output, record: Record) -> None:
    facts = {name: value for name, value in _json(record).items() if name != "trace"}
    facts["seconds"] = ", ".join(f"{value:.6g}" for value in record.seconds) or None
    facts["author"] = record.author or "not named"
    facts["created"] = "unknown" if record.created == UNKNOWN_TIME else record.created
    facts["provenance"] = circumstances(record)
    output.facts(facts, title=f"record {record.id}")
    output.say(record.trace)
    output.json([_json(record)])


def circumstances(record: Record) -> str:
    """In what state the machine was, as far as the record says it, and what it does not say."""
    values = {name: getattr(record.provenance, name) for name in record.provenance.__struct_fields__}
    known = ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)
    missing = ", ".join(name for name, value in values.items() if value is None)
    return "; ".join(part for part in (known, f"unknown: {missing}" if missing else "") if part)


def _json(record: Record) -> dict[str, object]:
    return {"id": record.id, **record.content(), "median": record.median}
