"""Builds on a real dask cluster on loopback, whose machines come and go."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")

import targets
from compiler.errors import EdgetuneError, UsageError
from compiler.tuning.cluster.builder import ClusterBuilder, scheduler_address
from compiler.tuning.workers import Outcome
from tests.command import edgetune_here, one_line
from tests.tuning import libraries
from tests.tuning.cluster.processes import START_SECONDS, Cluster, builds_of, cluster
from tests.waiting import wait_for

TARGET = targets.get("native", 1)
FORMULAS = ["x + 1", "x * 2", "x - 3", "x * x", "x + x", "te.exp(x)", "x * 5", "x - 1"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler with a worker, which the tests leave as they found it."""
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
        made.worker()
        yield made


@pytest.fixture(scope="module")
def shared(running: Cluster) -> Iterator[ClusterBuilder]:
    with ClusterBuilder(running.address, TARGET, 1) as made:
        yield made


@pytest.fixture(scope="module")
def modules() -> list[str]:
    return [libraries.module(formula) for formula in FORMULAS]


def jobs(folder: Path, modules: list[str]) -> list[dict[str, Any]]:
    return [
        {"module": module, "target": TARGET.config(), "library": str(folder / f"{number}.so")}
        for number, module in enumerate(modules)
    ]


def assert_built(outcomes: list[Outcome], wanted: list[dict[str, Any]]) -> None:
    """Every library lies in its own file, with what is known of it."""
    for outcome, job in zip(outcomes, wanted, strict=True):
        assert outcome.error is None, outcome.error
        library, arguments = outcome.value
        assert library == job["library"] and Path(library).read_bytes()[:4] == b"\x7fELF"
        assert [(tuple(shape), dtype) for shape, dtype in arguments] == libraries.ONE_FLOAT


def test_candidates_are_built_here_and_there_and_come_back_in_order(
    shared: ClusterBuilder, modules: list[str], tmp_path: Path
) -> None:
    import numpy as np
    import tvm

    assert shared.parallel == 2, "a thread of the worker, and a core of this machine"
    before = dict(shared.built)
    wanted = jobs(tmp_path, modules * 3)
    told: list[int] = []
    outcomes = shared.map("build", wanted, 240, done=lambda index, outcome: told.append(index))
    assert_built(outcomes, wanted)
    assert sorted(told) == list(range(len(wanted)))
    assert sum(shared.built.values()) - sum(before.values()) == len(wanted)
    for _ in range(20):  # where one of them gets no processor, the other may build all
        if min(shared.built[where] - before[where] for where in before) > 0:
            break
        assert_built(shared.map("build", wanted, 240), wanted)
    assert min(shared.built[where] - before[where] for where in before) > 0, shared.built
    x, y = tvm.runtime.tensor(np.arange(4, dtype="float32")), tvm.runtime.tensor(np.zeros(4, "float32"))
    for number in (1, len(wanted) - 1):
        tvm.runtime.load_module(wanted[number]["library"])["main"](x, y)
        expected = {1: np.arange(4) * 2, len(wanted) - 1: np.arange(4) - 1}[number]
        assert np.array_equal(y.numpy(), expected)
    assert shared.map("build", [], 240) == []


def test_what_fails_is_an_outcome(shared: ClusterBuilder, modules: list[str], tmp_path: Path) -> None:
    wanted = jobs(tmp_path, modules[:4])
    wanted[0]["module"] = wanted[2]["module"] = wanted[3]["module"] = "{}"
    outcomes = shared.map("build", wanted, 240)
    assert_built(outcomes[1:2], wanted[1:2])
    for outcome in (outcomes[0], outcomes[2], outcomes[3]):
        assert outcome.error is not None and "\n" not in outcome.error
    late = shared.map("build", wanted[1:2] * 2, 0.0001)
    assert {outcome.error for outcome in late} == {"timed out after 0.0001 s"}
    assert_built(shared.map("build", wanted[1:2] * 3, 240), wanted[1:2] * 3)


def test_stop_leaves_the_rest_undone(shared: ClusterBuilder, modules: list[str], tmp_path: Path) -> None:
    wanted = jobs(tmp_path, modules)
    answers = iter([False, True])
    outcomes = shared.map("build", wanted, 240, stop=lambda: next(answers, True))
    assert [outcome.error for outcome in outcomes] == [None] * 2 + ["not run"] * 6


