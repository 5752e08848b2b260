"""Measures Activation beside its limits, in turns, and writes `results.json`.

Everything runs on this machine's loopback and ends by itself. Absolute numbers are this machine's;
the ratios are what counts, because both sides of each were measured in the same run.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from rich.console import Console

from activation_cli.local.ports import free_port
from activation_cli.local.process import Child
from bench.system import (
    Activation,
    Servers,
    activation,
    cpu_s,
    fsync_ms,
    gauge,
    memory_mib,
    mock_handler,
    post,
    process,
    servers,
)

HERE = Path(__file__).parent
BASELINES = HERE / "baselines"
BARE_SYSTEM = "bare aio-pika, asyncpg"
IN_FLIGHT = "activation_attempts_in_flight"
_WARM_UP = 20
_ASK_EVERY_S = 0.001
console = Console()

Numbers = dict[str, float]


def accept(at: Servers, rounds: int, seconds: int) -> dict[str, Numbers]:
    """Accepted POST/s and latency at 64 clients, one process each, in turns."""
    dsn = at.postgres.url()
    found: dict[str, list[Numbers]] = {}
    for _ in range(rounds):
        for name, measure in (
            ("bare FastAPI route", lambda: _bare(at, "bare_route", seconds)),
            ("bare FastAPI and insert", lambda: _bare(at, "bare_insert", seconds, dsn)),
            ("Activation, PostgreSQL", lambda: _accept(at, _database(at), seconds)),
            ("Activation, SQLite", lambda: _accept(at, _sqlite(at), seconds)),
        ):
            numbers = measure()
            console.print(
                f"accept  {name:28} {numbers['per_s']:8.0f}/s  {numbers['cpu_us']:.0f} us of CPU"
            )
            found.setdefault(name, []).append(numbers)
    return {name: _medians(runs) for name, runs in found.items()}


def drain(at: Servers, rounds: int, count: int) -> dict[str, Numbers]:
    """Tasks a second of one worker, handler at 0 s, from a full queue to the last result."""
    found: dict[str, list[Numbers]] = {}
    for _ in range(rounds):
        for name, measure in (
            ("bare aio-pika loop", lambda: _bare_drain(at, count)),
            ("Activation, PostgreSQL", lambda: _drain(at, _database(at), count)),
            ("Activation, SQLite", lambda: _drain(at, _sqlite(at), count)),
        ):
            numbers = measure()
            console.print(
                f"drain   {name:28} {numbers['per_s']:8.0f}/s  {numbers['cpu_us']:.0f} us of CPU"
            )
            found.setdefault(name, []).append(numbers)
    return {name: _medians(runs) for name, runs in found.items()}


def publish(at: Servers, rounds: int) -> dict[str, Numbers]:
    """Confirmed publishes a second, the relay's limit."""
    runs = [_script("bare_publish", at.rabbitmq.amqp_url, "10000") for _ in range(rounds)]
    console.print(f"publish {'bare aio-pika':28} {_medians(runs)['per_s']:8.0f}/s")
    return {"bare aio-pika, 100 outstanding": _medians(runs)}


def in_flight(at: Servers) -> dict[str, Numbers]:
    """All tasks at once in one worker: time, memory, and how many calls there were at most.

    With the handler at 1 s the first calls end before the last begin; at 20 s all are in flight.
    """
    found = {}
    for count, handler_s in ((1000, 1.0), (5000, 1.0), (5000, 20.0)):
        numbers = _flight(at, count, handler_s)
        name = f"{count} tasks, handler at {handler_s:.0f} s"
        console.print(
            f"flight  {name:28} {numbers['seconds']:6.1f} s  {numbers['most']:.0f} at once"
            f"  {numbers['peak_mib']:.0f} MiB"
        )
        found[name] = numbers
    return found


def _flight(at: Servers, count: int, handler_s: float) -> Numbers:
    with activation(at, _database(at), queue=f"flight{free_port()}", handler_s=handler_s) as system:
        _fill(system, count)
        admin = free_port()
        with system.worker(concurrency=count, admin_port=admin) as worker:
            idle_mib = memory_mib(worker.pid, peak=False)
            began, seen = time.perf_counter(), [0.0]
            system.wait_succeeded(count, look=lambda: seen.append(gauge(admin, IN_FLIGHT)))
            return {
                "seconds": time.perf_counter() - began,
                "most": max(seen),
                "peak_mib": memory_mib(worker.pid),
                "idle_mib": idle_mib,
            }


def low_load(at: Servers, count: int) -> dict[str, Numbers]:
    """From POST to the visible result, one task at a time, handler at 0 s.

    All systems are up, and take turns task by task: what disturbs one disturbs the others too.
    """
    with contextlib.ExitStack() as running:
        clients = {}
        for name, system in (
            (BARE_SYSTEM, _bare_system(at)),
            ("Activation, PostgreSQL", _whole(at, _database(at))),
            ("Activation, SQLite", _whole(at, _sqlite(at))),
        ):
            url = running.enter_context(system)
            clients[name] = running.enter_context(httpx.Client(base_url=url, timeout=30))
        times: dict[str, list[float]] = {name: [] for name in clients}
        for n in range(_WARM_UP + count):
            for name, client in clients.items():
                times[name].append(_round_trip_ms(client, n))
    found = {name: _distribution(taken[_WARM_UP:]) for name, taken in times.items()}
    for name, numbers in found.items():
        console.print(f"low     {name:28} p50 {numbers['p50_ms']:.1f} ms")
    return found


