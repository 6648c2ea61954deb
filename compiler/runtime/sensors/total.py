"""One figure for a board's power, from the rails that are measured."""

from __future__ import annotations

from collections.abc import Mapping

_WHOLE = ("VDD_IN", "POM_5V_IN", "VIN")
"""Rails that feed the whole board or module: the others are parts of them."""


def total_watts(watts: Mapping[str, float]) -> float | None:
    """The whole board's power where a rail is that; else of the processors' packages; else the sum of what there is."""
    for rail in _WHOLE:
        if rail in watts:
            return watts[rail]
    # RAPL's `package-0 dram` lies beside its package, not within; its `core` and `uncore` do.
    packages = [
        value
        for name, value in watts.items()
        if name.startswith("package-") and (" " not in name or name.endswith(" dram"))
    ]
    parts = packages + [value for name, value in watts.items() if not name.startswith(("package-", "psys"))]
    return sum(parts) if parts else None
