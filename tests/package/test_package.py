"""Packages: what is written, what is read, what is refused."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from compiler.errors import EdgetuneError
from compiler.package import Package, open_package, write
from compiler.packaging import archive
from tests.runtime.small import manifest

MEMBERS = {"library.so": b"\x7fELF" + bytes(range(256)) * 9, "weights.bin": b"w" * 513}


@pytest.fixture()
def packed(tmp_path: Path) -> Package:
    return write(tmp_path / "model.tar", MEMBERS, manifest())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_read(packed: Package) -> None:
    again = open_package(str(packed.path))
    assert again.manifest == manifest() == packed.manifest
    assert again.sizes["weights.bin"] == 513
    with again.unpack() as folder:
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == MEMBERS
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


def test_the_folder_goes_when_the_user_of_it_fails(packed: Package) -> None:
    with pytest.raises(KeyError), packed.unpack() as folder:
        raise KeyError
    assert not folder.exists()


def test_equal_content_gives_equal_bytes_and_members_may_be_files(packed: Package, tmp_path: Path) -> None:
    files = {}
    for name, content in MEMBERS.items():
        files[name] = tmp_path / f"built-{name}"
        files[name].write_bytes(content)
    other = write(tmp_path / "other.tar", dict(reversed(files.items())), manifest())
    assert other.path.read_bytes() == packed.path.read_bytes()


def test_system_tar_and_sha256sum_read_it(packed: Package, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    subprocess.run(["tar", "xf", packed.path, "-C", folder], check=True)
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    with tarfile.open(packed.path) as tar:
        assert tar.getnames() == ["SHA256SUMS", "manifest.json", "library.so", "weights.bin"]
        assert all(member.mtime == member.uid == 0 for member in tar)


def test_writing_leaves_no_temporary_file_and_respects_umask(packed: Package) -> None:
    assert names(packed.path.parent) == ["model.tar"]
    umask = os.umask(0)
    os.umask(umask)
    assert packed.path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_failed_write_keeps_what_was_there(packed: Package, tmp_path: Path) -> None:
    before = packed.path.read_bytes()
    with pytest.raises(EdgetuneError, match="there is no file"):
        write(packed.path, {**MEMBERS, "weights.bin": tmp_path / "nowhere"}, manifest())
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(archive.MAX_MEMBER_BYTES + 1)  # sparse: takes no space
    with pytest.raises(EdgetuneError, match=r"tar can hold"):
        archive.write(packed.path, {"library.so": huge})
    assert packed.path.read_bytes() == before
    assert names(tmp_path) == ["huge", "model.tar"]


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/passwd", "a/b", "", ".hidden", "a" * 100, "é", "a\n", "manifest.json"]
)
def test_unsafe_member_names_are_not_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(EdgetuneError) as error:
        write(tmp_path / "x.tar", {**MEMBERS, name: b""}, manifest())
    assert "\n" not in str(error.value)
    assert names(tmp_path) == []


def test_writing_to_nowhere_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EdgetuneError, match="cannot write .*missing"):
        write(tmp_path / "missing" / "x.tar", MEMBERS, manifest())


def refuse(path: Path, match: str = ".") -> None:
    with pytest.raises(EdgetuneError, match=match) as error:
        open_package(path)
    assert "\n" not in str(error.value)


def test_foreign_files_are_refused(packed: Package, tmp_path: Path) -> None:
    data = packed.path.read_bytes()
    path = tmp_path / "other"
    for content in (
        b"",
        b"x",
        b"\0" * 10240,
        b"garbage" * 5000,
        gzip.compress(data),
        data[:-1],
        data + b"\0",
        data + data,
        data[:1700],
    ):
        path.write_bytes(content)
        refuse(path)
    refuse(tmp_path / "missing", "there is no package")
    refuse(tmp_path, "not a file")
    refuse(Path("/dev/zero"), "not a file")
    os.mkfifo(tmp_path / "pipe")
    refuse(tmp_path / "pipe", "not a file")
    refuse(Path("nul\0name"), "cannot read")


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("../../evil", {}),
        ("/tmp/evil", {}),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("hard", {"type": tarfile.LNKTYPE, "linkname": "library.so"}),
        ("folder", {"type": tarfile.DIRTYPE}),
        ("device", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5}),
        ("pipe", {"type": tarfile.FIFOTYPE}),
        ("dated", {"mtime": 12345}),
        ("setuid", {"mode": 0o4755}),
        ("library.so", {}),
        ("x" * 150, {}),
    ],
)
def test_archives_of_another_form_are_refused(
    packed: Package, tmp_path: Path, name: str, fields: dict[str, object]
) -> None:
    with tarfile.open(packed.path) as source, tarfile.open(tmp_path / "evil.tar", "w") as tar:
        for member in source:
            add(tar, member.name, source.extractfile(member).read())  # type: ignore[union-attr]
        add(tar, name, **fields)
    refuse(tmp_path / "evil.tar")


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_extended_headers_are_refused(packed: Package, tmp_path: Path, kind: int) -> None:
    with tarfile.open(
        tmp_path / "evil.tar", "w", format=kind, pax_headers={"comment": "x"} if kind == tarfile.PAX_FORMAT else None
    ) as tar:
        add(tar, "n" * 200)
    refuse(tmp_path / "evil.tar")


def rewrite(path: Path, contents: dict[str, bytes]) -> None:
    """Write an archive of valid form with the members as given, checksums recomputed where not given."""
    import hashlib

    sums = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in contents.items() if name != "SHA256SUMS"
    )
    archive.write(path, {"SHA256SUMS": contents.get("SHA256SUMS", sums.encode()), **contents})


def contents(packed: Package) -> dict[str, bytes]:
    with tarfile.open(packed.path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.name != "SHA256SUMS"}  # type: ignore[union-attr]


def test_missing_and_unlisted_members_are_refused(packed: Package, tmp_path: Path) -> None:
    path = tmp_path / "other.tar"
    good = contents(packed)
    rewrite(path, good)
    assert path.read_bytes() == packed.path.read_bytes()
    for name in ("manifest.json", "library.so"):
        rewrite(path, {key: value for key, value in good.items() if key != name})
        refuse(path, f"holds no {name}")
    rewrite(path, {**good, "SHA256SUMS": b"0" * 64 + b"  library.so\n"})
    refuse(path, "does not list")
    for sums in (b"short  x\n", b"\xff\n", b"", b"0" * 64 + b"  a\n" + b"0" * 64 + b"  a\n"):
        rewrite(path, {**good, "SHA256SUMS": sums})
        refuse(path, "SHA256SUMS")


def test_bad_manifests_are_refused(packed: Package, tmp_path: Path) -> None:
    path = tmp_path / "other.tar"
    good = contents(packed)
    fields = msgspec.json.decode(good["manifest.json"])
    tensor = {"name": "x", "shape": [1], "dtype": "float32"}
    bad = [
        b"",
        b"[]",
        b"[" * 100_000,
        b"\xff\xfe{}",
        b'{"schema": 1}',
        *(
            msgspec.json.encode({**fields, **change})
            for change in (
                {"schema": 2},
                {"schema": "1"},
                {"inputs": [tensor, tensor]},
                {"inputs": [{**tensor, "shape": [-1]}]},
                {"inputs": [{**tensor, "shape": [2**60]}]},
                {"inputs": [{**tensor, "shape": [2**39, 2**39]}]},
                {"inputs": [{**tensor, "shape": [1] * 1_000_000}]},
                {"inputs": [{**tensor, "name": "a\x1b[2J"}]},
                {"tvm_version": "0.1\nerror: all is lost"},
                {"device": "a\u202eb"},
                {"target": {"name": "x", "options": {"a\tb": 1}}},
                {"inputs": [{**tensor, "dtype": "object"}]},
                {"outputs": []},
                {"threads": 0},
                {"tasks": -1},
                {"batch": "many"},
                {"model": None},
            )
        ),
    ]
    for manifest_bytes in bad:
        rewrite(path, {**good, "manifest.json": manifest_bytes})
        refuse(path, "manifest")
    rewrite(path, {**good, "manifest.json": b" " * (33 << 20)})
    refuse(path, "larger than")
    rewrite(path, {**good, "manifest.json": msgspec.json.encode({**fields, "added_later": 1})})
    assert open_package(path).manifest == packed.manifest


def test_a_file_that_changes_after_it_was_opened_is_refused(packed: Package) -> None:
    write(packed.path, {**MEMBERS, "library.so": b"\x7fELF other"}, manifest())
    with pytest.raises(EdgetuneError, match="changed while"), packed.unpack():
        pass
    write(packed.path, {"library.so": MEMBERS["library.so"]}, manifest())
    with pytest.raises(EdgetuneError, match="changed while"), packed.unpack():
        pass
    extra = replace(packed, checksums={name: packed.checksums[name] for name in ("manifest.json",)})
    with pytest.raises(EdgetuneError, match="changed while"), extra.unpack():
        pass