def _distribution(times: list[float]) -> Numbers:
    ordered = sorted(times)
    places = {f"p{share}_ms": ordered[len(ordered) * share // 100] for share in (10, 50, 99)}
    return {"least_ms": ordered[0], **places}


@contextlib.contextmanager
def _whole(at: Servers, database_url: str) -> Iterator[str]:
    """Run gateway, worker and handler, and yield the gateway's URL."""
    with (
        activation(at, database_url, queue=f"low{free_port()}") as system,
        system.worker(concurrency=50),
    ):
        yield system.url


@contextlib.contextmanager
def _bare_system(at: Servers) -> Iterator[str]:
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


def _accept(at: Servers, database_url: str, seconds: int) -> Numbers:
    with activation(at, database_url, queue=f"accept{free_port()}") as system:
        return _loaded(system.gateway, system.url, seconds)


def _bare(at: Servers, name: str, seconds: int, *arguments: str) -> Numbers:
    port = free_port()
    command = [sys.executable, str(BASELINES / f"{name}.py"), str(port), *arguments]
    url = f"http://127.0.0.1:{port}"
    with process(name, command, at.folder, f"{url}/openapi.json") as server:
        return _loaded(server, url, seconds)


def _loaded(server: Child, url: str, seconds: int) -> Numbers:
    post(url, seconds=1)
    before_s = cpu_s(server.pid)
    load = post(url, seconds=seconds)
    if load.errors:
        raise RuntimeError(f"{load.errors} requests were refused")
    cpu_us = (cpu_s(server.pid) - before_s) / (load.per_s * seconds) * 1e6
    return {"per_s": load.per_s, "p50_ms": load.p50_ms, "p99_ms": load.p99_ms, "cpu_us": cpu_us}


def _drain(at: Servers, database_url: str, count: int) -> Numbers:
    with activation(at, database_url, queue=f"drain{free_port()}") as system:
        _fill(system, count)
        with system.worker(concurrency=200) as worker:
            before_s = cpu_s(worker.pid)
            system.wait_succeeded(count)
            cpu_us = (cpu_s(worker.pid) - before_s) / count * 1e6
        return {"per_s": count / _span_s(system, count), "cpu_us": cpu_us}


def _span_s(system: Activation, count: int) -> float:
    """From the first attempt to the last result, by the store's own clock."""
    ledger = system.client.get(f"{system.handler_url}/ledger/summary").json()
    if ledger["calls"] != count:
        raise RuntimeError(f"{count} tasks made {ledger['calls']} calls")
    tasks: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 500}
    while True:
        page = system.client.get("/api/v1/tasks", params=query).json()
        tasks += page["tasks"]
        if page["cursor"] is None:
            break
        query["cursor"] = page["cursor"]
    first = min(task["startedAt"] for task in tasks)
    last = max(task["finishedAt"] for task in tasks)
    return _epoch(last) - _epoch(first)


def _epoch(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _bare_drain(at: Servers, count: int) -> Numbers:
    url = f"http://127.0.0.1:{free_port()}"
    with mock_handler(at.folder, url):
        arguments = (at.rabbitmq.amqp_url, at.postgres.url(), url, str(count), "200")
        return _script("bare_worker", *arguments)


def _fill(system: Activation, count: int) -> None:
    """Accept so many tasks and wait until all are in the queue."""
    for n in range(count):
        path = f"/api/v1/equipment/cpe/F{n:08d}"
        system.client.post(path, json={"parameters": {"config": "example"}}).raise_for_status()
    deadline = time.monotonic() + 60
    while system.client.get("/api/v1/status").json()["queue"]["ready"] != count:
        if time.monotonic() > deadline:
            raise TimeoutError("not all messages are in the queue")
        time.sleep(0.1)


def _script(name: str, *arguments: str) -> Numbers:
    command = [sys.executable, str(BASELINES / f"{name}.py"), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=180)
    numbers: Numbers = json.loads(done.stdout)
    return numbers


def _database(at: Servers) -> str:
    """Make an empty database on the server of the run."""
    name = f"bench{free_port()}"

    async def create() -> None:
        connection = await asyncpg.connect(at.postgres.url(), timeout=10)
        await connection.execute(f"create database {name}")
        await connection.close()

    asyncio.run(create())
    return at.postgres.url(name)


def _sqlite(at: Servers) -> str:
    return f"sqlite:///{at.folder}/bench{free_port()}.db"


def _medians(runs: list[Numbers]) -> Numbers:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--only", choices=("accept", "drain", "publish", "in_flight", "low_load"))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="activation-bench-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
        with servers(folder) as at:
            parts: dict[str, Callable[[], dict[str, Numbers]]] = {
                "accept": lambda: accept(at, chosen.rounds, chosen.seconds),
                "drain": lambda: drain(at, chosen.rounds, chosen.tasks),
                "publish": lambda: publish(at, chosen.rounds),
                "in_flight": lambda: in_flight(at),
                "low_load": lambda: low_load(at, 300),
            }
            found = {name: part() for name, part in parts.items() if chosen.only in {None, name}}
            machine = {
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                "fsync_ms": fsync_ms(folder),
            }
    if chosen.only is None:
        text = json.dumps({"machine": machine, **found}, indent=2)
        (HERE / "results.json").write_text(text + "\n", encoding="utf-8")
    else:
        console.print_json(data=found)


if __name__ == "__main__":
    main()
