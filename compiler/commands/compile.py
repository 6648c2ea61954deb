"""`edgetune compile`: a model becomes a verified package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compiler.commands import parse
from compiler.commands.build_package import BuildRequest, build_package
from compiler.commands.hardware import find_target, must_compile
from compiler.commands.inspect import package_facts
from compiler.commands.store import opened_store
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import steps

_SHOWN = ("model", "target", "batch", "precision", "threads", "tuned", "verified")


def compile_(
    source: str,
    output: Output,
    *,
    target: str,
    batch: int | None,
    precision: str,
    io_precision: str,
    shapes: Sequence[str],
    path: str | None,
    logs: str | None,
    seed: int,
    threads: int | None,
    dump: str | None,
    allow_unverified: bool,
) -> None:
    """Build the package and say what is in it."""
    from compiler.frontend import load

    chosen = find_target(target, threads)
    must_compile(chosen)
    wanted = parse.shapes(shapes)
    with steps(output) as step, opened_store(logs, chosen) as store:
        step(f"Loading {source}")
        model = load(source, batch=batch, shapes=wanted or None, seed=seed)
        default = f"{model.name}-{chosen.name}-b{model.batch or 1}-{precision}.tar"
        package = build_package(
            BuildRequest(
                model=model,
                target=chosen,
                path=Path(path or default),
                precision=precision,
                io_precision=io_precision,
                seed=seed,
                dump=Path(dump) if dump else None,
                allow_unverified=allow_unverified,
            ),
            store,
            output,
            step,
        )
    facts = package_facts(package.manifest)
    size = fmt.size(package.path.stat().st_size)
    output.facts({**{name: facts[name] for name in _SHOWN}, "size": size}, title=f"wrote {package.path}")
    if package.manifest.untuned:
        untuned = len(package.manifest.untuned)
        output.note(f"{untuned} tasks run with untuned schedules: `edgetune tune {source}` can make them faster")
    output.json([{"path": str(package.path), "manifest": package.manifest}])
