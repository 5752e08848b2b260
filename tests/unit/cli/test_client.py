"""The gateway's API as the command line calls it: each answer is a document or a named error."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import pytest

from activation.domain.task import State
from activation_cli.client import Gateway, connect
from activation_cli.exits import CommandError, Exit, UnavailableError
from activation_cli.task_filter import TaskFilter

TASK = "0197c1a0-0000-7000-8000-000000000001"
URL = "http://gateway.test/prefix/"

Answering = Callable[[httpx.Request], httpx.Response]


@asynccontextmanager
async def gateway(answering: Answering, url: str = URL) -> AsyncIterator[Gateway]:
    """Provide a gateway that gives these answers."""
    transport = httpx.MockTransport(answering)
    async with connect(url, timeout_s=5.0, transport=transport) as connected:
        yield connected


def always(status: int, body: object = None, **headers: str) -> Answering:
    """Give the same answer to everything."""
    return lambda _: httpx.Response(status, json=body, headers=headers)


async def fault_of(answering: Answering) -> CommandError:
    """Return the error that asking for a task gives."""
    async with gateway(answering) as connected:
        with pytest.raises(CommandError) as caught:
            await connected.task(TASK)
    return caught.value


async def test_submit_sends_what_the_contract_wants() -> None:
    """The body, the key and the address, below the path of the URL."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"code": 200, "taskId": TASK})

    async with gateway(answer) as connected:
        answered = await connected.submit(
            "ABC123", parameters={"name": "a\ud800"}, timeout_s=30, key="k-1"
        )

    assert answered == {"code": 200, "taskId": TASK}
    [request] = seen
    assert (request.method, request.url.path) == ("POST", "/prefix/api/v1/equipment/cpe/ABC123")
    assert request.headers["Idempotency-Key"] == "k-1"
    assert json.loads(request.content) == {
        "parameters": {"name": "a\ud800"},
        "timeoutInSeconds": 30,
    }


async def test_timeout_is_left_to_the_gateway_if_none_is_given() -> None:
    """The default has one place, and it is not here."""
    bodies: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        return httpx.Response(200, json={"code": 200, "taskId": TASK})

    async with gateway(answer) as connected:
        await connected.submit("ABC123", parameters={}, timeout_s=None, key="k-1")

    assert [json.loads(body) for body in bodies] == [{"parameters": {}}]


@pytest.mark.parametrize("equipment", ["a/b?c#d", "../tasks", "\udcff", "", "ABC12", "ABC 123"])
async def test_what_is_no_serial_number_is_refused_before_sending(equipment: str) -> None:
    """Whatever is typed cannot reach another address."""
    async with gateway(always(200, {"code": 200, "taskId": TASK})) as connected:
        with pytest.raises(CommandError, match="is no serial number") as caught:
            await connected.submit(equipment, parameters={}, timeout_s=None, key="k-1")

    assert caught.value.code == Exit.USAGE


