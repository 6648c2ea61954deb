"""Is a slowdown of 5 % found, and is one of 0 % not? The A/A test of `bench --aa`, with a slowdown planted.

    python benchmarks/aa.py                     # 20 trials of each, on squeezenet with no tuning
    python benchmarks/aa.py --slowdown 3 --trials 10 --seconds 20

The second engine is the same package whose invocations are followed by a busy loop of so many percent of their time.
Exits 1 unless every planted slowdown is found and no other.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="squeezenet")
    parser.add_argument("--shape", help="as of `edgetune compile`; a smaller input is more invocations a second")
    parser.add_argument("--slowdown", type=float, default=5.0, help="percent")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each trial")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    from compiler.bench.aa import measure_pairs
    from compiler.bench.engine import PackageEngine
    from compiler.bench.probes import probe_inputs
    from compiler.package import open_package
    from compiler.runtime.session import LocalSession

    wrong = 0
    with tempfile.TemporaryDirectory() as folder, LocalSession(options.threads) as session:
        path = Path(folder) / "model.tar"
        compiled(options.model, options.shape, path, options.threads)
        package = open_package(str(path))
        (inputs,) = probe_inputs(package.manifest.inputs, 1)
        plain, second = session.load(package), session.load(package)
        slow_down(plain, 0.0)  # both carry what the planting itself costs, or nothing planted would be a microsecond
        for percent in (options.slowdown, 0.0):
            slow_down(second, percent / 100)
            found = 0
            for trial in range(options.trials):
                seen = measure_pairs(PackageEngine(plain), PackageEngine(second), inputs, seconds=options.seconds)
                found += seen.found and (percent == 0 or seen.ratio > 1)
                print(
                    f"planted {percent:g} %, trial {trial + 1}: {seen.ratio - 1:+.2%} ({seen.low - 1:+.2%} to "
                    f"{seen.high - 1:+.2%}), {seen.pairs} pairs, smallest {seen.smallest:.2%}: "
                    f"{'found' if seen.found else 'not found'}",
                    flush=True,
                )
            wrong += found if percent == 0 else options.trials - found
            print(f"planted {percent:g} %: found in {found} of {options.trials}", flush=True)
    return 1 if wrong else 0


def compiled(model: str, shape: str | None, path: Path, threads: int) -> None:
    """The model's package, with its untuned schedules."""
    from cli import main as edgetune

    arguments = ["compile", model, "--zero-trial", "--threads", str(threads), "-o", str(path)]
    if edgetune([*arguments, *(["--shape", shape] if shape else [])]):
        raise SystemExit("the model cannot be compiled")


def slow_down(loaded: Any, share: float) -> None:
    """Make each invocation of a loaded package slower by a share: no package can be slow by so little on purpose."""
    bind = type(loaded)._bind.__get__(loaded)
    loaded._bind = lambda vm, arrays, *more: followed_by_a_spin(bind(vm, arrays, *more), share)


def followed_by_a_spin(invoke: Callable[[], object], share: float) -> Callable[[], object]:
    """`invoke`, and then a busy loop for `share` of the time that it took."""

    def slowed() -> object:
        start = time.perf_counter()
        result = invoke()
        now = time.perf_counter()
        end = now + share * (now - start)
        while time.perf_counter() < end:
            pass
        return result

    return slowed


if __name__ == "__main__":
    sys.exit(main())
