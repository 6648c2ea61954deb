"""A package beside its peers, its profile, and the machine's peak: all real, all small."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import onnx
import pytest

import targets
from compiler.bench.engine import PackageEngine
from compiler.bench.peak import Peak, measure_peak
from compiler.bench.profile import profile, report
from compiler.bench.protocol import Protocol
from compiler.bench.result import PEERS_TF32
from compiler.bench.run import bench
from compiler.bench.source import model_of
from compiler.bench.suite import Cell, Done
from compiler.bench.verify import verify_model
from compiler.errors import EdgetuneError, UsageError
from compiler.frontend import load, random_inputs
from compiler.frontend.model import Model
from compiler.package import Accuracy, KernelWork, ModelInfo, Package, write
from compiler.report.bench import show_profile
from compiler.report.output import Output
from compiler.runtime.profiling import KernelTime, Profile
from compiler.runtime.session import LocalSession
from tests.runtime import small

pytestmark = pytest.mark.skipif(
    targets.why_not_run(targets.get(small.TARGET)) is not None, reason=f"this CPU cannot run {small.TARGET}"
)

QUICK = Protocol(runs=20, seconds=0.0, rounds=2, warmup_runs=1, warmup_seconds=0.0)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    folder = tmp_path_factory.mktemp("package")
    path = folder / "small.onnx"
    onnx.save(small.onnx_model(), path)
    model = load(str(path))
    info = ModelInfo(name="small", source=str(path), sha256=model.sha256, batch=2, shapes=model.shapes)
    return small.package(folder, model=info, verified=True, trials=7)


def test_a_package_beside_its_peers(package: Package) -> None:
    pytest.importorskip("openvino")
    model = model_of(package.manifest)
    inputs = [random_inputs(model.inputs, seed) for seed in range(2)]
    turns: list[str] = []
    with LocalSession(threads=1) as session:
        outcome = bench(
            session.load(package),
            inputs,
            threads=1,
            model=model,
            peers=["onnxruntime", "openvino"],
            protocol=QUICK,
            progress=lambda engine, turn, total: turns.append(engine),
        )
    assert turns == ["edgetune", "onnxruntime", "openvino"] * 2
    assert outcome.missing == ()
    assert [ratio.reference for ratio in outcome.ratios] == ["onnxruntime", "openvino"]
    assert all(0 < ratio.low <= ratio.ratio <= ratio.high for ratio in outcome.ratios)
    own, *others = outcome.results
    assert (own.engine, own.tasks, own.tuned_tasks, own.trials) == ("edgetune", 2, 1, 7)
    assert own.images_per_s == pytest.approx(2e3 / own.latency_ms.mean)  # type: ignore[union-attr]
    assert own.device == targets.device_name()
    assert own.fingerprint == package.manifest.fingerprint
    assert (own.watts, own.power_source) == (None, None)
    for result in outcome.results:
        assert (result.model, result.batch, result.threads, result.runs) == ("small", 2, 1, 20)
        assert result.accuracy is not None
        assert result.accuracy.ok
        assert result.accuracy.inputs == 2
        assert any("only 20 runs" in warning for warning in result.warnings)
    assert all((other.tasks, other.trials) == (None, None) for other in others)


def test_beside_peers_with_tf32_each_line_says_what_it_is(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ONNX Runtime's CPU kernels in the place of a GPU's."""
    from compiler.bench import run
    from compiler.bench.peers import onnxruntime

    asked: list[str] = []

    def opened(name: str, model: Model, threads: int, precision: str, device: str) -> onnxruntime.OnnxRuntime:
        peer = onnxruntime.OnnxRuntime(model, threads, "fp32")
        peer.precision = precision  # type: ignore[misc]
        asked.append(precision)
        return peer

    model, manifest = model_of(package.manifest), package.manifest
    inputs = [random_inputs(model.inputs, seed) for seed in range(2)]
    with LocalSession(threads=1) as session:
        executable = session.load(package)
        with pytest.raises(UsageError, match="--tf32 is for GPUs, and small was compiled for"):
            bench(executable, inputs, threads=1, model=model, peers=["onnxruntime"], protocol=QUICK, tf32=True)
        monkeypatch.setattr(run, "device_kind", lambda manifest: "cuda")
        monkeypatch.setattr(run, "open_peer", opened)
        outcome = bench(executable, inputs, threads=1, model=model, peers=["onnxruntime"], protocol=QUICK, tf32=True)
    own, peer = outcome.results
    assert asked == [peer.precision] == ["tf32"] and own.precision == "fp32"
    assert own.settings == {PEERS_TF32: "1"} and any("computes in FP32 here" in line for line in own.warnings)
    assert own.ratios[0].reference == "onnxruntime with TF32"
    assert all(result.accuracy is not None and result.accuracy.ok for result in outcome.results)
    assert not Done([own]).has(Cell("small", 2, "fp32"), own.target, own.device, [])
    with pytest.raises(UsageError, match="--tf32 is for FP32, and small was compiled with fp16"):
        run.must_know_tf32(msgspec.structs.replace(manifest, precision="fp16"))
    with pytest.raises(UsageError, match="beside small, of tf32, the peers may use TF32 anyway"):
        run.must_know_tf32(msgspec.structs.replace(manifest, precision="tf32"))


