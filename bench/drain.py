"""What one worker does with a full queue."""

import time
from datetime import datetime
from typing import Any

from activation_cli.local.ports import free_port
from bench.measuring import Numbers, console, database, round_robin, script, sqlite
from bench.system import Activation, Servers, activation, cpu_s, gauge, memory_mib, mock_handler

IN_FLIGHT = "activation_attempts_in_flight"


def drain(at: Servers, rounds: int, count: int) -> dict[str, Numbers]:
    """Tasks a second of one worker, handler at 0 s, from a full queue to the last result."""
    ways = {
        "bare aio-pika loop": lambda: _bare_drain(at, count),
        "Activation, PostgreSQL": lambda: _drain(at, database(at), count),
        "Activation, SQLite": lambda: _drain(at, sqlite(at), count),
    }
    return round_robin("drain", ways, rounds)


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


def _drain(at: Servers, database_url: str, count: int) -> Numbers:
    with activation(at, database_url) as system:
        _fill(system, count)
        with system.worker(concurrency=200) as worker:
            before_s = cpu_s(worker.pid)
            system.wait_succeeded(count)
            cpu_us = (cpu_s(worker.pid) - before_s) / count * 1e6
        return {"per_s": count / _span_s(system, count), "cpu_us": cpu_us}


def _flight(at: Servers, count: int, handler_s: float) -> Numbers:
    with activation(at, database(at), handler_s=handler_s) as system:
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
        return script("bare_worker", *arguments)
