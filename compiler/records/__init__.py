"""What tuning learned: the store of workloads and records, their exchange as files, and their checking.

`store` keeps them in SQLite, `exchange` reads and writes shared files, `shipped` brings in the logs that come with
edgetune, `workload` is the only module here that talks to TVM. Nothing in this room imports TVM when it is imported.
"""

from __future__ import annotations
