"""`edgetune-agent measure BATCH RESULTS`: what is carried to a board without Python, and back (docs/offline.md)."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import targets
from compiler.linker import linker
from compiler.tuning.offline.batch import jobs_text, write_batch
from compiler.tuning.offline.results import read_results
from compiler.tuning.offline.schema import Header, Job, batch_id
from compiler.tuning.worker.build import build
from targets import cpuinfo
from tests.runtime.agent.agents import KINDS
from tests.tuning import libraries
from tests.waiting import attempts, wait_for

_BAD = """
extern "C" __attribute__((visibility("default"))) int __tvm_ffi_main(void*, const void*, int, void*) { %s; return 0; }
"""
_FORMULAS = {"good": "x + 1", "nan": "te.log(0 - x * x - 1)"}
_CRIMES = {"segv": "*(volatile int*)0 = 1", "spin": "for (volatile long i = 0;; i++) {}"}


@pytest.fixture(scope="module")
def agent() -> str:
    (kind,) = (kind for kind in KINDS if kind.name == "native")
    return kind.command()[0]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Libraries with a `main` on four floats: good ones, and those that do what they should not."""
    folder = tmp_path_factory.mktemp("candidates")
    made = {}
    for name, formula in _FORMULAS.items():
        made[name] = folder / f"{name}.so"
        job = {**libraries.build_job(folder, formula=formula), "target": targets.get("native").config()}
        build(**{**job, "library": str(made[name])})
    for name, crime in _CRIMES.items():
        made[name] = folder / f"{name}.so"
        (folder / f"{name}.cc").write_text(_BAD % crime)
        linker()(str(made[name]), [str(folder / f"{name}.cc")])
    return made


