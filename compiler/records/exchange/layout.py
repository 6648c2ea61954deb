"""Where things lie in a folder of logs, such as `tuning_logs/`.

    FOLDER/<fingerprint>/<workload>.jsonl   the records of one kernel on one kind of device
    FOLDER/workloads/<workload>.jsonl       that kernel, once for all devices

One file per kernel, so that two people's additions merge in git where they touched different kernels. Older folders
have the kernel at the head of each file of records; they are read as well.
"""

from __future__ import annotations

from pathlib import Path

WORKLOADS_FOLDER = "workloads"
"""No fingerprint: those begin with a target's name."""


def workload_file(folder: Path, workload: str) -> Path:
    """The file of the workload with that hash."""
    return folder / WORKLOADS_FOLDER / f"{workload}.jsonl"


def records_file(folder: Path, fingerprint: str, workload: str) -> Path:
    """The file of the workload's records on that fingerprint."""
    return folder / fingerprint / f"{workload}.jsonl"
