"""Buckets and the Hub: what their libraries raise, and what a user reads of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from compiler.errors import EdgetuneError, UsageError
from compiler.records.remote.hub import HubRemote
from compiler.records.remote.names import part_path
from compiler.records.remote.objects import ObjectRemote
from compiler.records.remote.pull import pull
from compiler.records.remote.push import push
from tests.records.remote.hub_stand_in import StandIn
from tests.records.remote.users import exported, some, user


def test_a_bucket_that_is_not_there(bucket: str, tmp_path: Path) -> None:
    with user(tmp_path, "a", some(1)) as a, ObjectRemote("s3://no-such-bucket-here/logs") as remote:
        for work in (push, pull):
            with pytest.raises(EdgetuneError, match="no-such-bucket-here") as caught:
                work(a, remote)
            assert "\n" not in str(caught.value)


def test_no_login_and_no_server(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with user(tmp_path, "a", some(1)) as a:
        with monkeypatch.context() as without:
            without.delenv("AWS_ACCESS_KEY_ID")
            without.delenv("AWS_SECRET_ACCESS_KEY")
            without.setenv("AWS_EC2_METADATA_DISABLED", "true")
            without.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
            without.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
            with ObjectRemote(f"s3://{bucket}/logs") as remote, pytest.raises(EdgetuneError, match="AWS_PROFILE"):
                push(a, remote)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with ObjectRemote(f"s3://{bucket}/logs") as remote, pytest.raises(EdgetuneError) as caught:
            push(a, remote)
        assert "127.0.0.1:9" in str(caught.value)
        assert "testing" not in str(caught.value)


def test_a_large_object_comes_in_several_requests_and_no_more_than_wanted(bucket: str) -> None:
    data = bytes(range(256)) * (40 << 10)  # 10 MB
    digest = hashlib.sha256(data).hexdigest()
    with ObjectRemote(f"s3://{bucket}/logs") as remote:
        remote.put(part_path(digest), data)
        chunks = remote.chunks(part_path(digest))
        assert len(next(chunks)) == 8 << 20
        assert hashlib.sha256(data[: 8 << 20] + b"".join(chunks)).hexdigest() == digest
        exact = data[: 8 << 20]
        remote.put("parts/exact", exact)
        assert b"".join(remote.chunks("parts/exact")) == exact


def test_a_push_to_the_hub_is_one_commit_that_waits_for_others(tmp_path: Path) -> None:
    hub = StandIn(tmp_path.name)
    with user(tmp_path, "a", some(9)) as a, user(tmp_path, "b") as b:
        remote = HubRemote("hf://datasets/me/logs", hub.filesystem, hub)
        hub.refuse = [412, 409]
        assert push(a, remote).sent == 9
        assert len(hub.commits) == 1
        assert len(hub.commits[0]) == 4
        assert hub.commits[0][-1].startswith("index/")
        assert pull(b, remote).imported.added == 9
        assert exported(a) == exported(b)
        a.add_many(some(1, 50))
        hub.refuse = [403]
        with pytest.raises(EdgetuneError, match="hf auth login"):
            push(a, remote)
        hub.refuse = [503] * 4
        with pytest.raises(EdgetuneError, match="the Hub says 503"):
            push(a, remote)


@pytest.mark.parametrize("address", ["hf://datasets/me", "hf://me", "hf://datasets//x"])
def test_addresses_that_name_no_repository(address: str) -> None:
    with pytest.raises(UsageError, match="names no repository"):
        HubRemote(address)
