"""Remotes of each kind, with nothing of the user's own around them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compiler.records.remote import retry
from compiler.records.remote.folder import FolderRemote
from compiler.records.remote.hub import HubRemote
from compiler.records.remote.objects import ObjectRemote
from compiler.records.remote.registry import RegistryRemote
from compiler.records.remote.remote import Remote
from compiler.records.remote.sftp import SftpRemote
from tests.records.remote.hub_stand_in import StandIn
from tests.records.remote.registry_server import Registry, registry
from tests.runtime.ssh.server import Server, server

Place = Callable[[], Remote]
"""Opens the same remote anew, as another user would."""


@pytest.fixture(autouse=True)
def own_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches and configuration of this test alone, and no waiting before a second try."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 0.01)
    for name in ("EDGETUNE_CONFIG", "AWS_PROFILE", "HF_TOKEN", "http_proxy", "https_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("ssh") / "server", extra="Subsystem sftp internal-sftp") as made:
        yield made


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a server that speaks S3, in this process."""
    moto = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """An empty bucket, and the login to it where Amazon's library looks for it."""
    import boto3

    login = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in {**login, "AWS_ENDPOINT_URL": s3_server}.items():
        monkeypatch.setenv(name, value)
    name = "b" + str(abs(hash(request.node.nodeid)))
    boto3.client("s3", endpoint_url=s3_server).create_bucket(Bucket=name)
    return name


@pytest.fixture
def oci_registry() -> Iterator[Registry]:
    with registry() as running:
        yield running


@pytest.fixture(params=["folder", "memory", "s3", "ssh", "oci", "hub"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty remote of each kind."""
    kind = request.param
    if kind == "folder":
        yield lambda: FolderRemote(tmp_path / "remote")
    elif kind == "memory":
        yield lambda: ObjectRemote(f"memory://{tmp_path.name}/logs")
    elif kind == "s3":
        bucket = request.getfixturevalue("bucket")
        yield lambda: ObjectRemote(f"s3://{bucket}/some/logs")
    elif kind == "ssh":
        board: Server = request.getfixturevalue("ssh_server")
        folder = board.home / "logs"
        url = f"ssh://board{folder}"
        yield lambda: SftpRemote(url, known_hosts=board.known_hosts, config=board.config)
        shutil.rmtree(folder, ignore_errors=True)
    elif kind == "oci":
        running: Registry = request.getfixturevalue("oci_registry")
        yield lambda: RegistryRemote(f"oci://{running.address}/team/logs")
    else:
        hub = StandIn(f"{tmp_path.name}")
        yield lambda: _hub(hub)


def _hub(hub: StandIn) -> HubRemote:
    filesystem: Any = hub.filesystem
    return HubRemote("hf://datasets/me/logs/below", filesystem, hub)
