"""The public contract, row by row."""

from uuid import UUID

import pytest

from activation.domain.outcome import Outcome, Reason
from activation.domain.retry import Verdict
from activation.domain.task import State, TaskId
from activation.ports import Result
from tests.support.gateway import NOBODY, GatewayUnderTest
from tests.support.tasks import DEVICE, OTHER_DEVICE, failure, retry, success

TASK_NOT_FOUND = {"code": 404, "message": "The requested task is not found"}
EQUIPMENT_NOT_FOUND = {"code": 404, "message": "The requested equipment is not found"}
NO_SERIAL_NUMBERS = ["ABC12", "ABC-123", "ABC 123", "ÄBC123", "ABC123%0A", "A" * 129, "%00BC123"]


async def test_post_is_answered_with_the_id_of_a_task_that_is_stored(
    gateway: GatewayUnderTest,
) -> None:
    """POST gives 200, `code` and `taskId`, and nothing else, once the task is durable."""
    answer = await gateway.post({"timeoutInSeconds": 90, "parameters": {"config": "example"}})

    body = answer.json()
    task = await gateway.stored(TaskId(UUID(body.pop("taskId"))))
    assert (answer.status_code, body) == (200, {"code": 200})
    assert answer.headers["Content-Type"] == "application/json"
    assert (task.equipment, task.timeout_s, task.parameters) == (DEVICE, 90, '{"config":"example"}')


async def test_post_without_members_takes_the_defaults(gateway: GatewayUnderTest) -> None:
    """An empty object asks for 60 seconds and no parameters."""
    task = await gateway.stored(await gateway.submit())

    assert (task.timeout_s, task.parameters) == (60, "{}")


@pytest.mark.parametrize("timeout_s", [1, 60, 60.0, 900])
async def test_timeout_is_an_integer_from_1_to_900(
    gateway: GatewayUnderTest, timeout_s: float
) -> None:
    """Both ends are allowed, and 60.0 is what JSON Schema calls an integer."""
    task = await gateway.stored(await gateway.submit(timeoutInSeconds=timeout_s))

    assert timeout_s == task.timeout_s
    assert isinstance(task.timeout_s, int)


async def test_older_form_of_parameters_is_merged(gateway: GatewayUnderTest) -> None:
    """A list of objects with one member each is the same as one object."""
    older = [{"username": "alice"}, {"vlan": 100}, {"interfaces": [{"name": "wan"}]}]

    task = await gateway.stored(await gateway.submit(parameters=older))

    assert task.parameters == '{"username":"alice","vlan":100,"interfaces":[{"name":"wan"}]}'


async def test_strings_that_utf8_cannot_hold_are_kept(gateway: GatewayUnderTest) -> None:
    """Lone surrogates and NULs are valid JSON: they are stored and shown as they came."""
    task_id = await gateway.submit(parameters={"odd": "\ud800 \x00 ü"})

    shown = await gateway.result(task_id, prefer="return=representation")

    assert (await gateway.stored(task_id)).parameters == r'{"odd":"\ud800 \u0000 \u00fc"}'
    assert shown.json()["parameters"] == {"odd": "\ud800 \x00 ü"}


@pytest.mark.parametrize("equipment", NO_SERIAL_NUMBERS)
async def test_post_to_what_is_no_serial_number_is_404(
    gateway: GatewayUnderTest, equipment: str
) -> None:
    """The contract's own body, whatever else is wrong with the request."""
    answer = await gateway.post(b"not even JSON", equipment, Content_Type="text/plain")

    assert (answer.status_code, answer.json()) == (404, EQUIPMENT_NOT_FOUND)


@pytest.mark.parametrize("equipment", NO_SERIAL_NUMBERS)
async def test_get_for_what_is_no_serial_number_is_404(
    gateway: GatewayUnderTest, equipment: str
) -> None:
    """The contract's own body, also for a task that exists."""
    answer = await gateway.result(await gateway.submit(), equipment)

    assert (answer.status_code, answer.json()) == (404, EQUIPMENT_NOT_FOUND)


