"""What operators ask for: to find tasks, to look into them, to cancel and to retry them."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activation.domain.task import State, TaskId
from activation_gateway.api.listing import CURSOR_PATTERN, read_cursor, write_cursor
from activation_gateway.relay import QueueStatus
from tests.support.gateway import NOBODY, GatewayUnderTest
from tests.support.tasks import (
    DEVICE,
    OTHER_DEVICE,
    failure,
    hand_back,
    new_task,
    retry,
    success,
    used_up,
)

TASK_NOT_FOUND = {"code": 404, "message": "The requested task is not found"}


async def listed(gateway: GatewayUnderTest, **query: Any) -> list[TaskId]:
    """List tasks and return their ids."""
    answer = await gateway.http.get("/api/v1/tasks", params=query)
    assert answer.is_success, answer.text
    return [TaskId(UUID(task["taskId"])) for task in answer.json()["tasks"]]


async def test_tasks_are_listed_newest_first(gateway: GatewayUnderTest) -> None:
    """Each is shown as a whole, and there is no next page."""
    first = await gateway.submit(DEVICE)
    second = await gateway.submit(OTHER_DEVICE)

    answer = await gateway.http.get("/api/v1/tasks")

    assert [str(second), str(first)] == [task["taskId"] for task in answer.json()["tasks"]]
    assert answer.json()["cursor"] is None
    assert answer.headers["Cache-Control"] == "no-store"


async def test_pages_hold_every_task_once(gateway: GatewayUnderTest) -> None:
    """The cursor leads from page to page, also when tasks arrive meanwhile."""
    tasks = [await gateway.submit(f"DEVICE{number}") for number in range(5)]
    found: list[TaskId] = []
    query: dict[str, Any] = {"limit": 2}

    for _ in range(3):
        answer = await gateway.http.get("/api/v1/tasks", params=query)
        await gateway.submit(f"LATE{len(found)}00000")
        found += [TaskId(UUID(task["taskId"])) for task in answer.json()["tasks"]]
        query["cursor"] = answer.json()["cursor"]

    assert tasks[::-1] == found
    assert query["cursor"] is None


async def test_tasks_are_found_by_state(gateway: GatewayUnderTest) -> None:
    """Several states may be asked for."""
    queued, running, done = [await gateway.submit(f"DEVICE{number}") for number in range(3)]
    await gateway.run(running)
    await gateway.finish(success(await gateway.run(done)))

    assert [queued] == await listed(gateway, state="queued")
    assert [done, running] == await listed(gateway, state=["running", "succeeded"])


async def test_tasks_are_found_by_equipment(gateway: GatewayUnderTest) -> None:
    """Only this equipment's."""
    wanted = await gateway.submit(DEVICE)
    await gateway.submit(OTHER_DEVICE)

    assert [wanted] == await listed(gateway, equipment=DEVICE)


async def test_tasks_are_found_by_time(gateway: GatewayUnderTest) -> None:
    """From is inclusive, before is exclusive, and any offset may be used."""
    early = await gateway.submit()
    gateway.clock.advance(60.0)
    late = await gateway.submit()

    assert [late] == await listed(gateway, acceptedFrom="2026-01-01T12:01:00Z")
    assert [early] == await listed(gateway, acceptedBefore="2026-01-01T14:01:00+02:00")
    assert (
        await listed(
            gateway, acceptedFrom="2026-01-01T12:00:00.001Z", acceptedBefore="2026-01-01t12:01:00z"
        )
        == []
    )


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
async def test_first_and_last_moments_can_be_asked_for(
    gateway: GatewayUnderTest, time: str
) -> None:
    """In UTC they lie outside of what Python can say; every task is between them all the same."""
    task_id = await gateway.submit()

    found = await listed(gateway, acceptedFrom=time), await listed(gateway, acceptedBefore=time)

    assert found == (([task_id], []) if time.startswith("0001") else ([], [task_id]))


async def test_dead_letters_are_found(gateway: GatewayUnderTest) -> None:
    """And so is everything else."""
    dead, alive = await gateway.submit(DEVICE), await gateway.submit(OTHER_DEVICE)
    await gateway.finish(used_up(await gateway.run(dead)))

    assert [dead] == await listed(gateway, deadLetter="true")
    assert [alive] == await listed(gateway, deadLetter="false")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "waiting"),
        ("equipment", "ABC-123"),
        ("acceptedFrom", "2026-01-01"),
        ("acceptedFrom", "1767268800"),
        ("acceptedBefore", "2026-02-30T12:00:00Z"),
        ("acceptedBefore", "2026-01-31T12:00:00"),
        ("deadLetter", "1"),
        ("deadLetter", ""),
        ("limit", "0"),
        ("limit", "501"),
        ("limit", "many"),
        ("cursor", "1"),
        ("cursor", "AAAAAAAAABB"),
        ("cursor", "zzzzzzzzzzw"),
        ("sort", "oldest"),
        ("dead_letter", "true"),
    ],
)
async def test_bad_query_is_422_and_names_the_parameter(
    gateway: GatewayUnderTest, name: str, value: str
) -> None:
    """A filter that is not understood must not look like a filter that was applied."""
    answer = await gateway.http.get("/api/v1/tasks", params={name: value})

    problem = answer.json()
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert [name] == [fault["parameter"] for fault in problem["errors"]]
    assert problem["detail"].startswith(f"{name}: ")


