"""Signed pushes, and pulls of nothing but what an accepted signer has signed: real keys, remotes of every kind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import cli
from compiler.config import RemoteSettings, remote_settings
from compiler.errors import EdgetuneError, UsageError
from compiler.records.remote.cache import caches
from compiler.records.remote.compact import compact
from compiler.records.remote.folder import FolderRemote
from compiler.records.remote.names import SignatureName
from compiler.records.remote.pull import pull
from compiler.records.remote.push import push
from compiler.records.remote.remote import Remote
from compiler.records.remote.signatures import Accepted, read_statement
from compiler.records.remote.web import WebRemote
from compiler.records.store import Store
from compiler.records.trust.signing import signer
from tests.records.remote.users import FINGERPRINT, OTHER, exported, some, user
from tests.records.remote.web_server import serving
from tests.records.trust.test_bundle import write_keys

Place = Callable[[], Remote]


@pytest.fixture
def keys(tmp_path: Path) -> tuple[str, Accepted]:
    """A private key, and whose signatures count: its owner's."""
    key, public = write_keys(tmp_path / "ada")
    return str(key), Accepted((str(public),))


def origins(store: Store) -> set[str]:
    return {row[0] for row in store.query("SELECT name FROM origins JOIN records ON origin = origins.number")}


def test_what_is_signed_is_pulled_and_nothing_else(place: Place, keys: tuple[str, Accepted], tmp_path: Path) -> None:
    key, ada = keys
    with user(tmp_path, "a", some(6)) as a, user(tmp_path, "b") as b, place() as remote:
        assert push(a, remote).signed == 0
        report = pull(b, remote, signers=ada)
        assert (report.imported.added, report.unsigned, len(report.refused)) == (0, 3, 1)
        assert report.refused == [f"3 of 3 parts are not signed by {ada.signers[0]}"]
        a.add_many(some(9, 100, fingerprint=OTHER))
        assert push(a, remote, sign=signer(key)).signed == 3
        report = pull(b, remote, signers=ada)
        assert (report.imported.added, report.parts, report.unsigned) == (9, 3, 3)
        assert set(b.fingerprints()) == {OTHER}
        assert origins(b) == {f"{remote.url}, signed by {ada.signers[0]}"}
        # What lies there already is signed by whoever has it, too.
        assert push(a, remote, sign=signer(key), again=True).signed == 6
        report = pull(b, remote, signers=ada)
        assert (report.imported.added, report.refused) == (6, [])
        assert exported(a) == exported(b)


def test_a_server_of_the_files_shows_the_signatures(keys: tuple[str, Accepted], tmp_path: Path) -> None:
    key, ada = keys
    with user(tmp_path, "a", some(6)) as a, user(tmp_path, "b") as b:
        push(a, FolderRemote(tmp_path / "remote"), sign=signer(key))
        with serving(tmp_path / "remote") as web, WebRemote(web.url) as remote:
            assert pull(b, remote, signers=ada).imported.added == 6


def test_joining_index_entries_breaks_no_signature(keys: tuple[str, Accepted], tmp_path: Path) -> None:
    key, ada = keys
    remote = FolderRemote(tmp_path / "remote")
    with user(tmp_path, "a", []) as a, user(tmp_path, "b") as b:
        for number in range(40):
            a.add_many(some(1, number))
            push(a, remote, sign=signer(key))
        assert compact(remote, caches(remote.url)[0], FINGERPRINT) == 40
        report = pull(b, remote, signers=ada)
        assert (report.imported.added, report.refused) == (40, [])


def test_other_signers_and_forged_statements_do_not_count(keys: tuple[str, Accepted], tmp_path: Path) -> None:
    key, ada = keys
    mallory, public = write_keys(tmp_path / "mallory", "p256")
    remote = FolderRemote(tmp_path / "remote")
    with user(tmp_path, "a", some(3)) as a, user(tmp_path, "m", some(3, 50)) as m, user(tmp_path, "b") as b:
        push(a, remote, sign=signer(key))
        push(m, remote, sign=signer(str(mallory)))
        folder = tmp_path / "remote" / "signatures" / FINGERPRINT
        statements = [json.loads(path.read_text()) for path in folder.iterdir()]
        adas = next(s for s in statements if Accepted(ada.signers).signer_of(_statement(s)) is not None)
        theirs = next(s for s in statements if s is not adas)
        for forged in (
            {**adas, "parts": sorted(adas["parts"] + theirs["parts"])},
            {**theirs, "signature": adas["signature"]},
            {**theirs, "signature": ""},
            {**theirs, "schema": 2},
            {**theirs, "parts": ["../../x"]},
            {**theirs, "fingerprint": OTHER},
            [],
        ):
            data = json.dumps(forged, sort_keys=True, separators=(",", ":")).encode()
            (folder / f"{hashlib.sha256(data).hexdigest()}.json").write_bytes(data)
        (folder / f"{'0' * 64}.json").write_bytes(b"something else")
        report = pull(b, remote, signers=ada)
        assert (report.imported.added, report.unsigned) == (3, 3)
        assert {record.seed for record in b.records()} == {0, 1, 2}
        assert len([line for line in report.refused if line.startswith("signature ")]) == 5
        assert all("\n" not in line for line in report.refused)
        both = Accepted((*ada.signers, str(public)))
        assert pull(b, remote, signers=both).imported.added == 3
        assert origins(b) == {f"{remote.url}, signed by {one}" for one in both.signers}


