"""Every target is accepted by the real TVM, LLVM knows its CPU, and `requires` covers what LLVM may emit for it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import targets
from targets import arm, x86

ALL = [name for name in targets.names() if name != "native"]

# LLVM's spelling -> Linux's, for the features whose instructions LLVM's code generator picks unasked (and AMX, which
# schedules ask for by the CPU's name).
X86_EMITTED = {
    "sse": "sse", "sse2": "sse2", "sse3": "pni", "ssse3": "ssse3", "sse4.1": "sse4_1", "sse4.2": "sse4_2",
    "sse4a": "sse4a", "popcnt": "popcnt", "cx16": "cx16", "sahf": "lahf_lm", "avx": "avx", "avx2": "avx2", "fma": "fma",
    "f16c": "f16c", "bmi": "bmi1", "bmi2": "bmi2", "lzcnt": "abm", "movbe": "movbe", "gfni": "gfni",
    "avx512f": "avx512f", "avx512bw": "avx512bw", "avx512cd": "avx512cd", "avx512dq": "avx512dq",
    "avx512vl": "avx512vl", "avx512vnni": "avx512_vnni", "avx512bf16": "avx512_bf16", "avx512ifma": "avx512ifma",
    "avx512vbmi": "avx512vbmi", "avx512vbmi2": "avx512_vbmi2", "avx512bitalg": "avx512_bitalg",
    "avx512vpopcntdq": "avx512_vpopcntdq", "avx512fp16": "avx512_fp16", "avx512vp2intersect": "avx512_vp2intersect",
    "avxvnni": "avx_vnni", "amx-tile": "amx_tile", "amx-int8": "amx_int8", "amx-bf16": "amx_bf16",
    "amx-fp16": "amx_fp16",
}  # fmt: skip
ARM_EMITTED = {
    "neon": "asimd", "crc": "crc32", "lse": "atomics", "rdm": "asimdrdm", "dotprod": "asimddp", "rcpc": "lrcpc",
    "fullfp16": "asimdhp", "lse2": "uscat", "rcpc-immo": "ilrcpc", "flagm": "flagm", "complxnum": "fcma",
    "jsconv": "jscvt", "fp16fml": "asimdfhm", "i8mm": "i8mm", "bf16": "bf16", "sve": "sve", "sve2": "sve2",
    "sve-bitperm": "svebitperm", "altnzcv": "flagm2", "fptoint": "frint",
}  # fmt: skip


def llvm_of(target: targets.Target) -> dict[str, object]:
    return dict(target.options if target.kind == "llvm" else target.host or {})


def llvm_features(config: dict[str, object]) -> set[str]:
    import tvm

    known = tvm.get_global_func("target.llvm_get_cpu_features")(tvm.target.Target(config))
    return {str(feature) for feature in known}


@pytest.mark.parametrize("name", ALL)
def test_tvm_accepts_the_target_and_llvm_knows_its_cpu(name: str) -> None:
    import tvm

    target = targets.get(name, cores=3)
    made = target.to_tvm()
    assert made.kind.name == target.kind
    host = tvm.target.Target(llvm_of(target))
    # Read it from the list: TVM takes any word for `mcpu`, and silently builds for the generic CPU.
    known = {str(cpu) for cpu in tvm.get_global_func("target.llvm_get_cpu_archlist")(host)}
    assert llvm_of(target)["mcpu"] in known
    assert int(llvm_of(target)["num-cores"]) == 3  # type: ignore[call-overload]
    if target.kind == "cuda":
        assert made.attrs["arch"] == target.options["arch"]
        assert int(made.attrs["max_shared_memory_per_block"]) == 49152
        assert made.host is not None
        assert made.host.attrs["mcpu"] == llvm_of(target)["mcpu"]


@pytest.mark.parametrize("name", [name for name in ALL if name.startswith(("x86-", "arm-", "jetson-"))])
def test_requires_covers_what_llvm_may_emit(name: str) -> None:
    target = targets.get(name)
    table = X86_EMITTED if target.family == "x86" else ARM_EMITTED
    emitted = {table[feature] for feature in llvm_features(llvm_of(target)) if feature in table}
    # GNU-style Arm cores have scalar half floats wherever they have vectors of them.
    assert emitted <= target.requires
    unneeded = target.requires - emitted - {"fphp"}
    assert not unneeded, f"{name} would refuse a CPU for want of {sorted(unneeded)}"


def test_unknown_x86_avx512_features_do_not_slip_through() -> None:
    """A new AVX feature in a newer LLVM must be added to the table above, or `requires` would miss it in silence."""
    for name in x86.REQUIRES:
        features = llvm_features(llvm_of(targets.get(name)))
        unknown = {feature for feature in features if re.match(r"avx|amx|sse", feature)} - set(X86_EMITTED)
        assert not unknown


def test_names_are_unique_and_readable() -> None:
    names = targets.names()
    assert names[0] == "native"
    assert len(names) == len(set(names))
    assert {"x86-avx2", "x86-avx512", "x86-skylake-avx512", "x86-cascadelake", "x86-icelake-server"} <= set(names)
    assert {"x86-sapphirerapids", "arm-cortex-a78ae", "cuda", "cuda-sm75", "cuda-sm86"} <= set(names)
    assert {"cuda-sm89", "cuda-sm90", "jetson-tx1", "jetson-tx2", "jetson-xavier"} <= set(names)
    assert {"jetson-orin", "jetson-orin-nano", "jetson-thor"} <= set(names)
    for name in ALL:
        target = targets.get(name)
        assert target.description and target.needs
        for line in (target.needs, targets.why_not_run(target), targets.why_not_compile(target)):
            assert line is None or (line.strip() == line and "\n" not in line)


@pytest.mark.parametrize(
    ("board", "arch", "mcpu", "cores"),
    [
        ("jetson-tx1", "sm_53", "cortex-a57", 4),
        ("jetson-tx2", "sm_62", "cortex-a57", 6),
        ("jetson-xavier", "sm_72", "carmel", 8),
        ("jetson-orin", "sm_87", "cortex-a78ae", 12),
        ("jetson-orin-nano", "sm_87", "cortex-a78ae", 6),
        ("jetson-thor", "sm_110", "neoverse-v3ae", 14),
    ],
)
def test_jetsons_have_the_right_gpu_and_host(board: str, arch: str, mcpu: str, cores: int) -> None:
    target = targets.get(board)
    assert target.options["arch"] == arch
    assert target.host == {"kind": "llvm", "mcpu": mcpu, "mtriple": "aarch64-linux-gnu", "num-cores": cores}
    assert target.requires == arm.requires(mcpu)


def test_the_order_of_names_does_not_depend_on_who_imports_what() -> None:
    code = "import targets.jetson, targets; print(targets.names()[1])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.strip() == "x86-64"


def test_a_wrong_name_gets_the_close_ones() -> None:
    with pytest.raises(targets.TargetError, match="did you mean x86-avx512"):
        targets.get("avx512")
    with pytest.raises(targets.TargetError, match="jetson-orin-nano"):
        targets.get("jetson_orin_nan")
    with pytest.raises(targets.TargetError, match="edgetune targets"):
        targets.get("toaster")
    with pytest.raises(targets.TargetError, match="cores"):
        targets.get("x86-avx2", cores=0)


@given(st.text(max_size=30))
def test_any_name_is_a_target_or_a_one_line_error(name: str) -> None:
    try:
        assert targets.get(name).name
    except targets.TargetError as error:
        assert "\n" not in str(error)


def test_a_family_cannot_take_anothers_name() -> None:
    from targets.registry import Family, register

    other = Family("mine", ("x86-avx2",), x86.build, x86.why_not_run, x86.why_not_compile, x86.device)
    with pytest.raises(ValueError, match="x86-avx2"):
        register(other)
