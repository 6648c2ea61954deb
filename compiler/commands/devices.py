"""`edgetune devices`: which boards can be reached, and what they are doing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from compiler.commands.device import DeviceOptions, way_to_board
from compiler.errors import EdgetuneError, UsageError
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import steps
from compiler.runtime.rpc.address import Address, check_key, parse_address
from compiler.runtime.rpc.fleet import Board, find
from compiler.runtime.rpc.wire import DEFAULT_PORT, DEFAULT_TRACKER_PORT
from compiler.runtime.sensors.total import total_watts

_COLUMNS = ("key", "address", "device", "state", "TVM", "°C", "W", "power mode", "agent", "up", "fingerprint")
_HERE = tuple(Address("127.0.0.1", port) for port in (DEFAULT_PORT, DEFAULT_TRACKER_PORT))


def devices(output: Output, rpc: str | None, key: str | None, ssh: str | None = None) -> None:
    """List the boards behind `rpc` (an agent's or a tracker's address), that of `ssh`, or those this machine knows.

    Raises UsageError for wrong options and EdgetuneError where there is no board.
    """
    if key is not None:
        check_key(key)
    if ssh is not None:
        if rpc is not None or key is not None:
            raise UsageError("--ssh leads to one board: give it without --rpc and --key")
        with steps(output) as step, way_to_board(DeviceOptions(ssh=ssh), step) as way:
            boards = [replace(board, name=ssh) for board in find(way.address)]
    else:
        boards = find(parse_address(rpc, DEFAULT_PORT)) if rpc is not None else _of_this_machine()
    if not boards:
        raise EdgetuneError(f"the tracker at {rpc} knows no board: `edgetune serve --tracker HOST:PORT` registers one")
    found = [board for board in boards if key is None or board.key == key]
    if not found:
        there = ", ".join(sorted({board.key for board in boards}))
        raise EdgetuneError(f"there is no board of {key}: there are boards of {there}")
    output.table(_COLUMNS, map(_row, found), right="°C,W,up", spare=("fingerprint", "power mode", "agent", "TVM"))
    for line in _mixed(found):
        output.warn(line)
    output.json(map(_json, found))


def _of_this_machine() -> list[Board]:
    boards: dict[Address, Board] = {}
    for address in _HERE:
        try:
            for board in find(address):
                boards[board.address] = board
        except EdgetuneError:
            continue
    if not boards:
        raise EdgetuneError(
            f"no agent and no board of a tracker on this machine (ports {DEFAULT_PORT} and {DEFAULT_TRACKER_PORT}): "
            "--rpc HOST:PORT leads to others, `edgetune serve` starts an agent"
        )
    return list(boards.values())


def _row(board: Board) -> tuple[object, ...]:
    identity, status = board.identity, board.status or {}
    sensors = status.get("sensors") if isinstance(status.get("sensors"), dict) else {}
    celsius = max(_numbers(sensors, "celsius").values(), default=None)
    watts = total_watts(_numbers(sensors, "watts"))
    uptime = status.get("uptime_s")
    fingerprint = board.fingerprint
    return (
        board.key,
        board.name or board.address,
        board.device,
        _state(board, status),
        identity.tvm if identity is not None else None,
        f"{celsius:.0f}" if celsius is not None else None,
        f"{watts:.1f}" if watts is not None else None,
        identity.power_mode if identity is not None else None,
        f"{identity.agent} {identity.version}" if identity is not None else None,
        fmt.span(uptime) if isinstance(uptime, int | float) and board.reachable else None,
        fingerprint.id if fingerprint is not None else None,
    )


def _state(board: Board, status: Mapping[str, Any]) -> str:
    if not board.reachable:
        return "not reachable from here"
    took, client = status.get("session_seconds"), status.get("client")
    words = str(status.get("state", "unknown"))
    if isinstance(took, int | float):
        words += f" for {fmt.span(took)}"
    return f"{words}, {client}" if client else words


def _numbers(sensors: Any, name: str) -> dict[str, float]:
    values = sensors.get(name) if isinstance(sensors, dict) else None
    if not isinstance(values, dict):
        return {}
    return {key: float(value) for key, value in values.items() if isinstance(value, int | float)}


def _mixed(boards: list[Board]) -> list[str]:
    """A line for each key whose boards are not interchangeable."""
    kinds: dict[str, set[str]] = {}
    for board in boards:
        fingerprint = board.fingerprint
        if fingerprint is not None:
            kinds.setdefault(board.key, set()).add(fingerprint.id)
    return [
        f"boards of {key} have {len(ids)} fingerprints: what is learned on one does not hold for the others"
        for key, ids in kinds.items()
        if len(ids) > 1
    ]


def _json(board: Board) -> dict[str, Any]:
    fingerprint = board.fingerprint
    return {
        "schema": 1,
        "key": board.key,
        "address": board.name or str(board.address),
        "reachable": board.reachable,
        "device": board.device,
        "fingerprint": fingerprint.id if fingerprint is not None else None,
        "fingerprint_parts": asdict(fingerprint) if fingerprint is not None else None,
        "status": board.status,
    }