@given(st.integers(0, 2**63 - 1))
def test_cursor_leads_back_to_where_it_came_from(place: int) -> None:
    """Whatever the store gives as its place."""
    assert place == read_cursor(write_cursor(place))


@given(st.from_regex(CURSOR_PATTERN.replace("$", r"\Z")))
def test_whatever_looks_like_a_cursor_is_one(text: str) -> None:
    """So the documented pattern is the whole truth."""
    place = read_cursor(text)

    assert 0 <= place < 2**63
    assert text == write_cursor(place)


async def test_task_is_shown_with_its_events_and_attempts(gateway: GatewayUnderTest) -> None:
    """Oldest first: what happened, and each try at the handler."""
    task_id = await gateway.submit()
    await gateway.finish(retry(await gateway.run(task_id), retry_in_s=10.0))
    gateway.clock.advance(10.0)
    await gateway.finish(success(await gateway.run(task_id)))

    shown = (await gateway.http.get(f"/api/v1/tasks/{task_id}")).json()

    assert (shown["taskId"], shown["state"], shown["attempt"]) == (str(task_id), "succeeded", 2)
    assert [event["name"] for event in shown["events"]] == [
        "accepted",
        "started",
        "retry_scheduled",
        "started",
        "succeeded",
    ]
    assert shown["events"][2]["notBefore"] == "2026-01-01T12:00:10Z"
    assert shown["attempts"] == [
        {
            "number": 1,
            "worker": "worker-a",
            "startedAt": "2026-01-01T12:00:00Z",
            "endedAt": "2026-01-01T12:00:00Z",
            "result": "retry_scheduled",
            "reason": "unavailable",
            "detail": "The handler answered 503",
        },
        {
            "number": 2,
            "worker": "worker-a",
            "startedAt": "2026-01-01T12:00:10Z",
            "endedAt": "2026-01-01T12:00:10Z",
            "result": "succeeded",
            "reason": "completed",
            "detail": "Completed",
        },
    ]


async def test_queued_task_is_cancelled_at_once(gateway: GatewayUnderTest) -> None:
    """200, and 200 again for who asks twice."""
    task_id = await gateway.submit()

    answers = [await gateway.http.post(f"/api/v1/tasks/{task_id}:cancel") for _ in range(2)]

    assert [(a.status_code, a.json()["state"]) for a in answers] == [(200, "cancelled")] * 2
    assert (await gateway.stored(task_id)).state is State.CANCELLED


async def test_running_task_is_asked_to_make_no_further_attempt(gateway: GatewayUnderTest) -> None:
    """202: the attempt goes on, and its success would still count."""
    task_id = await gateway.submit()
    await gateway.run(task_id)

    answer = await gateway.http.post(f"/api/v1/tasks/{task_id}:cancel")

    assert (answer.status_code, answer.json()["state"]) == (202, "running")
    assert answer.json()["cancelRequested"] is True


async def test_task_that_has_ended_cannot_be_cancelled(gateway: GatewayUnderTest) -> None:
    """409 says how it stands."""
    task_id = await gateway.submit()
    await gateway.finish(success(await gateway.run(task_id)))

    answer = await gateway.http.post(f"/api/v1/tasks/{task_id}:cancel")

    assert answer.status_code == 409
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "has succeeded" in answer.json()["detail"]


async def test_failed_task_is_queued_again(gateway: GatewayUnderTest) -> None:
    """With all its attempts; the old ones stay in its history."""
    task_id = await gateway.submit()
    await gateway.finish(used_up(await gateway.run(task_id)))

    answer = await gateway.http.post(f"/api/v1/tasks/{task_id}:retry")

    shown = answer.json()
    assert (answer.status_code, shown["code"], shown["state"]) == (200, 204, "queued")
    assert (shown["attempt"], shown["maxAttempts"], shown["deadLetter"]) == (1, 6, False)


async def test_task_that_has_not_failed_cannot_be_retried(gateway: GatewayUnderTest) -> None:
    """409: a second activation of a device must be asked for by a POST."""
    task_id = await gateway.submit()

    answer = await gateway.http.post(f"/api/v1/tasks/{task_id}:retry")

    assert answer.status_code == 409
    assert "only a failed task can be replayed" in answer.json()["detail"]


