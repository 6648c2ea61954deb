"""2,000 hostile lines of logs: what becomes of each, how long it takes, and that none of it is executed.

    python benchmarks/hostile_logs.py [--lines 2000] [--seed 1] [--json FILE]

The lines are made of real ones, as somebody would make them who knows edgetune: ids are computed anew, so that the
check of contents passes. They are imported into a store of their own, what is taken in is applied in processes with
limits to the kernels that it claims to be of (those of the shipped logs stand for this machine's own), and what applies
is built and run beside the plain kernels. Every line has to be refused, quarantined, or found to be harmless: a
schedule that computes the right numbers.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import resource
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from compiler.errors import EdgetuneError
from compiler.records.canonical import canonical_bytes
from compiler.records.exchange.lines import read_line
from compiler.records.record import FIELDS, Record, Workload

Line = dict[str, Any]
LIMIT_SECONDS = 5.0  # for reading one line
CANARY = "EDGETUNE_CANARY"


def real_lines() -> tuple[list[Line], list[Line]]:
    """The record lines and the workload lines that come with edgetune."""
    from compiler.records.shipped import shipped_folder

    folder = shipped_folder()
    if folder is None:
        raise SystemExit("there are no shipped logs to make hostile ones of")
    records, workloads = [], []
    for path in sorted(folder.rglob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            value = json.loads(line)
            (records if value["kind"] == "record" else workloads).append(value)
    return records, workloads


def with_right_id(value: Line) -> bytes:
    """The line of a record, its id computed from what it says now."""
    changed = dict(value)
    try:
        fields = {name: value[name] for name in FIELDS}
        fields["trace"] = canonical_bytes(value["trace"]).decode("utf-8")
        fields["seconds"] = tuple(value["seconds"])
        changed["id"] = Record(**fields).id
    except Exception:  # noqa: BLE001 - what no record can be made of keeps the id that it has
        changed["id"] = value.get("id")
    try:
        return canonical_bytes(changed)
    except Exception:  # noqa: BLE001 - numbers beyond 64 bits, which another's encoder would write
        return json.dumps(changed).encode("utf-8")


class Attacks:
    """The ways to make a hostile line; each takes a random generator and gives bytes."""

    def __init__(self, canary: Path) -> None:
        self.records, self.workloads = real_lines()
        self.source = f'int __attribute__((constructor)) f() {{ return system("touch {canary}"); }}'
        self.canary = canary

    def all(self) -> list[Callable[[random.Random], bytes]]:
        """Every attack."""
        return [getattr(self, name) for name in sorted(dir(self)) if name.startswith("try_")]

    def record(self, rng: random.Random, least: int = 6) -> Line:
        """A copy of a real record whose trace has at least so many instructions."""
        while True:
            value: Line = json.loads(json.dumps(rng.choice(self.records)))
            if len(value["trace"][0]) >= least:
                return value

    def inserted(self, rng: random.Random, instruction: list[Any], value: Line | None = None) -> bytes:
        """A record with one instruction more, at a place where it finds what it names."""
        value = value or self.record(rng)
        instructions, decisions = value["trace"]
        at = rng.randrange(1, len(instructions) + 1)
        instructions.insert(at, instruction)
        for decision in decisions:
            decision[0] += decision[0] >= at
        return with_right_id(value)

    def try_pragma(self, rng: random.Random) -> bytes:
        key = rng.choice(
            ["pragma_import_c", "pragma_import_llvm", "pragma_debug_skip_region", "extern_scope", "pragma_import_c "]
        )
        return self.inserted(rng, ["Annotate", ["b0", json.dumps(self.source)], [key], []])

    def try_source_in_an_allowed_annotation(self, rng: random.Random) -> bytes:
        key = rng.choice(["meta_schedule.auto_tensorize", "meta_schedule.inline_rule", "warp_execution"])
        return self.inserted(rng, ["Annotate", ["b0", json.dumps(self.source)], [key], []])

    def try_call(self, rng: random.Random) -> bytes:
        name = rng.choice(["CallPacked", "runtime.SystemLib", "UnsafeSetDType", "os.system", "AnnotateBufferAccess"])
        return self.inserted(rng, [name, ["b0"], [f"touch {self.canary}"], []])

    def try_tensorize(self, rng: random.Random) -> bytes:
        name = rng.choice(["system", "tvm.tir.call_extern", "dot_4x4_i8i8s32_sdot", "../../x"])
        return self.inserted(rng, ["Tensorize", ["b0"], [name, 1], []])

    def try_index_map_with_a_call(self, rng: random.Random) -> bytes:
        nodes = [
            {"type": "None"},
            {"type": "ffi.String", "data": "i0"},
            {"type": "ir.PrimType", "data": {"span": 0, "dtype": "int32"}},
            {"type": "ir.Var", "data": {"span": 0, "ty": 2, "name": 1}},
            {"type": "ffi.Array", "data": [3]},
            {"type": "ir.Op", "data": rng.choice(["tirx.call_extern", "tirx.call_packed", "tirx.tvm_call_cpacked"])},
            {"type": "ffi.String", "data": "system"},
            {"type": "tirx.StringImm", "data": {"span": 0, "value": 6}},
            {"type": "ffi.Array", "data": [7]},
            {"type": "ir.Call", "data": {"span": 0, "ty": 2, "op": 5, "args": 8, "attrs": 0, "ty_args": 0}},
            {"type": "ffi.Array", "data": [9]},
            {"type": "tirx.IndexMap", "data": {"initial_indices": 4, "final_indices": 10, "inverse_index_map": 0}},
        ]
        text = json.dumps({"root_index": 11, "nodes": nodes})
        return self.inserted(rng, ["TransformLayout", ["b0", text], [0, 1, None, rng.randrange(2)], []])

    def try_changed_index_map(self, rng: random.Random) -> bytes:
        value = self.record(rng)
        for _ in range(200):
            maps = [i for i in value["trace"][0] if i[0] == "TransformLayout"]
            if maps:
                break
            value = self.record(rng)
        graph = json.loads(maps[0][1][1])
        for _ in range(rng.randint(1, 3)):
            node = rng.choice(graph["nodes"])
            data = node.get("data")
            if isinstance(data, dict) and data:
                data[rng.choice(sorted(data))] = rng.randrange(-1, len(graph["nodes"]) + 1)
            elif isinstance(data, list) and data:
                data[rng.randrange(len(data))] = rng.randrange(len(graph["nodes"]))
            elif isinstance(data, int):
                node["data"] = rng.choice([0, -1, 3, 2**31, 2**62, data + 1])
            else:
                node["type"] = rng.choice(["ir.Call", "tirx.BufferLoad", "ir.GlobalVar", "prim.FloorDiv"])
        maps[0][1][1] = canonical_bytes(graph).decode("utf-8")
        return with_right_id(value)

    def try_deep_nesting(self, rng: random.Random) -> bytes:
        depth = rng.choice([30, 1_000, 100_000])
        deep = b"[" * depth + b"]" * depth
        line = with_right_id(self.record(rng))
        what = rng.choice([b'"extra":{', b'"target":{'])
        return line.replace(what, what + b'"a":' + deep + b",", 1) if rng.randrange(2) else deep

    def try_huge_number(self, rng: random.Random) -> bytes:
        value = self.record(rng)
        huge = rng.choice([2**31, 2**40, 2**63 - 1, -(2**63), 2**64, 10**400, 1e308, -1])
        where = rng.randrange(5)
        instructions, decisions = value["trace"]
        if where == 0 and decisions:
            rng.choice(decisions)[1] = [huge] * 4
        elif where == 1 and decisions:
            rng.choice(decisions)[0] = huge
        elif where == 2:
            rng.choice(instructions)[2].append(huge)
        elif where == 3:
            value["threads"] = huge
        else:
            return self.inserted(rng, ["Annotate", ["b0", huge], ["pragma_auto_unroll_max_step"], []], value)
        return with_right_id(value)

    def try_exhausting_splits(self, rng: random.Random) -> bytes:
        """Factors that TVM accepts, of a loop that is then unrolled, or a vector, or just long."""
        value = self.record(rng)
        factor = rng.choice([1 << 14, 1 << 20, 1 << 24, 2**31 - 1])
        loops = [i for i in value["trace"][0] if i[0] == "GetLoops" and i[3]]
        at = value["trace"][0].index(loops[0]) + 1 if loops else 1
        loop = loops[0][3][-1] if loops else "l1"
        kind = rng.choice(["Unroll", "Vectorize", "Parallel"])
        new = [["Split", [loop, "None", factor], [1, 0], ["l9001", "l9002"]], [kind, ["l9002"], [], []]]
        value["trace"][0][at:at] = new
        for decision in value["trace"][1]:
            decision[0] += 2 * (decision[0] >= at)
        return with_right_id(value)

    def try_memory(self, rng: random.Random) -> bytes:
        what = rng.choice([["StorageAlign", ["b0"], [0, 0, 2**30, 2**29], []], ["SetScope", ["b0"], [0, "vtcm"], []]])
        return self.inserted(rng, what)

    def try_long_trace(self, rng: random.Random) -> bytes:
        value = self.record(rng)
        value["trace"][0] += [["EnterPostproc", [], [], []]] * rng.choice([5_000, 9_000, 20_000])
        return with_right_id(value)

    def try_many_variables(self, rng: random.Random) -> bytes:
        value = self.record(rng)
        first, count, each = 1_000, rng.choice([100, 500, 5_000]), rng.choice([1, 50, 200])
        for number in range(count):
            names = [f"l{first + (number * each + i)}" for i in range(each) if first + number * each + i < 10**6]
            value["trace"][0].append(["GetLoops", ["b0"], [], names])
        return with_right_id(value)

    def try_undecided_sample(self, rng: random.Random) -> bytes:
        return self.inserted(rng, ["SampleCategorical", [], [[1, 2**30], [0.5, 0.5]], ["v9001"]])

    def try_value_in_disguise(self, rng: random.Random) -> bytes:
        value = self.record(rng)
        instructions, decisions = value["trace"]
        instructions.append(["SampleCategorical", [], [[2**30], [1.0]], ["v9001"]])
        decisions.append([len(instructions) - 1, 0])
        key = rng.choice(["pragma_auto_unroll_max_step", "meta_schedule.unroll_explicit"])
        instructions.append(["Annotate", ["b0", "v9001"], [key], []])
        return with_right_id(value)

    def try_false_packing(self, rng: random.Random) -> bytes:
        """Mark a block that computes as one that packs weights, which is taken out of the kernel."""
        value = self.record(rng)
        blocks = [o for i in value["trace"][0] if i[0] == "GetSBlock" for o in i[3]]
        mark = ["Annotate", [rng.choice(blocks), 1], ["meta_schedule.layout_rewrite_preproc"], []]
        value["trace"][0].append(mark)
        return with_right_id(value)

    def try_another_workloads_trace(self, rng: random.Random) -> bytes:
        value, other = self.record(rng), self.record(rng)
        value["trace"] = other["trace"]
        return with_right_id(value)

    def try_trace_with_pieces_of_another(self, rng: random.Random) -> bytes:
        value, other = self.record(rng), self.record(rng)
        at = rng.randrange(len(value["trace"][0]))
        value["trace"][0][at:] = other["trace"][0][at:]
        return with_right_id(value)

    def try_shuffled_trace(self, rng: random.Random) -> bytes:
        value = self.record(rng)
        rng.shuffle(value["trace"][0])
        return with_right_id(value)

    def try_other_tiles(self, rng: random.Random) -> bytes:
        value = self.record(rng)
        for decision in value["trace"][1]:
            decision[1] = [rng.choice([0, 1, -1, 7, 64, 4096]) for _ in decision[1]] if decision[1] else 3
        return with_right_id(value)

    def try_mutated_instruction(self, rng: random.Random) -> bytes:
        value = self.record(rng)
        for _ in range(rng.randint(1, 4)):
            instruction = rng.choice(value["trace"][0])
            part = rng.randrange(4)
            new: Any = rng.choice(["b0", "l1", "v3", 0, 1, 7, -1, 64, None, True, "None", '"x"', [], {}, 1.5, "main"])
            if part == 0:
                instruction[0] = rng.choice(value["trace"][0])[0]
            elif instruction[part]:
                instruction[part][rng.randrange(len(instruction[part]))] = new
            else:
                instruction[part].append(new)
        return with_right_id(value)

    def try_wrong_types(self, rng: random.Random) -> bytes:
        value = self.record(rng)
        name = rng.choice([name for name in value if name not in ("kind", "schema")])
        value[name] = rng.choice([None, True, 1, -1.5, "x", [], {}, [[]], {"a": []}, "\u202e", "a\nb", "x" * 3_000])
        return with_right_id(value)

    def try_changed_dtype_in_ir(self, rng: random.Random) -> bytes:
        """A workload line whose kernel was changed, under the name of a real one."""
        value = json.loads(json.dumps(rng.choice(self.workloads)))
        text = zlib.decompress(base64.b64decode(value["ir"])).decode("utf-8")
        old, new = rng.choice(
            [
                ("float32", "handle"), ("float32", "int8"), ("int64", "float64"), ("ir.IntImm", "tirx.StringImm"),
                ("prim.Add", "ir.Call"), ("tirx.BufferStore", "tirx.Evaluate"), ("ffi.Map", "ir.EnvFunc"),
            ]
        )  # fmt: skip
        value["ir"] = base64.b64encode(zlib.compress(text.replace(old, new).encode())).decode()
        return canonical_bytes(value)

    def try_zip_bomb(self, rng: random.Random) -> bytes:
        value = dict(rng.choice(self.workloads))
        size = rng.choice([65 << 20, 200 << 20])
        packer = zlib.compressobj(9)
        bomb = b"".join(packer.compress(b"\0" * (1 << 20)) for _ in range(size >> 20)) + packer.flush()
        value["ir"] = base64.b64encode(bomb).decode()
        return canonical_bytes(value)

    def try_flipped_bytes(self, rng: random.Random) -> bytes:
        data = bytearray(with_right_id(self.record(rng)))
        for _ in range(rng.randint(1, 5)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data).replace(b"\n", b" ")

    def try_name_that_leads_out(self, rng: random.Random) -> bytes:
        value = self.record(rng)
        value[rng.choice(["fingerprint", "workload"])] = rng.choice(["../../etc/x", "/etc/x", "a/b", "..", "x\0y"])
        return with_right_id(value)


def hostile_lines(count: int, seed: int, canary: Path, without: Sequence[str] = ()) -> Iterator[tuple[str, bytes]]:
    """`count` lines, each with the name of the attack; none of the attacks `without`."""
    rng = random.Random(seed)
    attacks = {attack.__name__.removeprefix("try_"): attack for attack in Attacks(canary).all()}
    names = [name for name in attacks if name not in without]
    for number in range(count):
        name = names[number % len(names)]
        yield name, attacks[name](rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgetune-hostile-") as folder:
        result = run(options.lines, options.seed, Path(folder))
    print(json.dumps(result, indent=2))
    if options.json is not None:
        with options.json.open("a") as file:
            file.write(json.dumps(result) + "\n")
    if not result["ok"]:
        raise SystemExit("a hostile line got through")


def run(count: int, seed: int, folder: Path) -> dict[str, Any]:
    """What became of the lines; `ok` where none was executed, hung, or is in use and computes something else."""
    canary = folder / "canary"
    os.environ[CANARY] = str(canary)
    lines = list(hostile_lines(count, seed, canary))
    refused, reading, passed = Counter(), 0.0, []
    assert "tvm" not in sys.modules, "reading lines needs no compiler, and this process has loaded one"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, line in lines:
        started = time.perf_counter()
        try:
            passed.append((name, line, read_line(line)))
        except EdgetuneError as error:
            assert str(error).isprintable() and len(str(error)) < 500, error
            refused[name] += 1
        reading = max(reading, time.perf_counter() - started)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert "tvm" not in sys.modules, "a compiler was loaded to read lines"
    used = _use(passed, folder)
    ok = not canary.exists() and reading < LIMIT_SECONDS and not used["wrong"]
    return {
        "lines": count,
        "seed": seed,
        "refused": sum(refused.values()),
        **used,
        "slowest_line_seconds": round(reading, 3),
        "memory_grown_mb": grown >> 10,
        "canary": canary.exists(),
        "ok": ok,
    }


def _use(passed: list[tuple[str, bytes, Any]], folder: Path) -> dict[str, Any]:
    """Import what was not refused, and use it as compile and `logs verify` do."""
    import targets
    from compiler.records.exchange.import_ import import_logs
    from compiler.records.store import Store
    from compiler.records.trust.claims import Kernel, imported_records
    from compiler.records.trust.verdicts import quarantined
    from compiler.records.trust.verify import apply_all, check_all
    from compiler.records.workload import load_workload
    from compiler.tuning.local import LocalRunner
    from compiler.tuning.workers import Pool
    from compiler.tvm_setup import prepare

    target = targets.get("native")
    fingerprint = targets.fingerprint(target).id
    prepare()
    records = [item for _, _, item in passed if isinstance(item, Record)]
    wanted = {record.workload for record in records}
    own = [item[0] for item in (read_line(canonical_bytes(w)) for w in real_lines()[1] if w["hash"] in wanted) if item]
    kernels = {w.hash: Kernel(w.name, w.hash, load_workload(w)) for w in own}
    path = folder / "hostile.jsonl"
    with path.open("wb") as file:
        for _, line, item in passed:
            if isinstance(item, Record):
                line = with_right_id({**json.loads(line), "fingerprint": fingerprint})
            file.write(line + b"\n")
    started = time.perf_counter()
    with Store(folder / "records.db") as store:
        for workload in own:
            store.add_workload(workload)
        report = import_logs(store, path, origin="hostile")
        for workload in own:  # a workload line of the file must not have taken the place of our own
            assert store.workload(workload.hash) == workload, workload.name
        applied = apply_all(store, kernels, fingerprint)
        unapplied = applied.quarantined
        with Pool(target.cores, 1) as builder, LocalRunner(target) as runner:
            check_all(store, kernels, target, fingerprint, builder, runner, folder, applied)
        left = sum(len(imported_records(store, digest, fingerprint)) for digest in kernels)
        reasons = Counter(found.reason.split(":")[0][:60] for found in quarantined(store))
    kernels_read, kernels_refused = _read_kernels([item[0] for _, _, item in passed if not isinstance(item, Record)])
    return {
        "workload_lines": len(passed) - len(records),
        "workloads_quarantined": kernels_refused,
        "workloads_as_they_were": kernels_read,
        "imported": report.added,
        "quarantined_traces": applied.quarantined,
        "of_them_when_applied": unapplied,
        "harmless_traces": applied.checked,
        "unclear": applied.unclear,
        "unclear_because": dict(Counter(note.rpartition(": ")[2][:60] for note in applied.notes).most_common(5)),
        "wrong": left - applied.checked - applied.unclear,
        "reasons": dict(reasons.most_common()),
        "seconds": round(time.perf_counter() - started, 1),
    }


def _read_kernels(workloads: list[Workload]) -> tuple[int, int]:
    """How many kernels of workload lines pass, which must be those that nothing was changed of, and how many do not."""
    from compiler.records.trust.admission import look

    real = {item[0].hash: item[0].ir for item in (read_line(canonical_bytes(w)) for w in real_lines()[1]) if item}
    reasons = look("examine_kernel", [{"ir": w.ir, "digest": w.hash} for w in workloads]) if workloads else []
    for workload, reason in zip(workloads, reasons, strict=True):
        assert reason is not None or workload.ir == real.get(workload.hash), workload.hash
    return sum(reason is None for reason in reasons), sum(reason is not None for reason in reasons)


if __name__ == "__main__":
    main()
