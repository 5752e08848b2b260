"""The handler's HTTP interface, as far as it needs no real connection."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import structlog

from activation_handler.app import create_app
from activation_handler.ledger import Ledger
from activation_handler.playbook import Playbook
from activation_handler.provisioning import Provisioning

CANARY = "canary-4711"
ASKED = "/api/v1/equipment/cpe/ABC123/activations/key-1"
BODY = {"timeoutInSeconds": 60, "parameters": {"username": "admin", "password": CANARY}}


class Gate:
    """A sleep of no length, until the test closes the gate."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self.opened.set()

    async def sleep(self, _: float) -> None:
        """Wait while the gate is closed."""
        self.reached.set()
        await self.opened.wait()


@pytest.fixture
async def gate() -> Gate:
    return Gate()


@pytest.fixture
def log() -> structlog.testing.CapturingLogger:
    return structlog.testing.CapturingLogger()


@pytest.fixture
async def handler(
    gate: Gate, log: structlog.testing.CapturingLogger
) -> AsyncIterator[httpx.AsyncClient]:
    playbook = Playbook(usual_s=60.0)
    ledger = Ledger(now=asyncio.get_running_loop().time)
    provisioning = Provisioning(playbook, sleep=gate.sleep)
    app = create_app(provisioning, playbook, ledger, structlog.wrap_logger(log))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://handler") as client:
        yield client


async def _activate(
    handler: httpx.AsyncClient, equipment: str = "ABC123", key: str = "key-1", attempt: str = "1"
) -> httpx.Response:
    return await handler.post(
        f"/api/v1/equipment/cpe/{equipment}",
        json=BODY,
        headers={"Idempotency-Key": key, "X-Attempt": attempt},
    )


async def _calls(handler: httpx.AsyncClient, **filters: str) -> list[dict[str, Any]]:
    answer = await handler.get("/ledger", params=filters)
    calls: list[dict[str, Any]] = answer.json()["calls"]
    return calls


@pytest.mark.parametrize(
    ("equipment", "status", "message"),
    [
        ("ABC123", 200, "success"),
        ("DEV404001", 404, "The requested equipment is not found"),
        ("DEV500001", 500, "Internal provisioning exception"),
    ],
)
async def test_a_device_is_answered_as_by_the_real_system(
    handler: httpx.AsyncClient, equipment: str, status: int, message: str
) -> None:
    """The status and the exact body of the contract."""
    answer = await _activate(handler, equipment)

    assert answer.status_code == status
    assert answer.json() == {"code": status, "message": message}


async def test_a_call_is_in_the_ledger_with_all_that_tests_ask_for(
    handler: httpx.AsyncClient,
) -> None:
    """Device, key, attempt, names of parameters, times, outcome, and what it did."""
    await _activate(handler, attempt="3")

    [call] = await _calls(handler)

    assert call.pop("started_at") <= call.pop("ended_at")
    assert call == {
        "sequence": 1,
        "equipment": "ABC123",
        "key": "key-1",
        "attempt": 3,
        "parameters": ["username", "password"],
        "outcome": "200",
        "activated": True,
        "repeated": False,
    }


@pytest.mark.parametrize("attempt", ["", "first", "-1", "9" * 5_000])
async def test_an_attempt_that_is_no_number_is_left_out(
    handler: httpx.AsyncClient, attempt: str
) -> None:
    """The call is carried out and listed nevertheless."""
    await _activate(handler, attempt=attempt)

    assert [call["attempt"] for call in await _calls(handler)] == [None]


async def test_the_values_of_parameters_show_nowhere(
    handler: httpx.AsyncClient, log: structlog.testing.CapturingLogger
) -> None:
    """A marked password is in no answer, no ledger and no log, whether accepted or refused."""
    refused = {"timeoutInSeconds": CANARY, "parameters": {"password": CANARY}}

    answers = [
        await _activate(handler),
        await handler.post("/api/v1/equipment/cpe/ABC123", json=refused),
        await handler.post("/api/v1/equipment/cpe/ABC123", content=f'{{"password": "{CANARY}'),
        await handler.get("/ledger"),
        await handler.get("/ledger/summary"),
        await handler.get(ASKED),
    ]

    assert log.calls
    assert CANARY not in repr(log.calls)
    assert CANARY not in "".join(answer.text for answer in answers)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"parameters": {}}', "timeoutInSeconds"),
        ('{"timeoutInSeconds": "60", "parameters": {}}', "timeoutInSeconds"),
        ('{"timeoutInSeconds": 0, "parameters": {}}', "timeoutInSeconds"),
        ('{"timeoutInSeconds": 60}', "parameters"),
        ('{"timeoutInSeconds": 60, "parameters": []}', "parameters"),
        ("[]", "body"),
        ("{", "body"),
        ("", "body"),
    ],
)
async def test_a_call_that_cannot_be_read_is_refused_by_the_name_of_its_field(
    handler: httpx.AsyncClient, body: str, field: str
) -> None:
    """422, and nothing was activated."""
    answer = await handler.post("/api/v1/equipment/cpe/ABC123", content=body)

    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["faults"]] == [field]
    assert field in answer.json()["message"]
    assert await _calls(handler) == []


