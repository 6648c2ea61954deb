"""Which boards may measure side by side."""

from __future__ import annotations

import json
from typing import Any

import pytest

import targets
from compiler.errors import EdgetuneError
from compiler.runtime.rpc.identity import Identity, board_fingerprint, decode_identity
from compiler.tuning.boards.admission import Admission

A53_FEATURES = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
A78AE_FEATURES = f"{A53_FEATURES} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp uscat ilrcpc flagm paca pacg"


def cpuinfo(part: str, features: str, cores: int) -> str:
    one = (
        f"Features\t: {features}\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: {part}\nCPU revision\t: 1\n"
    )
    return "".join(f"processor\t: {n}\n{one}\n" for n in range(cores))


A78AE = cpuinfo("0xd42", A78AE_FEATURES, 6)
A53 = cpuinfo("0xd03", A53_FEATURES, 6)
ORIN: dict[str, Any] = {
    "agent": "native",
    "version": "0.1.0",
    "tvm": "0.27.0.post1",
    "machine": "aarch64",
    "cpuinfo": A78AE,
    "cores": 6,
}


def board(**changes: Any) -> Identity:
    return decode_identity(json.dumps({**ORIN, **changes}))


@pytest.fixture
def target() -> targets.Target:
    return targets.get("arm-cortex-a78ae", 6)


def test_boards_that_are_alike_may_all_measure(target: targets.Target) -> None:
    admission = Admission(target, board())
    assert admission.fingerprint == board_fingerprint(board(), target)
    assert admission.fingerprint.device != targets.GENERIC
    assert admission.why_not(board(agent="python", kernel="6.8", power_mode="15W")) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cores": 8}, "it has 8 cores, and the first board has 6 cores"),
        ({"cores": 4}, "it has 4 cores, and the target computes with 6: give --threads"),
        ({"tvm": "0.26.0"}, "its TVM is 0.26.0, and the first board's is 0.27.0.post1"),
        ({"machine": "x86_64", "cpuinfo": ""}, "x86_64"),
        ({"cpuinfo": A53}, "has no"),
    ],
)
def test_what_is_different_is_said(target: targets.Target, changes: dict[str, Any], reason: str) -> None:
    why = Admission(target, board()).why_not(board(**changes))
    assert why is not None and reason in why and "\n" not in why


def test_another_cpu_that_could_run_the_code_is_refused_too() -> None:
    target = targets.get("arm-cortex-a53", 4)
    why = Admission(target, board(cpuinfo=A53, cores=4)).why_not(board(cores=4))
    assert why is not None and "the first board is" in why


def test_a_first_board_that_does_not_fit_is_an_error(target: targets.Target) -> None:
    with pytest.raises(EdgetuneError, match="cannot tune for arm-cortex-a78ae on that board: "):
        Admission(target, board(cpuinfo=A53))
    with pytest.raises(EdgetuneError, match="give --threads"):
        Admission(target, board(cores=2))
