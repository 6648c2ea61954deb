"""A registry as a remote: its login, its pages of tags, and what it may not do with us."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from compiler.errors import EdgetuneError, UsageError
from compiler.records.remote.pull import pull
from compiler.records.remote.push import push
from compiler.records.remote.registry import ARTIFACT, RegistryRemote
from compiler.records.remote.registry_login import credentials
from tests.records.remote.registry_server import LOGIN, Registry
from tests.records.remote.users import FINGERPRINT, OTHER, exported, some, user


@pytest.fixture
def url(oci_registry: Registry) -> str:
    return f"oci://{oci_registry.address}/team/logs"


def config(text: str) -> None:
    Path(os.environ["DOCKER_CONFIG"], "config.json").write_text(text)


def test_manifests_keep_all_blobs_and_say_what_they_are(oci_registry: Registry, url: str, tmp_path: Path) -> None:
    with user(tmp_path, "a", [*some(6), *some(6, fingerprint=OTHER)]) as a, RegistryRemote(url) as remote:
        push(a, remote)
    named = set()
    for tag, data in oci_registry.manifests.items():
        manifest = json.loads(data)
        assert manifest["artifactType"] == ARTIFACT
        assert tag == "entry-" + manifest["config"]["digest"].removeprefix("sha256:")
        named |= {blob["digest"] for blob in [manifest["config"], *manifest["layers"]]}
    assert named == set(oci_registry.blobs)
    assert len(named) == 8


def test_a_private_one_is_read_with_the_login_too(oci_registry: Registry, url: str, tmp_path: Path) -> None:
    oci_registry.private = True
    with user(tmp_path, "a", some(6)) as a, user(tmp_path, "b") as b, RegistryRemote(url) as remote:
        for number in range(4):
            push(a, remote)
            a.add_many(some(1, 100 + number))
        push(a, remote)
        assert len(oci_registry.manifests) == 5  # so that there are several pages
        assert pull(b, remote).imported.added == 10
        assert exported(a) == exported(b)
        oci_registry.requests.clear()
        assert pull(b, remote).parts == 0
        assert not any("blobs" in line for line in oci_registry.requests)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"auths": 1}', '{"auths": {"x": {"auth": "?"}}}'])
def test_without_a_login_nothing_is_pushed_and_the_way_to_one_is_said(
    oci_registry: Registry, url: str, tmp_path: Path, text: str
) -> None:
    config(text)
    said = pytest.raises(EdgetuneError, match="docker login")
    with user(tmp_path, "a", some(3)) as a, RegistryRemote(url) as remote, said:
        push(a, remote)
    assert oci_registry.manifests == {}


def test_a_login_from_a_credential_helper(
    oci_registry: Registry, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "bin" / "docker-credential-test"
    helper.parent.mkdir()
    helper.write_text(f'#!/bin/sh\nread host\ntest "$host" = {oci_registry.address} || exit 1\n'
                      'echo \'{"Username": "me", "Secret": "secret"}\'\n')  # fmt: skip
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{helper.parent}:{os.environ['PATH']}")
    config('{"credsStore": "test"}')
    assert credentials(oci_registry.address) == ("me", "secret")
    assert credentials("another.example") == ("", "")
    with user(tmp_path, "a", some(3)) as a, RegistryRemote(url) as remote:
        assert push(a, remote).sent == 3


def test_names_of_docker_hub(tmp_path: Path) -> None:
    Path(os.environ["DOCKER_CONFIG"]).mkdir()
    config(json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": LOGIN.removeprefix("Basic ")}}}))
    assert credentials("docker.io") == ("me", "secret")
    config(json.dumps({"auths": {"ghcr.io": {"identitytoken": "t"}}}))
    assert credentials("ghcr.io") == ("<token>", "t")
    config(json.dumps({"credHelpers": {"ghcr.io": "../../bin/sh"}}))
    assert credentials("ghcr.io") == ("", "")


def test_the_next_page_and_the_place_of_an_upload_are_the_registrys_own(url: str) -> None:
    with RegistryRemote(url) as remote:
        with pytest.raises(EdgetuneError, match="another host"):
            remote._own("http://elsewhere.example/v2/team/logs/tags/list")
        with pytest.raises(EdgetuneError, match="another host"):
            remote._own(f"https{remote._base.removeprefix('http')}/x")
        assert remote._own(f"{remote._base}/x") == f"{remote._base}/x"


def test_tags_of_others_are_passed_over(oci_registry: Registry, url: str, tmp_path: Path) -> None:
    with user(tmp_path, "a", some(3)) as a, RegistryRemote(url) as remote:
        push(a, remote)
        oci_registry.manifests |= {"latest": b"{}", "entry-x": b"{}", f"entry-{'0' * 64}": b"{}"}
        assert len(remote.entries()) == 2
        with user(tmp_path, "b") as b:
            report = pull(b, remote, wanted=lambda name: name == FINGERPRINT)
        assert report.imported.added == 3
        assert len(report.refused) == 1


@pytest.mark.parametrize("address", ["oci://host", "oci://host/UPPER", "oci://host/a/../b", "oci:///x"])
def test_addresses_that_name_no_repository(address: str) -> None:
    with pytest.raises(UsageError, match="names no repository"):
        RegistryRemote(address)
