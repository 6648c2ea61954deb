"""Signed folders: real keys, and everything that may be wrong with a folder or a signature."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

import cli
from compiler.errors import EdgetuneError, UsageError
from compiler.records.trust import signing
from compiler.records.trust.bundle import MANIFEST, SIGNATURE, sign_folder, verified_copy
from tests.records.samples import record, store_with

PEM, RAW = serialization.Encoding.PEM, serialization.NoEncryption()


def write_keys(folder: Path, kind: str = "ed25519", password: bytes | None = None) -> tuple[Path, Path]:
    """A private key and its public key as files."""
    made = {
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "openssh": ed25519.Ed25519PrivateKey.generate,
        "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
    }[kind]()
    ssh = kind == "openssh"
    secret = serialization.BestAvailableEncryption(password) if password else RAW
    form = serialization.PrivateFormat.OpenSSH if ssh else serialization.PrivateFormat.PKCS8
    public = (
        made.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        if ssh
        else made.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    folder.mkdir(exist_ok=True)
    (folder / "key").write_bytes(made.private_bytes(PEM, form, secret))
    (folder / "key.pub").write_bytes(public)
    return folder / "key", folder / "key.pub"


@pytest.fixture
def bundle(tmp_path: Path) -> tuple[Path, Path]:
    """A signed folder of two files, and the signer's public key."""
    key, public = write_keys(tmp_path / "keys")
    folder = tmp_path / "logs"
    (folder / "fp").mkdir(parents=True)
    files = [folder / "fp" / "a.jsonl", folder / "fp" / "b.jsonl"]
    for file in files:
        file.write_text(f"{file.name}\n")
    sign_folder(folder, files, str(key))
    return folder, public


def check(folder: Path, signer: Path | str, into: Path, issuer: str | None = None) -> list[str]:
    verified_copy(folder, str(signer), issuer, into)
    return sorted(path.relative_to(into).as_posix() for path in into.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", ["ed25519", "openssh", "p256", "p384"])
def test_a_signed_folder_is_copied(kind: str, tmp_path: Path) -> None:
    key, public = write_keys(tmp_path / "keys", kind)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.jsonl").write_text("a\n")
    sign_folder(tmp_path / "logs", [tmp_path / "logs" / "a.jsonl"], str(key))
    assert check(tmp_path / "logs", public, tmp_path / "copy") == ["a.jsonl"]


def test_sha256sum_reads_the_list(bundle: tuple[Path, Path]) -> None:
    import hashlib

    for line in (bundle[0] / MANIFEST).read_text().splitlines():
        expected, name = line.split("  ")
        assert hashlib.sha256((bundle[0] / name).read_bytes()).hexdigest() == expected


def added(folder: Path) -> None:
    (folder / "fp" / "c.jsonl").write_text("c\n")


def added_and_hidden(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "c.jsonl").write_text("c\n")


def removed(folder: Path) -> None:
    (folder / "fp" / "a.jsonl").unlink()


def changed(folder: Path) -> None:
    (folder / "fp" / "a.jsonl").write_text("A\n")


def linked(folder: Path) -> None:
    (folder / "fp" / "c.jsonl").symlink_to("/etc/hostname")


def list_changed(folder: Path) -> None:
    (folder / MANIFEST).write_bytes((folder / MANIFEST).read_bytes().replace(b"b.jsonl", b"c.jsonl"))


def no_list(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def no_signature(folder: Path) -> None:
    (folder / SIGNATURE).unlink()


def signature_is_nothing(folder: Path) -> None:
    (folder / SIGNATURE).write_bytes(b"")


def signature_is_noise(folder: Path) -> None:
    (folder / SIGNATURE).write_bytes(bytes(range(256)))


def signature_is_a_link(folder: Path) -> None:
    (folder / SIGNATURE).rename(folder.parent / "sig")
    (folder / SIGNATURE).symlink_to(folder.parent / "sig")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (added, "fp/c.jsonl was added"),
        (added_and_hidden, ".git/c.jsonl was added"),
        (removed, "fp/a.jsonl was removed"),
        (changed, "fp/a.jsonl was changed"),
        (linked, "neither a file nor a folder"),
        (list_changed, "is not signed by"),
        (no_list, "is not signed"),
        (no_signature, "is not signed"),
        (signature_is_nothing, "is not signed by"),
        (signature_is_noise, "is not signed by"),
        (signature_is_a_link, "is not signed"),
    ],
)
def test_a_folder_that_is_not_as_it_was_signed(
    change: Callable[[Path], None], why: str, bundle: tuple[Path, Path], tmp_path: Path
) -> None:
    change(bundle[0])
    with pytest.raises(EdgetuneError, match=why) as caught:
        check(*bundle, tmp_path / "copy")
    assert "\n" not in str(caught.value)


