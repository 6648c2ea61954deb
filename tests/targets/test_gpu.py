"""The GPU of a machine, asked of its driver: a library with the driver's functions stands in for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from targets import toolchain
from tests.command import ROOT, edgetune, one_line

_DRIVER = """
#include <string.h>
int cuInit(unsigned flags) { return INIT; }
int cuDeviceGet(int *device, int number) { *device = 0; return number; }
int cuDeviceGetName(char *name, int length, int device) { strncpy(name, "NVIDIA Stand-in 1", length); return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  switch (attribute) {
    case 75: *value = MAJOR; return 0;
    case 76: *value = MINOR; return 0;
    case 16: *value = SMS; return 0;
    case 97: *value = 232448; return 0;
    case 82: *value = 65536; return 0;
    case 38: *value = 52428800; return 0;
    case 36: *value = 2619000; return 0;
    case 37: *value = 5120; return 0;
  }
  return 1;
}
"""
_ASK = """
import dataclasses, json, targets
from targets.gpu import gpu
target = targets.get("cuda")
print(json.dumps({
    "gpu": dataclasses.asdict(gpu()) if gpu() else None,
    "name": target.name, "options": dict(target.options), "cores": target.cores,
    "hardware": dataclasses.asdict(target.hardware), "why_not_run": targets.why_not_run(target),
    "fingerprint": targets.fingerprint(target).id,
    "orin": targets.why_not_run(targets.get("jetson-orin")), "sm80": targets.why_not_run(targets.get("cuda-sm80")),
}))
"""
Driver = Callable[..., dict[str, str]]


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    """Makes a stand-in for the driver; gives the environment in which it is found."""
    command = toolchain.linker_command()
    if command is None:
        pytest.skip("no C compiler")

    def make(init: int = 0, major: int = 9, minor: int = 0, sms: int = 132, source: str = _DRIVER) -> dict[str, str]:
        (tmp_path / "driver.c").write_text(source)
        values = [f"-DINIT={init}", f"-DMAJOR={major}", f"-DMINOR={minor}", f"-DSMS={sms}"]
        options = ["-x", "c", "-w", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", *values]
        output = str(tmp_path / "libcuda.so.1")
        subprocess.run([*command, *options, str(tmp_path / "driver.c"), "-o", output], check=True, capture_output=True)
        return {"LD_LIBRARY_PATH": str(tmp_path)}

    return make


def _asked(environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", _ASK],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


def test_the_gpu_is_what_its_driver_says(driver: Driver) -> None:
    found = _asked(driver())
    assert found["gpu"] == {
        "name": "NVIDIA Stand-in 1",
        "arch": "sm_90",
        "sm_count": 132,
        "shared_bytes_per_block": 232448,
        "registers_per_sm": 65536,
        "l2_bytes": 52428800,
        "memory_gb_s": 3352.3,
    }
    assert (found["name"], found["options"]["arch"], found["cores"]) == ("cuda-sm90", "sm_90", 132)
    assert found["hardware"]["memory_gb_s"] == 3352.3 and found["hardware"]["l2_bytes"] == 52428800
    assert found["why_not_run"] is None
    assert "stand-in" in found["fingerprint"] and "132c" in found["fingerprint"]
    assert "is sm_90, not sm_80" in found["sm80"]
    assert found["orin"]


def test_fewer_multiprocessors_than_the_best_known_card(driver: Driver) -> None:
    found = _asked(driver(major=8, minor=6, sms=28))
    assert (found["name"], found["cores"], found["hardware"]["sm_count"]) == ("cuda-sm86", 28, 28)


def test_a_gpu_that_is_in_no_table(driver: Driver) -> None:
    found = _asked(driver(major=12, minor=1, sms=48))
    assert (found["name"], found["options"]["arch"], found["cores"]) == ("cuda", "sm_121", 48)
    assert found["why_not_run"] is None


@pytest.mark.parametrize("trouble", [{"init": 100}, {"sms": 0}, {"source": "int nothing;\n"}])
def test_a_driver_without_a_gpu_is_none(driver: Driver, trouble: dict[str, Any]) -> None:
    found = _asked(driver(**trouble))
    assert found["gpu"] is None and "has no NVIDIA GPU" in found["why_not_run"]


def test_the_command_detects_it(driver: Driver) -> None:
    assert "Stand-in" in edgetune("targets", "--detect", **driver()).stdout


def test_tuning_without_a_gpu_names_three_ways_on(driver: Driver) -> None:
    said = one_line(edgetune("tune", "--target", "cuda", check=2, **driver(init=100)).stderr)
    assert "Three ways on" in said and "--rpc" in said and "`edgetune compile" in said and "--target native" in said
