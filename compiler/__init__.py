"""The way of a model through edgetune, one room per step.

frontend, graph, tuning, records, build, package, runtime, bench, report.
"""

from __future__ import annotations

import os

# Left alone, TVM's first pool of threads pins the thread that made it to half the CPUs, and with it every thread and
# process started later, other engines' included (see runtime/threads.py). To be set before TVM computes anything.
os.environ.setdefault("TVM_BIND_THREADS", "0")
