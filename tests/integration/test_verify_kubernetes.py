"""`activation verify --kubernetes` as a process, with a stub of kubectl and a real gateway."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from activation.clock import SystemClock
from activation_cli.exits import Exit
from tests.support.cli_gateway import CliGateway, served
from tests.support.stub_kubectl import StubCluster

PROGRAM = Path(sys.executable).with_name("activation")
LIMIT_S = 60.0
ORDER = ("verify", "--kubernetes", "--yes", "--duration", "2s", "--rate", "5", "--json")


@pytest.fixture
def url() -> Iterator[str]:
    with served(CliGateway(SystemClock())) as url:
        yield url


@pytest.fixture
def cluster(tmp_path: Path) -> StubCluster:
    return StubCluster(tmp_path / "bin")


def environment(cluster: StubCluster) -> Mapping[str, str]:
    return os.environ | {"PATH": cluster.path, "NO_PROXY": "127.0.0.1"}


def test_without_a_ledger_the_report_says_that_duplicates_were_not_looked_for(
    url: str, cluster: StubCluster
) -> None:
    """All else is accounted for, and the fault has struck."""
    done = subprocess.run(
        [PROGRAM, *ORDER, "--scenario", "gateway-pod-deleted", "--url", url],
        env=environment(cluster),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert done.returncode == Exit.DONE, done.stderr
    [scenario] = json.loads(done.stdout)["scenarios"]
    [unchecked] = scenario["unchecked"]
    assert "duplicates could not be checked" in unchecked
    assert scenario["counts"]["ok"] == len(scenario["requests"]) > 0
    assert len(cluster.calls("delete")) == 1


def test_ctrl_c_puts_back_what_was_changed(url: str, cluster: StubCluster) -> None:
    """The terminal interrupts the whole group; the cordoned node takes pods again all the same."""
    cluster.change(hangs=["drain"])

    def cordoned() -> bool:
        return any(node["spec"].get("unschedulable") for node in cluster.state["nodes"])

    with subprocess.Popen(
        [PROGRAM, *ORDER, "--scenario", "node-drained", "--url", url],
        env=environment(cluster),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        wait_until(cordoned)
        os.killpg(process.pid, signal.SIGINT)
        code = process.wait(LIMIT_S)
        said = process.stderr.read() if process.stderr else ""

    assert code == Exit.INTERRUPTED
    assert "interrupted" in said
    assert not cordoned()


def wait_until(met: Callable[[], bool]) -> None:
    """Wait for something that must happen."""
    deadline = time.monotonic() + LIMIT_S
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.05)
