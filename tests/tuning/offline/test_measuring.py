"""On the board: candidates that misbehave, power that goes, batches that are damaged or for another board."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import cli
from compiler.errors import EdgetuneError
from compiler.packaging import archive
from compiler.tuning.offline import schema
from compiler.tuning.offline.batch import jobs_text, opened_batch
from compiler.tuning.offline.measuring import Tally, measure_batch
from compiler.tuning.offline.schema import Job
from tests.command import edgetune_here, one_line
from tests.tuning import libraries
from tests.tuning.offline.conftest import TRIALS, Carried

ROOT = Path(cli.__file__).parent


def rebuilt(
    source: Path,
    path: Path,
    jobs: Callable[[list[Job]], list[Job]] = lambda jobs: jobs,
    files: dict[str, bytes] | None = None,
    honest: bool = True,
    **header: Any,
) -> Path:
    """A batch like `source` with other jobs, libraries or header; `honest` where its name is right."""
    files = files or {}
    with opened_batch(source) as batch, source.open("rb") as file:
        members = {member.name: member for member in archive.read_members(file, 5000)}
        made = jobs(batch.jobs)
        text = jobs_text(made)
        if honest:
            header = {"batch": schema.batch_id(text), "jobs": len(made), **header}
        new = msgspec.structs.replace(batch.header, **header)
        contents: dict[str, Path | bytes] = {
            "batch.json": schema.encode(new),
            "jobs.jsonl": text,
            "candidates.jsonl": b"",
        }
        for job in made:
            content = files.get(job.library)
            contents[job.library] = content or b"".join(archive.chunks(file, members[job.library]))
    archive.write(path, contents, 5000)
    return path


def with_libraries(job: Job, content: bytes, **more: Any) -> Job:
    digest = hashlib.sha256(content).hexdigest()
    return msgspec.structs.replace(job, sha256=digest, bytes=len(content), **more)


def results_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


def test_a_candidate_that_misbehaves_costs_itself(carried: Carried, tmp_path: Path) -> None:
    plants = {0: "crash", 2: "hang", 3: "exit"}
    contents = {i: libraries.misbehaving(tmp_path, what).read_bytes() for i, what in plants.items()}
    contents[5] = b"not a library"

    def planted(jobs: list[Job]) -> list[Job]:
        made = [with_libraries(job, contents[i]) if i in contents else job for i, job in enumerate(jobs[:7])]
        made[2] = msgspec.structs.replace(made[2], limit_seconds=0.7)
        return made

    with opened_batch(carried.batch) as batch:
        names = [job.library for job in batch.jobs]
    path = rebuilt(carried.batch, tmp_path / "b.tar", planted, {names[i]: content for i, content in contents.items()})
    seen: list[tuple[int, int]] = []
    tally = measure_batch(path, tmp_path / "r.jsonl", lambda t: seen.append((t.done, t.failed)))
    assert (tally.jobs, tally.done, tally.failed, tally.before) == (7, 7, 4, 0)
    assert [done for done, _ in seen] == list(range(8)) and seen[-1] == (7, 4)
    found = results_of(tmp_path / "r.jsonl")
    assert [line["error"] for line in found[:5]] == [
        *("crashed: SIGSEGV", None, "timed out after 0.7 s", "ended with status 7", None),
    ]
    assert found[5]["error"] and "\n" not in found[5]["error"] and found[6]["error"] is None
    for line in found:
        assert bool(line["seconds"]) == (line["error"] is None) and len(line["seconds"]) in (0, 1, 3)


def test_kill_9_and_on(carried: Carried, tmp_path: Path) -> None:
    """Also in the middle of writing a line, and with no process left over."""
    path = tmp_path / "r.jsonl"
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "cli.py"), "measure", str(carried.batch), "-o", str(path)],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while (not path.exists() or path.read_bytes().count(b"\n") < 4) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    before = whole.count(b"\n") - 1
    assert before >= 3
    path.write_bytes(whole + b'{"celsius":null,"err')
    tallies: list[Tally] = []
    tally = measure_batch(carried.batch, path, lambda t: tallies.append(t))
    assert (tally.before, tally.done) == (before, TRIALS)
    assert path.read_bytes().startswith(whole)
    assert len({line["id"] for line in results_of(path)}) == TRIALS
    # There is nothing left to do.
    after = path.read_bytes()
    assert measure_batch(carried.batch, path, lambda t: None).before == TRIALS
    assert path.read_bytes() == after


@pytest.mark.parametrize("begun", [b"", b'{"batch":"0123', b'{"schema":1,"batch":"01'])
def test_power_that_went_at_once(carried: Carried, tmp_path: Path, begun: bytes) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(begun)
    short = rebuilt(carried.batch, tmp_path / "b.tar", lambda jobs: jobs[:1])
    assert measure_batch(short, path, lambda t: None).done == 1


def test_a_damaged_library_is_not_loaded(carried: Carried, tmp_path: Path) -> None:
    content = bytearray(carried.batch.read_bytes())
    with carried.batch.open("rb") as file:
        members = {member.name: member for member in archive.read_members(file, 5000)}
    member = members["0003.so"]
    content[member.offset + member.size // 2] ^= 1
    path = tmp_path / "b.tar"
    path.write_bytes(content)
    with pytest.raises(EdgetuneError, match="damaged on its way here: the checksum of 0003.so is wrong"):
        measure_batch(path, tmp_path / "r.jsonl", lambda t: None)
    assert len(results_of(tmp_path / "r.jsonl")) == 2, "what was measured stays"


def test_a_batch_for_another_board_is_refused(carried: Carried, tmp_path: Path) -> None:
    for change, said in (
        ({"machine": "riscv64"}, "is for riscv64, and this machine is"),
        ({"threads": 4096}, "export it with --threads"),
        ({"target": "arm-cortex-a78ae"}, "is for arm-cortex-a78ae: "),
    ):
        path = rebuilt(carried.batch, tmp_path / "b.tar", **change)
        with pytest.raises(EdgetuneError, match=said):
            measure_batch(path, tmp_path / "r.jsonl", lambda t: None)
    assert not (tmp_path / "r.jsonl").exists(), "nothing is written"


def test_what_is_no_batch_is_refused(carried: Carried, tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    for change, said in (
        ({"jobs": lambda jobs: jobs[:2], "honest": False, "batch": "0" * 32}, "not those that it was made with"),
        ({"jobs": lambda jobs: [jobs[0], jobs[0]]}, "not as many as it says"),
        ({"jobs": lambda jobs: [msgspec.structs.replace(jobs[0], weights=[9])]}, "weights of a job are not there"),
        ({"jobs": lambda jobs: [msgspec.structs.replace(jobs[0], bytes=7)]}, "is not the library of its job"),
        ({"jobs": lambda jobs: [msgspec.structs.replace(jobs[0], repeats=0)]}, "line 1 of jobs.jsonl"),
    ):
        path = rebuilt(carried.batch, tmp_path / "b.tar", **change)  # type: ignore[arg-type]
        with pytest.raises(EdgetuneError, match=said):
            measure_batch(path, out, lambda t: None)
    package = tmp_path / "package.tar"
    archive.write(package, {"manifest.json": b"{}"})
    with pytest.raises(EdgetuneError, match="is no batch that can be measured: batch.json is missing"):
        measure_batch(package, out, lambda t: None)
    assert not out.exists()


def test_results_of_another_batch_or_board_are_left_alone(carried: Carried, tmp_path: Path) -> None:
    short = rebuilt(carried.batch, tmp_path / "b.tar", lambda jobs: jobs[:1])
    with pytest.raises(EdgetuneError, match="holds the results of another batch"):
        measure_batch(short, carried.results, lambda t: None)
    head, *rest = carried.results.read_text().splitlines()
    for field, value, said in (
        ("cores", 999, "whose number of cores is 999"),
        ("machine", "armv7l", "whose machine is armv7l"),
        ("tvm", "0.1", "whose TVM is 0.1"),
        ("board", "Jetson", "whose board is Jetson"),
    ):
        path = tmp_path / "r.jsonl"
        changed = json.loads(head)
        changed["identity"][field] = value
        path.write_text("\n".join([json.dumps(changed), *rest, ""]))
        before = path.read_bytes()
        with pytest.raises(EdgetuneError, match=f"begun on another board, {said}"):
            measure_batch(carried.batch, path, lambda t: None)
        assert path.read_bytes() == before
    for content in ("hello\n", "{}\n", '{"a": 1}', head + '\n{"id": 1}\n'):
        path.write_text(content)
        with pytest.raises(EdgetuneError, match="give another name for the results, or remove that file"):
            measure_batch(carried.batch, path, lambda t: None)
        assert path.read_text() == content


def test_the_command_says_what_is_wrong(carried: Carried, tmp_path: Path) -> None:
    for arguments, code, said in (
        ([tmp_path / "none.tar", "-o", tmp_path / "r"], 2, "there is no file"),
        ([carried.batch, "-o", carried.batch], 2, "this is the batch"),
        ([carried.results, "-o", tmp_path / "r"], 1, "is no batch that can be measured"),
        ([carried.batch, "-o", tmp_path], 1, "it is a folder"),
        ([carried.batch, "-o", tmp_path / "no" / "r"], 1, "cannot write"),
    ):
        done = edgetune_here("measure", *arguments, check=code)
        assert said in one_line(done.stderr)
