"""What operators ask about the target, and tell it."""

from datetime import timedelta
from typing import Any

import pytest

from activation.domain.target import Target
from tests.support.gateway import GatewayUnderTest
from tests.support.tasks import accept, claim

CALLED = {
    "state": "closed",
    "why": None,
    "heldUntil": None,
    "openings": 0,
    "prober": None,
    "pausedAt": None,
    "underWay": 0,
    "limit": None,
    "maxCalls": None,
    "overloadedAt": None,
}
UNLIMITED = {name: CALLED[name] for name in ("underWay", "limit", "maxCalls", "overloadedAt")}


async def test_a_target_that_is_called_is_closed(gateway: GatewayUnderTest) -> None:
    """Nothing is said of what is not."""
    answer = await gateway.http.get("/api/v1/target")

    assert (answer.status_code, answer.json()) == (200, CALLED)
    assert answer.headers["Cache-Control"] == "no-store"


async def test_an_open_breaker_says_why_and_until_when(gateway: GatewayUnderTest) -> None:
    """It is half open when that is over, and then names who probes."""
    now = gateway.clock.now()
    rest, lease = timedelta(seconds=10), timedelta(seconds=30)
    opened = Target(held_until=now + rest, trips=2, why="no_answer: nothing came")
    await gateway.store.change_target(lambda _: opened)

    held = (await gateway.http.get("/api/v1/target")).json()
    gateway.clock.advance(rest.total_seconds())
    over = (await gateway.http.get("/api/v1/target")).json()
    await gateway.store.change_target(
        lambda target: target.probe("worker-1", gateway.clock.now(), lease)
    )
    probed = (await gateway.http.get("/api/v1/target")).json()

    until = held.pop("heldUntil")
    assert until == f"{now + rest:%Y-%m-%dT%H:%M:%SZ}"
    assert held == {
        "state": "open",
        "why": "no_answer: nothing came",
        "openings": 2,
        "prober": None,
        "pausedAt": None,
        **UNLIMITED,
    }
    assert over == {**held, "state": "half_open", "heldUntil": None}
    assert probed == {**over, "prober": "worker-1"}


async def test_a_hold_that_is_over_is_not_shown(gateway: GatewayUnderTest) -> None:
    """A `Retry-After` of yesterday is no news."""
    held = Target(held_until=gateway.clock.now(), why="overloaded: busy")
    await gateway.store.change_target(lambda _: held)

    assert (await gateway.http.get("/api/v1/target")).json() == CALLED


async def test_a_pause_lasts_until_it_is_resumed(gateway: GatewayUnderTest) -> None:
    """To pause twice keeps the first time; to resume twice does no harm."""
    first = await gateway.http.post("/api/v1/target:pause")
    gateway.clock.advance(60.0)
    second = await gateway.http.post("/api/v1/target:pause")
    resumed = await gateway.http.post("/api/v1/target:resume")
    again = await gateway.http.post("/api/v1/target:resume")

    assert first.status_code == second.status_code == 200
    assert first.json()["state"] == "paused"
    assert first.json()["pausedAt"] is not None
    assert second.json() == first.json()
    assert resumed.json() == again.json() == CALLED


async def test_to_resume_closes_an_open_breaker(gateway: GatewayUnderTest) -> None:
    """An operator knows better than the breaker."""
    held = Target(held_until=gateway.clock.now() + timedelta(hours=1), trips=9)
    await gateway.store.change_target(lambda _: held)

    assert (await gateway.http.post("/api/v1/target:resume")).json() == CALLED
    assert await gateway.store.target() == Target()


async def test_a_target_that_had_too_many_calls_shows_what_it_is_given_now(
    gateway: GatewayUnderTest,
) -> None:
    """And how many calls there are; when the overload is forgotten, nothing is left of it."""
    now = gateway.clock.now()
    await claim(gateway.store, await accept(gateway.store))
    await gateway.store.change_target(
        lambda target: target.overload(40, now, timedelta(seconds=10))
    )

    overloaded = (await gateway.http.get("/api/v1/target")).json()
    gateway.clock.advance(3600.0)
    forgotten = (await gateway.http.get("/api/v1/target")).json()

    assert overloaded["overloadedAt"] == f"{now:%Y-%m-%dT%H:%M:%SZ}"
    assert {**overloaded, "overloadedAt": None} == {**CALLED, "underWay": 1, "limit": 20}
    assert forgotten == {**CALLED, "underWay": 1}


async def test_an_operator_says_how_many_calls_there_may_be_at_once(
    gateway: GatewayUnderTest,
) -> None:
    """Until they say that there may be as many as it bears; resume leaves it alone."""
    limited = await gateway.http.post("/api/v1/target:limit", json={"maxCalls": 20})
    resumed = await gateway.http.post("/api/v1/target:resume")
    lifted = await gateway.http.post("/api/v1/target:limit", json={"maxCalls": None})

    assert limited.status_code == 200
    assert limited.json() == resumed.json() == {**CALLED, "limit": 20, "maxCalls": 20}
    assert lifted.json() == CALLED


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"maxCalls": 0}, "/maxCalls"),
        ({"maxCalls": True}, "/maxCalls"),
        ({"maxCalls": 1.5}, "/maxCalls"),
        ({"maxCalls": "20"}, "/maxCalls"),
        ({"maxCalls": 1_000_001}, "/maxCalls"),
        ({}, "/maxCalls"),
        ({"maxCalls": 1, "more": 2}, "/more"),
        ([], ""),
    ],
)
async def test_a_limit_that_is_none_is_refused(
    gateway: GatewayUnderTest, body: Any, pointer: str
) -> None:
    """With the place of the fault; nothing changes."""
    answer = await gateway.http.post("/api/v1/target:limit", json=body)

    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]
    assert await gateway.store.target() == Target()
