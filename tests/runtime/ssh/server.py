"""A real OpenSSH server on loopback, with keys, known_hosts and configuration of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import cli
from tests.waiting import wait_for

SSHD = shutil.which("sshd") or next((p for p in ("/usr/sbin/sshd", "/usr/local/sbin/sshd") if Path(p).exists()), None)
ALIAS = "board"


def why_no_server() -> str | None:
    """Why no server can be started here, or None."""
    if SSHD is None or shutil.which("ssh-keygen") is None:
        return "OpenSSH's server is not installed (Debian: apt install openssh-server)"
    if os.geteuid() == 0 and not Path("/run/sshd").is_dir():
        try:
            Path("/run/sshd").mkdir()
        except OSError as error:
            return f"sshd needs /run/sshd as root: {error.strerror}"
    return None


def make_key(path: Path, passphrase: str = "") -> Path:
    """A key pair at `path` and `path`.pub."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", path], check=True, timeout=60)
    return path


class Server:
    """sshd and what a client of it needs: `config` (with the alias `board`), `known_hosts`, the key `user`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.host_key = make_key(folder / "host_key")
        self.key = make_key(folder / "user_key")
        self.authorized = folder / "authorized_keys"
        self.authorized.write_text(self.key.with_suffix(".pub").read_text())
        self.known_hosts = folder / "known_hosts"
        self.config = folder / "config"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self, *, extra: str = "") -> None:
        """Listen at a free port; `extra` are lines of sshd_config."""
        lines = f"""
            HostKey {self.host_key}
            AuthorizedKeysFile {self.authorized}
            ListenAddress 127.0.0.1
            PidFile none
            UsePAM no
            StrictModes no
            PasswordAuthentication no
            PermitRootLogin yes
            SetEnv HOME={self.home} XDG_CACHE_HOME={self.home}/.cache PATH={self.bin}:/usr/local/bin:/usr/bin:/bin:/sbin
            {extra}
        """
        settings = self.folder / "sshd_config"
        settings.write_text("".join(line.strip() + "\n" for line in lines.splitlines()))
        for _ in range(5):  # somebody else may take the port before sshd does
            if self._listens(settings, _free_port()):
                break
        else:
            raise RuntimeError((self.folder / "sshd.log").read_text(errors="replace"))
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {self.host_key.with_suffix('.pub').read_text()}")
        self.configure()

    def _listens(self, settings: Path, port: int) -> bool:
        """Start sshd at `port`. False where it ends instead of listening."""
        log = self.folder / "sshd.log"
        with log.open("wb") as errors:
            self._process = process = subprocess.Popen(
                [str(SSHD), "-D", "-e", "-f", settings, "-p", str(port)], stdin=subprocess.DEVNULL, stderr=errors
            )
        self.port = port
        wait_for(lambda: process.poll() is not None or f"port {port}." in log.read_text(errors="replace"))
        return process.poll() is None

    def configure(self, extra: str = "") -> None:
        """Write the client's configuration; `extra` are lines of it, before ours."""
        key = self.key
        self.config.write_text(
            f"{extra}\nHost {ALIAS}\n HostName 127.0.0.1\n Port {self.port}\n IdentityFile {key}\n ConnectTimeout 60\n"
        )

    def desk(self, folder: Path) -> Path:
        """A home at `folder` from whose ~/.ssh `board` leads to the server."""
        ssh = folder / ".ssh"
        ssh.mkdir(parents=True)
        shutil.copy(self.config, ssh / "config")
        shutil.copy(self.known_hosts, ssh / "known_hosts")
        return folder

    def install_edgetune(self) -> None:
        """Put this checkout's `edgetune` on the board's PATH."""
        program = self.bin / "edgetune"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{cli.__file__}" "$@"\n')
        program.chmod(0o755)

    def clear(self) -> None:
        """Empty the board's home and what lies on its PATH."""
        for folder in (self.home, self.bin):
            shutil.rmtree(folder)
            folder.mkdir()

    def sessions(self) -> list[psutil.Process]:
        """The processes of sshd that serve a connection each, and all that they started."""
        if self._process is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self._process.pid).children(recursive=True)
        return []

    def signal_connections(self, number: signal.Signals) -> None:
        """Send a signal to sshd's processes of open connections, not to what they started."""
        for process in self.sessions():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name().startswith("sshd"):
                    process.send_signal(number)

    def stop(self) -> None:
        if self._process is not None:
            left = self.sessions()
            self._process.kill()
            self._process.wait()
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self._process = None


@contextlib.contextmanager
def server(folder: Path, *, extra: str = "") -> Iterator[Server]:
    """A server that is gone afterwards; `extra` are lines of sshd_config. Skips the test, with the reason, where none
    can be started.
    """
    reason = why_no_server()
    if reason is not None:
        pytest.skip(reason)
    made = Server(folder)
    made.start(extra=extra)
    try:
        yield made
    finally:
        made.stop()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
