"""Schemathesis against the gateway: whatever is sent, the answer is one that `/docs` promises."""

import asyncio
import os
import re
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from activation.clock import SystemClock
from activation.domain.task import Claim
from activation.ports import Result
from activation.server import HttpServer
from activation_gateway.api_keys import ApiKey, hash_of, new_key
from activation_gateway.scopes import Scope
from tests.support.cli_gateway import Act, CliGateway
from tests.support.tasks import failure, success, used_up

pytestmark = pytest.mark.timeout(150)

ROOT = Path(__file__).parents[2]
CONFIG = """
hooks = "tests.support.schemathesis_hooks"

[[operations]]
include-operation-id = "result"

[operations.checks]  # 500 is the contract's answer for a task that failed
not_a_server_error.expected-statuses = ["2xx", "4xx", 500]
"""
OPTIONS = ["--checks=all", "--max-examples=20", "--seed=1", "--no-color"]
LIMIT_S = 140.0


class Fates(dict[str, Act]):
    """What becomes of a task follows from its device's serial number, so every end occurs."""

    def get(self, equipment: str, _: object = None) -> Act:
        fates: Sequence[Act] = (success, failure, used_up, _keep_running)
        return fates[sum(equipment.encode()) % len(fates)]


def _keep_running(_: Claim) -> Result | None:
    return None


@asynccontextmanager
async def served_gateway(*, keys: Sequence[ApiKey] | None = None) -> AsyncIterator[str]:
    """Serve a gateway whose tasks end in every way; gives its URL."""
    gateway = CliGateway(SystemClock(), keys=keys)
    gateway.acts = Fates()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio would not, uvloop does
    async with gateway, asyncio.TaskGroup() as group:
        server = HttpServer(gateway.app, host="127.0.0.1", port=0, shutdown_s=1.0)
        group.create_task(server.serve([listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True


async def schemathesis(url: str, folder: Path, *options: str) -> tuple[int | None, str]:
    """Run Schemathesis; gives its exit code and what it printed."""
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", f"--config-file={config}", "run"),
        *(*OPTIONS, *options, f"{url}/openapi.json"),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode, output.decode()


async def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    """Valid requests are accepted, others refused, and every answer is as documented."""
    async with served_gateway() as url:
        code, report = await schemathesis(url, tmp_path)

    assert code == 0, report
    assert "11 selected / 11 total" in report
    assert re.search(r"[1-9]\d* covered / ", report), report


async def test_schemathesis_with_a_key_finds_nothing(tmp_path: Path) -> None:
    """The same with API keys, and no operation answers without one."""
    key = new_key()
    every_scope = ApiKey(id="schemathesis", sha256=hash_of(key), scopes=frozenset(Scope))
    async with served_gateway(keys=[every_scope]) as url:
        code, report = await schemathesis(url, tmp_path, f"--header=Authorization: Bearer {key}")

    assert code == 0, report
    assert "11 selected / 11 total" in report
    assert re.search(r"[1-9]\d* covered / ", report), report
