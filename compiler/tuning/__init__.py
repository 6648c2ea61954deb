"""Tuning: which kernels a model has, searching their schedules, building and measuring candidates, budgets, progress.

`tune.py` is the loop and decides which task is next. `search.py` proposes candidates for one task, `workers.py` keeps
the processes in which `worker/` builds and measures them, `budget.py` says when it ends, `checking.py` compares what
was found with plain kernels, and `resume.py` goes on from a run that was killed.
"""