async def test_unfinished_task_is_204_without_a_body(gateway: GatewayUnderTest) -> None:
    """GET of a queued task, and of a running one, says when to look again and nothing else."""
    task_id = await gateway.submit(timeoutInSeconds=60)
    queued = await gateway.result(task_id)
    await gateway.run(task_id)
    running = await gateway.result(task_id)

    for answer in (queued, running):
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["Retry-After"] == "6"
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("timeout_s", "pause_s"), [(1, 1), (60, 6), (900, 30)])
async def test_looking_again_follows_the_timeout(
    gateway: GatewayUnderTest, timeout_s: int, pause_s: int
) -> None:
    """Short tasks are worth a look each second, long ones each half minute."""
    answer = await gateway.result(await gateway.submit(timeoutInSeconds=timeout_s))

    assert str(pause_s) == answer.headers["Retry-After"]


async def test_looking_again_waits_for_the_next_attempt(gateway: GatewayUnderTest) -> None:
    """A task that must wait for its retry is not worth a look before."""
    task_id = await gateway.submit()
    await gateway.finish(retry(await gateway.run(task_id), retry_in_s=119.5))

    answer = await gateway.result(task_id)

    assert (answer.status_code, answer.headers["Retry-After"]) == (204, "120")


async def test_succeeded_task_is_200_completed(gateway: GatewayUnderTest) -> None:
    """The original members stand beside what else there is to know."""
    task_id = await gateway.submit()
    await gateway.finish(success(await gateway.run(task_id)))

    answer = await gateway.result(task_id)

    body = answer.json()
    assert (answer.status_code, body["code"], body["message"]) == (200, 200, "Completed")
    assert (str(task_id), DEVICE, "succeeded") == (
        body["taskId"],
        body["equipment"],
        body["state"],
    )
    assert answer.headers["Cache-Control"] == "no-store"


async def test_failed_task_is_500_internal_provisioning_exception(
    gateway: GatewayUnderTest,
) -> None:
    """The original members, and why it failed."""
    task_id = await gateway.submit()
    await gateway.finish(failure(await gateway.run(task_id)))

    answer = await gateway.result(task_id)

    body = answer.json()
    assert answer.status_code == 500
    assert (body["code"], body["message"]) == (500, "Internal provisioning exception")
    assert (
        body["reason"],
        body["detail"],
        body["attempt"],
        body["deadLetter"],
    ) == ("refused", "Not allowed", 1, False)
    assert body["finishedAt"] == "2026-01-01T12:00:00Z"


async def test_cancelled_task_is_500(gateway: GatewayUnderTest) -> None:
    """It did not succeed, so it is a failure to clients of the original contract."""
    task_id = await gateway.submit()
    await gateway.store.cancel(task_id)

    answer = await gateway.result(task_id)

    body = answer.json()
    assert (answer.status_code, body["code"]) == (500, 500)
    assert body["message"] == "The task was cancelled"


async def test_device_that_the_handler_does_not_know_is_404(gateway: GatewayUnderTest) -> None:
    """Once the handler has said so, GET answers as for an equipment that cannot exist."""
    task_id = await gateway.submit()
    claim = await gateway.run(task_id)
    unknown = Outcome(Reason.UNKNOWN_EQUIPMENT, "The handler answered 404")
    await gateway.finish(Result(claim, unknown, Verdict(State.FAILED)))

    answer = await gateway.result(task_id)

    assert (answer.status_code, answer.json()) == (404, EQUIPMENT_NOT_FOUND)


@pytest.mark.parametrize("task_id", [NOBODY, "nonsense", "{00000000-0000-0000-0000-000000000000}"])
async def test_unknown_task_is_404(gateway: GatewayUnderTest, task_id: UUID | str) -> None:
    """An id that is none is as unknown as one that nobody has."""
    answer = await gateway.result(task_id)

    assert (answer.status_code, answer.json()) == (404, TASK_NOT_FOUND)


async def test_task_of_another_device_is_404_equipment(gateway: GatewayUnderTest) -> None:
    """The task exists, but not under this equipment."""
    task_id = await gateway.submit(DEVICE)

    answer = await gateway.result(task_id, OTHER_DEVICE)

    assert (answer.status_code, answer.json()) == (404, EQUIPMENT_NOT_FOUND)


async def test_task_id_in_capitals_names_the_same_task(gateway: GatewayUnderTest) -> None:
    """Hexadecimal digits have no case (RFC 9562 section 4)."""
    task_id = await gateway.submit()

    answer = await gateway.result(str(task_id).upper())

    assert answer.status_code == 204


