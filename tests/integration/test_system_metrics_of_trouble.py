"""What is counted when a worker, a message, a queue or the broker is lost, and while one leaves."""

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from activation_cli.local.ports import LOOPBACK
from tests.support.exposition import OPENMETRICS
from tests.support.rabbitmq_vhost import Vhost
from tests.support.servers import Postgres, RabbitMQ
from tests.support.service import Service, eventually
from tests.support.system import System

pytestmark = pytest.mark.timeout(120)

LEASE_S = 3.0


@pytest.fixture
async def vhost(amqp_url: str, rabbitmq: RabbitMQ) -> AsyncIterator[Vhost]:
    """The broker as a stranger reaches it."""
    async with Vhost(amqp_url, rabbitmq.management_url) as vhost:
        yield vhost


async def until(system: System, service: Service, **wanted: float) -> dict[str, float]:
    """Return what a service shows once it shows at least this."""

    async def shows() -> dict[str, float]:
        shown = await system.metrics(service)
        come = all(shown[f"activation_{name}"] >= least for name, least in wanted.items())
        return shown if come else {}

    return await eventually(shows, what=f"{wanted}")


async def test_the_reaper_counts_the_task_whose_last_attempt_died_with_its_worker(
    tmp_path: Path, amqp_url: str, postgres_url: str
) -> None:
    """Nobody else can; without tracing there is no exemplar."""
    settings: dict[str, Any] = {"max_attempts": 1, "lease_s": LEASE_S}
    async with System(tmp_path, amqp_url, postgres_url, **settings) as system:
        [gateway], [worker] = system.gateways, system.workers
        await system.script([{"do": "answer", "latency_s": 60}], "DOOMED01")
        await system.submit_many(["DOOMED01"])
        await eventually(system.calls_in_progress, what="the call")

        worker.kill()
        shown = await until(system, gateway, leases_reaped_total=1, dead_letters=1)

        duration = "activation_task_duration_seconds"
        end = "activation_tasks_finished_total{outcome=dead_lettered}{reason=worker_lost}"
        assert (shown[end], shown["activation_leases_reaped_total"]) == (1, 1)
        assert shown[f"{duration}_count{{outcome=dead_lettered}}"] == 1
        assert LEASE_S <= shown[f"{duration}_sum{{outcome=dead_lettered}}"] < LEASE_S + 10
        assert "trace_id" not in await system.admin(gateway, "/metrics", accept=OPENMETRICS)


async def test_a_message_that_the_broker_lost_is_counted(
    tmp_path: Path, vhost: Vhost, postgres_url: str
) -> None:
    """It is published a second time, from the store."""
    settings = {"workers": 0, "lost_message_after_s": 2}
    async with System(tmp_path, vhost.url, postgres_url, **settings) as system:
        await system.submit_many(["DEVICE1"])
        await until(system, system.gateways[0], messages_published_total=1)
        await vhost.until_waiting(1)

        await vhost.take()
        shown = await until(system, system.gateways[0], messages_published_total=2)

        assert shown["activation_messages_lost_total"] == 1
        assert shown["activation_outbox_swept_total"] == 1


async def test_a_message_that_no_queue_took_is_counted(
    tmp_path: Path, vhost: Vhost, postgres_url: str
) -> None:
    """It is not confirmed, and published once the queue is there again."""
    settings = {"workers": 0, "lost_message_after_s": 3600}
    async with System(tmp_path, vhost.url, postgres_url, **settings) as system:
        [gateway] = system.gateways
        await until(system, gateway, broker_connected=1)
        await vhost.delete_queue()

        await system.submit_many(["DEVICE1"])
        shown = await until(system, gateway, messages_published_total=1, broker_connected=1)

        assert shown["activation_messages_unconfirmed_total"] == 1
        assert shown["activation_publish_duration_seconds_count"] == 1


async def test_gauges_tell_what_waits_while_the_broker_is_away(
    tmp_path: Path, postgres_url: str
) -> None:
    """How many tasks, since when, and that there is no session."""
    away = f"amqp://{LOOPBACK}:9/"
    async with System(tmp_path, away, postgres_url, workers=0, publish_lease_s=1) as system:
        await system.submit_many(["DEVICE1", "DEVICE2"])

        shown = await until(system, system.gateways[0], outbox_tasks=2, outbox_age_seconds=1)

        assert shown["activation_broker_connected"] == 0
        assert shown["activation_tasks{state=queued}"] == 2
        assert shown["activation_tasks{state=running}"] == 0
        # The oldest message is due one lease after its task was accepted.
        late_s = shown["activation_oldest_queued_seconds"] - shown["activation_outbox_age_seconds"]
        assert late_s == pytest.approx(1, abs=0.01)


async def test_gauges_of_a_store_that_went_away_show_no_number(
    tmp_path: Path, amqp_url: str, own_postgres: Postgres
) -> None:
    """What was true before would look healthy; its failures are counted meanwhile."""
    async with System(tmp_path, amqp_url, own_postgres.url(), workers=0) as system:
        [gateway] = system.gateways
        before = await until(system, gateway, oldest_queued_seconds=0)

        await asyncio.to_thread(own_postgres.stop)

        async def unknown() -> dict[str, float]:
            shown = await system.metrics(gateway)
            return shown if math.isnan(shown["activation_oldest_queued_seconds"]) else {}

        shown = await eventually(unknown, what="no number")
        await asyncio.to_thread(own_postgres.start)
        after = await until(system, gateway, oldest_queued_seconds=0)

    gauges = [
        name for name in before if name.startswith(("activation_tasks{", "activation_outbox_"))
    ]
    gauges = [name for name in gauges if not name.endswith("_total")]
    assert len(gauges) == 4
    assert [math.isnan(shown[name]) for name in [*gauges, "activation_dead_letters"]] == [True] * 5
    assert shown["activation_store_failures_total{operation=status}"] >= 1
    assert [after[name] for name in gauges] == [0] * 4


async def test_a_worker_that_leaves_shows_for_how_long_it_has_been_draining(
    tmp_path: Path, amqp_url: str, postgres_url: str
) -> None:
    """An operator sees whether a deploy waits for calls, and how long already."""
    async with System(tmp_path, amqp_url, postgres_url) as system:
        [worker] = system.workers
        await system.script([{"do": "answer", "latency_s": 3}], "SLOW0001")
        await system.submit_many(["SLOW0001"])
        await eventually(system.calls_in_progress, what="the call")

        leaving = asyncio.create_task(worker.terminate())
        first = await until(system, worker, worker_draining=1)
        second = await until(system, worker, worker_drain_seconds=1)
        exit_code = await leaving

    assert first["activation_worker_drain_seconds"] < second["activation_worker_drain_seconds"] < 4
    assert second["activation_attempts_in_flight"] == 1
    assert exit_code == 0