@pytest.mark.parametrize("task_id", [NOBODY, uuid4(), "nonsense"])
@pytest.mark.parametrize(("method", "verb"), [("GET", ""), ("POST", ":cancel"), ("POST", ":retry")])
async def test_unknown_task_is_404_as_in_the_contract(
    gateway: GatewayUnderTest, method: str, verb: str, task_id: object
) -> None:
    """An id that is none is as unknown as one that nobody has."""
    answer = await gateway.http.request(method, f"/api/v1/tasks/{task_id}{verb}")

    assert (answer.status_code, answer.json()) == (404, TASK_NOT_FOUND)


async def test_status_shows_the_system_at_a_glance(gateway: GatewayUnderTest) -> None:
    """What is in the store, what the broker is owed, and what waits in its queues."""
    dead, running = await gateway.submit(DEVICE), await gateway.submit(OTHER_DEVICE)
    await gateway.finish(used_up(await gateway.run(dead)))
    await gateway.run(running)
    await gateway.submit("WAITING1")
    gateway.clock.advance(12.0)

    status = (await gateway.http.get("/api/v1/status")).json()

    assert status == {
        "counts": {"queued": 1, "running": 1, "succeeded": 0, "failed": 1, "cancelled": 0},
        "deadLetters": 1,
        "outbox": {"unpublished": 1, "ageSeconds": 2.0},
        "oldestQueuedSeconds": 12.0,
        "queue": {"connected": True, "ready": 3, "consumers": 2, "dead": 1},
    }


async def test_status_without_the_broker_says_so(gateway: GatewayUnderTest) -> None:
    """RabbitMQ out of reach is not an error of the gateway."""
    gateway.queue = QueueStatus(connected=False)

    answer = await gateway.http.get("/api/v1/status")

    assert answer.status_code == 200
    assert answer.json()["queue"] == {
        "connected": False,
        "ready": None,
        "consumers": None,
        "dead": None,
    }


async def waiting_for(gateway: GatewayUnderTest, task_id: TaskId) -> str | None:
    """Ask what a task waits for."""
    shown = (await gateway.result(task_id, prefer="return=representation")).json()
    waiting: str | None = shown["waitingFor"]
    return waiting


async def test_task_says_what_it_waits_for(gateway: GatewayUnderTest) -> None:
    """The device, the broker, a worker, the time of a retry; nothing once it runs."""
    task_id, second = await gateway.submit(), await gateway.submit()
    seen = [await waiting_for(gateway, second), await waiting_for(gateway, task_id)]
    gateway.clock.advance(10.0)
    await gateway.store.mark_published(await gateway.store.take_ready(limit=1))
    seen.append(await waiting_for(gateway, task_id))
    claim = await gateway.run(task_id)
    seen.append(await waiting_for(gateway, task_id))
    await gateway.finish(retry(claim, retry_in_s=10.0))
    seen.append(await waiting_for(gateway, task_id))

    assert seen == ["device", "broker", "worker", None, "retry"]


async def test_attempts_that_cost_nothing_raise_the_highest_number(
    gateway: GatewayUnderTest,
) -> None:
    """So `attempt` of `maxAttempts` is always true."""
    task_id = await gateway.submit()
    await gateway.finish(hand_back(await gateway.run(task_id)))

    shown = (await gateway.result(task_id, prefer="return=representation")).json()

    assert (shown["attempt"], shown["maxAttempts"]) == (1, 6)


async def test_secrets_are_masked_wherever_a_task_is_shown(gateway: GatewayUnderTest) -> None:
    """At any depth, in every answer; what is no secret stays."""
    parameters = {"username": "alice", "wifi": [{"Psk-Key": "canary"}], "PASSWORD": ["canary"]}
    task_id = await gateway.submit(parameters=parameters)
    await gateway.finish(failure(await gateway.run(task_id)))

    answers = [
        await gateway.result(task_id),
        await gateway.result(task_id, prefer="return=representation"),
        await gateway.http.get("/api/v1/tasks"),
        await gateway.http.get(f"/api/v1/tasks/{task_id}"),
        await gateway.http.post(f"/api/v1/tasks/{task_id}:retry"),
        await gateway.http.post(f"/api/v1/tasks/{task_id}:cancel"),
    ]

    masked = {"username": "alice", "wifi": [{"Psk-Key": "***"}], "PASSWORD": "***"}
    assert answers[0].json()["parameters"] == masked
    for answer in answers:
        assert "alice" in answer.text
        assert "canary" not in answer.text


async def test_secret_words_of_another_task_are_not_shared(gateway: GatewayUnderTest) -> None:
    """Only names decide what is a secret, so that equal values elsewhere stay readable."""
    new = new_task(parameters='{"password": "blue", "colour": "blue"}')
    await gateway.store.accept([new])

    shown = (await gateway.result(new.id, prefer="return=representation")).json()

    assert shown["parameters"] == {"password": "***", "colour": "blue"}