def batch(path: Path, built: Mapping[str, Path], names: list[str], **changes: Any) -> Path:
    """A batch of these libraries, one job each; `changes` of the header."""
    jobs, members = [], {}
    for number, name in enumerate(names):
        data, library = built[name].read_bytes(), f"{number:04}.so"
        request = {**libraries.measure_job(Path(library)), "threads": 1, "device": "cpu"}
        request["limit_seconds"] = 1.0 if name == "spin" else 60.0
        own = {"id": f"{number:032x}", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        arguments = [(list(shape), dtype) for shape, dtype in request.pop("arguments")]
        jobs.append(Job(**{**request, **own, "library": library, "arguments": arguments}))
        members[library] = built[name]
    header = {
        "batch": batch_id(jobs_text(jobs)), "jobs": len(jobs), "machine": cpuinfo.machine(), "device": "cpu",
        "threads": 1, "target": "native", "config": {}, "tvm": targets.tvm_version(), "version": "0", "model": "m",
        "model_sha256": "0" * 64, "precision": "fp32", "run": "0" * 32, "created": "2026-01-31T12:00:00.000000Z",
    }  # fmt: skip
    write_batch(path, Header(**{**header, **changes}), jobs, [], members)
    return path


@pytest.fixture
def measure(agent: str, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(path: Path, results: Path, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([agent, "measure", path, results], capture_output=True, text=True, timeout=240)
        assert done.returncode == status, done.stderr
        assert status == 0 or done.stderr.count("\n") == 1, done.stderr
        return done

    return run


def test_every_candidate_gets_its_result_whatever_it_does(
    measure: Callable[..., Any], built: dict[str, Path], tmp_path: Path
) -> None:
    path, results = batch(tmp_path / "b.tar", built, ["good", "segv", "good", "spin", "nan", "good"]), tmp_path / "r"
    done = measure(path, results)
    assert done.stderr.splitlines()[-1] == f"{results}: 6 candidates measured, 0 of them before, 3 failed"
    found = read_results(results)
    assert not found.torn and found.identity.agent == "native"
    assert [result.error for result in found.results] == [
        None, "crashed: SIGSEGV", None, "timed out after 1 s", "the output holds NaN", None,
    ]  # fmt: skip
    assert all(len(result.seconds) >= 1 for result in found.results if result.error is None)
    assert [result.sha256 for result in found.results[:2]] == [
        hashlib.sha256(built[name].read_bytes()).hexdigest() for name in ("good", "segv")
    ]
    before = results.read_bytes()
    assert "6 of them before" in measure(path, results).stderr
    assert results.read_bytes() == before


def test_it_goes_on_where_the_power_went(measure: Callable[..., Any], built: dict[str, Path], tmp_path: Path) -> None:
    path, results = batch(tmp_path / "b.tar", built, ["good", "good", "good"]), tmp_path / "r"
    measure(path, results)
    whole = results.read_bytes()
    lines = whole.splitlines(keepends=True)
    for kept in (b"", whole[:10], lines[0][:-1], lines[0], b"".join(lines[:2]) + lines[2][:20], whole[:-1]):
        results.write_bytes(kept)
        measure(path, results)
        assert len(read_results(results).results) == 3
        assert results.read_bytes().startswith(b"".join(kept.splitlines(keepends=True)[:-1]))


def test_what_is_no_batch_or_of_another_board_is_refused(
    agent: str, measure: Callable[..., Any], built: dict[str, Path], tmp_path: Path
) -> None:
    path, results = batch(tmp_path / "b.tar", built, ["good"]), tmp_path / "r"
    data = path.read_bytes()
    broken = tmp_path / "broken.tar"
    for bad in (b"", b"x" * 2000, data[:700], data[: len(data) // 2], data.replace(b"jobs.jsonl", b"jobs.xsonl", 1)):
        broken.write_bytes(bad)
        assert "is no batch" in measure(broken, results, 1).stderr
    assert "cannot read" in measure(tmp_path / "none", results, 1).stderr
    for place in range(0, len(data), max(1, len(data) // 15)):
        broken.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        done = subprocess.run(
            [agent, "measure", broken, tmp_path / f"r{place}"], capture_output=True, text=True, timeout=240
        )
        assert done.returncode in (0, 1) and done.stderr.count("\n") == 1
    other = batch(tmp_path / "o.tar", built, ["good"], machine="riscv64")
    assert "is for riscv64, and this machine is" in measure(other, results, 1).stderr
    many = batch(tmp_path / "m.tar", built, ["good"], threads=60_000)
    assert "60000 threads" in measure(many, results, 1).stderr
    assert not results.exists(), "nothing was written"
    measure(path, results)
    second = batch(tmp_path / "s.tar", built, ["good", "good"])
    assert "another batch" in measure(second, results, 1).stderr
    head, rest = results.read_text().split("\n", 1)
    first = json.loads(head)
    first["identity"]["cores"] += 1
    results.write_text(json.dumps(first) + "\n" + rest)
    assert "another board, whose cores" in measure(path, results, 1).stderr
    (tmp_path / "mine").write_text("my own text\n")
    assert "give another name" in measure(path, tmp_path / "mine", 1).stderr
    assert (tmp_path / "mine").read_text() == "my own text\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_it_goes_on_later(
    agent: str, built: dict[str, Path], tmp_path: Path, number: signal.Signals
) -> None:
    path, results = batch(tmp_path / "b.tar", built, ["good", "spin", "good"]), tmp_path / "r"
    for attempt in attempts(1.0):  # within a second after the first result it is at work on what does not end
        with attempt:
            results.unlink(missing_ok=True)
            process = subprocess.Popen([agent, "measure", path, results], stderr=subprocess.PIPE, text=True)
            wait_for(lambda: results.exists() and results.read_bytes().count(b"\n") >= 2)
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
            assert process.returncode == 128 + number
            assert said == f"ended: 1 of 3 are in {results}, and the same command goes on\n"
            assert len(read_results(results).results) == 1
    subprocess.run([agent, "measure", path, results], check=True, capture_output=True, timeout=60)
    assert len(read_results(results).results) == 3


def test_the_command_needs_both_names(agent: str) -> None:
    done = subprocess.run([agent, "measure", "batch.tar"], capture_output=True, text=True, timeout=240)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
