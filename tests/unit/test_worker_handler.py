"""What the handler's answers mean to its client: each of them is an outcome."""

import base64
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from activation.domain.outcome import Outcome, Reason
from tests.support.handler_calls import TASK, a_claim, client_of, outcome_of
from tests.support.misbehaving_server import (
    answer,
    send,
    serving,
)

OK = {"code": 200, "message": "success"}
HTML = b"<html><body>Not here</body></html>"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (200, Reason.COMPLETED),
        (404, Reason.UNKNOWN_EQUIPMENT),
        (400, Reason.REFUSED),
        (401, Reason.REFUSED),
        (403, Reason.REFUSED),
        (409, Reason.REFUSED),
        (422, Reason.REFUSED),
        (429, Reason.OVERLOADED),
        (500, Reason.PROVISIONING_ERROR),
        (502, Reason.UNAVAILABLE),
        (503, Reason.UNAVAILABLE),
        (504, Reason.UNAVAILABLE),
        (204, Reason.UNREADABLE),
        (302, Reason.UNREADABLE),
    ],
)
async def test_status_decides(status: int, reason: Reason) -> None:
    """An answer in good order means what its status says."""
    outcome = await outcome_of(answer(status, {"message": "in words"}, {"location": "/elsewhere"}))

    assert reason == outcome.reason


@pytest.mark.parametrize("status", [200, 404, 400, 500])
async def test_page_of_a_proxy_is_no_answer(status: int) -> None:
    """HTML 404 does not mean that the device is unknown, nor HTML 200 that it is activated."""
    outcome = await outcome_of(answer(status, HTML, {"content-type": "text/html"}))

    assert outcome.reason == Reason.UNREADABLE
    assert str(status) in outcome.message


@pytest.mark.parametrize(
    ("status", "reason"), [(429, Reason.OVERLOADED), (503, Reason.UNAVAILABLE)]
)
async def test_not_now_needs_no_body(status: int, reason: Reason) -> None:
    """A proxy that says "not now" is believed."""
    outcome = await outcome_of(answer(status, HTML, {"retry-after": "7"}))

    assert (reason, 7.0) == (outcome.reason, outcome.retry_after_s)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30.0),
        (" 30 ", 30.0),
        ("0", 0.0),
        ("9" * 400, float("inf")),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("²", None),
        ("Wed, 32 Oct 2026 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0.0),
        ("Wed, 21 Oct 2015 07:28:00", 0.0),
    ],
)
async def test_retry_after_is_read_with_suspicion(value: str, seconds: float | None) -> None:
    """Seconds and dates count (RFC 9110 section 10.2.3); anything else is as if not there."""
    outcome = await outcome_of(send(_unavailable(value)))

    assert (Reason.UNAVAILABLE, seconds) == (outcome.reason, outcome.retry_after_s)


def _unavailable(retry_after: str) -> bytes:
    wish = f"retry-after: {retry_after}\r\n".encode()
    return b"HTTP/1.1 503 Later\r\ncontent-length: 0\r\n" + wish + b"\r\n"


async def test_retry_after_may_be_a_date() -> None:
    """A date means the time until then."""
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)

    outcome = await outcome_of(send(_unavailable(date)))

    assert outcome.retry_after_s is not None
    assert 3590.0 <= outcome.retry_after_s <= 3600.0


async def test_request_carries_all_that_the_handler_needs() -> None:
    """Device, timeout and parameters; key and number of the attempt; the trace."""
    claim = a_claim(parameters='{"vlan": 7}', timeout_s=60, traceparent="00-aa-bb-01")
    async with serving(answer(200, OK)) as server, client_of(server.url + "/") as handler:
        outcome = await handler.activate(claim)

    [(head, body)] = server.requests
    assert Outcome(Reason.COMPLETED, "success") == outcome
    assert head.startswith("POST /api/v1/equipment/cpe/ABC123 HTTP/1.1\r\n")
    assert json.loads(body) == {"timeoutInSeconds": 60, "parameters": {"vlan": 7}}
    for line in (
        f"idempotency-key: {TASK}",
        "x-attempt: 3",
        "traceparent: 00-aa-bb-01",
        "content-type: application/json",
        "accept: application/json",
    ):
        assert line in head.lower()


async def test_credentials_in_the_url_are_sent_as_a_header() -> None:
    """By the scheme Basic (RFC 7617); they are not part of the request's address."""
    async with (
        serving(answer(200, OK)) as server,
        client_of(server.url.replace("//", "//operator:p%40ss@")) as handler,
    ):
        outcome = await handler.activate(a_claim())

    [(head, _)] = server.requests
    said = base64.b64encode(b"operator:p@ss").decode()
    assert outcome.reason == Reason.COMPLETED
    assert head.startswith("POST /api/v1/equipment/cpe/ABC123 HTTP/1.1\r\n")
    assert f"authorization: Basic {said}".lower() in head.lower()


async def test_secrets_that_the_handler_repeats_are_scrubbed() -> None:
    """The handler's words reach logs and clients; the secrets in them do not."""
    parameters = {
        "username": "alice",
        "password": "hunter22",
        "wifi": {"token": ["tok-1", "tok-12"], "vlan": 12345},
        "password2": 98765,
        "password3": 'qu"ote\n\\',
        "password4": "пароль",
    }
    echo = f"cannot use {json.dumps(parameters)} nor {parameters} for alice on 12345"

    outcome = await outcome_of(
        answer(500, {"message": echo}), parameters=json.dumps(parameters, ensure_ascii=False)
    )

    for secret in ("hunter22", "tok-1", "98765", "ote", "пароль", "\\u043f"):
        assert secret not in outcome.message
    assert "alice" in outcome.message
    assert "12345" in outcome.message


async def test_message_is_one_short_printable_line() -> None:
    """Control characters and novels do not get into logs and answers."""
    outcome = await outcome_of(answer(500, {"message": "line\nbreak\x00\x1b[31m" + "x" * 10_000}))

    assert len(outcome.message) == 500
    assert outcome.message.isprintable()


@pytest.mark.parametrize("body", [{}, {"message": None}, {"message": {"deep": 1}}])
async def test_answer_without_words_is_told_by_its_status(body: object) -> None:
    """There is always something to read."""
    outcome = await outcome_of(answer(500, body))

    assert Outcome(Reason.PROVISIONING_ERROR, "500 Internal Server Error") == outcome
