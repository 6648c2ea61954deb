"""The whole way to a board, with commands as a user types them: `python benchmarks/emulated_board.py`.

Models are compiled here for the emulated Arm board of the tests, deployed through a real OpenSSH server, run once there
and verified against ONNX Runtime. Prints what each command took; seconds on the board are the emulator's.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.runtime.emulation import board  # noqa: E402
from tests.runtime.emulation.debian import UnavailableError  # noqa: E402
from tests.runtime.ssh import server as ssh  # noqa: E402


def main() -> int:
    """Run it; 1 where a step failed, or there is no board."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["squeezenet", "alexnet"])
    chosen = parser.parse_args()
    try:
        shell = board.ssh_shell()
    except UnavailableError as error:
        print(f"no emulated board: {error}")
        return 1
    reason = ssh.why_no_server()
    if reason is not None:
        print(reason)
        return 1
    with tempfile.TemporaryDirectory(prefix="edgetune-board-") as folder:
        made = ssh.Server(Path(folder) / "ssh")
        made.start(extra=f"ForceCommand {shell}")
        try:
            home = Path(folder) / "home"
            (home / ".ssh").mkdir(parents=True)
            (home / ".ssh" / "config").write_text(made.config.read_text())
            (home / ".ssh" / "known_hosts").write_text(made.known_hosts.read_text())
            return max(walk(model, Path(folder), home) for model in chosen.models)
        finally:
            made.stop()


def walk(model: str, folder: Path, home: Path) -> int:
    """Compile, deploy and verify one model; 0 where all went well."""
    package = folder / f"{model}.tar"
    steps = {
        "compile": ["compile", model, "--target", board.TARGET, "--zero-trial", "-o", str(package)],
        "deploy": ["deploy", str(package), "--to", f"ssh://{ssh.ALIAS}{folder}/models"],
        "verify": ["verify", str(package), "--ssh", ssh.ALIAS],
    }
    for name, arguments in steps.items():
        began = time.monotonic()
        done = edgetune(arguments, home)
        took = time.monotonic() - began
        print(f"{model:12s} {name:8s} {took:6.1f} s  {telling(done.stdout + done.stderr)}", flush=True)
        if done.returncode != 0:
            print(done.stdout + done.stderr)
            return 1
    return 0


def edgetune(arguments: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    """A command of edgetune with `home` as the user's folder; caches stay where they are."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(home), "XDG_CACHE_HOME": cache},
    )


def telling(text: str) -> str:
    """The line of a command's output that says what came of it."""
    for pattern in (r"verdict +(.*)", r"relative L2 error +(.*)", r".*\bms\b.*", r"wrote (.*)"):
        found = re.search(pattern, text)
        if found:
            return " ".join(found.group(0).split())
    return ""


if __name__ == "__main__":
    sys.exit(main())
