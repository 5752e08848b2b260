"""The contract over the running system: HTTP, PostgreSQL, RabbitMQ, worker and handler."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from tests.support import servers
from tests.support.service import eventually
from tests.support.system import System

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

DEVICE: Final = "/api/v1/equipment/cpe/"
EQUIPMENT_NOT_FOUND: Final = {"code": 404, "message": "The requested equipment is not found"}
TASK_NOT_FOUND: Final = {"code": 404, "message": "The requested task is not found"}
SLOW: Final = {"do": "answer", "latency_s": 3}  # so that we come while it runs


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    tmp_path_factory: pytest.TempPathFactory,
    rabbitmq: servers.RabbitMQ,
    postgres: servers.Postgres,
) -> AsyncIterator[System]:
    """One system for all tests of this module; each uses devices of its own."""
    folder = tmp_path_factory.mktemp("system")
    with servers.fresh_vhost(rabbitmq) as amqp_url:
        async with (
            servers.fresh_database(postgres) as database_url,
            System(folder, amqp_url, database_url, handler_s=0.2) as system,
        ):
            yield system
            await system.wait_all_ended()
            assert system.complaints() == []


async def test_a_task_is_answered_at_once_and_its_result_later(system: System) -> None:
    """POST 200 with the id and nothing else; 204 without a body while it runs; then 200."""
    await system.script([SLOW], "CONTRACT1")
    body = {"timeoutInSeconds": 60, "parameters": {"config": "example"}}

    posted = await system.request("POST", f"{DEVICE}CONTRACT1", json=body)
    task_id = posted.json()["taskId"]
    running = await system.request("GET", f"{DEVICE}CONTRACT1/task/{task_id}")
    await system.wait_all_ended()
    ended = await system.request("GET", f"{DEVICE}CONTRACT1/task/{task_id}")

    assert (posted.status_code, posted.json()) == (200, {"code": 200, "taskId": str(UUID(task_id))})
    assert (running.status_code, running.content) == (204, b"")
    assert int(running.headers["Retry-After"]) >= 1
    assert ended.status_code == 200
    assert ended.json().items() >= {"code": 200, "message": "Completed"}.items()


async def test_a_failing_and_an_unknown_device_are_told_apart(system: System) -> None:
    """What the handler says becomes 500 or 404 for the client."""
    failing, unknown = await system.submit_many(["DEV500A", "DEV404A"])
    await system.wait_all_ended()

    failed = await system.request("GET", f"{DEVICE}DEV500A/task/{failing}")
    not_found = await system.request("GET", f"{DEVICE}DEV404A/task/{unknown}")

    assert failed.status_code == 500
    words = {"code": 500, "message": "Internal provisioning exception"}
    assert failed.json().items() >= words.items()
    assert (not_found.status_code, not_found.json()) == (404, EQUIPMENT_NOT_FOUND)


async def test_what_is_not_there_is_404_of_the_right_kind(system: System) -> None:
    """An unknown task, another device's task, and what is no serial number."""
    [task_id] = await system.submit_many(["CONTRACT2"])

    unknown = await system.request("GET", f"{DEVICE}CONTRACT2/task/{uuid4()}")
    others = await system.request("GET", f"{DEVICE}CONTRACT3/task/{task_id}")
    no_device = await system.request("GET", f"{DEVICE}no-serial-number/task/{task_id}")
    no_device_posted = await system.request("POST", f"{DEVICE}SHORT", json={})

    assert (unknown.status_code, unknown.json()) == (404, TASK_NOT_FOUND)
    for answer in (others, no_device, no_device_posted):
        assert (answer.status_code, answer.json()) == (404, EQUIPMENT_NOT_FOUND)


@pytest.mark.parametrize(
    ("status", "content", "headers", "where"),
    [
        (422, b'{"timeoutInSeconds": 901}', {}, "/timeoutInSeconds"),
        (422, b'{"parameters": [{"vlan": 1}, {"vlan": 2}]}', {}, "/parameters/1/vlan"),
        (422, b'{"nonsense": 1}', {}, "/nonsense"),
        (400, b'{"parameters": ', {}, None),
        (400, b"\xff\xfe", {}, None),
        (413, b'{"parameters": {"config": "' + b"x" * 70_000 + b'"}}', {}, None),
        (415, b"{}", {"Content-Type": "text/plain"}, None),
    ],
)
async def test_bad_input_makes_no_task_and_says_what_is_wrong(
    system: System, status: int, content: bytes, headers: dict[str, str], where: str | None
) -> None:
    """RFC 9457: the status and, where there is one, the place of the fault."""
    answer = await system.request(
        "POST",
        f"{DEVICE}BADINPUT1",
        content=content,
        headers={"Content-Type": "application/json"} | headers,
    )

    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert [fault.get("pointer") for fault in problem.get("errors", [])] == [where] * bool(where)
    assert await system.tasks(equipment="BADINPUT1") == []


