"""Targets of a machine that is not this one: a board as it describes itself."""

from __future__ import annotations

import targets
from targets.cpuinfo import Caches, parse_cpuinfo
from targets.gpu import Gpu

_ORIN = (
    "processor\t: 0\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc "
    "dcpop asimddp uscat ilrcpc flagm\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\n"
    "CPU part\t: 0xd42\nCPU revision\t: 1\n\n"
)


def _board(text: str = _ORIN, gpu: Gpu | None = None) -> targets.Machine:
    caches = Caches(l1d=65536, l2=262144, l3=None)
    return targets.Machine(parse_cpuinfo(text, "aarch64"), 6, caches, lambda: gpu, name="the board")


def test_native_is_what_the_board_is() -> None:
    target = targets.get("native", machine=_board())
    assert target.name == "arm-cortex-a78ae"
    assert target.cores == 6
    assert (target.hardware.l1d_bytes, target.hardware.l2_bytes) == (65536, 262144)


def test_the_board_is_what_a_sentence_is_about() -> None:
    board = _board(_ORIN.replace(" asimddp", ""))
    target = targets.get("arm-cortex-a78ae", machine=board)
    why = targets.why_not_run(target, board)
    assert why == "the board's CPU (Arm Cortex-A78AE) has no asimddp"
    assert targets.why_not_run(targets.get("x86-avx2"), board) == "the board is aarch64, not x86_64"


def test_the_fingerprint_names_the_board_s_cpu() -> None:
    board = _board()
    found = targets.fingerprint(targets.get("native", machine=board), machine=board)
    assert found.device == "Arm Cortex-A78AE"
    assert found.cores == 6
    assert found != targets.fingerprint(targets.get("arm-cortex-a78ae", cores=6))


def test_a_jetson_is_known_by_its_gpu() -> None:
    gpu = Gpu("Orin", "sm_87", 8, None, None, None, None)
    orin = targets.get("jetson-orin-nano", machine=_board(gpu=gpu))
    assert targets.why_not_run(orin, _board(gpu=gpu)) is None
    assert targets.device_name(orin, _board(gpu=gpu)) == "Orin"
    assert targets.why_not_run(orin, _board()) == "the board has no NVIDIA GPU (or no driver for it)"
