"""What operators ask about the target, and tell it."""

from datetime import timedelta

from activation.domain.target import Target
from tests.support.gateway import GatewayUnderTest

CALLED = {
    "state": "closed",
    "why": None,
    "heldUntil": None,
    "openings": 0,
    "prober": None,
    "pausedAt": None,
}


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