def test_without_the_model_the_manifests_verdict_counts(package: Package, tmp_path: Path) -> None:
    verdict = Accuracy(
        reference="onnxruntime fp32", max_abs_err=1.0, rel_l2_err=0.1, top1_agreement=None, inputs=4, ok=False
    )
    manifest = msgspec.structs.replace(small.manifest(), accuracy=verdict, batch=None)
    with package.unpack() as folder:
        library = (folder / "library.so").read_bytes()
    failed = write(tmp_path / "failed.tar", {"library.so": library}, manifest)
    with LocalSession(threads=1) as session:
        executable = session.load(failed)
        (result,) = bench(executable, [small.inputs()], threads=1, protocol=QUICK).results
        assert result.accuracy == verdict
        assert result.images_per_s is None
        assert "this package was not verified" in result.warnings
        with pytest.raises(EdgetuneError, match="peers need the model"):
            bench(executable, [small.inputs()], threads=1, peers=["onnxruntime"])
        with pytest.raises(UsageError, match="at least one set of inputs"):
            bench(executable, [], threads=1)


def test_a_peer_that_fails_does_not_stop_the_others(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    def broken(*args: object, **more: object) -> object:
        raise RuntimeError("no luck\ntoday")

    model = model_of(package.manifest)
    inputs = [random_inputs(model.inputs, seed) for seed in range(2)]
    with LocalSession(threads=1) as session:
        executable = session.load(package)
        monkeypatch.setattr(onnxruntime.InferenceSession, "io_binding", broken)
        monkeypatch.setattr("compiler.bench.peers.onnxruntime.OnnxRuntime.run", broken)
        outcome = bench(executable, inputs, threads=1, model=model, peers=["onnxruntime"], protocol=QUICK)
        assert [result.engine for result in outcome.results] == ["edgetune"]
        assert outcome.missing == (("onnxruntime", "onnxruntime failed on these inputs: no luck"),)
        with pytest.raises(UsageError, match="no peer"):
            bench(executable, inputs, threads=1, model=model, peers=["nobody"], protocol=QUICK)


def test_a_package_is_verified_and_a_wrong_one_is_not(package: Package, tmp_path: Path) -> None:
    model = model_of(package.manifest)
    with LocalSession(threads=1) as session:
        executable = session.load(package)
        good = verify_model(executable.run, executable.inputs, model, "fp32", count=2, threads=1)
        assert good.ok
        assert good.accuracy.rel_l2_err is not None
        assert good.accuracy.rel_l2_err < 1e-5
        other = tmp_path / "other.onnx"
        onnx.save(small.onnx_model(scale=1.01), other)
        assert not verify_model(executable.run, executable.inputs, load(str(other)), "fp32", count=2, threads=1).ok


def test_the_model_of_a_package(package: Package, tmp_path: Path) -> None:
    manifest = package.manifest
    assert model_of(manifest).shapes == {"x": (2, 3, 8, 8)}

    def changed(**fields: object) -> object:
        info = {name: getattr(manifest.model, name) for name in manifest.model.__struct_fields__}
        return small.manifest(model=ModelInfo(**{**info, **fields}))  # type: ignore[arg-type]

    with pytest.raises(EdgetuneError, match="has changed since"):
        model_of(changed(sha256="0" * 64))  # type: ignore[arg-type]
    with pytest.raises(EdgetuneError, match="cannot be loaded"):
        model_of(changed(source=str(tmp_path / "gone.onnx")))  # type: ignore[arg-type]


def test_profile_of_a_package(package: Package) -> None:
    with LocalSession(threads=1) as session:
        profiled = profile(session.load(package), small.inputs(), runs=2, peak=Peak(100.0, 10.0, 1, "assumed"))
    rows = profiled.report.rows
    assert len(profiled.measured.timeline) == 2
    conv = next(row for row in rows if row.name == "conv2d")
    # the manifest says 10^6 operations and 10^4 bytes a call
    assert conv.gflops == pytest.approx(1e6 / (conv.milliseconds * 1e-3) / 1e9)
    assert conv.gb_s == pytest.approx(conv.gflops / 100)  # type: ignore[operator]
    assert conv.of_peak_flops == pytest.approx(conv.gflops / 100)  # type: ignore[operator]
    assert conv.of_peak_bandwidth == pytest.approx(conv.gb_s / 10)  # type: ignore[operator]
    unknown = [row for row in rows if row.name != "conv2d"]
    assert all(row.gflops is None and row.of_peak_flops is None and row.gb_s is not None for row in unknown)
    assert sum(row.share for row in rows) == pytest.approx(1.0)


def test_profile_rows_without_a_peak() -> None:
    measured = Profile((KernelTime("k", 2, 1e-3, 1000), KernelTime("none", 1, 0.0, 0)), 1e-4, 2e-3, 3)
    outcome = report(measured, {"k": KernelWork(flops=5e5)}, "it was not measured")
    assert (outcome.peak, outcome.no_peak) == (None, "it was not measured")
    first, second = outcome.rows
    assert (first.gflops, first.gb_s) == (pytest.approx(1.0), pytest.approx(0.002))
    assert (first.of_peak_flops, first.of_peak_bandwidth) == (None, None)
    assert (second.gflops, second.gb_s, second.share) == (None, None, 0.0)
    assert (outcome.machine_ms, outcome.total_ms) == (pytest.approx(0.1), pytest.approx(2.0))


def test_the_peak_of_this_machine() -> None:
    peak = measure_peak(1)
    assert measure_peak(1) is peak
    assert 0 < peak.gflops < 1000
    assert 0 < peak.gb_s < 500
    assert "1 threads" in peak.how


def test_our_engine_speaks_for_its_manifest(package: Package) -> None:
    with LocalSession(threads=1) as session:
        engine = PackageEngine(session.load(package))
        assert (engine.name, engine.precision, engine.version) == ("edgetune", "fp32", "0.0")
        assert engine.run(small.inputs())["y"].shape == (2, 5)
        assert len(engine.timed(small.inputs(), runs=3).seconds) == 3


def test_more_than_the_peak_of_memory_is_explained() -> None:
    measured = Profile((KernelTime("k", 1, 1e-3, 20_000_000),), 1e-4, 2e-3, 3)
    for gb_s, explained in ((10.0, True), (40.0, False)):
        out = io.StringIO()
        show_profile(Output(out=out), "small", report(measured, {}, Peak(100.0, gb_s, 1, "assumed")))
        assert ("in the caches" in out.getvalue()) == explained
