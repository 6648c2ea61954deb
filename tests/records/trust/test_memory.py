"""Lines that are made to fill the memory of who reads them."""

from __future__ import annotations

import tracemalloc

from compiler.records.canonical import canonical_bytes
from compiler.records.exchange.known_traces import KnownTraces
from tests.records.samples import trace


def test_many_long_traces_that_differ_are_not_all_remembered() -> None:
    known = KnownTraces()
    assert known.accepts(trace().encode())
    tracemalloc.start()
    for number in range(40):
        instructions = [["GetSBlock", [], [f"block{number}", "main"], ["b0"]]]
        instructions += [["GetLoops", ["b0"], [], [f"l{n * 10 + k}" for k in range(10)]] for n in range(1, 400)]
        known.accepts(canonical_bytes([instructions, []]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500 << 20
    assert known.accepts(trace().encode())


def test_a_trace_longer_than_any_real_one_is_left_to_the_full_check() -> None:
    instructions = [["EnterPostproc", [], [], []]] * 600
    assert not KnownTraces().accepts(canonical_bytes([instructions, []]))
