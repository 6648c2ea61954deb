"""Proposing candidates for one task: points of the design spaces of `schedules/`, ranked by what was measured."""

from __future__ import annotations

import itertools
import json
import logging
import random
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm
from tvm import s_tir

from compiler.graph.scheduling import design_spaces, pack_weights, plain
from compiler.graph.variants import Task
from compiler.records.nearest.kernels import read_kernel
from compiler.records.record import Record, trace_id
from compiler.records.workload import apply_trace, replay, trace_text, workload_of
from compiler.tuning.cost_model import CostModel
from compiler.tuning.features import Features, factors, sizes
from compiler.tuning.points import Point, Space
from schedules.cuda.gpu import Gpu

if TYPE_CHECKING:
    from schedules.cpu.tiles import Hardware

_log = logging.getLogger(__name__)

DRAWN = 2  # of a round, at random
FEW = 3  # new candidates of a round, below which a space is as good as exhausted


@dataclass
class Candidate:
    """A scheduled kernel to measure: its trace as a record keeps it, and the module as TVM's JSON."""

    trace: str
    module: str

    @property
    def id(self) -> str:
        return trace_id(self.trace)


class Search:
    """The search of one task. Candidates come from `default` first, then from `propose`; results go back by `learn`."""

    def __init__(
        self,
        task: Task,
        target: tvm.target.Target,
        hardware: Hardware | Gpu,
        seed: int,
        model: CostModel | None = None,
    ) -> None:
        """`model` is what several searches learn by; without one this search has its own."""
        self.task = task
        self.target = target
        self.hardware = hardware
        self.seed = seed
        self.model = CostModel(seed) if model is None else model
        self.exhausted = False
        self._seen: set[str] = set()  # traces
        self._learned: set[str] = set()
        self._done: set[int] = set()  # points, by their numbers
        self._points: list[Point] = []
        self._rows: Any = None
        self._rounds = 0
        self._spaces: list[s_tir.Schedule] | None = None
        self._packs = not isinstance(hardware, Gpu)  # GPUs read weights as they are

    @property
    def spaces(self) -> list[s_tir.Schedule]:
        if self._spaces is None:
            self._spaces = design_spaces(self.task.mod, self.hardware)
        return self._spaces

    def default(self) -> Candidate:
        """The zero-trial schedule: the first trial of every task."""
        # Applied anew: TVM cannot copy a schedule whose blocks are tensorized.
        sch = s_tir.Schedule(self.task.mod, debug_mask="none", error_render_level="none")
        self.spaces[0].trace.apply_to_schedule(sch, remove_postproc=True)
        self._pack(sch)
        return self._candidate(sch)

    def plain(self) -> str:
        """The task with the schedule of no family, to compare others with, as TVM's JSON."""
        return str(tvm.ir.save_json(plain(self.task.mod, self.hardware).mod))

    def from_record(self, record: Record) -> Candidate | None:
        """A record's schedule as a candidate; None where its trace does not apply."""
        sch = apply_trace(record, self.task.mod)
        return None if sch is None else self._candidate(sch)

    @cached_property
    def _sizes(self) -> Features:
        return sizes(read_kernel(workload_of(self.task.mod).ir))

    @cached_property
    def traces(self) -> list[str]:
        """The design spaces as texts of traces, at their defaults and before their weights are packed."""
        return [trace_text(space) for space in self.spaces]

    def at(self, space: int, choices: Mapping[int, Sequence[int] | int]) -> Candidate | None:
        """The point of a design space where the samples, by the numbers of their instructions, are `choices`, and the
        others at their defaults; None where the kernel cannot be scheduled so."""
        instructions, decisions = json.loads(self.traces[space])
        # A tile's decision is a list of factors, a choice of one of several is the number of it.
        taken = ((number, choices.get(number, default)) for number, default in decisions)
        chosen = [[number, list(one) if isinstance(one, Sequence) else one] for number, one in taken]
        try:
            sch = replay(json.dumps([instructions, chosen]), self.task.mod)
            self._pack(sch)
        except Exception as error:  # noqa: BLE001 - TVM's schedule errors have no common type
            _log.debug("a point of a space does not apply: %s", error)
            return None
        return self._candidate(sch)

    def start(self, records: Sequence[Record], tried: Collection[str]) -> None:
        """Begin searching, knowing `records` (successful ones, any order) and the traces `tried` before."""
        self._seen |= set(tried)
        for record in records:
            self._learn(record.trace, record.median)
        spaces = [Space(number, trace) for number, trace in enumerate(self.traces)]
        rng = random.Random(self.seed)  # noqa: S311 - no cryptography
        self._points = [point for space in spaces for point in space.points(rng)]
        rows = [self._sizes + spaces[point.space].features(point) for point in self._points]
        self._rows = np.array(rows, "float32")

    def propose(self, count: int, first: Sequence[Candidate] = ()) -> list[Candidate]:
        """Up to `count` candidates not proposed before; `exhausted` when the spaces hold hardly any more.

        They are `first`, then those that the cost model ranks before others, and DRAWN at random, for what it is wrong
        about. While it knows too little, all are drawn, from the spaces in turns: what is near to the defaults was
        measured to be a worse beginning. What is proposed depends on the seed and on what was learned, and on nothing
        else.
        """
        self._rounds += 1
        rng = random.Random(self.seed * 1009 + self._rounds)  # noqa: S311
        order = self._ranked(rng)
        found = list(first[:count])
        self._seen |= {candidate.id for candidate in found}
        while order and len(found) < count:
            drawn = count > DRAWN and len(found) >= count - DRAWN
            number = order.pop(rng.randrange(len(order)) if drawn else 0)
            point = self._points[number]
            self._done.add(number)
            candidate = self.at(point.space, dict(point.choices))
            if candidate is not None and candidate.id not in self._seen:
                self._seen.add(candidate.id)
                found.append(candidate)
        # Drawing on for the last few points of a space finds what is like those that were measured.
        self.exhausted = len(found) < FEW
        return found

    def learn(self, candidates: Sequence[Candidate], seconds: Sequence[Sequence[float]]) -> None:
        """Tell the search what was measured; an empty list of seconds is a failure."""
        for candidate, times in zip(candidates, seconds, strict=True):
            self._seen.add(candidate.id)
            self._learn(candidate.trace, statistics.median(times) if times else None)

    def _ranked(self, rng: random.Random) -> list[int]:
        """The numbers of the points that were not proposed yet, those to try first at the front."""
        left = [number for number in range(len(self._points)) if number not in self._done]
        if not left:
            return []
        rng.shuffle(left)
        slow = self.model.predict(self._rows[left])
        if slow is not None:
            return [left[i] for i in np.argsort(slow, kind="stable")]
        spaces: dict[int, list[int]] = {}
        for number in left:
            spaces.setdefault(self._points[number].space, []).append(number)
        rounds = itertools.zip_longest(*spaces.values())
        return [number for turn in rounds for number in turn if number is not None]

    def _learn(self, trace: str, seconds: float | None) -> None:
        found = factors(trace)
        if found is not None and trace_id(trace) not in self._learned:
            self._learned.add(trace_id(trace))
            self.model.add(self.task.hash, self._sizes + found, seconds)

    def _pack(self, sch: s_tir.Schedule) -> None:
        if self._packs:
            pack_weights(sch)

    def _candidate(self, sch: s_tir.Schedule) -> Candidate:
        return Candidate(trace_text(sch), tvm.ir.save_json(sch.mod))
