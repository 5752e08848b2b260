"""API keys at the gateway: who has none, or one that is not good for it, gets no further."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from structlog.testing import capture_logs

from activation_gateway.api_keys import ApiKey, hash_of
from activation_gateway.scopes import NEEDED, Scope
from tests.support.gateway import NOBODY, GatewayUnderTest, running_gateway
from tests.support.tasks import DEVICE

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
OPEN = {"/healthz", "/readyz", "/openapi.json", "/docs", "/docs/assets"}
REQUESTS = {
    "submit": ("POST", f"/api/v1/equipment/cpe/{DEVICE}"),
    "result": ("GET", f"/api/v1/equipment/cpe/{DEVICE}/task/{NOBODY}"),
    "search": ("GET", "/api/v1/tasks"),
    "show": ("GET", f"/api/v1/tasks/{NOBODY}"),
    "status": ("GET", "/api/v1/status"),
    "cancel": ("POST", f"/api/v1/tasks/{NOBODY}:cancel"),
    "retry": ("POST", f"/api/v1/tasks/{NOBODY}:retry"),
    "target": ("GET", "/api/v1/target"),
    "pauseTarget": ("POST", "/api/v1/target:pause"),
    "resumeTarget": ("POST", "/api/v1/target:resume"),
    "limitTarget": ("POST", "/api/v1/target:limit"),
}


def entry(key: str, **more: Any) -> ApiKey:
    """Return the entry of a key that is named after itself."""
    usual = {"id": f"id-of-{key}", "sha256": hash_of(key), "scopes": list(Scope)}
    return ApiKey.model_validate(usual | more)


KEYS = [
    *(entry(scope.value, scopes=[scope]) for scope in Scope),
    entry("all"),
    entry("old", expires=START),
    entry("until-soon", expires=START + timedelta(seconds=10)),
    entry("slow", scopes=["read"], ratePerSecond=0.25, burst=2),
]


@pytest.fixture
async def guarded() -> AsyncIterator[GatewayUnderTest]:
    """A gateway that asks for keys."""
    async with running_gateway(keys=KEYS) as gateway:
        yield gateway


async def ask(gateway: GatewayUnderTest, operation: str, **headers: str) -> httpx.Response:
    """Ask for an operation; every body that is needed is there."""
    method, path = REQUESTS[operation]
    sent = [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, value in headers.items()
    ]
    body = {"maxCalls": 20} if operation == "limitTarget" else {}
    return await gateway.http.request(method, path, headers=sent, json=body)


async def test_every_route_needs_a_scope_or_is_open_on_purpose(guarded: GatewayUnderTest) -> None:
    """A new route must be decided on here or in `NEEDED`."""
    operations = {r.operation_id for r in guarded.app.routes if isinstance(r, APIRoute)}
    others = {getattr(r, "path", "") for r in guarded.app.routes if not isinstance(r, APIRoute)}

    assert operations == NEEDED.keys() == REQUESTS.keys()
    assert others == OPEN


@pytest.mark.parametrize("operation", REQUESTS)
@pytest.mark.parametrize("scope", Scope)
async def test_operation_is_for_keys_of_its_scope_alone(
    guarded: GatewayUnderTest, operation: str, scope: Scope
) -> None:
    """RFC 6750 section 3.1: 403 names the scope that is needed."""
    answer = await ask(guarded, operation, authorization=f"Bearer {scope}")

    if NEEDED[operation] is scope:
        assert answer.status_code in {200, 404}
        return
    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (
        f'error="insufficient_scope", scope="{NEEDED[operation]}"'
        in (answer.headers["WWW-Authenticate"])
    )


@pytest.mark.parametrize("operation", REQUESTS)
async def test_operation_without_a_key_is_401(guarded: GatewayUnderTest, operation: str) -> None:
    """RFC 6750 section 3.1: the challenge names no error."""
    answer = await ask(guarded, operation)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="activation"'
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer {hash_of('all')}"},
        {"x_api_key": "id-of-all"},
        {"x_api_key": "\xe4"},
    ],
)
async def test_key_that_is_not_known_is_401(
    guarded: GatewayUnderTest, headers: dict[str, str]
) -> None:
    """Neither what stands in the file nor what stands in the logs is a key."""
    answer = await ask(guarded, "status", **headers)

    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer all"},
        {"authorization": "bearer all"},
        {"x_api_key": "all"},
        {"x_api_key": "all", "authorization": "Basic dXNlcjpwYXNzd29yZA=="},
    ],
)
async def test_key_comes_in_either_header(
    guarded: GatewayUnderTest, headers: dict[str, str]
) -> None:
    """X-API-Key also beside the password of an ingress."""
    assert (await ask(guarded, "status", **headers)).status_code == 200


async def test_key_ends_when_it_expires(guarded: GatewayUnderTest) -> None:
    """At that moment, not after it."""
    before = await ask(guarded, "status", x_api_key="until-soon")
    guarded.clock.advance(10.0)
    after = await ask(guarded, "status", x_api_key="until-soon")
    old = await ask(guarded, "status", x_api_key="old")

    assert [before.status_code, after.status_code, old.status_code] == [200, 401, 401]
    assert "expired" in after.json()["detail"]


async def test_key_used_too_often_is_429_until_time_has_passed(guarded: GatewayUnderTest) -> None:
    """Two at once, then one in four seconds; others are not held up."""
    at_once = [await ask(guarded, "status", x_api_key="slow") for _ in range(3)]
    other = await ask(guarded, "status", x_api_key="all")
    guarded.clock.advance(4.0)
    later = [await ask(guarded, "status", x_api_key="slow") for _ in range(2)]

    assert [answer.status_code for answer in at_once] == [200, 200, 429]
    assert at_once[2].headers["Retry-After"] == "4"
    assert at_once[2].headers["Content-Type"] == "application/problem+json"
    assert other.status_code == 200
    assert [answer.status_code for answer in later] == [200, 429]


async def test_nothing_happens_without_a_key(guarded: GatewayUnderTest) -> None:
    """The guard stands before the operation."""
    assert (await guarded.post({})).status_code == 401
    assert await guarded.store.backlog() == 0


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json"])
async def test_health_and_documentation_need_no_key(guarded: GatewayUnderTest, path: str) -> None:
    """Kubernetes has none, and a reader of `/docs` may not have one yet."""
    assert (await guarded.http.get(path)).status_code == 200


async def test_without_a_file_of_keys_none_is_asked_for(gateway: GatewayUnderTest) -> None:
    """The original contract has none; no route is touched."""
    document = (await gateway.http.get("/openapi.json")).json()

    assert (await gateway.post({})).status_code == 200
    assert (await ask(gateway, "status", x_api_key="anything")).status_code == 200
    assert "securitySchemes" not in document["components"]
    assert not any("guard" in repr(getattr(route, "app", None)) for route in gateway.app.routes)


async def test_documentation_says_which_key_each_operation_needs(
    guarded: GatewayUnderTest,
) -> None:
    """And how it answers without."""
    document = (await guarded.http.get("/openapi.json")).json()

    assert document["components"]["securitySchemes"].keys() == {"bearer", "apiKey"}
    for path in document["paths"].values():
        for operation in path.values():
            scope = NEEDED[operation["operationId"]]
            assert operation["security"] == [{"bearer": [scope]}, {"apiKey": [scope]}]
            assert operation["responses"].keys() >= {"401", "403", "429"}


async def test_keys_are_in_no_log_and_no_answer(guarded: GatewayUnderTest) -> None:
    """Whatever becomes of the request, and in whichever header its key came."""
    known, unknown = "all", "canary7f3a"
    with capture_logs() as logs:
        answers = [
            await ask(guarded, operation, **headers)
            for operation in REQUESTS
            for key in (known, unknown)
            for headers in ({"x_api_key": key}, {"authorization": f"Bearer {key}"})
        ]

    said = f"{logs}{[(answer.headers, answer.text) for answer in answers]}"
    assert "access_denied" in said
    assert "id-of-all" in said
    assert unknown not in said
    assert hash_of(known) not in said
    assert "'all'" not in said
