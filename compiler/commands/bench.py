"""`edgetune bench`: packages, or models compiled from the records at hand, alone or in turns with other engines."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from compiler.bench.aa import AaLine
from compiler.bench.profile import Profiled
from compiler.bench.protocol import Protocol
from compiler.bench.result import Result
from compiler.bench.run import TOLERANCE, BenchReport
from compiler.bench.trace import BEGINS, Traced, write_trace
from compiler.commands import parse
from compiler.commands.build_package import BuildRequest, build_package
from compiler.commands.dataset import DataOptions
from compiler.commands.device import DeviceOptions, Place, opened_place
from compiler.commands.hardware import must_fit, must_have_cpus, must_run
from compiler.commands.mlperf import LoadOptions, under_load
from compiler.commands.power import PowerOptions
from compiler.commands.source import is_package, must_exist, opened_package
from compiler.commands.store import must_agree, records_at_hand
from compiler.errors import EdgetuneError, UsageError
from compiler.frontend.model import Model
from compiler.package import Package
from compiler.places import must_replace
from compiler.precision import must_have
from compiler.report import format as fmt
from compiler.report.bench import show_aa, show_bench, show_profile
from compiler.report.output import Output
from compiler.report.steps import Steps, steps
from compiler.runtime.session import Executable
from compiler.scratch import scratch_folder

INPUTS = 2
AA_SECONDS = 20.0
"""Long enough for some hundred pairs of short turns."""

# What is decided when a model is compiled, by the name of its option.
_FIXED = {
    "target": "--target",
    "batches": "--batch",
    "precisions": "--precision",
    "io_precision": "--io-precision",
    "shapes": "--shape",
    "logs": "--logs",
    "zero_trial": "--zero-trial",
}


@dataclass(frozen=True)
class BenchOptions:
    """The options of `edgetune bench`, as the command line gives them; `given` are the names of those it does give."""

    target: str
    batches: str | None
    precisions: str
    io_precision: str
    shapes: Sequence[str]
    vs: str | None
    tf32: bool
    runs: int
    seconds: float
    profile: bool
    trace: str | None
    aa: bool
    load: LoadOptions
    data: DataOptions
    power: PowerOptions
    logs: str | None
    seed: int
    threads: int | None
    allow_unverified: bool
    zero_trial: bool
    device: DeviceOptions
    given: frozenset[str]


def bench(sources: Sequence[str], output: Output, options: BenchOptions) -> None:
    """Measure every source, at every batch size and precision; a source that fails is reported and the others go on.

    Raises EdgetuneError at the end when one failed, and UsageError before the first for what cannot be meant.
    """
    from compiler.bench.peers import peer_names

    peers = parse.choices(options.vs, "--vs", peer_names()) if options.vs else []
    protocol = Protocol(runs=options.runs, seconds=options.seconds, tolerance=TOLERANCE)
    options.data.check()
    options.power.check()
    options.load.check()
    if options.tf32 and not peers:
        raise UsageError("--tf32 is for peers on a GPU: name them with --vs")
    if options.aa:
        _must_fit_aa(options)
    if options.trace is not None:
        must_replace(Path(options.trace), "--trace", kind="trace", begins=BEGINS)
    must_agree(options.logs, options.zero_trial)
    parse.precisions(options.precisions)
    parse.shapes(options.shapes)
    if options.device.local:
        must_have_cpus(options.threads)
    else:
        _must_do_on_boards(options, peers)
    for source in sources:
        must_exist(source)
        if is_package(source):
            _must_be_free(source, options)
    reports: list[BenchReport] = []
    failures: list[EdgetuneError] = []
    profiles: list[Traced] = []
    lines: list[tuple[str, AaLine]] = []
    with steps(output) as step, opened_place(options.device, step) as place:
        place.must_have_cpus(options.threads)
        subjects = list(_subjects(sources, output, options, step, place))
        for label, opening in subjects:
            try:
                with opening as subject:
                    if options.aa:
                        line = _measure_aa(subject, label, options, step, place)
                        output.json([line])
                        lines.append((label, line))
                        continue
                    report, profile = measured(subject, label, peers, protocol, options, step, place)
                    try:
                        for loaded in under_load(report, subject, options, step, place):
                            report = loaded
                    except EdgetuneError as error:
                        failures.append(error)
                        output.warn(f"{label} was not measured to the end under MLPerf's load: {error}")
                    finally:
                        # Written at once: what was measured survives a Ctrl-C.
                        output.json(lines_of(report, profile))
            except EdgetuneError as error:
                failures.append(error)
                # Where there is nothing else, the last line says it.
                if len(subjects) > 1:
                    output.warn(f"{label} was not measured: {error}")
                continue
            reports.append(report)
            refusal = options.power.refusal(report)
            if refusal is not None:
                failures.append(refusal)
            if profile is not None:
                profiles.append(Traced(label, report.results[0].device, profile))
                if options.trace is not None:
                    write_trace(Path(options.trace), profiles)
    if reports:
        show_bench(output, reports)
    for label, line in lines:
        show_aa(output, label, line.aa)
    for traced in profiles:
        show_profile(output, traced.label, traced.profiled.report)
    if failures:
        if len(failures) == 1:
            raise failures[0]
        raise EdgetuneError(f"{len(failures)} measurements failed, as the warnings say")


def lines_of(report: BenchReport, profile: Profiled | None) -> list[Result]:
    """The result lines of a measurement, ours with its profile."""
    own = msgspec.structs.replace(report.results[0], profile=profile.report if profile is not None else None)
    return [own, *report.results[1:]]


def _must_be_free(source: str, options: BenchOptions) -> None:
    """Raises UsageError where an option is given that the package `source` has had its say on."""
    for name, option in _FIXED.items():
        if name in options.given:
            raise UsageError(f"{source} is a package, which has this fixed: leave out {option}, or name the model")


def _must_fit_aa(options: BenchOptions) -> None:
    """Raises UsageError for what --aa does not go with."""
    if options.vs is not None or options.profile or options.trace or options.data.dataset is not None:
        raise UsageError("--aa measures one package beside itself: leave out --vs, --profile, --trace and --dataset")
    if options.load.wanted:
        raise UsageError("--aa measures one package beside itself: leave out --mlperf")
    if options.power.csv is not None:
        raise UsageError("--aa compares times: leave out --power-csv")
    if not options.device.local:
        raise UsageError("--aa is for this machine: leave out --rpc and --ssh")
    if "runs" in options.given:
        raise UsageError("--aa takes short turns for as long as --seconds says: leave out --runs")


def _must_do_on_boards(options: BenchOptions, peers: Sequence[str]) -> None:
    """Raises UsageError for what is done on this machine only."""
    if peers:
        raise UsageError("peers run on this machine, not on the board: leave out --vs, or --rpc and --ssh")


Subject = tuple[Package, Model | None]


def _subjects(
    sources: Sequence[str], output: Output, options: BenchOptions, step: Steps, place: Place
) -> Iterator[tuple[str, AbstractContextManager[Subject]]]:
    """A label and a context that opens it, for everything to measure."""
    with_model = options.vs is not None or options.data.dataset is not None or options.load.judged
    for source in sources:
        if is_package(source):
            yield source, _opened(source, step, with_model)
            continue
        batches = parse.batches(options.batches) if options.batches else [None]
        for batch in batches:
            for precision in parse.precisions(options.precisions):
                label = " ".join([source, *([f"batch {batch}"] if batch else []), precision])
                yield label, compiled(source, batch, precision, output, options, step, place)


@contextmanager
def _opened(source: str, step: Steps, with_model: bool) -> Iterator[Subject]:
    from compiler.bench.source import model_of

    package = opened_package(source)
    if with_model:
        step(f"Loading the model of {source}")
    yield package, model_of(package.manifest) if with_model else None


@contextmanager
def compiled(
    source: str,
    batch: int | None,
    precision: str,
    output: Output,
    options: BenchOptions,
    step: Steps,
    place: Place,
) -> Iterator[Subject]:
    """A package of the model `source`, compiled from the records at hand, which is gone afterwards; and the model."""
    from compiler.frontend import load

    target = place.target(options.target, options.threads)
    must_have(target, precision)
    must_run(target, "measure", place.machine)
    step(f"Loading {source}")
    model = load(source, batch=batch, shapes=parse.shapes(options.shapes) or None, seed=options.seed)
    with (
        scratch_folder("bench") as folder,
        records_at_hand(options.logs, target, options.zero_trial, place.machine) as store,
    ):
        package = build_package(
            BuildRequest(
                model=model,
                target=target,
                path=folder / f"{model.name}.tar",
                precision=precision,
                io_precision=options.io_precision,
                seed=options.seed,
                allow_unverified=options.allow_unverified,
                place=place,
            ),
            store,
            output,
            step,
        )
        yield package, model


def measured(
    subject: Subject,
    label: str,
    peers: Sequence[str],
    protocol: Protocol,
    options: BenchOptions,
    step: Steps,
    place: Place,
) -> tuple[BenchReport, Profiled | None]:
    """The figures of one package beside its peers, and with --profile those of its kernels."""
    from compiler.bench.peak_of import peak_of
    from compiler.bench.probes import probe_inputs
    from compiler.bench.profile import profile
    from compiler.bench.run import bench as measure

    package, model = subject
    must_fit(package.manifest)
    specs = model.inputs if model is not None else package.manifest.inputs
    inputs = probe_inputs(specs, INPUTS, options.seed)
    with place.session(package.manifest, options.threads, step) as session:
        executable = session.load(package)
        threads = executable.threads

        def turn(engine: str, number: int, turns: int) -> None:
            step(f"Measuring {label}: {engine}, turn {number} of {turns}")

        step(f"Preparing {label}")
        progress = turn if step.live else None
        report = measure(
            executable,
            inputs,
            threads=threads,
            model=model,
            peers=peers,
            protocol=protocol,
            progress=progress,
            local=place.local,
            meter=options.power.meter(session, package.manifest),
            tf32=options.tf32,
        )
        if options.data.dataset is not None and model is not None:
            report = _classified(report, executable, model, options, step, threads)
        if not options.profile and options.trace is None:
            return report, None
        step(f"Profiling {label}")
        return report, profile(executable, inputs[0], peak=peak_of(session, executable))


def _classified(
    report: BenchReport, executable: Executable, model: Model, options: BenchOptions, step: Steps, threads: int
) -> BenchReport:
    """`report` with what all of --dataset says of our accuracy."""
    from compiler.bench.classification import classify
    from compiler.bench.dataset import open_dataset
    from compiler.bench.verify import onnx_reference

    manifest = executable.manifest
    data = open_dataset(str(options.data.dataset), manifest.inputs, options.data.images)
    step(f"Comparing with ONNX Runtime on {fmt.count(data.size, 'item')} of {data.name}")
    seen = classify(executable.run, executable.inputs, onnx_reference(model, threads), data, manifest.precision)
    own = msgspec.structs.replace(report.results[0], classification=seen)
    return dataclasses.replace(report, results=(own, *report.results[1:]))


def _measure_aa(subject: Subject, label: str, options: BenchOptions, step: Steps, place: Place) -> AaLine:
    from compiler.bench.aa import measure_pairs
    from compiler.bench.engine import PackageEngine
    from compiler.bench.probes import probe_inputs

    package, _ = subject
    must_fit(package.manifest)
    (inputs,) = probe_inputs(package.manifest.inputs, 1, options.seed)
    seconds = options.seconds if "seconds" in options.given else AA_SECONDS
    with place.session(package.manifest, options.threads, step) as session:
        first, second = session.load(package), session.load(package)
        step(f"Measuring {label} beside itself for {fmt.span(seconds)}")
        started = datetime.now(timezone.utc).isoformat(timespec="seconds")
        found = measure_pairs(PackageEngine(first), PackageEngine(second), inputs, seconds=seconds)
        return AaLine(
            aa=found,
            model=package.manifest.model.name,
            device=first.device,
            fingerprint=first.fingerprint,
            batch=package.manifest.batch,
            precision=package.manifest.precision,
            threads=first.threads,
            started=started,
        )
