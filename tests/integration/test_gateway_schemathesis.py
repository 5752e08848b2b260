"""Schemathesis against the gateway: whatever is sent, the answer is one that `/docs` promises."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from activation.clock import SystemClock
from activation.domain.task import Claim
from activation.ports import Result
from tests.support.cli_gateway import Act, CliGateway, served
from tests.support.tasks import failure, success, used_up

ROOT = Path(__file__).parents[2]
CONFIG = """
hooks = "tests.support.schemathesis_hooks"

[[operations]]
include-operation-id = "result"  # 500 is the contract's answer for a task that failed

[operations.checks]
not_a_server_error.expected-statuses = ["2xx", "4xx", 500]
"""


class Fates(dict[str, Act]):
    """What the worker does with a device follows from its serial number, so every end occurs."""

    def get(self, equipment: str, _: object = None) -> Act:  # type: ignore[override]  # no default
        fates: Sequence[Act] = (success, failure, used_up, _keep_running)
        return fates[sum(equipment.encode()) % len(fates)]


def _keep_running(_: Claim) -> Result | None:
    return None


def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    """Valid requests are accepted, others refused, and every answer is as documented."""
    gateway = CliGateway(SystemClock())
    gateway.acts = Fates()
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "schemathesis.cli", f"--config-file={config}", "run"]
    options = ["--checks=all", "--max-examples=15", "--seed=1", "--no-color"]

    with served(gateway) as url:
        run = subprocess.run(
            [*command, *options, f"{url}/openapi.json"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=55.0,
        )

    print(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "7 selected / 7 total" in run.stdout
