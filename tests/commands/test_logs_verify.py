"""`edgetune logs verify`, as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cli
from compiler.records.store import Store
from tests.records.trust.kernels import FINGERPRINT, claim, edited, imported, schedule, tiled


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `edgetune logs verify ARGUMENTS`."""
    code = cli.main(["logs", "verify", *map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--model", "alexnet", "--all"], "give one"),
        (["--sample", "3"], "--remeasure"),
        (["--demote"], "--remeasure"),
        (["--batch", "3"], "--model"),
        (["--model", "no_such_model.onnx"], "there is no file"),
        (["--fingerprint", "nope"], "no records of nope"),
        (["--target", "nope"], "nope"),
        (["--threshold", "0", "--remeasure"], "threshold"),
    ],
)
def test_wrong_use(arguments: list[str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(tmp_path / "records.db") as store:
        imported(store, claim(schedule()))
    code, _, err = run(capsys, *arguments, "--logs", tmp_path)
    assert code == 2
    assert why in err
    assert "Traceback" not in err


def test_good_and_bad_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = claim(schedule(tiled(8)), seconds=(1e-9, 1e-9, 1.1e-9))
    bad = claim(edited(schedule(), lambda i, _: i[0][2].__setitem__(0, "none")))
    with Store(tmp_path / "records.db") as store:
        imported(store, good, bad)
    code, out, err = run(capsys, "--logs", tmp_path, "--json", tmp_path / "x.json")
    assert code == 1 and "1 record quarantined" in err
    assert "2 imported schedules: 1 compute the right numbers" in out
    assert bad.id[:12] in out and "a stranger" in out
    [line] = [json.loads(line) for line in (tmp_path / "x.json").read_text().splitlines()]
    assert (line["checked"], line["quarantined"]) == (1, 1)
    assert [q["record"] for q in line["quarantine"]] == [bad.id]
    code, out, err = run(capsys, "--logs", tmp_path)  # known: no error any more
    assert code == 0 and bad.id[:12] in out
    assert cli.main(["logs", "list", "--logs", str(tmp_path)]) == 0
    assert "1 record quarantined" in capsys.readouterr().err
    code, out, err = run(capsys, "--logs", tmp_path, "--remeasure", "--demote")
    assert code == 0 and "OFF" in out and "1 demoted" in out
    with Store(tmp_path / "records.db") as store:
        best = store.best(good.workload, FINGERPRINT)
        assert best is not None and best.extra["disproves"] == good.id


def test_of_another_device_records_are_applied_and_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(tmp_path / "records.db") as store:
        imported(store, claim(schedule(), fingerprint="another-device"))
    code, out, err = run(capsys, "--logs", tmp_path, "--fingerprint", "another-device")
    assert code == 0
    assert "1 apply and were not run" in out and "this machine is not another-device" in err
    code, _, err = run(capsys, "--logs", tmp_path, "--fingerprint", "another-device", "--remeasure")
    assert code == 2 and "on the device itself" in err


def test_kernels_that_came_with_a_log_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(tmp_path / "records.db") as store:
        imported(store, claim(schedule()), own_kernel=False)
    code, out, err = run(capsys, "--logs", tmp_path)
    assert code == 0
    assert "0 imported schedules" in out and "1 kernel left out" in err