def test_another_signer(bundle: tuple[Path, Path], tmp_path: Path) -> None:
    _, other = write_keys(tmp_path / "others")
    with pytest.raises(EdgetuneError, match="is not signed by"):
        check(bundle[0], other, tmp_path / "copy")


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a//b", ".hidden", "a\tb", ""])
def test_a_signer_cannot_lead_out_of_the_folder(name: str, tmp_path: Path) -> None:
    key, public = write_keys(tmp_path / "keys")
    manifest = f"{'0' * 64}  {name}\n".encode()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / MANIFEST).write_bytes(manifest)
    (tmp_path / "logs" / SIGNATURE).write_bytes(signing.sign(manifest, str(key)))
    with pytest.raises(EdgetuneError, match="not a list of sums"):
        check(tmp_path / "logs", public, tmp_path / "copy")


def test_a_signature_of_something_else_is_none_of_a_log(bundle: tuple[Path, Path], tmp_path: Path) -> None:
    """A key signs other things, too: what is signed says that it is a list of tuning logs."""
    import base64

    key, public = write_keys(tmp_path / "others")
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    assert isinstance(private, ed25519.Ed25519PrivateKey)
    (bundle[0] / SIGNATURE).write_bytes(base64.b64encode(private.sign((bundle[0] / MANIFEST).read_bytes())))
    with pytest.raises(EdgetuneError, match="is not signed by"):
        check(bundle[0], public, tmp_path / "copy")


def test_only_what_was_exported_is_signed(tmp_path: Path) -> None:
    key, _ = write_keys(tmp_path / "keys")
    (tmp_path / "logs").mkdir()
    for name in ("mine.jsonl", "strange.jsonl"):
        (tmp_path / "logs" / name).write_text("x\n")
    with pytest.raises(UsageError, match=r"strange\.jsonl"):
        sign_folder(tmp_path / "logs", [tmp_path / "logs" / "mine.jsonl"], str(key))
    assert not (tmp_path / "logs" / MANIFEST).exists()


def test_keys_that_cannot_be_used(tmp_path: Path, bundle: tuple[Path, Path]) -> None:
    key, public = write_keys(tmp_path / "rsa", "rsa")
    noise = tmp_path / "noise"
    noise.write_bytes(b"not a key")
    locked, _ = write_keys(tmp_path / "locked", password=b"secret")
    for bad in (key, noise, locked, tmp_path / "missing", public):
        with pytest.raises(UsageError):
            signing.sign(b"x", str(bad))
    for bad in (public, noise, tmp_path):
        with pytest.raises(UsageError):
            check(bundle[0], bad, tmp_path / "copy")


def test_identities(bundle: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--issuer"):
        check(bundle[0], "someone@example.org", tmp_path / "copy")
    pytest.importorskip("sigstore")
    # A key's signature is no sigstore bundle, which is seen without a network.
    with pytest.raises(EdgetuneError, match="is not signed by"):
        check(bundle[0], "someone@example.org", tmp_path / "copy", "https://accounts.google.com")
    with pytest.raises(EdgetuneError, match="is not signed by"):
        check(bundle[0], "https://github.com/a/b/.github/workflows/c.yml@refs/heads/main", tmp_path / "copy")


def run(*arguments: object) -> int:
    return cli.main(["logs", *map(str, arguments)])


def test_as_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, public = write_keys(tmp_path / "keys")
    _, other = write_keys(tmp_path / "others")
    out, theirs = tmp_path / "out", tmp_path / "theirs"
    store_with(tmp_path / "mine" / "records.db", [record()]).close()
    assert run("export", out, "--logs", tmp_path / "mine", "--sign", key) == 0
    assert run("import", out, "--logs", theirs, "--signer", other) == 1
    assert not theirs.exists()
    assert run("import", out, "--logs", theirs, "--require-signed") == 2
    assert run("import", out, "--logs", theirs, "--require-signed", "--signer", public) == 0
    shown = capsys.readouterr()
    assert "1 records added" in shown.out or "1 record added" in shown.out
    (next(out.rglob("*.jsonl"))).write_text("{}\n")
    assert run("import", out, "--logs", tmp_path / "late", "--require-signed", "--signer", public) == 1
    assert "was changed" in capsys.readouterr().err
    assert run("export", tmp_path / "x.jsonl", "--logs", tmp_path / "mine", "--sign", key) == 2
