"""Accepted POST/s and latency at 64 clients, and the confirmed publishes that limit a relay."""

import sys

from activation_cli.local.ports import free_port
from bench.measuring import (
    BASELINES,
    Numbers,
    console,
    database,
    loaded,
    medians,
    round_robin,
    script,
    sqlite,
)
from bench.system import Servers, activation, process


def accept(at: Servers, rounds: int, seconds: int) -> dict[str, Numbers]:
    """Accepted POST/s and latency at 64 clients, one process each, in turns."""
    dsn = at.postgres.url()
    ways = {
        "bare FastAPI route": lambda: _bare(at, "bare_route", seconds),
        "bare FastAPI and insert": lambda: _bare(at, "bare_insert", seconds, dsn),
        "Activation, PostgreSQL": lambda: _accept(at, database(at), seconds),
        "Activation, SQLite": lambda: _accept(at, sqlite(at), seconds),
    }
    return round_robin("accept", ways, rounds)


def publish(at: Servers, rounds: int) -> dict[str, Numbers]:
    """Confirmed publishes a second, the relay's limit."""
    runs = [script("bare_publish", at.rabbitmq.amqp_url, "10000") for _ in range(rounds)]
    console.print(f"publish {'bare aio-pika':28} {medians(runs)['per_s']:8.0f}/s")
    return {"bare aio-pika, 100 outstanding": medians(runs)}


def _accept(at: Servers, database_url: str, seconds: int) -> Numbers:
    with activation(at, database_url) as system:
        return loaded(system.gateway, system.url, seconds)


def _bare(at: Servers, name: str, seconds: int, *arguments: str) -> Numbers:
    port = free_port()
    command = [sys.executable, str(BASELINES / f"{name}.py"), str(port), *arguments]
    url = f"http://127.0.0.1:{port}"
    with process(name, command, at.folder, f"{url}/openapi.json") as server:
        return loaded(server, url, seconds)
