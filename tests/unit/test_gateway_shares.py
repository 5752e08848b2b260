"""Whose task it is decides how many others of the same caller it waits for."""

from collections.abc import AsyncIterator

import pytest

from activation_gateway.api_keys import ApiKey, hash_of
from activation_gateway.scopes import Scope
from tests.support.gateway import GatewayUnderTest, running_gateway

KEYS = [
    ApiKey.model_validate({"id": name, "sha256": hash_of(name), "scopes": list(Scope)})
    for name in ("batch", "crm")
]


@pytest.fixture
async def guarded() -> AsyncIterator[GatewayUnderTest]:
    """A gateway that offers one task of each caller to the workers."""
    async with running_gateway(keys=KEYS, caller_share=1) as gateway:
        yield gateway


async def submit(gateway: GatewayUnderTest, key: str, equipment: str) -> str | None:
    """Submit a task; tells what it waits for."""
    headers = {"X-API-Key": key}
    posted = await gateway.http.post(f"/api/v1/equipment/cpe/{equipment}", json={}, headers=headers)
    assert posted.status_code == 200
    shown = await gateway.http.get(f"/api/v1/tasks/{posted.json()['taskId']}", headers=headers)
    waiting: str | None = shown.json()["waitingFor"]
    return waiting


async def test_each_key_has_a_share_of_its_own(guarded: GatewayUnderTest) -> None:
    """What is above it is accepted, and says that it waits for its share."""
    waiting = [await submit(guarded, "batch", f"BATCH{n}") for n in range(2)]

    assert waiting == ["broker", "share"]
    assert await submit(guarded, "crm", "CRM0001") == "broker"


async def test_without_keys_nobody_waits_for_a_share() -> None:
    """The gateway cannot tell callers from each other."""
    async with running_gateway(caller_share=1) as gateway:
        waiting = [await submit(gateway, "nobody", f"DEVICE{n}") for n in range(3)]

    assert waiting == ["broker"] * 3
