"""Tuning: which kernels a model has, searching their schedules, building and measuring candidates, budgets, progress.

`tune.py` is the loop. `search.py` proposes candidates for one task, `workers.py` keeps the processes in which `worker/`
builds and measures them, `schedule_tasks.py` decides which task is next, `budget.py` when it ends.
"""
