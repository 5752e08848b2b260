"""A broker session is opened anew whenever it is lost, sooner or later, but never in a hurry."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from activation.broker import Broker, Session
from activation.errors import BrokerUnavailableError, StartError
from tests.support.simulated_broker import SimulatedBroker, SimulatedSession
from tests.support.world import VIRTUAL_TIME

pytestmark = VIRTUAL_TIME


class Doorway:
    """Notes when sessions are asked for."""

    def __init__(self, server: SimulatedBroker) -> None:
        self.server = server
        self.asked_s: list[float] = []

    @asynccontextmanager
    async def open_session(self) -> AsyncIterator[SimulatedSession]:
        self.asked_s.append(asyncio.get_running_loop().time())
        async with self.server.open_session() as session:
            yield session

    def pauses_s(self) -> list[float]:
        pairs = zip(self.asked_s, self.asked_s[1:], strict=False)
        return [round(later - sooner, 3) for sooner, later in pairs]


def keeper(doorway: Doorway, draw: float = 1.0) -> Broker:
    return Broker(doorway.open_session, draw=lambda: draw)


async def forever(_: Session) -> None:
    await asyncio.Event().wait()


async def run_for(broker: Broker, seconds: float) -> None:
    keeping = asyncio.create_task(broker.keep(forever))
    await asyncio.sleep(seconds)
    keeping.cancel()
    await asyncio.wait([keeping])


async def test_ends_with_its_work() -> None:
    """Work that returns closes the session."""
    server = SimulatedBroker()
    broker = keeper(Doorway(server))
    seen: list[Session | None] = []

    async def work(session: Session) -> None:
        seen.extend([session, broker.session])

    await broker.keep(work)

    assert seen[0] is seen[1]
    assert isinstance(seen[0], SimulatedSession)
    assert seen[0].lost.is_set()
    assert broker.session is None


async def test_work_is_cancelled_and_begun_again_when_the_session_is_lost() -> None:
    """Nothing goes on with a session that is gone."""
    server = SimulatedBroker()
    broker = keeper(Doorway(server))
    begun: list[Session] = []
    ended: list[Session] = []

    async def work(session: Session) -> None:
        begun.append(session)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(session)

    keeping = asyncio.create_task(broker.keep(work))
    await asyncio.sleep(60.0)
    server.cut()
    await asyncio.sleep(60.0)
    before_the_end = list(ended)
    keeping.cancel()
    await asyncio.wait([keeping])

    assert len(begun) == 2
    assert begun[:1] == before_the_end


async def test_pauses_grow_while_the_broker_is_away() -> None:
    """A broker that is down is not asked more than once in five seconds in the long run."""
    server = SimulatedBroker()
    server.stop()
    doorway = Doorway(server)

    await run_for(keeper(doorway), 30.0)

    assert doorway.pauses_s()[:7] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


async def test_pauses_are_spread() -> None:
    """A fleet that lost its broker does not come back in step: half of each pause is random."""
    server = SimulatedBroker()
    server.stop()
    doorway = Doorway(server)

    await run_for(keeper(doorway, draw=0.0), 2.0)

    assert doorway.pauses_s()[:4] == [0.1, 0.2, 0.4, 0.8]


async def test_session_that_lasted_is_replaced_at_once() -> None:
    """After an hour of quiet the first pause is the shortest again."""
    server = SimulatedBroker()
    server.stop()
    doorway = Doorway(server)
    asyncio.get_running_loop().call_later(20.0, server.start)
    asyncio.get_running_loop().call_later(3600.0, server.cut)

    await run_for(keeper(doorway), 3605.0)

    assert round(doorway.asked_s[-1], 3) == 3600.2


async def test_sessions_that_break_at_once_are_not_opened_in_a_hurry() -> None:
    """A broker that lets us in and refuses every message is not stormed."""
    server = SimulatedBroker()
    doorway = Doorway(server)

    async def refused(_: Session) -> None:
        raise BrokerUnavailableError("the broker refused a message")

    keeping = asyncio.create_task(keeper(doorway).keep(refused))
    await asyncio.sleep(60.0)
    keeping.cancel()
    await asyncio.wait([keeping])

    assert len(doorway.asked_s) < 20


async def test_contradiction_ends_it() -> None:
    """What an operator must mend is raised as it is, without a group around it."""

    @asynccontextmanager
    async def contradict() -> AsyncIterator[SimulatedSession]:
        raise StartError("a queue of the same name")
        yield

    with pytest.raises(StartError, match="a queue of the same name"):
        await Broker(contradict).keep(forever)


async def test_error_of_the_work_ends_it() -> None:
    """A bug is no outage."""

    async def broken(_: Session) -> None:
        raise ValueError("a bug")

    with pytest.raises(ExceptionGroup) as raised:
        await keeper(Doorway(SimulatedBroker())).keep(broken)

    assert raised.group_contains(ValueError, match="a bug")


async def test_log_names_the_cause() -> None:
    """However deep the error lay in groups of tasks, the line says what was wrong."""

    async def work(_: Session) -> None:
        async def fail() -> None:
            raise BrokerUnavailableError("no queue took a message")

        async with asyncio.TaskGroup() as group:
            group.create_task(fail())

    with capture_logs() as logs:
        keeping = asyncio.create_task(keeper(Doorway(SimulatedBroker())).keep(work))
        await asyncio.sleep(0.1)
        keeping.cancel()
        await asyncio.wait([keeping])

    [line] = [line for line in logs if line["event"] == "broker_unavailable"]
    assert (line["error"], line["log_level"]) == ("no queue took a message", "warning")


@pytest.mark.parametrize("turns_between", range(4))
async def test_heeds_a_cancellation_that_comes_with_the_loss_of_the_session(
    turns_between: int,
) -> None:
    """A service that is told to stop just as its broker goes away ends, and does not reconnect."""
    server = SimulatedBroker()
    doorway = Doorway(server)
    keeping = asyncio.create_task(keeper(doorway).keep(forever))
    await asyncio.sleep(1.0)

    server.cut()
    for _ in range(turns_between):
        await asyncio.sleep(0)
    keeping.cancel()
    await asyncio.wait([keeping], timeout=60.0)

    assert keeping.cancelled()
    assert len(doorway.asked_s) == 1