async def test_the_older_form_of_parameters_reaches_the_handler_merged(system: System) -> None:
    """A list of single-key objects is one object for the handler."""
    parameters = [{"username": "alice"}, {"vlan": 100}]

    post = await system.submit("OLDERFORM1", parameters=parameters)
    await system.wait_all_ended()

    [call] = [call for call in await system.calls() if call["key"] == post.task_id]
    assert call["parameters"] == ["username", "vlan"]


async def test_one_idempotency_key_makes_one_task(system: System) -> None:
    """Twenty POSTs at once and one later give the same task; another body is refused."""
    posts = await asyncio.gather(*(system.submit("IDEMPOTENT1", key="once") for _ in range(20)))
    await system.wait_all_ended()
    later = await system.submit("IDEMPOTENT1", key="once")
    other = await system.submit("IDEMPOTENT1", key="once", parameters={"vlan": 2})

    assert {post.status for post in [*posts, later]} == {200}
    assert len({post.task_id for post in [*posts, later]}) == 1
    assert other.status == 422
    assert len(await system.tasks(equipment="IDEMPOTENT1")) == 1
    assert len([call for call in await system.calls() if call["equipment"] == "IDEMPOTENT1"]) == 1


async def test_a_client_may_prefer_202_and_the_whole_task(system: System) -> None:
    """`respond-async` gives a place to look; `return=representation` shows a task that runs."""
    await system.script([SLOW], "PREFERS1")

    posted = await system.request(
        "POST", f"{DEVICE}PREFERS1", json={}, headers={"Prefer": "respond-async"}
    )
    running = await system.request(
        "GET", posted.headers["Location"], headers={"Prefer": "return=representation"}
    )

    assert posted.status_code == 202
    assert running.status_code == 200
    expected = {"code": 204, "taskId": posted.json()["taskId"], "equipment": "PREFERS1"}
    assert running.json().items() >= expected.items()


async def test_a_client_may_wait_for_the_end(system: System) -> None:
    """`wait=20` is answered when the worker has stored the result, and not 20 s later."""
    [task_id] = await system.submit_many(["WAITING1"])
    began = time.monotonic()

    answer = await system.request(
        "GET", f"{DEVICE}WAITING1/task/{task_id}", headers={"Prefer": "wait=20"}
    )

    assert answer.status_code == 200
    assert time.monotonic() - began < 15


async def test_work_that_uses_all_of_its_time_succeeds(system: System) -> None:
    """A grace is added: one second of work is done with a timeout of one second."""
    await system.script([{"do": "answer", "latency_s": 1.2}], "INTIME01")

    [task_id] = await system.submit_many(["INTIME01"], timeout_s=1)
    await system.wait_all_ended()

    task = await system.task(task_id)
    assert (task["state"], task["attempt"]) == ("succeeded", 1)


async def test_tasks_of_one_device_run_in_the_order_accepted(system: System) -> None:
    """The second says that it waits for its device; the calls do not overlap."""
    await system.script([SLOW], "INORDER1")

    first, second = await system.submit_many(["INORDER1"], each=2)
    waiting = await system.task(second)
    await system.wait_all_ended()

    calls = [call for call in await system.calls() if call["equipment"] == "INORDER1"]
    assert (waiting["state"], waiting["waitingFor"]) == ("queued", "device")
    assert [call["key"] for call in calls] == [first, second]
    assert calls[0]["ended_at"] <= calls[1]["started_at"]


async def test_an_operator_cancels_and_retries(system: System) -> None:
    """A queued task is cancelled at once; a failed one is tried again and keeps its history."""
    await system.script([SLOW | {"status": 403}], "OPERATOR1")
    refused, queued = await system.submit_many(["OPERATOR1"], each=2)

    cancelled = await system.request("POST", f"/api/v1/tasks/{queued}:cancel")

    async def failed() -> bool:
        return bool((await system.task(refused))["state"] == "failed")

    await eventually(failed, what="the refusal")
    retried = await system.request("POST", f"/api/v1/tasks/{refused}:retry")
    await system.wait_all_ended()

    task = await system.task(refused)
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert (retried.status_code, retried.json()["state"]) == (200, "queued")
    assert (task["state"], task["attempt"]) == ("succeeded", 2)
    assert [attempt["reason"] for attempt in task["attempts"]] == ["refused", "completed"]


async def test_the_documentation_comes_from_the_gateway_itself(system: System) -> None:
    """`/docs` names no file that the gateway does not serve."""
    page = await system.request("GET", "/docs")
    script = await system.request("GET", "/docs/assets/swagger-ui-bundle.js")
    api = (await system.request("GET", "/openapi.json")).json()

    assert "swagger-ui-bundle.js" in page.text
    assert "://" not in page.text
    assert script.status_code == 200
    assert "/api/v1/equipment/cpe/{id}" in api["paths"]