@pytest.mark.parametrize("key", ["", "two words", "schlüssel", "a\nb", "k" * 256])
async def test_key_that_no_header_can_hold_is_refused_before_sending(key: str) -> None:
    """A line break must not become a header of its own."""
    async with gateway(always(200, {"code": 200, "taskId": TASK})) as connected:
        with pytest.raises(CommandError, match="idempotency key must be") as caught:
            await connected.submit("ABC123", parameters={}, timeout_s=None, key=key)

    assert caught.value.code == Exit.USAGE


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, Exit.USAGE),
        (404, Exit.NOT_FOUND),
        (409, Exit.CONFLICT),
        (413, Exit.USAGE),
        (415, Exit.USAGE),
        (422, Exit.USAGE),
        (429, Exit.UNREACHABLE),
        (500, Exit.UNREACHABLE),
        (502, Exit.UNREACHABLE),
        (503, Exit.UNREACHABLE),
    ],
)
async def test_status_becomes_the_exit_code(status: int, expected: Exit) -> None:
    """Scripts tell their own mistakes from the gateway's troubles."""
    problem = {"status": status, "title": "Title", "detail": "what is wrong"}

    fault = await fault_of(always(status, problem))

    assert expected == fault.code
    assert "what is wrong" in str(fault)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"code": 404, "message": "The requested task is not found"}, "The requested task is not"),
        ({"title": "Not Found", "detail": "no such task"}, "no such task"),
        ({"title": "Not Found"}, "Not Found"),
        (
            {
                "title": "Unprocessable",
                "detail": "two faults",
                "errors": [
                    {"pointer": "/timeoutInSeconds", "detail": "too large"},
                    {"header": "Idempotency-Key", "detail": "used"},
                    {"parameter": "limit", "detail": "too small"},
                    {"detail": "the rest"},
                ],
            },
            "/timeoutInSeconds: too large; Idempotency-Key: used; limit: too small; the rest",
        ),
    ],
)
async def test_error_says_what_and_where(body: object, expected: str) -> None:
    """Problem details name each fault's place; the contract's own bodies have a message."""
    assert str(await fault_of(always(404, body))).startswith(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("7", 7.0), ("", None), ("-1", None), ("Wed, 21 Oct 2026 07:28:00", None)],
)
async def test_retry_after_is_read_in_seconds(value: str, expected: float | None) -> None:
    """Other forms are left to our own patience."""
    headers = {"Retry-After": value}

    fault = await fault_of(lambda _: httpx.Response(503, json={"title": "t"}, headers=headers))

    assert isinstance(fault, UnavailableError)
    assert expected == fault.retry_after_s


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, text="<html>router login</html>"),
        httpx.Response(200, json=["no", "object"]),
        httpx.Response(200, json={"hello": "world"}),
        httpx.Response(404, json={"error": "other API"}),
        httpx.Response(418, json={"errors": ["other", "API"]}),
        httpx.Response(403, json={"title": "Forbidden"}),
        httpx.Response(302, headers={"Location": "https://login.test"}),
    ],
)
async def test_something_else_than_the_gateway_is_recognised(response: httpx.Response) -> None:
    """A wrong URL gives advice, and neither a crash nor a lost task."""
    fault = await fault_of(lambda _: response)

    assert fault.code == Exit.UNREACHABLE
    assert "what answers at http://gateway.test/prefix is not the gateway" in str(fault)
    assert not isinstance(fault, UnavailableError)  # trying again would not help


