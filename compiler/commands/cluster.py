"""`--build-cluster`: where candidates are built besides this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import targets
from compiler.report.output import Output

if TYPE_CHECKING:
    from compiler.tuning.cluster.builder import ClusterBuilder
    from compiler.tuning.runner import Runner


@contextmanager
def opened_builder(
    address: str | None, target: targets.Target, runner: Runner | None, output: Output
) -> Iterator[ClusterBuilder | None]:
    """The cluster with the scheduler at `address`, beside this machine's cores; None where none is named.

    Raises UsageError and EdgetuneError, in one line, where it cannot be used.
    """
    if address is None:
        yield None
        return
    from compiler.tuning.cluster.builder import ClusterBuilder
    from compiler.tuning.tune import builders

    with ClusterBuilder(address, target, builders(target, runner), notify=output.warn) as builder:
        yield builder
        built = builder.built
    output.say(f"the cluster built {built['cluster']} of {built['cluster'] + built['here']} candidates")
