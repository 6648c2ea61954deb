"""Runs a model with edgetune's records and nothing but TVM: `python plain_tvm.py FOLDER [THREADS]`.

FOLDER is what `edgetune logs export FOLDER --format metaschedule --model MODEL` wrote: MetaSchedule's two files, and
model.json, the model as a Relax module whose kernels those records are of. Prints how many kernels got a schedule from
the records, and the time of a run.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tvm
from tvm import relax
from tvm.s_tir import meta_schedule as ms

folder = Path(sys.argv[1])
mod = tvm.ir.load_json((folder / "model.json").read_text())
database = ms.database.JSONDatabase(
    str(folder / "database_workload.json"), str(folder / "database_tuning_record.json"), allow_missing=False
)
# The target that the records were measured with: it stands in each of them.
first = json.loads((folder / "database_tuning_record.json").read_text().splitlines()[0])
target = tvm.target.Target(first[1][2])

with target, database:
    mod = relax.transform.MetaScheduleApplyDatabase(enable_warning=True)(mod)
    kernels = [f for f in mod.functions.values() if isinstance(f, tvm.tirx.PrimFunc)]
    tuned = sum("tirx.is_scheduled" in f.attrs for f in kernels)
    # The schedules pack weights in an order of their own: done once, here, and not in every run.
    mod = relax.transform.SplitLayoutRewritePreproc()(mod)
    mod = relax.transform.FoldConstant()(mod)
    mod = relax.transform.DeadCodeElimination(["main"])(mod)
executable = tvm.compile(mod, target)

vm = relax.VirtualMachine(executable, tvm.cpu())
random = np.random.default_rng(0)
inputs = []
for parameter in mod["main"].params:
    type_ = parameter.ty if hasattr(parameter, "ty") else parameter.struct_info
    shape = [int(extent) for extent in type_.shape]
    inputs.append(tvm.runtime.tensor(random.standard_normal(shape).astype(str(type_.dtype))))
outputs = vm["main"](*inputs)
seconds = vm.time_evaluator("main", tvm.cpu(), number=5)(*inputs).mean
print(json.dumps({"kernels": len(kernels), "tuned": tuned, "milliseconds": round(1e3 * seconds, 3)}))
