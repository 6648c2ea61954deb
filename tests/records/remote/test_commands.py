"""`edgetune logs push` and `pull` as a user meets them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import cli
from compiler.commands.logs.pull import target_of
from compiler.errors import UsageError
from compiler.records.remote.opening import open_remote
from tests.records.remote.users import FINGERPRINT, OTHER, exported, some, user


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `edgetune logs ARGUMENTS`."""
    code = cli.main(["logs", *map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_push_and_pull_by_the_default_remote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with user(tmp_path, "a", [*some(6), *some(3, fingerprint=OTHER)]):
        pass
    code, _, err = run(capsys, "push", "--logs", tmp_path / "a")
    assert code == 2
    assert "[remotes]" in err
    config = tmp_path / "config" / "edgetune" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f'[remotes]\norigin = "{tmp_path}/remote"\n')
    code, out, _ = run(capsys, "push", "--logs", tmp_path / "a", "--fingerprint", FINGERPRINT)
    assert code == 0
    assert f"6 records pushed to {tmp_path}/remote (3 parts" in out
    code, out, _ = run(capsys, "push", "origin", "--logs", tmp_path / "a", "--top", 1)
    assert (code, out.split()[0]) == (0, "3")
    code, out, _ = run(capsys, "pull", "--logs", tmp_path / "b", "--json", "-")
    assert code == 0
    report = json.loads(out)
    assert (report["imported"]["added"], report["parts"], report["refused"]) == (9, 6, [])
    with user(tmp_path, "a", []) as a, user(tmp_path, "b", []) as b:
        assert exported(a) == exported(b)
    code, out, _ = run(capsys, "pull", "origin", "--logs", tmp_path / "b")
    assert code == 0
    assert "0 of 6 parts fetched" in out


def test_what_is_pushed_names_its_author(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with user(tmp_path, "a", some(1)):
        pass
    pushed = run(capsys, "push", tmp_path / "remote", "--logs", tmp_path / "a", "--author", "Ada <ada@example.org>")
    assert pushed[0] == 0
    assert run(capsys, "pull", tmp_path / "remote", "--logs", tmp_path / "b")[0] == 0
    with user(tmp_path, "b", []) as b:
        assert [record.author for record in b.records()] == ["Ada <ada@example.org>"]
    assert run(capsys, "push", tmp_path / "remote", "--logs", tmp_path / "a", "--author", "\n")[0] != 0


def test_pull_of_a_target_is_not_of_one_that_begins_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["x86-avx2-some-cpu-4c-tvm1-aa", "x86-avx2x-some-cpu-4c-tvm1-bb", "x86-avx512-some-cpu-4c-tvm1-cc"]
    assert [target_of(name) for name in names] == ["x86-avx2", None, "x86-avx512"]
    with user(tmp_path, "a", [record for name in names for record in some(1, fingerprint=name)]):
        pass
    assert run(capsys, "push", tmp_path / "remote", "--logs", tmp_path / "a")[0] == 0
    assert run(capsys, "pull", tmp_path / "remote", "--logs", tmp_path / "b", "--target", "x86-avx2")[0] == 0
    with user(tmp_path, "b", []) as b:
        assert list(b.fingerprints()) == names[:1]
    code, _, err = run(capsys, "pull", tmp_path / "remote", "--logs", tmp_path / "b", "--target", "x86-sse4")
    assert code in (1, 2)
    assert err.count("error:") == 1


def test_pull_of_a_model_takes_its_kernels_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import targets
    from compiler.records.workload import workload_of
    from compiler.tuning.tune import expand
    from tests.tuning.models import convolutions

    task = next(iter(expand(convolutions(tmp_path), targets.get("x86-avx2")).tasks.values()))
    model = next(tmp_path.glob("*.onnx"))
    fingerprint = "x86-avx2-some-cpu-4c-tvm1-aa"
    with user(tmp_path, "a", some(3, fingerprint=fingerprint)) as a:
        workload = workload_of(task.mod, task.name)
        a.add_workload(workload)
        a.add_many(some(2, workload=workload.hash, fingerprint=fingerprint))
    assert run(capsys, "push", tmp_path / "remote", "--logs", tmp_path / "a")[0] == 0
    wanted = ["--model", model, "--fingerprint", fingerprint]
    code, out, err = run(capsys, "pull", tmp_path / "remote", "--logs", tmp_path / "b", *wanted)
    assert code == 0, err
    assert "1 of 1 part fetched" in out
    with user(tmp_path, "b", []) as b:
        assert {record.workload for record in b.records()} == {task.hash}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["push", "ftp://host/x"], 2, "not carried by ftp://"),
        (["push", "https://host/x"], 2, "pulled from only"),
        (["push", "nowhere"], 2, "no remote is called nowhere"),
        (["push", "s3://key:secret@bucket/x"], 2, "no password"),
        (["push", "https://token@host/x"], 2, "no password"),
        (["pull", "https://host/x?token=1"], 2, "without ? and #"),
        (["pull", "s3://bucket/../other"], 2, "no . and .."),
        (["pull", "simplecache::s3://bucket/x"], 2, ""),
        (["pull", "s3:///x"], 2, "names no place"),
        (["pull", ""], 2, "no address"),
        (["pull", "./none"], 1, "there is no folder"),
        (["pull", "./none", "--target", "nonsense"], 2, "nonsense"),
        (["pull", "./none", "--target", "x86-avx2", "--fingerprint", "f"], 2, "--target or --fingerprint"),
        (["pull", "./none", "--batch", "1"], 2, "for --model"),
        (["pull", "./none", "--model", "no-such-model"], 2, "no-such-model"),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with user(tmp_path, "a", some(1)):
        pass
    got, out, err = run(capsys, *arguments, "--logs", tmp_path / "a")
    assert (got, out) == (code, "")
    assert said in err
    assert err.count("error:") == 1
    assert "secret" not in err
    assert "token@" not in err


@pytest.mark.parametrize(
    ("address", "module", "extra"),
    [
        ("s3://b/x", "s3fs", "s3"),
        ("gs://b/x", "gcsfs", "gs"),
        ("hf://datasets/a/b", "huggingface_hub", "hf"),
        ("oci://host/x", "requests", "share"),
        ("https://host/x", "requests", "share"),
        ("s3://b/x", "fsspec", "s3"),
    ],
)
def test_what_is_not_installed_is_named(
    address: str, module: str, extra: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, module, None)
    from fsspec.registry import _registry

    monkeypatch.delitem(_registry, address.partition(":")[0], raising=False)
    code, _, err = run(capsys, "pull", address, "--logs", tmp_path / "a")
    assert code == 1
    assert f"pip install edgetune[{extra}]" in err
    assert err.count("\n") == 1


def test_addresses_of_folders(tmp_path: Path) -> None:
    assert open_remote(f"file://{tmp_path}/x").url == f"{tmp_path}/x"
    assert open_remote(f"{tmp_path}/x").url == f"{tmp_path}/x"
    with pytest.raises(UsageError, match="file:///FOLDER"):
        open_remote("file://x/y")


def test_refused_parts_end_a_pull_with_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with user(tmp_path, "a", some(6)):
        pass
    assert run(capsys, "push", tmp_path / "remote", "--logs", tmp_path / "a")[0] == 0
    part = next(path for path in (tmp_path / "remote" / "parts").rglob("*") if path.is_file())
    part.write_bytes(b"x" * part.stat().st_size)
    code, out, err = run(capsys, "pull", tmp_path / "remote", "--logs", tmp_path / "b")
    assert code == 1
    assert "4 records added" in out
    assert "SHA-256 is another" in err
    assert err.splitlines()[-1].startswith("error: 1 parts or index entries")
