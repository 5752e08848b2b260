"""The parts of a measurement: servers, services and load, each a process on this machine."""

import contextlib
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from activation_cli.local.ports import free_port
from activation_cli.local.postgres import PostgresServer
from activation_cli.local.probes import http_ok
from activation_cli.local.process import Child
from activation_cli.local.rabbitmq import RabbitMQNode

HERE = Path(__file__).parent
LOAD = HERE / "post.lua"


@dataclass(frozen=True)
class Servers:
    folder: Path
    rabbitmq: RabbitMQNode
    postgres: PostgresServer


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Start RabbitMQ and PostgreSQL for the whole run."""
    rabbitmq, postgres = RabbitMQNode(folder / "rabbitmq"), PostgresServer(folder / "postgres")
    try:
        rabbitmq.start()
        postgres.start()
        yield Servers(folder, rabbitmq, postgres)
    finally:
        rabbitmq.stop()
        postgres.stop()


@contextlib.contextmanager
def process(name: str, command: list[str], folder: Path, url: str, **env: str) -> Iterator[Child]:
    """Run a process while the body runs, once it answers at its URL."""
    child = Child(name, command, log=folder / f"{name}.log", env={**os.environ, **env})
    child.start()
    try:
        child.wait_ready(lambda: http_ok(url), timeout_s=60)
        yield child
    finally:
        child.stop(timeout_s=20)


@contextlib.contextmanager
def mock_handler(
    folder: Path, url: str, *, seconds: float = 0.0, **settings: str
) -> Iterator[Child]:
    """Run the mock handler at a URL of this machine."""
    command = [sys.executable, "-m", "activation_handler"]
    env = {"ACTIVATION_HANDLER_PORT": url.rpartition(":")[2], "HANDLER_SECONDS": str(seconds)}
    with process("handler", command, folder, f"{url}/readyz", **env, **settings) as child:
        yield child


@dataclass(frozen=True)
class Activation:
    """A gateway and its handler; workers come and go."""

    at: Servers
    gateway: Child
    client: httpx.Client
    url: str
    handler_url: str
    env: dict[str, str]

    @contextlib.contextmanager
    def worker(self, concurrency: int, *, admin_port: int | None = None) -> Iterator[Child]:
        admin = admin_port or free_port()
        env = {
            **self.env,
            "ACTIVATION_ADMIN_PORT": str(admin),
            "ACTIVATION_CONCURRENCY": str(concurrency),
            "ACTIVATION_HANDLER_URL": self.handler_url,
            "ACTIVATION_DRAIN_S": "5",
        }
        command = [sys.executable, "-m", "activation_worker"]
        url = f"http://127.0.0.1:{admin}/readyz"
        with process("worker", command, self.at.folder, url, **env) as child:
            yield child

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = self.client.get("/api/v1/status").json()["counts"]
        return counts

    def wait_succeeded(
        self, count: int, limit_s: float = 120.0, *, look: Callable[[], None] = lambda: None
    ) -> None:
        """Wait until so many tasks have succeeded, and look at something meanwhile."""
        deadline = time.monotonic() + limit_s
        while (counts := self.counts())["succeeded"] < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{count} expected, there are {counts}")
            look()
            time.sleep(0.25)


@contextlib.contextmanager
def activation(
    at: Servers, database_url: str, *, handler_s: float = 0.0, **settings: str
) -> Iterator[Activation]:
    """Run a gateway and a handler on a database and a queue of their own."""
    port, admin = free_port(), free_port()
    queue = f"bench{port}"
    env = {
        **settings,
        "ACTIVATION_DATABASE_URL": database_url,
        "ACTIVATION_AMQP_URL": at.rabbitmq.amqp_url,
        "ACTIVATION_TASK_QUEUE": queue,
        "ACTIVATION_DEAD_QUEUE": f"{queue}.dead",
        "ACTIVATION_HOST": "127.0.0.1",
        "ACTIVATION_MAX_BACKLOG": "0",
        "ACTIVATION_INSTANCE": "bench",
    }
    handler_url, url = (f"http://127.0.0.1:{number}" for number in (free_port(), port))
    with (
        mock_handler(at.folder, handler_url, seconds=handler_s, **settings),
        process(
            "gateway",
            [sys.executable, "-m", "activation_gateway"],
            at.folder,
            f"{url}/readyz",
            **env,
            ACTIVATION_PORT=str(port),
            ACTIVATION_ADMIN_PORT=str(admin),
        ) as gateway,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        yield Activation(at, gateway, client, url, handler_url, env)


@dataclass(frozen=True)
class Load:
    per_s: float
    p50_ms: float
    p99_ms: float
    errors: int


def post(url: str, *, seconds: int, clients: int = 64) -> Load:
    """Send POSTs as fast as they are answered."""
    said = subprocess.run(
        ["wrk", "-t1", f"-c{clients}", f"-d{seconds}", "--latency", "-s", str(LOAD), url],
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + 30,
    ).stdout
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return Load(
        per_s=float(_found(r"Requests/sec:\s+([\d.]+)", said)),
        p50_ms=_ms(_found(r"(?m)^ +50%\s+(\S+)", said)),
        p99_ms=_ms(_found(r"(?m)^ +99%\s+(\S+)", said)),
        errors=int(errors[1]) if errors else 0,
    )


def cpu_s(pid: int) -> float:
    """Processor time of a process so far: what a noisy machine changes least."""
    numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int, *, peak: bool = True) -> float:
    """Resident memory of a process, at its highest or now."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(_found(rf"{'VmHWM' if peak else 'VmRSS'}:\s+(\d+) kB", status)) / 1024


def gauge(admin_port: int, name: str) -> float:
    """Read one gauge of a service's metrics."""
    metrics = httpx.get(f"http://127.0.0.1:{admin_port}/metrics", timeout=30).text
    return float(_found(rf"(?m)^{name} (\S+)$", metrics))


def fsync_ms(folder: Path) -> float:
    """What the disk takes to make 8 KiB durable, as a commit asks of it; the median."""
    times = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(8192))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"{pattern!r} is not in {text!r}")
    return found[1]


def _ms(text: str) -> float:
    for unit, factor in (("us", 0.001), ("ms", 1.0), ("s", 1000.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(text)
