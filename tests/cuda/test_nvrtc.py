"""NVRTC as several versions of its package have it; stand-ins take their places."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from compiler.cuda import nvrtc
from targets import toolchain

_OPENS_ANOTHER = """
#include <dlfcn.h>
const char *nvrtcGetErrorString(int status) {
  return dlopen("libnvrtc-builtins.so.13.99", RTLD_NOW) ? "found" : "failed to open libnvrtc-builtins.so.13.99";
}
"""


def test_what_nvrtc_opens_by_name_is_found_beside_it(tmp_path: Path) -> None:
    command = toolchain.linker_command()
    if command is None:
        pytest.skip("no C compiler")
    for name, source in (("libnvrtc.so.13", _OPENS_ANOTHER), ("libnvrtc-builtins.so.13.99", "int builtins;\n")):
        (tmp_path / "source.c").write_text(source)
        options = ["-x", "c", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-ldl"]
        subprocess.run([*command, *options, str(tmp_path / "source.c"), "-o", str(tmp_path / name)], check=True)
    assert nvrtc._load(str(tmp_path / "libnvrtc.so.13")).nvrtcGetErrorString(0) == b"found"