def test_a_compiler_that_dies_costs_its_job(
    running: Cluster, shared: ClusterBuilder, modules: list[str], tmp_path: Path
) -> None:
    """The compiler's process is not the dask worker's, which goes on."""
    worker = running.processes[1]
    wanted = jobs(tmp_path, modules)
    shared.map("build", wanted, 240)
    [stopped] = builds_of(worker)
    stopped.suspend()
    thread, found = _mapping(shared, wanted)
    wait_for(lambda: [flight.worker is not None for flight in shared._flying] == [True], START_SECONDS)
    stopped.kill()
    thread.join(240)
    errors = [outcome.error for outcome in found[0]]
    assert errors.count("crashed: SIGKILL") == 1 and errors.count(None) == 7
    assert worker.poll() is None
    assert_built(shared.map("build", wanted, 240), wanted)


def test_abandon_gives_back_what_is_under_way(
    running: Cluster, shared: ClusterBuilder, modules: list[str], tmp_path: Path
) -> None:
    wanted = jobs(tmp_path, modules[:2])
    shared.map("build", wanted, 240)
    [stopped] = builds_of(running.processes[1])
    stopped.suspend()
    thread, found = _mapping(shared, wanted)
    wait_for(lambda: len(shared._flying) == 1, START_SECONDS)
    shared.abandon()
    thread.join(240)
    assert not thread.is_alive() and "given up" in [outcome.error for outcome in found[0]]
    stopped.kill()
    assert_built(shared.map("build", wanted, 240), wanted)


def test_ctrl_c_leaves_the_builder_usable(shared: ClusterBuilder, modules: list[str], tmp_path: Path) -> None:
    wanted = jobs(tmp_path, modules * 4)
    finger = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        finger.start()
        while True:
            shared.map("build", wanted, 240)
    assert_built(shared.map("build", wanted[:6], 240), wanted[:6])


def test_workers_die_and_come_and_nothing_is_lost(
    tmp_path_factory: pytest.TempPathFactory, modules: list[str], tmp_path: Path
) -> None:
    """kill -9 in the middle of a build; another worker joins; at last the scheduler itself goes."""
    notices: list[str] = []
    wanted = jobs(tmp_path, modules)
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
        first = made.worker(threads=2)
        with ClusterBuilder(made.address, TARGET, 1, notify=notices.append) as builder:
            assert_built(builder.map("build", wanted, 240), wanted)
            for process in builds_of(first):
                process.suspend()
            thread, found = _mapping(builder, wanted)
            wait_for(lambda: sum(flight.worker is not None for flight in builder._flying) == 2, START_SECONDS)
            builds = builds_of(first)
            first.kill()
            thread.join(240)
            assert_built(found[0], wanted)
            wait_for(lambda: not any(process.is_running() for process in builds), START_SECONDS)
            assert builder.parallel == 1
            made.worker()
            before = builder.built["cluster"]
            deadline = time.monotonic() + 120
            while builder.built["cluster"] == before and time.monotonic() < deadline:
                assert_built(builder.map("build", wanted, 240), wanted)
            assert builder.built["cluster"] > before and notices == []
            timer = threading.Timer(0.2, made.scheduler.kill)
            timer.start()
            while made.scheduler.poll() is None:
                assert_built(builder.map("build", wanted, 240), wanted)
            timer.join()
            for _ in range(3):
                assert_built(builder.map("build", wanted, 240), wanted)
                time.sleep(0.5)
    assert len(notices) == 1 and notices[0].endswith("does not answer: this machine builds alone")


OLDER = """
from compiler.tuning.cluster import remote
told = remote.__dict__.setdefault("told", remote.describe)
remote.describe = lambda *asked: {**told(*asked), "tvm": "0.26.0", "host": "attic"}
"""
NO_LINKER = """
from compiler.tuning.cluster import remote
told = remote.__dict__.setdefault("told", remote.describe)
remote.describe = lambda *asked: {**told(*asked), "cannot": "no linker for it is there", "host": "attic"}
"""
NOT_INSTALLED = """
import sys
for name in [name for name in sys.modules if name.partition(".")[0] == "compiler"]:
    del sys.modules[name]
sys.modules["compiler"] = None
"""


def test_workers_that_differ_are_named(
    running: Cluster, shared: ClusterBuilder, modules: list[str], tmp_path: Path
) -> None:
    """At the start that is the end; one that joins later is left out."""
    for preload, said in (
        (OLDER, "on attic has TVM 0.26.0, and this machine has"),
        (NO_LINKER, "on attic cannot compile: no linker"),
        (NOT_INSTALLED, "has no edgetune installed"),
    ):
        odd = running.worker(preload=preload)
        try:
            with pytest.raises(EdgetuneError, match=f"the worker tcp://127.0.0.1:[0-9]+ {said}") as error:
                ClusterBuilder(running.address, TARGET, 1).__enter__()
            assert "\n" not in str(error.value)
            wait_for(lambda: _looked(shared)._refused != {}, START_SECONDS)
            wanted = jobs(tmp_path, modules[:3])
            assert_built(shared.map("build", wanted, 240), wanted)
            assert len(shared._refused) == 1 and shared.parallel == 2
        finally:
            odd.kill()
            odd.wait()
            wait_for(lambda: _looked(shared)._refused == {}, START_SECONDS)


