"""What the desk may call in a session (*Functions* in docs/agent-protocol.md), one file for each kind."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from compiler.runtime.agent.functions.cool_down import cool_down
from compiler.runtime.agent.functions.files import Files
from compiler.runtime.agent.functions.measure import Measure
from compiler.runtime.agent.functions.power import Power
from compiler.runtime.agent.functions.profile import profile
from compiler.runtime.agent.functions.text import as_json
from compiler.runtime.agent.identity import identity
from compiler.runtime.sensors.reading import Sensors


def register(folder: Path, gpu: dict[str, Any] | None, client: socket.socket | None = None) -> None:
    """Register them with TVM; files are those in `folder`, `gpu` is the board's as `identity` tells it, `client` the
    session's connection."""
    import time

    import tvm_ffi

    sensors, files, power = Sensors(), Files(folder, client), Power()
    functions = {
        "tvm.rpc.server.workpath": files.path,
        "tvm.rpc.server.load_module": files.load_module,
        "tvm.rpc.server.upload": files.upload,
        "edgetune.append": files.append,
        "edgetune.receive": files.receive,
        "edgetune.sha256": files.sha256,
        "edgetune.identity": as_json(lambda: identity(gpu)),
        "edgetune.sensors": as_json(sensors.read),
        "edgetune.cool_down": as_json(lambda celsius, seconds: cool_down(sensors, celsius, seconds)),
        "edgetune.clock": time.time,
        "edgetune.measure": as_json(Measure(files)),
        "edgetune.profile": as_json(profile),
        "edgetune.power.channels": as_json(power.channels),
        "edgetune.power.start": as_json(power.start),
        "edgetune.power.edge": power.edge,
        "edgetune.power.run": power.run,
        "edgetune.power.runs": as_json(power.runs),
        "edgetune.power.stop": as_json(power.stop),
    }
    for name, function in functions.items():
        tvm_ffi.register_global_func(name, function, override=True)
