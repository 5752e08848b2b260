"""What clients and probes see while RabbitMQ, or the store, is out of reach or the backlog full."""

import asyncio
from pathlib import Path

import httpx
import pytest

from activation_cli.local.ports import LOOPBACK, free_port
from tests.support.servers import Postgres
from tests.support.service import Service, eventually
from tests.support.system import System

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def no_broker() -> str:
    """The address of a broker that is not there."""
    return f"amqp://{LOOPBACK}:{free_port()}/"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


async def test_without_a_broker_requests_are_accepted_and_say_what_they_wait_for(
    tmp_path: Path, no_broker: str, sqlite_url: str
) -> None:
    """RabbitMQ out of reach is no error for clients: the task is durable."""
    async with System(tmp_path, no_broker, sqlite_url, workers=0) as system:
        [task_id] = await system.submit_many(["DEVICE1"])

        [gateway] = system.gateways
        assert (await system.task(task_id))["waitingFor"] == "broker"
        assert not (await system.status())["queue"]["connected"]
        assert gateway.is_ready()


async def test_a_full_backlog_is_429_and_says_when_to_come_back(
    tmp_path: Path, no_broker: str, sqlite_url: str
) -> None:
    """Two tasks wait, as many as may: the third is not accepted."""
    async with System(tmp_path, no_broker, sqlite_url, workers=0, max_backlog=2) as system:
        await system.submit_many(["DEVICE1", "DEVICE2"])

        answer = await system.request("POST", "/api/v1/equipment/cpe/DEVICE3", json={})

        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) >= 1
        assert len(await system.tasks()) == 2


async def test_without_its_store_the_gateway_is_503_alive_and_not_ready(
    tmp_path: Path, amqp_url: str, own_postgres: Postgres
) -> None:
    """POST and GET say when to ask again; probes tell that a restart would not help."""
    async with System(tmp_path, amqp_url, own_postgres.url(), accept_patience_s=0.5) as system:
        [gateway], [worker] = system.gateways, system.workers
        [task_id] = await system.submit_many(["DEVICE1"])
        await system.wait_all_ended()

        await asyncio.to_thread(own_postgres.stop)
        posted = await system.request("POST", "/api/v1/equipment/cpe/DEVICE2", json={})
        asked = await system.request("GET", f"/api/v1/equipment/cpe/DEVICE1/task/{task_id}")
        probes = [await probe(service) for service in (gateway, worker)]
        await asyncio.to_thread(own_postgres.start)
        await asyncio.gather(gateway.wait_ready(), worker.wait_ready())
        after = await system.submit("DEVICE3")
        await system.wait_all_ended()

        assert (posted.status_code, asked.status_code) == (503, 503)
        assert int(posted.headers["Retry-After"]) >= 1
        assert int(asked.headers["Retry-After"]) >= 1
        assert probes == [(200, 503, ["store"])] * 2
        assert after.status == 200
        assert system.complaints() == []


async def test_a_worker_without_a_broker_is_alive_and_not_ready(
    tmp_path: Path, no_broker: str, sqlite_url: str
) -> None:
    """Its readiness names what is missing."""
    async with System(tmp_path, no_broker, sqlite_url, workers=0) as system:
        worker = system.add_worker()
        worker.launch()

        async def answers() -> bool:
            return worker.answers()

        await eventually(answers, what="the worker's admin port")

        assert await probe(worker) == (200, 503, ["broker"])


async def probe(service: Service) -> tuple[int, int, list[str]]:
    """Return the status of `/healthz` and `/readyz`, and what readiness finds missing."""
    async with httpx.AsyncClient(base_url=service.admin_url, timeout=10, trust_env=False) as client:
        alive, ready = await client.get("/healthz"), await client.get("/readyz")
    return alive.status_code, ready.status_code, list(ready.json()["faults"])
