"""Metrics, logs and health of the running system, and several services starting at once."""

import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.support.system import Service, System, eventually

pytestmark = pytest.mark.timeout(120)


async def test_counters_agree_with_the_work_that_was_done(
    tmp_path: Path, amqp_url: str, postgres_url: str
) -> None:
    """Three tasks succeed, one of them in its second attempt; one fails; one is a dead letter."""
    async with System(tmp_path, amqp_url, postgres_url, handler_s=0, max_attempts=2) as system:
        [gateway], [worker] = system.gateways, system.workers
        await system.script([{"do": "answer", "status": 503}], "RETRIED1")
        await system.script([{"do": "garbage", "acts": False, "times": 2}], "HOPELESS1")

        await system.submit_many(["DEVICE1", "DEVICE2", "RETRIED1", "HOPELESS1", "DEV404A"])
        await system.wait_all_ended()

        accepted, worked = await system.metrics(gateway), await system.metrics(worker)
        assert accepted["activation_tasks_accepted_total"] == 5
        assert accepted["activation_messages_published_total"] >= 7
        assert worked["activation_attempts_started_total"] == 7
        assert worked["activation_attempts_total{reason=completed}"] == 3
        assert worked["activation_attempts_total{reason=unreadable}"] == 2
        assert worked["activation_retries_total{reason=unavailable}"] == 1
        assert worked["activation_tasks_finished_total{state=succeeded}"] == 3
        assert worked["activation_tasks_finished_total{state=failed}"] == 2
        assert worked["activation_tasks_dead_lettered_total"] == 1
        assert worked["activation_task_duration_seconds_count"] == 5
        assert worked["activation_attempts_in_flight"] == 0
        assert worked["activation_worker_capacity"] == 20

        async def gauges() -> bool:
            shown = await system.metrics(gateway)
            names = ("activation_broker_connected", "activation_dead_letters")
            return [shown[name] for name in names] == [1, 1]

        await eventually(gauges, what="fresh gauges")


async def test_logs_are_json_and_tell_the_way_of_a_task_by_its_ids(
    tmp_path: Path, amqp_url: str, postgres_url: str
) -> None:
    """Each line has time, level, service and event; the task's lines have its ids."""
    async with System(tmp_path, amqp_url, postgres_url) as system:
        [gateway], [worker] = system.gateways, system.workers
        [task_id] = await system.submit_many(["DEVICE1"])
        await system.wait_all_ended()

    lines = [*entries(gateway), *entries(worker)]
    told = [line for line in lines if line.get("task_id") == task_id]
    assert all(line.keys() >= {"timestamp", "level", "service", "event"} for line in lines)
    assert [(line["service"], line["event"]) for line in told] == [
        ("gateway", "task_accepted"),
        ("worker", "attempt_started"),
        ("worker", "task_ended"),
    ]
    assert {line["equipment"] for line in told} == {"DEVICE1"}
    assert [line.get("attempt") for line in told] == [None, 1, 1]
    assert lines[-1]["event"] == "stopped"


async def test_four_services_may_start_at_once_on_an_empty_database(
    tmp_path: Path, amqp_url: str, postgres_url: str
) -> None:
    """Each brings the schema up to date; one does it, the others wait, all work."""
    async with System(tmp_path, amqp_url, postgres_url, gateways=2, workers=2) as system:
        await system.submit_many(["DEVICE1", "DEVICE2", "DEVICE3"])
        await system.wait_all_ended()

        await system.account()
        assert await revisions(postgres_url) == 1


async def revisions(url: str) -> int:
    connection = await asyncpg.connect(url, timeout=10)
    count = await connection.fetchval("select count(*) from alembic_version", timeout=10)
    await connection.close(timeout=10)
    return int(count)


def entries(service: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.log_lines()]
