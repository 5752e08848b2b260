"""The work: switching a device on, once for each idempotency key."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from activation_handler.ledger import LIMIT, Call
from activation_handler.playbook import SUCCESS, Playbook
from activation_handler.script import Answer, Hang, Step

_FULL: Final = Answer(status=429)

Sleep = Callable[[float], Awaitable[None]]


class Provisioning:
    """Carries calls out.

    Args:
        playbook: Says what each call does.
        sleep: Waits so many seconds.
        limit: How many keys are remembered; the oldest are forgotten first.
        room: How many keys are worked on at once, others are refused with 429; 0: any number.
    """

    def __init__(
        self, playbook: Playbook, *, sleep: Sleep = asyncio.sleep, limit: int = LIMIT, room: int = 0
    ) -> None:
        self._playbook = playbook
        self._sleep = sleep
        self._limit = limit
        self._room = room
        self._answers: dict[str, Answer] = {}  # by the keys that have activated their device
        self._working: dict[str, asyncio.Future[Step]] = {}

    async def carry_out(self, call: Call) -> Step:
        """Do what a call asks for and return how its caller is to be answered.

        A key that has activated its device is answered at once, and a key that is being worked on
        waits for the result of that work: the device is not activated again. What activated nothing
        can be tried again with the same key.
        """
        if call.key is None:
            return await self._work(call)
        if stored := self._answers.get(call.key):
            call.repeated = True
            return stored
        if working := self._working.get(call.key):
            call.repeated = True
            return await asyncio.shield(working)  # a joiner that leaves must not end the work
        if 0 < self._room <= len(self._working):
            return _FULL
        return await self._work_alone(call, call.key)

    def answer_for(self, key: str) -> Answer | None:
        """Return what a call with this key is told, if one has activated the device."""
        return self._answers.get(key)

    def is_working_on(self, key: str) -> bool:
        """Whether a call with this key is being carried out."""
        return key in self._working

    async def _work_alone(self, call: Call, key: str) -> Step:
        joint: asyncio.Future[Step] = asyncio.get_running_loop().create_future()
        self._working[key] = joint
        try:
            step = await self._work(call)
            # A fault hits the first caller's connection alone: who joined gets the stored answer.
            joint.set_result(self._answers.get(key, step))
        finally:
            del self._working[key]
            joint.cancel()  # the server stops, and with it everybody who waits; else no effect
        return step

    async def _work(self, call: Call) -> Step:
        step = self._playbook.next_step(call.equipment)
        await self._sleep(step.work_s(self._playbook.usual_s))
        if step.activates:
            call.activated = True
            self._remember(call.key, step)
        if isinstance(step, Hang) and step.for_s is not None:
            await self._sleep(step.for_s)
            return SUCCESS
        return step

    def _remember(self, key: str | None, step: Step) -> None:
        if key is None:
            return
        self._answers[key] = step if isinstance(step, Answer) and step.succeeds else SUCCESS
        if len(self._answers) > self._limit:
            del self._answers[next(iter(self._answers))]
