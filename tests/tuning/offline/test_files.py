"""Batches and results that came through many hands: whatever was done to them, it is one line, and nothing is kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler.errors import EdgetuneError
from compiler.records.store import Store, open_store
from compiler.tuning.offline.batch import opened_batch
from compiler.tuning.offline.import_ import import_results
from compiler.tuning.offline.results import read_results
from tests.tuning.offline.conftest import TARGET, TRIALS, Carried

quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def sender(carried: Carried, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store that has sent the batch out, and has taken nothing back."""
    folder = tmp_path_factory.mktemp("sender")
    shutil.copytree(carried.store, folder / "store")
    with open_store(folder / "store") as opened:
        yield opened


def refused(carried: Carried, store: Store, path: Path) -> str:
    """Why a file of results is refused; nothing of it is kept."""
    with pytest.raises(EdgetuneError) as error:
        import_results(path, carried.model, TARGET, "fp32", store=store)
    assert "\n" not in str(error.value) and len(str(error.value)) < 1500
    assert list(store.records()) == []
    return str(error.value)


def edited(carried: Carried, path: Path, edit: Callable[[dict[str, Any]], Any], line: int = 1) -> Path:
    """The results with one line changed."""
    lines = [json.loads(text) for text in carried.results.read_text().splitlines()]
    edit(lines[line])
    path.write_text("".join(json.dumps(value) + "\n" for value in lines))
    return path


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda r: r.update(seconds=[-1.0]), "seconds"),
        (lambda r: r.update(seconds=[0.0]), "seconds"),
        (lambda r: r.update(seconds=[float("inf")]), "not valid JSON"),
        (lambda r: r.update(seconds=[float("nan")]), "not valid JSON"),
        (lambda r: r.update(seconds=[1e9]), "seconds"),
        (lambda r: r.update(seconds=[1.0] * 4), "more than 3 repeats"),
        (lambda r: r.update(seconds=["1"]), "seconds"),
        (lambda r: r.update(seconds=[]), "either seconds or an error"),
        (lambda r: r.update(error="both"), "either seconds or an error"),
        (lambda r: r.update(seconds=[], error=""), "error"),
        (lambda r: r.update(seconds=[], error="x" * 3000), "error"),
        (lambda r: r.update(id="0" * 32), "the batch has no job"),
        (lambda r: r.update(id="x"), "id"),
        (lambda r: r.update(sha256="0" * 64), "measured with another library"),
        (lambda r: r.pop("sha256"), "sha256"),
        (lambda r: r.update(celsius="hot"), "celsius"),
        (lambda r: r.update(time=10**400), ""),
        (lambda r: r.update(more=_deep()), "nested too deeply"),
    ],
)
def test_a_result_that_cannot_be(
    carried: Carried, sender: Store, tmp_path: Path, edit: Callable[[dict[str, Any]], Any], said: str
) -> None:
    assert said in refused(carried, sender, edited(carried, tmp_path / "r.jsonl", edit, line=4))


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda h: h.update(batch="0" * 32), "has not sent out"),
        (lambda h: h.update(schema=2), "schema"),
        (lambda h: h["identity"].pop("machine"), "does not say what it is"),
        (lambda h: h["identity"].update(cores=0), "0 cores"),
        (lambda h: h["identity"].update(machine="riscv64", cpuinfo=""), "cannot tune for"),
        (lambda h: h.update(identity=7), "identity"),
    ],
)
def test_a_board_that_cannot_be(
    carried: Carried, sender: Store, tmp_path: Path, edit: Callable[[dict[str, Any]], Any], said: str
) -> None:
    assert said in refused(carried, sender, edited(carried, tmp_path / "r.jsonl", edit, line=0))


def test_results_that_contradict_each_other(carried: Carried, sender: Store, tmp_path: Path) -> None:
    lines = carried.results.read_text().splitlines()
    changed = json.loads(lines[3])
    changed["seconds"] = [1.0]
    path = tmp_path / "r.jsonl"
    path.write_text("\n".join([*lines, json.dumps(changed), ""]))
    assert "there are two results of the job" in refused(carried, sender, path)
    path.write_text("\n".join([*lines, lines[3], ""]))
    assert len(read_results(path).results) == TRIALS, "the same line twice is one result"


def test_what_a_board_says_is_kept_as_plain_text(carried: Carried, store: Store, tmp_path: Path) -> None:
    """Clocks that begin in 1970, lines in errors, names with controls."""

    def edit(result: dict[str, Any]) -> None:
        result.update(seconds=[], error="\x1b[31mred\nline\u202e", time=12.5, celsius=61.5)

    path = edited(carried, tmp_path / "r.jsonl", edit, line=4)
    path = edited(
        Carried(carried.model, carried.exported, carried.store, carried.batch, path),
        tmp_path / "s.jsonl",
        lambda head: head["identity"].update(board="Jetson\x00\x1b[0m", governor="x" * 1000),
        line=0,
    )
    found = import_results(path, carried.model, TARGET, "fp32", store=store)
    assert (found.new, found.failed) == (TRIALS, 1)
    [failed] = [record for record in store.records() if record.error is not None]
    assert failed.error is not None and failed.error.isprintable() and "red line" in failed.error
    assert failed.created > "2026" and failed.provenance.celsius == 61.5
    assert str(failed.extra["board"]).isprintable()


@quick
@given(st.data())
def test_mutated_results(
    carried: Carried, sender: Store, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Bytes changed, cut out or put in: what is read is whole, or nothing is."""
    content = bytearray(carried.results.read_bytes())
    _mutate(content, data)
    path = tmp_path_factory.getbasetemp() / "mutated.jsonl"
    path.write_bytes(content)
    try:
        results = read_results(path)
    except EdgetuneError as error:
        assert "\n" not in str(error)
        refused(carried, sender, path)
        return
    for result in results.results:
        assert bool(result.seconds) == (result.error is None) and all(0 < s <= 1e6 for s in result.seconds)


@quick
@given(st.data())
def test_mutated_batches(carried: Carried, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A changed batch is refused, or it is a library that is: nothing else of it is without a checksum."""
    content = bytearray(carried.batch.read_bytes())
    _mutate(content, data, 40_000)
    folder = tmp_path_factory.getbasetemp()
    path = folder / "mutated.tar"
    path.write_bytes(content)
    try:
        with opened_batch(path) as batch:
            for job in batch.jobs:
                batch.extract(job, folder / "mutated.so")
            assert len(batch.jobs) == batch.header.jobs == TRIALS
    except EdgetuneError as error:
        assert "\n" not in str(error)


@quick
@given(st.binary(max_size=2000))
def test_noise(carried: Carried, sender: Store, tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "noise"
    path.write_bytes(noise)
    refused(carried, sender, path)
    with pytest.raises(EdgetuneError), opened_batch(path):
        pass


def _mutate(content: bytearray, data: st.DataObject, within: int | None = None) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        end = min(len(content), within or len(content))
        at = data.draw(st.integers(0, max(0, end - 1)))
        what = data.draw(st.sampled_from(["change", "cut", "insert", "end", "twice"]))
        if what == "change":
            content[at : at + 1] = data.draw(st.binary(min_size=1, max_size=1))
        elif what == "cut":
            del content[at : at + data.draw(st.integers(1, 600))]
        elif what == "insert":
            content[at:at] = data.draw(st.binary(min_size=1, max_size=20))
        elif what == "end":
            del content[at:]
        else:
            content[at:at] = content[at : at + data.draw(st.integers(1, 600))]


def _deep() -> Any:
    value: Any = []
    for _ in range(40):
        value = [value]
    return value
