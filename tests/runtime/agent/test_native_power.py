"""What the native agent makes of sensors of power, beside the Python agent's parts: same channels, same energies."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Callable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from compiler.runtime.sensors.channels import channels
from compiler.runtime.sensors.energy import counter_energy, power_energy
from tests.runtime.sensors import nvml_stub
from tests.runtime.sensors.trees import AGX_ORIN, AGX_XAVIER, DESKTOP, ORIN_NANO, SERVER, THOR, TX2, plant

Parts = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.mark.parametrize(
    "tree", [TX2, AGX_XAVIER, ORIN_NANO, AGX_ORIN, THOR, DESKTOP, SERVER, {}],
    ids=["tx2", "agx-xavier", "orin", "agx-orin", "thor", "desktop", "server", "bare"],
)  # fmt: skip
def test_channels_are_those_of_the_python_agent(parts: Parts, tmp_path: Path, tree: Mapping[str, object]) -> None:
    plant(tmp_path, tree)
    theirs = [
        {"name": one.name, "sensor": one.sensor, "counts": one.counts, "span": one.span, "value": one.read()}
        for one in channels(tmp_path)
    ]
    assert json.loads(parts("channels", tmp_path).stdout) == [pytest.approx(one) for one in theirs]


def _job(draw: random.Random) -> dict[str, Any]:
    """A trace and a window, of all kinds: irregular, silent for a while, reset, too short, not covered."""
    gaps = [draw.choice([0.05, 0.05, draw.uniform(0.001, 0.2), 1.0]) for _ in range(draw.randrange(40))]
    times = list(accumulate(gaps, initial=draw.uniform(0, 2)))
    counts, span = draw.random() < 0.5, draw.choice([None, 50.0, 1000.0])
    if counts:
        values = list(accumulate(draw.choice([0.0, draw.uniform(0, 8)]) for _ in times))
        values = [value % (span or 100.0) for value in values]
    else:
        values = [draw.choice([5.0, draw.uniform(0, 100)]) for _ in times]
    begin = draw.uniform(times[0] - 0.1, times[-1])
    end = begin + draw.choice([0.03, draw.uniform(0, 1), draw.uniform(0, 5)])
    return {
        "counts": counts,
        "times": times,
        "values": values,
        "begin": begin,
        "end": end,
        "period": 0.05,
        "span": span,
    }


def test_energies_are_those_of_the_python_agent(parts: Parts) -> None:
    draw = random.Random(7)
    jobs = [_job(draw) for _ in range(3000)]
    said = parts("energy", given="\n".join(map(json.dumps, jobs)).encode()).stdout.decode().splitlines()
    resolved = 0
    for job, line in zip(jobs, said, strict=True):
        given = [job[name] for name in ("times", "values", "begin", "end", "period")]
        theirs = counter_energy(*given, job["span"]) if job["counts"] else power_energy(*given)
        ours = json.loads(line)
        assert ours["why"] == theirs.why, job
        assert (ours["joules"] is None) == (theirs.joules is None), job
        figures = (ours["joules"] or 0.0, ours["doubt"])
        assert figures == pytest.approx((theirs.joules or 0.0, theirs.doubt), rel=1e-9, abs=1e-9), job
        resolved += theirs.joules is not None
    assert 100 < resolved < 2900, "both are tried"


def test_nvidias_gpus_are_read_without_python(parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = json.loads(parts("sensors").stdout)
    nvml_stub.build(tmp_path)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path), prepend=os.pathsep)
    after = json.loads(parts("sensors").stdout)
    assert {name: after["celsius"][name] for name in ("gpu0", "gpu1")} == {"gpu0": 61, "gpu1": 55}
    assert {name: after["watts"][name] for name in ("gpu0", "gpu1")} == {"gpu0": 100, "gpu1": 50}
    assert after["clock_mhz"]["gpu0"] == 1980 and "gpu1" not in after["clock_mhz"]
    assert after["throttled"] is True and set(before["celsius"]) == set(after["celsius"]) - {"gpu0", "gpu1"}
    hot = json.loads(parts("cool_down").stdout)
    assert hot["celsius"] >= 61 and hot["reached"] is False, "a GPU has to cool down too"
    found = {one["name"]: one for one in json.loads(parts("channels").stdout)}
    assert found["gpu0"]["counts"] is True and found["gpu0"]["value"] > 0
    assert (found["gpu1"]["counts"], found["gpu1"]["value"]) == (False, 50.0)
