"""`activation verify` from end to end: it passes what is sound, and finds what is not."""

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from activation_cli.exits import Exit
from activation_cli.local.process import Child
from tests.support.stub_kubectl import StubCluster
from tests.support.system import System
from tests.support.verify import verify

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]


async def test_a_local_system_loses_nothing_when_a_worker_is_killed(tmp_path: Path) -> None:
    """The command that the README names, with its report."""
    report = await verify(
        *("--local", "--scenario", "worker-killed", "--seed", "1", "--report", str(tmp_path)),
        expected=Exit.DONE,
    )

    [scenario] = report["scenarios"]
    assert report["passed"]
    assert scenario["counts"]["ok"] == len(scenario["requests"]) > 100
    assert [fault["name"] for fault in scenario["faults"]] == ["a worker is killed"]
    assert json.loads((tmp_path / "report.json").read_text()) == report
    assert "<svg" in (tmp_path / "report.html").read_text()


def test_an_interrupted_run_leaves_no_process(tmp_path: Path) -> None:
    """SIGTERM while two systems are up: each with its servers is stopped, and the code is 130."""
    chosen = ("--scenario", "calm", "--scenario", "worker-killed")
    run = Child(
        "verify",
        [Path(sys.executable).with_name("activation"), "verify", "--local", *chosen],
        log=tmp_path / "verify.log",
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    run.start()
    try:
        systems = "activation-verify-*/*/worker-2.log"
        run.wait_ready(lambda: len(list(tmp_path.glob(systems))) == 2, timeout_s=90)
        family = processes_with(f"TMPDIR={tmp_path}")
    finally:
        code = run.stop(timeout_s=40)

    assert len(family) >= 1 + 2 * (2 + 5)  # itself; RabbitMQ and epmd, and the services, twice
    assert code == Exit.INTERRUPTED
    assert processes_with(f"TMPDIR={tmp_path}") == set()


async def test_an_installation_is_driven_and_accounted_for(
    tmp_path: Path, amqp_url: str, sqlite_url: str
) -> None:
    """Others' tasks are none of its business, and without a ledger it says what is not checked."""
    async with System(tmp_path, amqp_url, sqlite_url, handler_s=0.05) as system:
        await system.submit_many(["STRANGER01", "STRANGER02"])
        drive = ("--url", system.gateway.url, "--count", "30")
        with_ledger = await verify(*drive, "--ledger", system.handler.url, expected=Exit.DONE)
        without = await verify(*drive, expected=Exit.DONE)

    for report in (with_ledger, without):
        [scenario] = report["scenarios"]
        assert scenario["counts"]["ok"] == scenario["tasks"] == len(scenario["requests"]) > 0
    assert with_ledger["scenarios"][0]["unchecked"] == []
    assert "twice" in without["scenarios"][0]["unchecked"][0]


async def test_a_release_is_broken_and_accounted_for(
    tmp_path: Path, amqp_url: str, sqlite_url: str
) -> None:
    """Both faults strike the cluster, and every request is accounted for by the ledger."""
    cluster = StubCluster(tmp_path / "bin", servers=False, nodes=1, autoscaler="scaledobjects")
    order = ("--kubernetes", "--yes", "--rate", "10", "--duration", "2s")
    chosen = ("--scenario", "workers-scaled", "--scenario", "gateway-pod-deleted")
    async with System(tmp_path, amqp_url, sqlite_url) as system:
        report = await verify(
            *(*order, *chosen, "--url", system.gateway.url, "--ledger", system.handler.url),
            expected=Exit.DONE,
            environment={"PATH": cluster.path},
        )

    assert [one["name"] for one in report["scenarios"]] == ["workers-scaled", "gateway-pod-deleted"]
    for scenario in report["scenarios"]:
        assert scenario["counts"]["ok"] == len(scenario["requests"]) > 0
        assert len(scenario["faults"]) == 1
        assert scenario["unchecked"] == []
    assert len(cluster.calls("patch")) == 4


async def test_a_device_that_was_activated_twice_is_a_violation(
    tmp_path: Path, amqp_url: str, sqlite_url: str
) -> None:
    """The ledger says that one call switched the device on a second time: exit code 1."""
    async with System(tmp_path, amqp_url, sqlite_url, handler_s=0.05) as system:
        with ledger_with_one_call_twice(system.handler.url) as ledger_url:
            report = await verify(
                *("--url", system.gateway.url, "--ledger", ledger_url, "--count", "30"),
                expected=Exit.FAILED,
            )

    [scenario] = report["scenarios"]
    assert not report["passed"]
    assert scenario["counts"]["duplicated"] > 0
    assert "activated twice" in {finding["what"] for finding in scenario["findings"]}


@contextmanager
def ledger_with_one_call_twice(handler_url: str) -> Iterator[str]:
    """Serve a handler's ledger, tampered with."""

    class Tampered(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            calls = httpx.get(f"{handler_url}{self.path}", trust_env=False).json()["calls"]
            content = json.dumps({"calls": [*calls, *calls[-1:]]}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Tampered) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def processes_with(variable: str) -> set[str]:
    """Return the ids of all processes that have it in their environment."""
    mark = f"{variable}\0".encode()
    found = set()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it ended meanwhile
            if mark in environment.read_bytes():
                found.add(environment.parent.name)
    return found
