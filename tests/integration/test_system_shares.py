"""Callers share the workers, on real RabbitMQ and PostgreSQL."""

import asyncio
from pathlib import Path

import httpx
import pytest

from activation_gateway.api_keys import new_key
from tests.support.guarded_gateway import write_keys
from tests.support.system import System

pytestmark = pytest.mark.timeout(120)

MANY = 60
SHARE = 5
CALLS_AT_ONCE = 2
DEVICE = "/api/v1/equipment/cpe/"


async def test_a_caller_with_many_tasks_does_not_hold_up_another_one(
    tmp_path: Path, amqp_url: str, postgres_url: str
) -> None:
    """One worker makes two calls at once; the other caller comes last, and ends among the first."""
    batch, crm = new_key(), new_key()
    write_keys(tmp_path, batch, crm)
    async with System(
        tmp_path,
        amqp_url,
        postgres_url,
        gateways=2,
        handler_s=0.2,
        concurrency=CALLS_AT_ONCE,
        caller_share=SHARE,
        api_keys_file=tmp_path / "keys.yaml",
    ) as system:

        async def submit(key: str, device: str) -> str:
            answer = await system.request(
                "POST", f"{DEVICE}{device}", json={}, headers={"X-API-Key": key}
            )
            return f"{DEVICE}{device}/task/{answer.json()['taskId']}"

        async def end(key: str, task: str) -> int:
            headers = {"X-API-Key": key, "Prefer": "wait=60"}
            return (await system.request("GET", task, headers=headers)).status_code

        tasks = [await submit(batch, f"BATCH{n:03}") for n in range(MANY)]
        begun = len(await system.calls())
        other = await end(crm, await submit(crm, "CRM0001"))
        devices = [call["equipment"] for call in await system.calls()]
        others = await asyncio.gather(*(end(batch, task) for task in tasks))

    assert (other, set(others)) == (httpx.codes.OK, {httpx.codes.OK})
    # Two gateways that look at the same moment may give the share twice.
    assert devices.index("CRM0001") - begun <= 2 * SHARE + 2 * CALLS_AT_ONCE
    assert len(devices) < MANY / 2
