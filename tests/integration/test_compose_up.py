"""`docker compose up --build`, as somebody who tries the system out would use it."""

import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
import yaml

from activation_cli.local.ports import free_port

ROOT: Final = Path(__file__).parents[2]
OURS: Final = ("gateway", "worker", "handler")
HANDLER_S: Final = 2

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]


class Composition:
    """The project of compose.yaml, under a name, ports and passwords of its own."""

    def __init__(self) -> None:
        self.passwords = {
            "POSTGRES_PASSWORD": f"marked{secrets.token_hex(8)}",
            "RABBITMQ_PASSWORD": f"marked{secrets.token_hex(8)}",
        }
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._environment = os.environ | {
            **self.passwords,
            "COMPOSE_PROJECT_NAME": f"activation-test-{secrets.token_hex(4)}",
            "GATEWAY_PORT": str(port),
            "RABBITMQ_MANAGEMENT_PORT": str(free_port()),
            "HANDLER_SECONDS": str(HANDLER_S),
        }

    def run(self, *arguments: str, limit_s: float = 60) -> str:
        """Run `docker compose`, and fail with all that it printed."""
        done = subprocess.run(
            ["docker", "compose", *arguments],
            check=False,
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit_s,
        )
        assert done.returncode == 0, f"docker compose {' '.join(arguments)}:\n{done.stdout}"
        return done.stdout

    def up(self, *options: str) -> None:
        self.run("up", "--detach", "--wait", "--wait-timeout=180", *options, limit_s=300)

    def inside(self, service: str, *command: str) -> str:
        """Run a command in a service's container."""
        return self.run("exec", "--no-tty", service, *command)

    def submit(self, equipment: str, **parameters: str) -> str:
        """Have a device activated; return the address of the task."""
        address = f"{self.url}/api/v1/equipment/cpe/{equipment}"
        answer = httpx.post(address, json={"parameters": parameters}, trust_env=False, timeout=15)
        assert answer.status_code == 200, answer.text
        return f"{address}/task/{answer.json()['taskId']}"


def end_of(task: str) -> httpx.Response:
    """Wait until a task has ended; return what its client sees."""
    return httpx.get(task, headers={"Prefer": "wait=30"}, trust_env=False, timeout=40)


@pytest.fixture(scope="module")
def composition() -> Iterator[Composition]:
    """The whole system, built and healthy."""
    _need_docker()
    composition = Composition()
    try:
        composition.up("--build")
        yield composition
    finally:
        composition.run("down", "--volumes", "--timeout=20", limit_s=180)


def _need_docker() -> None:
    """Skip the tests where docker, or an image that it would have to download, is missing."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()
    bases = re.findall(r"^ARG \w+_IMAGE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    images = [*bases, *(service["image"] for service in services if "build" not in service)]
    for command in (["compose", "version"], ["info"], ["image", "inspect", *images]):
        asked = subprocess.run(
            ["docker", *command], capture_output=True, check=False, text=True, timeout=60
        )
        if asked.returncode != 0:
            pytest.skip(f"docker {' '.join(command)}: {asked.stderr.strip()}")


@pytest.mark.parametrize(
    ("equipment", "status"), [("ABC123", 200), ("DEV404001", 404), ("DEV500001", 500)]
)
def test_a_task_runs_from_post_to_result(
    composition: Composition, equipment: str, status: int
) -> None:
    """Gateway, RabbitMQ, worker, handler and PostgreSQL work together."""
    task = composition.submit(equipment)

    assert end_of(task).status_code == status


@pytest.mark.parametrize("address", ["http://service_a:8080", "http://service_b:8000"])
def test_services_answer_to_their_old_names(composition: Composition, address: str) -> None:
    """The names of the original write-up work from any container."""
    program = f"from urllib.request import urlopen; print(urlopen('{address}/readyz').status)"

    assert composition.inside("worker", "python", "-c", program).strip() == "200"


def test_the_command_line_is_in_the_gateway(composition: Composition) -> None:
    """It needs no settings there."""
    composition.submit("CLI0001")

    listed = json.loads(composition.inside("gateway", "activation", "--json", "list"))

    assert "CLI0001" in {task["equipment"] for task in listed["tasks"]}


@pytest.mark.parametrize("service", OURS)
def test_service_gets_the_signals_itself_and_is_nobody(
    composition: Composition, service: str
) -> None:
    """Python is process 1, not root, and cannot write."""
    started = composition.inside(service, "cat", "/proc/1/cmdline").split("\0")
    user = composition.inside(service, "id", "-u").strip()
    writable = composition.inside(service, "sh", "-c", "touch /tmp/x 2>/dev/null && echo yes || :")

    assert started[:2] == ["/app/bin/python", f"/app/bin/activation-{service}"]
    assert user == "10001"
    assert writable == ""


def test_logs_are_json_without_secrets(composition: Composition) -> None:
    """Each line of ours can be read by a machine; no line of anybody's holds a password."""
    canary = f"marked{secrets.token_hex(8)}"
    end_of(composition.submit("CANARY1", password=canary))

    ours = composition.run("logs", "--no-color", "--no-log-prefix", *OURS)
    everything = composition.run("logs", "--no-color")

    assert "CANARY1" in ours
    assert all(json.loads(line)["event"] for line in ours.splitlines())
    for secret in (canary, *composition.passwords.values()):
        assert secret not in everything


def test_tasks_outlive_the_containers(composition: Composition) -> None:
    """`down` lets the call under way end, and `up` finds the task again, done once."""
    task = composition.submit("OUTLIVE1")

    composition.run("stop", *OURS, limit_s=120)
    stopped = composition.run("ps", "--all", "--format={{.Service}} {{.ExitCode}}", *OURS)
    composition.run("down", limit_s=120)
    composition.up()

    assert sorted(stopped.splitlines()) == sorted(f"{name} 0" for name in OURS)
    found = end_of(task)
    assert (found.status_code, found.json()["attempt"]) == (200, 1)
