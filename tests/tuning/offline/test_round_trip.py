"""To the board and back: what is carried, what is kept, and how the search goes on."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import onnx
import pytest

import cli
import targets
from compiler.errors import EdgetuneError, UsageError
from compiler.records.store import Store, open_store
from compiler.tuning.offline import memory
from compiler.tuning.offline.batch import opened_batch
from compiler.tuning.offline.export import export_batch
from compiler.tuning.offline.import_ import JOB, import_results
from compiler.tuning.offline.measuring import measure_batch
from compiler.tuning.tune import Budget, list_tasks, tune
from compiler.tuning.workers import Pool
from tests.command import edgetune_here, one_line
from tests.tuning import models
from tests.tuning.offline.conftest import FINGERPRINT, TARGET, TRIALS, Carried

ROOT = Path(cli.__file__).parent


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def take(carried: Carried, store: Store, path: Path | None = None, **changed: Any) -> Any:
    wanted: dict[str, Any] = {"model": carried.model, "target": TARGET, "precision": "fp32", **changed}
    return import_results(path or carried.results, **wanted, store=store)


def test_a_batch_holds_every_task_first(carried: Carried) -> None:
    tasks = list_tasks(carried.model, TARGET)
    exported = carried.exported
    assert (exported.jobs, exported.failed, exported.first) == (TRIALS, 0, len(tasks))
    assert exported.tasks == len(tasks) and exported.bytes == carried.batch.stat().st_size
    with opened_batch(carried.batch) as batch:
        assert batch.header.jobs == len(batch.jobs) == TRIALS and batch.header.batch == exported.batch
        assert batch.header.config == TARGET.config() and batch.header.threads == 1
        assert len({job.library for job in batch.jobs}) == TRIALS
    members = subprocess.run(["tar", "tf", carried.batch], capture_output=True, text=True, check=True).stdout.split()
    assert members == ["batch.json", "jobs.jsonl", "candidates.jsonl", *(f"{i:04}.so" for i in range(1, TRIALS + 1))]
    text = subprocess.run(
        ["tar", "xOf", carried.batch, "candidates.jsonl"], capture_output=True, text=True, check=True
    ).stdout
    candidates = [json.loads(line) for line in text.splitlines()]
    assert {c["workload"] for c in candidates[: len(tasks)]} == {task.hash for task in tasks}
    assert len({(c["workload"], json.dumps(c["trace"])) for c in candidates}) == TRIALS


def test_results_become_records_of_the_board(carried: Carried, store: Store) -> None:
    found = take(carried, store)
    assert (found.new, found.failed, found.before, found.missing, found.torn) == (TRIALS, 0, 0, 0, False)
    assert found.fingerprint == FINGERPRINT
    measured = {line["id"]: line for line in lines(carried.results)[1:]}
    records = list(store.records())
    assert len(records) == TRIALS
    for record in records:
        line = measured[record.extra[JOB]]
        assert list(record.seconds) == line["seconds"] and record.error is None
        assert record.fingerprint == FINGERPRINT.id and record.device == FINGERPRINT.device
        assert dict(record.target) == TARGET.config() and record.threads == 1
        assert record.provenance.trials is not None and record.provenance.system is not None
        assert store.workload(record.workload) is not None
        assert abs(time.time() - line["time"]) < 3600 and record.created[:4] == time.strftime("%Y")
    # Once more changes nothing, and neither does half of it.
    again = take(carried, store)
    assert (again.new, again.before, again.missing) == (0, TRIALS, 0)
    assert len(list(store.records())) == TRIALS


def test_half_of_the_results_can_be_taken_and_the_rest_later(carried: Carried, store: Store, tmp_path: Path) -> None:
    half = tmp_path / "half.jsonl"
    content = carried.results.read_bytes()
    kept = content.split(b"\n")
    half.write_bytes(b"\n".join(kept[:6]) + b"\n" + kept[6][:40])
    found = take(carried, store, half)
    assert (found.new, found.missing, found.torn) == (5, TRIALS - 5, True)
    rest = take(carried, store)
    assert (rest.new, rest.before, rest.missing) == (TRIALS - 5, 5, 0)


def test_the_search_goes_on_from_what_was_imported(
    carried: Carried, store: Store, tmp_path: Path, offline_pool: Pool
) -> None:
    options: dict[str, Any] = {
        "store": store,
        "fingerprint": FINGERPRINT,
        "trials": TRIALS,
        "builder": offline_pool,
    }
    # Nothing was imported: the same candidates are proposed again.
    export_batch(carried.model, TARGET, tmp_path / "same.tar", **options)
    assert traces(tmp_path / "same.tar") == traces(carried.batch)
    take(carried, store)
    made = export_batch(carried.model, TARGET, tmp_path / "next.tar", **options)
    assert made.first == 0 and made.jobs > 0
    assert not traces(tmp_path / "next.tar") & traces(carried.batch), "nothing is measured twice"
    measure_batch(tmp_path / "next.tar", tmp_path / "next.jsonl", lambda tally: None)
    found = take(carried, store, tmp_path / "next.jsonl")
    assert (found.new, found.before) == (made.jobs, 0)
    run = memory.run_id(carried.model, TARGET, "fp32")
    assert sum(store.run_trials(run).values()) == TRIALS + made.jobs
    # Tuning with a board at hand begins with what was learned without.
    summary = tune(carried.model, TARGET, store=store, budget=Budget(trials=6))
    assert summary.trials == 6 and all(task.best_seconds is not None for task in summary.tasks)


def test_candidates_that_cannot_be_built_are_failures_of_the_batch(
    carried: Carried, tmp_path: Path, offline_pool: Pool
) -> None:
    class Failing:
        parallel = 2

        def map(self, kind: str, jobs: Any, *options: Any, **more: Any) -> Any:
            broken = [{**job, "module": "{}"} if i < 3 else job for i, job in enumerate(jobs)]
            return offline_pool.map(kind, broken, *options, **more)

        def abandon(self) -> None: ...

    with open_store(tmp_path / "store") as store:
        path = tmp_path / "batch.tar"
        made = export_batch(
            carried.model, TARGET, path, store=store, fingerprint=FINGERPRINT, trials=6, builder=Failing()
        )
        assert (made.jobs, made.failed) == (3, 3)
        measure_batch(path, tmp_path / "results.jsonl", lambda tally: None)
        found = take(carried, store, tmp_path / "results.jsonl")
        assert (found.new, found.failed, found.missing) == (6, 3, 0)
        failed = [record for record in store.records() if record.error is not None]
        assert len(failed) == 3 and all((record.error or "").startswith("build: ") for record in failed)
        assert take(carried, store, tmp_path / "results.jsonl").new == 0


def test_results_of_anything_else_are_refused(carried: Carried, store: Store, tmp_path: Path) -> None:
    other = models.nothing_to_choose(tmp_path)
    with open_store(tmp_path / "empty") as empty, pytest.raises(EdgetuneError, match="has not sent out"):
        take(carried, empty)
    for changed, said in (
        ({"model": dataclasses.replace(other, name="other")}, "is of another batch: its model is model, and other was"),
        ({"precision": "fp16"}, "its precision is fp32, and fp16 was named"),
        ({"target": targets.get("native", 2)}, "its number of threads is 1, and 2 was named"),
        ({"model": dataclasses.replace(carried.model, sha256="0" * 64)}, "with other weights"),
    ):
        with pytest.raises(EdgetuneError, match=said) as error:
            take(carried, store, **changed)
        assert "\n" not in str(error.value)
    assert list(store.records()) == []


@pytest.mark.slow
def test_the_commands_from_end_to_end(carried: Carried, tmp_path: Path) -> None:
    """Ctrl-C in the middle of measuring, and on."""
    model = tmp_path / "model.onnx"
    onnx.save(carried.model.reference, model)
    batch, results = tmp_path / "b.tar", tmp_path / "r.jsonl"
    more = [model, "--threads", "1", "--logs", tmp_path / "logs"]
    missing = edgetune_here("tune", *more, "--import-results", results, check=2)
    assert "there is no such file" in one_line(missing.stderr)
    done = edgetune_here("tune", *more, "--trials", "10", "--export-batch", batch, "--json", "-")
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["jobs"] == 10 and told["exported"] == str(batch)

    for _ in range(4):
        results.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "cli.py"), "measure", str(batch), "-o", str(results)],
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 120
        while (not results.exists() or results.read_bytes().count(b"\n") < 3) and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=120)
        if process.returncode != 0:  # it was done before the signal came
            break
    before = len(lines(results)) - 1
    assert process.returncode == 143 and "Traceback" not in said and 2 <= before < 10
    done = edgetune_here("measure", batch, "-o", results)
    assert f"10 candidates measured, {before} of them before, 0 failed" in done.stdout
    done = edgetune_here(
        *("tune", *more, "--trials", "8", "--import-results", results, "--export-batch", tmp_path / "c.tar")
    )
    assert "r.jsonl: 10 new results (0 failed)" in done.stdout
    assert f"after 10 records of {FINGERPRINT.id}" in done.stdout
    assert traces(tmp_path / "c.tar") and not traces(tmp_path / "c.tar") & traces(batch)
    package = edgetune_here("compile", *more, "-o", tmp_path / "m.tar")
    assert "verified" in package.stdout + package.stderr
    again = edgetune_here("tune", *more, "--import-results", results)
    assert "0 new results (0 failed)" in again.stdout and "10 known before" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--export-batch", "{b}", "--rpc", "127.0.0.1:1"], "is for boards that are reached from here"),
        (["--export-batch", "{b}", "--time", "1m"], "--time says"),
        (["--import-results", "{r}", "--trials", "3"], "--trials says how many candidates to export"),
        (["--import-results", "{r}", "--build-cluster", "x"], "--build-cluster builds candidates to export"),
        (["--export-batch", "{b}", "--batch", "1,2"], "name one"),
        (["--export-batch", "{r}"], "is no batch"),
        (["--export-batch", "/nowhere/b.tar"], "there is no folder"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, arguments: list[str], said: str) -> None:
    from compiler.commands.device import DeviceOptions
    from compiler.commands.tune import TuneOptions
    from compiler.commands.tune import tune as command
    from compiler.report.output import Output

    results = tmp_path / "r.jsonl"
    results.write_text('{"batch": 1}\n')
    (tmp_path / "logs").mkdir()
    open_store(tmp_path / "logs").close()
    given = dict(zip(arguments[::2], (a.format(b=tmp_path / "b.tar", r=results) for a in arguments[1::2]), strict=True))
    options = TuneOptions(
        target="native",
        batches=given.get("--batch"),
        precisions="fp32",
        shapes=(),
        trials=int(given["--trials"]) if "--trials" in given else None,
        time_=given.get("--time"),
        tasks=None,
        logs=str(tmp_path / "logs"),
        seed=0,
        threads=None,
        dump=None,
        device=DeviceOptions(rpc=given.get("--rpc")),
        export_batch=given.get("--export-batch"),
        import_results=given.get("--import-results"),
        build_cluster=given.get("--build-cluster"),
    )
    with pytest.raises((UsageError, EdgetuneError), match=said):
        command(["squeezenet"], Output(), options)
    assert not (tmp_path / "b.tar").exists()


def traces(path: Path) -> set[tuple[str, str]]:
    text = subprocess.run(["tar", "xOf", path, "candidates.jsonl"], capture_output=True, text=True, check=True).stdout
    return {(c["workload"], json.dumps(c["trace"])) for c in map(json.loads, text.splitlines())}
