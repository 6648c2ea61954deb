"""What machine code the convolution, Winograd and dense kernels of a model are, row by row, and what is wrong with it.

    python benchmarks/machine_code.py                   # ResNet-50 with no records, for three kinds of vectors
    python benchmarks/machine_code.py --targets x86-znver5,arm-neoverse-n1 --models googlenet,shufflenet
    python benchmarks/machine_code.py --logs DIR        # kernels that DIR has records of are as tuned
    python benchmarks/machine_code.py --json FILE       # a line per kernel, those of every hot loop counted apart

A row is the hot loop of a kernel: of its innermost loops, the one with the most multiply-adds into accumulators. It
says in which registers they are done (zmm, ymm and xmm have 512, 256 and 128 bits, v.4s 128), how many there are in an
iteration, how many of them are fused, into how many accumulators, and how many vectors go to the stack and come back.
Wrong is a multiply-add that is not fused where the target can fuse it, a vector narrower than the target's, any vector
to or from the stack, an accumulator kept in memory, and fewer accumulators than hide the latency of multiply-adds.
Nothing is linked or executed: targets that this machine is not, and has no linker for, will do.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
TARGETS = "native,x86-avx2,arm-cortex-a76"
KERNELS = ("conv", "dense")  # what the names of kernels that are looked at have in them


def main() -> int:
    import targets

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="resnet50")
    parser.add_argument("--targets", default=TARGETS, help="names as `edgetune targets` lists them")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--logs", help="record store; default: none, so every kernel has its zero-trial schedule")
    parser.add_argument("--json", help="append a line per kernel to this file")
    options = parser.parse_args()
    summaries = []
    chosen = {target.name: target for target in map(targets.get, options.targets.split(","))}
    for target in chosen.values():
        for model in options.models.split(","):
            rows = list(examined(model, target, options))
            print(f"\n{model} for {target.name}, vectors of {target.hardware.vector_bits} bits")
            print(f"{'kernel':52} {'MFLOP':>8} {'vectors':8} {'FMAs':>7} {'accumulators':>12} {'stack':>5}")
            for row in rows:
                print(_line(row), flush=True)
                if options.json:
                    with Path(options.json).open("a", encoding="utf-8") as out:
                        out.write(json.dumps(row) + "\n")
            summaries.append(_summary(model, target.name, rows))
    print("\n" + "\n".join(summaries))
    return 0


def examined(model: str, target: object, options: argparse.Namespace) -> Iterator[dict]:
    """A row per kernel, the one with the most operations first."""
    from compiler.bench.machine_code import Assembly, faults

    built, text = compiled(model, target, options)
    assembly = Assembly(text, target.family)
    # Every 64-bit Arm CPU has fused multiply-adds, and no flag for them.
    fma = target.family == "arm" or "fma" in target.requires
    names = [name for name in built.kernels if any(part in name for part in KERNELS)]
    for name in sorted(names, key=lambda name: built.kernels[name][0] or 0, reverse=True):
        loops = assembly.hot_loops(name)
        wrong = dict.fromkeys(phrase for loop in loops for phrase in faults(loop, target.hardware, fma))
        yield {
            "model": model,
            "batch": options.batch,
            "precision": options.precision,
            "target": target.name,
            "kernel": name,
            "flops": built.kernels[name][0],
            "tuned": name.removesuffix("_prepacked") not in built.untuned,
            "faults": list(wrong) if loops else ["no loop with multiply-adds"],
            "loops": [{**vars(loop), "multiply_adds": loop.multiply_adds} for loop in loops],
        }


def compiled(model: str, target: object, options: argparse.Namespace) -> tuple[object, str]:
    """What `edgetune compile` makes of the model, and the assembly text of its kernels."""
    import targets
    from compiler import build
    from compiler.commands.store import records_at_hand
    from compiler.frontend import load

    kept = []
    with ExitStack() as stack:
        store = stack.enter_context(records_at_hand(options.logs, target, zero_trial=options.logs is None))
        # The executable is wanted as it is before linking, so a target needs no linker.
        stack.enter_context(mock.patch.object(build, "link", lambda executable, *_: kept.append(executable)))
        stack.enter_context(mock.patch.object(targets, "why_not_compile", lambda _: None))
        built = build.compile_model(
            load(model, batch=options.batch), target, Path("unlinked"), precision=options.precision, store=store
        )
    [executable] = kept
    return built, "\n".join(_assembly(executable.mod))


def _assembly(module: object) -> Iterator[str]:
    if module.kind == "llvm":
        yield module.inspect_source("asm")
    for imported in module.imports:
        yield from _assembly(imported)


def _line(row: dict) -> str:
    wrong = "; ".join(row["faults"]) or "good"
    start = f"{row['kernel']:52} {(row['flops'] or 0) / 1e6:8.1f} "
    if not row["loops"]:
        return f"{start}{'':8} {'':7} {'':12} {'':5}  {wrong}"
    loop, *others = row["loops"]
    more = f" ({len(others)} more such loops)" if others else ""
    fmas = f"{loop['fused']}/{loop['multiply_adds']}"
    stack = f"{loop['spills']}/{loop['reloads']}"
    return f"{start}{'+'.join(loop['units']):8} {fmas:>7} {loop['accumulators']:12} {stack:>5}  {wrong}{more}"


def _summary(model: str, target: str, rows: list[dict]) -> str:
    def having(*parts: str) -> int:
        return sum(any(part in fault for fault in row["faults"] for part in parts) for row in rows)

    good = [row for row in rows if not row["faults"]]
    work = sum(row["flops"] or 0 for row in rows)
    share = sum(row["flops"] or 0 for row in good) / work if work else 0.0
    units = sorted({unit for row in rows for loop in row["loops"] for unit in loop["units"]})
    return (
        f"{model} for {target}: {len(good)} of {len(rows)} kernels good, {share:.0%} of their operations; "
        f"{'/'.join(units)}; {having('not fused')} not all fused, {having('bits')} narrower, "
        f"{having('spills', 'stored')} with vectors in memory, {having('latency')} bound by latency"
    )


if __name__ == "__main__":
    sys.exit(main())
