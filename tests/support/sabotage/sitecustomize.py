"""Takes safeguards out of a service: Python imports this first where its folder is on PYTHONPATH.

`SABOTAGE` names what is taken out, separated by commas.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any


def fence() -> None:
    """The result of any attempt counts as that of the present one, and no lease is ever lost."""
    from activation.store.sql.store import SqlStore

    finish = SqlStore.finish

    async def finish_unfenced(self: SqlStore, results: Any) -> Any:
        tasks: list[Any] = [await self.get(result.claim.task_id) for result in results]
        return await finish(
            self,
            [
                replace(result, claim=replace(result.claim, attempt=task.attempt))
                for result, task in zip(results, tasks, strict=True)
            ],
        )

    async def renew_all(self: SqlStore, claims: Any, lease_s: float) -> Any:
        return frozenset()

    SqlStore.finish = finish_unfenced
    SqlStore.renew = renew_all


def sweep() -> None:
    """Nobody looks into the outbox."""
    from activation_gateway.relay import Relay

    async def take_none(self: Relay) -> Any:
        self._sweep = False
        return []

    Relay._take_ready = take_none


def lease() -> None:
    """Nobody takes tasks back from workers that are lost."""
    from activation_gateway.reaper import Reaper

    async def reap_none(self: Reaper) -> int:
        return 0

    Reaper._reap_some = reap_none


def heartbeat() -> None:
    """Workers do not renew their leases."""
    from activation_worker.worker import Worker

    async def renew_none(self: Worker) -> None:
        await asyncio.Event().wait()

    Worker._renew_leases = renew_none


def order() -> None:
    """Every task has a line of its own: the schema would not let two of one device run."""
    from activation_gateway.intake import Intake
    from activation_worker.handler import HttpHandler

    accept, activate = Intake.accept, HttpHandler.activate

    async def accept_alone(self: Intake, task: Any) -> Any:
        return await accept(self, replace(task, equipment=f"{task.equipment}Z{task.id.hex}"))

    async def activate_device(self: HttpHandler, claim: Any) -> Any:
        return await activate(self, replace(claim, equipment=claim.equipment.partition("Z")[0]))

    Intake.accept = accept_alone
    HttpHandler.activate = activate_device


def key() -> None:
    """The gateway knows no request again."""
    from activation_gateway.intake import Intake

    accept = Intake.accept

    async def accept_as_new(self: Intake, task: Any) -> Any:
        return await accept(self, replace(task, idempotency=None))

    Intake.accept = accept_as_new


def lost_messages() -> None:
    """Nobody notices that the broker has lost messages."""
    from activation_gateway.relay import Relay

    async def look_for_none(self: Relay, session: Any) -> None:
        await asyncio.Event().wait()

    Relay._look_for_lost = look_for_none


def late_ack() -> None:
    """Workers acknowledge messages as they come."""
    from activation_worker.worker import Worker

    consume = Worker._consume

    class Acknowledged:
        def __init__(self, delivery: Any) -> None:
            self._delivery = delivery

        def __getattr__(self, name: str) -> Any:
            return getattr(self._delivery, name)

        async def ack(self) -> None:
            """Do nothing: it is done."""

        requeue = dead_letter = ack

    async def consume_at_once(self: Worker, session: Any) -> None:
        put = self._arrived.put_nowait
        acknowledging = set()

        def put_acknowledged(delivery: Any) -> None:
            task = asyncio.ensure_future(delivery.ack())
            acknowledging.add(task)
            task.add_done_callback(acknowledging.discard)
            put(Acknowledged(delivery))

        self._arrived.put_nowait = put_acknowledged
        try:
            await consume(self, session)
        finally:
            self._arrived.put_nowait = put

    Worker._consume = consume_at_once


def store_clock() -> None:
    """Every process goes by its own clock."""
    from datetime import UTC, datetime

    from activation.store.sql.clock import DatabaseClock

    def own(self: DatabaseClock) -> datetime:
        return datetime.now(UTC)

    DatabaseClock.now = own


def question() -> None:
    """The handler is not asked what came of a call without an answer."""
    from activation_worker.handler import HttpHandler

    async def ask_nothing(self: HttpHandler, claim: Any, limit: Any) -> None:
        return None

    HttpHandler._ask = ask_nothing


def limit() -> None:
    """A 429 is no news about the number of calls."""
    from activation.domain.limit import LimitPolicy

    def never(self: LimitPolicy, outcome: Any, recent: Any) -> bool:
        return False

    LimitPolicy.too_many = never


def breaker() -> None:
    """However many calls fail, the next one is made."""
    from activation.domain.target import BreakerPolicy

    def unchanged(self: BreakerPolicy, target: Any, *_: Any, **__: Any) -> Any:
        return target

    BreakerPolicy.after_call = unchanged


SAFEGUARDS: dict[str, Callable[[], None]] = {
    take_out.__name__: take_out
    for take_out in (
        *(fence, sweep, lease, heartbeat, order, key, lost_messages, late_ack),
        *(store_clock, question, limit, breaker),
    )
}

for name in filter(None, os.environ.get("SABOTAGE", "").split(",")):
    SAFEGUARDS[name]()