async def test_connection_that_fails_says_where_and_what_to_do() -> None:
    """The line names the URL and the way out."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    fault = await fault_of(refuse)

    assert isinstance(fault, UnavailableError)
    assert "cannot reach the gateway at http://gateway.test/prefix (refused)" in str(fault)
    assert "activation run" in str(fault)


@pytest.mark.looptime
async def test_every_call_has_a_deadline() -> None:
    """A gateway that never answers ends the call when its time is over."""

    async def hang(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    loop = asyncio.get_running_loop()
    begun = loop.time()
    transport = httpx.MockTransport(hang)
    async with connect(URL, timeout_s=5.0, transport=transport) as connected:
        with pytest.raises(UnavailableError, match="within 5 s"):
            await connected.task(TASK)
        with pytest.raises(UnavailableError, match="within 25 s"):
            await connected.wait(TASK, "ABC123", 20)

    assert pytest.approx(loop.time() - begun) == 30


async def test_wait_asks_the_gateway_to_wait_for_the_end() -> None:
    """One request stands in for many looks."""
    prefer: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        prefer.append(request.headers["Prefer"])
        return httpx.Response(200, json={"taskId": TASK, "state": "running"})

    async with gateway(answer) as connected:
        await connected.wait(TASK, "ABC123", 20)

    assert prefer == ["wait=20, return=representation"]


async def test_tasks_are_collected_page_by_page_up_to_the_limit() -> None:
    """The cursor is followed; no page is larger than the gateway allows."""
    asked: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        query = dict(request.url.params)
        asked.append(query)
        count = int(query["limit"])
        return httpx.Response(
            200, json={"tasks": [{"taskId": TASK}] * count, "cursor": f"c{len(asked)}"}
        )

    async with gateway(answer) as connected:
        page = await connected.tasks(TaskFilter(), limit=1_200)

    assert len(page["tasks"]) == 1_200
    assert page["cursor"] == "c3"
    assert asked == [
        {"limit": "500"},
        {"limit": "500", "cursor": "c1"},
        {"limit": "200", "cursor": "c2"},
    ]


async def test_all_tasks_end_with_the_last_page() -> None:
    """No cursor, no further question."""
    pages = iter([{"tasks": [{"taskId": TASK}], "cursor": "c"}, {"tasks": [], "cursor": None}])

    async with gateway(lambda _: httpx.Response(200, json=next(pages))) as connected:
        page = await connected.tasks(TaskFilter())

    assert page == {"tasks": [{"taskId": TASK}], "cursor": None}


async def test_filter_becomes_the_query() -> None:
    """Each filter has its parameter, and states are repeated."""
    which = TaskFilter(
        states=(State.QUEUED, State.RUNNING),
        equipment="ABC123",
        accepted_from=datetime(2026, 1, 1, tzinfo=UTC),
        accepted_before=datetime(2026, 1, 2, tzinfo=UTC),
        dead_letter=False,
    )
    seen: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url)
        return httpx.Response(200, json={"tasks": [], "cursor": None})

    async with gateway(answer) as connected:
        await connected.tasks(which, limit=1, cursor="c")

    assert seen[0].params.multi_items() == [
        ("state", "queued"),
        ("state", "running"),
        ("equipment", "ABC123"),
        ("acceptedFrom", "2026-01-01T00:00:00+00:00"),
        ("acceptedBefore", "2026-01-02T00:00:00+00:00"),
        ("deadLetter", "false"),
        ("limit", "1"),
        ("cursor", "c"),
    ]


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", "http://", "", "http://[::1"])
async def test_url_that_is_none_is_bad_input(url: str) -> None:
    """The error shows what one looks like."""
    with pytest.raises(CommandError, match="must look like http://host:8000") as caught:
        async with connect(url, timeout_s=1.0):
            pass

    assert caught.value.code == Exit.USAGE


async def test_password_in_the_url_is_sent_and_not_shown() -> None:
    """An ingress may want one; an error must not print it."""
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(503, json={"title": "Service Unavailable"})

    async with gateway(answer, "https://user:hunter2@host.test") as connected:
        with pytest.raises(UnavailableError) as caught:
            await connected.task(TASK)

    assert seen[0].startswith("Basic ")
    assert connected.url == "https://host.test"
    assert "hunter2" not in str(caught.value)


async def test_key_goes_with_every_request_beside_the_password_of_the_url() -> None:
    """The ingress has its header, the gateway its own."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"taskId": TASK, "state": "queued"})

    transport = httpx.MockTransport(answer)
    url = "http://user:password@gateway.test"
    async with connect(url, timeout_s=5.0, api_key="act_1", transport=transport) as connected:
        await connected.task(TASK)

    [request] = seen
    assert request.headers["X-API-Key"] == "act_1"
    assert request.headers["Authorization"].startswith("Basic ")


async def test_text_that_cannot_be_a_key_is_refused_without_showing_it() -> None:
    """A line break at its end, say, from a file."""
    with pytest.raises(CommandError, match="--api-key or ACTIVATION_API_KEY must be") as caught:
        async with connect(URL, timeout_s=5.0, api_key="canary7f3a\n"):
            pass

    assert caught.value.code is Exit.USAGE
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_key_is_an_exit_code_of_its_own(status: int) -> None:
    """The message is the gateway's, and says what to set."""
    challenge = {"WWW-Authenticate": 'Bearer realm="activation", error="invalid_token"'}
    refusal = {"title": "Unauthorized", "detail": "not known"}
    error = await fault_of(always(status, refusal, **challenge))

    assert error.code is Exit.DENIED
    assert str(error) == "not known (--api-key or ACTIVATION_API_KEY)"
