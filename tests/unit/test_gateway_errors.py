"""What goes wrong behind the gateway: the client is told what to do, and nothing of the inside."""

import pytest
from structlog.testing import capture_logs

from activation.errors import StoreUnavailableError
from tests.support.gateway import NOBODY, GatewayUnderTest, running_gateway
from tests.support.tasks import DEVICE
from tests.support.world import VIRTUAL_TIME

REQUESTS = [
    ("POST", f"/api/v1/equipment/cpe/{DEVICE}", "accept"),
    ("GET", f"/api/v1/equipment/cpe/{DEVICE}/task/{NOBODY}", "get"),
    ("GET", f"/api/v1/tasks/{NOBODY}", "get"),
]


@pytest.mark.parametrize(("method", "path", "broken"), REQUESTS)
async def test_store_out_of_reach_is_503(
    gateway: GatewayUnderTest, method: str, path: str, broken: str
) -> None:
    """The client is told when to come back; the reason is for the operator."""
    gateway.store.errors[broken] = StoreUnavailableError("connection to 10.0.0.7 refused")

    answer = await gateway.http.request(method, path, json={})

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "10.0.0.7" not in answer.text


@pytest.mark.parametrize(("method", "path", "broken"), REQUESTS)
async def test_unforeseen_error_is_500_and_logged(
    gateway: GatewayUnderTest, method: str, path: str, broken: str
) -> None:
    """No failed activation looks like it, it tells nothing of the inside, and is one log line."""
    error = gateway.store.errors[broken] = RuntimeError("select * from tasks")

    with capture_logs() as logs:
        answer = await gateway.http.request(method, path, json={})

    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "Internal provisioning exception" not in answer.text
    assert "select" not in answer.text
    assert logs == [
        {
            "event": "request_failed",
            "log_level": "error",
            "method": method,
            "path": path,
            "exc_info": error,
        }
    ]


@VIRTUAL_TIME
async def test_full_backlog_is_429() -> None:
    """New tasks are refused, and the client knows for how long."""
    async with running_gateway(max_backlog=2) as gateway:
        accepted = [(await gateway.post({}, f"DEVICE{n}")).status_code for n in range(2)]
        refused = await gateway.post({}, "DEVICE3")
        stored = await gateway.store.backlog()

    assert accepted == [200, 200]
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert stored == 2


@VIRTUAL_TIME
async def test_full_line_of_an_equipment_is_429() -> None:
    """The problem says that it is this equipment, and a repeat is still answered."""
    async with running_gateway(max_waiting_per_equipment=1) as gateway:
        accepted = await gateway.post({}, idempotency_key="k")
        refused = await gateway.post({})
        repeated = await gateway.post({}, idempotency_key="k")
        other = await gateway.post({}, "DEVICE2")

    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "60"
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert "of this equipment" in refused.json()["detail"]
    assert (repeated.status_code, repeated.json()) == (200, accepted.json())
    assert other.status_code == 200


@VIRTUAL_TIME
async def test_short_restart_of_the_store_goes_unnoticed() -> None:
    """The commit is tried again before the client hears of it."""
    async with running_gateway(patience_s=4.0) as gateway:
        gateway.store.fail("accept", times=10)
        answer = await gateway.post({})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/v1/equipment/cpe",
        "/api/v1/equipment/cpe/",
        f"/api/v1/equipment/cpe/{DEVICE}/",
        f"/api/v1/equipment/cpe/{DEVICE}/task/",
        f"/api/v1/equipment/cpe/{DEVICE}/task/{NOBODY}/",
        "/api/v1/tasks/",
        f"/api/v1/tasks/{NOBODY}:burn",
        "/docs/",
        "/docs/assets/../app.py",
    ],
)
async def test_unknown_address_is_a_404_problem(gateway: GatewayUnderTest, path: str) -> None:
    """No redirect: a POST would lose its body on the way."""
    answer = await gateway.http.get(path)

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "/docs" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", f"/api/v1/equipment/cpe/{DEVICE}", "POST"),
        ("PUT", f"/api/v1/equipment/cpe/{DEVICE}", "POST"),
        ("DELETE", f"/api/v1/equipment/cpe/{DEVICE}/task/{NOBODY}", "GET"),
        ("POST", "/api/v1/tasks", "GET"),
        ("POST", f"/api/v1/tasks/{NOBODY}", "GET"),
        ("GET", f"/api/v1/tasks/{NOBODY}:cancel", "POST"),
        ("GET", f"/api/v1/tasks/{NOBODY}:retry", "POST"),
        ("PATCH", "/api/v1/status", "GET"),
    ],
)
async def test_unknown_method_is_a_405_problem(
    gateway: GatewayUnderTest, method: str, path: str, allowed: str
) -> None:
    """The methods that are known are named (RFC 9110 section 15.5.6)."""
    answer = await gateway.http.request(method, path)

    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_accepted_task_is_one_line_without_parameters(gateway: GatewayUnderTest) -> None:
    """The ids that lead through all services, and no secret."""
    with capture_logs() as logs:
        task_id = await gateway.submit(parameters={"password": "canary", "vlan": 100})

    assert logs == [
        {
            "event": "task_accepted",
            "log_level": "info",
            "task_id": str(task_id),
            "equipment": DEVICE,
            "trace_id": f"{1:032x}",
        }
    ]


async def test_repeat_of_a_request_is_not_logged_as_accepted(gateway: GatewayUnderTest) -> None:
    """Accepted tasks can be counted in the log."""
    await gateway.post({}, Idempotency_Key="order-1")

    with capture_logs() as logs:
        await gateway.post({}, Idempotency_Key="order-1")

    assert [line["event"] for line in logs] == ["task_repeated"]


async def test_gateway_is_alive_and_ready(gateway: GatewayUnderTest) -> None:
    """The API's port answers the probes as well, for who has no other."""
    answers = [await gateway.http.get(path) for path in ("/healthz", "/readyz")]

    assert [answer.status_code for answer in answers] == [200, 200]