@pytest.mark.parametrize("retry_after", [30, "Wed, 21 Oct 2026 07:28:00 GMT"])
async def test_a_scripted_answer_is_given_with_its_retry_after(
    handler: httpx.AsyncClient, retry_after: int | str
) -> None:
    """429 with seconds or a date, once; then the device is as usual."""
    step = {"do": "answer", "status": 429, "message": "slow down", "retry_after": retry_after}
    await handler.post("/script", json={"equipment": "ABC123", "steps": [step]})

    first = await _activate(handler)
    second = await _activate(handler)

    assert (first.status_code, first.headers["retry-after"]) == (429, str(retry_after))
    assert first.json() == {"code": 429, "message": "slow down"}
    assert second.status_code == 200


async def test_garbage_is_no_json(handler: httpx.AsyncClient) -> None:
    """It claims to be JSON and cannot be read."""
    await handler.post("/script", json={"steps": [{"do": "garbage"}]})

    answer = await _activate(handler)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    with pytest.raises(ValueError, match=r".*"):
        json.loads(answer.content)


async def test_the_wrong_type_is_a_web_page(handler: httpx.AsyncClient) -> None:
    """200, but not from the handler by the look of it."""
    await handler.post("/script", json={"steps": [{"do": "wrong_type"}]})

    answer = await _activate(handler)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert [call["outcome"] for call in await _calls(handler)] == ["wrong_type"]


async def test_scripts_are_shown_with_how_far_they_are(handler: httpx.AsyncClient) -> None:
    """The script as it was understood, and the number of calls that took a step."""
    await handler.post(
        "/script", json={"equipment": "ABC123", "steps": [{"do": "reset", "at": "middle"}]}
    )
    await handler.post("/script", json={"steps": [{"do": "answer", "status": 503, "times": 2}]})
    await _activate(handler, "XYZ789")

    scripts = (await handler.get("/script")).json()["scripts"]

    assert [(one["equipment"], one["taken"]) for one in scripts] == [("ABC123", 0), ("*", 1)]
    assert scripts[0]["steps"][0]["at"] == "middle"


async def test_deleted_scripts_are_gone(handler: httpx.AsyncClient) -> None:
    """The device is as usual again."""
    await handler.post("/script", json={"steps": [{"do": "answer", "status": 503, "times": None}]})

    cleared = await handler.delete("/script")

    assert cleared.status_code == 204
    assert (await handler.get("/script")).json() == {"scripts": []}
    assert (await _activate(handler)).status_code == 200


async def test_a_bad_script_changes_nothing(handler: httpx.AsyncClient) -> None:
    """422 names the field."""
    script = {"steps": [{"do": "answer", "status": 42}]}

    answer = await handler.post("/script", json=script)

    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["faults"]] == ["steps.0.answer.status"]
    assert (await handler.get("/script")).json() == {"scripts": []}


async def test_the_ledger_is_filtered_summed_up_and_cleared(handler: httpx.AsyncClient) -> None:
    """As its query parameters and methods say."""
    await _activate(handler, "ABC123", "key-1")
    await _activate(handler, "XYZ789", "key-2")
    await _activate(handler, "XYZ789", "key-2", attempt="2")

    by_device = await _calls(handler, equipment="XYZ789")
    by_key = await _calls(handler, key="key-1")
    summary = (await handler.get("/ledger/summary")).json()
    cleared = await handler.delete("/ledger")

    assert [call["sequence"] for call in by_device] == [2, 3]
    assert [call["sequence"] for call in by_key] == [1]
    assert summary == {
        "calls": 3,
        "questions": 0,
        "forgotten": 0,
        "activations": 2,
        "activated_more_than_once": [],
        "overlapping": {},
        "in_progress": 0,
        "max_in_progress": 1,
    }
    assert cleared.status_code == 204
    assert await _calls(handler) == []


async def test_what_became_of_a_key_can_be_asked(handler: httpx.AsyncClient, gate: Gate) -> None:
    """404 before the call, 202 during the work, and the stored answer afterwards."""
    gate.opened.clear()
    before = await handler.get(ASKED)

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(_activate(handler))
        await gate.reached.wait()
        during = await handler.get(ASKED)
        gate.opened.set()
    after = await handler.get(ASKED)

    assert [before.status_code, during.status_code, after.status_code] == [404, 202, 200]
    assert after.json() == {"code": 200, "message": "success"}


async def test_what_activated_nothing_leaves_nothing_to_tell(handler: httpx.AsyncClient) -> None:
    """A call that failed may be made again: the key is as good as new."""
    await _activate(handler, "DEV500", "key-1")

    answer = await handler.get("/api/v1/equipment/cpe/DEV500/activations/key-1")

    assert answer.status_code == 404


async def test_questions_are_in_the_ledger_and_are_no_calls(handler: httpx.AsyncClient) -> None:
    """Who asked about what, and what it was told; filtered and forgotten like calls."""
    await handler.get(ASKED)
    await _activate(handler)
    await handler.get(ASKED)
    await handler.get("/api/v1/equipment/cpe/XYZ789/activations/key-2")

    listed = (await handler.get("/ledger", params={"key": "key-1"})).json()
    summary = (await handler.get("/ledger/summary")).json()
    await handler.delete("/ledger")
    cleared = (await handler.get("/ledger")).json()

    told = [(one["equipment"], one["key"], one["status"]) for one in listed["questions"]]
    assert told == [("ABC123", "key-1", 404), ("ABC123", "key-1", 200)]
    assert [call["key"] for call in listed["calls"]] == ["key-1"]
    assert (summary["calls"], summary["questions"]) == (1, 3)
    assert cleared == {"calls": [], "questions": []}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_are_answered(handler: httpx.AsyncClient, path: str) -> None:
    """A handler that serves is alive and ready."""
    answer = await handler.get(path)

    assert answer.status_code == 200
