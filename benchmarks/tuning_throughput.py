"""Trials a minute on one model: edgetune beside stock MetaSchedule, the same minutes each, and where the time went.

    python benchmarks/tuning_throughput.py [--model resnet50] [--minutes 5] [--json FILE]

Stock is `tune_relax` of the installed TVM with its own LocalBuilder and LocalRunner and num_trials_per_iter=32, on the
same cleaned model in NHWC with layout-free weights; its clock starts when tuning starts, after all imports, the 20 to
36 seconds of its tensor intrinsics among them. Ours is the wall time of the whole run, the check of the best kernels
too. Failed trials count; of stock, the batch under way at the end counts too, as if it were finished.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def stock(model: str, folder: str) -> None:
    """Runs in a process of its own: tunes until it is killed; the record file is what counts."""
    import targets
    from compiler.frontend import import_model, load

    target = targets.get("native").to_tvm()
    mod = import_model(load(model))
    from tvm import relax
    from tvm.s_tir import meta_schedule as ms
    from tvm.s_tir import tensor_intrin  # noqa: F401  (what its first TuneContext would import on the clock)

    with target:
        mod = relax.transform.DecomposeOpsForInference()(mod)
        mod = relax.transform.CanonicalizeBindings()(mod)
        mod = relax.transform.ConvertLayout({"relax.nn.conv2d": ["NHWC", "HWIO"]})(mod)
        mod = relax.transform.FoldConstant()(mod)
        mod = relax.get_pipeline("zero")(mod)
        mod = relax.transform.AttachAttrLayoutFreeBuffers()(mod)
    Path(folder, "started").write_text(repr(time.time()))
    ms.relax_integration.tune_relax(
        mod, {}, target, folder, max_trials_global=1_000_000, max_trials_per_task=100_000, num_trials_per_iter=32
    )


def run_stock(model: str, seconds: float) -> dict[str, object]:
    import targets

    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "TVM_NUM_THREADS": str(targets.get("native").cores)}
        with (Path(folder) / "log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, __file__, "--stock", model, folder],
                env=env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        started = Path(folder) / "started"
        while not started.exists():
            if process.poll() is not None:
                sys.exit("stock tuning ended early: " + (Path(folder) / "log").read_text()[-800:])
            time.sleep(0.2)
        begin = float(started.read_text())
        time.sleep(max(0.0, begin + seconds - time.time()))
        # Its record file is written a round later; the log says what went to the runner (the batch under way included).
        said = (Path(folder) / "log").read_text()
        trials = sum(int(n) for n in re.findall(r"Sending (\d+) valid sample", said))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return {"engine": "stock MetaSchedule", "trials": trials, "per_minute": trials * 60 / seconds}


def run_ours(model: str, seconds: float) -> dict[str, object]:
    import targets
    from compiler.frontend import load
    from compiler.records.store import open_store
    from compiler.tuning.tune import Budget, tune

    loaded = load(model)
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder)) as store:
        summary = tune(loaded, targets.get("native"), store=store, budget=Budget(seconds=seconds))
    return {
        "engine": "edgetune",
        "trials": summary.trials,
        "per_minute": summary.trials * 60 / summary.seconds,
        "ended": summary.ended,
        "estimated_ms": None if summary.latency_seconds is None else summary.latency_seconds * 1e3,
        "share": {k: round(v / sum(summary.spent.values()), 3) for k, v in summary.spent.items()},
    }


def main() -> None:
    if len(sys.argv) == 4 and sys.argv[1] == "--stock":
        stock(sys.argv[2], sys.argv[3])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--json")
    options = parser.parse_args()
    seconds = options.minutes * 60
    rows = [run_ours(options.model, seconds), run_stock(options.model, seconds)]
    for row in rows:
        print(f"{row['engine']:20} {row['trials']:6} trials  {row['per_minute']:7.1f} a minute  {row.get('share', '')}")
    ratio = float(rows[0]["per_minute"]) / max(float(rows[1]["per_minute"]), 1e-9)
    print(f"ratio {ratio:.2f}")
    if options.json:
        with Path(options.json).open("a", encoding="utf-8") as out:
            out.write(
                json.dumps({"model": options.model, "minutes": options.minutes, "ratio": ratio, "rows": rows}) + "\n"
            )


if __name__ == "__main__":
    main()
