"""From POST to the visible result, one task at a time, handler at 0 s."""

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from activation_cli.local.ports import free_port
from bench.measuring import BASELINES, Numbers, console, database, sqlite
from bench.system import Servers, activation, mock_handler, process

BARE_SYSTEM = "bare aio-pika, asyncpg"
_WARM_UP = 20
_ASK_EVERY_S = 0.001

System = contextlib.AbstractContextManager[str]


def low_load(at: Servers, count: int) -> dict[str, Numbers]:
    """Measure beside a bare system."""
    systems = {
        BARE_SYSTEM: bare_system(at),
        "Activation, PostgreSQL": whole(at, database(at)),
        "Activation, SQLite": whole(at, sqlite(at)),
    }
    return in_turns("low", systems, count)


def in_turns(part: str, systems: Mapping[str, System], count: int) -> dict[str, Numbers]:
    """Measure systems that are all up, task by task: what disturbs one disturbs the others too."""
    with contextlib.ExitStack() as running:
        clients = {}
        for name, system in systems.items():
            url = running.enter_context(system)
            clients[name] = running.enter_context(httpx.Client(base_url=url, timeout=30))
        times: dict[str, list[float]] = {name: [] for name in clients}
        for n in range(_WARM_UP + count):
            for name, client in clients.items():
                times[name].append(_round_trip_ms(client, n))
    found = {name: _distribution(taken[_WARM_UP:]) for name, taken in times.items()}
    for name, numbers in found.items():
        console.print(f"{part:7} {name:28} p50 {numbers['p50_ms']:.1f} ms")
    return found


@contextlib.contextmanager
def whole(at: Servers, database_url: str, **settings: Any) -> Iterator[str]:
    """Run gateway, worker and handler, and yield the gateway's URL."""
    with (
        activation(at, database_url, **settings) as system,
        system.worker(concurrency=50),
    ):
        yield system.url


@contextlib.contextmanager
def bare_system(at: Servers) -> Iterator[str]:
    """Run the bare gateway and worker with a handler, and yield the gateway's URL."""
    gateway, worker, handler = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
    with mock_handler(at.folder, handler), contextlib.ExitStack() as running:
        for role, url in (("gateway", gateway), ("worker", worker)):
            port = url.rpartition(":")[2]
            arguments = (role, port, at.postgres.url(), at.rabbitmq.amqp_url, handler)
            command = [sys.executable, str(BASELINES / "bare_system.py"), *arguments]
            running.enter_context(
                process(f"bare {role}", command, at.folder, f"{url}/openapi.json")
            )
        yield gateway


def _round_trip_ms(client: httpx.Client, n: int) -> float:
    """Submit and ask until there is a result; Activation is asked once, as it answers in time."""
    began = time.perf_counter()
    path = f"/api/v1/equipment/cpe/LOW{n:08d}"
    task_id = client.post(path, json={"parameters": {"config": "example"}}).json()["taskId"]
    while True:
        answer = client.get(f"{path}/task/{task_id}", headers={"Prefer": "wait=20"})
        if answer.status_code == httpx.codes.OK:
            return (time.perf_counter() - began) * 1000
        if answer.status_code != httpx.codes.NO_CONTENT:
            raise RuntimeError(f"{answer.status_code} {answer.text}")
        time.sleep(_ASK_EVERY_S)


def _distribution(times: list[float]) -> Numbers:
    ordered = sorted(times)
    places = {f"p{share}_ms": ordered[len(ordered) * share // 100] for share in (10, 50, 99)}
    return {"least_ms": ordered[0], **places}
