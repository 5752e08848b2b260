"""Logs of the running system, and several services starting at once."""

import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.support.service import Service
from tests.support.system import System

pytestmark = pytest.mark.timeout(120)


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
