"""Is energy attributed to exactly the measured window, and what does sampling cost what is measured?

    python benchmarks/power_windows.py                 # both
    python benchmarks/power_windows.py --trials 40 --seconds 60

First a load whose power is known at any time, real sampling and a real clock: 10 W, and 90 W in bursts that begin 50 ms
before a window (the warm-up) and end with it; windows of 0.6 s as `bench` has them. Then a package in turns with
itself, one of the two sampled: an INA3221's layout as files in memory, 20 times a second, all CPUs computing. Exits 1
where an energy is off by more than 1 %.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

IDLE_W, BUSY_W, WARM_UP_S, WINDOW_S = 10.0, 90.0, 0.05, 0.6
TURN_S = 0.4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the comparison of times; 0 leaves it out")
    parser.add_argument("--model", default="squeezenet")
    options = parser.parse_args()
    worst = alignment(options.trials)
    if options.seconds > 0:
        cost(options.model, options.seconds)
    return 1 if worst > 0.01 else 0


class Load:
    """Power as a sensor would read it, and the energy so far."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.bursts: list[tuple[float, float]] = []
        self.since: float | None = None

    def watts(self) -> float:
        return IDLE_W if self.since is None else BUSY_W

    def joules(self) -> float:
        now = time.monotonic()
        busy = sum(end - begin for begin, end in self.bursts) + (0.0 if self.since is None else now - self.since)
        return IDLE_W * (now - self.began) + (BUSY_W - IDLE_W) * busy

    def begin(self) -> None:
        self.since = time.monotonic()

    def end(self) -> None:
        assert self.since is not None
        self.bursts.append((self.since, time.monotonic()))
        self.since = None


def alignment(trials: int) -> float:
    """The largest error of all windows and kinds of sensor, as a share."""
    from compiler.runtime.sensors.channel import Channel
    from compiler.runtime.sensors.sampler import Sampler

    load = Load()
    kinds = {
        "readings of power": Channel("rail", "ina3221", False, load.watts),
        "a counter that begins anew every 200 J": Channel(
            "package-0", "RAPL", True, lambda: load.joules() % 200, 200.0
        ),
    }
    sampler = Sampler(list(kinds.values()))
    sampler.start()
    windows = []
    for _ in range(trials):
        time.sleep(0.1)
        load.begin()
        time.sleep(WARM_UP_S)
        begin = sampler.begin()
        time.sleep(WINDOW_S)
        windows.append((begin, sampler.end()))
        load.end()
    sampler.stop()
    report = sampler.report(windows)
    worst = 0.0
    for at, kind in enumerate(kinds):
        errors = []
        for (begin, end), energies in zip(windows, report.windows, strict=True):
            joules = energies[at].joules
            errors.append(1.0 if joules is None else abs(joules / (BUSY_W * (end - begin)) - 1))
        worst = max(worst, *errors)
        print(
            f"{kind}: {trials} windows, off by {max(errors):.3%} at most, {statistics.median(errors):.4%} in the median"
        )
    return worst


def cost(model: str, seconds: float) -> None:
    """How much longer the mean invocation of a turn is while the sensors are sampled."""
    from benchmarks.aa import compiled
    from compiler.bench.difference import difference
    from compiler.bench.probes import probe_inputs
    from compiler.bench.protocol import wait_until_idle
    from compiler.package import open_package
    from compiler.runtime.sensors.channels import channels
    from compiler.runtime.sensors.sampler import Sampler
    from compiler.runtime.session import LocalSession
    from targets.cpuinfo import usable_cpus

    threads = len(usable_cpus())
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as folder, LocalSession(threads) as session:
        path = Path(folder) / "model.tar"
        plant_rails(Path(folder))
        compiled(model, None, path, threads)
        loaded = session.load(open_package(str(path)))
        (inputs,) = probe_inputs(loaded.inputs, 1)

        def turn(sampled: bool) -> float:
            wait_until_idle(0.2)
            sampler = Sampler(channels(Path(folder)))
            if sampled:
                sampler.start()
            edges = sampler if sampled else None
            timing = loaded.timed(inputs, runs=1, seconds=TURN_S, warmup_runs=3, edges=edges)
            if sampled:
                sampler.stop()
            return statistics.mean(timing.seconds)

        turn(False)
        taken: tuple[list[float], list[float]] = ([], [])
        began = time.monotonic()
        while len(taken[0]) < 12 or time.monotonic() - began < seconds:
            for which in (0, 1) if len(taken[0]) % 2 == 0 else (1, 0):
                taken[which].append(turn(sampled=which == 1))
    seen = difference(*taken)
    print(
        f"{model} while sampled, {threads} threads: mean latency {seen.ratio - 1:+.2%} ({seen.low - 1:+.2%} to "
        f"{seen.high - 1:+.2%}) over {seen.pairs} pairs of turns; differences from {seen.smallest:.2%} on can be told"
    )


def plant_rails(root: Path) -> None:
    """An INA3221 with three rails, as hwmon lays it out: nine files for each reading."""
    chip = root / "sys/class/hwmon/hwmon0"
    chip.mkdir(parents=True)
    files = {"name": "ina3221"}
    for channel in (1, 2, 3):
        files |= {f"in{channel}_label": f"VDD_{channel}", f"in{channel}_enable": "1"}
        files |= {f"in{channel}_input": "5000", f"curr{channel}_input": "900"}
    for name, text in files.items():
        (chip / name).write_text(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
