"""The agent without Python measures the same batches, and either goes on with what the other has begun."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import targets
from compiler.records.store import Store, open_store
from compiler.tuning.offline.export import export_batch
from compiler.tuning.offline.import_ import import_results
from compiler.tuning.offline.measuring import measure_batch
from compiler.tuning.workers import Pool
from tests.runtime.agent.agents import KINDS, Kind
from tests.runtime.emulation import board
from tests.tuning.offline.conftest import FINGERPRINT, TARGET, TRIALS, Carried

NATIVE = next(kind for kind in KINDS if kind.name == "native")
EMULATED = next(kind for kind in KINDS if kind.name == "native-emulated")


def edgetune_of(command: list[str], *arguments: str | Path) -> str:
    """What the command says on the board."""
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout


def measured(kind: Kind, batch: Path, results: Path) -> None:
    done = subprocess.run(
        [*kind.command(), "measure", str(batch), str(results)],
        env={**os.environ, **kind.environment},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr


def test_its_results_are_taken_back(carried: Carried, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    measured(NATIVE, carried.batch, path)
    found = import_results(path, carried.model, TARGET, "fp32", store=store)
    assert (found.new, found.failed, found.missing) == (TRIALS, 0, 0)
    assert found.fingerprint == FINGERPRINT, "to the desk it is the same board"


@pytest.mark.parametrize("first", ["native", "python"])
def test_either_goes_on_with_what_the_other_began(carried: Carried, tmp_path: Path, first: str) -> None:
    path = tmp_path / "r.jsonl"
    if first == "native":
        measured(NATIVE, carried.batch, path)
    else:
        path.write_bytes(carried.results.read_bytes())
    begun = b"".join(path.read_bytes().splitlines(True)[:5])
    path.write_bytes(begun + b'{"id": "12')
    if first == "native":
        tally = measure_batch(carried.batch, path, lambda t: None)
        assert (tally.before, tally.done, tally.failed) == (4, TRIALS, 0)
    else:
        measured(NATIVE, carried.batch, path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert path.read_bytes().startswith(begun)
    assert len({line["id"] for line in lines[1:]}) == len(lines) - 1 == TRIALS


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["native", "python"])
def test_a_board_of_another_kind(carried: Carried, offline_pool: Pool, tmp_path: Path, agent: str) -> None:
    """Built here for aarch64, measured on an emulated board, kept under that board's fingerprint."""
    target = targets.get("arm-cortex-a78ae", 1)
    if targets.why_not_compile(target) is not None:
        pytest.skip(str(targets.why_not_compile(target)))
    EMULATED.command()  # skips where there is no emulator
    batch, path = tmp_path / "b.tar", tmp_path / "r.jsonl"
    with open_store(tmp_path / "store") as store:
        generic = targets.fingerprint(target)
        assert generic.device == targets.GENERIC
        options = {"store": store, "fingerprint": generic, "trials": 3, "builder": offline_pool}
        export_batch(carried.model, target, batch, **options)  # type: ignore[arg-type]
        if agent == "native":
            measured(EMULATED, batch, path)
        else:
            python, cli, _serve = board.python_agent()
            done = edgetune_of([python, cli], "measure", batch, "-o", path)
            assert "3 candidates measured, 0 failed" in done
        found = import_results(path, carried.model, target, "fp32", store=store)
        assert (found.new, found.failed) == (3, 0)
        assert found.fingerprint.device != targets.GENERIC and found.fingerprint.id != generic.id
        assert {record.fingerprint for record in store.records()} == {found.fingerprint.id}
        assert {record.device for record in store.records()} == {found.fingerprint.device}
