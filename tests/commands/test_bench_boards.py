"""`edgetune bench` on a board: kernels timed there, held against what that board can do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import targets
from compiler.bench import peak
from tests.command import edgetune_here, one_line
from tests.runtime import small
from tests.runtime.agent import agents
from tests.runtime.agent.agents import KINDS, Agent

pytestmark = pytest.mark.skipif(
    targets.why_not_run(targets.get(small.TARGET)) is not None, reason=f"this CPU cannot run {small.TARGET}"
)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.package(tmp_path_factory.mktemp("package")).path


@pytest.fixture(scope="module")
def agent() -> Iterator[Agent]:
    with agents.running(KINDS[0]) as made:
        yield made


def test_kernels_are_profiled_on_the_board(
    package: Path, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peak, "SECONDS", 0.02)
    monkeypatch.setattr(peak, "wanted_buffer_bytes", lambda target: 16 << 20)
    monkeypatch.setattr("compiler.bench.peak_of.measure_peak", lambda threads: pytest.fail("not the desk's"))
    results, trace = tmp_path / "results.jsonl", tmp_path / "trace.json"
    board = ("--rpc", str(agent.address))
    done = edgetune_here(
        *("bench", package, *board, "--runs", "5", "--seconds", "0", "--profile", "--trace", trace, "--json", results)
    )
    assert "small: kernels" in done.stdout.replace(str(package), "small") and "peak: " in done.stdout
    [line] = [json.loads(text) for text in results.read_text().splitlines()]
    profile = line["profile"]
    assert profile["peak"]["how"].startswith("on the board: ") and profile["clock"] == "host"
    conv = next(row for row in profile["rows"] if row["name"] == "conv2d")
    assert conv["of_peak_flops"] == pytest.approx(conv["gflops"] / profile["peak"]["gflops"])
    assert [row["milliseconds"] for row in profile["rows"]] == sorted(
        (row["milliseconds"] for row in profile["rows"]), reverse=True
    )
    events = json.loads(trace.read_text())["traceEvents"]
    assert {e["name"] for e in events if e.get("cat") == "kernel"} == {row["name"] for row in profile["rows"]}
    assert sum(e.get("cat") == "run" for e in events) == 5


def test_a_trace_does_not_replace_what_is_none(package: Path, agent: Agent, tmp_path: Path) -> None:
    other = tmp_path / "notes.json"
    other.write_text('{"notes": []}')
    refused = edgetune_here("bench", package, "--rpc", str(agent.address), "--trace", other, check=2)
    assert "this file exists and is no trace" in one_line(refused.stderr)
    assert other.read_text() == '{"notes": []}'
    suite = edgetune_here("bench", "--suite", "classic", "--json", tmp_path / "r", "--trace", other, check=2)
    assert "--trace" in one_line(suite.stderr)
