"""Proposing candidates for one task: MetaSchedule's evolutionary search over the design spaces of `schedules/`."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm
from tvm import s_tir

from compiler.graph.scheduling import design_spaces, pack_weights, plain
from compiler.graph.variants import Task
from compiler.records.record import Record, trace_id
from compiler.records.workload import apply_trace, replay, trace_text
from schedules.cuda.gpu import Gpu

if TYPE_CHECKING:
    from schedules.cpu.tiles import Hardware

_log = logging.getLogger(__name__)

# The spaces are small (tens to hundreds of points): a small population finds their best, and sampling it costs
# milliseconds a candidate, where MetaSchedule's default of 512 over its own large spaces costs 0.4 s.
POPULATION = 24
GENERATIONS = 1
FEW = 3  # new candidates of a round, below which a space is as good as exhausted


@dataclass
class Candidate:
    """A scheduled kernel to measure: its trace as a record keeps it, and the module as TVM's JSON."""

    trace: str
    module: str
    measure: Any = None

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
        model: Any,
        threads: int = 1,
    ) -> None:
        """`model` is of `cost_model`. With `threads` above 1 it depends on more than the seed what is proposed: which
        thread takes which candidate."""
        self.threads = threads
        self.task = task
        self.target = target
        self.hardware = hardware
        self.seed = seed
        self.model = model
        self.exhausted = False
        self._seen: set[str] = set()
        self._left: list[Candidate] = []
        self._rounds = 0
        self._context: Any = None
        self._database: Any = None
        self._workload: Any = None
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
    def traces(self) -> list[str]:
        """The design spaces as texts of traces, at their defaults and before their weights are packed."""
        return [trace_text(space) for space in self.spaces]

    def at(self, space: int, choices: Mapping[int, Sequence[int]]) -> Candidate | None:
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

    def start(self, records: list[Record], tried: frozenset[str]) -> None:
        """Begin searching, knowing `records` (successful ones, any order) and the traces `tried` before."""
        from tvm.s_tir import meta_schedule as ms

        self._seen |= tried
        self._context = ms.TuneContext(
            self.task.mod,
            target=self.target,
            space_generator=ms.space_generator.ScheduleFn(
                lambda sch: None,
                sch_rules=[],
                postprocs=[ms.postproc.RewriteLayout()] if self._packs else [],
                mutator_probs={ms.mutator.MutateTileSize(): 1.0},
            ),
            search_strategy=ms.search_strategy.EvolutionarySearch(
                population_size=POPULATION,
                init_measured_ratio=0.3,
                init_min_unmeasured=12,
                genetic_num_iters=GENERATIONS,
                max_fail_count=3,
                eps_greedy=0.1,
            ),
            task_name=self.task.name,
            rand_state=self.seed % (2**31 - 2) + 1,
            num_threads=self.threads,
            logger=_silent(),
        )
        self._database = ms.database.MemoryDatabase()
        self._workload = self._database.commit_workload(self.task.mod)
        known = []
        for record in records:
            sch = apply_trace(record, self.task.mod)
            if sch is not None:
                self._commit(sch.trace, list(record.seconds))
                known.append((sch, list(record.seconds)))
        self._context.pre_tuning(1 << 30, 16, self.spaces, self._database, self.model)
        if known:
            arguments = self._arguments()
            self.model.update(
                self._context,
                [ms.MeasureCandidate(sch, arguments) for sch, _ in known],
                [ms.runner.RunnerResult(seconds, None) for _, seconds in known],
            )

    def propose(self, count: int) -> list[Candidate]:
        """Up to `count` candidates not proposed before; `exhausted` when the spaces hold hardly any more.

        What is proposed depends on the seed and on what was learned, and on nothing else.
        """
        self._rounds += 1
        # The cost model draws from numpy's global generator, which the other tasks' searches share.
        np.random.seed((self.seed + self._rounds) % 2**32)
        found: list[Candidate] = []
        for _ in range(2):
            batch = self._context.generate_measure_candidates()
            if batch is None:
                break
            fresh = []
            for measure in batch:
                candidate = self._candidate(measure.sch, measure)
                if candidate.id not in self._seen:
                    self._seen.add(candidate.id)
                    fresh.append(candidate)
            found += fresh
            if len(found) >= count // 2:
                break
            # What was proposed twice must still be answered, or the search would propose it again.
            self._context.notify_runner_results(batch, [_failed() for _ in batch])
        # What is too much now waits until the search finds nothing better: it will not propose the same twice.
        found += self._left
        self._left = found[count:]
        # Drawing on for the last few points of a space costs seconds each, and they are like those that were measured.
        self.exhausted = len(found) < FEW
        return found[:count]

    def learn(self, candidates: list[Candidate], seconds: list[list[float]]) -> None:
        """Tell the search what was measured; an empty list of seconds is a failure."""
        from tvm.s_tir import meta_schedule as ms

        known = [(c, s) for c, s in zip(candidates, seconds, strict=True) if c.measure is not None]
        for candidate, times in zip(candidates, seconds, strict=True):
            if times and candidate.measure is not None:
                self._commit(candidate.measure.sch.trace, times)
        if not known or self._context is None:
            return
        results = [ms.runner.RunnerResult(s, None) if s else _failed() for _, s in known]
        self._context.notify_runner_results([c.measure for c, _ in known], results)
        self.model.update(self._context, [c.measure for c, _ in known], results)

    def _pack(self, sch: s_tir.Schedule) -> None:
        if self._packs:
            pack_weights(sch)

    def _commit(self, trace: s_tir.Trace, seconds: list[float]) -> None:
        from tvm.s_tir import meta_schedule as ms

        self._database.commit_tuning_record(
            ms.database.TuningRecord(trace, self._workload, seconds, self.target, self._arguments())
        )

    def _arguments(self) -> Any:
        from tvm.s_tir import meta_schedule as ms

        return ms.arg_info.ArgInfo.from_entry_func(self.task.mod, True)

    def _candidate(self, sch: s_tir.Schedule, measure: Any = None) -> Candidate:
        return Candidate(trace_text(sch), tvm.ir.save_json(sch.mod), measure)


def _failed() -> Any:
    from tvm.s_tir import meta_schedule as ms

    return ms.runner.RunnerResult(None, "not measured")


def cost_model(seed: int) -> Any:
    """MetaSchedule's XGBoost model, shared by all tasks of a session."""
    from tvm.s_tir import meta_schedule as ms

    # One thread: of a few hundred samples several threads make no quick work, and on a busy machine they wait for each
    # other at every step, which was measured to make a training of 0.3 s one of 9 s.
    config = ms.cost_model.xgb_model.XGBConfig(seed=seed, nthread=1)
    return ms.cost_model.XGBModel(config=config, num_warmup_samples=48, adaptive_training=True, verbose_eval=0)


def _silent() -> logging.Logger:
    """MetaSchedule's own log, which says more than a user wants; it goes to debug output only."""
    logger = logging.getLogger("edgetune.metaschedule")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger
