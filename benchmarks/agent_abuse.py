"""Thousands of malformed connections against an agent, then a normal session: how soon, and with how much memory.

    python benchmarks/agent_abuse.py [--kind python,native] [--connections 10000] [--seed 0] [--json FILE]

A seeded mix of random bytes, truncated handshakes, huge lengths, keys that are no UTF-8, silent sockets that stay open,
early closes, and garbage behind a good handshake. Every hundredth connection asks for the status, which must come at
once. Memory is the resident memory of all the agent's processes together; the first figure is taken after one normal
session. Exits with 1 where the session took a second or longer, or memory grew by a tenth.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import struct
import sys
import time
from collections import Counter, deque
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from compiler.runtime.rpc import wire  # noqa: E402
from tests.runtime.agent.agents import KINDS, Agent, Kind, running  # noqa: E402
from tests.waiting import wait_for  # noqa: E402

HELLO = wire.pack_int(wire.MAGIC)
GOOD = HELLO + wire.pack_text("client:")
SILENT_AT_ONCE = 100
"""More than the agent lets stay: it closes the oldest."""


def random_bytes(draw: random.Random) -> bytes:
    return draw.randbytes(draw.randint(1, 2000))


def truncated(draw: random.Random) -> bytes:
    return GOOD[: draw.randint(0, len(GOOD) - 1)]


def huge_length(draw: random.Random) -> bytes:
    return HELLO + struct.pack("<I", draw.choice([2**31 - 1, 2**32 - 1, 2**31, 1 << 20, 1025])) + draw.randbytes(50)


def not_utf8(draw: random.Random) -> bytes:
    key = b"client:" + bytes(draw.randint(0x80, 0xFF) for _ in range(draw.randint(1, 900)))
    return HELLO + struct.pack("<i", len(key)) + key


def garbage_in_a_session(draw: random.Random) -> bytes:
    return GOOD + draw.randbytes(draw.randint(1, 500))


CLOSING = [random_bytes, truncated, huge_length, not_utf8]


def abuse(agent: Agent, connections: int, seed: int) -> Counter[str]:
    """Make the connections; returns how many of each sort."""
    draw = random.Random(seed)
    made: Counter[str] = Counter()
    silent: deque[socket.socket] = deque()
    slowest = 0.0
    for number in range(connections):
        if number % 100 == 99:
            began = time.perf_counter()
            agent.status()
            slowest = max(slowest, time.perf_counter() - began)
            made["status"] += 1
            continue
        sock = socket.create_connection(agent.address, timeout=10)
        share = draw.random()
        if share < 0.2:
            made["silent"] += 1
            silent.append(sock)
            if len(silent) > SILENT_AT_ONCE:
                silent.popleft().close()
            continue
        if share < 0.3:
            made["closed at once"] += 1
            sock.close()
            continue
        # A session takes its process: as many as come in a second are enough.
        sort = garbage_in_a_session if share < 0.32 else draw.choice(CLOSING)
        made[sort.__name__.replace("_", " ")] += 1
        try:
            sock.sendall(sort(draw))
            if draw.random() < 0.5:
                sock.settimeout(0.01)
                sock.recv(1)
        except OSError:  # closed already, which is what it should be
            pass
        sock.close()
    for sock in silent:
        sock.close()
    made["slowest status, ms"] = round(slowest * 1e3)
    return made


def session_seconds(agent: Agent) -> float:
    """Seconds from the connection to the first answer of a normal session."""
    began = time.perf_counter()
    with agent.connect() as connection:
        connection.call("edgetune.clock")
        return time.perf_counter() - began


def measure(kind: Kind, connections: int, seed: int) -> dict[str, object]:
    with running(kind) as agent:
        session_seconds(agent)  # loads TVM here
        undisturbed = session_seconds(agent)
        wait_for(lambda: agent.status()["state"] == "free")
        time.sleep(0.5)
        before = agent.resident_bytes()
        began = time.perf_counter()
        made = abuse(agent, connections, seed)
        took = time.perf_counter() - began
        served = session_seconds(agent)
        wait_for(lambda: agent.status()["state"] == "free")
        time.sleep(6)  # the last handshakes have run out of time
        after = agent.resident_bytes()
        slowest = made.pop("slowest status, ms")
        return {
            "kind": kind.name,
            "connections": connections,
            "mix": dict(made),
            "seconds": round(took, 1),
            "session_before_s": round(undisturbed, 3),
            "session_after_s": round(served, 3),
            "slowest_status_ms": slowest,
            "memory_before_mb": round(before / 1e6, 1),
            "memory_after_mb": round(after / 1e6, 1),
            "memory_change": round(after / before - 1, 4),
            "failed_sessions": agent.status()["failed_sessions"],
            "log_bytes": len(agent.log),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", default="python,native", help="kinds of agents, separated by commas")
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="append a line for each kind")
    options = parser.parse_args()
    kinds = {kind.name: kind for kind in KINDS}
    good = True
    for name in options.kind.split(","):
        result = measure(kinds[name], options.connections, options.seed)
        good = good and result["session_after_s"] < 1.0 and result["memory_change"] < 0.1  # type: ignore[operator]
        for key, value in result.items():
            print(f"{key:<20} {value}")
        print()
        if options.json is not None:
            with options.json.open("a") as file:
                file.write(json.dumps(result) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