async def test_whole_task_is_shown_in_every_state_to_who_prefers_it(
    gateway: GatewayUnderTest,
) -> None:
    """`Prefer: return=representation` is 200 with the contract's code inside."""
    task_id = await gateway.submit()
    unfinished = await gateway.result(task_id, prefer="return=representation")
    await gateway.finish(failure(await gateway.run(task_id)))
    failed = await gateway.result(task_id, prefer="return=representation")

    assert (
        unfinished.status_code,
        unfinished.json()["code"],
        unfinished.json()["state"],
    ) == (200, 204, "queued")
    assert unfinished.headers["Retry-After"] == "6"
    assert (
        failed.status_code,
        failed.json()["code"],
        failed.json()["state"],
    ) == (200, 500, "failed")
    for answer in (unfinished, failed):
        assert answer.headers["Preference-Applied"] == "return=representation"
        assert answer.headers["Vary"] == "Prefer"


async def test_representation_of_an_unknown_device_has_code_404(gateway: GatewayUnderTest) -> None:
    """The task is shown although the plain answer would be 404."""
    task_id = await gateway.submit()
    unknown = Outcome(Reason.UNKNOWN_EQUIPMENT, "The handler answered 404")
    await gateway.finish(Result(await gateway.run(task_id), unknown, Verdict(State.FAILED)))

    answer = await gateway.result(task_id, prefer="return=representation")

    assert (answer.status_code, answer.json()["code"]) == (200, 404)
    assert EQUIPMENT_NOT_FOUND["message"] == answer.json()["message"]


async def test_prefer_respond_async_is_202_with_location(gateway: GatewayUnderTest) -> None:
    """The place named is the one that GET answers at."""
    answer = await gateway.post({}, Prefer="respond-async")

    looked = await gateway.http.get(answer.headers["Location"])
    assert (answer.status_code, answer.json()["code"]) == (202, 202)
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert looked.status_code == 204


async def test_same_key_and_body_give_the_same_task(gateway: GatewayUnderTest) -> None:
    """A repeat is answered with the first task, in whatever order its members come."""
    first = await gateway.post({"parameters": {"a": 1, "b": 2}}, Idempotency_Key="order-1")
    repeat = await gateway.post(
        {"timeoutInSeconds": 60, "parameters": [{"b": 2}, {"a": 1}]}, Idempotency_Key="order-1"
    )

    assert (200, first.json()) == (repeat.status_code, repeat.json())
    assert await gateway.store.backlog() == 1


@pytest.mark.parametrize(
    ("body", "equipment"),
    [
        ({"parameters": {"a": 2}}, DEVICE),
        ({"parameters": {"a": 1}, "timeoutInSeconds": 61}, DEVICE),
        ({"parameters": {"a": 1}}, OTHER_DEVICE),
    ],
)
async def test_same_key_for_another_request_is_422(
    gateway: GatewayUnderTest, body: object, equipment: str
) -> None:
    """The header is named, and nothing is stored."""
    await gateway.post({"parameters": {"a": 1}}, Idempotency_Key="order-1")

    answer = await gateway.post(body, equipment, Idempotency_Key="order-1")

    assert answer.status_code == 422
    assert [fault["header"] for fault in answer.json()["errors"]] == ["Idempotency-Key"]
    assert await gateway.store.backlog() == 1


@pytest.mark.parametrize(
    "key", ["x", "~" * 255, '"a-quoted-string"', "018f3c5e-7d1a-4c3b-9b1e-2a6d5f0c8e11"]
)
async def test_keys_of_visible_ascii_are_taken(gateway: GatewayUnderTest, key: str) -> None:
    """A quoted string, as the IETF draft has it, is a key with its quotes."""
    answer = await gateway.post({}, Idempotency_Key=key)

    assert answer.status_code == 200


@pytest.mark.parametrize("key", ["", "a b", "~" * 256, "\xe4"])
async def test_other_keys_are_400(gateway: GatewayUnderTest, key: str) -> None:
    """The header is named, and nothing is stored."""
    answer = await gateway.http.post(
        f"/api/v1/equipment/cpe/{DEVICE}",
        json={},
        headers=[(b"Idempotency-Key", key.encode("latin-1"))],
    )

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["header"] == "Idempotency-Key"
    assert await gateway.store.backlog() == 0
