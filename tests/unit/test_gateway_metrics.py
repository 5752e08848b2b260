"""What the gateway measures of each request: its method, its route and the status of its answer."""

import asyncio
from typing import Any

import pytest

from activation_gateway.api.gateway import Boundary
from tests.support.counting import counting
from tests.support.gateway import NOBODY, GatewayUnderTest
from tests.support.tasks import DEVICE

POST_ROUTE = "/api/v1/equipment/cpe/{id}"
GET_ROUTE = "/api/v1/equipment/cpe/{id}/task/{taskId}"
COUNT = "activation_http_request_duration_seconds_count"


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("POST", f"/api/v1/equipment/cpe/{DEVICE}", POST_ROUTE, 200),
        ("POST", "/api/v1/equipment/cpe/no-device", POST_ROUTE, 404),
        ("GET", f"/api/v1/equipment/cpe/{DEVICE}", POST_ROUTE, 405),
        ("GET", f"/api/v1/equipment/cpe/{DEVICE}/task/{NOBODY}", GET_ROUTE, 404),
        ("GET", "/api/v1/tasks", "/api/v1/tasks", 200),
        ("GET", "/api/v1/tasks?limit=0", "/api/v1/tasks", 422),
        ("GET", f"/api/v1/tasks/{NOBODY}", "/api/v1/tasks/{taskId}", 404),
        ("POST", f"/api/v1/tasks/{NOBODY}:cancel", "/api/v1/tasks/{taskId}:cancel", 404),
        ("POST", f"/api/v1/tasks/{NOBODY}:retry", "/api/v1/tasks/{taskId}:retry", 404),
        ("GET", "/api/v1/status", "/api/v1/status", 200),
        ("GET", "/healthz", "/healthz", 200),
        ("GET", "/readyz", "/readyz", 200),
        ("GET", "/docs", "/docs", 200),
        ("GET", "/docs/assets/favicon.png", "/docs/assets/{path}", 200),
        ("GET", "/openapi.json", "/openapi.json", 200),
    ],
)
async def test_a_request_is_counted_by_its_route(
    gateway: GatewayUnderTest, method: str, path: str, route: str, status: int
) -> None:
    """The template, whatever address was asked for."""
    grown = counting()

    answer = await gateway.http.request(method, path, json={})

    assert answer.status_code == status
    assert grown(COUNT, method=method, route=route, status=str(status)) == 1


async def test_what_clients_make_up_makes_no_series(gateway: GatewayUnderTest) -> None:
    """Addresses and methods that nobody knows are one value."""
    grown = counting()

    for n in range(3):
        await gateway.http.get(f"/nowhere/{n}")
        await gateway.http.request(f"BREW{n}", f"/api/v1/equipment/cpe/{DEVICE}", json={})

    assert grown(COUNT, method="GET", route="other", status="404") == 3
    assert grown(COUNT, method="other", route=POST_ROUTE, status="405") == 3


async def test_an_error_that_nobody_foresaw_is_counted_as_500(gateway: GatewayUnderTest) -> None:
    """What the client is told is what is counted."""
    gateway.store.errors["accept"] = RuntimeError("boom")
    grown = counting()

    await gateway.post({})

    assert grown(COUNT, method="POST", route=POST_ROUTE, status="500") == 1


async def test_a_request_that_gets_no_answer_is_counted_as_500() -> None:
    """As when it is cut off at shutdown: that is what the server answers for us."""

    async def cut_off(*_: object) -> Any:
        raise asyncio.CancelledError

    grown = counting()

    with pytest.raises(asyncio.CancelledError):
        await Boundary(cut_off, [])({"type": "http", "method": "GET"}, cut_off, cut_off)

    assert grown(COUNT, method="GET", route="other", status="500") == 1
