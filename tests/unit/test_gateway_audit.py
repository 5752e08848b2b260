"""What operators do to tasks stands in the log: who, what, which task, and what came of it."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from activation.domain.task import TaskId
from activation_gateway.api_keys import ApiKey, hash_of
from tests.support.gateway import NOBODY, GatewayUnderTest, running_gateway
from tests.support.tasks import failure


async def actions(
    gateway: GatewayUnderTest, action: str, task_id: object, **headers: str
) -> list[dict[str, Any]]:
    """Act on a task, and return what the audit says, without the parts that never differ."""
    with capture_logs() as logs:
        await gateway.http.post(f"/api/v1/tasks/{task_id}:{action}", headers=headers)
    told = [dict(line) for line in logs if line["event"] == "operator_action"]
    assert all(line.pop("log_level") == "info" for line in told)
    assert all(line.pop("event") and line.pop("task_id") == str(task_id) for line in told)
    return told


async def failed(gateway: GatewayUnderTest) -> TaskId:
    """Have a task fail."""
    task_id = await gateway.submit()
    await gateway.finish(failure(await gateway.run(task_id)))
    return task_id


async def test_cancel_and_retry_are_each_one_line(gateway: GatewayUnderTest) -> None:
    """Where no key is asked for, nobody knows who it was."""
    waiting = await gateway.submit()
    told = await actions(gateway, "cancel", waiting)
    told += await actions(gateway, "retry", await failed(gateway))

    assert told == [
        {"caller": "anonymous", "action": "cancel", "outcome": "done"},
        {"caller": "anonymous", "action": "retry", "outcome": "done"},
    ]


async def test_key_that_acted_is_named() -> None:
    """By its id."""
    key = ApiKey.model_validate(
        {"id": "operator-1", "sha256": hash_of("secret"), "scopes": ["operate"]}
    )
    async with running_gateway(keys=[key]) as gateway:
        told = await actions(gateway, "cancel", NOBODY, **{"X-API-Key": "secret"})
        denied = await actions(gateway, "cancel", NOBODY, **{"X-API-Key": "other"})

    assert told == [{"caller": "operator-1", "action": "cancel", "outcome": "not_found"}]
    assert denied == []


@pytest.mark.parametrize("action", ["cancel", "retry"])
async def test_what_is_not_done_is_told_as_well(gateway: GatewayUnderTest, action: str) -> None:
    """The task has ended otherwise, or there is none."""
    task_id = await failed(gateway)
    if action == "retry":
        await gateway.http.post(f"/api/v1/tasks/{task_id}:retry")

    told = await actions(gateway, action, task_id) + await actions(gateway, action, NOBODY)

    assert [line["outcome"] for line in told] == ["refused", "not_found"]


async def test_outcome_is_unknown_where_the_store_does_not_answer(
    gateway: GatewayUnderTest,
) -> None:
    """It may have been done."""
    task_id = await failed(gateway)
    gateway.store.fail("get")

    [told] = await actions(gateway, "retry", task_id)

    assert told["outcome"] == "unknown"
