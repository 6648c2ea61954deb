"""Where NVIDIA's compiler is found: in PyPI's packages, wherever Python finds those, and where NVIDIA installs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from targets import cuda_toolkit


def _made(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def _installation(root: Path, version: int = 13000) -> Path:
    _made(root, "lib64/libnvrtc.so.13", "lib64/libcudart.so.13", "include/cuda_fp16.h", "include/cccl/nv/target")
    (root / "include/cuda.h").write_text(f"#define CUDA_API\n#define CUDA_VERSION {version}\n")
    return root


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No CUDA is installed anywhere, unless a test says so."""
    monkeypatch.setattr(cuda_toolkit, "_USUAL_ROOTS", ())
    monkeypatch.setattr(cuda_toolkit.shutil, "which", lambda name: None)
    monkeypatch.setattr(cuda_toolkit.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(cuda_toolkit.sys, "path", [])
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(variable, raising=False)
    return monkeypatch


def test_packages_lie_in_several_folders_and_one_that_python_sees_hides_the_others(
    empty: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = _made(tmp_path / "first", "nvidia/__init__.py", "nvidia/cu13/lib/libcudart.so.13")
    second = _made(
        tmp_path / "second",
        "nvidia/cu13/lib/libnvrtc.so.13",
        *(f"nvidia/cu13/include/{n}" for n in cuda_toolkit._NEEDED),
    )
    empty.setattr(cuda_toolkit.sys, "path", [str(first), str(second)])
    assert cuda_toolkit.why_no_toolkit("sm_90") is None
    found = cuda_toolkit.toolkit_for("sm_90")
    assert found is not None and found.headers == (second / "nvidia/cu13/include",)
    assert cuda_toolkit.cuda_runtime() == first / "nvidia/cu13/lib/libcudart.so.13"


@pytest.mark.parametrize("how", ["CUDA_HOME", "nvcc", "usual"])
def test_an_installation_of_nvidias_serves_where_there_are_no_packages(
    empty: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    root = _installation(tmp_path / "cuda-13.0")
    assert cuda_toolkit.toolkit_for("sm_90") is None
    if how == "nvcc":
        empty.setattr(cuda_toolkit.shutil, "which", lambda name: str(_made(root, "bin/nvcc") / "bin/nvcc"))
    elif how == "usual":
        empty.setattr(cuda_toolkit, "_USUAL_ROOTS", (str(tmp_path / "cuda-{generation}*"),))
    else:
        empty.setenv(how, str(root))
    found = cuda_toolkit.toolkit_for("sm_90")
    assert found is not None and found.library == root / "lib64/libnvrtc.so.13"
    assert found.headers == (root / "include", root / "include/cccl")
    assert cuda_toolkit.cuda_runtime() == root / "lib64/libcudart.so.13"
    assert cuda_toolkit.toolkit_for("sm_53") is None


def test_an_installation_of_another_generation_does_not_serve(empty: pytest.MonkeyPatch, tmp_path: Path) -> None:
    empty.setenv("CUDA_HOME", str(_installation(tmp_path / "cuda", 12090)))
    assert cuda_toolkit.toolkit_for("sm_90") is None


def test_headers_that_the_packages_lack_are_taken_from_an_installation(
    empty: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    packages = _made(tmp_path / "site", "nvidia/cu13/lib/libnvrtc.so.13", "nvidia/cu13/include/cuda_fp16.h")
    empty.setattr(cuda_toolkit.sys, "path", [str(packages)])
    assert cuda_toolkit.toolkit_for("sm_90") is None
    root = _installation(tmp_path / "cuda")
    empty.setenv("CUDA_HOME", str(root))
    found = cuda_toolkit.toolkit_for("sm_90")
    assert found is not None and found.library == packages / "nvidia/cu13/lib/libnvrtc.so.13"
    assert found.headers == (packages / "nvidia/cu13/include", root / "include", root / "include/cccl")