def test_what_cannot_be_reached_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from compiler.tuning.cluster import builder

    with (
        monkeypatch.context() as patched,
        pytest.raises(EdgetuneError, match="no dask scheduler can be reached at tcp://127.0.0.1:1: ") as error,
    ):
        patched.setattr(builder, "CONNECT_SECONDS", 1.0)
        ClusterBuilder("127.0.0.1:1", TARGET, 1).__enter__()
    assert "\n" not in str(error.value)
    with cluster(tmp_path) as empty, pytest.raises(EdgetuneError, match="has no workers: start `dask worker tcp"):
        ClusterBuilder(empty.address, TARGET, 1).__enter__()


def test_addresses() -> None:
    assert scheduler_address("desk") == "tcp://desk:8786"
    assert scheduler_address("127.0.0.1:9") == "tcp://127.0.0.1:9"
    assert scheduler_address("tls://desk:8786") == "tls://desk:8786"
    for wrong in ("", ":1", "desk:", "desk:x", "desk:0", "desk:70000", "http://desk:1", "a b:1"):
        with pytest.raises(UsageError, match="--build-cluster"):
            scheduler_address(wrong)


def test_tls_as_dask_is_configured(tmp_path: Path, modules: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import dask

    key, certificate = _certificate(tmp_path)
    roles = {"SCHEDULER": "scheduler", "WORKER": "worker", "CLIENT": "client"}
    environment = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(certificate)}
    settings: dict[str, Any] = {"distributed.comm.tls.ca-file": str(certificate)}
    for upper, lower in roles.items():
        environment[f"DASK_DISTRIBUTED__COMM__TLS__{upper}__KEY"] = str(key)
        environment[f"DASK_DISTRIBUTED__COMM__TLS__{upper}__CERT"] = str(certificate)
        settings |= {
            f"distributed.comm.tls.{lower}.{what}": str(path) for what, path in (("key", key), ("cert", certificate))
        }
    with cluster(tmp_path, "tls", environment) as made:
        made.worker()
        assert made.address.startswith("tls://")
        from compiler.tuning.cluster import builder

        with monkeypatch.context() as patched:
            patched.setattr(builder, "CONNECT_SECONDS", 2.0)
            with pytest.raises(EdgetuneError, match="no dask scheduler can be reached"):
                ClusterBuilder(made.address.replace("tls", "tcp"), TARGET, 1).__enter__()
            with pytest.raises(EdgetuneError, match="no dask scheduler can be reached"):
                ClusterBuilder(made.address, TARGET, 1).__enter__()
        with dask.config.set(settings), ClusterBuilder(made.address, TARGET, 1) as secure:
            wanted = jobs(tmp_path, modules)
            assert_built(secure.map("build", wanted, 240), wanted)
            assert secure.built["cluster"] > 0


def test_tuning_with_a_cluster(running: Cluster, tmp_path: Path) -> None:
    import onnx

    from tests.tuning import models

    model = tmp_path / "model.onnx"
    onnx.save(models.convolutions(tmp_path).reference, model)
    more = ["--logs", tmp_path / "logs", "--threads", "1"]
    done = edgetune_here("tune", model, *more, "--trials", "12", "--build-cluster", running.address)
    assert "12 trials (0 failed)" in done.stdout
    line = next(line for line in done.stdout.splitlines() if line.startswith("the cluster built "))
    assert int(line.split()[3]) > 0
    done = edgetune_here("tune", model, *more, "--build-cluster", "nowhere:x", check=2)
    assert "--build-cluster nowhere:x" in one_line(done.stderr)


def _mapping(builder: ClusterBuilder, wanted: list[dict[str, Any]]) -> tuple[threading.Thread, list[list[Outcome]]]:
    found: list[list[Outcome]] = []
    thread = threading.Thread(target=lambda: found.append(builder.map("build", wanted, 240)), daemon=True)
    thread.start()
    return thread, found


def _looked(builder: ClusterBuilder) -> ClusterBuilder:
    """The builder after another look at which workers there are."""
    builder._look(0.0)
    return builder


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A key and a certificate that signs itself."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edgetune test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "key.pem", folder / "certificate.pem"
    paths[0].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    paths[1].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return paths