def _statement(value: dict[str, object]):  # type: ignore[no-untyped-def]
    data = json.dumps(value).encode()
    return read_statement(data, SignatureName(None, hashlib.sha256(data).hexdigest()))


def test_a_signed_part_that_was_changed_is_refused(keys: tuple[str, Accepted], tmp_path: Path) -> None:
    key, ada = keys
    remote = FolderRemote(tmp_path / "remote")
    with user(tmp_path, "a", some(1)) as a, user(tmp_path, "b") as b:
        push(a, remote, sign=signer(key))
        [part] = [path for path in (tmp_path / "remote" / "parts").rglob("*") if path.is_file()]
        part.write_bytes(part.read_bytes()[:-1] + b"x")
        report = pull(b, remote, signers=ada)
        assert (report.imported.added, report.unsigned) == (0, 0)
        assert "SHA-256 is another" in report.refused[0]


def test_signers_that_are_none(tmp_path: Path) -> None:
    with user(tmp_path, "a", some(1)) as a:
        push(a, FolderRemote(tmp_path / "remote"))
        for accepted, reason in ((Accepted(()), "say whose"), (Accepted(("nobody",)), "no such file")):
            with pytest.raises(UsageError, match=reason):
                pull(a, FolderRemote(tmp_path / "remote"), signers=accepted)
        with pytest.raises(UsageError, match="no private key"):
            (tmp_path / "x.key").write_text("x")
            signer(str(tmp_path / "x.key"))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `edgetune logs ARGUMENTS`."""
    code = cli.main(["logs", *map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_as_commands_and_by_the_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_keys(tmp_path / "ada")
    _, other = write_keys(tmp_path / "bob")
    where, logs, theirs = tmp_path / "remote", tmp_path / "a", tmp_path / "b"
    user(tmp_path, "a", some(3)).close()
    assert run(capsys, "pull", where, "--logs", theirs, "--require-signed")[0] == 2
    assert run(capsys, "push", where, "--logs", logs, "--sign", tmp_path / "none")[0] == 2
    assert not where.exists()
    config = tmp_path / "config" / "edgetune" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f'[remotes.lab]\nurl = "{where}"\nsigners = ["{tmp_path}/ada/key.pub"]\n')
    assert run(capsys, "push", "lab", "--logs", logs)[0] == 0
    for place in ("lab", where):  # whoever writes the address out is no less careful
        code, out, err = run(capsys, "pull", place, "--logs", theirs)
        assert code == 1
        assert "0 records added" in out
        assert f"3 of 3 parts are not signed by {tmp_path}/ada/key.pub" in err
    config.write_text(config.read_text() + f'sign = "{tmp_path}/ada/key"\n')
    code, out, _ = run(capsys, "push", "lab", "--logs", logs, "--all")
    assert code == 0
    assert ", signed);" in out
    assert run(capsys, "pull", "lab", "--logs", theirs, "--signer", other)[0] == 1
    assert run(capsys, "pull", "lab", "--logs", theirs)[0] == 0
    with user(tmp_path, "a") as a, user(tmp_path, "b") as b:
        assert exported(a) == exported(b)


def test_settings_of_a_remote(tmp_path: Path) -> None:
    config = tmp_path / "config" / "edgetune" / "config.toml"
    config.parent.mkdir(parents=True)
    signers = '["keys/ada.pub", "~/bob.pub", "eve@example.org", "https://github.com/a/b"]'
    config.write_text(
        f'[remotes]\nlab = "/srv/x"\n[remotes.origin]\nurl = "s3://b/l"\nsigners = {signers}\n'
        'issuer = "https://accounts.example"\nsign = "sigstore"\n'
    )
    assert remote_settings("lab") == RemoteSettings("/srv/x")
    assert remote_settings(None) == RemoteSettings(
        url="s3://b/l",
        signers=(
            str(config.parent / "keys" / "ada.pub"),
            str(Path.home() / "bob.pub"),
            "eve@example.org",
            "https://github.com/a/b",
        ),
        issuer="https://accounts.example",
        sign="sigstore",
    )
    for bad in ('url = ""', 'signers = ["x"]', 'url = "x"\nsigners = "x"', 'url = "x"\nsigner = ["x"]'):
        config.write_text(f"[remotes.lab]\n{bad}\n")
        with pytest.raises(EdgetuneError, match="the remote lab is an address, or a table"):
            remote_settings("lab")
