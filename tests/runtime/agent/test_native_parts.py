"""Parts of the native agent beside the Python agent's: the same files give the same readings."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from compiler.runtime.agent import identity
from compiler.runtime.sensors.reading import Sensors
from tests.runtime.sensors.trees import DESKTOP, ORIN_NANO, TX2, plant

Parts = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.mark.parametrize(
    ("message", "expected"),
    [  # the examples of FIPS 180-4, and its empty message
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
        (b"a" * 1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ],
)
def test_sha256_of_the_standards_examples(parts: Parts, tmp_path: Path, message: bytes, expected: str) -> None:
    (tmp_path / "file").write_bytes(message)
    assert parts("sha256", tmp_path / "file").stdout.decode().strip() == expected


def test_sha256_of_all_lengths_around_a_block(parts: Parts, tmp_path: Path) -> None:
    for size in (55, 56, 63, 64, 65, 119, 120, (1 << 18) + 1):
        data = random.Random(size).randbytes(size)
        (tmp_path / "file").write_bytes(data)
        assert parts("sha256", tmp_path / "file").stdout.decode().strip() == hashlib.sha256(data).hexdigest()
    missing = parts("sha256", tmp_path / "none")
    assert missing.returncode == 1 and b"No such file" in missing.stderr


def test_json_is_read_and_written_as_python_does(parts: Parts) -> None:
    texts = [
        "null", "true", " false ", "0", "-1", "1.5", "1e-3", "-0.25E+2", "123456789012", '""', '"a\\n\\t\\"\\\\/"',
        '"\\u00e9\\u20ac\\ud83d\\ude00"', '"é€😀"', "[]", "{}",
        '[1, [2, {"a": [3]}], "b"]', '{"a": {"b": null}, "c": []}',
        "[" * 32 + "]" * 32,
    ]  # fmt: skip
    said = parts("json", given="\n".join(texts).encode()).stdout.decode().splitlines()
    assert [json.loads(line) for line in said] == [json.loads(text) for text in texts]


def test_what_is_no_json_is_refused(parts: Parts) -> None:
    texts = [
        b"", b"nul", b"truefalse", b"01", b"1.", b".5", b"+1", b"1e", b"NaN", b"Infinity", b"1e999",
        b'"', b'"\\x"', b'"\\u12"',
        b'"\\ud83d"', b'"\\ude00\\ud83d"', b'"\t"', b"[1,]", b"[1 2]", b"[", b'{"a"}', b'{"a":1,}', b"{1:2}",
        b"{", b"1 2",
        b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b"[" * 200 + b"]" * 200, b"[" * 100_000,
    ]  # fmt: skip
    said = parts("json", given=b"\n".join(texts)).stdout.decode().splitlines()
    assert len(said) == len(texts)
    assert not [text for text, line in zip(texts, said, strict=True) if not line.startswith("error: JSON: ")]


def test_random_bytes_are_json_or_an_error(parts: Parts) -> None:
    draw = random.Random(0)
    alphabet = b'{}[]",:0123456789.eE+-\\untfalsr \xc3\xa9\x80\x01'
    texts = [bytes(draw.choice(alphabet) for _ in range(draw.randrange(12))) for _ in range(3000)]
    said = parts("json", given=b"\n".join(texts) + b"\n").stdout.decode().splitlines()
    for text, line in zip(texts, said, strict=True):
        try:
            known = json.loads(text.decode(), parse_constant=lambda name: pytest.fail(name))
        except (ValueError, UnicodeDecodeError):
            assert line.startswith("error: "), text
        else:
            if not line.startswith("error: JSON: a number too large"):
                assert json.loads(line) == known or "\\ud" in text.decode(), text


def test_strings_are_always_utf_8(parts: Parts) -> None:
    draw = random.Random(1)
    for text in [b"\xff\xfe", b"a\xc3", b"\x00\x1f", *(draw.randbytes(30) for _ in range(30))]:
        made = json.loads(parts("string", given=text).stdout.decode("utf-8"))
        assert isinstance(made, str)
    assert json.loads(parts("string", given="é\n€😀".encode()).stdout) == "é\n€😀"


@pytest.mark.parametrize("tree", [ORIN_NANO, TX2, DESKTOP, {}], ids=["orin", "tx2", "desktop", "bare"])
def test_sensors_read_what_the_python_agents_do(parts: Parts, tmp_path: Path, tree: Mapping[str, object]) -> None:
    plant(tmp_path, tree)
    ours, theirs = json.loads(parts("sensors", tmp_path).stdout), Sensors(tmp_path).read()
    for name in ("celsius", "watts", "clock_mhz"):
        assert ours[name] == pytest.approx(theirs[name]), name
        assert list(ours[name]) == list(theirs[name]), "in the same order, for numbered names"
    assert ours["throttled"] is theirs["throttled"]


@pytest.mark.parametrize("tree", [ORIN_NANO, TX2, DESKTOP, {}], ids=["orin", "tx2", "desktop", "bare"])
def test_the_identity_is_what_the_python_agent_says(parts: Parts, tmp_path: Path, tree: Mapping[str, object]) -> None:
    caches = "sys/devices/system/cpu/cpu0/cache"
    plant(tmp_path, {
        **tree, "proc/cpuinfo": "processor\t: 0\nCPU part\t: 0xd42\n",
        f"{caches}/index0/type": "Data", f"{caches}/index0/level": 1, f"{caches}/index0/size": "64K",
        f"{caches}/index2/type": "Unified", f"{caches}/index2/level": 2, f"{caches}/index2/size": "1M",
    })  # fmt: skip
    ours, theirs = json.loads(parts("identity", tmp_path).stdout), identity.identity(None, tmp_path)
    assert set(ours) == set(theirs)
    assert ours["agent"] == "native" and ours["cpuinfo"].strip() == theirs["cpuinfo"].strip()
    for name in set(ours) - {"agent", "version", "tvm", "cpuinfo"}:
        assert ours[name] == theirs[name], name


def test_cooling_down_looks_at_the_hottest(parts: Parts, tmp_path: Path) -> None:
    assert json.loads(parts("cool_down", tmp_path).stdout)["reached"] is True, "nothing says that it is hot"
    plant(tmp_path, ORIN_NANO)
    answer = json.loads(parts("cool_down", tmp_path).stdout)
    assert (answer["celsius"], answer["reached"]) == (48.312, False)
    assert answer["waited"] >= 0.05
