"""A service that stops can: no call of the broker swallows the cancellation of its loop."""

import asyncio
import random

from activation.broker import Queues, RabbitMQ, Session

ROUNDS = 40


async def test_loops_that_ask_the_broker_end_when_they_are_cancelled(amqp_url: str) -> None:
    """Several loops on one session, cancelled at any moment of a call, as at every shutdown."""
    broker = RabbitMQ(amqp_url, name="test", queues=Queues(), timeout_s=10)
    draw = random.Random(7)  # noqa: S311  # no secret depends on it

    async def ask_for_ever(session: Session) -> None:
        while True:
            await session.count("activation.tasks")

    for _ in range(ROUNDS):
        async with broker.open_session() as session:
            loops = [asyncio.create_task(ask_for_ever(session)) for _ in range(3)]
            await asyncio.sleep(draw.uniform(0.001, 0.01))  # any moment will do
            for loop in loops:
                loop.cancel()
            _, deaf = await asyncio.wait(loops, timeout=10)

        assert not deaf
